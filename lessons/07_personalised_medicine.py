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
#     data: simulated patients by default; real ones by name (IWPC warfarin; Rotterdam to GBSG), and GBSG2 (686 real women) always.
#     claim: "\"Deep learning tailors treatment to the patient.\" Here: does it dose better than a formula of 2009, and does its advice beat treating everybody alike?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

from typing import Literal

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxPHSurvivalAnalysis
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

# %% tags=["parameters", "context"]
dataset: Literal["virtual-hospital", "iwpc-warfarin"] = "virtual-hospital"  # who gets warfarin
trial_data: Literal["virtual-hospital", "virtual-hospital-confounded", "gbsg", "gbsg2", "deepsurv-simulated"] = "virtual-hospital"
effort: Literal["demo", "full"] = "demo"  # full: more patients, splits and refits
abstain_at: float = 0.9  # advise only where this share of refits agree on the direction
seed: int = 0  # patients, splits, starting weights

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
# of drugs, which gives the *square root* of the weekly dose. It is our baseline, and it is hard to beat. We fit a
# sum of our own (a *ridge regression*) to most patients, and try both on the rest.

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
say(f"On validation patients of **{doses.name}** the formula errs by **{theirs[0]:.2f} mg a week** and lands within 20 % "
    f"in {theirs[1]:.1%}; the refitted sum by **{ours[0]:.2f} mg**, within 20 % in {ours[1]:.1%}.")

# %% [markdown]
# ## A machine that learns what patients look like
#
# A *restricted Boltzmann machine* (RBM) has a visible unit for each input and hidden units that switch on or off.
# Every visible unit is tied to every hidden one, and to nothing else. The *free energy* $F(v)$ says how odd a patient
# $v$ looks: the probability is proportional to $e^{-F(v)}$. To learn, we lower the free energy of true patients and
# raise that of the machine's own fantasies. *Contrastive divergence* (CD-k) starts each fantasy at a true patient
# and goes back and forth between the layers k times.
#
# On a machine small enough we can count all states, and see whether that crude rule raises the true likelihood.

# %%
few = torch.tensor((doses.variants[:1000, :6] > 0).astype(np.float32))
torch.manual_seed(seed)
small = dbn.RBM(6, 4)
path = [float(small.log_likelihood(few).mean().detach())]
for step in range(30):
    dbn.train_rbm(small, few, epochs=2, lr=0.1, seed=step)
    path.append(float(small.log_likelihood(few).mean().detach()))
plots.curves(range(0, 62, 2), {"exact log-likelihood": path}, "epoch", "nats per patient",
             "Contrastive divergence climbs the exact likelihood")

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

# %%
odd = {name: genome.free_energy(v).detach().numpy() for name, v in
       {"new patients": G[cut:], "fantasies": fantasy, "shuffled": shuffled}.items()}
plots.estimates({name: evaluate.mean_interval(F) for name, F in odd.items()}, "free energy (nats; lower is more usual)",
                f"What looks usual to the machine? ({doses.name})")
say(f"Reconstruction error fell from {errors[0]:.3f} to {errors[-1]:.3f}. A shuffled patient looks odder than a true one "
    f"with probability {evaluate.auroc(np.repeat([1, 0], len(G) - cut), np.r_[odd['shuffled'], odd['new patients']]):.3f}.")

# %% [markdown]
# ## Deep belief network, CNN and plain network
#
# Train one machine, feed its hidden units to the next, and put a linear output on top: a *deep belief network*
# (Hinton, 2006). Then train the whole end to end. Beside it stand a *1-D CNN* that slides over the variants in genome
# order, and a plain network.

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
# (The networks see all variants, the simple models two genotypes: a small gain may be that of the data.)
#
# Boosting gets the same care, and a *support vector regression*, which bends the sum a little. We split the patients
# anew several times. In each split the *chosen* model is that with the lowest error on validation patients; the test
# patients only measure.

# %%
simple = {"linear": linear,
          "support vectors": make_pipeline(StandardScaler(), SVR(C=0.5, epsilon=0.3, gamma=0.01)),
          "boosting": HistGradientBoostingRegressor(max_iter=120, learning_rate=0.05, max_leaf_nodes=8,
                                                    min_samples_leaf=30, l2_regularization=5)}
