# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Hybrid models, CNN and RNN together
#     learn:
#       - put a CNN in front of an RNN, and look at one signal as a wave and as a picture
#       - join image, signal and laboratory values of one patient early, late, or by attention
#       - measure what each of them adds, and what happens when one is missing
#     read_minutes: 35
#     before: lessons 1 and 3; lesson 4 for recurrent networks.
#     data: simulated patients with X-ray, ECG and laboratory values by default; real ones by name (MIT-BIH, Hannover X-rays).
#     claim: "\"A network that sees image and series together beats the best one that sees a single one.\" Here: by how much, at equal size?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.signal import find_peaks
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from medkit import evaluate, plots, training
from medkit.datasets import paired
from medkit.exercise import Exercise
from medkit.models.cnn import Pixels, block, pixel_scale
from medkit.models.fusion import Fusion, parameters
from medkit.models.waves import stage
from medkit.report import record, say

plots.use_style()

# %% [markdown]
# On real patients: `medkit run 5 -p dataset=mitdb` (beats of an ECG: wave, picture of the wave, and rhythm; 92 MB) or
# `medkit run 5 -p dataset=hannover-cxr` (chest X-ray and laboratory values of patients with COVID-19; 52 MB).

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # virtual-hospital | mitdb | hannover-cxr: the first is simulated
effort: str = "demo"  # demo | full: more patients or beats, more epochs
modality_dropout: float = 0.15  # 0 to 0.9: how often a modality is hidden from the fusion network in training
sensitivity_wanted: float = 0.9  # 0.01 to 1: the share of the ill that the threshold must find
seed: int = 7  # 0 to 999999: patients or split, and starting weights (settings were tried on 0)

# %% [markdown]
# ## A working result first
#
# A patient of the virtual hospital arrives. There is an X-ray, an ECG and a day of laboratory values, and each can show
# a reason to call the doctor: the lungs on the film, the rhythm in the ECG, the kidneys in the blood. No single one
# shows all of them. These are the *modalities* of one patient.

# %% [markdown]
# (The next two cells serve real beats alone, `dataset=mitdb`; skip them on a first reading.) Each heart is compared with
# itself, as in lesson 4, or the network learns its few training hearts by heart. A beat's signal is what is *unlike* its
# record's median beat. Its values are the intervals around it, in seconds and against each other: a beat comes early for
# *this* patient, at *this* rate.

# %%
RATIOS = ["before : usual", "after : usual", "near : usual", "before : slow", "slow : usual", "before : near",
          "after : near", "before : local", "before : earlier", "before : after", "later : after"]


def rhythm(at):
    """Describe the intervals around each beat: logarithms of seconds, of ratios, and of the record's habits."""
    gap = np.pad(np.log(np.maximum(np.diff(at), 0.1)), 2, mode="edge")
    earlier, before, after, later = (gap[k:len(at) + k] for k in range(4))
    usual, slow = np.quantile(before, [0.5, 0.9])
    near = median_filter(before, 17, mode="nearest")
    local = np.log(uniform_filter1d(np.exp(before), 11, mode="nearest"))
    table = pd.DataFrame({"before": before, "after": after, "later": later, "earlier": earlier, "near": near,
                          "local": local, "usual": usual, "slow": slow})
    ratios = {f"{a} : {b}": table[a] - table[b] for a, b in (pair.split(" : ") for pair in RATIOS)}
    own = {"jumpy": median_filter(np.abs(before - earlier), 31, mode="nearest"), "spread": before.std()}
    return table[["before", "after", "near", "local", "usual"]].assign(**ratios, **own)


# %%
def unlike(windows, at):
    """Describe the beats of one record by how they differ from its median beat, and by the rhythm around them."""
    sixth = windows.shape[1] // 6
    ends = windows[:, :sixth].mean(axis=1), windows[:, -sixth:].mean(axis=1)
    flat = windows - np.linspace(*ends, windows.shape[1], axis=1)  # the baseline wanders as the patient breathes
    flat = flat / np.maximum(np.median(np.ptp(flat, axis=1), axis=0), 0.05)
    return (flat - np.median(flat, axis=0)).clip(-3, 3).astype(np.float32), rhythm(at)


# %%
admitted, most = (3000, 4000) if effort == "demo" else (12000, 20000)  # patients; beats of each part
data = paired.load(dataset, admitted, most, seed, unlike)
few_hearts = dataset == "mitdb"

# %% tags=["nbval-check-output"]
for note in data.notes:
    print("-", note)
print(f"The question: {data.question}.")

# %%
y, who, everyone = data.y, data.patients, data.parts
pd.DataFrame({part: {"rows": len(r), "patients": len(set(who[r])), "answer is yes": int(y[r].sum())}
              for part, r in everyone.items()}).T

