"""How fast five members of one build learn side by side, in one pass, beside one of them alone: as in lesson 8.

    OMP_NUM_THREADS=1 python benchmarks/batched_members.py

Figures are epochs of a network a second. A ratio of 2 means that five take 2.5 times as long as one.
"""

import torch
from torch import nn

import speed
from medkit import ensemble, training
from medkit.augment import Augment
from medkit.models.cnn import Pixels, block

MEMBERS = 5


class MeanAndMaximum(nn.Module):
    """Give each feature's mean and maximum over the image."""

    def forward(self, x):
        """Make (n, 2 x features)."""
        return torch.stack([x.mean((2, 3)), x.amax((2, 3))], dim=2).flatten(1)


def cnn(w):
    """Make the first build of lesson 8, of a width."""
    body = [block(1, w, 3, 2), block(w, 2 * w), nn.MaxPool2d(2), block(2 * w, 4 * w)]
    net = nn.Sequential(Pixels(0.5, 0.25), *body, MeanAndMaximum(), nn.Dropout(0.2), nn.Linear(8 * w, 2))
    return net.to(memory_format=torch.channels_last)


def table_net():
    """Make the net on tables of lesson 8."""
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))


def epoch(net, X, y, batch, augment=None):
    """Give a function that trains a net for an epoch."""
    dls = training.array_loaders((X, y), (X[:64], y[:64]), batch, augment=augment, seed=0)
    learn = training.learner(dls, net, getattr(net, "loss", None) or nn.CrossEntropyLoss())
    return lambda: training.fit(learn, 1, lr=0.01, wd=0.1)


def compared(what, make, data, repeats):
    """Give the row of one kind of net."""
    five, one = epoch(ensemble.SideBySide([make() for _ in range(MEMBERS)]), *data), epoch(make(), *data)
    a, b, ratio = speed.interleaved(lambda: MEMBERS / speed.seconds(five), lambda: 1 / speed.seconds(one), repeats)
    return speed.row(f"training five members side by side: {what}", "one of them alone", a, b, "epochs/s", ratio=ratio,
                     aim=2, note=f"five take {MEMBERS / ratio:.2f} times as long as one")


def main():
    """Measure, print, and write the rows."""
    a = speed.options(__doc__, repeats=7)
    torch.manual_seed(0)
    repeats, n = (1, 128) if a.quick else (a.repeats, 1920)

    def rows():
        X, y = (255 * torch.rand(n, 1, 28, 28)).to(torch.uint8), torch.randint(0, 2, (n,))
        for w in (4, 8, 24):
            yield compared(f"CNN of width {w}", lambda: cnn(w), (X, y, 64, Augment(seed=0)), repeats)
        yield compared("net on a table", table_net, (torch.rand(n, 20), y, 128), repeats)

    speed.keep(rows(), a.quick)


if __name__ == "__main__":
    main()
