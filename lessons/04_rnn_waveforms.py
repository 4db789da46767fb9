# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Waveforms by recurrent networks
#     learn:
#       - explain and compute a step of a recurrent network, and train GRUs on runs of heart beats and on EEG
#       - compare them with a 1-D CNN and with hand-made features, class by class, on patients that neither has seen
#       - see what a split that ignores patients hides, and what few patients cannot tell
#     read_minutes: 45
#     before: lessons 1 and 3.
#     data: simulated ECG and EEG by default; real ones by name (MIT-BIH arrhythmia, EEG in mental arithmetic, PTB-XL), or your own folders.
#     claim: "\"Recurrent networks are the tool for diagnosis from ECG and EEG.\" Here: are they better than a CNN of single beats, and than boosted trees on classical features?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.ndimage import median_filter, uniform_filter1d
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from medkit import evaluate, plots, training
from medkit.datasets import waveforms
from medkit.errors import MedkitError
from medkit.exercise import Exercise
from medkit.hospital.ecg import HOLTER
from medkit.models.waves import RhythmNet, SignalNet, runs
from medkit.report import record, say

plots.use_style()

# %% [markdown]
# As a report on real patients: `medkit run 4 -p dataset=mitdb -p eeg=eegmat`. On your own: `dataset` may be a folder of
# WFDB records with annotated beats (.atr), `eeg` a folder of recordings (WFDB, EDF or CSV) with a labels.csv that names
# each file's label and patient.

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # ECG: simulated; or mitdb (MIT-BIH Arrhythmia Database, real); or a folder
eeg: str = "virtual-hospital"  # EEG: simulated seizures; or eegmat (real, rest or mental arithmetic); or ptbxl-normal; or a folder
effort: str = "demo"  # demo | full: all beats, more networks
borrow: bool = True  # real ECG of the leads MLII and V1, full effort: models also learn from simulated patients
run_length: int = 32  # 1 to 1000: how many consecutive beats the network sees together
seed: int = 0  # 0 to 999999: starting weights, and simulated patients

# %% [markdown]
# ## A working result first
#
# A portable recorder (Holter) writes two leads of the heart for hours. Somebody must read 100,000 beats a day. Each
# belongs to one of four classes of the AAMI standard: **N** (from the sinus node or conducted as if), **S** (too early,
# from the atria), **V** (from the ventricles), **F** (a fusion of both). S and V are what a doctor looks for.

# %%
data = waveforms.beats(dataset, seed=seed)
kept = np.flatnonzero(data.y < 4)  # Q, "cannot be told", is too rare to learn, and left out of the figures
classes = data.classes[:4]

# %% tags=["nbval-check-output"]
for note in data.notes:
    print("-", note)
many = {part: np.bincount(data.y[rows], minlength=len(data.classes)) for part, rows in data.parts.items()}
pd.DataFrame(many, index=data.classes)

# %% [markdown]
# Patients are split, not beats: nobody stands in two columns (but for one man in MIT-BIH's usual split, see its notes).
# Here are consecutive beats of one patient, around an early one where there is one.

# %%
def draw_beats(rows, heading):
    """Draw consecutive beats of one record where they fell, each with its class."""
    fig, ax = plt.subplots(figsize=(9, 3))
    span = np.arange(data.windows.shape[1]) / data.fs
    for i in rows:
        start, c = (data.at[i] - data.at[rows[0]]) / data.fs, data.y[i]
        ax.plot(start + span, data.windows[i, :, 0], color=plots.PALETTE[c % 6], lw=1.3)
        place = start + span[waveforms.BEFORE], data.windows[i, waveforms.BEFORE, 0]  # of the R peak
        ax.annotate(data.classes[c], place, (0, 6), textcoords="offset points", ha="center")
    ax.set(xlabel="time (s)", ylabel=f"lead {data.leads[0]} (mV)", title=heading)
    ax.margins(y=0.15)
    plots.show(fig, f"{heading}: classes {' '.join(data.classes[data.y[i]] for i in rows)}")