deep = ["plain network", "deep belief network", "1-D CNN"]


def predict_all(s):
    """Split, train all models, and predict the root dose of all patients: {name: (n,)}."""
    parts = trials.split(len(y), s)
    roots = {name: model.fit(X[parts["train"]], y[parts["train"]]).predict(X) for name, model in simple.items()}
    roots |= {name: fit_network(name, parts, s) for name in deep}
    chosen = min(roots, key=lambda name: dose_errors(roots[name][parts["valid"]], parts["valid"])[0])
    return parts, roots | {"published formula": formula, "chosen": roots[chosen]}, chosen


runs = [predict_all(seed + s) for s in tqdm(range(20 if full else 3), desc="splits", leave=False)]

# %%
scores = {name: np.array([dose_errors(roots[name][parts["test"]], parts["test"]) for parts, roots, _ in runs])
          for name in runs[0][1]}
plots.estimates({name: evaluate.mean_interval(v[:, 0]) for name, v in scores.items()}, "mean absolute error (mg/week)",
                f"Dose, {doses.name}: test patients over {len(runs)} splits")

# %% [markdown]
# ## The claim, measured
#
# *Paired* means: on the same test patients, formula less model. Above zero, the model is better. (Splits share
# patients, so the interval over splits is a little too narrow.)

# %%
gain = evaluate.mean_interval(scores["published formula"][:, 0] - scores["chosen"][:, 0])
for name, key, column, unit in [
        ("mae_mg_week", "chosen", 0, "mg/week"), ("within_20", "chosen", 1, ""),
        ("formula_mae", "published formula", 0, "mg/week"), ("formula_within_20", "published formula", 1, ""),
        ("dbn_mae", "deep belief network", 0, "mg/week"), ("cnn_mae", "1-D CNN", 0, "mg/week")]:
    record(name, evaluate.mean_interval(scores[key][:, column]), unit=unit)
record("gain_over_formula", gain, unit="mg/week")

# %%
against = {name: evaluate.mean_interval(scores["linear"][:, 0] - scores[name][:, 0]) for name in deep}
plots.estimates(against, "gain over the linear sum (mg/week)", "Is depth worth anything here?", reference=0)
depth = [name for name, g in against.items() if g.low > 0]
say(f"**{'Better than the linear sum beyond chance: ' + ', '.join(depth) if depth else 'No network beats the linear sum'}.** "
    f"Chosen on validation: {', '.join(sorted({c for _, _, c in runs}))}. "
    + ("" if depth else "Use the sum: it is as good, fits on a card, and anybody can check it."))

# %% [markdown]
# A mean hides those who are in danger: patients who need little (21 mg a week or less) or much (49 mg or more).

# %%
groups = pd.cut(doses.dose, [0, 21, 48.999, np.inf], labels=["low (to 21 mg)", "middle", "high (from 49 mg)"])
rows = [{"dose": g, "model": name, "MAE (mg/week)": e[0], "within 20 %": e[1], "test patients": len(r)}
        for parts, roots, _ in runs for name in ("published formula", "chosen", "deep belief network")
        for g in groups.categories for r in [parts["test"][groups[parts["test"]] == g]]
        for e in [dose_errors(roots[name][r], r)]]
pd.DataFrame(rows).groupby(["dose", "model"], sort=False).mean().round(3)

# %% [markdown]
# ### An interval for each patient
#
# *Conformal prediction*: take the errors on validation patients, and find the size that 90 % of them stay below. Put
# that much around each new prediction. If new patients are like these, 90 % of the true doses lie inside, whatever the
# model.

# %%
def conformal(root, parts, level=0.9):
    """Give low and high weekly dose of all patients, by the errors of validation patients (split conformal)."""
    errors = np.abs(root - y)[parts["valid"]]
    half = np.quantile(errors, min(1, np.ceil((len(errors) + 1) * level) / len(errors)))
    return np.clip(root - half, 0, None) ** 2, (root + half) ** 2


