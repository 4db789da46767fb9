# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Outcome prediction
#     learn:
#       - read a stay in intensive care with recurrent networks that know what was not measured
#       - put them beside logistic regression, boosting and a severity score, and stack them
#       - judge a risk as a ward would, by alarms, net benefit, subgroups and how early it comes
#     read_minutes: 50
#     before: lessons 1 and 2; lesson 4 for recurrent networks.
#     data: simulated stays by default; by name, 4,000 real ones (PhysioNet challenge 2012) and 100,000 stays with diabetes; 500 real heart attacks (in scikit-survival).
#     claim: "\"Deep learning predicts outcomes from demographics, history and labs better than simple models.\" Here: death in hospital, readmission and survival, each against a strong simple model."
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from fastai.tabular.model import TabularModel, emb_sz_rule
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler, TargetEncoder
from sklearn.svm import SVC
from sksurv.datasets import load_whas500
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import integrated_brier_score
from torch import nn
from tqdm import tqdm

from medkit import evaluate, plots, training
from medkit.datasets import stays, tables
from medkit.errors import MedkitError, unknown
from medkit.exercise import Exercise
from medkit.models import recurrent
from medkit.report import record, say

plots.use_style()

# %% [markdown]
# As a report on real patients: `medkit run 6 -p dataset=challenge-2012`. By default that is cross-validation on set a;
# `-p test_on=c` learns from set a and tests once on set c. `-p encounters=diabetes130` asks about readmission on real
# stays.

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # simulated; or challenge-2012; or a long table: patient, time, variable, value
test_on: str = "cv"  # cv | b | c: challenge-2012, cross-validated on set a, or learned from a and tested on b or c
encounters: str = "hospital-readmission"  # simulated; or diabetes130; or the path of a table with a row per stay
horizon_hours: int = 48  # 1 to 1000: how many hours of the stay the models may see
effort: str = "demo"  # demo | full: larger networks, more folds
seed: int = 0  # 0 to 999999: split, starting weights

# %% [markdown]
# ## A working result first
#
# A patient lies in intensive care. Every hour somebody writes down a pulse, a pressure, a laboratory value, or
# nothing at all. From the first two days: will this patient leave the hospital alive? The lines below say whose
# stays you are looking at.

# %%
if test_on not in ("cv", "b", "c"):
    raise unknown("test set", test_on, ["cv", "b", "c"])
if test_on != "cv" and dataset != "challenge-2012":
    raise MedkitError(f"test_on={test_on} is a set of challenge-2012, but the data are {dataset}. Leave test_on out.")

# %%
def known_after(hours):
    """Load the stays as they were known after some hours, and say which of them are for testing alone."""
    data = stays.load(dataset, hours=hours, seed=seed)
    if test_on == "cv":
        return data, np.zeros(len(data.y), bool)
    other = stays.load(dataset, hours=hours, seed=seed, sets=test_on)
    pairs = {name: [getattr(data, name), getattr(other, name)]
             for name in ("values", "y", "patients", "static", "scores")}
    whole = {name: np.concatenate(pairs[name]) for name in ("values", "y", "patients")}
    frames = {name: pd.concat(pairs[name], ignore_index=True) for name in ("static", "scores")}
    return (replace(data, **whole, **frames, notes=data.notes + other.notes),
            np.repeat([False, True], [len(data.y), len(other.y)]))


data, late = known_after(horizon_hours)

# %% tags=["nbval-check-output"]
source = f"{data.name} (simulated patients)" if data.truth is not None else data.name
for note in data.notes:
    print("-", note)
print(f"{len(data.y):,} stays, {data.y.sum():,} deaths, {data.values.shape[2]} variables, {data.values.shape[1]} hours")

# %%
def draw_stay(row, names):
    """Draw some variables of one stay: a dot is a measurement."""
    fig, axes = plots.plt.subplots(len(names), 1, figsize=(8, 1.5 * len(names)), sharex=True, squeeze=False)
    axes = axes[:, 0]
    for ax, name in zip(axes, names):
        series = data.values[row, :, data.variables.index(name)]
        ax.plot(series, "o-", ms=4, lw=0.8, color=plots.BLUE)
        ax.set_ylabel(f"{name}\n{data.units.get(name, '')}", rotation=0, ha="right", va="center", fontsize=9)
    axes[-1].set(xlabel="hours since admission", xlim=(-1, data.values.shape[1]))
    axes[0].set_title(f"One stay of {source}: what was measured, and when")
    plots.show(fig, f"One stay of {source}: {', '.join(names)} over the hours since admission, with gaps.")


often = np.argsort(-data.mask.mean(axis=(0, 1)), kind="stable")[:20:5]
fullest = data.mask[:200, :, often].any(axis=1).sum(axis=1).argmax()
draw_stay(fullest, [data.variables[k] for k in often])

# %% [markdown]
# Most cells are empty, and not by chance: who is ill is measured more often. So a model should see three things of
# each variable and hour: the *value*, the *mask* (was it measured?), and the *time since* the last measurement.
#
# Two small choices first. We look at every second hour (the mean of two hours), which halves the work. And we bring
# each variable to a bell shape by its ranks among the *training* patients, so that one absurd value cannot shout.

# %%
def coarse(values, step=2):
    """Average each `step` hours; a cell stays empty where nothing was measured."""
    n, hours, k = values.shape
    whole = np.pad(values, ((0, 0), (0, -hours % step), (0, 0)), constant_values=np.nan)  # a last hour alone counts
    blocks = whole.reshape(n, -1, step, k)
    count = np.isfinite(blocks).sum(axis=2)
    with np.errstate(invalid="ignore"):
        return (np.nansum(blocks, axis=2) / count).astype(np.float32)


def bell(rows, table):
    """Learn from some rows how to bring columns to a bell shape; give the transform of a whole table."""
    table = np.where(np.isnan(table[rows]).all(axis=0), 0, table)  # a column that nobody here has says nothing
    shape = QuantileTransformer(n_quantiles=min(100, len(rows)), output_distribution="normal", subsample=None,
                                random_state=0)
    return np.nan_to_num(shape.fit(table[rows]).transform(table).clip(-2.5, 2.5)).astype(np.float32)

# %% [markdown]
# Not everybody who leaves alive is well. Where the data say who died later, the models may learn from it: in *training*,
# a death within half a year of admission counts as 0.3 of a death (a *soft label*). Whether somebody left alive is
# still what every test asks.

# %%
y, who = data.y, data.patients
days = data.scores["days to death"] if "days to death" in data.scores else pd.Series(np.nan, range(len(y)))
soft = np.where((y == 0) & (days <= 180), 0.3, y).astype(np.float32)
say(f"**{((soft > 0) & (soft < 1)).sum()}** stays have a soft label: alive at discharge, dead within half a year.")

# %% [markdown]
# The same networks will be trained many times below, so we say once how. A `StayNet` is a recurrent body, a pool over
# hours and a small head. In training it hides some measurements at random: with few patients that keeps it honest.

# %%
epochs, hidden = (5, 32) if effort == "demo" else (10, 48)


def grids(data):
    """Give values, masks and times since of all stays, and what is known of each patient."""
    seen = coarse(data.values)
    mask = np.isfinite(seen)
    known = pd.get_dummies(data.static, columns=["ICUType"]).to_numpy(float)
    return seen, mask, stays.hours_since(mask), known


def inputs(rows, grid):
    """Give the tensors of all stays, brought to a bell shape as learnt from some rows."""
    seen, mask, since, known = grid
    n, hours, k = seen.shape
    x = bell(np.arange(n * hours).reshape(n, hours)[rows].ravel(), seen.reshape(-1, k)).reshape(n, hours, k)
    return x, mask.astype(np.float32), since, bell(rows, known), np.full(n, hours)


# %%
whole_stays = grids(data)


