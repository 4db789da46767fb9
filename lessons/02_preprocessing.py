# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   medkit:
#     title: Preprocessing
#     learn:
#       - clean, scale, fill and select in one pipeline that learns from training patients alone
#       - measure what each step is worth, and how wrong a filled-in value is
#       - recognise two leaks that make a study look brilliant, and say what each is worth in AUROC
#     read_minutes: 45
#     before: lesson 1 (AUROC, training, validation and test patients); a little scikit-learn helps.
#     data: the virtual hospital (3,000 simulated stays in intensive care); real stays by parameter; two DICOM files of pydicom.
#     claim: "\"The data matter more than the model.\" Here: how much is gained when the same simple model gets well prepared data?"
# ---

# %% tags=["context"]
import medkit  # first, as it keeps a warning of fastai's import quiet

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pydicom
from pydicom.data import get_testdata_file
from IPython.display import display
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (lets the next line find it)
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold, f_classif, mutual_info_classif
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler
from tqdm import tqdm

from medkit import evaluate, plots
from medkit.datasets import stays
from medkit.errors import MedkitError
from medkit.exercise import Exercise
from medkit.hospital import admit
from medkit.hospital.stay import REASONS
from medkit.preprocess import pictures, signals
from medkit.preprocess.series import ForwardFill, HourByHour, SeriesFeatures
from medkit.preprocess.tables import Plausible, StabilitySelection
from medkit.report import record, say

plots.use_style()
warnings.simplefilter("ignore", ConvergenceWarning)  # unscaled features converge badly: part of what we show

# %% [markdown]
# On real patients: `medkit run 2 -p dataset=challenge-2012`. On your own: the path of a long table (patient, time,
# variable, value).

# %% tags=["parameters", "context"]
dataset: str = "virtual-hospital"  # simulated; or challenge-2012; or a long table: patient, time, variable, value
effort: str = "demo"  # demo | full: more repeats and more draws
slips: float = 0.02  # 0 to 1: share of some variables' values that we damage on purpose (simulated stays only)
noise_features: int = 2000  # 1 to 100000: columns of pure chance in the study of leaks
seed: int = 0  # 0 to 999999: which patients, split, draws

# %% [markdown]
# ## A working result first
#
# A patient in intensive care is watched for two days: pulse, pressures, laboratory values, by the hour. Will the
# patient leave the hospital alive? The model of this lesson never changes: logistic regression. What changes is what
# it is given.

# %%
data = stays.load(dataset, seed=seed, clean=False)
simulated = data.truth is not None
source = f"{data.name} (simulated patients)" if simulated else data.name
names, y = list(data.variables), data.y
say(f"{source}: {len(y):,} stays, {y.sum():,} deaths, {len(names)} variables, {data.values.shape[1]} hours; "
    f"**{1 - data.mask.mean():.0%}** of the cells are empty.")
for note in data.notes:
    print("-", note)

# %% [markdown]
# Real records hold slips. The simulated ones do not, so we plant some: a temperature in Fahrenheit, a pH without its
# point, a digit too many, a pressure of 0 from a closed line. As we planted them, we know how many are found.

# %%
SLIPS = {"Temp": lambda v: 1.8 * v + 32, "pH": lambda v: 100 * v, "FiO2": lambda v: 100 * v, "HR": lambda v: 10 * v,
         "SysABP": lambda v: 0 * v, "MAP": lambda v: 0 * v, "NISysABP": lambda v: 0 * v, "GCS": lambda v: 0 * v - 1,
         "K": lambda v: 10 * v, "Creatinine": lambda v: 10 * v, "Platelets": lambda v: 1000 * v}
raw, rng = data.values.copy(), np.random.default_rng(seed)
damaged = np.zeros(raw.shape, bool)
for name in (n for n in SLIPS if simulated and n in names):
    k = names.index(name)
    damaged[..., k] = data.mask[..., k] & (rng.random(raw.shape[:2]) < slips)
    raw[..., k] = np.where(damaged[..., k], SLIPS[name](raw[..., k]), raw[..., k])

# %% [markdown]
# Now two *pipelines*. A pipeline is a row of steps that are fitted together. The careless one writes 0 into every gap,
# and sums each variable up as last, mean, lowest and highest value. The careful one does what this lesson explains.

# %%
def model():
    """Make the model that all of the lesson shares."""
    return LogisticRegression(C=0.003, max_iter=500)


def zeros():
    """Write 0 into each gap."""
    return HourByHour(SimpleImputer(strategy="constant", fill_value=0, keep_empty_features=True))


def median():
    """Fill a table's gaps with the training patients' median."""
    return SimpleImputer(strategy="median", keep_empty_features=True)


# %%
LEVELS, SIGNS = ("last", "mean", "min", "max"), ("count", "since")


def clean():
    """Mend units, and leave out what no living patient has."""
    return HourByHour(Plausible(names))


class Loosened(LogisticRegression):
    """A model whose L1 penalty is loosened until some weight is left: from no feature nothing can be learned."""

    def fit(self, X, y):
        while np.abs(super().fit(X, y).coef_).max() < 1e-5 and self.C < 1000:
            self.C *= 2
        return self


def choose():
    """Keep the features to which an L1 penalty leaves some weight."""
    mild = max(0.03, 1.6 / np.sqrt(len(y)))  # with few patients a strong penalty would leave nothing
    return SelectFromModel(Loosened(C=mild, l1_ratio=1, solver="liblinear", random_state=seed))


careless = [zeros(), SeriesFeatures(names, LEVELS)]
careful = [clean(), SeriesFeatures(names, LEVELS + SIGNS), median(), StandardScaler(), choose()]

# %% [markdown]
# We judge on patients whom a pipeline has not met. To lose nobody, training and validation patients take turns: five
# times a fifth is held out, and *everything*, each step of the pipeline included, is fitted on the other four fifths
# (*cross-validation*). Test patients wait for the end.
#
# A *gain* is the mean difference over the folds. Any two of them learn from three quarters of the same patients, so they
# are no independent repeats: we widen the interval as Nadeau & Bengio (2003) advise. What stays above zero then is more
# than the chance of who was held out, and of who was learned from.