inside = [i for i in data.parts["train"] if 4 <= i < len(data.y) - 5 and data.record[i - 4] == data.record[i + 5]]
early = [i for i in inside if data.y[i] == 1 and not data.y[i - 4:i].any()] or inside
if early:
    chosen = early[len(early) // 2]
    draw_beats(np.arange(chosen - 4, chosen + 6), f"{data.name}: ten consecutive beats")

# %% [markdown]
# An S beat may look like any other: it gives itself away by *coming early*, and by the pause that follows. A network
# that sees one beat at a time cannot know that. So we tell each beat's distances to its neighbours (*RR intervals*): in
# seconds, and as ratios to those nearby and to the patient's own usual ones, on a logarithmic scale. Both are needed
# (de Chazal et al., 2004): a heart that is always too slow, or too fast, is not unlike itself.

# %%
def rhythm(at):
    """Describe the intervals around each beat of one record: shape (n, 18), logarithms of seconds and of ratios."""
    gap = np.log(np.maximum(np.diff(at) / data.fs, 0.1))
    before, after = np.append(gap[0], gap), np.append(gap, gap[-1])
    earlier, later = np.append(before[0], before[:-1]), np.append(after[1:], after[-1])
    usual, slow = np.median(before), np.quantile(before, 0.9)
    near = median_filter(before, 17, mode="nearest")
    local = np.log(uniform_filter1d(np.exp(before), 11, mode="nearest"))
    jumpy = median_filter(np.abs(before - earlier), 31, mode="nearest")
    whole = np.tile([slow - usual, before.std(), usual], (len(at), 1))
    to_usual = [before - usual, after - usual, near - usual, before - slow]
    to_near = [before - near, after - near, before - local, before - earlier, before - after, later - after]
    return np.column_stack([before, after, near, local, *to_usual, *to_near, jumpy, whole]).astype(np.float32)


# %% [markdown]
# In *atrial fibrillation* the atria only quiver, and beats come at random: some of them early, and N all the same. One
# interval cannot tell such a beat from an S beat; the disorder around it can. So we measure over the 17, 33 and 65
# beats around each how much intervals scatter, from beat to beat and as a whole, how often they change by more than a
# tenth, and how often they turn from longer to shorter or back (at random: two times in three; Dash et al., 2009).

# %%
def disorder(at):
    """Measure how unevenly the beats of one record come, near each beat: shape (n, 12)."""
    gap = np.diff(at, prepend=2 * at[0] - at[1]) / data.fs
    change = np.diff(gap, prepend=gap[0])
    turns = np.append(change[:-1] * change[1:] < 0, False)
    found = []
    for near in (17, 33, 65):
        mean = partial(uniform_filter1d, size=near, mode="nearest")
        usual = mean(gap)
        scatter = [np.sqrt(mean(x ** 2).clip(0)) / usual for x in (change, gap - usual)]
        found += [*scatter, mean((np.abs(change) > gap / 10).astype(float)), mean(turns.astype(float))]
    return np.column_stack(found).astype(np.float32)


# %% [markdown]
# Every heart has its own shape. We take a straight baseline from each beat, scale each record by its usual height, and
# add how each beat *differs from the record's median beat*. This uses the whole record, but none of its labels: it
# could be done for a new patient, once the recording has ended.

# %%
def shapes(windows):
    """Give a record's beats, scaled, with their difference from its median beat: (n, samples, 2 x leads)."""
    sixth = windows.shape[1] // 6
    ends = windows[:, :sixth].mean(axis=1), windows[:, -sixth:].mean(axis=1)
    flat = windows - np.linspace(*ends, windows.shape[1], axis=1)  # the baseline wanders as the patient breathes
    flat = flat / np.maximum(np.median(np.ptp(flat, axis=1), axis=0), 0.05)
    return np.concatenate([flat, flat - np.median(flat, axis=0)], axis=2).clip(-3, 3).astype(np.float32)


# %% [markdown]
# Few real patients have many S beats. Simulated ones can be sent to us: with `borrow`, each model of real patients also
# learns from virtual clinics of its own, to which patients come because of ectopic beats. So it meets what is rare: a
# few have a *sick sinus node*, and S beats in long runs. Test patients stay real. (Simulated recorders have the leads
# MLII and V1: from other leads nothing is borrowed.)

# %%
epochs, members = (5, 1) if effort == "demo" else (3, 3)
alike = dataset != "virtual-hospital" and data.leads == list(HOLTER)  # simulated patients wear these two leads
clinics = 2 * members if borrow and effort == "full" and alike else 0


def prepared(one):
    """Give what models see of a set of beats, record by record, with whose they are and what they are."""
    edges = np.flatnonzero(one.record[1:] != one.record[:-1]) + 1
    beats = np.concatenate([shapes(w) for w in np.split(one.windows, edges)]).transpose(0, 2, 1)
    context = np.concatenate([np.hstack([rhythm(at), disorder(at)]) for at in np.split(one.at, edges)])
    return one.record, one.patients, one.at, one.y, beats, context


# %%
sets = [prepared(data), *(prepared(waveforms.beats("virtual-clinic", seed + k)) for k in range(clinics))]
ends = np.cumsum([len(one[0]) for one in sets])
borrowed = [np.arange(a, b) for a, b in zip(ends, ends[1:])]
*known, beats, context = map(np.concatenate, zip(*sets))
data = replace(data, **dict(zip(("record", "patients", "at", "y"), known)))  # the beats of `dataset` come first
leads = beats.shape[1] // 2
del sets

# %% [markdown]
# Now the network. It sees the differences only: on the 22 training patients of MIT-BIH, whole beats taught it those
# patients' hearts (that was tried inside them: `benchmarks/NOTES.md`). A small CNN turns each beat into 32
# numbers, the intervals are put beside them, and a recurrent network (next section) reads `run_length` consecutive
# beats, forwards and backwards. Beats stand in their true order, and a run never crosses into another record.

# %%
learned = np.intersect1d(np.concatenate([data.parts["train"], data.parts["valid"]]), kept)
tested = np.intersect1d(data.parts["test"], kept)
for part, rows in {"training and validation": learned, "test": tested}.items():
    if len(present := np.unique(data.y[rows])) < 2:
        only = "".join(np.take(classes, present)) or "none"
        raise MedkitError(f"{data.name}: of the classes N, S, V and F the {part} records have {only}. Two are needed: "
                          "add records with other beats, or annotate them.")

# %%
absent = set("NSV") - set(np.take(classes, np.unique(data.y[tested])))
if absent:
    say(f"**No test record has a beat of class {', '.join(sorted(absent))}**: macro-F1 and j-kappa mean little here.")
if effort == "demo":  # the first beats of each training record
    place = pd.Series(data.record).groupby(data.record).cumcount().to_numpy()
    learned = learned[place[learned] < 500]
taught = [np.concatenate([learned, *borrowed[k::members]]) for k in range(members)]


# %%
def tensors(rows, length, change=lambda x: x):
    """Put beats into runs: beats, intervals, lengths, and classes (-100 where a run is filled up)."""
    place, lengths = runs(data.record[rows], length)
    cells, there = rows[place], np.arange(length) < lengths[:, None]
    y = np.where(there, data.y[cells], -100)
    return [torch.as_tensor(a) for a in (change(beats[:, leads:][cells]), context[cells], lengths, y)]


# %% [markdown]
# S beats are few: a network could ignore them and still be right in nearly all beats. *Class weights* make a rare beat
# count more. Weights of one over the frequency buy sensitivity with many false alarms; here stands a mild power of it.
# (Inside the training patients of MIT-BIH, a power of 0.5 raised more alarms for S and F than was good.)

# %%
counts = np.bincount(data.y[learned], minlength=4)
weights = torch.as_tensor((len(learned) / 4 / np.maximum(counts, 1)) ** 0.3).float()
weights = weights.to(training.best_device())


def loss(logits, target):
    """Weighted cross-entropy of all beats in all runs."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), weights.to(logits.dtype),
                                       label_smoothing=0.03)


# %% [markdown]
# In training each run of beats is changed a little, as another recorder might: another size, a slope, noise, a lead lost.
# Drawing the noise is the slowest of these changes. So it is drawn once, and each batch takes a stretch of it from somewhere.

# %%
noise = torch.randn(2**21, generator=torch.Generator().manual_seed(seed))
noise = 0.03 * noise.to(training.best_device())


def vary(x):
    """Change runs as another recorder might: size, a slope, noise, a lead lost."""
    each, ramp = (len(x), 1, leads, 1), torch.linspace(-1, 1, x.shape[-1], device=x.device)
    size = 1 + 0.1 * torch.randn(each, device=x.device)
    slope = 0.1 * torch.randn((*x.shape[:-1], 1), device=x.device)
    lost = torch.rand(each, device=x.device) < 0.1
    start = int(torch.randint(len(noise) - x.numel(), ()))
    added = noise[start:start + x.numel()].view_as(x)
    return torch.addcmul(added, x, size).addcmul_(slope, ramp).mul_(~lost)


# %%
def train(rows, length, seed, **kind):
    """Train a network on runs of `length` beats; `kind` may ask for another recurrence."""
    training.set_seed(seed)
    parts = tensors(rows, length)
    few = [p[:8] for p in parts]  # fastai asks for validation data; nothing is chosen by it
    dls = training.array_loaders(parts, few, max(1, 256 // length), augment=vary, seed=seed)
    net = RhythmNet(leads, beats.shape[2], context.shape[1], 4, **kind)
    rounds = int(np.clip(60000 // len(rows), epochs, 100))  # few beats: more rounds
    return training.fit(training.learner(dls, net, loss), rounds, lr=0.003, wd=0.01)


def predict(learn, rows, length, change=lambda x: x):
    """Give class probabilities of every beat, shape (n, 4)."""
    *inputs, y = tensors(rows, length, change)
    logits = torch.cat([training.forward(learn.model, b) for b in zip(*(p.split(32) for p in inputs))])
    return logits.softmax(-1)[y >= 0].numpy()


# %%
networks = [train(rows, run_length, seed + k) for k, rows in enumerate(taught)]
answered = np.stack([predict(one, tested, run_length) for one in networks])
p_rnn = answered.mean(axis=0)
pd.crosstab(np.take(classes, data.y[tested]), np.take(classes, p_rnn.argmax(1)),
            rownames=["truth"], colnames=["network"])

# %% [markdown]
# That is the whole recipe. Now: what is inside, and is the recurrence worth anything?
#
# ## What a recurrent network is
#
# A *recurrent* network reads a series step by step and keeps a memory, a vector $h$. At each step it mixes what it sees
# with what it remembers. The *gated recurrent unit* (GRU) has two gates, numbers between 0 and 1 for each part of the
# memory: $r$ says how much of the memory the new proposal $n$ may use, $z$ how much of the old memory stays:
#
# $$h_{new} = (1 - z) \cdot n + z \cdot h$$

# %%
def gru_step(x, h, cell):
    """Take one step of a one-layer GRU: from input x and memory h to the new memory."""
    r_x, z_x, n_x = (cell.weight_ih_l0 @ x + cell.bias_ih_l0).chunk(3)
    r_h, z_h, n_h = (cell.weight_hh_l0 @ h + cell.bias_hh_l0).chunk(3)
    r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
    n = (n_x + r * n_h).tanh()
    return (1 - z) * n + z * h


# %% tags=["nbval-check-output"]
torch.manual_seed(0)
cell, series = nn.GRU(4, 6), torch.randn(9, 4)
h = torch.zeros(6)
for x in series:
    h = gru_step(x, h, cell)
print("nine steps by hand equal nn.GRU:", torch.allclose(h, cell(series)[0][-1], atol=1e-6))

# %% [markdown]
# The *long short-term memory* (LSTM) has three gates and a second memory; the plain RNN has no gate, and forgets fast.
# *Bidirectional* means a second one that reads from the end: a beat is then judged with the pause after it in view.
# That is fit for a recording that has ended, not for an alarm at the bedside.

# %% tags=["nbval-check-output"]
def size(net):
    """Count the weights of a network."""
    return sum(p.numel() for p in net.parameters())


kinds = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
pd.DataFrame({way: {name: size(kind(32, 48, bidirectional=way == "both ways")) for name, kind in kinds.items()}
              for way in ("one way", "both ways")}).rename_axis("weights for 32 inputs, memory 48")

# %% [markdown]
# Runs differ in length: a record's last run is shorter. *Packing* lays the steps of all runs side by side, and drops a
# run when it has ended, so that filling is never read. Three runs of 5, 3 and 1 beats need this many rows at each step:

# %% tags=["nbval-check-output"]
packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(3, 5, 4), torch.tensor([5, 3, 1]), batch_first=True)
packed.batch_sizes.tolist()

# %% [markdown]
# ## The claim, measured
#
# Three rivals learn from the same beats of the same patients, and are told the same intervals:
#
# - the **GRU over beats**: CNN and intervals of each beat, then recurrence over consecutive beats;
# - the **CNN of single beats**: the very same network, once, given runs of one beat, so that its memory is always empty;
# - **boosted trees** on classical features: the intervals and their disorder, and for P wave (the atria contract), QRS
#   (the ventricles contract) and T wave (they recover) of each lead how much the beat resembles the record's median
#   beat, how far it is from it, and how high and low it goes; and those of its neighbours.

# %%
p_cnn = predict(train(taught[0], 1, seed), tested, 1)

# %%
centre = np.abs(beats[:, 0]).mean(axis=0).argmax()
t = (np.arange(beats.shape[2]) - centre) / data.fs  # seconds from the R peak
regions = {"P": (t > -0.3) & (t < -0.06), "QRS": (t > -0.1) & (t < 0.13), "T": t > 0.13}


def resemblance(x, usual):
    """Correlate each beat with its record's median beat, lead by lead."""
    x, usual = x - x.mean(2, keepdims=True), usual - usual.mean(2, keepdims=True)
    return (x * usual).sum(2) / np.sqrt((x ** 2).sum(2) * (usual ** 2).sum(2) + 1e-6)


def region_features(span):
    """Describe one region of every beat: shape (n, 5 x leads)."""
    x, apart = beats[:, :leads, span], beats[:, leads:, span]
    return np.hstack([resemblance(x, x - apart), np.abs(apart).mean(2), apart.sum(2), x.max(2), x.min(2)])


# %% [markdown]
# Trees have no memory. But they may be told what the two beats before and the two after are like: how early each came,
# and how usual its P wave and QRS look.

# %%
def neighbours(values):
    """Give the values of the two beats before and the two after each beat (its own where the record ends)."""
    own = np.arange(len(values))
    other = [np.clip(own + k, 0, len(own) - 1) for k in (-2, -1, 1, 2)]
    return np.hstack([values[np.where(data.record[o] == data.record, o, own)] for o in other])


shape = {name: region_features(span) for name, span in regions.items()}
near_by = neighbours(np.hstack([context[:, [4, 8, 11]], shape["P"][:, :leads], shape["QRS"][:, :leads]]))
classic = np.hstack([context, *shape.values(), near_by])


# %%
def grow_trees(rows, step=4):
    """Fit boosted trees, with the same class weights; one N beat of four will do, and counts four times."""
    y = data.y[rows]
    some = (y > 0) | (np.arange(len(y)) % step == step - 1)
    weight = weights.cpu().numpy()[y] * np.where(y == 0, step, 1)
    trees = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.08, max_leaf_nodes=15,
                                           l2_regularization=5, early_stopping=False, random_state=seed)
    return trees.fit(classic[rows[some]], y[some], weight[some])