def recurrent_net(body, rows, seed=seed, progress=False, grid=whole_stays):
    """Train a recurrent net on some rows; give what predicts the risk of others. `grid` may hold fewer hours."""
    training.set_seed(seed)
    tensors = inputs(rows, grid)
    net = recurrent.StayNet(body(tensors[0].shape[2], hidden), hidden, tensors[3].shape[1])
    part = tuple(t[rows] for t in (*tensors, soft[:, None]))
    dls = training.array_loaders(part, tuple(t[:64] for t in part), 64, seed=seed)
    learn = training.learner(dls, net, nn.BCEWithLogitsLoss(), cbs=training.averaging())
    training.fit(learn, epochs, lr=0.003, wd=0.05, progress=progress)
    return lambda asked: training.probabilities(learn, *(t[asked] for t in tensors))


# %%
fit_rows, watched = data.parts["train"], data.parts["valid"]
first_net = recurrent_net(recurrent.MaskedGRU, fit_rows)
found = evaluate.interval(evaluate.auroc, y[watched], first_net(watched), who[watched])
say(f"On validation patients a GRU with masks reaches an AUROC of **{found}**.")

# %% [markdown]
# ## What GRU-D adds
#
# A recurrent net walks through the hours and keeps a *state*. A *GRU* decides at each hour how much of the state to
# keep and how much to write anew. Ours carries the last value forward and is told, by mask and time, how stale it is.
#
# *GRU-D* (Che et al. 2018) builds in what a clinician takes for granted: a value that was measured long ago says less
# and less. It lets each old value fade towards the mean, and the state towards zero, at rates that it learns:
#
# $$\hat{x}_t = m_t x_t + (1 - m_t)\left(\gamma_t x_{last} + (1 - \gamma_t)\,\bar{x}\right), \qquad
#   \gamma_t = e^{-\max(0,\; w \delta_t + b)}$$
#
# with $m$ the mask, $\delta$ the hours since the last measurement and $\bar{x}$ the mean. After training we can ask it
# how long it trusts a value.

# %%
grud = recurrent_net(recurrent.GRUD, fit_rows)
found = evaluate.interval(evaluate.auroc, y[watched], grud(watched), who[watched])
say(f"On validation patients GRU-D reaches an AUROC of **{found}**.")

# %% [markdown]
# ## What a strong simple model sees
#
# Trees cannot read a series, but people can count. For each variable: the mean, the lowest, the highest, the first and
# the last value, the slope, how often and how long ago it was measured; and the same for the last day and the last
# hours.