# %% [markdown]
# Every number that scales an input comes from training rows alone. A missing laboratory value becomes 0 (the mean of
# training patients), and a second column says whether it was measured: that it was measured is news, too.

# %%
train = everyone["train"]
inputs = {}
if "signal" in data.inputs:
    wave = data.inputs["signal"].transpose(0, 2, 1)
    inputs["signal"] = (wave / wave[train].std(axis=(0, 2), keepdims=True)).clip(-8, 8)
values = data.inputs["values"]
mean, sd = np.nanmean(values[train], axis=(0, 1)), np.nanstd(values[train], axis=(0, 1))
scaled = ((values - mean) / sd).clip(-4, 4)
inputs["values"] = np.concatenate([np.nan_to_num(scaled), np.isfinite(scaled)], axis=2).astype(np.float32)

# %% [markdown]
# A signal can also be looked at as a *picture*: cut it into short overlapping pieces, and draw for each how strong each
# frequency is (a *spectrogram*). Where there is no X-ray (the beats of `mitdb`), this picture is the image.

# %%
def spectrogram(wave, piece, step):
    """Draw signals (n, leads, samples) as pictures (n, 1, frequencies, pieces) of the first lead, uint8."""
    lead = torch.as_tensor(wave[:, 0]).float()
    power = torch.stft(lead, piece, step, window=torch.hann_window(piece), return_complex=True).abs()
    level = torch.log(power + 0.1)
    low, high = np.log(0.1), float(level[train].max())
    return (255 * ((level - low) / (high - low)).clamp(0, 1)).to(torch.uint8)[:, None]


piece, step = (32, 8) if data.findings is not None else (24, 4)
picture = spectrogram(inputs["signal"], piece, step).numpy() if "signal" in inputs else None
inputs["image"] = data.inputs["image"][:, None] if "image" in data.inputs else picture

# %%
def draw_image(ax, i):
    """Draw the image: the film, or where there is none the picture of the signal."""
    own = "image" in data.inputs
    ax.imshow(inputs["image"][i, 0], aspect="equal" if own else "auto", origin="upper" if own else "lower")
    ax.set(xticks=[], yticks=[], title="image")


def draw_signal(ax, i):
    """Draw the first lead."""
    ax.plot(np.arange(wave.shape[2]) / data.fs, wave[i, 0], color=plots.BLUE, lw=0.9)
    ax.set(xlabel="time (s)", ylabel="lead 1, less the usual" if few_hearts else "lead 1 (mV)", title="ECG")


# %%
def draw_picture(ax, i):
    """Draw the signal's spectrogram."""
    span = 0, wave.shape[2] / data.fs, 0, data.fs / 2
    ax.imshow(picture[i, 0], aspect="auto", origin="lower", extent=span)
    ax.set(xlabel="time (s)", ylabel="frequency (Hz)", title="ECG as a picture")


def draw_values(ax, i):
    """Draw the values, each against its training mean."""
    ax.imshow(scaled[i].T, aspect="auto", cmap="coolwarm", vmin=-3, vmax=3)
    ax.set(xlabel="hour" if values.shape[1] > 1 else "", yticks=range(len(data.variables)),
           title="values (red: above\nthe mean, white: none)")
    ax.set_yticklabels(data.variables, fontsize=8)


# %%
shown = {"image": draw_image, "signal": draw_signal, "picture": draw_picture, "values": draw_values}
absent = {"image": "image" not in data.inputs, "signal": picture is None, "picture": picture is None}
shown = {name: draw for name, draw in shown.items() if not absent.get(name)}
example = train[np.flatnonzero(y[train])[seed % 20]]
fig, axes = plt.subplots(1, len(shown), figsize=(2.35 * len(shown), 3.1), squeeze=False)
for ax, draw in zip(axes[0], shown.values()):
    draw(ax, example)
    ax.grid(False)
fig.suptitle(f"One for whom the answer is yes: {data.name}", x=0.01, ha="left", fontsize=12)
plots.show(fig, f"{data.name}: {', '.join(shown)} of one row for which the answer is yes")

# %% [markdown]
# ### The parts: three encoders
#
# Each modality has the network that fits it. A CNN turns the image into a vector. For the ECG, a **CNN stands in front
# of an RNN**: four convolutions find waves and make the series 16 times shorter, then a recurrent network (*GRU*) reads
# what is left, in both directions: is the rhythm regular? A GRU reads the laboratory values hour by hour.

