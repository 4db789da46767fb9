# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Personalised medicine
#     learn:
#       - predict a dose from genes and history, with an interval, beside the published formula
#       - build a deep belief network from restricted Boltzmann machines, and see whether it earns its keep
#       - advise a treatment, measure what the advice is worth, and know when to abstain
#     read_minutes: 45
#     before: lessons 1 and 6.
#     data: simulated patients by default; real ones by name (IWPC warfarin; Rotterdam to GBSG), and GBSG2 (686 real
#       women) always.
#     claim: "\"Deep learning tailors treatment to the patient.\" Here: does it dose better than a formula of 2009, and
#       does its advice beat treating everybody alike?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.linear_model.coxph import BreslowEstimator
from sksurv.metrics import concordance_index_censored
from sksurv.util import Surv
from torch import nn
from tqdm.auto import tqdm

from medkit import evaluate, plots, training
from medkit.datasets import trials
from medkit.exercise import Exercise
from medkit.hospital.treatment import iwpc_root_dose
from medkit.models import dbn, treatment
from medkit.report import record, say

plots.use_style()

# %% [markdown]
# On real patients: `medkit run 7 -p dataset=iwpc-warfarin -p trial_data=gbsg` (about 5 MB are fetched).
#
# On a trial of your own: `medkit run 7 -p trial_data=trial.csv`, a table with a row per patient. Beside it, in
# `trial.toml`, you say what is what:
#
# ```toml
# outcome = "died"        # the event: a column of two values
# time = "months"         # the column of the time to the event, or to the end of follow-up
# treatment = "arm"       # the column of the two arms
# treated = "drug"        # the value of arm 1
# horizon = 36            # what counts is the time up to here; else as long as a tenth of each arm was followed
# unit = "months"
# randomised = true       # if chance alone decided who got what
# ```

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # virtual-hospital | iwpc-warfarin: who gets warfarin
trial_data: str = "virtual-hospital"  # a trial: or hospital-confounded, gbsg, gbsg2, deepsurv-simulated; or your table
effort: str = "demo"  # demo | full: more patients, splits and refits
abstain_at: float = 0.9  # 0 to 1: advise only where this share of refits agree on the direction
seed: int = 0  # 0 to 999999: patients, splits, starting weights

# %% [markdown]
# ## A working result first
#
# Warfarin keeps blood from clotting. Too little, and a clot forms; too much, and the patient bleeds. The dose that
# suits one patient can be ten times that of another, and two genes explain much of it: *CYP2C9* breaks the drug
# down, *VKORC1* is its target. Patients below are *simulated* unless the notes say otherwise.

# %% tags=["nbval-check-output"]
full = effort == "full"
doses = trials.doses(dataset, n=4000, seed=seed)
for note in doses.notes:
    print("-", note)

# %% [markdown]
# In 2009 a consortium published a formula: a weighted sum of age, height, weight, race, two genotypes and two kinds
# of drugs, which gives the *square root* of the weekly dose: a few patients need very much, and on the scale of the
# root errors are alike for all. It is our baseline, and it is hard to beat. We fit a sum of our own (a *ridge
# regression*) to most patients, and try both on the rest.

# %%
def design(people):
    """Turn what is known of patients into numbers: one column per genotype, and one for "not known"."""
    X = pd.get_dummies(people, columns=["vkorc1", "cyp2c9", "race"])
    unknown = X.isna().loc[:, X.isna().any()].add_suffix(" unknown")
    return X.join(unknown).astype(float).fillna(0)


def dose_errors(root, rows):
    """Give the mean absolute error (mg a week) and the share within 20 % of the true dose."""
    error = np.abs(root**2 - doses.dose[rows])
    return error.mean(), np.mean(error <= 0.2 * doses.dose[rows])


X, y = design(doses.people).to_numpy(np.float32), np.sqrt(doses.dose).astype(np.float32)
formula = iwpc_root_dose(doses.people).to_numpy()
parts = trials.split(len(y), seed)

# %%
linear = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 3, 9)))
linear.fit(X[parts["train"]], y[parts["train"]])
ours, theirs = (dose_errors(root[parts["valid"]], parts["valid"]) for root in (linear.predict(X), formula))
say(f"On validation patients of **{doses.name}** the formula errs by **{theirs[0]:.2f} mg a week** and lands within "
    f"20 % in {theirs[1]:.1%}; the refitted sum by **{ours[0]:.2f} mg**, within 20 % in {ours[1]:.1%}.")

# %% [markdown]
# ## A machine that learns what patients look like
#
# A *restricted Boltzmann machine* (RBM) has a visible unit for each input and hidden units that switch on or
# off. Every visible unit is tied to every hidden one, and to nothing else. The *free energy* $F(v)$ says how
# odd a patient $v$ looks: the probability is proportional to $e^{-F(v)}$. To learn, we lower the free energy of
# true patients and raise that of the machine's own fantasies. *Contrastive divergence* (CD-k) starts each
# fantasy at a true patient and goes back and forth between the layers k times.
#
# *Persistent* chains go on from where they were, and start anew only now and then. On a machine small enough we can
# count all states, and see whether such crude rules raise the true likelihood.

# %%
def climb(**rule):
    """Train a small machine by some rule; give its exact log-likelihood after each five epochs."""
    torch.manual_seed(seed)
    small, path = dbn.RBM(6, 4), []
    for step in range(13):
        path.append(float(small.log_likelihood(few).mean().detach()))
        dbn.train_rbm(small, few, epochs=5, lr=0.1, seed=step, **rule)
    return path


few = torch.tensor((doses.variants[:1000, :6] > 0).astype(np.float32))
rules = {"CD-1": climb(), "CD-3": climb(k=3), "persistent chains": climb(persistent=True)}
plots.curves(range(0, 65, 5), rules, "epoch", "nats per patient", "Exact log-likelihood as a small machine learns")

# %% [markdown]
# Now the variants of all training patients, in genome order. Does the machine know a true patient from one whose
# variants were shuffled between patients, so that each is as common as before, but neighbours no longer agree?

# %%
known = ~np.isnan(doses.variants).any(axis=1)
G = torch.tensor((doses.variants[known] > 0).astype(np.float32))
cut = int(0.8 * len(G))
torch.manual_seed(seed)
genome = dbn.RBM(G.shape[1], 60)
errors = dbn.train_rbm(genome, G[:cut], epochs=15, lr=0.05, persistent=False, seed=seed)
rng = np.random.default_rng(seed)
shuffled = torch.stack([column[rng.permutation(len(column))] for column in G[cut:].T], dim=1)
fantasy = genome.gibbs(G[:len(G) - cut], 50, torch.Generator().manual_seed(seed))

# %% [markdown]
# Thirty of each, one a row, with their first variants; a light square is a variant that is carried.

# %%
looks = {"new patients": G[cut:], "fantasies": fantasy, "shuffled": shuffled}
squares = [255 * v[:30, :40].numpy() for v in looks.values()]
plots.image_grid(squares, list(looks), 3, f"Patients and fantasies ({doses.name})")

# %%
odd = {name: genome.free_energy(v).detach().numpy() for name, v in looks.items()}
plots.estimates({name: evaluate.mean_interval(F) for name, F in odd.items()}, "free energy (nats; lower is more usual)",
                f"What looks usual to the machine? ({doses.name})")