# %%
def summaries(block):
    """Describe each series of a block (n, hours, variables): {name: array (n, variables)}."""
    there, hour = np.isfinite(block), np.arange(block.shape[1])[None, :, None]
    count = there.sum(axis=1)
    mean = np.nansum(block, axis=1) / count
    away = np.where(there, hour - (there * hour).sum(axis=1, keepdims=True) / count[:, None], 0)
    newest = block.shape[1] - 1 - there[:, ::-1].argmax(axis=1)
    first, last = (np.take_along_axis(block, at[:, None], 1)[:, 0] for at in (there.argmax(axis=1), newest))
    ranked = np.take_along_axis(np.sort(block, axis=1), np.maximum(count - 1, 0)[:, None] // 2, 1)[:, 0]
    return {"mean": mean, "median": ranked, "lowest": np.where(there, block, np.inf).min(axis=1),
            "highest": np.where(there, block, -np.inf).max(axis=1), "first": first, "last": last,
            "change": last - first, "count": count, "hours ago": np.where(count, block.shape[1] - newest, np.nan),
            "spread": np.sqrt(np.nansum((block - mean[:, None]) ** 2, axis=1) / count),
            "slope": np.nansum(away * block, axis=1) / (away**2).sum(axis=1)}


# %% [markdown]
# Clinicians also read some variables *together*: oxygen in the blood against oxygen given, pulse against pressure. And
# they add up points. The points of SAPS II (Le Gall et al. 1993) say how far a value is from where it should be; we
# count them hour by hour, from what was last known.

# %%
RATIOS = {"PaO2/FiO2": ("PaO2", "FiO2"), "SaO2/FiO2": ("SaO2", "FiO2"), "shock index": ("HR", "pressure"),
          "BUN/Creatinine": ("BUN", "Creatinine"), "Lactate/HCO3": ("Lactate", "HCO3")}
POINTS = {"HR": ([40, 70, 120, 160], [11, 2, 0, 4, 7]), "pressure": ([70, 100, 200], [13, 5, 0, 2]),
          "Temp": ([39], [0, 3]), "BUN": ([28, 84], [0, 6, 10]), "WBC": ([1, 20], [12, 0, 3]),
          "K": ([3, 5], [3, 0, 3]), "Na": ([125, 145], [5, 0, 1]), "HCO3": ([15, 20], [6, 3, 0]),
          "Bilirubin": ([4, 6], [0, 4, 9]), "GCS": ([6, 9, 11, 14], [26, 13, 7, 5, 0])}
AGE_POINTS = ([40, 60, 70, 75, 80], [0, 7, 12, 15, 16, 18])


def forward(series):
    """Carry the last value of each series (n, hours) forward."""
    at = np.maximum.accumulate(np.where(np.isfinite(series), np.arange(series.shape[1]), 0), axis=1)
    return np.take_along_axis(series, at, axis=1)


def points(values, scale):
    """Give the points of values; what is not known gives none."""
    borders, worth = scale
    return np.where(np.isfinite(values), np.array(worth)[np.digitize(values, borders)], 0)


# %%
def read_together(values):
    """Give series (n, hours) by name: the variables, pressures of line or cuff in one, and ratios."""
    series = {name: values[:, :, k] for k, name in enumerate(data.variables)}
    for name, *ways in (("pressure", "SysABP", "NISysABP"), ("mean pressure", "MAP", "NIMAP")):  # by line, by cuff
        known = [series[way] for way in ways if way in series]
        if known:
            series[name] = np.where(np.isfinite(known[0]), known[0], known[-1])
    for name, (above, below) in RATIOS.items():
        if above in series and below in series:
            series[name] = series[above] / forward(series[below])
    return series


def severity(series, age):
    """Add up the points of each hour, shape (n, hours)."""
    known = [points(forward(series[name]), scale) for name, scale in POINTS.items() if name in series]
    return sum(known, np.zeros_like(series[data.variables[0]])) + points(age, AGE_POINTS)[:, None]


# %%
def together(series, static):
    """Count over the whole stay: urine for each kg, hours on a ventilator, hours of low pressure, measurements."""
    empty = np.full_like(series[data.variables[0]], np.nan)
    urine, air, pressure = (series.get(k, empty) for k in ("Urine", "MechVent", "mean pressure"))
    kg, filled = static["Weight"].fillna(80).to_numpy(), sum(np.isfinite(series[v]) for v in data.variables)
    counts = {f"urine, mL/kg, last {h} h": np.nansum(urine[:, -h:], axis=1) / kg for h in (6, 12, 24, 48)}
    counts |= {f"ventilated, last {h} h": np.isfinite(air[:, -h:]).sum(axis=1) for h in (12, 48)}
    counts |= {f"mean pressure below {k}, h": (forward(pressure) < k).sum(axis=1) for k in (60, 65)}
    return counts | {f"measurements, last {h} h": filled[:, -h:].sum(axis=1) for h in (24, 48)}


# %%
def hand_features(values, static):
    """Describe each stay by hand: a frame with a row for each."""
    series = read_together(values)
    block = np.stack(list(series.values()), axis=2)
    windows = {"": block, "first 12 h": block[:, :12], "last day": block[:, -24:],
               "last 12 h": block[:, -12:], "last 6 h": block[:, -6:]}
    with np.errstate(invalid="ignore", divide="ignore"):
        tables = {(when, what): table for when, part in windows.items() for what, table in summaries(part).items()
                  if not when or what in ("mean", "lowest", "highest")}
    named = {f"{name} {what} {when}".strip(): table[:, k]
             for (when, what), table in tables.items() for k, name in enumerate(series)}
    load = severity(series, static["Age"].to_numpy())
    named |= together(series, static)
    named |= {"points now": load[:, -1], "points, last 12 h": load[:, -12:].mean(axis=1),
              "points, mean": load.mean(axis=1), "points, worst": load.max(axis=1)}
    unit = pd.get_dummies(static["ICUType"], prefix="unit").astype(float)
    frame = pd.concat([static.drop(columns="ICUType"), unit, pd.DataFrame(named, index=static.index)], axis=1)
    return frame.replace([np.inf, -np.inf], np.nan).astype(np.float32)


X = hand_features(data.values, data.static)
say(f"Each stay is now a row of **{X.shape[1]}** numbers.")

# %% [markdown]
# On these rows we train logistic regression, *gradient boosting* (many small trees, each mending the errors of those
# before) and a *support vector machine*.

# %%
table, trees = X.to_numpy(), 100 if effort == "demo" else 170


def softened(rows):
    """Give rows, labels and weights; a soft label becomes two rows, alive and dead, that share its weight."""
    both = np.concatenate([rows, rows[(soft[rows] > 0) & (soft[rows] < 1)]])
    dead = np.concatenate([y[rows], np.ones(len(both) - len(rows), int)])
    weight = np.where(dead, soft[both], 1 - soft[both])
    return both, dead, weight if len(both) > len(rows) else None  # weights of 1 would only slow the trees


# %%
def logistic(rows, seed=seed):
    """Fit logistic regression to the features of some rows; give what predicts the risk of others."""
    Z, (both, dead, weight) = bell(rows, table), softened(rows)
    model = LogisticRegression(C=0.001, max_iter=500).fit(Z[both], dead, weight)
    return lambda asked: model.predict_proba(Z[asked])[:, 1]


def boosting(rows, seed=seed, table=table):
    """The same, by gradient boosting; `table` may hold other features."""
    some, (both, dead, weight) = np.isfinite(table[rows]).any(axis=0), softened(rows)  # columns that are not empty
    model = HistGradientBoostingClassifier(
        learning_rate=0.06, max_iter=trees, max_leaf_nodes=8, l2_regularization=10, max_features=0.2,
        max_bins=63, random_state=seed).fit(table[both][:, some], dead, weight)
    return lambda asked, table=table: model.predict_proba(table[asked][:, some])[:, 1]


def machine(rows, seed=seed):
    """The same, by a support vector machine; its distances are bent to 0 ... 1."""
    Z, (both, dead, weight) = bell(rows, table), softened(rows)
    model = SVC(C=1, gamma=1.7 / Z.shape[1]).fit(Z[both], dead, weight)
    return lambda asked: expit(3 * model.decision_function(Z[asked]))


# %% [markdown]
# ## The claim, measured
#
# Every model gets the same treatment. Its training patients are cut into folds; a copy is trained on all folds but one,
# and predicts that one. So each training patient has a risk from a copy that has not seen this patient: from these we
# choose thresholds and learn how to combine models. For test patients the model is trained once more, on all training
# patients (with `effort=full` several times, from other starts, where chance plays a part; the mean counts).

# %%
MODELS = {"logistic regression": logistic, "boosting": boosting, "support vector machine": machine,
          "GRU with masks": partial(recurrent_net, recurrent.MaskedGRU),
          "GRU-D": partial(recurrent_net, recurrent.GRUD)}
outer, inner, starts = (3, 2, 1) if effort == "demo" else (5, 3, 3)


def folds(rows, k):
    """Cut rows into k folds, by patient and with deaths balanced: pairs of (all but one, that one)."""
    cut = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    return [(rows[a], rows[b]) for a, b in cut.split(rows, y[rows], who[rows])]


def crossed(train, rows, test):
    """Give risks of `rows` (at their places), each by a copy that has not seen it, and risks of test rows."""
    unseen = np.full(len(y), np.nan)
    for inside, outside in folds(rows, inner):
        unseen[outside] = train(inside)(outside)
    again = 1 if train in (logistic, machine) else starts  # no chance in these two
    return unseen, np.mean([train(rows, seed=seed + k)(test) for k in range(again)], axis=0)


# %%
everyone = np.arange(len(y))
if dataset != "challenge-2012":
    splits = [(np.concatenate([data.parts["train"], data.parts["valid"]]), data.parts["test"])]
elif test_on == "cv":
    splits = folds(everyone, outer)[:1 if effort == "demo" else outer]  # the demo looks at one fold alone
else:
    splits = [(np.flatnonzero(~late), np.flatnonzero(late))]
tested = np.concatenate([test for _, test in splits])
few = [min(np.bincount(y[rows], minlength=2)) for rows in (*[rows for rows, _ in splits], tested)]
if min(few[:-1]) < 5 or few[-1] < 1:
    raise MedkitError(f"{source}: of the patients for training {min(few[:-1])} have the rarer outcome, of those for the "
                      f"test {few[-1]}. At least 5 and 1 are needed.")
whence = "" if test_on == "cv" else f" (set {test_on}; the models learn from set a)"
say(f"Splits: **{len(splits)}**. Test stays in all: **{len(tested):,}**{whence}, {y[tested].sum():,} deaths among "
    f"them; inside each, {inner} copies of each of {len(MODELS)} models.")

# %%
jobs = [(k, name) for k in range(len(splits)) for name in MODELS]
risks = {job: crossed(MODELS[job[1]], *splits[job[0]]) for job in tqdm(jobs, desc="training", leave=False)}

# %% [markdown]
# *Stacking* lets a logistic regression weigh the models. It learns from the risks that copies gave to patients whom
# they had not seen, and it calibrates the result on the way.

# %%
def stacked(split, names):
    """Weigh models by a logistic regression: risks of training rows (at their places) and of test rows."""
    rows, _ = splits[split]
    odds = {name: [logit(np.clip(p, 1e-4, 1 - 1e-4)) for p in risks[split, name]] for name in names}
    unseen, asked = (np.column_stack([odds[name][which] for name in names]) for which in (0, 1))
    weigh = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    inside = np.full(len(y), np.nan)
    for a, b in folds(rows, 5):
        inside[b] = weigh.fit(unseen[a], y[a]).predict_proba(unseen[b])[:, 1]
    return inside, weigh.fit(unseen[rows], y[rows]).predict_proba(asked)[:, 1]


# %%
answers = [{name: stacked(k, [name]) for name in MODELS} | {"stack of all": stacked(k, list(MODELS))}
           for k in range(len(splits))]
inside = [{name: both[0] for name, both in answer.items()} for answer in answers]
risk = {name: np.concatenate([answer[name][1] for answer in answers]) for name in answers[0]}
truth, patient = y[tested], who[tested]

# %%
aurocs = {name: evaluate.interval(evaluate.auroc, truth, p, patient) for name, p in risk.items()}
plots.estimates(aurocs, "AUROC", f"Death in hospital: {source}, {len(truth):,} test stays")

# %% [markdown]
# With few deaths, AUROC flatters: most pairs are easy. *Average precision* asks how many of those with the highest
# risks do die. The challenge of 2012 was decided by *score 1*: the smaller of sensitivity and precision, at a threshold
# chosen in training.

# %%
def score_1(y, margin, w=None):
    """The smaller of sensitivity and precision; an alarm is a risk at or above the threshold (margin 0)."""
    found, right = (metric(y, margin, w, threshold=0) for metric in (evaluate.sensitivity, evaluate.precision))
    return np.where(np.equal(found, 0), 0.0, np.minimum(found, right))  # without an alarm there is no precision


def margins(name, choose):
    """Give how far each test risk lies above the threshold that `choose` finds on training patients."""
    cuts = [choose(y[rows], held[name][rows]) for (rows, _), held in zip(splits, inside)]
    return risk[name] - np.concatenate([np.full(len(test), cut) for (_, test), cut in zip(splits, cuts)])


def as_many_as_died(y, p):
    """Find the threshold that raises as many alarms as there are deaths: sensitivity and precision are then equal."""
    return np.quantile(p, 1 - y.mean())


# %%
aps = {name: evaluate.interval(evaluate.average_precision, truth, p, patient) for name, p in risk.items()}
scores = {name: evaluate.interval(score_1, truth, margins(name, as_many_as_died), patient) for name in risk}
shown = pd.DataFrame({"AUROC": aurocs, "average precision": aps, "score 1": scores})
shown.map(lambda e: f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})")

# %%
nets = [name for name in MODELS if name.startswith("GRU")]
net = max(nets, key=lambda name: np.mean([evaluate.auroc(y[rows], held[name][rows])
                                          for (rows, _), held in zip(splits, inside)]))