def covered(parts, root):
    """Give the share of test patients whose dose lies inside its interval."""
    low, high = conformal(root, parts)
    return np.mean(((low <= doses.dose) & (doses.dose <= high))[parts["test"]])


coverage = evaluate.mean_interval([covered(parts, roots["chosen"]) for parts, roots, _ in runs])
record("interval_coverage", coverage)

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


worth = {name: evaluate.mean_interval([without(c, parts) for parts, _, _ in runs])
         for name, c in {"all": gene | True, "without genes": ~gene, "genes alone": gene}.items()}
plots.estimates(worth, "mean absolute error (mg/week)", f"Genes and clinic ({doses.name}, linear sum)")

# %% [markdown]
# ## Which treatment?
#
# A dose can be checked: the right one comes to light. The effect of a treatment on *one* patient never does: we see
# the life under one arm, not the other. In the virtual hospital, and only there, both are known.
#
# By default the choice is clopidogrel or usual care. *CYP2C19\*2* keeps clopidogrel from working, as in life; the size
# of each effect is made up.

# %%
trial = trials.trial(trial_data, n=40000 if full else 12000, seed=seed)
say(f"**{trial.name}**: " + " ".join(trial.notes) + f" Arm 1 is {trial.arms[1]}; {trial.event.mean():.0%} had the event.")
pd.DataFrame({arm: {"patients": int((trial.arm == k).sum()), "events": int(trial.event[trial.arm == k].sum())}
              for k, arm in enumerate(trial.arms)})

# %% [markdown]
# Some were lost before the end. *Pseudo-values* turn each patient's time into the part that she adds to the *restricted
# mean survival time* (RMST): the mean time alive within a horizon. Then any regression will do.

# %%
horizon = 365 if trial.unit == "days" else float(np.quantile(trial.time, 0.8))
worth_of = np.zeros(len(trial.arm))
for part in trial.parts.values():
    for a in (0, 1):
        r = part[trial.arm[part] == a]
        worth_of[r] = treatment.pseudo_values(trial.time[r], trial.event[r], horizon)

# %% [markdown]
# An *S-learner* fits one model with the treatment among its inputs. A *T-learner* fits two, one per arm. An *X-learner*
# imputes to each patient what the other arm would have brought, and fits that. *TARNet* is a network with one body and
# two heads; with a penalty that draws the arms together it is called *CFR*. *DeepSurv* learns the hazard, here with an
# effect of treatment that varies; without a hidden layer it is a Cox model with interactions.

# %%
def tarnet(Z, rows, Z_new, balance=0.1):
    """Effect by a network with two heads."""
    torch.manual_seed(seed)
    net, mu, sd = treatment.TARNet(Z.shape[1]), worth_of[rows].mean(), worth_of[rows].std()
    args = (torch.tensor(Z[rows]), torch.tensor(trial.arm[rows]), torch.tensor((worth_of[rows] - mu) / sd).float())
    treatment.descend(net, lambda: treatment.tarnet_loss(net, *args, balance), 150, 0.005, wd=1.0)
    return torch.diff(net(torch.tensor(Z_new)), dim=1)[:, 0].detach().numpy() * sd


def deepsurv(Z, rows, width, arm=trial.arm, time=trial.time, event=trial.event):
    """Train DeepSurv (width 0: Cox with interactions) on some patients."""
    torch.manual_seed(seed)
    net, X_t, arm_t = treatment.DeepSurv(Z.shape[1], width), torch.tensor(Z[rows]), torch.tensor(arm[rows])
    t, e = torch.tensor(time[rows]), torch.tensor(event[rows])
    return treatment.descend(net, lambda: treatment.cox_loss(net(X_t, arm_t), t, e), 150, 0.02, wd=0.1)


def log_benefit(net, Z_new):
    """Give minus the log hazard ratio: above 0, the treatment helps."""
    return -net.net(torch.tensor(Z_new))[:, 1].detach().numpy()

