"""Measure how real the simulated chest X-rays are.

Train a small residual CNN on simulated children alone and test it on the real
test set of PneumoniaMNIST; train the same net on the real training set; and ask
a classifier to tell real from simulated. Needs the data set in MEDKIT_DATA:

    MEDKIT_DATA=... python benchmarks/realism_xray.py [--seeds 3]

It writes a row of benchmarks/realism.json. On real validation images it also measures what is left without the link
between illness and film quality (``quality_follows_illness=False``).

No real patient is used in training on the simulation. But the simulator was developed with them: how
films of ill children look (contrast, sharpness, posture) was matched by hand to statistics by class of the
real training images, and three versions were checked on the real validation images. Much of the transfer
rests on that look: see `validation` in the row that this command writes.
"""

import argparse

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import realism
from medkit import evaluate
from medkit.hospital import admit
from medkit.hospital.xray import take

WELL = ["pneumonia", "effusion", "pneumothorax", "nodule", "heart_failure"]


class Block(nn.Module):
    """Residual block: two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.a = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.b = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm_a, self.norm_b = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        self.skip = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.norm_a(self.a(x)))
        return F.relu(self.norm_b(self.b(y)) + self.skip(x))


def network(width=16):
    """Small residual CNN: (n, 1, size, size) to logits (n, 1)."""
    sizes = [width, 2 * width, 4 * width, 4 * width]
    blocks = [Block(i, o, 2) for i, o in zip(sizes, sizes[1:])]
    stem = [nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(sizes[-1], 1))


def standard(images):
    """uint8 (n, size, size) to float (n, 1, size, size), each image with mean 0 and deviation 1."""
    x = torch.as_tensor(np.asarray(images), dtype=torch.float32)[:, None]
    return (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + 1)


def augment(x, draw):
    """Random flip, turn, zoom, shift, contrast curve, blur and noise of a batch."""
    n = len(x)
    r = lambda scale: scale * torch.randn(n, generator=draw)
    turn, zoom, flip = r(0.07), torch.exp(r(0.10)), torch.where(torch.rand(n, generator=draw) < 0.5, -1.0, 1.0)
    rows = [torch.stack([flip * zoom * torch.exp(r(0.06)), -turn, r(0.06)], 1), torch.stack([turn, zoom, r(0.06)], 1)]
    x = F.grid_sample(x, F.affine_grid(torch.stack(rows, 1), x.shape, align_corners=False), padding_mode="border", align_corners=False)
    share = (torch.rand(n, generator=draw) * (torch.rand(n, generator=draw) < 0.5)).view(-1, 1, 1, 1)
    x = x + share * (F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x)
    x = x + r(0.12).view(-1, 1, 1, 1) * (x * x - 1) + 0.05 * torch.randn(x.shape, generator=draw)
    return x * torch.exp(r(0.15)).view(-1, 1, 1, 1) + r(0.15).view(-1, 1, 1, 1)


def fit(images, labels, epochs, seed=0, batch=64):
    """Train a network; returns it in evaluation mode."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    x, y = standard(images), torch.as_tensor(np.asarray(labels), dtype=torch.float32)
    net = network()
    opt = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
    plan = torch.optim.lr_scheduler.OneCycleLR(opt, 4e-3, epochs * (len(x) // batch))
    weight = (1 - y.mean()) / y.mean()
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=draw)
        for i in order[: len(x) // batch * batch].view(-1, batch):
            loss = F.binary_cross_entropy_with_logits(net(augment(x[i], draw))[:, 0], y[i], pos_weight=weight)
            opt.zero_grad()
            loss.backward()
            opt.step()
            plan.step()
    return net.eval()


@torch.no_grad()
def score(net, images):
    """Mean logit of each image and of its mirror image, (n,)."""
    x = standard(images)
    return torch.cat([net(p)[:, 0] + net(p.flip(3))[:, 0] for p in x.split(256)]).numpy() / 2


def simulated(n, seed, **options):
    """Half children with pneumonia, half without any finding: images (n, 28, 28), labels (n,)."""
    cohort = admit(5 * n, seed)
    latent = cohort.latent
    sick = latent.index[latent.pneumonia][: n // 2]
    cohort.latent = latent.loc[sick.union(latent.index[~latent[WELL].any(axis=1)][: n // 2])]
    films = take(cohort, 28, view="child", marker=False, **options)
    return films.images, films.labels["pneumonia"].to_numpy()


def told_apart(real, sim, epochs):
    """AUROC of a net that tells real from simulated images, on held-out images."""
    n = min(len(real), len(sim))
    x, y = np.concatenate([real[:n], sim[:n]]), np.repeat([1, 0], n)
    test = np.arange(2 * n) % 4 == 0
    return float(evaluate.auroc(y[test], score(fit(x[~test], y[~test], epochs), x[test])))


def moments(images):
    """Mean, spread and sharpness of grey values: what to compare when real and simulated differ."""
    x = images.astype(float)
    return f"mean {x.mean():.0f}, spread {x.std((1, 2)).mean():.0f}, step between pixels {np.abs(np.diff(x)).mean():.1f}"


def main():
    """Measure over several seeds; look at the test images once for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    a = parser.parse_args()
    real = np.load(realism.folder("pneumoniamnist", "pneumoniamnist.npz") / "pneumoniamnist.npz")
    y, y_valid, y_train = (real[f"{part}_labels"].ravel() for part in ("test", "val", "train"))
    guesses, valid, own = [], {"linked": [], "cut": []}, []
    for seed in range(a.seeds):
        x_sim, y_sim = simulated(a.n, seed)
        net = fit(x_sim, y_sim, a.epochs, seed)
        guesses.append(score(net, real["test_images"]))
        cut = fit(*simulated(a.n, seed, quality_follows_illness=False), a.epochs, seed)
        for name, one in (("linked", net), ("cut", cut)):
            valid[name].append(float(evaluate.auroc(y_valid, score(one, real["val_images"]))))
        own.append(evaluate.auroc(y, score(fit(real["train_images"], y_train, a.epochs, seed), real["test_images"])))
        print(seed, valid, own[-1], flush=True)
    apart = []
    for name, k in (("no finding", 0), ("pneumonia", 1)):
        film = real["train_images"][y_train == k][:1200]
        apart.append(told_apart(film, x_sim[y_sim == k], 2))
        print(f"{name}: told apart {apart[-1]:.3f}; real: {moments(film)}; simulated: {moments(x_sim[y_sim == k])}")
    realism.keep("pneumonia AUROC", "pneumoniamnist test", 0.85, realism.over_seeds(evaluate.auroc, y, guesses),
                 own=float(np.mean(own)), told_apart=float(np.mean(apart)),
                 by_seed=[evaluate.auroc(y, p) for p in guesses],
                 validation={name: round(float(np.mean(v)), 4) for name, v in valid.items()})


if __name__ == "__main__":
    main()