record("auroc", aurocs["stack of all"])
record("ap", aps["stack of all"])
record("score1", scores["stack of all"])
record("baseline_auroc", aurocs["boosting"])
record("baseline_ap", aps["boosting"])
record("net_auroc", aurocs[net])

# %% [markdown]
# Now the claim itself, with *paired* intervals: both models are asked about the same patients. The recurrent net is the
# one that did better on training patients held out; logistic regression and boosting see the features made by hand. The
# intervals draw test patients and train nothing anew. So "beyond chance" speaks of these trained models on other such
# patients; that models trained on other patients would differ, too, is not counted.

# %%
PAIRS = [(net, "logistic regression"), (net, "boosting"), ("stack of all", "boosting")]
gaps = {f"{a} less {b}": evaluate.compare(evaluate.auroc, truth, risk[a], risk[b], patient) for a, b in PAIRS}
plots.estimates(gaps, "difference in AUROC", f"Deep against simple, on the same stays\n{source}", reference=0)
record("gain_over_boosting", gaps["stack of all less boosting"])
ap_gap = evaluate.compare(evaluate.average_precision, truth, risk["stack of all"], risk["boosting"], patient)
record("gain_over_boosting_ap", ap_gap)

# %%
def verdict(gap):
    """Say in words what a difference with its interval allows us to say."""
    if gap.low > 0:
        return "better, beyond chance"
    return "worse, beyond chance" if gap.high < 0 else "which is better cannot be told"


deep_learning = "; ".join(f"{name.split(' less ')[0]} against {name.split(' less ')[1]}: **{verdict(gap)}** ({gap})"
                          for name, gap in gaps.items())
say(f"On {source}: {deep_learning}. In average precision, stack of all against boosting: **{verdict(ap_gap)}** "
    f"({ap_gap}).")

# %% [markdown]
# ### Against a severity score
#
# Wards have added up points for forty years. SAPS-I (Le Gall et al. 1984) takes the worst values of the first day.
# Where the data bring it, we rank patients by it; else by the points that we counted ourselves, from the last 12 hours
# and age. It is no input of our models: it stands in the file of outcomes, beside columns that give the outcome away,
# such as days of survival. Some stays may lack a score. So all are asked about the same stays: those with every score.

# %%
known = data.scores["SAPS-I"].to_numpy() if "SAPS-I" in data.scores else np.full(len(y), np.nan)
bedside = {"points, last 12 h, and age": X["points, last 12 h"].to_numpy()}
if np.isfinite(known[tested]).any():
    bedside["SAPS-I"] = known
asked = {name: score[tested] for name, score in bedside.items()}
here = np.isfinite(list(asked.values())).all(axis=0)
asked |= {name: risk[name] for name in ("logistic regression", "stack of all")}
scored = {name: evaluate.interval(evaluate.auroc, truth[here], p[here], patient[here]) for name, p in asked.items()}
plots.estimates(scored, "AUROC", f"Severity scores and models: {source}")

# %%
stack = risk["stack of all"][here]
over = {name: evaluate.compare(evaluate.auroc, truth[here], stack, asked[name][here], patient[here])
        for name in bedside}
said = "; ".join(f"the stack against {name}: **{verdict(gap)}** ({gap})" for name, gap in over.items())
say(f"On the {here.sum():,} of {len(here):,} test stays with every score, {said}.")

# %% [markdown]
# ## What is a risk worth on the ward?
#
# ### Calibration
#
# Of all patients with a risk of 30 %, do 30 in 100 die? Otherwise no threshold means what it says.

# %%
three = {name: risk[name] for name in ("stack of all", "boosting", net)}
plots.calibration(truth, three, f"Predicted risk and observed deaths\n{source}")
record("ece", evaluate.interval(evaluate.ece, truth, risk["stack of all"], patient))

# %% [markdown]
# ### Alarms
#
# An alarm must find 80 % of those who will die. The threshold comes from training patients. How many alarms does a
# nurse answer for each that is right?

# %%
def alarms_per_true(y, margin, w=None):
    """Alarms for each true alarm: one over the precision; no number (NaN) where no alarm is right."""
    right = np.asarray(evaluate.precision(y, margin, w, threshold=0))
    return 1 / np.where(right > 0, right, np.nan)


four_fifths = partial(evaluate.threshold_for, sensitivity=0.8)
alarms = {name: evaluate.interval(alarms_per_true, truth, margins(name, four_fifths), patient) for name in risk}
plots.estimates({name: e for name, e in alarms.items() if np.isfinite(e.value)}, "alarms for each true alarm",
                f"At a threshold that found 80 % of deaths in training\n{source}")

# %%
reached = evaluate.interval(evaluate.sensitivity, truth, margins("stack of all", four_fifths), patient, threshold=0)
each = alarms["stack of all"].value
sound = f"**{each:.1f}** alarms sound for each true one" if np.isfinite(each) else "**no alarm is right**"
say(f"With the stack, {sound}. On test patients it found {reached} of the deaths: the 80 % were promised by training "
    "patients.")

# %% [markdown]
# ### Net benefit
#
# Suppose that we would treat at a risk of 20 %: then one missed death weighs as much as four needless treatments. *Net
# benefit* (Vickers & Elkin 2006) counts true alarms for each patient, less false ones at that exchange rate. A model
# is useful where it lies above both treating everybody and treating nobody (0).

# %%
limits = np.linspace(0.02, 0.6, 30)
benefit = {name: [evaluate.net_benefit(truth, p, threshold=t) for t in limits] for name, p in three.items()}
all_treated = [evaluate.net_benefit(truth, np.ones(len(truth)), threshold=t) for t in limits]
benefit["treat everybody (drawn down to -0.05)"] = np.maximum(all_treated, -0.05)
plots.curves(limits, benefit, "threshold (risk at which one would act)", "net benefit (true alarms for each patient)",
             f"Decision curve: {source}", reference=(0, "treat nobody"))

# %% [markdown]
# ### For whom does it work?
#
# A mean hides groups. Age, sex and unit, each with its interval: where few have died, the interval is wide;
# where fewer than five have, there is none.

# %%
about = data.static.iloc[tested]
groups = {"age": pd.cut(about["Age"], [0, 50, 65, 80, 200], right=False,
                        labels=["0 to 49", "50 to 64", "65 to 79", "80 and over"]).astype(object).fillna("unknown"),
          "sex": about["Gender"].map({0: "female", 1: "male"}).fillna("unknown"),
          "unit": about["ICUType"].map({1: "coronary", 2: "heart surgery", 3: "medical", 4: "surgical"}
                                       ).fillna("unknown")}
whom = pd.concat({name: evaluate.subgroups(evaluate.auroc, truth, risk["stack of all"], group.to_numpy(), patient)
                  for name, group in groups.items()})
whom.round(3)

# %%
rows = {f"{kind}: {group} ({row.positive:.0f} of {row.n:.0f} died)": evaluate.Estimate(row.value, row.low, row.high)
        for (kind, group), row in whom.iterrows() if row.positive > 1}
plots.estimates(rows, "AUROC of the stack", f"For whom does it work? {source}")

# %% [markdown]
# ### How early?
#
# A warning on the second day is late for many. We cut the stays short, make the features anew, and train boosting and
# the recurrent net again. What is known of the patient is cut, too: a weight that was written down on the second day
# was not known on the first. Hours before the first measurement of all are not asked about.

# %%
begun = data.mask[:, :, [v != "Weight" for v in data.variables]].any(axis=(0, 2)).argmax()
early = [h for h in (6, 12, 24, 48) if begun < h <= horizon_hours] or [horizon_hours]


def cut_short(h):
    """Give the stays as they were known after h hours; of simulated patients, static is what admission knows."""
    if data.truth is not None or h == horizon_hours:
        return replace(data, values=data.values[:, :h])
    return known_after(h)[0]


def risks_after(h):
    """Train boosting and the net on the first h hours; give the risks of test stays."""
    if h == horizon_hours and starts == 1:  # trained already
        return {name: np.concatenate([risks[k, name][1] for k in range(len(splits))]) for name in ("boosting", net)}
    part = cut_short(h)
    rows_of, series = hand_features(part.values, part.static).to_numpy(), grids(part)
    trained = {"boosting": partial(boosting, table=rows_of), net: partial(MODELS[net], grid=series)}
    return {name: np.concatenate([train(rows)(test) for rows, test in splits]) for name, train in trained.items()}