told = evaluate.interval(evaluate.auroc, np.repeat([1, 0], len(G) - cut), np.r_[odd["shuffled"], odd["new patients"]])
say(f"Reconstruction error went from {errors[0]:.3f} to {errors[-1]:.3f}. A shuffled patient looks odder than a true "
    f"one with probability {told} (0.5 would be chance).")

# %% [markdown]
# ## Deep belief network, CNN and plain network
#
# Train one machine, feed its hidden units to the next, and put a linear output on top: a *deep belief network*
# (Hinton, 2006). Then train the whole end to end. Beside it stand a *1-D CNN* that slides over the variants in
# genome order, and a plain network.

# %%
class GenomeCNN(nn.Module):
    """Convolutions over variants in genome order, joined by what else is known."""

    def __init__(self, variants, others):
        super().__init__()
        self.variants = variants
        self.see = nn.Sequential(nn.Conv1d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv1d(16, 8, 5, padding=2), nn.ReLU())
        self.out = nn.Linear(8 * variants + others, 1)

    def forward(self, X):
        seen = self.see(X[:, None, :self.variants]).flatten(1)
        return self.out(torch.cat([seen, X[:, self.variants:]], dim=1))


V = np.nan_to_num(doses.variants, nan=-1)  # an unknown variant gets a value of its own
wide = np.column_stack([V, X]).astype(np.float32)


def network(kind, inputs):
    """Make one of the three networks; the belief network is trained layer by layer first."""
    if kind == "deep belief network":
        return dbn.as_network(dbn.stack(inputs.clamp(-3, 3), [64, 32], epochs=8, lr=0.005, seed=seed))
    if kind == "1-D CNN":
        return GenomeCNN(V.shape[1], X.shape[1])
    return nn.Sequential(nn.Linear(inputs.shape[1], 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))


# %%
def fit_network(kind, parts, s):
    """Train on training patients, and predict the root of everybody's dose."""
    training.set_seed(s)
    scaler, centre = StandardScaler().fit(wide[parts["train"]]), y[parts["train"]].mean()
    inputs = scaler.transform(wide).astype(np.float32)
    target = (y - centre)[:, None]
    net = network(kind, torch.tensor(inputs[parts["train"]]))
    dls = training.array_loaders(*[(inputs[parts[p]], target[parts[p]]) for p in ("train", "valid")], seed=s)
    learn = training.learner(dls, net, nn.MSELoss(), cbs=training.averaging())
    training.fit(learn, 12, lr=0.003, wd=0.3)
    return training.forward(learn.model, [torch.as_tensor(inputs)])[:, 0].numpy() + centre


# %% [markdown]
# The networks see all variants, the formula two genotypes. So that a gain of depth is not one of data, a linear
# sum gets the same inputs as the networks.
#
# Boosting gets the same care, and a *support vector regression*, which bends the sum a little. We split the
# patients anew several times. In each split the *chosen* model is that with the lowest error on validation
# patients; the test patients only measure.

# %%
simple = {"linear": linear,
          "support vectors": make_pipeline(StandardScaler(), SVR(C=0.5, epsilon=0.3, gamma=0.01)),
          "boosting": HistGradientBoostingRegressor(max_iter=120, learning_rate=0.05, max_leaf_nodes=8,
                                                    min_samples_leaf=30, l2_regularization=5)}
sum_of_all = "linear, all variants"  # the same inputs as the networks have
deep = ["plain network", "deep belief network", "1-D CNN"]


def predict_all(s):
    """Split, train all models, and predict the root dose of all patients: {name: (n,)}."""
    parts = trials.split(len(y), s)
    roots = {name: model.fit(X[parts["train"]], y[parts["train"]]).predict(X) for name, model in simple.items()}
    roots[sum_of_all] = linear.fit(wide[parts["train"]], y[parts["train"]]).predict(wide)
    roots |= {name: fit_network(name, parts, s) for name in deep}
    chosen = min(roots, key=lambda name: dose_errors(roots[name][parts["valid"]], parts["valid"])[0])
    return parts, roots | {"published formula": formula, "chosen": roots[chosen]}, chosen


runs = [predict_all(seed + s) for s in tqdm(range(20 if full else 3), desc="splits", leave=False)]
over_splits = partial(evaluate.mean_interval, shared=len(runs[0][0]["test"]) / len(runs[0][0]["train"]))

# %%
scores = {name: np.array([dose_errors(roots[name][parts["test"]], parts["test"]) for parts, roots, _ in runs])
          for name in runs[0][1]}
plots.estimates({name: over_splits(v[:, 0]) for name, v in scores.items()}, "mean absolute error (mg/week)",
                f"Dose, {doses.name}: test patients over {len(runs)} splits")

# %% [markdown]
# ## The claim, measured
#
# *Paired* means: on the same test patients, formula less model. Above zero, the model is better. (Splits share
# patients, so they are no independent repeats: each interval over $n$ splits is made
# $\sqrt{1 + n \cdot n_\mathrm{test} / n_\mathrm{train}}$ times as wide, as Nadeau & Bengio, 2003, advise.)

# %%
gain = over_splits(scores["published formula"][:, 0] - scores["chosen"][:, 0])
for name, key, column, unit in [
        ("mae_mg_week", "chosen", 0, "mg/week"), ("within_20", "chosen", 1, ""),
        ("formula_mae", "published formula", 0, "mg/week"), ("formula_within_20", "published formula", 1, ""),
        ("dbn_mae", "deep belief network", 0, "mg/week"), ("cnn_mae", "1-D CNN", 0, "mg/week")]:
    record(name, over_splits(scores[key][:, column]), unit=unit)
record("gain_over_formula", gain, unit="mg/week")
record("gain_within_20", over_splits(scores["chosen"][:, 1] - scores["published formula"][:, 1]))

# %%
def verdict(gain):
    """Say in words what a gain with its interval allows us to say."""
    if gain.low > 0:
        return "better, beyond chance"
    return "worse, beyond chance" if gain.high < 0 else "which is better cannot be told"


say(f"The formula's error less that of the model chosen: {gain} mg a week: **{verdict(gain)}**.")

# %%
against = {name: over_splits(scores[sum_of_all][:, 0] - scores[name][:, 0]) for name in deep}
plots.estimates(against, "gain over a linear sum of the same inputs (mg/week)",
                f"Is depth worth anything here? {doses.name}", reference=0)
depth = [name for name, g in against.items() if g.low > 0]
said = "; ".join(f"{name}: **{verdict(g)}**" for name, g in against.items())
say(f"Against that sum, {said}. Chosen on validation: {', '.join(sorted({c for _, _, c in runs}))}. "
    + ("" if depth else "Use the sum: no network was seen to be better, it fits on a card, and anybody can check it."))

# %% [markdown]
# A mean hides those who are in danger: patients who need little (21 mg a week or less) or much (49 mg or more).

# %%
groups = pd.cut(doses.dose, [0, 21, 48.999, np.inf], labels=["low (to 21 mg)", "middle", "high (from 49 mg)"])
rows = [{"dose": g, "model": name, "MAE (mg/week)": e[0], "within 20 %": e[1], "test patients": len(r)}
        for parts, roots, _ in runs for name in ("published formula", "chosen", "deep belief network")
        for g in groups.categories for r in [parts["test"][groups[parts["test"]] == g]]
        for e in [dose_errors(roots[name][r], r)]]
pd.DataFrame(rows).groupby(["dose", "model"], sort=False).mean().round(2).astype({"test patients": int})

