"""Combine the predictions of several members; fit what is to be fitted on validation data.

In all that follows `p` holds probabilities of shape (members, n, classes), or (members, n) for a yes-no question (the
probability of "yes"); what comes back has the same shape less the axis of members.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from ..errors import MedkitError

TINY = 1e-7  # probabilities are kept this far from 0 and 1 before a logarithm is taken


def stacked(p, least=2):
    """Check members' probabilities and give them as float64 (members, n, classes)."""
    shapes = [np.shape(one) for one in p]
    if len(shapes) < least:
        raise MedkitError(f"An ensemble needs at least {least} members, but there is {len(shapes)}.")
    if len(set(shapes)) > 1:
        raise MedkitError(f"Members differ in shape: {', '.join(map(str, shapes))}. All must predict the same rows.")
    return np.stack([whole(one, f"Member {k}") for k, one in enumerate(p)])


def whole(p, who="The prediction"):
    """Check one model's probabilities, (n, classes) or (n,), and give them as float64 (n, classes)."""
    p = np.asarray(p, dtype=np.float64)
    if p.ndim not in (1, 2) or p.size == 0:
        raise MedkitError(f"{who} has shape {p.shape}; probabilities have shape (n, classes) or (n,).")
    if np.isnan(p).any():
        raise MedkitError(f"{who} is missing (NaN) in row {np.argwhere(np.isnan(p))[0][0]}.")
    if p.min() < 0 or p.max() > 1:
        row = np.argwhere((p < 0) | (p > 1))[0][0]
        raise MedkitError(f"{who} lies outside 0 to 1 in row {row}. Give probabilities, not logits: use a softmax.")
    p = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
    off = np.abs(p.sum(axis=1) - 1)
    if off.max() > 1e-3:
        raise MedkitError(f"{who}: the classes of row {off.argmax()} add up to {p[off.argmax()].sum():.3f}, not to 1.")
    return p


def like(p, combined):
    """Give (n, classes) back in the form of the members: (n,) where they had no axis of classes."""
    return combined[:, 1] if np.ndim(p[0]) == 1 else combined


def truth(y, n):
    """Check class codes (n,)."""
    y = np.asarray(y)
    if y.shape != (n,):
        raise MedkitError(f"{y.shape} labels but {n} predicted rows. Give one class code for each row.")
    return y.astype(int)


def shares(weights, members):
    """Check weights and make them add up to 1; None gives equal ones."""
    w = np.ones(members) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (members,) or not np.isfinite(w).all() or w.min() < 0 or w.sum() == 0:
        raise MedkitError(f"{members} members need {members} weights of at least 0 (not all 0); got {weights}.")
    return w / w.sum()


def average(p, weights=None):
    """Average probabilities: the "or" of opinions, never surer than the members are."""
    q = stacked(p)
    return like(p, np.tensordot(shares(weights, len(q)), q, axes=1))


def average_logits(p, weights=None):
    """Average logits, which is the geometric mean of probabilities made to add up to 1."""
    q = np.log(np.clip(stacked(p), TINY, 1))
    return like(p, softmax(np.tensordot(shares(weights, len(q)), q, axes=1), axis=1))


def vote_share(p):
    """Give the share of members that vote for each class; a member that is undecided votes for the lower code."""
    q = stacked(p)
    return like(p, np.eye(q.shape[2])[q.argmax(axis=2)].mean(axis=0))


def vote(p):
    """Choose by majority: class codes of shape (n,).

    Tie rule: among the classes with most votes the one with the highest mean probability; if these are equal too,
    the lowest code.
    """
    q = stacked(p)
    count = np.eye(q.shape[2])[q.argmax(axis=2)].sum(axis=0)
    leading = count == count.max(axis=1, keepdims=True)
    return np.where(leading, np.round(q.mean(axis=0), 12), -1).argmax(axis=1)


def log_likelihood(p, y):
    """Give the log-likelihood that each member gave to each true class, (members, n), in nats."""
    q = stacked(p, least=1)
    return np.log(np.clip(q[:, np.arange(q.shape[1]), truth(y, q.shape[1])], TINY, 1))


def nll(y, p, w=None):
    """Mean negative log-likelihood, in nats; `w` as in `medkit.evaluate`."""
    each = -log_likelihood([p], y)[0]
    return each.mean() if w is None else w @ each / w.sum(axis=1)


