# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: CNN diagnosis by transfer learning
#     learn:
#       - train a convolutional network on X-rays with fastai, from weights learned elsewhere or from nothing
#       - measure what pre-training is worth, from 25 labelled images to all of them
#       - report a diagnosis with its threshold, calibration, subgroups and failures
#     read_minutes: 40
#     before: lesson 1.
#     data: simulated X-rays by default; real ones by name (PneumoniaMNIST, any MedMNIST set), brain MRI (Medical Segmentation Decathlon), or your own folder of images.
#     claim: "\"Pre-training helps when data is small.\" Here: by how much, from 25 labelled images to all?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

import time

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import CategoryBlock, DataBlock, ImageBlock, IndexSplitter, PILImage
from fastai.vision.all import Resize, vision_learner
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn
from torchvision.models import get_model_builder

from medkit import evaluate, lessons, plots, training
from medkit.augment import Augment
from medkit.datasets import images, schema
from medkit.exercise import Exercise
from medkit.models import transfer
from medkit.models.cnn import SmallCNN, to_tensor, unit
from medkit.report import record, say

plots.use_style()

# %% [markdown]
# As a report on real patients: `medkit run 3 -p dataset=pneumoniamnist` (4 MB are fetched). On any other MedMNIST
# set: `medkit run 3 -p dataset=breastmnist`. On brain MRI: `medkit run 3 -p dataset=msd-hippocampus` (27 MB). On a
# folder of your own: `medkit run 3 -p dataset=path/to/folder`.

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # simulated; or a MedMNIST name such as pneumoniamnist; or msd-hippocampus; or a folder
size: int = 28  # 28 to 512: side of the images in pixels; MedMNIST has 28, 64, 128, 224
arch: str = "resnet18"  # pre-trained network: resnet18, resnet34, resnet50, squeezenet1_1, densenet121
effort: str = "demo"  # demo | full: more labels, draws, epochs and seeds
sensitivity_wanted: float = 0.95  # 0.01 to 1: the share of the ill that the threshold must find
seed: int = 0  # 0 to 999999: starting weights and draws

# %% [markdown]
# ## A working result first
#
# Each image is a chest X-ray, made small. Does the patient have pneumonia? By default the patients are
# *simulated*, so that the lesson runs anywhere, and the truth is known. With `dataset=pneumoniamnist` they are real
# children, in the official split. The lines below say which patients you are looking at.
#
# MRI goes the same way. `dataset=msd-hippocampus` brings real brains; three slices of each, from front to back, take the
# place of the three colours of a photograph. Is the hippocampus small? It shrinks in Alzheimer's disease, and doctors
# grade the loss in this medial part of the temporal lobe by eye (Scheltens et al., 1992).

# %%
data = images.load(dataset, size=size, seed=seed)

# %% tags=["nbval-check-output"]
for note in data.notes:
    print("-", note)
data.counts()

# %%
shown = data.take("train", 12, seed=seed)
names = [str(c) if data.multi_label else data.classes[c] for c in data.y["train"][shown]]
plots.image_grid(data.X["train"][shown], names, heading=f"{data.name}: training images")

# %% [markdown]
# *Transfer learning* takes a network that has learned from millions of everyday photographs (ImageNet) and
# trains it a little more on ours. First we see whether such weights can be had on this machine.

# %%
which, why = transfer.find_weights(arch)
record("weights", which)
say(why)

# %% [markdown]
# In fastai, a `DataBlock` says what the inputs and targets are and how to split them; `vision_learner` puts a
# fresh head on the network's body; `fine_tune` trains the head alone first, then everything, gently. The body must
# have learned something before: a head on random weights has nothing to go by. We do it on a few hundred images here,
# so that you can watch.

# %%
few = data.take("train", 480, seed=seed)
watched = data.take("valid", 400, seed=seed)
pictures = np.concatenate([data.X["train"][few], data.X["valid"][watched]])
codes = np.concatenate([data.y["train"][few], data.y["valid"][watched]])