# %% [markdown]
# ### An interval for each patient
#
# *Conformal prediction* (Vovk, 2005; in this split form Lei, 2018): take the errors on validation patients, and find
# the size that 90 % of them stay below. Put that much around each new prediction. If new patients are like these, 90 %
# of the true doses lie inside, whatever the model.

# %%
def conformal(root, parts, level=0.9):
    """Give low and high weekly dose of all patients, by the errors of validation patients (split conformal)."""
    errors = np.abs(root - y)[parts["valid"]]
    half = np.quantile(errors, min(1, np.ceil((len(errors) + 1) * level) / len(errors)))
    return np.clip(root - half, 0, None) ** 2, (root + half) ** 2


def covered(parts, root, those=doses.dose > 0):
    """Give the share of (some) test patients whose dose lies inside its interval."""
    low, high = conformal(root, parts)
    inside = (low <= doses.dose) & (doses.dose <= high)
    return np.mean(inside[parts["test"]][those[parts["test"]]])


coverage = over_splits([covered(parts, roots["chosen"]) for parts, roots, _ in runs])
record("interval_coverage", coverage)

# %% [markdown]
# That promise is for all patients together. Does it hold for those who need little, or much?

# %%
by_dose = {g: [covered(parts, roots["chosen"], groups == g) for parts, roots, _ in runs] for g in groups.categories}
held_by = {g: over_splits(v) for g, v in by_dose.items()}
plots.estimates(held_by, "share of true doses inside their interval",
                f"90 % intervals by the dose that was needed ({doses.name})", reference=0.9)
worst = min(held_by, key=lambda g: held_by[g].value)
too_few = held_by[worst].high < 0.9
say(f"Worst served: {worst}, where this share of the intervals held: {held_by[worst]}. "
    + ("**An average promise hides those in most danger.**" if too_few else "Whether that is less than 90 % cannot be told."))

# %% [markdown]
# ### What are the genes worth?
#
# Leave the genotypes out, or everything else, and fit again.

# %%
names = design(doses.people).columns
gene = np.array([name.startswith(("vkorc1", "cyp2c9")) for name in names])


def without(columns, parts):
    """Fit the linear sum on some columns; give its error on test patients."""
    root = linear.fit(X[parts["train"]][:, columns], y[parts["train"]]).predict(X[:, columns])
    return dose_errors(root[parts["test"]], parts["test"])[0]


worth = {name: over_splits([without(c, parts) for parts, _, _ in runs])
         for name, c in {"all": gene | True, "without genes": ~gene, "genes alone": gene}.items()}
plots.estimates(worth, "mean absolute error (mg/week)", f"Genes and clinic ({doses.name}, linear sum)")

# %% [markdown]
# ## Which treatment?
#
# A dose can be checked: the right one comes to light. The effect of a treatment on *one* patient never does: we see
# the life under one arm, not the other. Only where patients are simulated are both known.
#
# By default the choice is clopidogrel or usual care, in the virtual hospital. *CYP2C19\*2* keeps clopidogrel from
# working, as in life (Shuldiner, 2009); the size of each effect is made up.
#
# **We picked this question knowing the simulator's truth.** Of its treatments we took the one whose effect
# depends on a few recorded genes and habits. The effects of others hang on how ill the patient is, which records
# show badly: expect less there (we do not measure it here). So the figures on the hospital show what is possible
# when the right things are recorded, and no more. `trial_data="deepsurv-simulated"` asks the same of a simulation
# that others made.

# %%
admitted = 200000 if full else 12000  # in the virtual hospital alone
trial = trials.trial(trial_data, n=admitted, seed=seed)
say(f"**{trial.name}**: {' '.join(trial.notes)} Arm 1 is {trial.arms[1]}; {trial.event.mean():.0%} had the event.")
pd.DataFrame({arm: {"patients": int((trial.arm == k).sum()), "events": int(trial.event[trial.arm == k].sum())}
              for k, arm in enumerate(trial.arms)})

# %% [markdown]
# Some were lost before the end. *Pseudo-values* turn each patient's time into the part that she adds to the
# *restricted mean survival time* (RMST): the mean time alive within a horizon. Then any regression will do. In a trial
# of breast cancer (`gbsg`, `gbsg2`) the event is recurrence or death: the time is then that *free of recurrence*.

# %%
def prepared(trial):
    """Scale inputs as those of training patients; give pseudo-values within each arm of each part as well."""
    Z = StandardScaler().fit(trial.X.iloc[trial.parts["train"]]).transform(trial.X).astype(np.float32)
    y = np.zeros(len(Z))
    for part in trial.parts.values():
        for r in (part[trial.arm[part] == a] for a in (0, 1)):
            y[r] = treatment.pseudo_values(trial.time[r], trial.event[r], trial.horizon)
    return Z, y


# %% [markdown]
# An *S-learner* fits one model with the treatment among its inputs. A *T-learner* fits two, one per arm. An
# *X-learner* imputes to each patient what the other arm would have brought, and fits that. *TARNet* is a
# network with one body and two heads; with a penalty that draws the arms together it is called *CFR*.

# %%
def tarnet(trial, Z, y, rows, balance=0.1):
    """Effect on everybody, (n,), by a network with two heads."""
    torch.manual_seed(seed)
    net, mu, sd = treatment.TARNet(Z.shape[1]), y[rows].mean(), y[rows].std()
    args = (torch.tensor(Z[rows]), torch.tensor(trial.arm[rows]), torch.tensor((y[rows] - mu) / sd).float())
    treatment.descend(net, lambda: treatment.tarnet_loss(net, *args, balance), 150, 0.005, wd=1.0)
    return torch.diff(net(torch.tensor(Z)), dim=1)[:, 0].detach().numpy() * sd


# %% [markdown]
# *DeepSurv* is a network that learns the hazard, here with an effect of treatment that varies. It gives each patient a
# log hazard under either arm.

# %%
nets = 4 if full else 2


def deepsurv(trial, Z, rows, nets=nets):
    """Train DeepSurv; give a function of inputs: the log hazard under each arm, (n, 2), mean of some nets."""
    X, arm, time, event = (torch.tensor(v[rows]) for v in (Z, trial.arm, trial.time, trial.event))

    def train(s):
        torch.manual_seed(seed + s)
        net = treatment.DeepSurv(Z.shape[1], 16)
        return treatment.descend(net, lambda: treatment.cox_loss(net(X, arm), time, event), 150, 0.01, wd=3.0)

    def risk(Z, members=[train(s) for s in range(nets)]):
        pairs = [torch.stack([net(torch.tensor(Z), a) for a in (0, 1)], dim=1) for net in members]
        return torch.stack(pairs).mean(0).detach().numpy()
    return risk


# %% [markdown]
# Without hidden layers it is a *Cox model* with interactions: products of treatment and input. Few inputs change what
# a drug does, so each product must pay for itself. We start with all. The smaller one is, the more we shrink it
# (*adaptive ridge*), until what is left is worth *Akaike's* price: one unit of log-likelihood each. "Few" is a belief.
# It is true in the hospital, as we knew; where effects bend, the network has to find them.

# %%
def sparse_cox(D, time, event, always):
    """Coefficients of a Cox model in which the first inputs stay, and each other must pay for itself."""
    penalty = np.ones(D.shape[1])
    b = treatment.fit_cox(D, time, event, penalty)
    for _ in range(8):
        penalty[always:] = 2 / (b[always:] ** 2 + 1e-6)
        b = treatment.fit_cox(D, time, event, penalty, b, steps=2)
    return b