# %%
learning = np.sort(np.concatenate([data.parts["train"], data.parts["valid"]]))
rarer = np.bincount(y[learning], minlength=2).min()
if rarer < 10:
    raise MedkitError(f"{source}: of the {len(learning)} training and validation patients only {rarer} have the rarer "
                      "outcome. Five folds, and the small studies below, need at least 10.")
folds = StratifiedKFold(5, shuffle=True, random_state=seed)


def held_out(*steps, last=None):
    """Predict the risk of each training and validation patient by a pipeline that has not met the patient."""
    pipeline = make_pipeline(*steps, model() if last is None else last)
    return cross_val_predict(pipeline, raw[learning], y[learning], cv=folds, method="predict_proba")[:, 1]


def gain(better, worse):
    """Estimate the gain in AUROC of one prediction over another, paired: the mean over folds."""
    t = y[learning]
    each = [evaluate.auroc(t[b], better[b]) - evaluate.auroc(t[b], worse[b]) for _, b in folds.split(t, t)]
    return evaluate.mean_interval(each, shared=1 / 4)


# %%
risks = {"careless": held_out(*careless), "careful": held_out(*careful)}
shown = {name: evaluate.interval(evaluate.auroc, y[learning], p) for name, p in risks.items()}
plots.estimates(shown, "AUROC, patients held out", f"One model, two preparations: {source}")

# %%
choice = make_pipeline(*careful).fit(raw[learning], y[learning])[-1]
say(f"Of {len(choice.get_support())} features the careful one keeps **{choice.get_support().sum()}**."
    + (" (The first penalty left none, so it was loosened.)" if choice.estimator_.C > choice.estimator.C else ""))

# %% [markdown]
# The same patients, the same model. The rest of the lesson goes step by step: clean, normalise, fill, select.
#
# ## Clean
#
# Cleaning asks of each value: can a living patient have it? `Plausible` knows a wide range for each variable. First it
# mends what is plainly another unit: a temperature of 98 can only be Fahrenheit. What is then still outside becomes a
# gap. It learns nothing from the patients, so it cannot leak.

# %%
series = clean().fit_transform(raw)
changed = data.mask & ~np.isclose(series, raw, equal_nan=True)
lost = changed & ~np.isfinite(series)
pd.DataFrame({"measured": data.mask.sum((0, 1)), "mended": (changed & ~lost).sum((0, 1)),
              "left out": lost.sum((0, 1))}, index=names).query("mended + `left out` > 0")

# %%
if simulated and damaged.any():
    found = (changed & damaged).sum() / damaged.sum()
    alarm = (changed & ~damaged).sum() / (data.mask & ~damaged).sum()
    missed = names[np.argmax((damaged & ~changed).sum((0, 1)))]
    say(f"Of {damaged.sum():,} planted slips **{found:.0%}** were found; of the right values {alarm:.2%} were touched. "
        f"Most slips that stay are in {missed}: a digit too many there is still possible in a very ill patient.")

# %% [markdown]
# *Duplicates* are the third kind of dirt: a row that was exported twice. `stays.load` counts equal rows of a long table
# once. With pandas it is one line. Look at the key, too: two *different* values of the same minute are not duplicates.

# %% tags=["nbval-check-output"]
export = pd.DataFrame({"patient": [1, 1, 1, 2], "time": [0, 0, 4, 0], "K": [4.1, 4.1, 4.4, 3.9]})
print(f"{export.duplicated().sum()} row stands twice; {len(export.drop_duplicates())} of {len(export)} rows stay")

# %% [markdown]
# ## Normalise
#
# A penalised model weighs all features alike, so a feature in large units (platelets, 200) crowds out one in small
# units (pH, 7.4). *Standard* scaling brings each to mean 0 and standard deviation 1; *robust* scaling uses the median
# and the quartiles, which no outlier moves. In a pipeline both learn from the training folds alone.

# %%
levels = SeriesFeatures(names, LEVELS)
measured = [clean(), levels, median()]  # sums up what was measured; the median for those never measured
risks["measured alone"] = held_out(*measured, StandardScaler())
scaling = {"standard, against none": gain(risks["measured alone"], held_out(*measured)),
           "robust, against standard": gain(held_out(*measured, RobustScaler()), risks["measured alone"])}
plots.estimates(scaling, "gain in AUROC (paired)", f"Scaling: {source}", reference=0)

# %%
largest = {scaler: np.abs(make_pipeline(*measured, scaler).fit_transform(raw[data.parts["train"]])).max()
           for scaler in (StandardScaler(), RobustScaler())}
by_standard, by_robust = largest.values()
say(f"The largest scaled value is {by_standard:,.0f} with standard scaling, **{by_robust:,.0f}** with robust scaling. "
    + ("Where most patients have the same filled-in value, the quartiles lie close together, and dividing by their "
       "distance blows up all others. " if by_robust > by_standard else "")
    + "*Robust* is a name, not a promise: measure it.")

# %% [markdown]
# ## Fill what is missing
#
# Why is a cell empty? Statisticians tell apart *missing completely at random* (a tube was dropped), *at random* (what
# we see explains it), and *not at random* (the value itself decides: nobody measures what looks normal). Every
# imputation leans on one of the first two. In the virtual hospital each gap has its reason, and we know the value
# behind it.

# %%
def fillers():
    """Give four ways to fill a gap; each is fitted on training patients, in units of one standard deviation."""
    chained = IterativeImputer(max_iter=3, n_nearest_features=10, random_state=seed, keep_empty_features=True)
    return {"median": [HourByHour(median())],
            "carried forward": [ForwardFill()],
            "iterative": [HourByHour(chained, max_rows=5000)],
            "forward, then iterative": [ForwardFill("missing"), HourByHour(chained, max_rows=5000)]}


# %% [markdown]
# *Carrying forward* says that a value stays until the next one. *Iterative* imputation (also: chained equations)
# predicts each variable from the others of the same hour, in turns. How wrong are they? On validation patients we
# compare with what should have been there: the *normalised RMSE* is the root of the mean squared error in standard
# deviations of the variable. 0 is perfect; 1 is what a guess of the mean reaches.