# %%
fit_rows, test = trial.parts["train"], trial.parts["test"]
Z = StandardScaler().fit(trial.X.iloc[fit_rows]).transform(trial.X).astype(np.float32)
ridge = RidgeCV(np.logspace(0, 4, 9))
adviser = LogisticRegression(C=0.1, max_iter=500).fit(Z[fit_rows], trial.arm[fit_rows])
propensity = np.clip(adviser.predict_proba(Z)[:, 1], 0.05, 0.95)
args = Z[fit_rows], trial.arm[fit_rows], worth_of[fit_rows], Z
benefit = {"S-learner": treatment.s_learner(ridge, *args), "T-learner": treatment.t_learner(ridge, *args),
           "X-learner": treatment.x_learner(ridge, *args, propensity), "TARNet/CFR": tarnet(Z, fit_rows, Z)}
nets = {"DeepSurv": deepsurv(Z, fit_rows, 16), "Cox, all interactions": deepsurv(Z, fit_rows, 0)}
benefit |= {name: log_benefit(net, Z) for name, net in nets.items()}

# %% [markdown]
# Last, what is known from elsewhere: which inputs may change the *effect*? For clopidogrel *CYP2C19\*2*, the
# coronary variant at 9p21 and smoking have been named. A Cox model with these interactions alone has far less to
# learn. **Read its score with reserve.** In the hospital these three are exactly the inputs that matter, so this adviser
# knows the shape of the truth, and we added it after the others had been seen to lose to "treat all" on simulated test
# patients. In life such knowledge is less sure. Where nothing is named, all inputs stay in.

# %%
named = [k for k, c in enumerate(trial.X) if c in ("CYP2C19_2", "CDKN2B_AS1", "smoker")] or list(range(Z.shape[1]))
outcome = Surv.from_arrays(trial.event, trial.time)


def cox_named(rows):
    """Minus the log hazard ratio of each patient, by a Cox model with the named interactions."""
    D = np.column_stack([Z, trial.arm, trial.arm[:, None] * Z[:, named]]).astype(float)
    weights = CoxPHSurvivalAnalysis(alpha=1.0).fit(D[rows], outcome[rows]).coef_[Z.shape[1]:]
    return -weights[0] - Z[:, named] @ weights[1:]


benefit["Cox, named interactions"] = cox_named(fit_rows)

# %% [markdown]
# What is advice worth? The *doubly robust* value needs no truth: it weighs those who happened to get what was advised,
# and corrects by a model of the outcome. It is right when either the weights or the model is. Below we follow the Cox model
# with named interactions. Look at the intervals: validation patients can hardly tell the advisers apart.

# %%
by_arm = [RidgeCV(np.logspace(0, 4, 9)).fit(Z[r], worth_of[r]) for a in (0, 1) for r in [fit_rows[trial.arm[fit_rows] == a]]]
predicted = np.stack([m.predict(Z) for m in by_arm], axis=1)


def terms(advice):
    """Doubly robust value of advice, one term a patient."""
    return treatment.doubly_robust(worth_of, trial.arm, advice, propensity, predicted)


everybody = np.ones(len(trial.arm), bool)
plots.estimates({name: evaluate.mean_interval(terms(b > 0)[trial.parts["valid"]]) for name, b in benefit.items()},
                f"RMST ({trial.unit})", f"{trial.name}: doubly robust value on validation patients")
best = "Cox, named interactions"
advice = benefit[best] > 0
rows = {f"advice of {best}": advice, "treat all": everybody, "treat none": ~everybody}
plots.estimates({name: evaluate.mean_interval(terms(a)[test]) for name, a in rows.items()}, f"RMST ({trial.unit})",
                f"{trial.name}: doubly robust value on test patients")

# %%
value, all_value, regret, pehe, oracle = ("not measured",) * 5
if trial.truth:
    lived = trial.truth["expected"][test]
    true_effect = lived[:, 1] - lived[:, 0]
    best_fixed = lived.mean(axis=0).max()
    value, all_value, oracle = (lived[np.arange(len(test)), a.astype(int)].mean() for a in
                                (advice[test], everybody[test], true_effect > 0))
    regret, pehe = oracle - value, np.sqrt(np.mean((benefit["X-learner"][test] - true_effect) ** 2))
for name, v in {"pehe": pehe, "policy_value": value, "treat_all_value": all_value, "oracle_value": oracle,
                "regret": regret}.items():
    record(name, v, unit=trial.unit)