# %%
def cox(trial, Z, rows, inputs=None):
    """Fit a Cox model in which some inputs (else those that pay) change the effect; give the same kind of function."""
    used = list(range(Z.shape[1])) if inputs is None else inputs

    def columns(Z, arm):
        return np.column_stack([Z, arm, arm[:, None] * Z[:, used]]).astype(float)

    D = columns(Z[rows], trial.arm[rows])
    b = sparse_cox(D, trial.time[rows], trial.event[rows], D.shape[1] if inputs else Z.shape[1] + 1)
    return lambda Z: np.column_stack([columns(Z, np.full(len(Z), a)) @ b for a in (0, 1)])


# %% [markdown]
# A log hazard says little to a patient. With the hazard of a patient at zero (*Breslow's* estimate) it becomes
# time alive within the horizon, under each arm.

# %%
def given(pairs, arm):
    """Take from pairs (n, 2) the one of the arm that each patient got, (n,)."""
    return np.where(arm == 1, pairs[:, 1], pairs[:, 0])


def time_alive(trial, Z, rows, risk):
    """Mean time alive within the horizon under each arm, as a function of inputs: (n, 2)."""
    under = given(risk(Z[rows]), trial.arm[rows])
    steps = BreslowEstimator().fit(under, trial.event[rows], trial.time[rows]).cum_baseline_hazard_
    grid = np.linspace(0, trial.horizon, 60)
    H = np.append(0, steps.y)[np.searchsorted(steps.x, grid, side="right")].astype(np.float32)
    return lambda Z: np.trapezoid(np.exp(-np.exp(risk(Z))[..., None] * H), grid, axis=-1)


# %% [markdown]
# Last, an adviser with inside knowledge. In the hospital three inputs change what clopidogrel does: *CYP2C19\*2*,
# smoking (Bliden, 2008, saw clots form less readily in smokers on the drug), and a coronary variant at 9p21, which the
# makers of the hospital chose. A Cox model in which these three alone change the effect has far less to learn: this
# adviser **knows the shape of the truth**. It stands in the table to show what such knowledge is worth, and nothing is
# recommended by it.

# %%
def advise(trial, Z, y, rows):
    """Train all advisers on some patients: benefit of each, (n,), in units of time, and the risk functions."""
    by_ridge = Z[rows], trial.arm[rows], y[rows], Z
    chance = LogisticRegression(C=0.1, max_iter=500).fit(Z[rows], trial.arm[rows]).predict_proba(Z)[:, 1]
    benefit = {"S-learner": treatment.s_learner(RIDGE, *by_ridge), "T-learner": treatment.t_learner(RIDGE, *by_ridge),
               "X-learner": treatment.x_learner(RIDGE, *by_ridge, chance), "TARNet/CFR": tarnet(trial, Z, y, rows)}
    known = [k for k, c in enumerate(trial.X) if c in ("CYP2C19_2", "CDKN2B_AS1", "smoker")]
    risks = {"DeepSurv": deepsurv(trial, Z, rows), "Cox": cox(trial, Z, rows)}
    risks |= {"Cox, told which inputs matter": cox(trial, Z, rows, known)} if known else {}
    days = {name: time_alive(trial, Z, rows, risk)(Z) for name, risk in risks.items()}
    return benefit | {name: np.diff(d)[:, 0] for name, d in days.items()}, risks


# %%
RIDGE = RidgeCV(np.logspace(0, 4, 9))
Z, y_alive = prepared(trial)
fit_rows, valid, test = (trial.parts[name] for name in ("train", "valid", "test"))
benefit, risks = advise(trial, Z, y_alive, fit_rows)

# %% [markdown]
# What is advice worth? The *doubly robust* value (Bang & Robins, 2005) needs no truth: it weighs those who happened to
# get what was advised, and corrects by a model of the outcome. It is right when either the weights or the model is.
# The chance to be treated is estimated among the patients judged (each fifth by the others), as other places treat
# otherwise.

# %%
def chance_treated(Z, arm):
    """Chance of each patient to be treated, by the other four fifths; away from 0 and 1, so that no weight explodes."""
    model = LogisticRegression(C=0.1, max_iter=500)
    return cross_val_predict(model, Z, arm, method="predict_proba")[:, 1].clip(0.05, 0.95)


def doubly_robust(trial, Z, y, rows):
    """Give a function of advice: its doubly robust value, one term a patient; helper models are fitted to `rows`."""
    chance = np.zeros(len(Z))
    for part in trial.parts.values():
        chance[part] = chance_treated(Z[part], trial.arm[part])
    arms = [RIDGE.fit(Z[r], y[r]).predict(Z) for a in (0, 1) for r in [rows[trial.arm[rows] == a]]]
    return lambda advice: treatment.doubly_robust(y, trial.arm, advice, chance, np.stack(arms, 1))


# %%
terms = doubly_robust(trial, Z, y_alive, fit_rows)
plots.estimates({name: evaluate.mean_interval(terms(b > 0)[valid]) for name, b in benefit.items()},
                f"RMST ({trial.unit})", f"{trial.name}: doubly robust value on validation patients")

# %% [markdown]
# Look at the intervals: the value can hardly tell the advisers apart. How well each fits the hazards of validation
# patients can (the *partial likelihood*), so that decides between the two that were told nothing, DeepSurv and Cox. The
# simpler stays, unless the network fits better beyond chance.

# %%
def fit_of(risk):
    """Log partial likelihood of each event among validation patients, (events,)."""
    order = valid[np.argsort(-trial.time[valid])]
    under = given(risk(Z[order]), trial.arm[order])
    return (under - np.logaddexp.accumulate(under))[trial.event[order]]


better = evaluate.mean_interval(fit_of(risks["DeepSurv"]) - fit_of(risks["Cox"]))
best = "DeepSurv" if better.low > 0 else "Cox"
say(f"DeepSurv less Cox, log partial likelihood an event: {better}: {verdict(better)}. So **{best}** advises.")

# %%
advice, everybody = benefit[best] > 0, np.ones(len(trial.arm), bool)
rows = {f"advice ({best})": advice, "treat all": everybody, "treat none": ~everybody}
plots.estimates({name: evaluate.mean_interval(terms(a)[test]) for name, a in rows.items()}, f"RMST ({trial.unit})",
                f"{trial.name}: doubly robust value on test patients")

# %% [markdown]
# ### Judged by the truth
#
# *PEHE* is the root mean squared error of the effect on each patient. *Regret* is what advice loses against an
# *oracle* that knows each effect. *Estimated* is the doubly robust value, which knows no truth. The last column
# compares what advice gains over the better of "treat all" and "treat none" with what the oracle gains. Below
# zero, treating everybody alike was better. A fixed rule estimates no effect: it has no PEHE (NaN).

# %%
def judged(world, benefit, terms):
    """Judge advisers by the truth, on test patients; beside it what the doubly robust estimate says."""
    test = world.parts["test"]
    lived = world.truth["expected"][test]
    effect, fixed = lived[:, 1] - lived[:, 0], lived.mean(axis=0).max()
    oracle = lived.max(axis=1).mean()
    fixed_rules = {"treat all": np.inf, "treat none": -np.inf, "oracle": effect}
    rows = {}
    for name, b in ({k: v[test] for k, v in benefit.items()} | fixed_rules).items():
        value, rule = given(lived, b > 0).mean(), np.zeros(len(world.arm), bool)
        rule[test] = b > 0
        rows[name] = {f"value ({world.unit})": value, "estimated": terms(rule)[test].mean(), "regret": oracle - value,
                      "PEHE": np.sqrt(np.mean((b - effect) ** 2)), "share of gain": (value - fixed) / (oracle - fixed)}
    return pd.DataFrame(rows).T.replace(np.inf, np.nan).round(3) + 0.0