# %%
class ImageEncoder(nn.Module):
    """CNN: images (n, 1, height, width) to vectors (n, 8 * width)."""

    def __init__(self, width=8):
        super().__init__()
        w, self.features = width, 8 * width
        self.pixels = Pixels(*pixel_scale(inputs["image"][train]))
        self.body = nn.Sequential(block(1, w), nn.MaxPool2d(2), block(w, 2 * w), nn.MaxPool2d(2),
                                  block(2 * w, 4 * w), block(4 * w, 4 * w)).to(memory_format=torch.channels_last)

    def forward(self, x):
        maps = self.body(self.pixels(x).contiguous(memory_format=torch.channels_last))
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)


# %% [markdown]
# Few hearts are soon known by heart. So the beats of `mitdb` are changed a little each time they are seen in training,
# simulated patients are added to the training rows, weights decay faster, and the full setting has fewer rounds (what
# each of these gives, measured inside the training patients: `benchmarks/NOTES.md`).

# %%
def vary(x):
    """Change real beats in training as another recorder might: size, a slope, noise, a lead lost."""
    each, ramp = (len(x), x.shape[1], 1), torch.linspace(-1, 1, x.shape[2], device=x.device)
    size, slope = 1 + 0.15 * torch.randn(each, device=x.device), 0.2 * torch.randn(each, device=x.device)
    lost = torch.rand(each, device=x.device) < 0.1
    return (x * size + slope * ramp + 0.06 * torch.randn_like(x)) * ~lost


# %%
class SignalEncoder(nn.Module):
    """CNN in front of a two-way GRU: signals (n, leads, samples) to vectors (n, 4 * hidden)."""

    def __init__(self, leads, width=8, hidden=16):
        super().__init__()
        w, self.features = width, 4 * hidden
        self.cnn = nn.Sequential(stage(leads, w, 7), stage(w, 2 * w, 5), stage(2 * w, 2 * w, 5), stage(2 * w, 2 * w, 3))
        self.gru = nn.GRU(2 * w, hidden, batch_first=True, bidirectional=True)

    def forward(self, x):
        x = vary(x) if self.training and few_hearts else x
        steps, _ = self.gru(self.cnn(x).transpose(1, 2))
        return torch.cat([steps.mean(1), steps.amax(1)], dim=1)


# %%
class ValuesEncoder(nn.Module):
    """GRU over hours: values (n, hours, columns) to its last state (n, hidden)."""

    def __init__(self, columns, hidden=24):
        super().__init__()
        self.features, self.gru = hidden, nn.GRU(columns, hidden, batch_first=True)

    def forward(self, x):
        return self.gru(x)[0][:, -1]


# %% [markdown]
# ### Fusion by attention
#
# Each encoder's vector is brought to the same length. A small layer looks at each vector and says how much it matters
# *for this patient*; the weights sum to one; the weighted mean goes to the last layer. That is attention over
# modalities. In training we hide a modality now and then (*modality dropout*), so that the network can do without.

