"""Seconds to a validation AUROC of 0.99 on PneumoniaMNIST, and images per second, beside two usual ways.

    OMP_NUM_THREADS=1 MEDKIT_DATA=... TORCH_HOME=... python benchmarks/pneumonia_speed.py [--cap 900] [--only same]

- ours: the small network of lesson 3, its demonstration setting, arrays kept on the device;
- fastai's standard path: PNG files in folders, `ImageDataLoaders.from_folder`, `vision_learner`, `fine_tune`; with the
  files as they are (28 pixels), and enlarged to 224 as in fastai's quick start. ResNet-18 if its ImageNet weights are
  at hand, else SqueezeNet with them;
- the same ResNet-18 as the next, by our loader: bfloat16, channels last, and two thirds of the training at 18 pixels
  (progressive resizing: small images first cost less, and convolutions with pooling at the end read any size);
- the official settings of MedMNIST (Yang et al. 2023, doi:10.1038/s41597-022-01721-8): ResNet-18 for 28 pixels, Adam at
  0.001, batches of 128, 100 epochs with tenfold decay at 50 and 75, pixels scaled to -1..1, one image at a time.

All look at the validation images after every epoch, and stop there when they are good enough, or after `--cap` seconds.
No worker processes: on a cpu, work is counted by the processor's clock, so they would gain nothing. Beside a GPU, where
the wall counts, fastai has its usual ones; the official script has none. Ours is run again
between the others, with another seed, and its median is given. `--only` takes "same" (the same network trained by our
way and a plain loop), "goal", or a part of a rival's name.
"""
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import speed
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.metrics import RocAucBinary
from fastai.vision.all import ImageDataLoaders, Resize, vision_learner
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models, transforms

from medkit import evaluate, training
from medkit.augment import Augment
from medkit.datasets import images
from medkit.models.cnn import Pixels, SmallCNN, pixel_scale, to_tensor, unit