after = {h: risks_after(h) for h in tqdm(early, desc="hours", leave=False)}

# %%
for measure, metric in {"AUROC": evaluate.auroc, "average precision": evaluate.average_precision}.items():
    known_by = {name: [evaluate.interval(metric, truth, p[name], patient) for p in after.values()]
                for name in ("boosting", net)}
    plots.curves(early, known_by, "hours since admission", measure, f"From the first hours alone: {source}")

# %%
sooner = {h: evaluate.compare(evaluate.auroc, truth, p[net], p["boosting"], patient) for h, p in after.items()}
said = "; ".join(f"after {h} hours {verdict(gap)} ({gap})" for h, gap in sooner.items())
say(f"{net} against boosting, in AUROC: {said}.")

# %% [markdown]
# Careful: the challenge took only patients who stayed for 48 hours (Silva et al. 2012). A real warning at hour 6 would
# also meet those who die, or go home, at hour 20.

# %% [markdown]
# ## Who comes back: readmission
#
# Another question on the day of discharge: will this patient be back within 30 days? Now each row is one stay:
# who the patient is, what was wrong, laboratory values, drugs. Patients recur, so what we know of a patient
# grows with every stay. All stays of a patient lie in one part.

# %% tags=["nbval-check-output"]
table = tables.load(encounters, seed=seed)
if len(table.classes) != 2:
    raise MedkitError(f"{encounters}: the outcome has {len(table.classes)} values ({', '.join(table.classes[:5])}). "
                      "Whether somebody comes back needs two: no and yes.")
thirty_days = table.classes[1] == "readmitted within 30 days"
other, back_again = table.classes
meant = [] if thirty_days else [f"'{back_again}' counts as coming back, '{other}' as not. If it is the other way round, "
                                f'write positive = "{other}" into a TOML file beside the table.']
for note in table.notes + meant:
    print("-", note)
pd.DataFrame({part: {"stays": len(back), "patients": len(set(table.patients[part])), "readmitted": int(back.sum())}
              for part, back in table.y.items()})

# %% [markdown]
# What do *earlier* stays tell? How many there were, how many of them were followed by a quick return, and what
# was measured last time. Each of these was known when this stay ended. (The number of *later* stays would give
# the answer away.)

# %%
def with_history(X, back, person):
    """Add what was known from earlier stays of the same person; rows stand in the order of time."""
    of, back = X.select_dtypes("number").groupby(person), pd.Series(back, X.index)
    came, returned = of.cumcount(), back.groupby(person).cumsum() - back
    last = of.shift().add_prefix("last ")
    return pd.concat([X, last], axis=1).assign(**{
        "stays before": came, "returns before": returned, "share of returns": returned / came.replace(0, np.nan),
        "last return": back.groupby(person).shift()})


def plain(X):
    """Bring yes and no (True and False) to 1 and 0, and leave dates out."""
    return X.select_dtypes(exclude=["datetime", "datetimetz"]).astype(dict.fromkeys(X.select_dtypes("bool"), int))


alone = {part: plain(X) for part, X in table.X.items()}
told = {part: with_history(X, table.y[part], table.patients[part]) for part, X in alone.items()}

# %% [markdown]
# A diagnosis is one of hundreds of codes. Trees split categories well as long as they are few. So for long
# lists of codes we add the share of training patients with that code who came back, drawn towards the mean
# where a code is rare (*target encoding*; Micci-Barreca 2001). Worked out carelessly it tells each training
# patient their own answer, so the share comes from *other* training patients.

# %%
def return_shares(names, back, person):
    """Give for each code the share of training patients who came back; for training rows, of other patients."""
    def learnt(rows):
        return TargetEncoder(smooth=50).fit(names["train"].iloc[rows], back[rows])

    shares = {part: learnt(np.arange(len(back))).transform(N) for part, N in names.items()}
    for others, here in GroupKFold(5).split(back, groups=person):
        shares["train"][here] = learnt(others).transform(names["train"].iloc[here])
    return shares


# %%
def for_trees(frames):
    """Keep short lists of categories as they are; add shares for long ones."""
    words = frames["train"].select_dtypes(["category", "object"])
    values = {c: sorted(words[c].dropna().unique()) for c in words}
    kept = {part: X.assign(**{c: pd.Categorical(X[c], v) for c, v in values.items()}).drop(
        columns=[c for c, v in values.items() if len(v) > 200]) for part, X in frames.items()}
    many = [c for c, v in values.items() if len(v) > 12]
    if not many:
        return kept
    shares = return_shares({part: X[many].astype(str) for part, X in frames.items()}, table.y["train"],
                           table.patients["train"])
    return {part: X.join(pd.DataFrame(shares[part], X.index).add_prefix("share ")) for part, X in kept.items()}


# %%
def boosted(frames):
    """Fit boosting on training stays a few times; give the mean risks of each part."""
    X, rounds, risks = for_trees(frames), 150 if effort == "demo" else 500, []
    X = {part: rows.loc[:, X["train"].notna().any()] for part, rows in X.items()}  # an empty column says nothing
    for turn in range(1 if effort == "demo" else 3):
        trees = HistGradientBoostingClassifier(
            learning_rate=0.03, max_iter=rounds, max_leaf_nodes=15, min_samples_leaf=60, l2_regularization=5,
            max_features=0.2, categorical_features="from_dtype", random_state=seed + turn)
        trees.fit(X["train"], table.y["train"])
        risks.append({part: trees.predict_proba(X[part])[:, 1] for part in ("valid", "test")})
    return {part: np.mean([r[part] for r in risks], axis=0) for part in ("valid", "test")}


back_risks = {"boosting, this stay alone": boosted(alone), "boosting with history": boosted(told)}

# %% [markdown]
# ### Embeddings, and a network that reads the stays one after another
#
# A network can learn its own numbers for a code: an *embedding*, a short vector for each code, learnt with the
# rest (Guo & Berkhahn 2016). Codes that mean much the same for the future come to lie close together. Codes
# that fewer than 20 training stays have share one vector.

# %%
def coded(frames):
    """Number the categories by their place among the training stays' common ones (0: rare or unknown)."""
    words = frames["train"].select_dtypes(["category", "object"]).columns
    known = {c: frames["train"][c].astype(str).value_counts() for c in words}
    common = {c: pd.Index(n.index[n >= 20]) for c, n in known.items()}
    return {part: X[words].apply(lambda column: common[column.name].get_indexer(column.astype(str)) + 1).to_numpy(int)
            for part, X in frames.items()}


def scaled_numbers(frames):
    """Give numbers, on a scale that tames long tails, in units of the training stays."""
    numbers = {part: X.select_dtypes("number").astype(float).fillna(0) for part, X in frames.items()}
    tamed = {part: np.sign(N) * np.log1p(N.abs()) for part, N in numbers.items()}
    if not tamed["train"].shape[1]:
        return {part: np.zeros(N.shape, np.float32) for part, N in tamed.items()}
    scale = StandardScaler().fit(tamed["train"])
    return {part: scale.transform(N).clip(-5, 5).astype(np.float32) for part, N in tamed.items()}


codes, numbers_alone, numbers_told = coded(alone), scaled_numbers(alone), scaled_numbers(told)
vectors = [(int(n), min(16, emb_sz_rule(int(n)))) for n in codes["train"].max(axis=0) + 1]

# %%
def net_risks(net, inputs, epochs):
    """Train a network on training stays; give the risks of the other parts."""
    parts = {part: (*(x[part] for x in inputs), table.y[part][:, None].astype(np.float32)) for part in table.y}
    dls = training.array_loaders(parts["train"], parts["valid"], 512, seed=seed)
    learn = training.learner(dls, net, nn.BCEWithLogitsLoss(), cbs=training.averaging())
    training.fit(learn, epochs, lr=0.005, wd=0.1)
    return {part: training.probabilities(learn, *(x[part] for x in inputs), batch_size=2048)
            for part in ("valid", "test")}