# %%
modalities = [m for m in ("image", "signal", "values") if m in inputs]
tensors = {m: torch.as_tensor(inputs[m]) for m in modalities}
columns = inputs["values"].shape[2]
leads = inputs["signal"].shape[1] if "signal" in inputs else 0
full = 4 if few_hearts else 15
epochs = max(8 if effort == "demo" else full, 15000 // len(train))  # few rows: more rounds, for as many steps


def encoder(modality, size=1.0):
    """Make the encoder of a modality, as wide as `size` says."""
    wide = lambda n: round(n * size)  # noqa: E731
    return {"image": lambda: ImageEncoder(wide(8)), "picture": lambda: ImageEncoder(wide(8)),
            "signal": lambda: SignalEncoder(leads, wide(8), wide(16)),
            "values": lambda: ValuesEncoder(columns, wide(24))}[modality]()


# %%
def rows_of(names, rows, target):
    """Give the inputs of some rows, who has which modality (here: all), and the target."""
    there = torch.ones(len(rows), len(names), dtype=torch.bool)
    return *(tensors[m][rows] for m in names), there, torch.as_tensor(target[rows]).float()[:, None]


def train_net(names, how, target=y, size=1.0, drop=0.0, rounds=epochs, draw=seed):
    """Train one network that sees the modalities named."""
    training.set_seed(draw)
    net = Fusion({m: encoder(m, size) for m in names}, how=how, drop=drop)
    dls = training.array_loaders(*(rows_of(names, everyone[p], target) for p in ("train", "valid")), seed=draw)
    learn = training.learner(dls, net, nn.BCEWithLogitsLoss(), cbs=training.averaging())
    training.fit(learn, rounds, lr=0.01, wd=0.3 if few_hearts else 0.05)
    return net


# %%
def predict(net, part, hidden=()):
    """Give the risk of each row of a part, with some modalities hidden."""
    names = net.names
    *seen, there, _ = rows_of(names, everyone[part], y)
    there &= torch.tensor([m not in hidden for m in names])
    batches = zip(*(x.split(1024) for x in (*seen, there)))
    return torch.cat([training.forward(net, batch) for batch in batches]).sigmoid()[:, 0].numpy()


fused = train_net(modalities, "attention", drop=modality_dropout)
test, y_test, who_test = everyone["test"], y[everyone["test"]], who[everyone["test"]]
first = evaluate.interval(evaluate.auroc, y_test, predict(fused, "test"), who_test)
say(f"One network that sees {', '.join(modalities)}: test AUROC **{first}** on {data.name}.")

# %% [markdown]
# ## One signal, two views
#
# Before we join different things, join two views of the *same* thing: the ECG as a wave (CNN and RNN) and as a picture
# (CNN). Nothing new is measured, so what can be gained? Only what one network reads more easily than the other.
#
# A network of two encoders is larger than one of them, and might win by size alone. So each rival is made wider, until
# it has **as many parameters**.

# %%
def matched(names, goal, how="early"):
    """Find how wide a network of these modalities must be to have `goal` parameters."""
    sizes = np.arange(1, 4, 0.1)
    count = [parameters(Fusion({m: encoder(m, s) for m in names}, how=how)) for s in sizes]
    return float(sizes[np.argmin(np.abs(np.array(count) - goal))])


# %%
views = {}
if picture is not None:
    tensors["picture"], target = torch.as_tensor(picture), y
    if data.findings is not None:
        target = data.findings["signal"].to_numpy(np.int64)
    short, both = max(4, epochs // 2), ["signal", "picture"]
    goal = parameters(Fusion({m: encoder(m) for m in both}, how="early"))
    for names in (["signal"], ["picture"], both):
        net = train_net(names, "early", target, matched(names, goal) if names != both else 1, rounds=short)
        views[" + ".join(names)] = predict(net, "test")
    truth = target[test]

# %%
if views:
    areas = {name: evaluate.interval(evaluate.auroc, truth, p, who_test) for name, p in views.items()}
    asked = "atrial fibrillation or flutter" if data.findings is not None else data.question
    plots.estimates(areas, f"test AUROC: {asked}", f"{data.name}: one ECG, two views")
    for name, label in (("signal", "wave"), ("picture", "picture")):
        more = evaluate.compare(evaluate.auroc, truth, views["signal + picture"], views[name], who_test)
        say(f"Both views less the {label} alone, of the same size: **{more}**.")
else:
    say("These data have no signal, so there is nothing to look at in two ways.")

# %% [markdown]
# ## The claim, measured
#
# Now the real thing, and again with controls of the same size: the image network and the series network (signal and
# values) are made as wide as it takes. Ways to join:
#
# - **early**: the vectors side by side, one head; everything is learned together;
# - **late**: image network and series network are trained apart, and their log-odds are added, weighted by a logistic
#   regression on validation patients;
# - **attention**: as above, with modality dropout.

# %%
series = [m for m in modalities if m != "image"]
goal = parameters(fused)


nets = {"image alone": train_net(["image"], "early", size=matched(["image"], goal)),
        "series alone": train_net(series, "early", size=matched(series, goal)),
        "early": train_net(modalities, "early"), "attention": fused}
pd.Series({name: parameters(net) for name, net in nets.items()}, name="parameters").to_frame()

# %%
def log_odds(p):
    """Give the log-odds of risks, one column a network."""
    p = np.clip(np.column_stack(p), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


p = {part: {name: predict(net, part) for name, net in nets.items()} for part in ("valid", "test")}
alone = ["image alone", "series alone"]
join = LogisticRegression().fit(log_odds([p["valid"][a] for a in alone]), y[everyone["valid"]])
for part in p:
    p[part]["late"] = join.predict_proba(log_odds([p[part][a] for a in alone]))[:, 1]

# %% [markdown]
# And a strong simple baseline, without any network: a few numbers of each modality (principal components of the image;
# heart rate and its irregularity; mean and last value of each laboratory test), by logistic regression or gradient
# boosting, whichever is better on validation patients.

# %%
def rhythm_numbers(lead):
    """Give spread, heart rate and irregularity of one lead, by the peaks of its slope."""
    slope = np.abs(np.gradient(lead))
    at, _ = find_peaks(slope, height=0.5 * slope.max(), distance=max(1, int(0.3 * data.fs)))
    gap = np.diff(at) / data.fs if len(at) > 2 else np.array([np.nan])
    return [lead.std(), gap.mean(), gap.std(), np.abs(np.diff(gap)).mean() if len(gap) > 1 else np.nan]


# %%
flat = inputs["image"].reshape(len(y), -1) / 255
numbers = [PCA(min(30, len(train)), random_state=0).fit(flat[train]).transform(flat)]
if "signal" in inputs:
    aligned = wave.reshape(len(y), -1)
    numbers += [np.array([rhythm_numbers(w[0]) for w in wave]),
                PCA(15, random_state=0).fit(aligned[train]).transform(aligned)]
hours = pd.DataFrame(values.reshape(-1, values.shape[2])).groupby(np.repeat(np.arange(len(y)), values.shape[1]))
X = np.hstack([*numbers, hours.mean(), hours.last()])

# %%
candidates = [make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)),
              HistGradientBoostingClassifier(max_iter=100, learning_rate=0.06, max_depth=4, random_state=0)]
fitted = [model.fit(X[train], y[train]) for model in candidates]
valid = everyone["valid"]
simple = max(fitted, key=lambda m: evaluate.auroc(y[valid], m.predict_proba(X[valid])[:, 1]))
p["valid"]["baseline"], p["test"]["baseline"] = (simple.predict_proba(X[everyone[k]])[:, 1] for k in ("valid", "test"))
found = {name: evaluate.interval(evaluate.auroc, y_test, q, who_test) for name, q in p["test"].items()}
plots.estimates(found, "test AUROC", f"{data.name}: alone, joined, and the baseline")

# %% [markdown]
# The claim is about a *difference on the same patients*, so that is what we estimate. It must hold against *each* of
# the two networks alone: what is recorded is the smaller of the two gains. Joining is ahead only if both intervals lie
# above zero, and behind if one lies below: so nobody has to choose, by chance, which of the two is the better.

# %%
def gained(name, rival):
    """Estimate what one network gains over another in test AUROC, on the same patients."""
    return evaluate.compare(evaluate.auroc, y_test, p["test"][name], p["test"][rival], who_test)


joined = ("early", "late", "attention")
best = min(alone, key=lambda rival: gained("attention", rival).value)
gains = {f"{how} less {rival}": gained(how, rival) for rival in alone for how in joined}
gains["attention less baseline"] = gained("attention", "baseline")
plots.estimates(gains, "difference in test AUROC", f"{data.name}: what joining is worth", reference=0)

# %%
gain = gains[f"attention less {best}"]
record("fusion_auroc", found["attention"])
record("image_auroc", found["image alone"])
record("series_auroc", found["series alone"])
record("baseline_auroc", found["baseline"])
record("gain_over_best_single", gain)
record("gain_over_baseline", gains["attention less baseline"])
record("real_fusion_gain", gain if data.findings is None else "not measured")

# %%
def verdict(*gains):
    """Say in words what gains over each rival, with their intervals, allow us to say."""
    if all(gain.low > 0 for gain in gains):
        return "ahead, beyond chance"
    return "behind, beyond chance" if any(gain.high < 0 for gain in gains) else "cannot be told"


over_both = [gains[f"attention less {rival}"] for rival in alone]
joining = f"Is joining ahead of both alone? **{verdict(*over_both)}**"
against = gains["attention less baseline"]
said = "; ".join(f"less {rival} {more}" for rival, more in zip(alone, over_both))
say(f"On {data.name}, attention {said}. {joining}. Less the simple baseline: {against}: **{verdict(against)}**.")

# %% [markdown]
# ### As a test for patients
#
# An AUROC is not a decision. The threshold is chosen on validation patients to find the share of the ill that
# `sensitivity_wanted` asks for.

# %%
names = ["image alone", "series alone", "attention", "baseline"]
cuts = {name: evaluate.threshold_for(y[valid], p["valid"][name], sensitivity_wanted) for name in names}
metrics = {"average precision": evaluate.average_precision, "sensitivity": evaluate.sensitivity,
           "specificity": evaluate.specificity, "ECE": evaluate.ece}


def told(name, metric, label):
    """Estimate one metric of one network, as text."""
    options = {"threshold": cuts[name]} if label in ("sensitivity", "specificity") else {}
    e = evaluate.interval(metric, y_test, p["test"][name], who_test, **options)
    return f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})"


