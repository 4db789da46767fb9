"""What are pre-trained weights worth on real X-rays, from 25 labelled images to all of them?

    MEDKIT_DATA=... TORCH_HOME=... python benchmarks/label_efficiency.py [--draws 5] [--looks 3200] [--only hospital]

Lesson 3's comparison on PneumoniaMNIST, for longer: the same network from pre-trained and from random weights, the same
images, equally many looks, several draws of the labels, paired differences. Images come in shuffled passes, all before
one comes again; an epoch has `--looks` of them, or one pass where that is more, and there are two epochs. "hospital" is
the small CNN that ships with medkit (28 pixels a side), "imagenet" SqueezeNet 1.1 (enlarged to 64 pixels). Writes
benchmarks/label_efficiency.json after every row, so that a run that is broken off goes on where it stopped; a row that
is taken out of the file is measured anew. (Rows with fewer looks than labels were drawn with replacement.)
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medkit import evaluate, training
from medkit.augment import Augment
from medkit.datasets import images
from medkit.files import write_text
from medkit.models import transfer
from medkit.models.cnn import to_tensor

LABELS = (25, 50, 100, 250, 1000, None)  # None: all
TARGET = Path(__file__).with_suffix(".json")
ARCH = "squeezenet1_1"


def looks_at(n, least):
    """Give how many images an epoch has where n have labels: whole batches, and at least one pass."""
    return 32 * -(-max(n, least) // 32)


def in_turn(rows, looks, draw):
    """Line up images in shuffled passes: none comes again before all have come."""
    rng = np.random.default_rng(draw)
    return np.concatenate([rng.permutation(rows) for _ in range(-(-looks // len(rows)))])[:looks]


def train_on(data, X, rows, weights, draw, looks):
    """Train from given weights on some labelled images: test AUROC."""
    training.set_seed(draw)
    turn = in_turn(rows, looks, draw)
    dls = training.array_loaders((X["train"][turn], data.y["train"][turn]), (X["valid"][:64], data.y["valid"][:64]),
                                 32, Augment(seed=draw), seed=draw)
    net = transfer.make(ARCH, weights, data.channels, len(data.classes), side=64)
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    learn = training.fit(training.learner(dls, net, loss), epochs=2, lr=0.002)
    p = torch.cat([training.forward(learn.model, [b]) for b in X["test"].split(256)]).softmax(1)[:, 1].numpy()
    return float(evaluate.auroc(data.y["test"], p))


def compare(data, X, weights, n, draws, looks):
    """Give the row of one number of labels: both arms' scores, and the paired gain with its interval over draws."""
    looks = looks_at(n, looks)
    arms = {"pre-trained": weights, "from scratch": f"{weights}-scratch"}
    taken = [data.take("train", n, seed=draw) for draw in range(draws)]
    scores = {name: [train_on(data, X, rows, arm, draw, looks) for draw, rows in enumerate(taken)]
              for name, arm in arms.items()}
    gain = evaluate.mean_interval(np.subtract(*scores.values()))
    return {"weights": weights, "labels": n, **{k: [round(s, 4) for s in v] for k, v in scores.items()},
            "gain": [round(v, 4) for v in (gain.value, gain.low, gain.high)], "looks": looks}


def measured():
    """Give the rows that are there."""
    return json.loads(TARGET.read_text()) if TARGET.exists() else []


def main():
    """Measure what is missing, write the file, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--looks", type=int, default=3200)
    parser.add_argument("--only", choices=("hospital", "imagenet"))
    a = parser.parse_args()
    data = images.load("pneumoniamnist")
    X = {part: to_tensor(stack) for part, stack in data.X.items()}
    done = {(r["weights"], r["labels"]) for r in measured()}
    for weights in [a.only] if a.only else ["hospital", "imagenet"]:
        for n in (len(data.y["train"]) if k is None else k for k in LABELS):
            if (weights, n) not in done:
                row = compare(data, X, weights, n, a.draws, a.looks)
                write_text(TARGET, json.dumps([*measured(), row], indent=1) + "\n")  # another run may have written, too
                print(row, flush=True)


if __name__ == "__main__":
    main()
