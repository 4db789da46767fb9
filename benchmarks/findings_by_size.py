"""How many pixels does a small finding need? Nodule and pneumothorax on simulated X-rays, at 28 and at 64 pixels.

    python benchmarks/findings_by_size.py [--patients 2400]

The small CNN of lesson 3 is trained on simulated adults, half of whom have the finding, and tested on others.
Prints the AUROC with its 95 % interval and writes nothing.
"""
import argparse

import numpy as np
import torch
from torch import nn

from medkit import evaluate, training
from medkit.augment import Augment
from medkit.hospital import admit
from medkit.hospital.xray import take
from medkit.models.cnn import SmallCNN, pixel_scale, to_tensor


def films(finding, n, size, seed):
    """Half patients with the finding, half without, shuffled: images (n, size, size, 1), labels (n,)."""
    cohort = admit(30 * n, seed)
    there = cohort.latent[finding].to_numpy()
    half = min(n // 2, there.sum())
    rows = np.concatenate([np.flatnonzero(there)[:half], np.flatnonzero(~there)[:half]])
    cohort.latent = cohort.latent.iloc[np.random.default_rng(0).permutation(rows)]
    taken = take(cohort, size, marker=False)
    return taken.images[..., None], taken.labels[finding].to_numpy().astype(np.int64)


def found(finding, n, size, epochs):
    """AUROC on the last quarter of the patients, after training on the others."""
    X, y = films(finding, n, size, seed=5)
    cut = 3 * len(y) // 4
    training.set_seed(0)
    dls = training.array_loaders((to_tensor(X[:cut]), y[:cut]), (to_tensor(X[cut:]), y[cut:]), 64,
                                 augment=Augment(erase=0, seed=0))
    net = SmallCNN(1, 2, 16, pixel_scale(X[:cut]))
    learn = training.learner(dls, net, nn.CrossEntropyLoss(), cbs=training.averaging())
    training.fit(learn, epochs, lr=0.01, wd=0.1)
    p = torch.cat([training.forward(net, [b]) for b in to_tensor(X[cut:]).split(256)]).softmax(1)[:, 1].numpy()
    return evaluate.interval(evaluate.auroc, y[cut:], p)


def main():
    """Print one line for each finding and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=2400)
    parser.add_argument("--epochs", type=int, default=14)
    a = parser.parse_args()
    for finding in ("pneumothorax", "nodule"):
        for size in (28, 64):
            print(f"{finding}, {size} pixels: {found(finding, a.patients, size, a.epochs)}", flush=True)


if __name__ == "__main__":
    main()