pd.DataFrame({label: {name: told(name, m, label) for name in names} for label, m in metrics.items()})

# %%
plots.calibration(y_test, {name: p["test"][name] for name in ("attention", "baseline")},
                  f"{data.name}: is the risk right?")

# %% [markdown]
# ## Where it fails
#
# ### A modality is missing
#
# At night there is no X-ray; the ECG got lost. We hide each modality from the *trained* networks. What a modality adds
# is the paired difference between all and all but this one.

# %%
without = {m: predict(fused, "test", hidden=[m]) for m in modalities}
adds = {m: evaluate.compare(evaluate.auroc, y_test, p["test"]["attention"], q, who_test)
        for m, q in without.items()}
plots.estimates(adds, "loss of test AUROC when it is hidden", f"{data.name}: what each modality adds",
                reference=0)
no_series = predict(fused, "test", hidden=series)
record("missing_image_auroc", evaluate.interval(evaluate.auroc, y_test, without["image"], who_test))
record("missing_series_auroc", evaluate.interval(evaluate.auroc, y_test, no_series, who_test))

# %% [markdown]
# Modality dropout is there to prepare it. The "early" network never met a gap in training: a hidden vector is just
# zeros. (The two also differ in how they join, so the table does not say how much of the gap is due to the dropout.)