def ask_trees(grown, rows):
    """Average the class probabilities of several boosted trees: shape (n, 4)."""
    p = np.zeros((len(rows), 4))
    for one in grown:
        p[:, one.classes_] += one.predict_proba(classic[rows]) / len(grown)
    return p


trees = [grow_trees(rows) for rows in (taught if clinics else taught[:1])]
p_trees = ask_trees(trees, tested)

# %% [markdown]
# (With `borrow` trees are grown as often as networks, with the same simulated clinics, and their answers are averaged.)
# As a fourth, we average the answers of the GRU and the trees.
#
# ### Let each heart teach itself
#
# The ectopic beats of one heart mostly come from the same place: they look alike, come equally early, and differ from
# those of other hearts. So each record may teach a small model of its own. A logistic regression learns from the beats
# whose class GRU and trees are sure of (above 0.7), as if that were the truth; then it is asked about all beats of
# the record, and its answer counts half. This is *self-training* (Scudder, 1965; *pseudo-labels*: Lee, 2013). It needs
# the whole recording, but no label of it.

# %%
def own_model(looks, p):
    """Teach a model by the beats of one record that are sure (classes of 5 or more); give its class probabilities."""
    guess, trust = p.argmax(axis=1), p.max(axis=1)
    sure = trust > 0.7
    sure &= (np.bincount(guess[sure], minlength=4) >= 5)[guess]
    if len(set(guess[sure])) < 2:
        return p
    model = LogisticRegression(C=0.1, max_iter=200).fit(looks[sure], guess[sure], trust[sure])
    own = np.zeros_like(p)
    own[:, model.classes_] = model.predict_proba(looks)
    return own