training.set_seed(seed)
embedding_net = TabularModel(vectors, numbers_told["train"].shape[1], 1, [100, 50], ps=[0.2, 0.2], embed_p=0.2)
back_risks["embeddings with history"] = net_risks(embedding_net, (codes, numbers_told), 3)

# %% [markdown]
# We wrote the history by hand. A recurrent net can read the stays themselves, one after another, each with its
# codes, its numbers, and whether the patient had come back from the stay before.

# %%
def last_stays(table, part, most=5):
    """Give codes and numbers of each row's last stays, (n, most, ...), oldest first; empty places hold 0."""
    came = pd.Series(table.patients[part]).groupby(table.patients[part]).cumcount().to_numpy()
    ago = np.arange(most - 1, -1, -1)
    row, there = np.arange(len(came))[:, None] - ago, (ago <= came[:, None])[..., None]
    before = np.where(came > 0, np.roll(table.y[part], 1), 0)
    told = np.column_stack([numbers_alone[part], before, came > 0, np.log1p(came)]).astype(np.float32)
    return np.where(there, codes[part][row], 0), np.where(there, told[row], 0).astype(np.float32)


class StayReader(nn.Module):
    """Embeddings and numbers of each stay, a GRU over the stays, and the last stay once more."""

    def __init__(self, vectors, n_numbers, hidden=64, drop=0.2):
        super().__init__()
        self.vectors = nn.ModuleList(nn.Embedding(n, size) for n, size in vectors)
        self.inward = nn.Sequential(nn.Linear(sum(size for _, size in vectors) + n_numbers, hidden), nn.ReLU())
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.drop = nn.Dropout(drop)
        self.outward = nn.Sequential(nn.Dropout(drop), nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, codes, numbers):
        found = [vector(codes[..., k]) for k, vector in enumerate(self.vectors)]
        words = torch.cat([numbers[..., :0], *found], dim=-1)  # of width 0 where a table has no codes
        stays = self.inward(torch.cat([self.drop(words), numbers], dim=-1))
        return self.outward(torch.cat([self.gru(stays)[0][:, -1], stays[:, -1]], dim=1))


# %%
series = {part: last_stays(table, part) for part in table.y}
training.set_seed(seed)
reader = StayReader(vectors, series["train"][1].shape[2])
back_risks["RNN over stays"] = net_risks(reader, [{part: s[k] for part, s in series.items()} for k in (0, 1)], 3)

# %% [markdown]
# Last, a *stack*: logistic regression weighs the models' logits (log-odds), on validation patients. On test patients all
# stand side by side, with intervals that resample *patients*, because the stays of one patient are not
# independent.

# %%
mixed = [name for name in back_risks if "alone" not in name]
logits = {part: np.stack([logit(np.clip(back_risks[name][part].ravel(), 1e-6, 1 - 1e-6)) for name in mixed], axis=1)
          for part in ("valid", "test")}
mixer = LogisticRegression(C=1.0).fit(logits["valid"], table.y["valid"])
back_risks["stack"] = {part: mixer.predict_proba(z)[:, 1] for part, z in logits.items()}

# %%
draws = 300 if effort == "demo" else 1000
came_back, whose = table.y["test"], table.patients["test"]
readmission = {name: evaluate.interval(evaluate.auroc, came_back, p["test"].ravel(), whose, draws)
               for name, p in back_risks.items()}
made_up = " (simulated)" if any("Simulated" in note for note in table.notes) else ""
plots.estimates(readmission, "AUROC (test stays)", f"Back{' within 30 days' * thirty_days}: {table.name}{made_up}",
                reference=0.5)
record("readmission_auroc", readmission["stack"])
record("readmission_baseline", readmission["boosting with history"])

# %%
back_gap = evaluate.compare(evaluate.auroc, came_back, back_risks["stack"]["test"],
                            back_risks["boosting with history"]["test"], whose, draws)
record("readmission_gain", back_gap)
say(f"The stack less boosting with history, on the same stays: **{back_gap}**: {verdict(back_gap)}.")

# %%
reading_gap = evaluate.compare(evaluate.auroc, came_back, back_risks["RNN over stays"]["test"].ravel(),
                               back_risks["boosting with history"]["test"], whose, draws)
history_gap = evaluate.compare(evaluate.auroc, came_back, back_risks["boosting with history"]["test"],
                               back_risks["boosting, this stay alone"]["test"], whose, draws)
say(f"Boosting with history less this stay alone: {history_gap}: **{verdict(history_gap)}**. The RNN less boosting with "
    f"history: {reading_gap}: **{verdict(reading_gap)}**. Average precision of the stack: "
    f"{evaluate.interval(evaluate.average_precision, came_back, back_risks['stack']['test'], whose, draws)}, where "
    f"{came_back.mean():.3f} came back.")

# %% [markdown]
# Whether someone returns depends on much that no hospital writes down: who cooks, who helps, who can pay. On
# the real encounters an AUROC far above 0.70 should make you look for a leak: a patient on both sides of the
# split, the dead among those who "did not return", or the number of later stays.

# %% [markdown]
# ## When, and not only whether: survival
#
# 500 real people of Worcester had a heart attack and were followed for years (WHAS500; Hosmer, Lemeshow & May 2008).
# Some were alive when the study ended: of them we know only that they lived *at least* so long. They are *censored*. A
# model of survival ranks patients by risk. Its *C-index* is the chance that, of two patients, the one who died earlier
# had the higher risk: 0.5 is a coin. We leave out the length of the hospital stay: at admission nobody knows it.

# %%
heart, fate = load_whas500()
heart = heart.drop(columns="los").astype(float).to_numpy()
died, days = fate["fstat"], fate["lenfol"]


def cox(X, fate, seed):
    """Fit Cox's proportional hazards (Cox 1972), a little regularised."""
    return CoxPHSurvivalAnalysis(alpha=0.1).fit(X, fate)


def forest(X, fate, seed):
    """Grow a random survival forest (Ishwaran et al. 2008)."""
    return RandomSurvivalForest(100, min_samples_leaf=10, random_state=seed).fit(X, fate)


# %% [markdown]
# A network can take the place of Cox's weighted sum (DeepSurv; Katzman et al. 2018). Its loss asks, at each death, how
# much of the risk of all those still alive lay with the one who died. With so few patients it must be held back, by strong
# weight decay and few steps. (How strong, and how few, was tried on simulated patients: `benchmarks/NOTES.md`.)

# %%
def partial_likelihood(risk, order_of_death):
    """Give Cox's loss; patients stand in falling order of time, and the target is 1 where one died."""
    still_alive = torch.logcumsumexp(risk[:, 0], dim=0)
    return -((risk[:, 0] - still_alive) * order_of_death).sum() / order_of_death.sum()