# %%
train, valid = data.parts["train"], data.parts["valid"]
units = HourByHour(StandardScaler()).fit(series[train])
Z = {part: units.transform(series[data.parts[part]]) for part in ("train", "valid")}
target = units.transform(data.truth[valid]) if simulated else Z["valid"]
hidden = np.isfinite(Z["valid"]) & (rng.random(Z["valid"].shape) < 0.1)
masked = np.where(hidden, np.nan, Z["valid"])
judged = {"hidden by us": hidden} | ({"really missing": ~data.mask[valid]} if simulated else {})
wrong_by = {}
for name, steps in fillers().items():
    filled = make_pipeline(*steps).fit(Z["train"]).transform(masked)
    wrong_by[name] = (filled - target) ** 2

# %%
varied = np.flatnonzero(np.nanstd(Z["train"], axis=(0, 1)) > 0.5)  # a variable that never changes has no error


def nrmse(squared, cells):
    """Normalised RMSE over some cells, averaged over variables, with an interval over patients."""
    error = np.where(cells, squared, 0).sum(axis=1)[:, varied]
    count = cells.sum(axis=1)[:, varied]
    there = count.sum(axis=0) >= min(20, count.sum(axis=0).max())  # fewer say nothing, unless no variable has more

    def mean(w):
        return np.sqrt((w @ error[:, there]) / np.maximum(w @ count[:, there], 1)).mean(axis=1)

    spread = evaluate.bootstrap(mean, len(error), None, 500, seed)
    value = float(mean(np.ones((1, len(error))))[0])
    return evaluate.Estimate(value, *evaluate.percentiles(spread, value))


# %%
errors = {kind: {name: nrmse(e, cells) for name, e in wrong_by.items()} for kind, cells in judged.items()}
kind = list(judged)[-1]
plots.estimates(errors[kind], "normalised RMSE (0 is perfect)", f"Error where values are {kind}: {source}", reference=1)

# %%
for name, label in {"forward, then iterative": "imputation_error", "median": "imputation_error_median",
                    "carried forward": "imputation_error_forward"}.items():
    record(label, errors[kind][name], unit="standard deviations")
record("imputation_error_hidden", errors["hidden by us"]["forward, then iterative"], unit="standard deviations")

# %%
best = min(errors[kind], key=lambda name: errors[kind][name].value)
say(f"The smallest error has **{best}**: {errors[kind][best]}, against {errors[kind]['median']} of the median.")
if simulated:
    say(f"Without the truth one hides measured cells and fills them, as one must on real patients. That gives "
        f"{errors['hidden by us'][best].value:.3f}, where the gaps that are really there give "
        f"{errors[kind][best].value:.3f}. Only what is measured can be hidden, so the two need not agree.")
else:
    say("These cells were hidden at random. The error of cells that are really missing cannot be known here. In the "
        "virtual hospital it can: run the lesson there.")

# %% [markdown]
# The same by variable, for the twelve on which the ways differ most. Where carrying forward is good, a variable changes
# slowly. Where nothing beats 1, nobody could have known.

# %%
def by_variable(squared):
    """Normalised RMSE of each variable."""
    cells = judged[kind]
    return np.sqrt(np.where(cells, squared, 0).sum((0, 1)) / np.maximum(cells.sum((0, 1)), 1))


table = pd.DataFrame({name: by_variable(e) for name, e in wrong_by.items()}, index=names).iloc[varied]
table.loc[(table.max(axis=1) - table.min(axis=1)).sort_values(ascending=False).index[:12]].round(2)

# %% [markdown]
# And by the reason why it is missing, which only a simulation knows.

# %%
if simulated and dataset == stays.HOSPITAL:
    reason = np.concatenate([c.stay(raw.shape[1]).reason for c in admit(len(y), seed).batches(500)])[valid]
    reason = np.where(np.isin(np.arange(len(names)), varied), reason, 0)
    cells = {text: reason == k for k, text in enumerate(REASONS) if k and (reason == k).sum() >= 20}
    by_reason = pd.DataFrame({name: {text: np.sqrt(e[at].mean()) for text, at in cells.items()}
                              for name, e in wrong_by.items()}).round(2)
    display(by_reason.assign(cells=[at.sum() for at in cells.values()]))

# %% [markdown]
# ### What is it worth to the model?
#
# A small error of imputation need not make a better prediction. We compare the median in each empty hour with three
# other ways: summing up only what was measured (the median is left for those never measured), carrying forward, zeros.

# %%
ways = {"carried forward": ForwardFill(), "zeros": zeros(), "median": HourByHour(median())}
for name, filler in ways.items():
    risks[name] = held_out(clean(), filler, levels, StandardScaler())
filling = {name: gain(risks[name], risks["median"]) for name in ("measured alone", "carried forward", "zeros")}
plots.estimates(filling, "gain in AUROC over the median in each hour", f"Filling: {source}", reference=0)

# %%
better, worse = ([n for n, e in filling.items() if test(e)] for test in (lambda e: e.low > 0, lambda e: e.high < 0))
say(f"Better than the median, beyond chance: **{', '.join(better) or 'none'}**. Worse: **{', '.join(worse) or 'none'}"
    "**. Zeros are a strange case: a mean over many zeros is small, so it also says how often something was measured.")

# %% [markdown]
# ## Missing is itself a sign
#
# Who is ill is measured more often. So *whether* something was measured tells of the patient. We give the model two
# *mask features* for each variable: how often it was measured, and how long ago.

# %%
both = SeriesFeatures(names, LEVELS + SIGNS)
risks["with mask"] = held_out(clean(), both, median(), StandardScaler())
risks["mask alone"] = held_out(SeriesFeatures(names, SIGNS), StandardScaler())
mask_gain = gain(risks["with mask"], risks["measured alone"])
alone = evaluate.interval(evaluate.auroc, y[learning], risks["mask alone"])
record("gain_mask", mask_gain)
record("mask_alone_auroc", alone)
record("gain_imputation", filling["measured alone"])

# %%
def verdict(found, what):
    """Say in words what a gain with its interval allows us to say."""
    if found.low > 0:
        return f"{what} helps, beyond chance"
    if found.high < 0:
        return f"{what} harms, beyond chance"
    return f"Whether {what[0].lower()}{what[1:]} helps, these data cannot tell"