def self_taught(p, rows):
    """Take half of each beat's class probabilities from a model that its own record has taught."""
    looks = np.hstack([context[:, [4, 8, 11]], *shape.values()])  # three ratios of intervals, and the shape
    looks = looks[rows] / (looks[learned].std(axis=0) + 1e-6)
    records = pd.Series(range(len(rows))).groupby(data.record[rows]).indices.values()
    own = np.empty_like(p)
    for one in records:
        own[one] = own_model(looks[one], p[one])
    return (p + own) / 2


# %% [markdown]
# ### Counting
#
# Accuracy says little here: most beats are N. For each class we ask two questions. *Sensitivity* (Se): what share of
# the S beats was found? *Positive predictivity* (+P): what share of the S alarms was right? *Macro-F1* averages their
# harmonic mean over N, S and V. The *j-kappa* index joins Cohen's kappa with Se and +P of S and V (Mar et al., 2011).

# %%
def tables(rows, guess):
    """Count truth against guess for each patient: shape (patients, 4, 4)."""
    whose = np.unique(data.patients[rows], return_inverse=True)[1]
    counted = np.zeros((whose.max() + 1, 4, 4))
    np.add.at(counted, (whose, data.y[rows], guess), 1)
    return counted


# %%
def figures(table):
    """Compute the standard figures of tables of shape (..., 4, 4)."""
    n, right = table.sum((-2, -1)), np.diagonal(table, axis1=-2, axis2=-1)
    true, said = table.sum(-1), table.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        se, pp, f1 = right / true, right / said, 2 * right / (true + said)
        agreed, chance = right.sum(-1) / n, (true * said).sum(-1) / n ** 2
        kappa = (agreed - chance) / (1 - chance)
    j = np.nan_to_num(se[..., 1:3]).sum(-1) + np.nan_to_num(pp[..., 1:3]).sum(-1)
    return {"accuracy": agreed, "macro-F1 of N, S, V": f1[..., :3].mean(-1), "j-kappa": kappa / 2 + j / 8,
            "S: Se": se[..., 1], "S: +P": pp[..., 1], "V: Se": se[..., 2], "V: +P": pp[..., 2]}


# %% [markdown]
# Beats of one patient resemble each other: thousands of them say hardly more than one patient does. The 95 % intervals
# draw *patients*, each with all of its beats. They are wide, and rightly so.

# %%
def judge(counted, against=None):
    """Estimate every figure (less that of a rival on the same patients), drawing whole patients."""
    def one(w):
        found = figures(np.tensordot(w, counted, 1))
        rival = figures(np.tensordot(w, against, 1)) if against is not None else dict.fromkeys(found, 0)
        return np.stack([found[k] - rival[k] for k in found], axis=-1)

    point, drawn = one(np.ones(len(counted))), evaluate.bootstrap(one, len(counted), None, 1000, seed)
    names = figures(counted.sum(0))
    return {k: evaluate.Estimate(float(v), *evaluate.percentiles(d))
            for k, v, d in zip(names, point, drawn.T)}


answers = {"GRU over beats": p_rnn, "CNN of single beats": p_cnn, "boosted trees": p_trees,
           "GRU and trees": (p_rnn + p_trees) / 2}
answers |= {f"{name}, self-taught": self_taught(answers[name], tested) for name in ("boosted trees", "GRU and trees")}
counted = {name: tables(tested, p.argmax(1)) for name, p in answers.items()}
found = {name: judge(table) for name, table in counted.items()}
plots.estimates(found["GRU over beats"], "value (no unit)", f"GRU over beats, test patients: {data.name}")

# %%
def brief(e):
    """Write an estimate so short that a table of them fits on a page."""
    return f"{e.value:.3f}" + (f" ({e.low:.2f} to {e.high:.2f})" if np.isfinite(e.low) else " (too few)")


pd.DataFrame({name: {k: brief(e) for k, e in rows.items()}
              for name, rows in found.items() if name != "GRU and trees"})  # it is compared below

# %%
mine = found["GRU over beats"]
record("accuracy", mine["accuracy"])
record("macro_f1_nsv", mine["macro-F1 of N, S, V"])
record("j_kappa", mine["j-kappa"])
record("se_s", mine["S: Se"])
record("ppv_s", mine["S: +P"])
record("se_v", mine["V: Se"])
record("ppv_v", mine["V: +P"])
for short, name in {"baseline": "boosted trees", "joint": "GRU and trees, self-taught"}.items():
    record(f"{short}_accuracy", found[name]["accuracy"])
    record(f"{short}_macro_f1", found[name]["macro-F1 of N, S, V"])
    record(f"{short}_j_kappa", found[name]["j-kappa"])

# %% [markdown]
# Training starts from random weights. How much of the result is luck of the start? Here is each start by itself (with
# `effort=full` there are three; the figures above are of their average).

# %%
starts = [figures(tables(tested, p.argmax(1)).sum(0)) for p in answered]
luck = pd.DataFrame(starts, dtype=float, index=[f"start {k + 1}" for k in range(members)])
pd.concat([luck, luck.mean().to_frame("mean").T]).round(3)

# %%
def gained(one, other):
    """Estimate how much macro-F1 one set of answers gains over another, on the same patients."""
    return judge(tables(tested, one.argmax(1)), tables(tested, other.argmax(1)))["macro-F1 of N, S, V"]


def verdict(gain, who="the GRU"):
    """Say in words what a gain with its interval allows us to say."""
    if gain.low > 0:
        return f"{who} is better"
    return f"{who} is worse" if gain.high < 0 else "we cannot tell"


over_trees = gained(p_rnn, p_trees)
record("gain_over_trees", over_trees)
say(f"{data.name}, macro-F1, GRU less boosted trees: {over_trees}: **{verdict(over_trees)}**.")

# %% [markdown]
# What is memory worth, and which kind? One network once more, from the same start and the same beats: without memory,
# with a GRU that reads forwards alone, with an LSTM. And what was it worth that each heart taught itself?

# %%
other_kinds = {"one-way GRU": dict(both_ways=False), "LSTM": dict(cell=nn.LSTM)}
kinds = {"CNN of single beats": p_cnn} | {name: predict(train(taught[0], run_length, seed, **kind), tested, run_length)
                                          for name, kind in other_kinds.items()}
gains = {f"GRU less {name}": gained(answered[0], p) for name, p in kinds.items()}
gains |= {f"{name}, self-taught, less not": gained(answers[f"{name}, self-taught"], answers[name])
          for name in ("boosted trees", "GRU and trees")}
