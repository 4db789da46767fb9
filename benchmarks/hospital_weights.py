"""Train the weights that ship: the small CNN on X-rays of simulated patients, 28 to 64 pixels a side.

    python benchmarks/hospital_weights.py --patients 12000 --epochs 10

Writes medkit/models/weights/hospital_xray.safetensors (body alone) and its model card. The seed of
these patients is not used by any lesson, so no lesson tests on a patient of theirs.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

import medkit.models
from medkit import evaluate, training
from medkit.augment import Augment
from medkit.hospital import admit
from medkit.models.cnn import SmallCNN, pixel_scale, to_tensor

SEED, HELD_OUT = 20_011, 1000
TARGET = Path(medkit.models.__file__).parent / "weights" / "hospital_xray.safetensors"


def films(patients, view, start):
    """Take X-rays of 28 pixels: images (n, 28, 28, 1), findings (n, 5)."""
    taken = [c.xray(28, view=view, marker=False) for c in admit(patients, SEED, start).batches(500)]
    return (np.concatenate([t.images for t in taken])[..., None],
            np.concatenate([t.labels.to_numpy(np.float32) for t in taken]), taken[0].findings)


def main():
    """Train, measure on held-out simulated patients, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=10)
    a = parser.parse_args()
    half = a.patients // 2
    parts = [films(half, "adult", 0), films(half, "child", half)]
    X, Y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    X_test, Y_test, names = films(HELD_OUT, "child", a.patients)
    print("films are taken", flush=True)
    training.set_seed(0)
    dls = training.array_loaders((to_tensor(X), Y), (to_tensor(X_test), Y_test), 128, augment=Augment(seed=0))
    net = SmallCNN(1, Y.shape[1], pixels=pixel_scale(X))
    start = time.perf_counter()
    learn = training.learner(dls, net, nn.BCEWithLogitsLoss(), cbs=training.averaging())
    training.fit(learn, a.epochs, lr=0.005, wd=0.1, progress=True)
    p = torch.cat([training.forward(net, [b]) for b in to_tensor(X_test).split(512)]).sigmoid().numpy()
    scores = {n: evaluate.interval(evaluate.auroc, Y_test[:, k], p[:, k]) for k, n in enumerate(names)}
    TARGET.parent.mkdir(exist_ok=True)
    state = {k: v.contiguous().cpu() for k, v in net.state_dict().items() if k.startswith("body.")}
    save_file(state, TARGET, metadata={"source": "simulated patients of medkit.hospital"})
    write_card(a, scores, time.perf_counter() - start)


def write_card(a, scores, seconds):
    """Write what the weights are, and how good, beside them."""
    lines = [f"- {name}: {score}" for name, score in scores.items()]
    TARGET.with_name("README.md").write_text(f"""# hospital_xray.safetensors

The body of `medkit.models.cnn.SmallCNN` (width 32), trained on **simulated** chest X-rays of `medkit.hospital` to name
five findings. Made by `python benchmarks/hospital_weights.py --patients {a.patients} --epochs {a.epochs}` in
{seconds:.0f} s of training on a CPU. Licence: Apache-2.0.

**For:** a starting point where no network is at hand; lesson 3 measures what it is worth on real X-rays.
**Not for:** any diagnosis. No real patient was seen in training, but the look of the simulated films was developed on
training images of PneumoniaMNIST: a gain measured on that data set flatters the weights.

AUROC on {HELD_OUT} held-out simulated children, by finding:

""" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
