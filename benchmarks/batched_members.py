"""Time to train five members, over that of one: in a loop, by grouped convolutions, by vmap.

    OMP_NUM_THREADS=1 python benchmarks/batched_members.py

One run gives all ratios; one and five take turns, and each time is a median: of processor time on one thread, of the
wall on several (the machine should then do nothing else).
"""

import time

import torch
from torch import nn

from medkit import ensemble, training
from medkit.augment import Augment
from medkit.models.cnn import SmallCNN

MEMBERS, TURNS = 5, 7
clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter


class Plain(SmallCNN):
    """SmallCNN without the hint on memory order, which vmap does not know."""

    def forward(self, x):
        features = self.body(self.pixels(x))
        return self.head(torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1))


def layer(n_in, n_out, k, stride=1):
    """Make the block of SmallCNN for k members side by side; the first block sees one image for all."""
    groups = 1 if n_in == 1 else k
    return nn.Sequential(nn.Conv2d(n_in * groups, n_out * k, 3, stride, padding=1, bias=False, groups=groups),
                         nn.BatchNorm2d(n_out * k), nn.ReLU())


def small_cnn(k, w):
    """Make the layers of SmallCNN."""
    return [layer(1, w, k), nn.MaxPool2d(2), layer(w, 2 * w, k), layer(2 * w, 2 * w, k),
            nn.MaxPool2d(2), layer(2 * w, 4 * w, k), layer(4 * w, 4 * w, k)]


def three_layers(k, w):
    """Make the layers of the first build of lesson 8."""
    return [layer(1, w, k, stride=2), layer(w, 2 * w, k), nn.MaxPool2d(2), layer(2 * w, 4 * w, k)]


class Grouped(nn.Module):
    """k members of one build side by side, by grouped convolutions."""

    def __init__(self, k, w, layers=small_cnn, dropout=0):
        super().__init__()
        self.k, self.body = k, nn.Sequential(*layers(k, w))
        self.drop, self.head = nn.Dropout(dropout), nn.Conv1d(8 * w * k, 2 * k, 1, groups=k)
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        """Give logits (n * k, 2)."""
        f = self.body(x)
        f = self.drop(torch.stack([f.mean((2, 3)), f.amax((2, 3))], dim=2).flatten(1))
        return self.head(f[:, :, None]).view(len(x) * self.k, 2)


def by_learner(k, w, X, y):
    """Give a function that trains k members for an epoch as lesson 8 does, on the same changed batches."""
    dls = training.array_loaders((X, y), (X[:64], y[:64]), 64, augment=Augment(seed=0), seed=0)
    learn = training.learner(dls, Grouped(k, w, three_layers, 0.2),
                             lambda p, t: nn.functional.cross_entropy(p, t.repeat_interleave(k)))
    return lambda: training.fit(learn, 1, lr=0.01, wd=0.1, progress=False)


def stepper(net, X, y, copies=1):
    """Give a function that trains a net for one batch."""
    optimiser = torch.optim.AdamW(net.parameters())

    def step():
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(X), y.repeat_interleave(copies)).backward()
        optimiser.step()
    return step


def together(nets, X, y, batch):
    """Give a function that trains nets for some batches in one pass."""
    return lambda: ensemble.train_together(nets, X, y, 1, 0.001, batch_size=batch)


def ratio(five, one):
    """Time five members over one."""
    times = {five: [], one: []}
    for turn in range(TURNS + 1):
        for work in (one, five):
            start = clock()
            work()
            times[work].append(clock() - start)
    a, b = (sorted(times[work][1:])[TURNS // 2] for work in (five, one))
    return f"one {1000 * b:8.1f} ms, five {1000 * a:8.1f} ms, ratio {a / b:.2f}"


def table_net():
    """Make the small net on tables of lesson 8."""
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))


def main():
    """Measure and print."""
    torch.manual_seed(0)
    for w, n in ((16, 128), (8, 32)):
        X, y = torch.rand(n, 1, 28, 28), torch.randint(0, 2, (n,))
        one = stepper(SmallCNN(1, 2, w), X, y)
        loop = [stepper(SmallCNN(1, 2, w), X, y) for _ in range(MEMBERS)]
        grouped = stepper(Grouped(MEMBERS, w), X, y, MEMBERS)
        single, many = together([Plain(1, 2, w)], X, y, n), together([Plain(1, 2, w) for _ in range(MEMBERS)], X, y, n)
        told = f"SmallCNN, width {w}, batches of {n}"
        print(f"{told}, a loop:           {ratio(lambda: [step() for step in loop], one)}")
        print(f"{told}, grouped:          {ratio(grouped, one)}")
        print(f"{told}, vmap over plain:  {ratio(many, one)}")
        print(f"{told}, vmap over vmap:   {ratio(many, single)}")
    X, y = torch.rand(1920, 1, 28, 28), torch.randint(0, 2, (1920,))
    for w in (4, 8, 16):
        print(f"three layers of lesson 8, width {w}, batches of 64, grouped, by the Learner: "
              f"{ratio(by_learner(MEMBERS, w, X, y), by_learner(1, w, X, y))}", flush=True)
    X, y = torch.rand(6400, 20), torch.randint(0, 2, (6400,))
    for n in (64, 128, 512):
        loop = [table_net() for _ in range(MEMBERS)]
        many = together([table_net() for _ in range(MEMBERS)], X, y, n)
        print(f"net on a table, batches of {n}, vmap: {ratio(many, together([table_net()], X, y, n))}")
        print(f"net on a table, batches of {n}, loop: "
              f"{ratio(lambda: [plain_epoch(net, X, y, n) for net in loop], lambda: plain_epoch(loop[0], X, y, n))}")
        print(f"net on a table, batches of {n}, five by vmap over one plain: "
              f"{ratio(many, lambda: plain_epoch(loop[0], X, y, n))}")


def plain_epoch(net, X, y, batch):
    """Train one net for an epoch as plain PyTorch does."""
    optimiser = torch.optim.AdamW(net.parameters())
    for rows in torch.randperm(len(X)).split(batch):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(X[rows]), y[rows]).backward()
        optimiser.step()


if __name__ == "__main__":
    main()