plots.estimates(gains, "difference in macro-F1", f"What each part gains, same patients: {data.name}", reference=0)

# %%
for name, gain in gains.items():
    say(f"{data.name}, macro-F1, {name}: {gain}: **{verdict(gain, 'the first named')}**.")
record("gain_self_taught", gains["GRU and trees, self-taught, less not"])
joint = judge(counted["GRU and trees, self-taught"], counted["boosted trees"])
for short, name in {"accuracy": "accuracy", "macro_f1": "macro-F1 of N, S, V", "j_kappa": "j-kappa"}.items():
    record(f"joint_gain_{short}", joint[name])
record("gain_memory", gains["GRU less CNN of single beats"])

# %% [markdown]
# If a test set holds few S beats, or most of them come from one patient, that patient decides. Look:

# %%
per_patient = pd.DataFrame(counted["GRU over beats"][:, 1], index=np.unique(data.patients[tested]),
                           columns=[f"called {c}" for c in classes]).astype(int)
per_patient.insert(0, "S beats", per_patient.sum(axis=1))
per_patient = per_patient.sort_values("S beats", ascending=False)
most, every = per_patient["S beats"].iloc[0], per_patient["S beats"].sum()
say(f"One patient has **{most / every:.0%}** of all S beats." if every else "No test patient has an S beat.")
per_patient.head(6).rename_axis("patient")

# %% [markdown]
# ### The price of the usual leak
#
# Many papers report accuracies of 99 %: they shuffle *beats*, so that the same heart stands in training and test. Here
# we let the trees learn from half of the test patients' beats, and ask both, the leaking and the honest, about the
# other half. Both learn from equally many beats.

# %%
rng = np.random.default_rng(seed)
inside = rng.random(len(tested)) < 0.5
pool = np.concatenate([taught[0], tested[inside]])
leaking = grow_trees(rng.choice(pool, len(taught[0]), replace=False))
others = tested[~inside]
honest, leaked = (tables(others, ask_trees([one], others).argmax(1)) for one in (trees[0], leaking))
price = judge(leaked, honest)["macro-F1 of N, S, V"]
record("leak_price", price)
say(f"Leaking less honest, in macro-F1: **{price}**: **{verdict(price, 'the leaking one')}**. What a leak gains, no "
    "new patient will ever see.")

# %% [markdown]
# ## EEG: one label for a stretch of signal
#
# An EEG measures the brain's voltage at 19 places on the scalp. By default the patients are simulated and the question
# is: is there a seizure in these seconds? With `eeg=eegmat` the people are real students, and the question is: at
# rest, or calculating in the head? The code does not ask where the electrodes are: with `eeg=ptbxl-normal` it reads ten
# seconds of a real heart in 12 leads (PTB-XL; Wagner et al., 2020), and the question is whether there is any finding.

# %%
brains = waveforms.recordings(f"{eeg}-eeg" if eeg == "virtual-hospital" else eeg, seed=seed)

# %% tags=["nbval-check-output"]
for note in brains.notes:
    print("-", note)
if brains.y.ndim > 1 or len(brains.classes) != 2:
    raise MedkitError(f"{brains.name} has the classes {', '.join(brains.classes)}, but here a yes-no question is "
                      "asked. Give two labels in labels.csv.")
print(f"{len(np.unique(brains.patients))} people;",
      "; ".join(f"{n} windows '{c}'" for c, n in zip(brains.classes, np.bincount(brains.y))) +
      f". To be found: '{brains.classes[1]}'.")

# %% [markdown]
# ### Is the answer written into the cleaning?
#
# EEG is cleaned before it is shared: what blinks and muscles add is found as a *component*, a direction in the space of
# the channels (often by independent component analysis), and taken out. That direction is then empty. If each *file* was
# cleaned for itself, and a person rests in one file and calculates in another, then the number of directions that are
# left can tell the files apart, and so the states, with no look at the brain. We count them in each window. Empty is a
# direction with less than 3/100,000 of the largest variance: that of this window, or the person's usual one if it is
# smaller. So a loose electrode, which swings far for a while, does not make the others look empty. (Windows with no more
# samples than channels lack directions by themselves; in them we count none.)

# %%
def empty(x, patients):
    """Give the projection on the directions that each window lacks: (n, channels, channels)."""
    x = x - x.mean(1, keepdims=True)
    size, along = np.linalg.eigh(x.transpose(0, 2, 1) @ x)
    usual = pd.Series(size[:, -1]).groupby(np.asarray(patients)).transform("median")
    gone = (size < 3e-5 * np.minimum(size[:, -1], usual).to_numpy()[:, None]) & (x.shape[1] > x.shape[2])
    return (along * gone[:, None]) @ along.transpose(0, 2, 1)


def how_many(projections):
    """Count the directions of each window's projection."""
    return np.trace(projections, axis1=1, axis2=2).round()


# %%
lacking = empty(brains.X, brains.patients)
left = brains.X.shape[2] - how_many(lacking)
ask_people = partial(evaluate.interval, evaluate.auroc, brains.y, groups=brains.patients)
by_count = ask_people(left)
record("eeg_cleaning_auroc", by_count)
means = ", ".join(f"{left[brains.y == k].mean():.1f} in '{c}'" for k, c in enumerate(brains.classes))
say(f"Of {brains.X.shape[2]} directions a window has left: {means}. The number alone tells the two apart with an AUROC of "
    f"{by_count}: " + ("**it tells the label,** most likely by the cleaning. A model that reads it learns nothing of brains."
                       if by_count.low > 0.5 or by_count.high < 0.5 else "**it is not shown to tell anything.**"))

# %% [markdown]
# What gives files away must go, by a rule that knows no label: a direction that some windows of a person lack and others
# do not (5 to 95 % of them) is taken from *all* windows of that person. What all windows lack gives nothing away. (This
# rule cannot help where healthy and ill *people* were cleaned in different ways. Then only the count above warns. And of
# 64 channels or more some directions are nearly empty by nature, so there the count can tell of more than the cleaning.)

# %%
def shared(X, lacking, patients):
    """Take from all windows of a person what only some of them lack."""
    X = X.copy()
    for who in np.unique(patients):
        rows = np.flatnonzero(np.asarray(patients) == who)
        share, along = np.linalg.eigh(lacking[rows].mean(0))
        told = along[:, (share > 0.05) & (share < 0.95)]
        X[rows] -= X[rows] @ told @ told.T
    return X


kept_alike = shared(brains.X, lacking, brains.patients)
taken = how_many(empty(kept_alike, brains.patients))
say(f"A window now lacks {taken.mean():.1f} directions instead of {how_many(lacking).mean():.1f}; their number has an AUROC of "
    f"{evaluate.auroc(brains.y, -taken):.3f}.")

# %% [markdown]
# The classical way is *band power*: how strong are slow (delta, theta), middle (alpha) and fast (beta, gamma) waves in
# each channel? To it we add how far each channel swings, and how the channels move together. People differ more than
# states do, so where people are seen in both states we look at each window against the person's own median, again
# without labels. (Where nearly all have one label only, healthy or not, that would take away what is asked, and is left
# out.) A logistic regression on all of these numbers is the baseline; one on band power alone stands beside it.

