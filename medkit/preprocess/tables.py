"""Tables of patients: implausible values left out, features chosen that are chosen again and again."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.feature_selection import SelectorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..datasets.longtable import MENDS, SPEC
from ..errors import MedkitError


class Plausible(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Mend mixed-up units, and make what no living patient has a missing value (NaN), by `medkit.datasets.longtable`.

    Columns that it does not know stay as they are.

    Parameters
    ----------
    names : list of str, optional
        The columns' names, where X is an array; a DataFrame brings its own.

    Raises
    ------
    MedkitError
        If there are not as many names as columns.
    """

    def __init__(self, names=None):
        self.names = names

    def fit(self, X, y=None):
        """Look up the range of each column; nothing is learnt from the values."""
        X = validate_data(self, X, ensure_all_finite="allow-nan", dtype="numeric")
        names = list(self.names if self.names is not None else getattr(self, "feature_names_in_", range(X.shape[1])))
        if len(names) != X.shape[1]:
            raise MedkitError(f"{X.shape[1]} columns but {len(names)} names.")
        self.bounds_ = np.array([SPEC.get(name, ("", -np.inf, np.inf))[1:] for name in names], float)
        self.mends_ = [(names.index(name), *rest) for name, *rest in MENDS if name in names]
        return self

    def transform(self, X):
        """Give float X of the same shape, mended; NaN where nothing plausible stands."""
        check_is_fitted(self)
        floats = [np.float64, np.float32]
        X = validate_data(self, X, reset=False, ensure_all_finite="allow-nan", dtype=floats, copy=True)
        for column, low, high, factor, shift in self.mends_:
            wrong = (X[:, column] >= low) & (X[:, column] <= high)
            X[wrong, column] = X[wrong, column] * factor + shift
        X[(X < self.bounds_[:, 0]) | (X > self.bounds_[:, 1])] = np.nan
        return X

    def __sklearn_tags__(self):
        """Say that missing values are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class StabilitySelection(SelectorMixin, BaseEstimator):
    """Keep features that a sparse model chooses in most random halves of the patients.

    Stability selection (Meinshausen & Bühlmann 2010, doi:10.1111/j.1467-9868.2010.00740.x). A feature that is chosen
    by chance in one half is seldom chosen in the next.

    Parameters
    ----------
    estimator : classifier with `coef_`, optional
        By default logistic regression with an L1 penalty. Scale the features first.
    threshold : float
        The share of halves, above 0.5 and up to 1.
    halves : int
        How many halves are drawn.

    Attributes
    ----------
    frequency_ : array of shape (features,)
        The share of halves in which each feature was chosen.
    """

    def __init__(self, estimator=None, threshold=0.6, halves=50, random_state=None):
        self.estimator, self.threshold, self.halves, self.random_state = estimator, threshold, halves, random_state

    def fit(self, X, y):
        """Fit the sparse model to random halves of each class, and count the choices."""
        X, y = validate_data(self, X, y)
        if not 0.5 < self.threshold <= 1:
            raise MedkitError(f"threshold should be above 0.5 and at most 1; got {self.threshold}.")
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"Features cannot be chosen: y has 1 class only, {classes[0]}.")
        rng, chosen = check_random_state(self.random_state), np.zeros(X.shape[1])
        sparse = self.estimator or LogisticRegression(C=0.1, l1_ratio=1, solver="liblinear")
        for _ in range(self.halves):
            half = np.concatenate([half_of(np.flatnonzero(codes == k), rng) for k in range(len(classes))])
            fits = [clone(sparse).set_params(random_state=rng.randint(2**31 - 1)).fit(X[half], codes[half] == k)
                    for k in range(1 if len(classes) == 2 else 0, len(classes))]  # each class against the rest
            chosen += (np.abs(np.concatenate([fit.coef_ for fit in fits])) > 1e-8).any(axis=0)
        self.frequency_ = chosen / self.halves
        return self

    def _get_support_mask(self):
        """Give which features are kept (scikit-learn's `SelectorMixin` asks)."""
        check_is_fitted(self)
        return self.frequency_ >= self.threshold

    def __sklearn_tags__(self):
        """Say that outcomes are needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def half_of(rows, rng):
    """Draw half of some rows, at least one, without putting back."""
    return rng.permutation(rows)[:max(1, len(rows) // 2)]