# %%
figures = "pehe", "policy_value", "treat_all_value", "oracle_value", "regret", "oracle_share"
found = dict.fromkeys(figures, "not measured")
if trial.truth:
    table = judged(trial, benefit, terms)
    value = table[f"value ({trial.unit})"]
    found = dict(zip(figures, [table["PEHE"][best], value[best], value["treat all"], value["oracle"],
                               table["regret"][best], table["share of gain"][best]]))
    display(table)
    under = trial.truth["expected"][test]
    same = under[:, under.mean(axis=0).argmax()]  # the better fixed treatment
    over_same = evaluate.mean_interval(given(under, benefit[best][test] > 0) - same)
    say(f"{best}, told nothing of the simulator, has learned from {len(fit_rows):,} training patients and earns "
        f"{table['share of gain'][best]:.0%} of what the oracle gains over the better fixed treatment. Its advice less that "
        f"treatment: {over_same} {trial.unit}: **{verdict(over_same)}**. "
        + ("" if full or trial_data == "deepsurv-simulated" else "With `effort='full'` there are many more."))
for name, v in found.items():
    record(name, v, unit="" if name == "oracle_share" else trial.unit)

# %% [markdown]
# **Confounding.** In a trial chance decides who is treated. In most records doctors did, and they saw how ill the
# patient was. Here is the virtual hospital under the other of both assignments; where doctors assign, the more ill
# get the drug more often. (Test patients differ a little, as each assignment sends others to a third arm, which we
# leave out.)

# %%
if trial_data in trials.TRIALS[:2]:
    swapped = ({"virtual-hospital", "hospital-confounded"} - {trial_data}).pop()
    other = trials.trial(swapped, n=admitted, seed=seed)
    Z_other, y_other = prepared(other)
    known = Z_other, y_other, other.parts["train"]
    shares = {trial.name.split(", ")[1]: table,
              other.name.split(", ")[1]: judged(other, advise(other, *known)[0], doubly_robust(other, *known))}
    say(f"**{other.name}**:")
    display(shares[other.name.split(", ")[1]])

# %%
if trial_data in trials.TRIALS[:2]:
    lost = shares["confounded"]["share of gain"].drop(["treat all", "treat none", "oracle"])
    say(f"Under confounding {(lost < 0).sum()} of {len(lost)} advisers do worse, on these test patients, than the better "
        "of treat-all and treat-none, though all adjust for what is recorded. How ill the patient was is recorded only in "
        "part, so the drug can be blamed for the deaths of the severely ill. The doubly robust estimate adjusts for the "
        "same records, and can be as wrong: compare it with the value. Only a trial, or better records, mends that.")

# %% [markdown]
# ### Whose risk is high?
#
# The concordance index (C) is the chance that of two patients the one with the higher risk has the event first. What
# counts here is the time within the horizon, so that is what the models learn: what comes later is cut off, as if
# follow-up had ended. Three models learn hazards as they are; *support vectors* learn pseudo-values.

# %%
def within_horizon(trial):
    """Give the trial as if follow-up had ended at its horizon."""
    return replace(trial, time=np.minimum(trial.time, trial.horizon), event=trial.event & (trial.time <= trial.horizon))


def hazard_models():
    """Make a linear model, and two of trees."""
    forest = RandomSurvivalForest(200 if full else 60, min_samples_leaf=20, random_state=seed, low_memory=True)
    boosting = GradientBoostingSurvivalAnalysis(n_estimators=120, learning_rate=0.05, max_depth=2, subsample=0.5,
                                                min_samples_leaf=20, random_state=seed)
    return {"Cox": CoxPHSurvivalAnalysis(1.0), "random survival forest": forest, "boosting": boosting}


# %%
def committee(trial, rows, new):
    """Risk of new patients by several models, {name: (n,)}; skewed inputs enter as logarithms."""
    skewed = (trial.X.iloc[rows].min() >= 0) & (trial.X.iloc[rows].skew() > 1)
    L = trial.X.where(~skewed, np.log1p(trial.X.clip(lower=0)))
    L = StandardScaler().fit(L.iloc[rows]).transform(L).astype(np.float32)
    D, soon = np.column_stack([L, trial.arm]).astype(float), within_horizon(trial)
    outcome = Surv.from_arrays(soon.event, soon.time)
    found = {name: m.fit(D[rows], outcome[rows]).predict(D[new]) for name, m in hazard_models().items()}
    alive = treatment.pseudo_values(soon.time[rows], soon.event[rows], trial.horizon) / trial.horizon
    by_time = make_pipeline(StandardScaler(), SVR(C=0.15, epsilon=0.08, gamma=0.05)).fit(D[rows], alive)
    return found | {"support vectors": -by_time.predict(D[new]),
                    "DeepSurv": given(deepsurv(soon, L, rows, 2 * nets)(L[new]), trial.arm[new])}


# %% [markdown]
# One model's chance errors are not another's, so we also let all five vote: the mean of their ranks.

# %%
def concordance(risk, w=None):
    """C-index of test patients; `w` picks a resample."""
    r = slice(None) if w is None else np.repeat(np.arange(len(risk)), w.astype(int))
    return concordance_index_censored(trial.event[ranked_rows][r], trial.time[ranked_rows][r], risk[r])[0]


# %%
ranked_rows = test[:5000]  # enough; all of a real trial
learned = np.sort(np.concatenate([fit_rows, valid]))[:3000 if full else 1500]
ranked = committee(trial, learned, ranked_rows)
ranked["all five together"] = sum(rankdata(risk) for risk in ranked.values())
drawn = next(evaluate.resamples(len(ranked_rows), count=200 if full else 50, seed=seed))
again = {name: np.array([concordance(risk, w) for w in drawn]) for name, risk in ranked.items()}
whole = {name: concordance(risk) for name, risk in ranked.items()}
c_index = {name: evaluate.Estimate(c, *evaluate.percentiles(again[name], c)) for name, c in whole.items()}
plots.estimates(c_index, "C-index (0.5 is chance)", f"{trial.name}: who has the event first? Test patients")
record("c_index", c_index["all five together"])
record("c_index_forest", c_index["random survival forest"])

# %%
def over(rival):
    """Estimate what the five together gain in C-index over one of them, on the same patients."""
    gained = whole["all five together"] - whole[rival]
    return evaluate.Estimate(gained, *evaluate.percentiles(again["all five together"] - again[rival], gained))


more, over_forest = over("Cox"), over("random survival forest")
record("c_index_gain", over_forest)
say(f"All five less the linear Cox model alone, on the same patients: {more}. "
    + f"**{verdict(more)}**." + ("" if more.low > 0 else " Use the linear model: no gain over it was seen."))

# %% [markdown]
# ### When to say nothing
#
# We refit the chosen adviser on resampled patients. Where the refits disagree on the direction, the interval of
# the benefit crosses zero: we *abstain*, and the patient gets what is best for all.

