"""How good is a prediction, and how sure can one be of it?

Every metric has the form `metric(y, p, w=None)`: true classes `y` (0 or 1) of shape (n,), predicted
probabilities `p` of shape (n,), and optional weights `w` of shape (resamples, n), for which it gives one
value a resample. A bootstrap resample is nothing but such a row of weights (how often each patient
was drawn), so one vectorised definition serves both the estimate and its interval.
"""

from dataclasses import dataclass
from functools import partial, wraps

import numpy as np
import pandas as pd

from .errors import MedkitError

CHUNK_CELLS = 4_000_000  # weights held at once: 32 MB of float64


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self):
        around = f"95 % interval {self.low:z.3f} to {self.high:z.3f}" if np.isfinite(self.low) else "too few for an interval"
        return f"{self.value:z.3f} ({around})"


def weighted(metric):
    """Let a metric be called with no weights (a float comes back) or with rows of weights."""

    @wraps(metric)
    def called(y, p, w=None, **options):
        y, p = np.asarray(y), np.asarray(p, dtype=np.float64)
        if len(y) != len(p):
            raise MedkitError(f"{len(y)} labels but {len(p)} predictions.")
        if np.isnan(p).any():  # would rank last, or count as no alarm
            raise MedkitError(f"{np.isnan(p).sum()} of {p.size} predictions are not numbers (NaN).")
        rows = np.ones((1, len(y))) if w is None else np.atleast_2d(w)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = metric(y, p, rows, **options)
        return float(values[0]) if w is None else values

    return called


def ranked(y, p, w):
    """Sum positive and negative weights over falling scores, one column per distinct score."""
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))  # ties share one step
    positive = np.cumsum(w[:, order] * (y[order] == 1), axis=1)[:, last]
    total = np.cumsum(w[:, order], axis=1)[:, last]
    return positive, total - positive


@weighted
def auroc(y, p, w):
    """Area under the ROC curve: the chance that a positive ranks above a negative, ties half."""
    tp, fp = ranked(y, p, w)
    height = (tp + np.pad(tp, ((0, 0), (1, 0)))[:, :-1]) / 2
    width = np.diff(fp, axis=1, prepend=0)
    return (height * width).sum(axis=1) / (tp[:, -1] * fp[:, -1])


@weighted
def average_precision(y, p, w):
    """Area under the precision-recall steps; a useless model reaches the prevalence."""
    tp, fp = ranked(y, p, w)
    gain = np.diff(tp, axis=1, prepend=0) / tp[:, -1:]
    return (gain * tp / np.maximum(tp + fp, 1e-12)).sum(axis=1)


def mean_of(w, what):
    """Average `what` of shape (n,) under each row of weights."""
    return w @ what / w.sum(axis=1)


@weighted
def accuracy(y, p, w, threshold=0.5):
    """Share of patients classified rightly at a threshold."""
    return mean_of(w, ((p >= threshold) == y).astype(float))


def right_class(y, p, w=None):
    """Share of images whose likeliest class is the true one; with several labels an image, of right answers."""
    y, p = np.asarray(y), np.asarray(p)
    right = ((p >= 0.5) == y).mean(axis=1) if y.ndim == 2 else (p.argmax(axis=1) == y).astype(float)
    return right.mean() if w is None else mean_of(w, right)


@weighted
def sensitivity(y, p, w, threshold=0.5):
    """Share of the ill who are found at a threshold."""
    return w @ ((p >= threshold) & (y == 1)) / (w @ (y == 1))


@weighted
def specificity(y, p, w, threshold=0.5):
    """Share of the well who are left in peace at a threshold."""
    return w @ ((p < threshold) & (y == 0)) / (w @ (y == 0))


@weighted
def precision(y, p, w, threshold=0.5):
    """Share of the alarms that are right at a threshold (the positive predictive value)."""
    return w @ ((p >= threshold) & (y == 1)) / (w @ (p >= threshold))


@weighted
def net_benefit(y, p, w, threshold=0.5):
    """True alarms for each patient, less false ones at the threshold's odds (Vickers & Elkin 2006, decision curves).

    doi:10.1177/0272989X06295361. Treating nobody gives 0.
    """
    return mean_of(w, (p >= threshold) * np.where(y == 1, 1, -threshold / (1 - threshold)))