def small_net(X, fate, seed):
    """Train a small network on the partial likelihood, and give it Cox's way to survival curves."""
    training.set_seed(seed)
    late_first = np.argsort(-fate["lenfol"], kind="stable")
    x, t = (torch.as_tensor(np.asarray(v[late_first], np.float32)) for v in (X, fate["fstat"]))
    net = nn.Sequential(nn.Linear(X.shape[1], 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=3)
    for step in range(30):
        optimiser.zero_grad()
        partial_likelihood(net(x), t).backward()
        optimiser.step()
    return NetSurvival(net.eval(), X, fate)


# %%
class NetSurvival:
    """A network's risk with the curve of a Cox model that has this risk as its only column."""

    def __init__(self, net, X, fate):
        self.net = net
        self.curve = CoxPHSurvivalAnalysis(alpha=0.1).fit(self.predict(X)[:, None], fate)

    def predict(self, X):
        """Give the log risk of each patient."""
        return training.forward(self.net, [torch.as_tensor(X, dtype=torch.float32)])[:, 0].numpy()

    def predict_survival_function(self, X):
        """Give each patient's curve of survival."""
        return self.curve.predict_survival_function(self.predict(X)[:, None])


# %% [markdown]
# The C-index looks at ranks alone. The *integrated Brier score* looks at the curves: the squared error of the chance to
# be alive, averaged over time, with those who are censored weighed for (Graf et al. 1999). 0 is perfect; lower is
# better.

# %%
def judged(fitted, X, fate, known):
    """Give the integrated Brier score on test patients, from month 1 to year 4."""
    times, soon = np.linspace(30, 1460, 40), fate.copy()
    soon["lenfol"], soon["fstat"] = np.minimum(fate["lenfol"], 1461), fate["fstat"] & (fate["lenfol"] <= 1460)
    alive = np.array([curve(times) for curve in fitted.predict_survival_function(X)])
    return integrated_brier_score(known, soon, alive, times)


def pairs(fitted, X, fate):
    """Say of each pair of test patients whether one is known to have died first, and whether the risks agree."""
    time, died, risk = fate["lenfol"], fate["fstat"], fitted.predict(X)
    first = died[:, None] & ((time[:, None] < time) | ((time[:, None] == time) & ~died))
    agree = np.where(risk[:, None] == risk, 0.5, risk[:, None] > risk)  # a tie counts half
    return first.astype(float), first * agree


# %%
SURVIVAL = {"Cox": cox, "random survival forest": forest, "small network": small_net}
repeats = 2 if effort == "demo" else 10
marks, orders = ({name: [] for name in SURVIVAL} for _ in range(2))
for repeat in range(repeats):
    for a, b in StratifiedKFold(5, shuffle=True, random_state=seed + repeat).split(heart, died):
        scale = StandardScaler().fit(heart[a])
        for name, fit in SURVIVAL.items():
            fitted, X_test = fit(scale.transform(heart[a]), fate[a], repeat), scale.transform(heart[b])
            marks[name].append(judged(fitted, X_test, fate[b], fate[a]))
            orders[name].append((b, *pairs(fitted, X_test, fate[b])))

# %% [markdown]
# Folds share patients, so a plain interval over folds would be too narrow. For the C-index we draw *patients* instead,
# whole through all folds; the models are not trained anew. For the Brier score, which is taken fold by fold, the interval
# over folds is widened as Nadeau & Bengio (2003) advise.

# %%
def concordance(name, w):
    """Give the C-index, averaged over folds, under each row of weights of patients."""
    found = [np.einsum("rn,nm,rm->r", w[:, b], agree, w[:, b], optimize=True)
             / np.einsum("rn,nm,rm->r", w[:, b], first, w[:, b], optimize=True) for b, first, agree in orders[name]]
    return np.mean(found, axis=0)


once = np.ones((1, len(heart)))
drawn = {name: evaluate.bootstrap(partial(concordance, name), len(heart), None, 1000, seed) for name in SURVIVAL}
found = {name: float(concordance(name, once)[0]) for name in SURVIVAL}
c_index = {name: evaluate.Estimate(v, *evaluate.percentiles(drawn[name], v)) for name, v in found.items()}
plots.estimates(c_index, "C-index", f"Survival after a heart attack (500 real people): {repeats} x 5 folds")
record("c_index", c_index["small network"])
record("c_index_baseline", c_index["Cox"])

# %%
over_folds = partial(evaluate.mean_interval, shared=1 / 4)  # a fold has one test patient for four in training
brier = {name: over_folds(errors) for name, errors in marks.items()}
plots.estimates(brier, "integrated Brier score (lower is better)", "How good are the curves of survival? (500 real people)")
ahead = c_index["small network"].value - c_index["Cox"].value
survival_gap = evaluate.Estimate(ahead, *evaluate.percentiles(drawn["small network"] - drawn["Cox"], ahead))
record("c_index_gain", survival_gap)
brier_gap = over_folds(np.subtract(marks["Cox"], marks["small network"]))
say(f"The network's C-index less Cox's, on the same patients: {survival_gap}: **{verdict(survival_gap)}**. "
    f"Cox's Brier score less the network's, fold by fold: {brier_gap}: **{verdict(brier_gap)}**.")

# %% [markdown]
# ## Where it fails
#
# A model of what was measured is also a model of *who measures*. Suppose that another ward orders half as many
# measurements, or that its laboratory reports creatinine in µmol/L (88.4 times the number in mg/dL). Nobody tells the
# model, and no error is raised. Lesson 2 checks units; nothing but a look at the ward checks habits.

# %%
def on_another_ward(change):
    """Ask boosting, trained as before, about validation patients whose measurements have been changed."""
    changed = hand_features(change(data.values.copy()), data.static).to_numpy()
    return trusted(watched, changed)


def fewer(values):
    """Leave out half of the measurements."""
    return np.where(np.random.default_rng(seed).random(values.shape) < 0.5, np.nan, values)


def other_unit(values):
    """Give a variable in another unit."""
    values[:, :, data.variables.index(mistaken)] *= 88.4
    return values


# %%
trusted, mistaken = boosting(fit_rows), "Creatinine" if "Creatinine" in data.variables else data.variables[0]
swapped = "creatinine in µmol/L" if mistaken == "Creatinine" else f"{mistaken} in a unit 88.4 times as small"
wards = {"as it is": on_another_ward(lambda v: v), "half as many measurements": on_another_ward(fewer),
         swapped: on_another_ward(other_unit)}
plots.estimates({name: evaluate.interval(evaluate.auroc, y[watched], p, who[watched]) for name, p in wards.items()},
                "AUROC (validation stays)", f"The same model on another ward: {source}")

# %%
said = "; ".join(f"{name}: **{p.mean():.3f}**" for name, p in wards.items())
say(f"The mean risk that it gives: {said}. Of these patients {y[watched].mean():.3f} died. "
    "A ranking can look sound while the risks in it are wrong: look at both.")

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **Exercise 1.** GRU-D needs the hours since a variable was last measured, *before* the hour itself. For one series of
# True and False, give them: 0 in the first hour; until the first measurement, count from the start.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("6.1", hint="If the hour before was measured, it is 1; else one more than before.")


@exercise_1.check
def _(since):
    assert list(since(np.array([1, 1], bool))) == [0, 1], "One hour after a measurement it is 1, also if this hour is measured."
    assert list(since(np.array([1, 0, 0, 1, 0], bool))) == [0, 1, 2, 3, 1], (
        "The hour of a new measurement still tells how long we had waited; the count starts anew after it.")
    assert list(since(np.array([0, 0, 1], bool))) == [0, 1, 2], "Before the first measurement, count from the start."

# %% tags=["exercise", "nbval-check-output"]
def since(measured):
    ### BEGIN SOLUTION
    hours = [0]
    for before in measured[:-1]:
        hours.append(1 if before else hours[-1] + 1)
    return hours
    ### END SOLUTION


exercise_1(since)

# %% tags=["wrong"]
def since(measured):
    hours = [0]
    for now in measured[1:]:
        hours.append(0 if now else hours[-1] + 1)
    return hours

# %% tags=["wrong"]
def since(measured):
    return list(range(len(measured)))

# %% [markdown] tags=["exercise"]
# **Exercise 2.** GRU-D has learned a rate of 0.05 per hour for a variable ($b = 0$). After how many hours does the last
# value count half?

# %% tags=["exercise", "context"]
exercise_2 = Exercise("6.2", hint="Solve exp(-0.05 * hours) = 0.5.")


@exercise_2.check
def _(half_life):
    assert not np.isclose(half_life, 20), "That is where it counts 1/e, about 37 %."
    assert not np.isclose(half_life, 10), "Half of 20 hours is not where an exponential reaches a half."
    assert np.isclose(half_life, np.log(2) / 0.05, atol=0.15), "Which power of e is one half?"

# %% tags=["exercise", "nbval-check-output"]
### BEGIN SOLUTION
half_life = np.log(2) / 0.05
### END SOLUTION

exercise_2(half_life)

# %% tags=["wrong"]
half_life = 1 / 0.05

# %% tags=["wrong"]
half_life = 0.5 / 0.05

# %% [markdown] tags=["exercise"]
# **Exercise 3.** Write the net benefit of acting at a threshold: true alarms for each patient, less false alarms for
# each patient times the odds `threshold / (1 - threshold)`.

# %% tags=["exercise", "context"]
exercise_3 = Exercise("6.3", hint="alarm = p >= threshold; divide both counts by the number of all patients.")


@exercise_3.check
def _(benefit_of):
    died, p = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.1, 0.6, 0.3, 0.1])
    assert np.isclose(benefit_of(died, p, 0.95), 0), "Without an alarm there is neither benefit nor harm."
    assert not np.isclose(benefit_of(died, p, 0.2), 0), "At 0.2 a false alarm costs less than a true one gains."
    assert np.isclose(benefit_of(died, p, 0.2), 0.2 - 0.4 * 0.25), "One true, two false alarms at 1 to 4, of 5."
    assert np.isclose(benefit_of(died, p, 0.5), 0.0), "At a threshold of 0.5 one true alarm makes up for one false one."