# %% [markdown]
# *PEHE* is the root mean squared error of the effect on each patient (here of the X-learner), *regret* what the advice
# loses against an oracle that knows each effect. All learners, judged by the truth:

# %%
def judged(b):
    """Judge an adviser by the truth: value, and the share of the oracle's gain over the best fixed treatment."""
    mean = lived[np.arange(len(test)), (b[test] > 0).astype(int)].mean()
    return {"days alive": mean, "share of the oracle's gain": (mean - best_fixed) / (oracle - best_fixed)}


if trial.truth:
    display(pd.DataFrame({name: judged(b) for name, b in benefit.items()}).T.round(3))
    say(f"{best} reaches {value:.1f} days; "
        f"treating all {all_value:.1f}, the oracle {oracle:.1f}. SIMULATED patients.")

# %% [markdown]
# ### Whose risk is high?
#
# The concordance index (C) is the chance that of two patients the one with the higher risk has the event first.

# %%
with_arm = np.column_stack([trial.X, trial.arm])
forest = RandomSurvivalForest(200 if full else 40, min_samples_leaf=30, random_state=seed, low_memory=True)
grown = np.sort(fit_rows)[:6000]
risks = {"c_index": nets["DeepSurv"](torch.tensor(Z[test]), torch.tensor(trial.arm[test])).detach().numpy(),
         "c_index_forest": forest.fit(with_arm[grown], outcome[grown]).predict(with_arm[test])}
for name, risk in risks.items():
    record(name, concordance_index_censored(trial.event[test], trial.time[test], risk)[0])

# %% [markdown]
# ### When to say nothing
#
# We refit the Cox model on resampled patients. Where the refits disagree on the direction, we *abstain*, and the patient
# gets what is best for all.

# %%
draws = 100 if full else 20
refits = [cox_named(np.random.default_rng(seed + d).choice(fit_rows, len(fit_rows)))
          for d in tqdm(range(draws), desc="refits", leave=False)]
votes = np.mean([b > 0 for b in refits], axis=0)
sure = np.maximum(votes, 1 - votes) >= abstain_at
default_arm = terms(everybody)[trial.parts["valid"]].mean() > terms(~everybody)[trial.parts["valid"]].mean()
cautious = np.where(sure, votes > 0.5, default_arm)
gain_cautious = evaluate.mean_interval((terms(cautious) - terms(advice))[test])
say(f"Abstained for {np.mean(~sure[test]):.0%} of test patients. Cautious less full advice: {gain_cautious} {trial.unit}.")

# %%
if trial.truth:
    wrong = {name: np.mean((a[test] != default_arm) & ((true_effect > 0) != a[test]))
             for name, a in {"full advice": advice, "cautious advice": cautious}.items()}
    say("Moved from the common treatment to a worse one: " + ", ".join(f"{k} {v:.1%}" for k, v in wrong.items())
        + " of simulated patients.")

# %% [markdown]
# ### Real women
#
# GBSG2 (686 women with breast cancer; or, with `trial_data=gbsg`, a model from Rotterdam on that same trial): is it
# better to follow the advice than to give everybody hormonal therapy? Each woman's advice comes from a Cox model fitted
# to others.

# %%
women = trial if trial_data == "gbsg" else trials.trial("gbsg2")
folds = [(women.parts["train"], women.parts["test"])] if trial_data == "gbsg" else [
    (np.flatnonzero(np.arange(len(women.arm)) % 5 != k), np.flatnonzero(np.arange(len(women.arm)) % 5 == k))
    for k in range(5)]


def pseudo(r):
    """Months free of recurrence within 60, one number a woman."""
    return treatment.pseudo_values(women.time[r], women.event[r], 60)


def women_like(fitted):
    """Scale all women as those that the models are fitted to."""
    return StandardScaler().fit(women.X.iloc[fitted]).transform(women.X).astype(np.float32)