# %%
bands = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}


def own_median(values, who):
    """Take from each row the median of its person's rows."""
    frame = pd.DataFrame(values)
    return (frame - frame.groupby(np.asarray(who)).transform("median")).to_numpy()


hertz = np.fft.rfftfreq(brains.X.shape[1], 1 / brains.fs)
inside = [(hertz >= a) & (hertz < b) for a, b in bands.values() if b <= brains.fs / 2]


def band_power(x):
    """Give the logarithm of each band's power in each channel, shape (n, bands * channels)."""
    spectrum = np.abs(np.fft.rfft(x, axis=1)) ** 2
    spectrum = spectrum / spectrum.mean() + 1e-9  # in no unit, so that volts do as well as microvolts
    return np.hstack([np.log(spectrum[:, k].mean(1)) for k in inside])


# %%
def swings(x):
    """Say how far each channel swings, in medians of its window: percentiles, shape (n, 7 * channels)."""
    x = x / np.median(np.abs(x), axis=(1, 2), keepdims=True).clip(1e-12)
    return np.concatenate([np.percentile(x, q, axis=1) for q in (0.5, 2, 25, 50, 75, 98, 99.5)], axis=1)


def together(x):
    """Say how each two channels move together: correlations, shape (n, pairs)."""
    both = np.einsum("nti,ntj->nij", x, x)
    size = np.sqrt(np.einsum("nii->ni", both)).clip(1e-12)  # a lost channel moves with none
    return (both / size[:, :, None] / size[:, None])[:, *np.triu_indices(x.shape[2], 1)]


# %%
def numbers_of(X):
    """Give band power, and band power with swings and correlations, of each window."""
    x = X - X.mean(1, keepdims=True)
    return band_power(x), np.hstack([band_power(x), swings(x), together(x)])


by_hand = dict(zip(("band power", "hand-made features"), numbers_of(kept_alike)))
if (kept_alike != brains.X).any():
    by_hand["hand-made features, cleaning left in"] = numbers_of(brains.X)[1]
if (pd.Series(brains.y).groupby(np.asarray(brains.patients)).nunique() > 1).mean() > 0.25:
    by_hand = {name: own_median(numbers, brains.patients) for name, numbers in by_hand.items()}

# %% [markdown]
# The network reads the signal itself: a CNN makes it shorter, a bidirectional GRU reads what is left, and *attention*
# says how much each moment counts: a weight for each step, all summing to 1, by which the GRU's outputs are averaged.