def open_image(k):
    """Give one image as fastai wants it: three colours."""
    return PILImage.create(np.repeat(pictures[k], 3 // data.channels, axis=2))


def class_name(k):
    """Give the name of an image's class (of its first finding where there can be several)."""
    return data.classes[np.argmax(codes[k]) if data.multi_label else codes[k]]


# %%
blocks = DataBlock(blocks=(ImageBlock, CategoryBlock(vocab=data.classes, sort=False)),
                   get_x=open_image, get_y=class_name,
                   splitter=IndexSplitter(range(len(few), len(codes))),
                   item_tfms=Resize(max(64, size)) if which == "imagenet" else None)
training.set_seed(seed)
dls = blocks.dataloaders(range(len(codes)), bs=min(32, len(few)), num_workers=0, seed=seed,
                         device=training.best_device())

# %% [markdown]
# With ImageNet weights the network is `arch`, and the images are enlarged, as it learned from large ones. Without them
# it is the small network that ships with medkit: its body, and a pooling layer to tell fastai where the head begins.

# %%
def small_network(**_):
    """Make the network that ships with medkit, with its weights, as fastai wants it."""
    net = transfer.shipped(3, len(data.classes), random=which == "none")
    return nn.Sequential(net.pixels, net.body, nn.AdaptiveAvgPool2d(1))


network = get_model_builder(arch) if which == "imagenet" else small_network
learn = vision_learner(dls, network, pretrained=which != "none", lin_ftrs=[], ps=0.2,
                       path=training.SCRATCH)

# %% [markdown]
# How large should a step be? The *learning-rate finder* tries ever larger ones for some batches and watches the
# loss: we want the slope before the loss blows up.

# %%
with learn.no_bar(), learn.no_logging():
    suggested = learn.lr_find(num_it=40, show_plot=False).valley
steps, found_losses = learn.recorder.lrs, [float(v) for v in learn.recorder.losses]
plots.curves(steps, {"training loss": found_losses}, "learning rate", "cross-entropy (nats)",
             f"Learning-rate finder: it suggests {suggested:.4f}", log_x=[1e-6, 1e-4, 1e-2, 1])

# %% [markdown]
# In so few steps a small head on a frozen body learns little, so the curve can be almost flat until it blows up, and
# the suggestion is rough: we take 0.005 at least. Without pre-trained weights nothing is frozen, and all learns at
# once.

# %%
rate = max(suggested, 0.005)
if which == "none":
    learn.fit_one_cycle(4, rate)
else:
    learn.fine_tune(3, base_lr=rate)

# %% [markdown]
# Has it learned anything? Whoever cannot read X-rays can still guess: give every image the share of each class in
# training. We compare the cross-entropy of both, image by image (of a patient with several, their mean).

# %%
with learn.no_bar():
    p_watched, truth = (t.numpy() for t in learn.get_preds())
training.lighten(learn)  # what the optimiser remembered can go
learned = [data.classes.index(class_name(k)) for k in range(len(few))]
shares = np.bincount(learned, minlength=len(data.classes)) + 1
guessed = -np.log(shares / shares.sum())[truth]
read = -np.log(p_watched[np.arange(len(truth)), truth].clip(1e-6))

# %%
less = evaluate.mean_interval(pd.Series(guessed - read).groupby(data.patients["valid"][watched]).mean())
working = ("**It works: better than guessing, beyond chance.**" if less.low > 0 else
           "**Worse than guessing.** It is sure where it should not be." if less.high < 0 else
           "**We cannot tell it from guessing.**")
say(f"Cross-entropy on {len(truth)} validation images: guessing {guessed.mean():.3f} nats, the network "
    f"{read.mean():.3f}; guessing less network {less}. {working} "
    + ("" if less.low > 0 else "These weights, so few images and so few passes do not suffice here."))

# %% [markdown]
# The steps stay the same on any images. Now: what is inside, is it the best that we can do here, and is pre-training
# worth it?

# %% [markdown]
# ## What a convolution sees
#
# A *convolution* slides a small window of weights over the image, and gives one number wherever it stops: how
# much the place looks like the window. These three windows are written by hand. A network learns its own.

# %%
windows = {"edges, left to right": [[-1, 0, 1]] * 3,
           "edges, top to bottom": [[-1] * 3, [0] * 3, [1] * 3],
           "blur": [[1 / 9] * 3] * 3}
xray = to_tensor(data.X["train"][shown[:1]])[:, :1].float()
maps = [nn.functional.conv2d(xray, torch.tensor(w).float()[None, None])[0, 0].numpy()
        for w in windows.values()]
scaled = [255 * (m - m.min()) / (np.ptp(m) + 1e-9) for m in maps]
plots.image_grid([xray[0, 0].numpy(), *scaled], ["image", *windows], columns=4,
                 heading=f"One image, three windows: {data.name}")

# %% [markdown]
# Layers of convolutions stack up: edges make ribs, ribs and texture make a lung. Between them, *pooling* keeps
# the strongest answer in each square of 2 x 2 places, so that later layers see a wider field. After each convolution
# comes *batch normalisation* (Ioffe & Szegedy, 2015): it brings each feature to mean 0 and standard deviation 1 over
# the images of a batch, then scales and shifts it by two learned numbers, so that larger steps are safe. When the
# network is asked, running means of training take the place of the batch's: no answer hangs on the neighbours.
#
# ## A small network, trained fast
#
# The images are small and few, so they can lie in memory next to the processor, as one array. Then no time goes
# into opening files: a batch is a slice. Augmentation, too, is done for a whole batch at once: each image is
# shifted, turned, re-exposed and partly covered, at random, as another X-ray room might have done. It is never mirrored:
# the heart lies on the left, and hardly any chest looks the other way round.

# %%
X = {part: to_tensor(stack) for part, stack in data.X.items()}
y = data.y
changed = Augment(seed=seed)(X["train"][shown[:1]].repeat(6, 1, 1, 1))
plots.image_grid((255 * changed.clamp(0, 1)).permute(0, 2, 3, 1).numpy(), ["changed"] * 6,
                 heading=f"One image, augmented six times: {data.name}")

# %% [markdown]
# Rooms differ in exposure and contrast before any network looks. So each image is first scaled to mean 0 and standard
# deviation 1 *on its own*: what is left is where it is brighter or darker than its own mean.

# %%
class OwnScale(nn.Module):
    """Bring each image to mean 0 and standard deviation 1."""

    def forward(self, x):
        """Scale a batch (n, channels, height, width)."""
        x = unit(x)
        return (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True).clamp(min=1e-3)


# %%
epochs, width, members = (16, 16, 1) if effort == "demo" else (30, 32, 3)
epochs = int(np.clip(15000 // len(y["train"]), epochs, 200))  # few images: more rounds, smaller batches
batch_size = int(np.clip(len(y["train"]) // 8, 8, 128))
if data.multi_label:
    loss, target = nn.BCEWithLogitsLoss(), {p: codes.astype(np.float32) for p, codes in y.items()}
else:
    loss, target = nn.CrossEntropyLoss(label_smoothing=0.05), y


def train_fast(seed):
    """Train the small network on arrays that lie on the device."""
    training.set_seed(seed)
    dls = training.array_loaders((X["train"], target["train"]), (X["valid"], target["valid"]),
                                 batch_size, augment=Augment(seed=seed), seed=seed)
    net = nn.Sequential(OwnScale(), SmallCNN(data.channels, len(data.classes), width, pixels=(0, 1)))
    learn = training.learner(dls, net, loss, cbs=training.averaging())
    return training.fit(learn, epochs, lr=0.01, wd=0.3)


# %%
start = time.perf_counter()
fast = [train_fast(seed + k) for k in range(members)]
record("train_seconds", time.perf_counter() - start, unit="s")

# %% [markdown]
# *Test-time augmentation* asks the network several times, with the image shifted by a pixel, and takes the mean.

# %%
def shifted(images):
    """Give the images as they are, and shifted by one pixel in four directions."""
    around = nn.functional.pad(images.float(), (1, 1, 1, 1), mode="replicate").to(images.dtype)
    h, w = images.shape[2:]
    return [around[:, :, i:i + h, j:j + w] for i, j in [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]]


def predict(learners, images):
    """Average class probabilities over networks and shifts, shape (n, classes)."""
    return np.mean([class_probabilities(one, view) for one in learners for view in shifted(images)], axis=0)


def class_probabilities(learn, images):
    """Predict with one network: softmax, or one sigmoid per finding where there can be several."""
    logits = torch.cat([training.forward(learn.model, [b]) for b in images.split(128)])
    return (logits.sigmoid() if data.multi_label else logits.softmax(1)).numpy()


# %%
macro_auroc = evaluate.macro(evaluate.auroc)
p_valid = predict(fast, X["valid"])
plain = macro_auroc(y["valid"], class_probabilities(fast[0], X["valid"]))
say(f"On validation images one look gives an AUROC of **{plain:.4f}**, five shifted looks "
    f"**{macro_auroc(y['valid'], p_valid):.4f}**.")

# %% [markdown]
# (With more than two classes, AUROC is the mean over classes, each against the rest.)
#
# ## The claim, measured
#
# Is pre-training worth it when labels are few? We train the same network twice on the same few images: once from
# the pre-trained weights, once from random ones. All else is equal: the whole network is trained, at the same rate, and
# sees the same images equally often, augmented anew each time: few images many times over, all images in one pass or a
# little more. We repeat with other draws (more where labels are few, as their draw matters most), and look at the
# *paired* difference. Its interval holds the luck of draw and start, not that of which patients were tested.

# %%
everything = len(y["train"])
draws = {25: 5, everything: 3} if effort == "demo" else {25: 5, 100: 5, everything: 5}
draws = {min(n, everything): d for n, d in draws.items()}
least, side = (768, 32) if effort == "demo" else (3200, 64)


def looks(n):
    """Give how many images a network sees where n have labels: whole batches, and at least one pass."""
    return 32 * -(-max(n, least) // 32)


def in_turn(rows, draw):
    """Line up images in shuffled passes: none comes again before all have come."""
    rng = np.random.default_rng(draw)
    passes = -(-looks(len(rows)) // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(passes)])[:looks(len(rows))]


# %%
def train_on(rows, weights, draw):
    """Train from given weights on some labelled images; score on test images."""
    training.set_seed(draw)
    turn = in_turn(rows, draw)
    some = (X["valid"][:64], target["valid"][:64])
    drawn = (X["train"][turn], target["train"][turn])
    dls = training.array_loaders(drawn, some, 32, Augment(seed=draw), seed=draw)
    net = transfer.make(arch, weights, data.channels, len(data.classes), side)
    learn = training.fit(training.learner(dls, net, loss), epochs=1, lr=0.002)
    return macro_auroc(y["test"], class_probabilities(learn, X["test"]))


# %%
def study(weights):
    """Score all numbers of labels and all draws: {labels: (draws,)}."""
    return {n: np.array([train_on(data.take("train", n, seed=seed + d), weights, seed + d)
                         for d in range(draws[n])]) for n in draws}


scores = {"from scratch": study(f"{which}-scratch")}
if which != "none":
    scores["pre-trained"] = study(which)

# %%
labels = list(draws)
means = {name: [evaluate.mean_interval(row) for row in rows.values()] for name, rows in scores.items()}
network = "small CNN" if which == "hospital" else arch
plots.curves(labels, means, "labelled training images", "test AUROC",
             f"{network}: what pre-training is worth (bands: 95 % over draws)\n{data.name}", log_x=True)

# %%
gains = {}
if which != "none":
    gains = {n: evaluate.mean_interval(scores["pre-trained"][n] - scores["from scratch"][n]) for n in draws}
    plots.estimates({f"{n:,} labels": g for n, g in gains.items()}, "gain in test AUROC",
                    f"Pre-trained less from scratch: {data.name}", reference=0)
record("gain_pretrained_25", gains.get(labels[0], "not measured"))
record("gain_pretrained_all", gains.get(labels[-1], "not measured"))

# %%
def verdict(gain):
    """Say in words what a gain with its interval allows us to say."""
    if gain.low > 0:
        return "it helps"
    return "it harms" if gain.high < 0 else "we cannot tell"


passes = {n: f"{looks(n) / n:.0f} pass{'es' if looks(n) >= 1.5 * n else ''}" for n in draws}
lines = "; ".join(f"with {n:,} labels, after {passes[n]}, **{verdict(g)}** ({g})" for n, g in gains.items())
seen_side = max(side, size) if which == "imagenet" else size
say(f"Pre-training ({which} weights, {seen_side} pixels a side): {lines}." if gains else
    "No pre-trained weights were at hand, so this run could not test the claim.")

# %% [markdown]
# So short a training asks who is ahead early. Whether longer training from nothing catches up, we see below.
#
# ### On real children, with both kinds of weights
#
# A run measures the weights that it finds, on the images that you chose. The command `benchmarks/label_efficiency.py`
# did the same on PneumoniaMNIST (real children) for both kinds, with five draws at each number of labels, and wrote it
# down.

# %%
rows_real = lessons.measured("label_efficiency")
kinds = {kind: [r for r in rows_real if r["weights"] == kind] for kind in ("hospital", "imagenet")}
worth = {f"{kind} weights": [evaluate.Estimate(*r["gain"]) for r in rows] for kind, rows in kinds.items()}
plots.curves([r["labels"] for r in kinds["hospital"]], worth, "labelled training images", "gain in test AUROC",
             "Real children (PneumoniaMNIST): pre-trained less from scratch", log_x=True, reference=(0, "no gain"))

# %%
for kind, rows in kinds.items():
    sure = [f"{r['labels']:,}" for r in rows if r["gain"][1] > 0]
    say(f"Real children, {kind} weights: beyond chance with {', '.join(sure) or 'no number of'} labels.")

# %%
different = {r["labels"]: r["labels"] * (1 - (1 - 1 / r["labels"]) ** r["looks"])
             for r in rows_real if r["looks"] < r["labels"]}  # such rows drew images with replacement
for n, seen in different.items():
    say(f"With {n:,} labels that run drew about {seen:,.0f} different images: read its point as one of so many.")

# %% [markdown]
# Read it with care.
#
# - *ImageNet* weights were learned from photographs, at a certain scale of edges and textures. At 28 pixels a side
#   little of it is left. The same comparison at 224 pixels can end otherwise: try `size=224`.
# - *Hospital* weights (a small network, shipped with medkit for those without a network) were learned from simulated
#   X-rays. On simulated patients they start with an unfair advantage: they know this world. Only real patients can tell
#   what they are worth, and PneumoniaMNIST not without reserve: its training images helped to set how simulated films
#   look.
# - Few draws make wide intervals. "We cannot tell" is then the right answer; `effort=full` looks longer.

# %% [markdown]
# ## Windows that nobody learned
#
# Must windows be learned at all? A *Gabor* window is a wave under a hill: it answers to edges and ripples of one width
# and one direction. We take six directions and three widths. Each window has a twin, moved by a quarter of a wave: we keep
# how strong the answers of both are together, so that it does not matter where exactly the edge lies, and the mean of that
# in 7 x 7 fields. This is the first layer of a *scattering transform* (Bruna & Mallat, 2013). No label was needed for any
# of these numbers.

# %%
directions = np.pi * np.arange(6) / 6


def gabor(width, direction):
    """Make a window that answers to waves about `width` pixels wide: real and imaginary part."""
    across = torch.arange(-3 * width, 3 * width + 1.0)
    down, along = torch.meshgrid(across, across, indexing="ij")
    along, down = (along * np.cos(direction) + down * np.sin(direction),
                   down * np.cos(direction) - along * np.sin(direction))
    hill = torch.exp(-(along ** 2 + (down / 2) ** 2) / (2 * (0.8 * width) ** 2))
    wave = torch.exp(0.75j * np.pi / width * along)
    window = hill * (wave - (hill * wave).sum() / hill.sum())  # an even ground gives no answer
    return torch.stack([window.real, window.imag]) / hill.sum()


# %%
bank = {width: torch.cat([gabor(width, d) for d in directions])[:, None].float() for width in (1, 2, 4)}
drawn = [bank[4][2 * k, 0].numpy() for k in range(len(directions))]
plots.image_grid([255 * (w - w.min()) / np.ptp(w) for w in drawn],
                 [f"{180 * d / np.pi:.0f} degrees" for d in directions],
                 heading="Windows of one width in six directions (real parts)")


# %%
def waves_in(x, width):
    """Say how strongly each place answers to each direction: (n, channels * directions, height, width)."""
    n, c, h, w = x.shape
    padded = nn.functional.pad(x.reshape(n * c, 1, h, w), [3 * width] * 4, mode="replicate")
    both = nn.functional.conv2d(padded, bank[width]).reshape(n, c * len(directions), 2, h, w)
    return both.norm(dim=2)


def at_most(side, images):
    """Give images in 0..1, larger ones made smaller, to `side` pixels."""
    return nn.functional.adaptive_avg_pool2d(unit(images), [min(side, pixels) for pixels in images.shape[2:]])


def fixed_features(images):
    """Describe images by fixed windows alone: the mean answer in 7 x 7 fields."""
    fields = nn.AdaptiveAvgPool2d(7)
    x = OwnScale()(at_most(32, images))
    return torch.cat([fields(maps).flatten(1) for maps in (x, *(waves_in(x, w) for w in bank))], dim=1)


# %% [markdown]
# On these numbers, and on the plain pixels, a logistic regression and a support vector machine are trained. Whichever is
# best on validation images is the network's rival. They see at most 10,000 training images, made smaller to 64 pixels a
# side (for the fixed windows 32) if they are larger. (Where an image can have several findings, or a class has fewer than
# five images, logistic regression stands alone.)

# %%
some = data.take("train", min(10000, everything), seed=seed)
y_some, X_some = y["train"][some], X | {"train": X["train"][some]}
views = {"pixels": lambda images: at_most(64, images).flatten(1), "fixed windows": fixed_features}
inputs = {kind: {part: torch.cat([see(b) for b in stack.split(128)]).numpy() for part, stack in X_some.items()}
          for kind, see in views.items()}

# %%
models = {"logistic regression": LogisticRegression(C=0.01, max_iter=2000)}
if not data.multi_label and np.bincount(y_some).min() >= 5:  # its probabilities need a cross-validation in five
    models["support vector machine"] = CalibratedClassifierCV(SVC(), ensemble=False)


def rival(name, X):
    """Train a simple model on principal components of what it is given."""
    components = PCA(min(100, *X.shape), random_state=0)
    model = OneVsRestClassifier(models[name]) if data.multi_label else clone(models[name])
    return make_pipeline(StandardScaler(), components, model).fit(X, y_some)


# %%
rivals = {f"{name} on {kind}": (rival(name, given["train"]), given) for kind, given in inputs.items() for name in models}
on_valid = {name: macro_auroc(y["valid"], model.predict_proba(given["valid"]))
            for name, (model, given) in rivals.items()}
best = max(on_valid, key=on_valid.get)
pd.DataFrame({"validation AUROC": on_valid}).round(3)

# %% [markdown]
# ## How good is the diagnosis?
#
# The small network has been chosen, and its rival. Now, once, the test images. The two differ in more than their windows:
# the network is deeper, and learns from images that are changed each time. So a gain is that of the whole network.

# %%
model, given = rivals[best]
p_test, p_base = predict(fast, X["test"]), model.predict_proba(given["test"])
say(f"The network's rival is: {best}.")

# %%
who = data.patients["test"]
questions = zip(*(m.T for m in evaluate.one_against_rest(y["valid"], p_valid)))
cuts = [evaluate.threshold_for(t, p, sensitivity_wanted) for t, p in questions]


def measured(metric, **options):
    """Estimate a metric of the small network on test patients, averaged over classes."""
    return evaluate.interval(metric, y["test"], p_test, who, **options)


found = {"AUROC": measured(macro_auroc),
         "average precision": measured(evaluate.macro(evaluate.average_precision)),
         "sensitivity": measured(evaluate.macro(evaluate.sensitivity), threshold=cuts),
         "specificity": measured(evaluate.macro(evaluate.specificity), threshold=cuts),
         "accuracy at 0.5": measured(evaluate.right_class),
         "ECE": measured(evaluate.macro(evaluate.ece))}
base = evaluate.interval(macro_auroc, y["test"], p_base, who)
plots.estimates(found | {"AUROC of the baseline": base}, "value (no unit)",
                f"The small network on test images of {data.name}")

# %%
record("test_auroc", found["AUROC"])
record("test_ap", found["average precision"])
record("test_accuracy", found["accuracy at 0.5"])
record("sensitivity", found["sensitivity"])
record("specificity", found["specificity"])
record("ece", found["ECE"])
record("baseline_auroc", base)

# %%
gap = evaluate.compare(macro_auroc, y["test"], p_test, p_base, who)
record("gain_over_baseline", gap)
needed = ("**the network is better here.**" if gap.low > 0 else "**the simple model, without a learned window, is better "
          "here.**" if gap.high < 0 else "**we cannot tell them apart.**")
say(f"The network's AUROC less that of {best}: {gap}, on {len(y['test']):,} test images: {needed}")

# %% [markdown]
# The same test images judged the comparison above. What does it look like beside this network, which began with random
# weights too, and trained for longer?

# %%
ahead = means["pre-trained"][-1].value if gains else np.nan
shown_ahead = bool(gains) and gains[everything].low > 0
catch_up = ("No pre-trained network stands beside it." if not gains else
            "So even longer training from nothing does not reach the pre-trained network here."
            if found["AUROC"].high < ahead else
            "So with all labels a small network that trains for longer is better than the pre-trained one after so short a "
            "training" + (": the gain above is one of the first steps." if shown_ahead else ".")
            if found["AUROC"].low > ahead else
            "So with all labels pre-training saved training here: after longer training from nothing no gap is shown."
            if shown_ahead else "With all labels pre-training was not seen to save anything here.")
early = "; ".join(f"{name} {rows[-1].value:.3f}" for name, rows in means.items())
say(f"All {everything:,} labels, AUROC after {passes[everything]}: {early}. The small network, from random weights, "
    f"after {epochs} passes: {found['AUROC'].value:.3f}. **{catch_up}**")

# %% [markdown]
# The threshold was chosen on validation images to find the share of the ill that `sensitivity_wanted` asks for.
# Compare that with the sensitivity on test images: a threshold moves when the patients change.

# %%
several = len(data.classes) > 2 and not data.multi_label  # of several classes the first that is not called normal
asked = next((k for k, c in enumerate(data.classes) if c.lower() not in schema.NEGATIVE), 0) if several else 0
truth, chance = (m[:, asked] for m in evaluate.one_against_rest(y["test"], p_test))
chance_base = evaluate.one_against_rest(y["test"], p_base)[1][:, asked]
positive = data.classes[1 if len(data.classes) == 2 else asked]
both = {"small network": chance, "baseline": chance_base}
plots.discrimination(truth, both, f"'{positive}': {data.name}")

# %%
plots.calibration(truth, both, f"Risk of '{positive}': is it calibrated?\n{data.name}")

# %% [markdown]
# ### For whom does it work?
#
# A mean hides groups. Where age, sex and hospital are known, we look at each. MedMNIST files name none of them; what
# every image has is its exposure: is the network as good on dark images as on bright ones? (Fewer than five
# patients of a class have no interval: NaN, "not a number".)

# %%
level = data.X["test"].mean(axis=(1, 2, 3))
groups = data.groups.get("test", pd.DataFrame(index=range(len(level)))).copy()
order = pd.Series(level).rank(method="first")  # equal images may be parted: three groups in any case
groups["exposure"] = pd.qcut(order, 3, labels=["dark", "middle", "bright"]).astype(str)
pd.concat({name: evaluate.subgroups(evaluate.auroc, truth, chance, column, who)
           for name, column in groups.items()}).round(3)

# %% [markdown]
# ## Where it fails
#
# First, the images on which the network was most sure and wrong. Look at them: is it the network, the label, or
# the image?

# %%
wrong = [i for i in np.argsort(-np.abs(chance - truth))[:6] if abs(chance[i] - truth[i]) > 0.5]
told = [f"{'is' if truth[i] else 'not'} {positive}\nrisk {chance[i]:.2f}" for i in wrong]
if wrong:
    plots.image_grid(data.X["test"][wrong], told, heading=f"Most sure, and wrong: {data.name}")
else:
    say("On no test image did the risk lie on the wrong side of 0.5.")

# %% [markdown]
# Second, another X-ray room. We change the test images as another scanner might, and ask the same network.

# %%
clean = X["test"].float() / 255
noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
rooms = {"as it is": clean, "half the contrast": 0.5 * clean + 0.25,
         "blurred": nn.functional.avg_pool2d(clean, 3, 1, 1),
         "noisy": (clean + 0.1 * noise).clamp(0, 1), "film inverted": 1 - clean}
answers = {name: class_probabilities(fast[0], view) for name, view in rooms.items()}
elsewhere = {name: evaluate.interval(macro_auroc, y["test"], p, who) for name, p in answers.items()}
plots.estimates(elsewhere, "test AUROC", f"The same network, other machines: {data.name}", reference=0.5)

# %% [markdown]
# Half the contrast changes nothing, as each image is scaled by itself. Augmentation has shown the network no blur, no
# noise, and no inverted film. What a network has never seen can ruin it, and nothing in its answer tells you so.

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **Exercise 1.** A convolution with a window of `kernel` pixels slides over a row of `side` pixels with `padding`
# on both ends, `stride` pixels at a time. At how many places does it stop?

# %% tags=["exercise", "context"]
exercise_1 = Exercise("3.1", hint="The window's left edge can go from 0 to side + 2 * padding - kernel.")


@exercise_1.check
def _(places):
    assert places(28, 3, 1, 1) == 28, "A window of 3 with padding 1 keeps the side: 28 gives 28."
    assert places(28, 3, 0, 1) == 26, "Without padding, a window of 3 loses a pixel at each end: 28 gives 26."
    assert places(28, 2, 0, 2) == 14, "A stride of 2 halves the side: 28 gives 14."
    assert places(7, 2, 0, 2) == 3, "The last place must fit whole: round down."

# %% tags=["exercise", "nbval-check-output"]
def places(side, kernel, padding, stride):
    ### BEGIN SOLUTION
    return (side + 2 * padding - kernel) // stride + 1
    ### END SOLUTION


exercise_1(places)

# %% tags=["wrong"]
def places(side, kernel, padding, stride):
    return (side + padding - kernel) // stride + 1

# %% tags=["wrong"]
def places(side, kernel, padding, stride):
    return (side + 2 * padding - kernel) / stride + 1

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Write max-pooling: from an array of even height and width, keep the largest number of each square
# of 2 x 2.

# %% tags=["exercise", "context"]
exercise_2 = Exercise("3.2", hint="image.reshape(h // 2, 2, w // 2, 2) puts each square on the axes 1 and 3.")


@exercise_2.check
def _(pool):
    image = np.array([[1, 2, 0, 0], [3, 4, 0, 9], [5, 0, 1, 1], [0, 0, 1, 1]])
    assert np.shape(pool(image)) == (2, 2), "An image of 4 x 4 should become 2 x 2."
    assert not np.allclose(pool(image), [[2.5, 2.25], [1.25, 1]]), "That is the mean; keep the largest."
    assert np.array_equal(pool(image), [[4, 9], [5, 1]]), "Keep the largest number of each square of 2 x 2."
    assert np.array_equal(pool(image[:2]), [[4, 9]]), "An image of 2 x 4 should become 1 x 2: height and width differ."

# %% tags=["exercise", "nbval-check-output"]
def pool(image):
    ### BEGIN SOLUTION
    h, w = image.shape
    return image.reshape(h // 2, 2, w // 2, 2).max(axis=(1, 3))
    ### END SOLUTION


exercise_2(pool)

# %% tags=["wrong"]
def pool(image):
    h, w = image.shape
    return image.reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3))

# %% tags=["wrong"]
def pool(image):
    return image[::2, ::2]

# %% [markdown] tags=["exercise"]
# **Exercise 3.** Several images can show one patient. Give the set of patients who stand in both training and test:
# it must be empty, or the test is too kind.

# %% tags=["exercise", "context"]
exercise_3 = Exercise("3.3", hint="set(a) & set(b) gives what two lists share.")


@exercise_3.check
def _(leaking):
    assert not set(leaking(["a", "b", "b"], ["c"])), "Nobody stands in both here: the set should be empty."
    assert set(leaking(["a", "b", "b"], ["b", "c", "a", "a"])) == {"a", "b"}, "Patients a and b stand in both."

# %% tags=["exercise", "nbval-check-output"]
def leaking(train_patients, test_patients):
    ### BEGIN SOLUTION
    return set(train_patients) & set(test_patients)
    ### END SOLUTION


exercise_3(leaking)

# %% tags=["wrong"]
def leaking(train_patients, test_patients):
    return set(train_patients) | set(test_patients)

# %% tags=["wrong"]
def leaking(train_patients, test_patients):
    return {a for a, b in zip(train_patients, test_patients) if a == b}

# %% [markdown] tags=["exercise"]
# **Exercise 4.** A ward screens 1,000 children, of whom 5 % have pneumonia, with a sensitivity of 0.95 and a
# specificity of 0.80. What share of the alarms is right (the *positive predictive value*)?

# %% tags=["exercise", "context"]
exercise_4 = Exercise("3.4", hint="Of 50 ill children 0.95 are found; of 950 well ones 0.20 raise an alarm.")


@exercise_4.check
def _(share):
    assert not np.isclose(share, 0.95), "That is the sensitivity: the share of the ill who are found."
    assert 0 <= share <= 1, "A share lies between 0 and 1."
    assert np.isclose(share, 47.5 / 237.5, atol=0.002), "Divide the true alarms by all alarms."

# %% tags=["exercise", "nbval-check-output"]
### BEGIN SOLUTION
true_alarms, false_alarms = 50 * 0.95, 950 * 0.20
share = true_alarms / (true_alarms + false_alarms)
### END SOLUTION

exercise_4(share)

# %% tags=["wrong"]
share = 0.95

# %% tags=["wrong"]
share = 47.5 / 1000

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# <details><summary>What does a convolution compute at each place?</summary>How much the place looks like a small window
# of weights: the sum of products.</details>
# <details><summary>Why does <code>fine_tune</code> freeze the body first?</summary>The new head is random: its large first errors
# would spoil what the body has learned.</details>
# <details><summary>Why may one mirror a photograph of a cat but not a chest X-ray?</summary>The heart lies on one side;
# a mirrored chest is one that hardly exists.</details>
# <details><summary>On which images is the threshold chosen?</summary>On validation images. Chosen on test images it would
# flatter the figures.</details>
# <details><summary>How is the comparison of pre-trained and from-scratch networks made fair?</summary>Same images, each
# seen equally often, same augmentation, several draws, and the paired difference.</details>

# %% [markdown]
# ## Take away
#
# - A body that has learned elsewhere and a fresh head: `DataBlock`, `vision_learner`, `fine_tune`. For small images a
#   small network on arrays trains in seconds.
# - What pre-training is worth depends on how many labels and how many pixels you have. Measure it on your data.
# - A diagnosis is a risk, a threshold chosen on validation, a calibration, and a list of the ways in which it fails.

# %%
short = "; ".join(f"with {n:,} labels, after {passes[n]}, {verdict(g)}" for n, g in gains.items()) or "not measured"
say(f"Here, on {data.name}: test AUROC {found['AUROC']}; {best} {base}: {needed} Pre-training: {short}. {catch_up}")

# %% [markdown]
# **References**
#
# - Yang J, Shi R, Wei D et al. MedMNIST v2. Sci Data 10:41, 2023.
#   [doi:10.1038/s41597-022-01721-8](https://doi.org/10.1038/s41597-022-01721-8)
# - Kermany DS, Goldbaum M, Cai W et al. Identifying medical diagnoses and treatable diseases by image-based deep
#   learning. Cell 172:1122-1131, 2018. [doi:10.1016/j.cell.2018.02.010](https://doi.org/10.1016/j.cell.2018.02.010)
# - Raghu M, Zhang C, Kleinberg J, Bengio S. Transfusion: understanding transfer learning for medical imaging. NeurIPS
#   2019. [arXiv:1902.07208](https://arxiv.org/abs/1902.07208)
# - Simpson AL, Antonelli M, Bakas S et al. A large annotated medical image dataset for the development and evaluation of
#   segmentation algorithms. 2019. [arXiv:1902.09063](https://arxiv.org/abs/1902.09063)
# - Scheltens P, Leys D, Barkhof F et al. Atrophy of medial temporal lobes on MRI in "probable" Alzheimer's disease and
#   normal ageing. J Neurol Neurosurg Psychiatry 55:967-972, 1992.
#   [doi:10.1136/jnnp.55.10.967](https://doi.org/10.1136/jnnp.55.10.967)
# - Ioffe S, Szegedy C. Batch normalization: accelerating deep network training by reducing internal covariate shift.
#   ICML 2015. [arXiv:1502.03167](https://arxiv.org/abs/1502.03167)
# - Bruna J, Mallat S. Invariant scattering convolution networks. IEEE Trans Pattern Anal Mach Intell 35:1872-1886, 2013.
#   [doi:10.1109/TPAMI.2012.230](https://doi.org/10.1109/TPAMI.2012.230)
# - Howard J, Gugger S. fastai: a layered API for deep learning. Information 11(2):108, 2020.
#   [doi:10.3390/info11020108](https://doi.org/10.3390/info11020108)