def policy_terms(fitted, held):
    """Doubly robust RMST of advice and of treat-all for women that the models have not met: (2, n)."""
    W = women_like(fitted)
    net = deepsurv(W, fitted, 0, women.arm, women.time, women.event)
    chance = LogisticRegression(C=0.1).fit(W[fitted], women.arm[fitted]).predict_proba(W[held])[:, 1].clip(0.05, 0.95)
    by_arm = [RidgeCV(np.logspace(0, 4, 9)).fit(W[r], pseudo(r)) for a in (0, 1) for r in [fitted[women.arm[fitted] == a]]]
    guess, seen = np.stack([m.predict(W[held]) for m in by_arm], axis=1), pseudo(held)
    plans = log_benefit(net, W[held]) > 0, np.ones(len(held), bool)
    return np.stack([treatment.doubly_robust(seen, women.arm[held], plan, chance, guess) for plan in plans])


advised, treated = np.concatenate([policy_terms(*fold) for fold in folds], axis=1)
gbsg_gain = evaluate.mean_interval(advised - treated)
record("gbsg_policy_gain", gbsg_gain, unit="months")

# %%
say(f"Real women ({women.name}): the advice gains {gbsg_gain} months of recurrence-free time within 60 months over giving "
    f"everybody hormonal therapy. "
    + ("**It beats treat-all.**" if gbsg_gain.low > 0 else "**It does not beat treat-all: treat all.**"))

# %% [markdown]
# Comparing women who *followed* the advice by chance with those who did not looks better than it is: who follows may
# differ from who does not. Here are the plain means, to see how they flatter.

# %%
held = np.concatenate([h for _, h in folds])
plan = np.concatenate([log_benefit(deepsurv(W, f, 0, women.arm, women.time, women.event), W[h]) > 0
                       for f, h in folds for W in [women_like(f)]])
followed = women.arm[held] == plan
plain = [treatment.restricted_mean(women.time[held][k], women.event[held][k], 60) for k in (followed, ~followed)]
say(f"Restricted mean within 60 months: advice followed {plain[0]:.1f} months, not followed {plain[1]:.1f}; advised to treat: "
    f"{plan.mean():.0%}.")

# %% [markdown]
# ## A page for one patient

# %%
who = parts["test"][0]
run_parts, roots, chosen = runs[0]
low, high = conformal(roots["chosen"], run_parts)
centre, inverse = X[parts["train"]].mean(0), np.linalg.pinv(np.cov(X[parts["train"]].T))


def strangeness(x):
    """Distance from the mean of the training patients in units of their spread (Mahalanobis)."""
    return np.sqrt(np.einsum("...i,ij,...j", x - centre, inverse, x - centre))


limit = np.quantile(strangeness(X[parts["train"]]), 0.99)
unlike = strangeness(X[who]) > limit
near = np.argsort((((X[parts["train"]] - X[who]) / (X[parts["train"]].std(0) + 1e-6)) ** 2).sum(1))[:5]
linear.fit(X[parts["train"]], y[parts["train"]])
push = linear[-1].coef_ * linear[0].transform(X[[who]])[0]

# %%
patient = test[0]
drove = ", ".join(f"{names[k]} ({push[k]:+.2f})" for k in np.argsort(-np.abs(push))[:4])
logs = np.array([b[patient] for b in refits])
say(f"**Dose** ({doses.name}): {roots['chosen'][who] ** 2:.0f} mg a week (90 % interval {low[who]:.0f} to {high[who]:.0f}); the "
    f"formula says {formula[who] ** 2:.0f}. What drove it (root mg): {drove}. Five similar patients needed "
    f"{', '.join(f'{d:.0f}' for d in doses.dose[parts['train'][near]])} mg.")
say(f"**Treatment** ({trial.name}): {trial.arms[int(votes[patient] > 0.5)] if sure[patient] else 'no advice: the refits disagree'}. "
    f"Hazard ratio {np.exp(-logs.mean()):.2f} (90 % of refits {np.exp(-np.quantile(logs, 0.95)):.2f} to "
    f"{np.exp(-np.quantile(logs, 0.05)):.2f}).")
say("**Reasons to distrust it:** " + ("this patient is unlike any in training; " if unlike else "") + "the interval is wide; "
    "other drugs, diet and adherence are not known; no prospective trial stands behind this page. Not for use at the bedside.")

# %% [markdown]
# ## Where it fails
#
# **Patients unlike any in training** get an answer all the same. The distance from the training patients raises a flag.