# %%
def refit(d):
    """Refit the chosen adviser on resampled training patients: benefit of the test patients, (n,)."""
    drawn = np.random.default_rng(seed + d).choice(fit_rows, len(fit_rows))
    risk = cox(trial, Z, drawn) if best == "Cox" else deepsurv(trial, Z, drawn, nets=1)
    return np.diff(time_alive(trial, Z, drawn, risk)(Z[test]))[:, 0]


# %%
refits = np.stack([refit(d) for d in tqdm(range(40 if full else 16), desc="refits", leave=False)])
votes = np.mean(refits > 0, axis=0)
sure = np.maximum(votes, 1 - votes) >= abstain_at
default_arm = terms(everybody)[valid].mean() > terms(~everybody)[valid].mean()
cautious = advice.copy()
cautious[test] = np.where(sure, votes > 0.5, default_arm)
gain_cautious = evaluate.mean_interval((terms(cautious) - terms(advice))[test])
say(f"Abstained for {np.mean(~sure):.0%} of test patients; they get: {trial.arms[int(default_arm)]}. "
    f"Cautious less full advice, doubly robust: {gain_cautious} {trial.unit}: **{verdict(gain_cautious)}**.")

# %%
inside = 1.0
if trial.truth:
    lived = trial.truth["expected"][test]
    true_effect = lived[:, 1] - lived[:, 0]
    rows = {}
    for name, rule in {"full advice": advice[test], "cautious advice": cautious[test]}.items():
        moved = rule != default_arm
        worse = moved & ((true_effect > 0) == default_arm)
        rows[name] = {"moved from the common treatment": moved.mean(), "moved to a worse one": worse.mean(),
                      f"lost by each such move ({trial.unit})": np.abs(true_effect[worse]).sum() / max(worse.sum(), 1),
                      f"mean value ({trial.unit})": given(lived, rule).mean()}
    say("By the truth (simulated test patients):")
    display(pd.DataFrame(rows).T.round(3))
    low, high = np.quantile(refits, (0.05, 0.95), axis=0)
    inside = np.mean((low <= true_effect) & (true_effect <= high))
    say(f"90 % of the refits span an interval that holds the true effect for {inside:.0%} of these patients. Refits "
        "show chance in the sample alone: not what shrinking takes off, nor how patients with equal records differ.")

# %% [markdown]
# ### Real women
#
# GBSG2: 686 women with breast cancer, with or without hormonal therapy (with `trial_data=gbsg` a model from
# Rotterdam meets that same trial). Each woman's advice comes from DeepSurv trained on others: five folds. Not
# all women were randomised to the therapy, so raw means would mislead; the values are adjusted.

# %%
women = trial if trial_data in ("gbsg", "gbsg2") else trials.trial("gbsg2")
everyone = np.arange(len(women.arm))
folds = [(women.parts["train"], women.parts["test"])] if trial_data == "gbsg" else [
    (everyone[everyone % 5 != k], everyone[everyone % 5 == k]) for k in range(5)]
held = np.sort(np.concatenate([h for _, h in folds]))
plan, y_women, expected = np.zeros(len(everyone), bool), np.zeros(len(everyone)), np.zeros((len(everyone), 2))
chance = np.full(len(everyone), 0.5)
chance[held] = chance_treated(StandardScaler().fit_transform(women.X.iloc[held]), women.arm[held])
groups = [rows[women.arm[rows] == a] for rows in (held, np.setdiff1d(everyone, held)) if len(rows) for a in (0, 1)]
for r in groups:  # within each arm, and apart for the women to be judged
    y_women[r] = treatment.pseudo_values(women.time[r], women.event[r], women.horizon)

# %%
for fitted, new in tqdm(folds, desc="folds", leave=False):
    W = StandardScaler().fit(women.X.iloc[fitted]).transform(women.X).astype(np.float32)
    plan[new] = np.diff(deepsurv(women, W, fitted)(W[new]))[:, 0] < 0
    for a in (0, 1):
        r = fitted[women.arm[fitted] == a]
        expected[new, a] = RIDGE.fit(W[r], y_women[r]).predict(W[new])

# %% [markdown]
# *Kaplan-Meier curves* of women who happened to follow the advice, of those who did not, and of all who were
# treated. Each woman is weighed by the inverse of her chance to get what she got. Bands: 95 % over resampled
# women.

# %%
def curve(those, grid=np.linspace(0, 60, 61)):
    """Weighted Kaplan-Meier curve of some held-out women with its band: list of Estimates."""
    r = held[those[held]]
    weight = 1 / np.where(women.arm[r] == 1, chance[r], 1 - chance[r])

    def alive(w):
        steps, share = treatment.kaplan_meier(women.time[r], women.event[r], w)
        return np.append(1, share)[np.searchsorted(steps, grid, side="right")]

    drawn = np.array([alive(weight * w) for w in next(evaluate.resamples(len(r), count=200, seed=seed))])
    return [evaluate.Estimate(*v) for v in zip(alive(weight), *np.percentile(drawn, (2.5, 97.5), axis=0))]


shown = {"advice followed": women.arm == plan, "advice not followed": women.arm != plan, "treated": women.arm == 1}
plots.curves(np.linspace(0, 60, 61), {name: curve(those) for name, those in shown.items()}, "months",
             "share free of recurrence", f"Real women ({women.name}): is it better to follow the advice?")

# %% [markdown]
# The same in one number: months free of recurrence within 60, plain (as the women are), weighted, and doubly
# robust.

# %%
def months(rule, weighted):
    """Restricted mean of held-out women whose treatment was that of a rule, with its interval."""
    r = held[(women.arm == rule)[held]]
    weight = 1 / np.where(women.arm[r] == 1, chance[r], 1 - chance[r]) if weighted else np.ones(len(r))
    mean = partial(treatment.restricted_mean, women.time[r], women.event[r], 60)
    drawn = [mean(weight * w) for w in next(evaluate.resamples(len(r), count=200, seed=seed))]
    return evaluate.Estimate(mean(weight), *np.percentile(drawn, (2.5, 97.5)))


def robust(rule):
    """Doubly robust months of a rule, one term a held-out woman."""
    return treatment.doubly_robust(y_women, women.arm, rule, chance, expected)[held]


# %%
rules = {"follow the advice": plan, "do the opposite": ~plan, "treat all": everyone >= 0, "treat none": everyone < 0}
short = "{0.value:.1f} ({0.low:.1f} to {0.high:.1f})".format
pd.DataFrame({name: {"plain": short(months(rule, False)), "weighted": short(months(rule, True)),
                     "doubly robust": short(evaluate.mean_interval(robust(rule)))} for name, rule in rules.items()}).T

# %%
gbsg_gain = evaluate.mean_interval(robust(plan) - robust(everyone >= 0))
record("gbsg_policy_gain", gbsg_gain, unit="months")
say(f"The advice is to treat {plan[held].mean():.0%} of the women. It gains {gbsg_gain} months over treating all. "
    + f"**Against treat-all: {verdict(gbsg_gain)}.**"
    + ("" if gbsg_gain.low > 0 else " Treat all: that this advice is better was not seen.")
    + " The gap between women who followed it and those who did not also holds the effect of the therapy itself, and of "
    "who gets it. That is why the comparison with treat-all is the one that counts.")

# %% [markdown]
# ## A page for one patient
#
# First the dose. (The patients of the dose and of the choice of treatment are different ones.)