BATCH, SMALL = 128, 18  # images; pixels of the small ones
AS_OFFICIAL = [transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
AUGMENTED = [transforms.RandomAffine(10, (0.07, 0.07), (0.9, 1.1)), transforms.ColorJitter(0.15, 0.3), *AS_OFFICIAL,
             transforms.RandomErasing(scale=(0.01, 0.08))]  # what `Augment` does, one image at a time


class Race:
    """The clock of one run: seconds in all and in training alone, and the validation AUROC of each epoch."""

    def __init__(self, goal, cap):
        self.goal, self.cap, self.start = goal, cap, speed.clock()
        self.training, self.images, self.scores, self.over = 0.0, 0, [], False

    def lap(self, score, seconds, images):
        """Note an epoch; say whether the race is over."""
        self.training, self.images, self.scores = self.training + seconds, self.images + images, [*self.scores, score]
        self.seconds = speed.clock() - self.start
        self.over = self.reached or self.seconds > self.cap
        return self.over

    @property
    def reached(self):
        """Whether the goal was reached."""
        return bool(self.scores) and max(self.scores) >= self.goal

    def __str__(self):
        how = "reached" if self.reached else f"not reached (best {max(self.scores):.4f})"
        return f"{how} in {self.seconds:.1f} s, {len(self.scores)} epochs, {self.images / self.training:.0f} images/s"


class Watch(Callback):
    """Hold a fastai Learner to a race: its metric of each epoch, its time in training."""

    order = 60  # after the Recorder

    def __init__(self, race):
        self.race = race

    def before_fit(self):
        if self.race.over:  # already, while the body was frozen
            raise CancelFitException

    def before_train(self):
        self.began = speed.clock()

    def after_train(self):
        self.took, self.seen = speed.clock() - self.began, self.learn.n_iter * BATCH

    def after_epoch(self):
        if self.race.lap(self.recorder.values[-1][-1], self.took, self.seen):
            raise CancelFitException


class SmallFirst:
    """Shrink the batches of the first two thirds of training; `batches` is how many there are in all."""

    def __init__(self, batches):
        self.small, self.seen = 2 * batches // 3, 0

    def __call__(self, x):
        self.seen += 1
        if self.seen > self.small:
            return x
        at = "cpu" if x.device.type == "mps" else x.device  # MPS averages over areas of one size alone
        return F.interpolate(unit(x).to(at), size=(SMALL, SMALL), mode="area").to(x.device)


def loaders(data, seed, augment):
    """Hold training and validation images on the device."""
    X = {part: to_tensor(stack) for part, stack in data.X.items()}
    return training.array_loaders((X["train"], data.y["train"]), (X["valid"], data.y["valid"]), BATCH,
                                  augment=augment, seed=seed)


def fast(data, race, seed):
    """Train the small network of lesson 3, as the lesson does."""
    training.set_seed(seed)
    dls, net = loaders(data, seed, Augment(seed=seed)), SmallCNN(1, 2, 16, pixel_scale(data.X["train"]))
    learn = training.learner(dls, net, nn.CrossEntropyLoss(label_smoothing=0.05), [RocAucBinary()],
                             cbs=[training.averaging(), Watch(race)])
    training.fit(learn, 16, lr=0.01, wd=0.3)


def same_fast(data, race, seed, epochs=3):
    """Train the official ResNet-18 by our loader, small images first."""
    training.set_seed(seed)
    dls = loaders(data, seed, SmallFirst(epochs * (len(data.y["train"]) // BATCH)))
    learn = training.learner(dls, in_bfloat16(large()), nn.CrossEntropyLoss(), [RocAucBinary()], cbs=[Watch(race)])
    training.fit(learn, epochs, 0.001)


def write_files(data, folder):
    """Write PNG files, one folder a class: the layout that fastai reads."""
    for part in ("train", "valid"):
        for i, (image, code) in enumerate(zip(data.X[part], data.y[part])):
            path = folder / part / data.classes[code] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(path)


def at_hand():
    """Choose the first network whose ImageNet weights are on this machine."""
    for arch in (models.resnet18, models.squeezenet1_1):
        name = models.get_model_weights(arch).DEFAULT.url.rpartition("/")[2]
        if (Path(torch.hub.get_dir()) / "checkpoints" / name).exists():
            return arch
    raise SystemExit("No ImageNet weights of ResNet-18 or SqueezeNet are in TORCH_HOME.")


def on_files(folder, arch, side, race, seed):
    """Fine-tune by fastai's documented way."""
    training.set_seed(seed)
    dls = ImageDataLoaders.from_folder(folder, valid="valid", bs=BATCH, device=training.best_device(),
                                       num_workers=0 if training.best_device().type == "cpu" else None,
                                       item_tfms=Resize(side) if side else None)
    learn = vision_learner(dls, arch, metrics=[RocAucBinary()], path=training.SCRATCH, cbs=[Watch(race)])
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(16)


class OneByOne(Dataset):
    """Images of a part, changed one at a time."""

    def __init__(self, data, part, steps=AS_OFFICIAL):
        self.X, self.y, self.change = data.X[part], data.y[part], transforms.Compose(steps)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.change(Image.fromarray(self.X[i, :, :, 0])), self.y[i]


def resnet28():
    """Make a ResNet-18 for small images: a first convolution of 3 x 3 without stride, no pooling behind it."""
    net = models.resnet18(num_classes=2)
    net.conv1, net.maxpool = nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.Identity()
    return net


def small():
    """Make the network of lesson 3."""
    return SmallCNN(1, 2, 16)


def large():
    """Make the official network for our loader: it scales pixels itself, and keeps channels last."""
    return nn.Sequential(Pixels(0.5, 0.5), resnet28()).to(memory_format=torch.channels_last)


def plain_epoch(net, optimiser, loader, device, most=None):
    """Train for one epoch (or `most` images); give the images seen."""
    seen = 0
    net.train()
    for x, y in loader:
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x.to(device)), y.to(device)).backward()
        optimiser.step()
        seen += len(y)
        if most and seen >= most:
            break
    return seen


def official(data, race, seed):
    """Train with the official settings."""
    training.set_seed(seed)
    device = training.best_device()
    net = resnet28().to(device)
    optimiser = torch.optim.Adam(net.parameters(), 0.001)
    plan = torch.optim.lr_scheduler.MultiStepLR(optimiser, [50, 75], 0.1)
    loader = DataLoader(OneByOne(data, "train"), BATCH, shuffle=True)
    valid = DataLoader(OneByOne(data, "valid"), 2 * BATCH)
    for _ in range(100):
        start = speed.clock()
        seen = plain_epoch(net, optimiser, loader, device)
        took = speed.clock() - start
        plan.step()
        p = torch.cat([training.forward(net, [x]) for x, _ in valid]).softmax(1)[:, 1].numpy()
        if race.lap(evaluate.auroc(data.y["valid"], p), took, seen):
            break


def to_the_goal(data, a):
    """Run the races; yield two rows for each pair: seconds to the goal, and images per second of training."""
    every, same = "training, each its own network", "the same network: ResNet-18 for 28 pixels, small images first"
    with tempfile.TemporaryDirectory() as folder:
        write_files(data, Path(folder))
        arch = at_hand()
        rivals = {f"fastai on files, {arch.__name__}, 28 pixels": partial(on_files, folder, arch, None, seed=0),
                  "official MedMNIST settings, ResNet-18": partial(official, data, seed=0),
                  f"fastai on files, {arch.__name__}, enlarged to 224": partial(on_files, folder, arch, 224, seed=0)}
        if not any(a.only in ("", "goal") or a.only in name for name in rivals):
            raise SystemExit(f"--only {a.only}: no such rival. There are: same; goal; {'; '.join(rivals)}.")
        for k, (name, work) in enumerate(rivals.items()):
            if a.only not in ("", "goal") and a.only not in name:
                continue
            seeds = range(a.repeats * k, a.repeats * (k + 1))
            other = run(work, a)
            yield from raced(name, every, [run(partial(fast, data, seed=i), a) for i in seeds], other, a, 50)
            if work.func is official:
                yield from raced(name, same, [run(partial(same_fast, data, seed=i), a) for i in seeds], other, a)


def raced(name, what, own, other, a, aim=None):
    """Give the rows of races against one rival: with the lesson's network (`aim`: of seconds), or with the same one."""
    rate, missed = median(r.images / r.training for r in own), sum(not r.reached for r in own)
    note = f"ours: median of {len(own)} seeds" + (f", {missed} of which not there" if missed else "") + precision()
    if not other.reached:
        note += f"; theirs: not reached in {len(other.scores)} epochs, best {max(other.scores):.4f}"
    goal = f"to validation AUROC {a.goal}, " + ("PneumoniaMNIST" if aim else what)
    yield speed.row(goal, name, median(r.seconds for r in own), other.seconds, "s", aim=aim, note=note, fewer=True,
                    at_least=not other.reached)
    yield speed.row(what, name, rate, other.images / other.training, "images/s", aim=None if aim else 3,
                    note="" if aim else f"ours in bfloat16, two thirds of it at {SMALL} pixels")


def run(work, a):
    """Run one race."""
    race = Race(a.goal, a.cap)
    work(race)
    print(f"{work.func.__name__}: {race}", flush=True)
    return race


def ours_per_second(data, n, make, augment=None):
    """Train once on `n` images by our way, varied by what `augment` makes; give images per second."""
    rows = (to_tensor(data.X["train"][:n]), data.y["train"][:n])
    dls = training.array_loaders(rows, tuple(t[:8] for t in rows), BATCH, augment=augment and augment())
    race = Race(2, float("inf"))
    training.fit(training.learner(dls, make(), nn.CrossEntropyLoss(), [RocAucBinary()], cbs=[Watch(race)]), 1, 0.001)
    return race.images / race.training


def share_of_limit(net, rate):
    """Compare the arithmetic of training (`rate` images/s) with that of a large matrix product, timed now; say it.

    The product is in float32; on CUDA, where our Learners train in mixed precision, in float16.
    """
    device = training.best_device()
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(8, 1, 28, 28)).sum().backward()
    side, kind = 1024 if device.type == "cpu" else 8192, torch.float16 if device.type == "cuda" else torch.float32
    square = torch.rand(side, side, device=device).to(kind)  # a GPU does a small one in less than a call takes
    product = 2 * side**3 / min(speed.seconds(lambda: square @ square) for _ in range(10))
    share = counter.get_total_flops() / 8 * rate / product
    return f"ours at {share:.0%} of the arithmetic of a {str(kind).rpartition('.')[2]} matrix product"


def precision():
    """Say where `training.learner` computes in mixed precision, which the others do not: on CUDA."""
    return "; ours in mixed precision, as medkit trains on CUDA" if training.best_device().type == "cuda" else ""


def in_bfloat16(net):
    """Let a network compute in bfloat16 (half the bits): faster on processors and GPUs that were built for it."""
    plain = net.forward

    def forward(x):
        with torch.autocast(training.best_device().type, torch.bfloat16):
            return plain(x).float()

    net.forward = forward
    return net


def plain_per_second(data, n, make, steps=AS_OFFICIAL):
    """Train the same network on as many images by a plain loop."""
    net = make().to(training.best_device())
    optimiser = torch.optim.Adam(net.parameters(), 0.001)
    loader = DataLoader(OneByOne(data, "train", steps), BATCH, shuffle=True)
    start = speed.clock()
    return plain_epoch(net, optimiser, loader, training.best_device(), n) / (speed.clock() - start)


def same_net(data, a):
    """Give rows of images per second where both ways train the same network."""
    few = 2 * BATCH if not a.quick else BATCH
    many = 36 * BATCH if not a.quick else 2 * BATCH
    first = partial(SmallFirst, many // BATCH)
    cases = [("small CNN of lesson 3", many, small, small, None, AS_OFFICIAL),
             ("small CNN of lesson 3, images varied at random", many, small, small, Augment, AUGMENTED),
             ("small CNN of lesson 3, ours in bfloat16", many, lambda: in_bfloat16(small()), small, None, AS_OFFICIAL),
             ("small CNN of lesson 3, ours in bfloat16, small images first", many, lambda: in_bfloat16(small()), small,
              first, AS_OFFICIAL),
             ("ResNet-18 for 28 pixels", few, large, resnet28, None, AS_OFFICIAL),
             ("ResNet-18 for 28 pixels, ours in bfloat16", few, lambda: in_bfloat16(large()), resnet28, None,
              AS_OFFICIAL)]
    for name, n, mine, plain, augment, steps in cases:
        ours, theirs, ratio = speed.interleaved(partial(ours_per_second, data, n, mine, augment),
                                                partial(plain_per_second, data, n, plain, steps), a.repeats)
        note = (f"two thirds of ours at {SMALL} pixels" if augment is first else
                share_of_limit(plain(), ours))
        yield speed.row(f"the same network: {name}", "plain DataLoader and loop, official settings", ours, theirs,
                        "images/s", ratio=ratio, aim=3, note=note + precision())


def main():
    """Measure, print, and write the rows."""
    a = speed.options(__doc__, cap=900.0, repeats=3, goal=0.99, only="")
    data = images.load("pneumoniamnist")
    if a.quick:
        a.cap, a.repeats = 1.0, 1
        data = images.ImageSet(data.name, data.classes, {p: x[:256] for p, x in data.X.items()},
                               {p: y[:256] for p, y in data.y.items()}, data.patients)
    if a.only in ("", "same"):
        speed.keep(same_net(data, a), a.quick)
    if a.only != "same":
        speed.keep(to_the_goal(data, a), a.quick)


if __name__ == "__main__":
    main()