# %%
combos = [c for k in range(1, len(modalities)) for c in itertools.combinations(modalities, k)]
hide = {c: [m for m in modalities if m not in c] for c in combos}
guesses = {c: {name: predict(nets[name], "test", hide[c]) for name in ("attention", "early")}
           for c in combos}
pd.DataFrame({" + ".join(c): {f"{name}: {label}": metric(y_test, q) for name, q in both.items()
                              for label, metric in (("AUROC", evaluate.auroc), ("ECE", evaluate.ece))}
              for c, both in guesses.items()}).T.round(3)

# %% [markdown]
# ### Does attention look where the finding is?
#
# Attention weights are often shown as an explanation. Is it one? In the virtual hospital we know which modality shows
# the finding. We take the test patients who have a finding in exactly one, and ask: does that modality get more
# attention in them than in the others? (AUROC of the weight; 0.5 is chance. The mean over modalities is recorded.)

# %%
*seen, there, _ = rows_of(modalities, test, y)
weights = fused.to("cpu").attend(*seen, there).numpy()
follows = "not measured"
if data.findings is not None:
    carried = data.findings.to_numpy()[test]
    one = carried.sum(axis=1) == 1
    follow = evaluate.macro(evaluate.auroc)
    follows = evaluate.interval(follow, carried[one].argmax(axis=1), weights[one], who_test[one])
record("gate_follows", follows)

# %%
groups = {"answer is no": y_test == 0, "answer is yes": y_test == 1}
if data.findings is not None:
    groups |= {f"in the {m} alone": one & carried[:, k] for k, m in enumerate(modalities)}
share = pd.DataFrame({g: weights[rows].mean(axis=0) for g, rows in groups.items()}, index=modalities).T
fig, ax = plt.subplots(figsize=(6.8, 3.2))
share.plot.barh(stacked=True, ax=ax, color=plots.PALETTE, legend=False)
ax.set(xlabel="mean share of attention", title=f"{data.name}: where does attention go?", xlim=(0, 1))
ax.invert_yaxis()
fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
spoken = "; ".join(f"{g}: " + ", ".join(f"{m} {v:.2f}" for m, v in row.items()) for g, row in share.iterrows())
plots.show(fig, f"{data.name}: mean share of attention. {spoken}.")

# %%
if data.findings is None:
    say("Nobody knows which modality carries the answer: this cannot be checked here.")
else:
    each = "; ".join(f"{m} {evaluate.auroc(carried[one, k], weights[one, k]):.2f} (mean share "
                     f"{share.loc[f'in the {m} alone', m]:.2f} with a finding there, "
                     f"{share.loc['answer is no', m]:.2f} in patients without any)" for k, m in enumerate(modalities))
    seen_there = "more than chance" if follows.low > 0.5 else "not told apart from chance"
    say(f"How well attention picks out the modality that carries the finding: an AUROC of {follows}: **{seen_there}**. "
        f"By modality: {each}.")

# %% [markdown]
# Read it with care. Patients without any finding get weights as well, and a weight says where the network looked, not
# that it saw something there: compare each share with that of patients in whom there is nothing to see.
#
# ### For whom?
#
# Fewer than five patients of a class have no interval (NaN, "not a number").

# %%
frame = pd.DataFrame(index=range(len(y))) if data.groups is None else data.groups.copy()
if "signal" in inputs:
    height = wave.std(axis=(1, 2))
    large, small = ("unusual beats", "usual beats") if few_hearts else ("large waves", "small waves")
    frame["ECG"] = np.where(height > np.median(height), large, small)
frame = frame.iloc[test].reset_index(drop=True)
pd.concat({name: evaluate.subgroups(evaluate.auroc, y_test, p["test"]["attention"], column, who_test)
           for name, column in frame.items() if column.nunique() > 1}).round(3)