# %%
who = parts["test"][0]
run_parts, roots, chosen = runs[0]
low, high = conformal(roots["chosen"], run_parts)
stranger_than = partial(treatment.stranger_than, X[parts["train"]])  # the share of training patients less odd
near = np.argsort((((X[parts["train"]] - X[who]) / (X[parts["train"]].std(0) + 1e-6)) ** 2).sum(1))[:20]
linear.fit(X[parts["train"]], y[parts["train"]])
push = linear[-1].coef_ * linear[0].transform(X[[who]])[0]

# %%
drove = ", ".join(f"{names[k]} ({push[k]:+.2f})" for k in np.argsort(-np.abs(push))[:4])
quartiles = np.quantile(doses.dose[parts["train"][near]], (0.25, 0.75))
doubts = ["this patient is unlike any in training"] * bool(stranger_than(X[[who]])[0] > 0.99) + [
    f"the interval spans a factor of {high[who] / max(low[who], 1):.1f}",
    f"such intervals held in {held_by[worst].value:.0%} only of those whose need was {worst}" if too_few else "",
    "other drugs, diet and adherence are not known",
    f"the patients are {'simulated' if dataset == 'virtual-hospital' else 'of 21 sites, before 2009'}"]
say(f"""**Dose** ({doses.name}): **{roots["chosen"][who] ** 2:.0f} mg a week** (90 % interval {low[who]:.0f} to
{high[who]:.0f}), by {chosen}; the published formula says {formula[who] ** 2:.0f}.

**What drove it** (root mg, linear sum): {drove}.

**Similar patients**: of the 20 most alike in training, half needed {quartiles[0]:.0f} to {quartiles[1]:.0f} mg.

**Reasons to distrust it:** {"; ".join(filter(None, doubts))}. No prospective trial stands behind this page. Not for
the bedside.""")

# %% [markdown]
# Now the treatment, for the first test patient of whom the adviser is sure (else for the first). *What drove
# it*: how much of the benefit goes when one input is set to the mean of all.

# %%
patient = int(np.argmax(sure))
here, gain_of = Z[test[patient]], time_alive(trial, Z, fit_rows, risks[best])
draws = refits[:, patient]
usual = np.tile(here, (len(here) + 1, 1))
usual[np.arange(len(here)), np.arange(len(here))] = 0  # the last row stays as it is
gains = np.diff(gain_of(usual))[:, 0]
drop = gains[-1] - gains[:-1]
drove = ", ".join(f"{trial.X.columns[k]} = {trial.X.iloc[test[patient], k]:.3g} ({drop[k]:+.2f})"
                  for k in np.argsort(-np.abs(drop))[:4])
