"""Hours of a stay: arrays X of shape (n, hours, variables), NaN where nothing was measured.

Each class here is a scikit-learn transformer, so it is fitted on training patients within a pipeline.
"""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..errors import MedkitError, unknown

STATISTICS = ("last", "mean", "min", "max", "count", "since")


def series(X, like=None):
    """Check that X has the shape of series, and as many variables as when it was fitted."""
    X = np.asarray(X)
    if X.ndim != 3:
        raise MedkitError(f"Series have the shape (patients, hours, variables); these have {X.ndim} axes.")
    if like is not None and X.shape[2] != like:
        raise MedkitError(f"Fitted to {like} variables, but these series have {X.shape[2]}.")
    return X


class HourByHour(TransformerMixin, BaseEstimator):
    """Apply a table's transformer to series: each hour of each patient is a row.

    Parameters
    ----------
    transformer : scikit-learn transformer
        Such as `RobustScaler()`, `SimpleImputer(keep_empty_features=True)`, `IterativeImputer()` or `Plausible(names)`.
    max_rows : int, optional
        Fit on that many random rows at most, which spares time.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> HourByHour(StandardScaler()).fit_transform(np.array([[[1.0], [3.0]]])).ravel()
    array([-1.,  1.])
    """

    def __init__(self, transformer, max_rows=None, random_state=0):
        self.transformer, self.max_rows, self.random_state = transformer, max_rows, random_state

    def fit(self, X, y=None):
        """Fit the transformer to rows of all patients and hours."""
        rows = series(X).reshape(-1, X.shape[2])
        if self.max_rows and len(rows) > self.max_rows:
            rows = rows[check_random_state(self.random_state).choice(len(rows), self.max_rows, replace=False)]
        self.variables_ = X.shape[2]
        self.transformer_ = clone(self.transformer).fit(rows)
        return self

    def transform(self, X):
        """Give float32 series with the same patients and hours; an indicator adds variables at the end."""
        check_is_fitted(self)
        n, hours, _ = series(X, self.variables_).shape
        rows = self.transformer_.transform(np.asarray(X).reshape(n * hours, -1))
        return np.asarray(rows, np.float32).reshape(n, hours, -1)


class ForwardFill(TransformerMixin, BaseEstimator):
    """Carry the last measurement forward; before the first, the median of the training patients.

    Parameters
    ----------
    before : {"median", "missing"}
        What stands before the first measurement: the median (0 where nobody was measured), or still NaN.
    mask : bool
        Append a 1 for each measured cell and a 0 for each filled one: 2 * variables come out.
    """

    def __init__(self, before="median", mask=False):
        self.before, self.mask = before, mask

    def fit(self, X, y=None):
        """Learn the median of each variable."""
        if self.before not in ("median", "missing"):
            raise MedkitError(f"before should be 'median' or 'missing'; got '{self.before}'.")
        rows = series(X).reshape(-1, X.shape[2])
        there = np.isfinite(rows).any(axis=0)
        self.median_ = np.zeros(X.shape[2], np.float32)
        self.median_[there] = np.nanmedian(rows[:, there], axis=0)
        return self

    def transform(self, X):
        """Fill: float32 (n, hours, variables, or twice as many with `mask`)."""
        check_is_fitted(self)
        filled = carried(series(X, len(self.median_)))
        if self.before == "median":
            filled = np.where(np.isfinite(filled), filled, self.median_)
        return np.concatenate([filled, np.isfinite(X)], axis=2, dtype=np.float32) if self.mask else filled.astype(np.float32)


def carried(X):
    """Carry each measurement forward until the next; NaN before the first."""
    hour = np.arange(X.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(X), hour, 0), axis=1)
    return np.take_along_axis(X, last, axis=1)


class SeriesFeatures(TransformerMixin, BaseEstimator):
    """Summarise each variable of a stay: series become a table, one row per patient.

    Parameters
    ----------
    variables : list of str, optional
        Names of the variables, for the columns' names.
    statistics : tuple of str
        Of "last", "mean", "min", "max", "count" (measurements) and "since" (hours from the last measurement to the end;
        all hours where there is none). Values stay NaN where a variable was never measured; impute in the next step.
    """

    def __init__(self, variables=None, statistics=STATISTICS):
        self.variables, self.statistics = variables, statistics

    def fit(self, X, y=None):
        """Check names; nothing is learnt from the values."""
        strange = set(self.statistics) - set(STATISTICS)
        if strange:
            raise unknown("statistic", min(strange), STATISTICS)
        self.variables_ = list(range(series(X).shape[2]) if self.variables is None else self.variables)
        if len(self.variables_) != X.shape[2]:
            raise MedkitError(f"{X.shape[2]} variables but {len(self.variables_)} names.")
        return self

    def transform(self, X):
        """Give a float32 table of shape (n, statistics * variables)."""
        check_is_fitted(self)
        return np.concatenate(list(summaries(series(X, len(self.variables_)), self.statistics)), axis=1)

    def get_feature_names_out(self, input_features=None):
        """Name the columns: "HR last", "K last", ..., "HR mean", ..."""
        check_is_fitted(self)
        return np.array([f"{name} {kind}" for kind in self.statistics for name in self.variables_], dtype=object)


def summaries(X, statistics):
    """Yield each statistic of series: float32 (n, variables)."""
    measured = np.isfinite(X)
    count, hour, seen = measured.sum(axis=1), np.arange(X.shape[1], dtype=np.float32)[:, None], np.where(measured, X, np.nan)
    made = {"last": lambda: carried(X)[:, -1], "count": lambda: count,
            "min": lambda: np.fmin.reduce(seen, axis=1), "max": lambda: np.fmax.reduce(seen, axis=1),
            "mean": lambda: np.where(measured, X, 0).sum(axis=1) / np.where(count > 0, count, np.nan),
            "since": lambda: X.shape[1] - 1 - np.where(measured, hour, -1).max(axis=1)}
    for name in statistics:
        yield np.asarray(made[name](), np.float32)