# %%
stranger = X[who].copy()
stranger[list(names).index("weight")] = 320
flagged = strangeness(stranger) > limit
say(f"A patient of 320 kg gets {linear.predict(stranger[None])[0] ** 2:.0f} mg a week. "
    f"{'**Flagged: unlike any in training.**' if flagged else 'Not flagged.'}")

# %% [markdown]
# **Confounding.** Where doctors give the drug to the more ill, the treated die sooner, and a naive comparison blames the
# drug. Adjusting helps with what is measured, and never with what is not. **Positivity:** where one kind of patient always
# gets the drug, nobody knows how she fares without it. We compare the naive difference under both assignments.

# %%
naive = {}
for kind in ("virtual-hospital", "virtual-hospital-confounded"):
    world = trials.trial(kind, n=3000, seed=seed)
    mean = [treatment.restricted_mean(world.time[world.arm == a], world.event[world.arm == a], 365) for a in (0, 1)]
    naive[kind] = {"naive difference (days)": mean[1] - mean[0],
                   "true mean effect (days)": np.diff(world.truth["expected"], axis=1).mean()}
pd.DataFrame(naive).T.round(1)

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
    assert np.isclose(within_20(truth, guess), 2 / 3), "Two of these three are within 20 % of the true dose (|12.4 - 10| is not)."

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
# **Exercise 2.** Write the chance of each hidden unit of an RBM to be on: `v` is (n, visible), `W` (visible, hidden), `c`
# (hidden,).

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
# **Exercise 3.** In a randomised trial (chance of treatment one half), give the value of some advice by inverse weights: the
# mean over all patients of their outcome, times 2 where the arm was the advised one, and 0 elsewhere.

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
# <details><summary>Why predict the square root of the dose?</summary>The dose is skewed: a few need very much. On the root
# scale errors are alike for all, and the interval widens with the dose.</details>
# <details><summary>What does contrastive divergence lower, and what does it raise?</summary>The free energy of true patients,
# and that of the machine's own fantasies.</details>
# <details><summary>What must hold for a conformal interval to keep its promise?</summary>New patients must be like the
# validation patients.</details>
# <details><summary>Why can nobody check the effect on one real patient?</summary>Only one arm is ever seen.</details>
# <details><summary>Which two simple policies must any advice beat?</summary>Treat all, and treat none.</details>
# <details><summary>What may such advice not be used for?</summary>To treat anybody without a trial of the advice itself, or where
# causes of both treatment and outcome were not measured.</details>

# %% [markdown]
# ## Take away
#
# - A formula of few terms is strong where effects add up. Measure depth against it, paired, before you believe in depth.
# - An interval for each patient is cheap, and honest for patients like those seen.
# - Advice is worth what it adds over treating everybody alike. The cell below says what came of it here.

# %%
say(f"Dose ({doses.name}): gain over the formula {gain} mg a week; 90 % intervals covered {coverage.value:.1%}. "
    f"Real women: gain of advice over treat-all {gbsg_gain} months.")

# %% [markdown]
# **References**
#
# - International Warfarin Pharmacogenetics Consortium. N Engl J Med 360:753-764, 2009.
#   [doi:10.1056/NEJMoa0809329](https://doi.org/10.1056/NEJMoa0809329)
# - Hinton GE, Osindero S, Teh YW. Neural Comput 18:1527-1554, 2006.
#   [doi:10.1162/neco.2006.18.7.1527](https://doi.org/10.1162/neco.2006.18.7.1527)
# - Katzman JL, et al. BMC Med Res Methodol 18:24, 2018.
#   [doi:10.1186/s12874-018-0482-1](https://doi.org/10.1186/s12874-018-0482-1) (DeepSurv)
# - Künzel SR, et al. PNAS 116:4156-4165, 2019. [doi:10.1073/pnas.1804597116](https://doi.org/10.1073/pnas.1804597116)
# - Schumacher M, et al. J Clin Oncol 12:2086-2093, 1994.
#   [doi:10.1200/JCO.1994.12.10.2086](https://doi.org/10.1200/JCO.1994.12.10.2086) (GBSG2)