@weighted
def brier(y, p, w):
    """Mean squared error of the probability (Brier, 1950)."""
    return mean_of(w, (p - y) ** 2)


@weighted
def ece(y, p, w, bins=10):
    """Expected calibration error over bins of equal width (Guo et al., 2017): mean gap of risk and rate."""
    inside = np.eye(bins)[np.clip((p * bins).astype(int), 0, bins - 1)]
    gap = w @ (inside * (p - y)[:, None])
    return np.abs(gap).sum(axis=1) / w.sum(axis=1)


def macro(metric):
    """Average a metric over classes, each against the rest; `y` is (n,) codes or (n, k) of 0/1, `p` (n, k)."""

    def averaged(y, p, w=None, threshold=None):
        truth, p = one_against_rest(y, p)
        options = [{}] * p.shape[1] if threshold is None else [{"threshold": t} for t in threshold]
        values = np.array([metric(truth[:, k], p[:, k], w, **options[k]) for k in range(p.shape[1])])
        with np.errstate(invalid="ignore"):  # 0/0 where no class can be measured
            return np.nansum(values, axis=0) / np.isfinite(values).sum(axis=0)

    return averaged


def one_against_rest(y, p):
    """See class codes (n,) and probabilities (n, k) as k yes-no questions; two classes make one question."""
    y, p = np.asarray(y), np.asarray(p)
    return (y, p) if y.ndim == 2 else (y[:, None], p[:, 1:]) if p.shape[1] == 2 else (np.eye(p.shape[1], dtype=int)[y], p)