# %% [markdown]
# ### The film that gives the answer away
#
# In the real Hannover images, most patients in intensive care are X-rayed in bed (view *ap*), most others standing
# (*pa*). A network can read the view instead of the lung. If the data have a view, here is how good the view *alone* is.

# %%
if "projection" in frame:
    view = (frame["projection"] == "ap").to_numpy(float)
    shortcut = evaluate.interval(evaluate.auroc, y_test, view, who_test)
    say(f"Knowing nothing but the view: AUROC **{shortcut}**; the image network: {found['image alone']}. With "
        f"{len(set(who_test))} test patients, and most images taken when the patient already was in intensive care, "
        "this shows how to join real modalities. It cannot show that an X-ray foretells intensive care.")
else:
    say("These data have no second view: look at this with `dataset=hannover-cxr`.")

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **Exercise 1.** Some modalities have attention scores. Give the weights: exponentials, divided by their sum, over the
# modalities that are *there*; 0 for one that is missing.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("5.1", hint="np.where(there, np.exp(scores), 0) first, then divide by the sum.")


@exercise_1.check
def _(attention):
    whole = attention(np.array([0.0, 0.0]), np.array([True, True]))
    assert np.allclose(whole, [0.5, 0.5]), "Equal scores should share the attention equally."
    uneven = attention(np.log([3.0, 1.0]), np.array([True, True]))
    assert np.allclose(uneven, [0.75, 0.25]), "exp(log 3) is 3 and exp(log 1) is 1: weights of 3/4 and 1/4."
    some = attention(np.array([1.0, 5.0, 1.0]), np.array([True, False, True]))
    assert np.isclose(np.sum(some), 1), "The weights must sum to 1, even when a modality is missing."
    assert np.allclose(some, [0.5, 0, 0.5]), "A missing modality gets 0, and the others share all of it."

# %% tags=["exercise", "nbval-check-output"]
def attention(scores, there):
    ### BEGIN SOLUTION
    strength = np.where(there, np.exp(scores), 0)
    return strength / strength.sum()
    ### END SOLUTION


exercise_1(attention)

# %% tags=["wrong"]
def attention(scores, there):
    return np.exp(scores) / np.exp(scores).sum() * there

# %% tags=["wrong"]
def attention(scores, there):
    return there / there.sum()

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Late fusion by hand: two networks give risks `p` and `q` for each patient, and the base rate is
# `rate`. If the two are independent given the truth, the log-odds add up, and the log-odds of the base rate, which both
# contain, must be taken away once. Give the joint risk.

# %% tags=["exercise", "context"]
exercise_2 = Exercise("5.2", hint="log-odds: np.log(p / (1 - p)). Add two, take one away, then 1 / (1 + exp(-x)).")


@exercise_2.check
def _(late):
    assert np.isclose(late(0.5, 0.5, 0.5), 0.5), "Nothing known: the risk stays at the base rate of 0.5."
    assert np.isclose(late(0.1, 0.1, 0.1), 0.1), "Two networks that say the base rate add nothing: 0.1 stays 0.1."
    assert not np.isclose(late(0.8, 0.8, 0.5), 0.8), "That is a mean; two independent signs are worth more than one."
    assert np.isclose(late(0.8, 0.8, 0.5), 16 / 17), "Odds of 4 and 4 make odds of 16 at a base rate of 0.5."

# %% tags=["exercise", "nbval-check-output"]
def late(p, q, rate):
    ### BEGIN SOLUTION
    odds = p / (1 - p) * q / (1 - q) / (rate / (1 - rate))
    return odds / (1 + odds)
    ### END SOLUTION


exercise_2(late)

# %% tags=["wrong"]
def late(p, q, rate):
    return (p + q) / 2

# %% tags=["wrong"]
def late(p, q, rate):
    odds = p / (1 - p) * q / (1 - q)
    return odds / (1 + odds)

# %% [markdown] tags=["exercise"]
# **Exercise 3.** With modality dropout of `rate`, each of `k` modalities is hidden on its own. How often does a patient
# keep *all* of them?

# %% tags=["exercise", "context"]
exercise_3 = Exercise("5.3", hint="Each stays with probability 1 - rate, and they are hidden independently.")


@exercise_3.check
def _(complete):
    assert np.isclose(complete(0, 3), 1), "Without dropout everybody keeps everything."
    assert not np.isclose(complete(0.2, 3), 0.2), "That is the chance to lose one given modality."
    assert np.isclose(complete(0.2, 3), 0.8 ** 3), "All three must stay: multiply the three probabilities."