far = ((Z[fit_rows] - here) ** 2).sum(axis=1)
alike = fit_rows[np.argsort(far)[:min(300, len(fit_rows) // 4)]]

# %%
def described(arm):
    """Describe the similar patients of one arm."""
    r = alike[trial.arm[alike] == arm]
    mean = partial(treatment.restricted_mean, trial.time[r], trial.event[r], trial.horizon)
    drawn = [mean(w) for w in next(evaluate.resamples(len(r), count=200, seed=seed))] if len(r) > 1 else [np.nan]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return {"similar patients": len(r), "had the event": int(trial.event[r].sum()),
            f"{trial.unit} {trial.counted} within {trial.horizon:g}": f"{np.mean(drawn):.1f} ({low:.1f} to {high:.1f})"}


# %%
agree = np.mean([(b[test[patient]] > 0) == (draws.mean() > 0) for b in benefit.values()])
lean = LogisticRegression(C=0.1, max_iter=500).fit(Z[fit_rows], trial.arm[fit_rows]).predict_proba(here[None])[0, 1]
doubts = [text for text, holds in {
    "the refits disagree on the direction": not sure[patient],
    "this patient is unlike any in training": treatment.stranger_than(Z[fit_rows], here[None])[0] > 0.99,
    f"patients like this nearly always get one arm (chance of treatment {lean:.0%})": not 0.1 < lean < 0.9,
    f"only {agree:.0%} of the learners of this lesson advise the same": agree < 1,
    trial.doubt: bool(trial.doubt),
    f"intervals like this held the true effect of {inside:.0%} of simulated patients, not of 90 %": inside < 0.85,
    "the patients and their effects are simulated": bool(trial.truth),
    "what was not recorded may matter more than what was": True}.items() if holds]

# %%
say(f"""**Recommendation** ({trial.name}): **{trial.arms[int(votes[patient] > 0.5)] if sure[patient] else "no advice"}**

**Expected benefit of {trial.arms[1]}**: {gains[-1]:+.1f} {trial.unit} {trial.counted} within {trial.horizon:g} (90 % of
{len(draws)} refits of {best}: {np.quantile(draws, 0.05):+.1f} to {np.quantile(draws, 0.95):+.1f}), as a mean
of patients with such records.
{f"The truth, which no clinic knows: {true_effect[patient]:+.1f}." if trial.truth else ""}

**What drove it** ({trial.unit}): {drove}.

**Reasons to distrust it:** {"; ".join(doubts)}. No prospective trial stands behind this page. Not for the bedside.

**Similar patients**, and what became of them under either arm (as they are, not adjusted):""")
pd.DataFrame({arm: described(k) for k, arm in enumerate(trial.arms)})

# %% [markdown]
# ## Where it fails
#
# **Patients unlike any in training** get an answer all the same. The distance from the training patients, in units of
# their spread (*Mahalanobis*), raises a flag where 99 % of them are less odd.

# %%
stranger = X[[who]].copy()
stranger[0, list(names).index("weight")] = 320
flagged = stranger_than(stranger)[0] > 0.99
say(f"A patient of 320 kg gets {linear.predict(stranger)[0] ** 2:.0f} mg a week. "
    f"{'**Flagged: unlike any in training.**' if flagged else 'Not flagged.'}")

# %% [markdown]
# **Confounding.** Where doctors give the drug to the more ill, the treated die sooner, and a naive comparison
# blames the drug. Adjusting helps with what is measured, and never with what is not: see the tables of both
# assignments above. Here is the naive difference under each. **Positivity:** where one kind of patient always
# gets the drug, nobody knows how she fares without it.

# %%
naive = {}
for kind in ("virtual-hospital", "hospital-confounded"):
    world = trials.trial(kind, n=3000, seed=seed)
    mean = [treatment.restricted_mean(world.time[world.arm == a], world.event[world.arm == a], 365) for a in (0, 1)]
    naive[kind] = {"naive difference (days)": mean[1] - mean[0],
                   "true mean effect (days)": np.diff(world.truth["expected"], axis=1).mean()}
pd.DataFrame(naive).T.round(1)

# %% [markdown]
# **What such advice may not be used for.** Not to treat anybody, and not to withhold a treatment that works for all,
# before a trial has compared the advice itself with usual care. Not in another clinic, for another drug or a later
# year, without new data. Not to ration: a small benefit on average is no benefit denied to one. Not on genes read as
# ancestry: where a group is rare in training, "no advice" is the honest answer. And not as the reason given to a
# patient: what drove the number is what the model used, not what causes her illness.

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# Replace each `...` and run the cell.
#
# **Exercise 1.** Write the share of patients whose predicted dose lies within 20 % of the true one.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("7.1", hint="20 % of the true dose, not of the predicted one.")


@exercise_1.check
def _(within_20):
    truth, guess = np.array([10.0, 50.0, 30.0]), np.array([12.4, 45.0, 30.0])
    assert within_20(truth, truth) == 1, "A perfect prediction is within 20 % for everybody: the share is 1."
    assert np.isclose(within_20(truth, guess), 2 / 3), "Of these three, all but the first are within 20 % of the truth."
    assert within_20(truth, truth / 2) == 0, "Half of the true dose is too little: an error below the truth counts, too."

# %% tags=["exercise", "nbval-check-output"]
def within_20(dose, predicted):
    ### BEGIN SOLUTION
    return np.mean(np.abs(predicted - dose) <= 0.2 * dose)
    ### END SOLUTION


exercise_1(within_20)

# %% tags=["wrong"]
def within_20(dose, predicted):
    return np.mean(np.abs(predicted - dose) <= 0.2 * predicted)

# %% tags=["wrong"]
def within_20(dose, predicted):
    return np.mean(np.abs(predicted - dose) <= 20)

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Write the chance of each hidden unit of an RBM to be on: `v` is (n, visible), `W` (visible,
# hidden), `c` (hidden,).

# %% tags=["exercise", "context"]
exercise_2 = Exercise("7.2", hint="Weigh the visible units, add the bias, and bend with a sigmoid.")


@exercise_2.check
def _(hidden_chance):
    v, W, c = np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [5.0, 5.0]]), np.array([0.0, -1.0])
    found = hidden_chance(v, W, c)
    assert np.shape(found) == (1, 2), "There should be one number per patient and hidden unit."
    assert np.all((found >= 0) & (found <= 1)), "A chance lies between 0 and 1: bend the sum with a sigmoid."
    assert np.allclose(found, 1 / (1 + np.exp([[-2.0, 1.0]]))), "Did you add the bias of the hidden units?"

# %% tags=["exercise", "nbval-check-output"]
def hidden_chance(v, W, c):
    ### BEGIN SOLUTION
    return 1 / (1 + np.exp(-(v @ W + c)))
    ### END SOLUTION


exercise_2(hidden_chance)

# %% tags=["wrong"]
def hidden_chance(v, W, c):
    return v @ W + c

# %% tags=["wrong"]
def hidden_chance(v, W, c):
    return 1 / (1 + np.exp(-(v @ W)))

# %% [markdown] tags=["exercise"]
# **Exercise 3.** In a randomised trial (chance of treatment one half), give the value of some advice by inverse
# weights: the mean over all patients of their outcome, times 2 where the arm was the advised one, and 0
# elsewhere.

# %% tags=["exercise", "context"]
exercise_3 = Exercise("7.3", hint="(arm == advice) * y / 0.5, averaged over everybody.")


@exercise_3.check
def _(policy_value):
    y, arm, advice = np.array([4.0, 2.0, 6.0, 8.0]), np.array([1, 0, 1, 0]), np.array([1, 1, 1, 0])
    found = policy_value(y, arm, advice)
    assert not np.isclose(found, 4.5), "Divide by the chance of the arm, one half."
    assert not np.isclose(found, 5.0), "That is the mean of all, whatever was advised."
    assert np.isclose(found, 9.0), "Average over all patients: (8 + 0 + 12 + 16) / 4."

# %% tags=["exercise", "nbval-check-output"]
def policy_value(y, arm, advice):
    ### BEGIN SOLUTION
    return np.mean((arm == advice) * y / 0.5)
    ### END SOLUTION


exercise_3(policy_value)

# %% tags=["wrong"]
def policy_value(y, arm, advice):
    return np.mean((arm == advice) * y)

# %% tags=["wrong"]
def policy_value(y, arm, advice):
    return np.mean(y)

# %% [markdown] tags=["exercise"]
# ## Questions to recall
#
# <details><summary>Why predict the square root of the dose?</summary>The dose is skewed: a few need very much. On the
# root scale errors are alike for all, and the interval widens with the dose.</details>
# <details><summary>What does contrastive divergence lower, and what does it raise?</summary>The free energy of true
# patients, and that of the machine's own fantasies.</details>
# <details><summary>What must hold for a conformal interval to keep its promise?</summary>New patients must be like the
# validation patients.</details>
# <details><summary>Why can nobody check the effect on one real patient?</summary>Only one arm is ever seen.</details>
# <details><summary>Which two simple policies must any advice beat?</summary>Treat all, and treat none.</details>
# <details><summary>What may such advice not be used for?</summary>To treat anybody without a trial of the advice
# itself, or where causes of both treatment and outcome were not measured.</details>

# %% [markdown]
# ## Take away
#
# - A formula of few terms is strong where effects add up. Measure depth against it, paired and with the same inputs,
#   before you believe in depth.
# - An interval for each patient is cheap, and honest for patients like those seen.
# - Advice is worth what it adds over treating everybody alike. The cell below says what came of it here.

# %%
say(f"Dose ({doses.name}): gain over the formula {gain} mg a week: **{verdict(gain)}**; 90 % intervals covered "
    f"{coverage.value:.1%}. Real women: gain of advice over treat-all {gbsg_gain} months: **{verdict(gbsg_gain)}**.")

# %% [markdown]
# **References**
#
# - International Warfarin Pharmacogenetics Consortium. N Engl J Med 360:753-764, 2009.
#   [doi:10.1056/NEJMoa0809329](https://doi.org/10.1056/NEJMoa0809329)
# - Hinton GE, Osindero S, Teh YW. Neural Comput 18:1527-1554, 2006.
#   [doi:10.1162/neco.2006.18.7.1527](https://doi.org/10.1162/neco.2006.18.7.1527)
# - Katzman JL, et al. BMC Med Res Methodol 18:24, 2018.
#   [doi:10.1186/s12874-018-0482-1](https://doi.org/10.1186/s12874-018-0482-1) (DeepSurv)
# - Frommlet F, Nuel G. PLoS One 11:e0148620, 2016.
#   [doi:10.1371/journal.pone.0148620](https://doi.org/10.1371/journal.pone.0148620) (adaptive ridge)
# - Shalit U, Johansson FD, Sontag D. ICML 2017. [arXiv:1606.03976](https://arxiv.org/abs/1606.03976) (TARNet, CFR)
# - Künzel SR, et al. PNAS 116:4156-4165, 2019. [doi:10.1073/pnas.1804597116](https://doi.org/10.1073/pnas.1804597116)
# - Schumacher M, et al. J Clin Oncol 12:2086-2093, 1994.
#   [doi:10.1200/JCO.1994.12.10.2086](https://doi.org/10.1200/JCO.1994.12.10.2086) (GBSG2)
# - Vovk V, Gammerman A, Shafer G. Algorithmic learning in a random world. Springer, 2005.
#   [doi:10.1007/b106715](https://doi.org/10.1007/b106715) (conformal prediction)
# - Lei J, et al. J Am Stat Assoc 113:1094-1111, 2018.
#   [doi:10.1080/01621459.2017.1307116](https://doi.org/10.1080/01621459.2017.1307116) (split conformal)
# - Bang H, Robins JM. Biometrics 61:962-973, 2005.
#   [doi:10.1111/j.1541-0420.2005.00377.x](https://doi.org/10.1111/j.1541-0420.2005.00377.x) (double robustness)
# - Shuldiner AR, et al. JAMA 302:849-857, 2009.
#   [doi:10.1001/jama.2009.1232](https://doi.org/10.1001/jama.2009.1232) (CYP2C19 and clopidogrel)
# - Bliden KP, et al. J Am Coll Cardiol 52:531-533, 2008.
#   [doi:10.1016/j.jacc.2008.04.045](https://doi.org/10.1016/j.jacc.2008.04.045) (smoking and clopidogrel)