say(f"From the mask *alone*, without one measured value, the model reaches an AUROC of {alone}. "
    f"**{verdict(mask_gain, 'Adding the mask to the values')}**: {mask_gain}.")

# %% [markdown]
# ## Select features
#
# Fewer features are easier to explain, to check, and to measure at the bedside. Three ways:
#
# - a *filter* looks at one feature at a time (*mutual information*: how much it tells of the outcome);
# - an *L1 penalty* makes a model put most weights at exactly 0;
# - *stability selection* asks the L1 model again and again on random halves of the patients, and keeps what is chosen
#   in most of them.
#
# To see how easily each is fooled, we add 200 features of pure chance.

# %%
features = make_pipeline(clean(), both, median(), StandardScaler())
F = features.fit(raw[train], y[train]).transform(raw[train])
chance = rng.standard_normal((len(train), 200))
sparse = LogisticRegression(C=max(0.05, 2.5 / np.sqrt(len(y))), l1_ratio=1, solver="liblinear", random_state=seed)
halves = 30 if effort == "demo" else 100
told_by_each = partial(mutual_info_classif, random_state=seed)
selectors = {"mutual information, best 40": SelectKBest(told_by_each, k=40), "L1 penalty": SelectFromModel(sparse),
             "stability selection": StabilitySelection(sparse, halves=halves, random_state=seed)}
kept = {name: s.fit(np.hstack([F, chance]), y[train]).get_support() for name, s in selectors.items()}
counted = pd.DataFrame({name: {"kept": k.sum(), "of pure chance": k[F.shape[1]:].sum()} for name, k in kept.items()}).T
counted

# %%
labels = np.append(both.fit(raw[:1]).get_feature_names_out(), [f"chance {k}" for k in range(200)])
often = np.argsort(-selectors["stability selection"].frequency_, kind="stable")[:8]
say("Chosen most steadily: " + ", ".join(f"{labels[k]} ({selectors['stability selection'].frequency_[k]:.0%} of halves)"
                                        for k in often) + ".")
for name, label in {"L1 penalty": "noise_kept_l1", "stability selection": "noise_kept_stability"}.items():
    kept_all, by_chance = counted.loc[name, ["kept", "of pure chance"]]
    record(label, by_chance / max(kept_all, 1), unit="share of the features kept")

# %% [markdown]
# And what does the model lose, or gain, by it? The columns of pure chance now stay out. The model learns from all
# features, and from those that each way kept. We compare the two on validation patients, whom no way has seen.

# %%
F_valid = features.transform(raw[valid])


def by_features(some):
    """Predict the risk of validation patients from some features; without any, all have the same risk."""
    if not some.any():
        return np.full(len(valid), y[train].mean())
    return model().fit(F[:, some], y[train]).predict_proba(F_valid[:, some])[:, 1]


# %%
of_all = by_features(np.ones(F.shape[1], bool))
chosen = {name: evaluate.compare(evaluate.auroc, y[valid], by_features(k[:F.shape[1]]), of_all, seed=seed)
          for name, k in kept.items()}
plots.estimates(chosen, "gain in AUROC over all features (paired)", f"Selecting, on validation patients: {source}",
                reference=0)
for name, label in {"mutual information, best 40": "gain_mutual_information",
                    "stability selection": "gain_stability"}.items():
    record(label, chosen[name])

# %%
better, worse = ([n for n, e in chosen.items() if test(e)] for test in (lambda e: e.low > 0, lambda e: e.high < 0))
few = "; ".join(f"{k[:F.shape[1]].sum()} by {name}" for name, k in kept.items())
say(f"Better than all {F.shape[1]} features, beyond chance: **{', '.join(better) or 'none'}**. Worse: "
    f"**{', '.join(worse) or 'none'}**. Kept: {few}.")

# %% [markdown]
# ## Leakage, done wrong on purpose
#
# *Leakage* means that the model, or a step before it, saw what it will be tested on. Nothing crashes. The figures are
# simply too good.
#
# ### Selecting on everybody
#
# A study has few patients and thousands of features (genes, say). Somebody picks the 20 best features *on all
# patients*, then cross-validates the model with care. The choice has already seen the held-out patients. We do it wrong
# and right, and ask the many patients who were left aside who told the truth. Studies drawn from the same patients share
# some of them, so their intervals are widened, too. (The truth is a mean with no interval: nearly the same patients are
# asked each time.)

# %%
table_all = make_pipeline(clean(), SeriesFeatures(names, ("last", "mean")), median(), StandardScaler())
real = table_all.fit(raw[learning]).transform(raw[learning])
t = y[learning]