def resamples(n, groups=None, count=1000, seed=0):
    """Yield chunks of bootstrap weights of shape (rows, n), drawing whole patients.

    Parameters
    ----------
    n : int
        The number of rows.
    groups : array of shape (n,), optional
        The patient of each row: a patient is drawn with all of its rows.
    """
    member = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    size, rng = member.max() + 1, np.random.default_rng(seed)
    rows = max(1, CHUNK_CELLS // n)
    for start in range(0, count, rows):
        k = min(rows, count - start)
        drawn = rng.integers(size, size=(k, size)) + size * np.arange(k)[:, None]
        yield np.bincount(drawn.ravel(), minlength=k * size).reshape(k, size)[:, member].astype(float)


def bootstrap(statistic, n, groups, count, seed):
    """Evaluate `statistic(w)` on every resample: an array of shape (count, ...); NaN where there are fewer than 5 patients."""
    found = np.concatenate([np.asarray(statistic(w)) for w in resamples(n, groups, count, seed)])
    return found if (n if groups is None else len(np.unique(groups))) >= 5 else np.full(found.shape, np.nan)


def rarer(y, groups=None):
    """Count the patients: of two classes those of the rarer one."""
    y, who = np.asarray(y), np.arange(len(y)) if groups is None else np.asarray(groups)
    return min(len(np.unique(who[y == c])) for c in np.unique(y)) if y.ndim == 1 and np.unique(y).size == 2 else len(np.unique(who))


def interval(metric, y, p, groups=None, count=1000, seed=0, **options):
    """Estimate a metric with its 95 % percentile bootstrap interval, patients drawn whole.

    Resamples in which the metric does not exist (no positive drawn, say) are left out. The interval always holds the
    value: resamples of a skewed one (ECE) can all lie to one side. Fewer than 5 patients, of either class where
    there are two, have no interval. A perfect score of this module (0 or 1 in each resample) would have one of no
    width: it gets the exact binomial bound for as many patients as the rarer class has (Clopper & Pearson, 1934).
    """
    point, n = partial(metric, **options), rarer(y, groups)
    value, values = float(point(y, p)), bootstrap(lambda w: point(y, p, w), len(y), groups, count, seed)
    low, high = percentiles(values, value) if n >= 5 else (np.nan, np.nan)
    if low == high == value and value in (0, 1) and metric.__module__ == __name__:  # others can pass 0 and 1
        low, high = (0.025 ** (1 / n), 1.0) if value else (0.0, 1 - 0.025 ** (1 / n))
    return Estimate(value, low, high)


def percentiles(values, own=np.nan):
    """Give the 2.5th and 97.5th percentile of the values that exist, wider if need be, so that `own` lies between."""
    there = values[np.isfinite(values)]
    low, high = np.percentile(there, (2.5, 97.5)) if len(there) else (np.nan, np.nan)
    return min(float(low), own), max(float(high), own)  # of NaN and a number the first stays


def compare(metric, y, p, q, groups=None, count=1000, seed=0, **options):
    """Estimate metric(p) - metric(q) on the same patients, with its paired 95 % interval (none for fewer than 5, as above)."""
    point = partial(metric, **options)
    value = float(point(y, p) - point(y, q))
    values = bootstrap(lambda w: point(y, p, w) - point(y, q, w), len(y), groups, count, seed)
    return Estimate(value, *(percentiles(values, value) if rarer(y, groups) >= 5 else (np.nan, np.nan)))


def mean_interval(values, shared=0):
    """Estimate the mean of a few independent repeats (draws, seeds), with Student's 95 % interval.

    Repeats that are random splits of the same patients are not independent: `shared`, test patients for each training
    patient, widens their interval (Nadeau & Bengio, 2003, doi:10.1023/A:1024068626366).
    """
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return Estimate(float(values.mean()), np.nan, np.nan)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) * np.sqrt(1 + shared * len(values))
    return Estimate(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def threshold_for(y, p, sensitivity=None):
    """Choose a threshold on validation data.

    Parameters
    ----------
    sensitivity : float, optional
        The share of the ill that must be found: the highest threshold that does. Without it the
        threshold with the highest sensitivity + specificity (Youden, 1950).

    Raises
    ------
    MedkitError
        If the sensitivity is no such share, or all patients are of one class.
    """
    if sensitivity is not None and not 0 < sensitivity <= 1:
        raise MedkitError(f"A sensitivity is a share above 0 and at most 1, such as 0.95; {sensitivity} is none.")
    y, p = np.asarray(y), np.asarray(p, dtype=float)
    if len(np.unique(y)) < 2:
        raise MedkitError("A threshold needs patients of both classes to be chosen on; these are all of one.")
    steps = np.unique(p)[::-1]
    tp, fp = ranked(y, p, np.ones((1, len(y))))
    found, alarmed = tp[0] / tp[0, -1], fp[0] / fp[0, -1]
    return float(steps[np.argmax(found - alarmed) if sensitivity is None else np.argmax(found >= sensitivity)])


def reliability(y, p, bins=10):
    """Give mean predicted risk, observed rate and number of patients, for bins of equal count."""
    y, p = np.asarray(y), np.asarray(p, dtype=float)
    groups = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    return np.array([[p[g].mean(), y[g].mean(), len(g)] for g in groups]).T


METRICS = {"AUROC": auroc, "average precision": average_precision, "accuracy": accuracy,
           "sensitivity": sensitivity, "specificity": specificity, "ECE": ece, "Brier score": brier}


def summary(y, p, threshold, groups=None, count=1000, seed=0):
    """Give every standard figure with its interval: {name: Estimate}."""
    options = {name: {"threshold": threshold} for name in ("accuracy", "sensitivity", "specificity")}
    return {name: interval(metric, y, p, groups, count, seed, **options.get(name, {})) for name, metric in METRICS.items()}


def subgroups(metric, y, p, by, groups=None, count=1000, seed=0, **options):
    """Estimate a metric in each subgroup.

    Parameters
    ----------
    by : array of shape (n,)
        The subgroup of each row; rows where it is missing stand in none.

    Returns
    -------
    DataFrame
        One row per subgroup: n, positive, value, low, high.
    """
    y, p, by = np.asarray(y), np.asarray(p), np.asarray(by)
    rows = {}
    for name in pd.unique(by[pd.notna(by)]):
        here = by == name
        whose = None if groups is None else np.asarray(groups)[here]
        found = interval(metric, y[here], p[here], whose, count, seed, **options)
        rows[name] = {"n": int(here.sum()), "positive": int((y[here] == 1).sum()), **vars(found)}
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()