def bma_weights(p, y, power=1.0):
    """Weigh members by validation likelihood: softmax of power x summed log-likelihood.

    With `power=1` and an equal prior this is Bayesian model averaging (Hoeting et al. 1999,
    doi:10.1214/ss/1009212519), the likelihood of validation data standing for the evidence. It assumes that one
    member is the truth, and gives nearly all weight to one. `power=1 / n` is tempered: as sure as one patient allows.
    """
    return softmax(power * log_likelihood(p, y).sum(axis=1))


def pseudo_bma_weights(p, y, draws=1000, seed=0):
    """Weigh members by how often validation patients, drawn anew, would choose them.

    Pseudo-BMA+ (Yao et al. 2018, doi:10.1214/17-BA1091): Bayesian model averaging in each draw of a Bayesian
    bootstrap (Dirichlet weights over patients), then the mean.
    """
    each = log_likelihood(p, y)
    n = each.shape[1]
    patients = np.random.default_rng(seed).dirichlet(np.ones(n), draws)
    return softmax(n * patients @ each.T, axis=1).mean(axis=0)


class Stack:
    """Learn on validation data how to mix members (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1).

    A logistic regression on the members' log-probabilities.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty on the mix.
    """

    def __init__(self, C=0.1):
        from sklearn.linear_model import LogisticRegression

        self.model = LogisticRegression(C=C, max_iter=2000)

    @staticmethod
    def features(p):
        """Give log-probabilities less the first class's, shape (n, members * (classes - 1))."""
        q = np.log(np.clip(stacked(p), 1e-4, 1))
        return np.concatenate(q[:, :, 1:] - q[:, :, :1], axis=1)

    def fit(self, p, y):
        """Fit on validation predictions."""
        self.model.fit(self.features(p), truth(y, len(p[0])))
        return self

    def predict(self, p):
        """Mix members' predictions of new rows."""
        return like(p, self.model.predict_proba(self.features(p)))

    def cross_fitted(self, p, y, groups=None):
        """Mix validation rows by stacks that were fitted without them (nor any row of the same patient)."""
        from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

        y = truth(y, len(p[0]))
        groups = np.arange(len(y)) if groups is None else np.asarray(groups)
        folds = min(5, *(len(set(groups[y == c])) for c in np.unique(y)))
        if folds < 2:
            raise MedkitError("A stack needs at least two patients of each class among those that it is fitted on.")
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
        return like(p, cross_val_predict(self.model, self.features(p), y, groups=groups, cv=split,
                                         method="predict_proba"))


def cool(p, T):
    """Divide the logits of one prediction by a temperature; above 1 makes it less sure."""
    warm = np.log(np.clip(whole(p), TINY, 1)) / T
    return like([p], softmax(warm, axis=1))


def temperature(p, y):
    """Find on validation data the temperature of least NLL (Guo et al. 2017, arXiv:1706.04599), in 0.05 to 20."""
    logits = np.log(np.clip(whole(p), TINY, 1))
    rows, y = np.arange(len(logits)), truth(y, len(logits))
    found = minimize_scalar(lambda t: -log_softmax(logits / np.exp(t), axis=1)[rows, y].mean(),
                            bounds=np.log([0.05, 20]), method="bounded")
    return float(np.exp(found.x))


def disagreement(p):
    """Give the share of rows in which two members choose different classes, (members, members)."""
    chosen = stacked(p).argmax(axis=2)
    return (chosen[:, None] != chosen[None]).mean(axis=2)


def spread(p):
    """Give how much members disagree on each row, (n,), in nats.

    The entropy of the mean less the mean entropy: the mutual information of answer and member (Depeweg et al. 2018,
    arXiv:1710.07283).
    """
    def entropy(q):
        return -(q * np.log(np.clip(q, TINY, 1))).sum(axis=-1)

    q = stacked(p)
    return np.maximum(entropy(q.mean(axis=0)) - entropy(q).mean(axis=0), 0)


def refusal_curve(wrong, doubt, refused):
    """Give the error among the rows that are left when the most doubtful are refused.

    Parameters
    ----------
    wrong : array of shape (n,), 0 or 1
    doubt : array of shape (n,)
    refused : array of shares, each below 1
    """
    order = np.argsort(doubt, kind="stable")
    running = np.cumsum(np.asarray(wrong, float)[order]) / np.arange(1, len(order) + 1)
    kept = np.maximum(1, np.round((1 - np.asarray(refused)) * len(order)).astype(int))
    return running[kept - 1]