def study(n, draw):
    """AUROC of a study of n patients, half of whom died: selected on all, selected within folds, and the truth."""
    dice = np.random.default_rng([seed, draw])
    few = np.concatenate([dice.choice(np.flatnonzero(t == k), n // 2, replace=False) for k in (0, 1)])
    X = np.hstack([real, dice.standard_normal((len(t), noise_features)).astype(np.float32)])
    pick = make_pipeline(VarianceThreshold(1e-6), SelectKBest(f_classif, k=20))  # constant columns say nothing
    predict = LogisticRegression(C=0.1)
    wrong = cross_val_predict(predict, pick.fit_transform(X[few], t[few]), t[few], cv=5, method="predict_proba")[:, 1]
    whole = make_pipeline(pick, predict)
    right = cross_val_predict(whole, X[few], t[few], cv=5, method="predict_proba")[:, 1]
    others = np.setdiff1d(np.arange(len(t)), few)
    truth = whole.fit(X[few], t[few]).predict_proba(X[others])[:, 1]
    return [evaluate.auroc(t[few], wrong), evaluate.auroc(t[few], right), evaluate.auroc(t[others], truth)]


# %%
def over_studies(values, n):
    """Estimate the mean over studies of n patients that share some: n / 2 of the rarer outcome, where most are shared."""
    return evaluate.mean_interval(values, shared=(n // 2) / (rarer - n // 2))


repeats = 6 if effort == "demo" else 40
sizes = [n for n in (40, 60, 100, 200, 400) if n <= 1.5 * rarer] or [2 * max(5, 2 * int(rarer) // 3)]
told = np.array([[study(n, draw) for draw in range(repeats)] for n in tqdm(sizes, desc="studies", leave=False)])
lines = {name: [over_studies(told[k, :, j], n) for k, n in enumerate(sizes)] for j, name in enumerate(
    ["selected on everybody (wrong)", "selected within folds (right)"])}
lines["patients left aside (the truth)"] = told[:, :, 2].mean(axis=1)
plots.curves(sizes, lines, "patients in the study", "AUROC", f"Selection that leaks ({noise_features:,} features of "
             f"chance added)\n{source}", log_x=True)

# %%
prices = [over_studies(told[k, :, 0] - told[k, :, 1], n) for k, n in enumerate(sizes)]
at = sizes.index(60) if 60 in sizes else 0
record("leak_price_selection", prices[at])
say(f"With {sizes[at]} patients the wrong way promises an AUROC of {told[at, :, 0].mean():.2f}; done rightly it is "
    f"{told[at, :, 1].mean():.2f}, and on patients left aside {told[at, :, 2].mean():.2f}. The leak's price is "
    f"**{prices[at]}**. With {sizes[-1]} patients it is {prices[-1]}.")

# %% [markdown]
# ### Scaling on everybody
#
# The same mistake with the scaler: mean and standard deviation of *all* patients, the held-out ones included. It is
# wrong all the same, but what is it worth?

# %%
unscaled = make_pipeline(clean(), SeriesFeatures(names, ("last", "mean")), median()).fit_transform(raw[learning])


def scaled_study(draw, n=60):
    """AUROC of a study whose scaler saw everybody, less that of one whose scaler saw the training folds."""
    dice = np.random.default_rng([seed, draw])
    half = min(n, rarer) // 2
    few = np.concatenate([dice.choice(np.flatnonzero(t == k), half, replace=False) for k in (0, 1)])
    bare, fit = unscaled[few], LogisticRegression(C=0.1)
    wrong = cross_val_predict(fit, StandardScaler().fit_transform(bare), t[few], cv=5, method="predict_proba")[:, 1]
    right = cross_val_predict(make_pipeline(StandardScaler(), fit), bare, t[few], cv=5, method="predict_proba")[:, 1]
    return evaluate.auroc(t[few], wrong) - evaluate.auroc(t[few], right)

# %%
scale_price = over_studies([scaled_study(draw) for draw in range(5 * repeats)], min(60, rarer))
record("leak_price_scaling", scale_price)
both_cost = min(prices[at].low, scale_price.low) > 0
beside = f", {scale_price.value / prices[at].value:.0%} of the price of selection" if both_cost else ""
worth = ("the leak flatters the study" if scale_price.low > 0 else "the leak makes the study look worse"
         if scale_price.high < 0 else "whether the leak flatters the study, these draws cannot tell")
say(f"Its price here is {scale_price}{beside}: **{worth}**. A mean and a spread know nothing of the outcome. Doing it "
    "right costs nothing.")

# %% [markdown]
# ### Splitting rows, not patients
#
# A stay gives eight windows of six hours. Somebody splits the *windows* at random, so that windows of the same patient
# stand on both sides. A flexible model now recognises the patient, and remembers the outcome.

# %%
many = min(400, len(t))
some = learning[np.random.default_rng(seed).permutation(len(t))[:many]]
hours = 6 * (raw.shape[1] // 6)
windows = raw[some, :hours].reshape(-1, 6, len(names))
outcome, patient = np.repeat(y[some], hours // 6), np.repeat(data.patients[some], hours // 6)


def window_risk(groups):
    """Predict each window's risk by a random forest; windows of one group are never on both sides."""
    forest = RandomForestClassifier(100 if effort == "demo" else 300, min_samples_leaf=2, random_state=seed)
    steps = make_pipeline(clean(), SeriesFeatures(names, ("mean",)), median(), forest)
    split = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    return cross_val_predict(steps, windows, outcome, groups=groups, cv=split, method="predict_proba")[:, 1]


by_row, by_patient = window_risk(np.arange(len(windows))), window_risk(patient)

# %%
split_price = evaluate.compare(evaluate.auroc, outcome, by_row, by_patient, groups=patient, seed=seed)
record("leak_price_split", split_price)
told_by = {name: evaluate.interval(evaluate.auroc, outcome, p, groups=patient)
           for name, p in {"rows split (wrong)": by_row, "patients split (right)": by_patient}.items()}
plots.estimates(told_by, "AUROC of six-hour windows", f"The same forest, two ways to split: {source}")
say(f"The price of the leak is **{split_price}**, patients drawn whole. No line of code gives a warning.")

# %% [markdown]
# ## Images: windows and identity
#
# A CT stores *Hounsfield units* (HU): air -1,000, water 0, bone several hundred. A screen shows 256 greys. A *window*
# chooses which HU they are spent on: its centre, and its width. What is outside is black or white, and lost.

# %%
ct_file = get_testdata_file("CT_small.dcm", download=False)  # a test file inside pydicom: no patient to protect
ct = pictures.read_dicom(ct_file)
views = {f"{name}\n{centre:g} ± {width / 2:g} HU": pictures.resized(pictures.window(ct.values, centre, width), 224)
         for name, (centre, width) in pictures.WINDOWS.items()}
plots.image_grid(list(views.values()), list(views), columns=4, heading="One CT slice, four windows")

# %% [markdown]
# Too narrow or wrongly centred, and the disease is no longer in the picture. The share of pixels that a window cuts
# off:

# %%
cut_off = {name: float(np.mean(np.abs(ct.values - c) > w / 2)) for name, (c, w) in pictures.WINDOWS.items()}
mr = pictures.read_dicom(get_testdata_file("MR_small.dcm", download=False))
said = ", ".join(f"{name} {share:.0%}" for name, share in cut_off.items())
say(f"Cut off: {said}. An MR has no fixed unit; this "
    f"file suggests a window of its own ({mr.window[0]:g} ± {mr.window[1] / 2:g}). Without one, use percentiles.")

# %% [markdown]
# A DICOM file also says *whose* picture it is, in dozens of fields, in free text, and in private fields of the maker.
# A list of what to delete is never complete. So we go the other way: an *allow-list* of technical facts, and all
# else stays behind. `read_dicom` never gives more; `without_identity` makes a file to share.

# %% tags=["nbval-check-output"]
header = pydicom.dcmread(ct_file)
shared = pictures.without_identity(header)
print(f"{len(header)} fields in the file, {len(shared)} in the copy to share")
print("the patient's name:", "there" if "PatientName" in header else "gone", "->",
      "there" if "PatientName" in shared else "gone")
print("kept:", ", ".join(list(pictures.technical(header))[:9]), "...")

# %% [markdown]
# Text that is burnt into the pixels (ultrasound, scanned films) stays in both. Look before you share.
#
# ## Signals: wander, hum, sampling rate
#
# An ECG is disturbed by breathing (*baseline wander*, below 0.5 Hz) and by the mains (*hum*, 50 or 60 Hz). A filter
# removes a band of frequencies, and whatever the heart has there, too. The virtual hospital records the same heart
# with and without noise, so the error is known. (These ECGs are simulated whatever the data set above.)

# %%
cohort, fs = admit(60 if effort == "demo" else 400, seed), 250
noisy, true = (cohort.ecg(fs=fs, leads=2, noise=n).signal.transpose(0, 2, 1) for n in (True, False))
in_50_hz = cohort.patients["hospital"].to_numpy() % 2 == 0  # the odd hospitals have mains of 60 Hz
noisy, true = noisy[in_50_hz], true[in_50_hz]
noisy = noisy + 0.03 * np.sin(2 * np.pi * 50 * np.arange(noisy.shape[1]) / fs)[:, None]  # a poor plug
calm = signals.remove_wander(noisy, fs)
quiet = signals.remove_hum(calm, fs, mains=50)

# %%
def error_mv(x):
    """Error of each recording against the true heart, in mV, the constant level aside."""
    gap = x - true
    return np.sqrt(((gap - np.median(gap, axis=1, keepdims=True)) ** 2).mean(axis=(1, 2)))


off = {"as recorded": error_mv(noisy), "wander removed": error_mv(calm), "wander and hum removed": error_mv(quiet),
       "too much: cut at 3 Hz": error_mv(signals.remove_wander(noisy, fs, cut=3))}
plots.estimates({name: evaluate.mean_interval(e) for name, e in off.items()}, "error (mV RMS)",
                "Filters on simulated ECGs")
record("ecg_error_before", evaluate.mean_interval(off["as recorded"]), unit="mV")
record("ecg_error_after", evaluate.mean_interval(off["wander and hum removed"]), unit="mV")

# %%
worst = np.argmax(off["as recorded"])
fig, axes = plots.plt.subplots(3, 1, figsize=(8, 5), sharex=True, sharey=True)
for ax, (name, x) in zip(axes, {"as recorded": noisy, "filtered": quiet, "the true heart": true}.items()):
    ax.plot(np.arange(4 * fs) / fs, x[worst, :4 * fs, 0], lw=0.9)
    ax.set(ylabel="mV", title=f"{name} (simulated ECG, one lead)")
axes[-1].set_xlabel("time (s)")
plots.show(fig, "Four seconds of a simulated ECG: as recorded with wander and hum, filtered, and without noise.")

# %% [markdown]
# *Resampling* brings recordings to one rate. Half the samples cannot hold half of the frequencies: those must be
# filtered away first, or they come back disguised (*aliasing*). Taking every fifth sample forgets that.

# %%
fifty = 50
slow = signals.resample(noisy, fs, fifty)
ideal = signals.resample(true, fs, fifty)
skipped = noisy[:, ::fs // fifty]


def away(x):
    """Error of slow recordings in mV, the constant level aside."""
    gap = x - ideal
    return np.sqrt(((gap - np.median(gap, axis=1, keepdims=True)) ** 2).mean())


say(f"From {fs} to {fifty} samples a second: error {away(slow):.4f} mV when resampled, {away(skipped):.4f} mV when "
    "samples are skipped.")

# %% [markdown]
# ## The claim, measured
#
# Back to the stays. The ladder: each rung adds a step, judged by the paired gain over the rung below, on the same
# held-out patients.

# %%
risks["cleaned"] = held_out(clean(), *careless)
risks["scaled"], risks["selected"] = risks["zeros"], risks["careful"]
rungs = ["careless", "cleaned", "scaled", "measured alone", "with mask", "selected"]
words = ["clean", "scale", "fill", "add the mask", "select features"]
ladder = {word: gain(risks[b], risks[a]) for word, a, b in zip(words, rungs, rungs[1:])}
plots.estimates(ladder, "gain in AUROC over the step before (paired)", f"What each step adds: {source}", reference=0)

# %%
for word, name in {"clean": "gain_cleaning", "scale": "gain_scaling", "select features": "gain_selection"}.items():
    record(name, ladder[word])
sure = [word for word, found in ladder.items() if found.low > 0]
say(f"All steps together: **{gain(risks['careful'], risks['careless'])}**. Beyond chance by themselves: "
    f"{', '.join(sure) or 'none'}. The order matters: a step that comes late finds less left to mend.")

# %% [markdown]
# Now the test patients, once. Both pipelines learn from training patients; the threshold that finds 80 % of those who
# die comes from validation patients. Gradient boosting stands beside them: it needs neither scaling nor filling, as its
# trees ask only "is this above that?", and sends missing values either way.

# %%
def fitted(*steps, last=None):
    """Fit a pipeline on the training patients; give its risks for validation and test patients."""
    pipeline = make_pipeline(*steps, model() if last is None else last).fit(raw[train], y[train])
    return {part: pipeline.predict_proba(raw[data.parts[part]])[:, 1] for part in ("valid", "test")}


trees = HistGradientBoostingClassifier(max_iter=100 if effort == "demo" else 400, learning_rate=0.05, max_leaf_nodes=8,
                                       l2_regularization=10, random_state=seed)
final = {"careful": fitted(*careful), "careless": fitted(*careless), "boosting": fitted(clean(), both, last=trees)}

# %%
tested = {name: p["test"] for name, p in final.items()}
truth = y[data.parts["test"]]
plots.discrimination(truth, tested, f"Test patients: {source}")
total = evaluate.compare(evaluate.auroc, truth, tested["careful"], tested["careless"], seed=seed)
for name, who in {"": "careful", "baseline_": "careless", "boosting_": "boosting"}.items():
    record(f"{name}auroc", evaluate.interval(evaluate.auroc, truth, tested[who], seed=seed))
    record(f"{name}ap", evaluate.interval(evaluate.average_precision, truth, tested[who], seed=seed))
record("gain_total", total)

# %%
over_trees = evaluate.compare(evaluate.auroc, truth, tested["careful"], tested["boosting"], seed=seed)
record("gain_over_boosting", over_trees)
say(f"**{verdict(total, 'Careful preparation')}**: {total} in AUROC, on {len(truth)} test patients. The careful logistic "
    f"regression less boosting: {over_trees}.")

# %%
cut = evaluate.threshold_for(y[valid], final["careful"]["valid"], sensitivity=0.8)
figures = evaluate.summary(truth, tested["careful"], cut, seed=seed)
record("sensitivity", figures["sensitivity"])
record("specificity", figures["specificity"])
record("ece", figures["ECE"])
plots.estimates(figures, "value (no unit)", f"Careful pipeline on test patients, threshold {cut:.2f}")

# %%
plots.calibration(truth, {"careful": tested["careful"], "careless": tested["careless"]},
                  f"Does a risk of 30 % mean 30 in 100?\n{source}", bins=5)

# %% [markdown]
# For whom does it work? The AUROC of the careful pipeline by sex and by age. With few deaths (`positive`) the interval
# says little; with fewer than five there is none (NaN, "not a number").

# %%
groups = data.groups.iloc[data.parts["test"]]
pd.concat([evaluate.subgroups(evaluate.auroc, truth, tested["careful"], groups[by], seed=seed)
           for by in ("sex", "age")], keys=["sex", "age"]).round(3)

# %% [markdown]
# ## Where it fails
#
# The mask is a sign of the *staff*, not only of the patient. Suppose that another ward measures half as often, for
# reasons of staffing. Not one patient is healthier. We drop half of the measurements of validation patients at random.

# %%
thinned = raw.copy()
thinned[valid] = np.where(rng.random(raw[valid].shape) < 0.5, np.nan, raw[valid])
without = [clean(), levels, median(), StandardScaler()]
rows = {}
for name, steps in {"with mask": [clean(), both, *without[2:]], "without mask": without}.items():
    pipeline = make_pipeline(*steps, model()).fit(raw[train], y[train])
    for ward, values in {"same ward": raw, "half as often": thinned}.items():
        p = pipeline.predict_proba(values[valid])[:, 1]
        rows[name, ward] = {"AUROC": evaluate.auroc(y[valid], p), "mean risk": p.mean(), "died": y[valid].mean()}
pd.DataFrame(rows).T.round(3)

# %%
fall = {name: rows[name, "half as often"]["mean risk"] / rows[name, "same ward"]["mean risk"] - 1
        for name in ("with mask", "without mask")}
say(f"On the second ward the mean predicted risk changes by **{fall['with mask']:+.0%}** with the mask, and by "
    f"{fall['without mask']:+.0%} without. Before a model that reads masks moves to another ward, compare how often "
    "each ward measures.")

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# Replace each `...` and run the cell. You may try as often as you like.
#
# **Exercise 1.** Mend temperatures: a value from 77 to 112 is Fahrenheit and becomes Celsius; others, and gaps (NaN),
# stay as they are.

# %% tags=["exercise", "context"]
exercise_1 = Exercise("2.1", hint="np.where(is_fahrenheit, (t - 32) / 1.8, t); NaN compares as False.")


@exercise_1.check
def _(celsius):
    found = np.asarray(celsius(np.array([98.6, 37.0, np.nan, 77.0, 112.0, 120.0])))
    assert np.isnan(found[2]), "A gap should stay a gap."
    assert np.isclose(found[1], 37), "37 is Celsius already."
    assert np.isclose(found[0], 37), "98.6 °F is 37 °C: take 32 off, then divide by 1.8."
    assert np.allclose(found[3:5], [25, 80 / 1.8]), "From 77 to 112: 77 and 112 themselves are Fahrenheit, too."
    assert found[5] == 120, "120 is above 112: it should stay as it is."

# %% tags=["exercise", "nbval-check-output"]
def celsius(t):
    ### BEGIN SOLUTION
    return np.where((t >= 77) & (t <= 112), (t - 32) / 1.8, t)
    ### END SOLUTION


exercise_1(celsius)

# %% tags=["wrong"]
def celsius(t):
    return (t - 32) / 1.8

# %% tags=["wrong"]
def celsius(t):
    return np.nan_to_num(np.where(t > 77, (t - 32) / 1.8, t))

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Carry forward: give the list of one patient's values with each gap filled by the last measurement
# before it. What stands before the first measurement becomes `start`.

# %% tags=["exercise", "context"]
exercise_2 = Exercise("2.2", hint="Walk along the hours and remember the last value that is not NaN; begin with start.")


@exercise_2.check
def _(carry):
    found = np.array(carry([np.nan, 4.0, np.nan, np.nan, 5.0], 3.0), float)
    assert len(found) == 5, "As many values should come out as go in."
    assert not np.isnan(found).any(), "No gap should be left."
    assert found[0] == 3, "Before the first measurement stands start."
    assert list(found[1:4]) == [4, 4, 4], "Use the last measurement *before* a gap: the next one is the future."
    assert found[4] == 5, "A measured value should stay."

# %% tags=["exercise", "nbval-check-output"]
def carry(values, start):
    ### BEGIN SOLUTION
    filled, last = [], start
    for v in values:
        last = last if np.isnan(v) else v
        filled.append(last)
    return filled
    ### END SOLUTION


exercise_2(carry)

# %% tags=["wrong"]
def carry(values, start):
    return [start if np.isnan(v) else v for v in values]

# %% tags=["wrong"]
def carry(values, start):
    return list(pd.Series(values).bfill().fillna(start))

# %% [markdown] tags=["exercise"]
# **Exercise 3.** A colleague selects 10 features with `SelectKBest(f_classif, k=10)` on all patients, then
# cross-validates. Give held-out risks for `X`, `y` in which the selection has not seen the held-out patients.

# %% tags=["exercise", "context"]
exercise_3 = Exercise("2.3", hint="make_pipeline(SelectKBest(f_classif, k=10), LogisticRegression()), and "
                                  "cross_val_predict(..., method='predict_proba')[:, 1] on the whole pipeline.")


@exercise_3.check
def _(honest):
    dice = np.random.default_rng(5)
    X, outcome = dice.standard_normal((100, 800)), np.arange(100) % 2
    p = np.asarray(honest(X, outcome))
    assert p.shape == (100,), "It should give one risk per patient."
    assert evaluate.auroc(outcome, p) < 0.75, "These features are pure chance, yet you 'predict' the outcome: it leaks."
    X[:, 3] += 3 * outcome
    assert evaluate.auroc(outcome, np.asarray(honest(X, outcome))) > 0.8, "A real feature should be found."

# %% tags=["exercise", "nbval-check-output"]
def honest(X, y):
    ### BEGIN SOLUTION
    whole = make_pipeline(SelectKBest(f_classif, k=10), LogisticRegression())
    return cross_val_predict(whole, X, y, cv=5, method="predict_proba")[:, 1]
    ### END SOLUTION


exercise_3(honest)

# %% tags=["wrong"]
def honest(X, y):
    best = SelectKBest(f_classif, k=10).fit_transform(X, y)
    return cross_val_predict(LogisticRegression(), best, y, cv=5, method="predict_proba")[:, 1]

# %% tags=["wrong"]
def honest(X, y):
    return make_pipeline(SelectKBest(f_classif, k=10), LogisticRegression()).fit(X, y).predict_proba(X)[:, 1]

# %% [markdown] tags=["exercise"]
# **Exercise 4.** Write a window: HU at or below `centre - width / 2` become 0, at or above `centre + width / 2` become
# 1, in between they rise in a straight line.

# %% tags=["exercise", "context"]
exercise_4 = Exercise("2.4", hint="Subtract the lower end, divide by the width, and np.clip the result to 0 and 1.")


@exercise_4.check
def _(show_window):
    found = np.asarray(show_window(np.array([-1000.0, 40.0, 240.0, 3000.0, 140.0]), 40, 400))
    assert found[0] == 0, "Air should be black (0) in this window."
    assert found[3] == 1, "Metal should be white (1), not more."
    assert np.isclose(found[1], 0.5), "The centre of the window should be mid-grey, 0.5."
    assert np.isclose(found[2], 1), "240 HU is the upper end of this window: 40 + 400 / 2."
    assert np.isclose(found[4], 0.75), "140 HU, midway between the centre and the upper end, should become 0.75."

# %% tags=["exercise", "nbval-check-output"]
def show_window(hu, centre, width):
    ### BEGIN SOLUTION
    return np.clip((hu - (centre - width / 2)) / width, 0, 1)
    ### END SOLUTION


exercise_4(show_window)

# %% tags=["wrong"]
def show_window(hu, centre, width):
    return (hu - (centre - width / 2)) / width

# %% tags=["wrong"]
def show_window(hu, centre, width):
    return np.clip((hu - centre) / width, 0, 1)

# %% [markdown]
# ## Questions to recall
#
# <details><summary>Why does every step stand inside the pipeline?</summary>So that in each fold it is fitted on the
# training patients alone. A step that has seen the held-out patients tells the model about them.</details>
#
# <details><summary>Which costs more, scaling on everybody or selecting on everybody?</summary>Selecting: it looks at
# the
# outcome. A mean and a standard deviation do not.</details>
#
# <details><summary>Why can a mask predict death?</summary>Staff measure those whom they worry about. The gaps are a
# record
# of that worry.</details>
#
# <details><summary>Why is an error of imputation on values hidden at random too kind?</summary>Only measured values
# can be
# hidden, and what is measured often is what is easy to fill. Gaps that are really there have other reasons.</details>
#
# <details><summary>Why an allow-list and not a list of fields to delete?</summary>A name may stand in free text, in a
# private field, or in the wrong field. A list of what to delete is never complete.</details>
#
# <details><summary>Windows of one stay stand in training and test. What is wrong?</summary>The model recognises the
# patient.
# It will not meet that patient's outcome again. Split by patient.</details>
#
# ## Take away
#
# - Clean, scale, fill and select in one pipeline, fitted on training patients alone.
# - Measure what each step is worth with a paired interval. A smaller error of imputation need not mean a better model.
# - A result that is too good has a leak until shown otherwise: look at the split, and at every step before it.
#
# ## References
#
# - Silva I et al. Predicting in-hospital mortality of ICU patients: the PhysioNet/Computing in Cardiology
#   Challenge 2012. Comput Cardiol 2012;39:245-248.
# - Che Z et al. Recurrent neural networks for multivariate time series with missing values. Sci Rep 2018;8:6085.
#   [doi.org/10.1038/s41598-018-24271-9](https://doi.org/10.1038/s41598-018-24271-9)
# - van Buuren S, Groothuis-Oudshoorn K. mice: multivariate imputation by chained equations in R. J Stat Softw
#   2011;45(3). [doi.org/10.18637/jss.v045.i03](https://doi.org/10.18637/jss.v045.i03)
# - Meinshausen N, Bühlmann P. Stability selection. J R Stat Soc B 2010;72:417-473.
#   [doi.org/10.1111/j.1467-9868.2010.00740.x](https://doi.org/10.1111/j.1467-9868.2010.00740.x)
# - Ambroise C, McLachlan GJ. Selection bias in gene extraction on the basis of microarray gene-expression data. PNAS
#   2002;99:6562-6566. [doi.org/10.1073/pnas.102102699](https://doi.org/10.1073/pnas.102102699)
# - Rubin DB. Inference and missing data. Biometrika 1976;63:581-592.
#   [doi.org/10.1093/biomet/63.3.581](https://doi.org/10.1093/biomet/63.3.581)
# - Nadeau C, Bengio Y. Inference for the generalization error. Mach Learn 2003;52:239-281.
#   [doi.org/10.1023/A:1024068626366](https://doi.org/10.1023/A:1024068626366)
# - Kligfield P et al. Recommendations for the standardization and interpretation of the electrocardiogram, part I.
#   Circulation 2007;115:1306-1324.
#   [doi.org/10.1161/CIRCULATIONAHA.106.180200](https://doi.org/10.1161/CIRCULATIONAHA.106.180200)