# %% tags=["exercise", "nbval-check-output"]
def complete(rate, k):
    ### BEGIN SOLUTION
    return (1 - rate) ** k
    ### END SOLUTION


exercise_3(complete)

# %% tags=["wrong"]
def complete(rate, k):
    return 1 - rate * k

# %% tags=["wrong"]
def complete(rate, k):
    return 1 - rate ** k

# %% [markdown] tags=["exercise"]
# **Exercise 4.** Two networks were scored on the same patients in each of several bootstrap resamples. Give the 95 %
# interval of their *difference*: paired, not from the two intervals.

# %% tags=["exercise", "context"]
exercise_4 = Exercise("5.4", hint="Subtract resample by resample, then np.percentile(difference, [2.5, 97.5]).")


@exercise_4.check
def _(paired_interval):
    a = np.linspace(0.7, 0.9, 1001)
    assert np.shape(paired_interval(a, a)) == (2,), "Give two numbers: low and high."
    assert np.allclose(paired_interval(a + 0.02, a), 0.02), "One is better by 0.02 in every resample: no doubt is left."
    low, high = paired_interval(a, a[::-1])
    assert np.isclose(low, -0.19) and np.isclose(high, 0.19), "Take the 2.5th and the 97.5th percentile."

# %% tags=["exercise", "nbval-check-output"]
def paired_interval(first, second):
    ### BEGIN SOLUTION
    difference = np.asarray(first) - np.asarray(second)
    return np.percentile(difference, [2.5, 97.5])
    ### END SOLUTION


exercise_4(paired_interval)

# %% tags=["wrong"]
def paired_interval(first, second):
    return np.percentile(first, [2.5, 97.5]) - np.percentile(second, [97.5, 2.5])

# %% tags=["wrong"]
def paired_interval(first, second):
    return np.percentile(np.asarray(first) - np.asarray(second), [5, 95])

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# <details><summary>Why does a CNN stand in front of the RNN?</summary>It finds local shapes (waves) and makes the
# series short; the RNN then has few steps to remember, and looks at their order.</details>
# <details><summary>How do early and late fusion differ?</summary>Early joins vectors before one head, so that
# modalities can be read together; late joins finished risks of networks that never met.</details>
# <details><summary>What does modality dropout do?</summary>It hides modalities in training, so that the network
# can still answer when one is missing.</details>
# <details><summary>Why must the single-modality rivals have as many parameters?</summary>Else the fusion network may
# win by its size and not by what it sees.</details>
# <details><summary>Two views of one signal: what is the most they can add?</summary>Nothing was measured anew: only
# ease of learning can be gained.</details>
# <details><summary>Why compare on the same patients?</summary>Patients who are hard for one network are hard for the
# other: the paired difference is far surer than two separate figures.</details>

# %% [markdown]
# ## Take away
#
# - A CNN reads shapes, an RNN reads order; in a row they read a signal, side by side they read a patient.
# - Whether early, late or attention joins best is for a paired interval to say. What counts is whether each modality
#   knows something that the others do not. Measure that: hide it, and take the paired difference.
# - Train with gaps if you will meet gaps. Compare at equal size, with a simple baseline, and distrust an image that
#   shows *where* a patient was instead of *what* the patient has.

# %%
say(f"Here, on {data.name}: attention {found['attention']}; image alone {found['image alone']}; series alone "
    f"{found['series alone']}; baseline {found['baseline']}. {joining} (the smaller gain is {gain}).")

# %% [markdown]
# **References**
#
# - Huang S-C, Pareek A, Seyyedi S, Banerjee I, Lungren MP. Fusion of medical imaging and electronic health records
#   using deep learning. npj Digital Medicine 3:136, 2020.
#   [doi:10.1038/s41746-020-00341-z](https://doi.org/10.1038/s41746-020-00341-z)
# - Arevalo J, Solorio T, Montes-y-Gómez M, González FA. Gated multimodal units for information fusion. 2017.
#   [arXiv:1702.01992](https://arxiv.org/abs/1702.01992)
# - Neverova N, Wolf C, Taylor G, Nebout F. ModDrop: adaptive multi-modal gesture recognition. IEEE TPAMI 38:1692-1706,
#   2016. [doi:10.1109/TPAMI.2015.2461544](https://doi.org/10.1109/TPAMI.2015.2461544)
# - Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng Med Biol 20(3):45-50, 2001.
#   [doi:10.1109/51.932724](https://doi.org/10.1109/51.932724)
# - Winther HB, Laser H, Gerbel S et al. COVID-19 Image Repository. 2020.
#   [doi:10.6084/m9.figshare.12275009](https://doi.org/10.6084/m9.figshare.12275009)