# %%
every = max(1, round(brains.fs / 64))  # 64 samples a second are enough for what the nets find
signal = kept_alike[:, :brains.X.shape[1] // every * every]
signal = signal.reshape(len(signal), -1, every, signal.shape[2]).mean(2).transpose(0, 2, 1)
signal = signal - signal.mean(2, keepdims=True)
level = pd.Series(np.abs(signal).mean((1, 2))).groupby(np.asarray(brains.patients))
level = level.transform("median").to_numpy().clip(1e-12)
signal = (signal / level[:, None, None]).clip(-8, 8).astype(np.float32)


# %%
def train_eeg(rows, recurrent, epochs):
    """Train a network on windows of EEG."""
    training.set_seed(seed)
    first = rows[:8]
    dls = training.array_loaders((signal[rows], brains.y[rows]), (signal[first], brains.y[first]), 32, seed=seed)
    share = np.bincount(brains.y[rows], minlength=2) / len(rows)
    fair = nn.CrossEntropyLoss(torch.as_tensor(0.5 / share).float().to(dls.device))
    net = SignalNet(signal.shape[1], 2, recurrent=recurrent)
    rounds = int(np.clip(4000 // len(rows), epochs, 100))  # few windows: more rounds
    return training.fit(training.learner(dls, net, fair), rounds, lr=0.003, wd=0.05)


# %% [markdown]
# With few people, we let each of them be a test person once: train on the others, predict this one (*cross-validation
# over patients*; with as many folds as people, leave-one-subject-out). Nothing was tuned on these folds.

# %%
eeg_epochs = 5 if effort == "demo" else 20
folds = list(GroupKFold(min(6, len(np.unique(brains.patients)))).split(signal, brains.y, brains.patients))
for fit_on, _ in folds:
    if len(np.unique(brains.y[fit_on])) < 2:
        raise MedkitError(f"{brains.name}: so few people have one of the labels that a fold has none to learn from. "
                          "Add people.")
nets, kinds = {}, {"GRU with attention": True, "CNN with attention": False}
answers = {name: np.zeros(len(signal)) for name in (*kinds, *by_hand)}
for fit_on, ask in folds:
    for name, recurrent in kinds.items():
        nets[name] = train_eeg(fit_on, recurrent, eeg_epochs)
        answers[name][ask] = training.probabilities(nets[name], signal[ask])[:, 1]
    logistic = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    simple = make_pipeline(StandardScaler(), logistic)
    for name, numbers in by_hand.items():
        answers[name][ask] = simple.fit(numbers[fit_on], brains.y[fit_on]).predict_proba(numbers[ask])[:, 1]

# %%
areas = {name: ask_people(p) for name, p in answers.items()}
plots.estimates(areas, "AUROC, each person once as test person", f"One label for a stretch: {brains.name}", reference=0.5)
record("eeg_auroc", areas["GRU with attention"])
record("eeg_baseline", areas["hand-made features"])

# %%
people = len(np.unique(brains.patients))
rivals = answers["GRU with attention"], answers["hand-made features"]
eeg_gain = evaluate.compare(evaluate.auroc, brains.y, *rivals, brains.patients)
record("eeg_gain", eeg_gain)
say(f"{people} people. GRU less hand-made features, in AUROC: {eeg_gain}: **{verdict(eeg_gain)}**.")
if len(by_hand) > 2:
    name = list(by_hand)[-1]
    price = evaluate.compare(evaluate.auroc, brains.y, answers[name], answers["hand-made features"], brains.patients)
    flattered = ("**the cleaning flatters.**" if price.low > 0 else "**the cleaning does harm.**" if price.high < 0 else
                 f"**on {people} people that is not beyond chance.**")
    say(f"With the cleaning left in, the features' AUROC is {areas[name]}. Less the one without: {price}: {flattered}")
precision = partial(evaluate.interval, evaluate.average_precision, brains.y, groups=brains.patients)
both = {"AUROC": areas, "average precision": {name: precision(p) for name, p in answers.items()}}
pd.DataFrame(both).astype(str)

# %% [markdown]
# ### Where does the network look?
#
# We draw the attention of the last fold's network on that signal of the second label of which it was surest: the darker
# the ground, the more this moment counted. Attention shows where the average was taken, not why: lesson 9 tests such
# pictures.

# %%
net, ask = nets["GRU with attention"].model, folds[-1][1]
chance = answers["GRU with attention"][ask]
sure = ask[np.argmax(np.where(brains.y[ask] == 1, chance, -chance))]  # of the first label where the second is absent
with torch.no_grad():
    device = next(net.parameters()).device
    attention = net.eval().attend(torch.as_tensor(signal[[sure]]).to(device))[1][0].cpu().numpy()

# %%
seconds = np.arange(signal.shape[2]) * every / brains.fs
strong = np.argsort(-signal[sure].std(axis=1))[:4]
fig, ax = plt.subplots(figsize=(9, 4.2))
ground = ax.imshow(attention[None], extent=(0, seconds[-1], 0.1 - 1.2 * len(strong), 1.1), aspect="auto",
                   cmap="Oranges", vmin=0, alpha=0.6)
for k, channel in enumerate(strong):
    height = signal[sure, channel] / np.abs(signal[sure, strong]).max()
    ax.plot(seconds, height - 1.2 * k, lw=0.8, color="black")
ax.set(xlabel="time (s)", yticks=[-1.2 * k for k in range(len(strong))],
       yticklabels=[brains.channels[c] for c in strong], ylabel="channel",
       title=f"'{brains.classes[brains.y[sure]]}', {brains.name}: signal and attention")
ax.grid(False)
fig.colorbar(ground, label="attention (share)")
plots.show(fig, f"{len(strong)} channels over {seconds[-1]:.0f} seconds; attention is largest at "
                f"{seconds[-1] * attention.argmax() / len(attention):.1f} s.")

# %% [markdown]
# ## Where it fails
#
# First, patients. A mean over many hides the one for whom the network is useless. Here are those with the most wrong
# beats. Two kinds of heart break our idea of "unlike the patient's own usual beat": one whose usual beat is the ill one
# (on MIT-BIH record 232, a sick sinus node: most of its beats are S), and one with two healthy shapes, when a bundle
# branch conducts now and then (records 212 and 231).

# %%
mistakes = tables(tested, p_rnn.argmax(1))
kinds = [(a, b) for a in range(4) for b in range(4) if a != b]
errors = pd.DataFrame({f"{classes[a]} called {classes[b]}": mistakes[:, a, b] for a, b in kinds},
                      index=np.unique(data.patients[tested])).astype(int)
worst = errors.loc[errors.sum(axis=1).sort_values(ascending=False).index].head(5)
worst.loc[:, worst.sum() > 0].rename_axis("patient")

# %%
patient = worst.index[0]
wrong = (p_rnn.argmax(1) != data.y[tested]) & (data.patients[tested] == patient)
if wrong.any():
    middle = np.flatnonzero(wrong)[wrong.sum() // 2]
    row, guess = tested[middle], classes[p_rnn[middle].argmax()]
    around = [i for i in range(max(row - 4, 0), min(row + 6, ends[0])) if data.record[i] == data.record[row]]
    draw_beats(around, f"Patient {patient}: beat {around.index(row) + 1} was read as {guess}")
else:
    say("Every test beat was read rightly: there is none to show.")

# %% [markdown]
# Second, other recorders. We disturb the test beats as electrodes might, and ask the same network. (A real disturbance
# would also lead to beats missed or invented before the network sees them: here, experts marked them all.)

# %%
all_but_second = (np.arange(leads) != 1)[:, None]
rng = np.random.default_rng(seed)
changes = {"as it is": lambda x: x, "second lead lost": lambda x: x * all_but_second,
           "noise": lambda x: x + 0.3 * rng.standard_normal(x.shape, np.float32),  # another in each beat
           "beat marks 40 ms late": lambda x: np.roll(x, -5, axis=-1)}
if leads == 1:
    del changes["second lead lost"]
disturbed = {}
for name, change in changes.items():
    guess = predict(networks[0], tested, run_length, change).argmax(1)
    disturbed[name] = judge(tables(tested, guess))["macro-F1 of N, S, V"]
plots.estimates(disturbed, "macro-F1 of N, S, V", f"The same network, other recorders: {data.name}")

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **Exercise 1.** The heart of the GRU: from the old memory `h`, the proposal `n` and the gate `z`, compute the new
# memory. Where the gate is 1 the old memory stays.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("4.1", hint="A weighted mean of n and h, with weights that add up to 1.")


@exercise_1.check
def _(update):
    h, n = np.array([1.0, 1.0]), np.array([5.0, 5.0])
    assert np.allclose(update(h, n, np.array([1.0, 1.0])), h), "Where z is 1, the old memory h must stay as it is."
    assert np.allclose(update(h, n, np.array([0.0, 0.0])), n), "Where z is 0, the proposal n takes its place."
    assert np.allclose(update(h, n, np.array([0.25, 0.5])), [4, 3]), "In between, mix: (1 - z) parts of n, z of h."

# %% tags=["exercise", "nbval-check-output"]
def update(h, n, z):
    ### BEGIN SOLUTION
    return (1 - z) * n + z * h
    ### END SOLUTION


exercise_1(update)

# %% tags=["wrong"]
def update(h, n, z):
    return z * n + (1 - z) * h

# %% tags=["wrong"]
def update(h, n, z):
    return n + z * h

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Beats fall at the times `at` (seconds). Give, for each beat but the first, the interval before it
# divided by the patient's *median* interval. A value of 0.6 is a beat that came early.

# %% tags=["exercise", "context"]
exercise_2 = Exercise("4.2", hint="np.diff gives the intervals, np.median their middle.")


@exercise_2.check
def _(earliness):
    at = np.array([0.0, 1.0, 2.0, 2.5, 4.0, 5.0, 6.0, 9.0])
    assert len(earliness(at)) == 7, "Eight beats have seven intervals."
    assert not np.allclose(earliness(at), np.diff(at) / np.diff(at).mean()), "A few long pauses move the mean: median."
    assert np.allclose(earliness(at), [1, 1, 0.5, 1.5, 1, 1, 3]), "Divide each interval by the median interval."
    assert np.allclose(earliness(2 * at), earliness(at)), "A slower heart with the same pattern gives the same ratios."

# %% tags=["exercise", "nbval-check-output"]
def earliness(at):
    ### BEGIN SOLUTION
    gaps = np.diff(at)
    return gaps / np.median(gaps)
    ### END SOLUTION


exercise_2(earliness)

# %% tags=["wrong"]
def earliness(at):
    return np.diff(at) / np.diff(at).mean()

# %% tags=["wrong"]
def earliness(at):
    return np.diff(at)

# %% [markdown] tags=["exercise"]
# **Exercise 3.** From a table that counts truth (rows) against guess (columns), give sensitivity and positive
# predictivity of class number `k`.

# %% tags=["exercise", "context"]
exercise_3 = Exercise("4.3", hint="table[k].sum() counts the true beats of class k, table[:, k].sum() its alarms.")


@exercise_3.check
def _(both):
    table = np.array([[90, 8, 2], [5, 4, 1], [0, 0, 10]])
    assert len(both(table, 1)) == 2, "Give two numbers: sensitivity, positive predictivity."
    se, pp = both(table, 1)
    assert not np.isclose(se, 4 / 12) or np.isclose(pp, 4 / 12), "These two are swapped: sensitivity goes by the truth."
    assert np.isclose(se, 0.4), "Of 10 true beats of class 1, 4 were found: sensitivity 0.4."
    assert np.isclose(pp, 4 / 12), "Of 12 alarms for class 1, 4 were right: positive predictivity 0.333."

# %% tags=["exercise", "nbval-check-output"]
def both(table, k):
    ### BEGIN SOLUTION
    found = table[k, k]
    return found / table[k].sum(), found / table[:, k].sum()
    ### END SOLUTION


exercise_3(both)

# %% tags=["wrong"]
def both(table, k):
    return table[k, k] / table[:, k].sum(), table[k, k] / table[k].sum()

# %% tags=["wrong"]
def both(table, k):
    return table[k, k] / table[k].sum(), np.trace(table) / table.sum()

# %% [markdown] tags=["exercise"]
# **Exercise 4.** Attention over a series that is filled up at its end: from `scores` and `mask` (True where a step is
# real) compute weights that sum to 1 over the real steps, and are 0 on the filling.

# %% tags=["exercise", "context"]
exercise_4 = Exercise("4.4", hint="Take np.exp of the scores, put 0 where the mask is False, then divide by the sum.")


@exercise_4.check
def _(attend):
    mask = np.array([True, True, False])
    weights = np.asarray(attend(np.array([1.0, 1.0, 5.0]), mask))
    assert weights[2] == 0, "The third step is filling: its weight must be 0."
    assert np.isclose(weights.sum(), 1), "The weights must sum to 1 after the filling was taken out."
    assert np.allclose(attend(np.array([0.0, np.log(3), 0.0]), mask), [0.25, 0.75, 0]), "Weights go as exp(score)."

# %% tags=["exercise", "nbval-check-output"]
def attend(scores, mask):
    ### BEGIN SOLUTION
    weights = np.exp(scores) * mask
    return weights / weights.sum()
    ### END SOLUTION


exercise_4(attend)

# %% tags=["wrong"]
def attend(scores, mask):
    return np.exp(scores) / np.exp(scores).sum() * mask

# %% tags=["wrong"]
def attend(scores, mask):
    return np.exp(scores) / np.exp(scores).sum()

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# <details><summary>What does the gate z of a GRU do?</summary>It says, for each part of the memory, how much of the old
# stays and how much the new proposal takes its place.</details>
# <details><summary>Why can a network that sees one beat not tell many S beats?</summary>Their shape is that of a normal
# beat: they differ by coming early, which only the neighbours show.</details>
# <details><summary>When may a bidirectional network not be used?</summary>When the answer is needed at once: it reads the
# future of the recording.</details>
# <details><summary>Why are the beats of a test record never shuffled or sorted by class?</summary>In true order the
# neighbours carry information that a new patient's recording has too. Sorted by class they would give the answer
# away.</details>
# <details><summary>Why do the intervals draw patients and not beats?</summary>Beats of one patient are alike: 2,000 of
# them do not make 2,000 independent observations.</details>
# <details><summary>What may one use of a test patient without cheating?</summary>The unlabelled recording itself, if it
# will be there in use as well; never its labels.</details>

# %% [markdown]
# ## Take away
#
# - A recurrent network carries a gated memory along a series; bidirectional, packed, with attention if one label is
#   wanted for the whole.
# - Compare with a network without memory and with classical features, per class, on patients that neither has seen,
#   with intervals that draw patients.
# - How recordings were cleaned can tell their label. Count the directions that are left before you train.
# - A split that ignores patients can flatter a model: measure by how much. Few people cannot settle a question, and
#   the interval says so.

# %%
say(f"Here, {data.name}: macro-F1 {mine['macro-F1 of N, S, V']}, boosted trees "
    f"{found['boosted trees']['macro-F1 of N, S, V']}: {verdict(over_trees)}. Both, averaged and self-taught: "
    f"{found['GRU and trees, self-taught']['macro-F1 of N, S, V']}. {brains.name}: AUROC "
    f"{areas['GRU with attention']}, hand-made features {areas['hand-made features']}: {verdict(eeg_gain)}.")

# %% [markdown]
# **References**
#
# - Cho K, van Merrienboer B, Gulcehre C et al. Learning phrase representations using RNN encoder-decoder. EMNLP 2014.
#   [doi:10.3115/v1/D14-1179](https://doi.org/10.3115/v1/D14-1179)
# - Hochreiter S, Schmidhuber J. Long short-term memory. Neural Computation 9:1735-1780, 1997.
#   [doi:10.1162/neco.1997.9.8.1735](https://doi.org/10.1162/neco.1997.9.8.1735)
# - Lee DH. Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks. ICML
#   Workshop on Challenges in Representation Learning, 2013.
# - Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng Med Biol 20(3):45-50, 2001.
#   [doi:10.1109/51.932724](https://doi.org/10.1109/51.932724)
# - Scudder HJ. Probability of error of some adaptive pattern-recognition machines. IEEE Trans Inf Theory 11:363-371,
#   1965. [doi:10.1109/TIT.1965.1053799](https://doi.org/10.1109/TIT.1965.1053799)
# - de Chazal P, O'Dwyer M, Reilly RB. Automatic classification of heartbeats using ECG morphology and heartbeat
#   interval features. IEEE Trans Biomed Eng 51:1196-1206, 2004.
#   [doi:10.1109/TBME.2004.827359](https://doi.org/10.1109/TBME.2004.827359)
# - Mar T, Zaunseder S, Martinez JP et al. Optimization of ECG classification by means of feature selection. IEEE Trans
#   Biomed Eng 58:2168-2177, 2011. [doi:10.1109/TBME.2011.2113395](https://doi.org/10.1109/TBME.2011.2113395)
# - Mondejar-Guerra V, Novo J, Rouco J et al. Heartbeat classification fusing temporal and morphological information of
#   ECGs via ensemble of classifiers. Biomed Signal Process Control 47:41-48, 2019.
#   [doi:10.1016/j.bspc.2018.08.007](https://doi.org/10.1016/j.bspc.2018.08.007)
# - Dash S, Chon KH, Lu S, Raeder EA. Automatic real time detection of atrial fibrillation. Ann Biomed Eng 37:1701-1709,
#   2009. [doi:10.1007/s10439-009-9740-z](https://doi.org/10.1007/s10439-009-9740-z)
# - Wagner P, Strodthoff N, Bousseljot RD et al. PTB-XL, a large publicly available electrocardiography dataset. Sci Data
#   7:154, 2020. [doi:10.1038/s41597-020-0495-6](https://doi.org/10.1038/s41597-020-0495-6)
# - Zyma I, Tukaev S, Seleznov I et al. Electroencephalograms during mental arithmetic task performance. Data 4(1):14,
#   2019. [doi:10.3390/data4010014](https://doi.org/10.3390/data4010014)