# %% tags=["exercise", "nbval-check-output"]
def benefit_of(y, p, threshold):
    ### BEGIN SOLUTION
    alarm = p >= threshold
    return np.mean(alarm & (y == 1)) - np.mean(alarm & (y == 0)) * threshold / (1 - threshold)
    ### END SOLUTION


exercise_3(benefit_of)

# %% tags=["wrong"]
def benefit_of(y, p, threshold):
    alarm = p >= threshold
    return (np.mean(alarm & (y == 1)) - np.mean(alarm & (y == 0))) / 2

# %% tags=["wrong"]
def benefit_of(y, p, threshold):
    alarm = p >= threshold
    return np.mean(alarm & (y == 1)) - np.mean(alarm & (y == 0)) * (1 - threshold) / threshold

# %% [markdown] tags=["exercise"]
# **Exercise 4.** On a ward 14 % die. A model finds 80 % of them, with a specificity of 0.80. How many alarms sound for
# each true one?

# %% tags=["exercise", "context"]
exercise_4 = Exercise("6.4", hint="Of 100 patients 14 die: 14 * 0.80 true alarms; of 86 others 0.20 raise one.")


@exercise_4.check
def _(alarms_each):
    assert not np.isclose(alarms_each, 11.2 / 28.4, atol=0.005), "That is the precision; turn it over."
    assert not np.isclose(alarms_each, 17.2 / 11.2, atol=0.005), "Those are the false alarms alone; count all."
    assert np.isclose(alarms_each, 28.4 / 11.2, atol=0.05), "Divide all alarms by the true ones."

# %% tags=["exercise", "nbval-check-output"]
### BEGIN SOLUTION
true_alarms, false_alarms = 14 * 0.80, 86 * 0.20
alarms_each = (true_alarms + false_alarms) / true_alarms
### END SOLUTION

exercise_4(alarms_each)

# %% tags=["wrong"]
alarms_each = 1 / 0.80

# %% tags=["wrong"]
alarms_each = 17.2 / 11.2

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# <details><summary>Which three things should a model see of each variable and hour?</summary>The value, whether it was
# measured, and how long ago.</details>
# <details><summary>Why can the number of measurements predict death?</summary>Staff measure more where they worry.
# The count
# carries their judgement, and breaks where habits differ.</details>
# <details><summary>What does GRU-D let fade, and towards what?</summary>The last value towards the mean, and the
# state towards
# zero, at rates that it learns.</details>
# <details><summary>On which risks does the stack learn its weights, and why?</summary>On risks given by copies that
# had not
# seen these patients; a model's risks for its own training patients are too good.</details>
# <details><summary>Two models have the same AUROC. Why may one be useless at the bedside?</summary>Its risks may be
# badly
# calibrated, or its precision at the needed sensitivity so low that alarms are ignored.</details>
# <details><summary>Why may SAPS-I not be an input here?</summary>It comes from the outcomes file, for comparison: a
# score worked
# out by others from the same stay. Beside it stand columns that give the outcome away, such as days of
# survival.</details>

# %% [markdown]
# ## Take away
#
# - Value, mask and time since: a recurrent net that is given all three reads a stay with gaps as it is.
# - Features made with clinical sense, and boosting, are the simple model that a network must be held against. Whether
#   a stack adds to it is for a paired interval to say.
# - Measure what earlier stays add before you rely on it. Split by patient, or the model learns the patients by heart.
# - A risk is worth what it changes: alarms for each true one, net benefit, for whom, and how early.

# %%
say(f"Death in hospital, on {source}: stack {aurocs['stack of all']}; boosting {aurocs['boosting']}; "
    f"{net} {aurocs[net]}. {deep_learning}. "
    f"Readmission, on {table.name}{made_up}: stack {readmission['stack']}; boosting with history "
    f"{readmission['boosting with history']}; boosting with history against this stay alone: "
    f"**{verdict(history_gap)}** ({history_gap}). "
    f"Survival after a heart attack (real): network {c_index['small network']}, Cox {c_index['Cox']}: "
    f"**{verdict(survival_gap)}**.")

# %% [markdown]
# **References**
#
# - Silva I, Moody G, Scott DJ, Celi LA, Mark RG. Predicting in-hospital mortality of ICU patients: the
#   PhysioNet/Computing in Cardiology challenge 2012. Computing in Cardiology 39:245-248, 2012.
#   [PMC3965265](https://www.ncbi.nlm.nih.gov/pmc/articles/PMC3965265/)
# - Che Z, Purushotham S, Cho K, Sontag D, Liu Y. Recurrent neural networks for multivariate time series with missing
#   values. Sci Rep 8:6085, 2018. [doi:10.1038/s41598-018-24271-9](https://doi.org/10.1038/s41598-018-24271-9)
# - Cho K, van Merrienboer B, Gulcehre C et al. Learning phrase representations using RNN encoder-decoder. EMNLP 2014.
#   [doi:10.3115/v1/D14-1179](https://doi.org/10.3115/v1/D14-1179) (the GRU)
# - Le Gall JR, Loirat P, Alperovitch A et al. A simplified acute physiology score for ICU patients. Crit Care Med
#   12:975-977,
#   1984. [doi:10.1097/00003246-198411000-00012](https://doi.org/10.1097/00003246-198411000-00012) (SAPS-I)
# - Le Gall JR, Lemeshow S, Saulnier F. A new simplified acute physiology score (SAPS II). JAMA 270:2957-2963, 1993.
#   [doi:10.1001/jama.1993.03510240069035](https://doi.org/10.1001/jama.1993.03510240069035)
# - Katzman JL, Shaham U, Cloninger A et al. DeepSurv. BMC Med Res Methodol 18:24, 2018.
#   [doi:10.1186/s12874-018-0482-1](https://doi.org/10.1186/s12874-018-0482-1)
# - Ishwaran H, Kogalur UB, Blackstone EH, Lauer MS. Random survival forests. Ann Appl Stat 2:841-860, 2008.
#   [doi:10.1214/08-AOAS169](https://doi.org/10.1214/08-AOAS169)
# - Graf E, Schmoor C, Sauerbrei W, Schumacher M. Assessment and comparison of prognostic classification schemes for
#   survival data. Stat Med 18:2529-2545, 1999.
#   doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18&lt;2529::AID-SIM274&gt;3.0.CO;2-5
# - Nadeau C, Bengio Y. Inference for the generalization error. Mach Learn 52:239-281, 2003.
#   [doi:10.1023/A:1024068626366](https://doi.org/10.1023/A:1024068626366)
# - Hosmer DW, Lemeshow S, May S. Applied survival analysis. Wiley, 2008.
#   [doi:10.1002/9780470258019](https://doi.org/10.1002/9780470258019) (WHAS500)
# - Strack B, DeShazo JP, Gennings C et al. Impact of HbA1c measurement on hospital readmission rates. BioMed Res Int
#   2014:781670, 2014. [doi:10.1155/2014/781670](https://doi.org/10.1155/2014/781670) (diabetes130)
# - Micci-Barreca D. A preprocessing scheme for high-cardinality categorical attributes. SIGKDD Explor 3(1):27-32, 2001.
#   [doi:10.1145/507533.507538](https://doi.org/10.1145/507533.507538) (target encoding)
# - Guo C, Berkhahn F. Entity embeddings of categorical variables. 2016.
#   [arXiv:1604.06737](https://arxiv.org/abs/1604.06737)
# - Vickers AJ, Elkin EB. Decision curve analysis. Med Decis Making 26:565-574, 2006.
#   [doi:10.1177/0272989X06295361](https://doi.org/10.1177/0272989X06295361)
