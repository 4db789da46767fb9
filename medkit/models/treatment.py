"""Networks and meta-learners for the effect of a treatment. Explained in lesson 7.

An outcome is a number where more is better (days alive within a year, say); censored times become
such numbers by `pseudo_values`.
"""

import numpy as np
import torch
from sklearn.base import clone
from torch import nn


class TARNet(nn.Module):
    """One body, two heads: the outcome under each arm (Shalit, Johansson & Sontag, 2017, arXiv:1606.03976).

    `forward` takes (n, inputs) and gives (n, 2). With `balance` the body's means of both arms are drawn
    together in `tarnet_loss`, which makes it CFR with a linear maximum mean discrepancy.
    """

    def __init__(self, inputs, width=32):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, width), nn.ELU(), nn.Linear(width, width), nn.ELU())
        self.heads = nn.ModuleList([nn.Linear(width, 1) for _ in range(2)])

    def forward(self, X):
        shared = self.body(X)
        return torch.cat([head(shared) for head in self.heads], dim=1)


def tarnet_loss(net, X, arm, y, balance=0.0):
    """Squared error under the arm that was given, plus `balance` times the gap of the arms' mean bodies."""
    shared = net.body(X)
    both = torch.cat([head(shared) for head in net.heads], dim=1)
    gap = ((shared[arm == 1].mean(0) - shared[arm == 0].mean(0)) ** 2).sum() if balance else 0.0
    return ((both.gather(1, arm[:, None])[:, 0] - y) ** 2).mean() + balance * gap


class DeepSurv(TARNet):
    """The log hazard ratio of each patient, (n,), by a network (Katzman et al., 2018).

    `forward` takes covariates (n, inputs) and the arm (n,); one head is the prognosis, one the effect.
    """

    def forward(self, X, arm):
        prognosis, effect = super().forward(X).T
        return prognosis + arm * effect


def cox_loss(risk, time, event):
    """Negative partial log-likelihood of the log hazards `risk` (Breslow's handling of ties), per event."""
    order = torch.argsort(time, descending=True)
    risk, event = risk[order], event[order].float()
    return -((risk - torch.logcumsumexp(risk, 0)) * event).sum() / event.sum().clamp(min=1)


def fit_cox(X, time, event, penalty, start=None, steps=8):
    """Coefficients of a Cox model, (inputs,), by Newton's method from `start`; ties as in `cox_loss`.

    `penalty`, (inputs,), shrinks each of them (ridge).
    """
    order = np.argsort(-time)
    X, died, b = X[order], event[order], np.zeros(X.shape[1]) if start is None else start
    for _ in range(steps):
        w = np.exp(X @ b)
        at_risk = np.cumsum(w)
        mean = (np.cumsum(w[:, None] * X, axis=0) / at_risk[:, None])[died]
        share = w * np.cumsum((died / at_risk)[::-1])[::-1]
        curve = X.T @ (share[:, None] * X) - mean.T @ mean
        b = b + np.linalg.solve(curve + np.diag(penalty), (X[died] - mean).sum(0) - penalty * b)
    return b


def descend(net, loss, epochs=200, lr=0.01, wd=1e-3):
    """Train on all patients at once (Adam), as a partial likelihood asks; `loss()` gives the loss."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=wd)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=epochs)
    for _ in range(epochs):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def s_learner(model, X, arm, y, X_new):
    """Effect from one model with the arm (and its products with all inputs) among its inputs, (n_new,)."""
    def joined(X, a):
        return np.column_stack([X, a, X * a[:, None]])

    fitted, ones = clone(model).fit(joined(X, arm), y), np.ones(len(X_new))
    return fitted.predict(joined(X_new, ones)) - fitted.predict(joined(X_new, 0 * ones))


def t_learner(model, X, arm, y, X_new):
    """Effect as the difference of two models, one for each arm, (n_new,)."""
    one, none = (clone(model).fit(X[arm == a], y[arm == a]) for a in (1, 0))
    return one.predict(X_new) - none.predict(X_new)


def x_learner(model, X, arm, y, X_new, propensity=0.5):
    """Effect from imputed individual effects (Kunzel et al., 2019, doi:10.1073/pnas.1804597116), (n_new,).

    `propensity` is each new patient's chance of arm 1.
    """
    one, none = (clone(model).fit(X[arm == a], y[arm == a]) for a in (1, 0))
    from_one = clone(model).fit(X[arm == 1], y[arm == 1] - none.predict(X[arm == 1]))
    from_none = clone(model).fit(X[arm == 0], one.predict(X[arm == 0]) - y[arm == 0])
    return propensity * from_none.predict(X_new) + (1 - propensity) * from_one.predict(X_new)


def stranger_than(X, X_new):
    """Share of the patients `X` who are less odd than each new one (Mahalanobis distance from their mean), (n_new,)."""
    mean, inverse = X.mean(0), np.linalg.pinv(np.cov(X.T))
    usual, new = (np.einsum("ni,ij,nj->n", v - mean, inverse, v - mean) for v in (X, X_new))
    return np.mean(usual < new[:, None], axis=1)


def kaplan_meier(time, event, weights=None):
    """Share alive after each distinct time (Kaplan & Meier, 1958): times and shares, both (steps,).

    `weights`, (n,), counts patients more or less than once: a resample, or the inverse of the chance to be seen.
    """
    steps, where = np.unique(time, return_inverse=True)
    w = np.ones(len(time)) if weights is None else weights
    died, left = np.bincount(where, w * event), np.bincount(where, w)
    at_risk = np.cumsum(left[::-1])[::-1]
    return steps, np.cumprod(1 - np.divide(died, at_risk, out=np.zeros(len(steps)), where=at_risk > 1e-9))


def restricted_mean(time, event, horizon, weights=None):
    """Mean time alive within a horizon: the area under the Kaplan-Meier curve."""
    steps, alive = kaplan_meier(np.minimum(time, horizon), event & (time <= horizon), weights)
    return float(np.append(1, alive) @ np.diff(np.concatenate([[0], steps, [horizon]])))


def pseudo_values(time, event, horizon):
    """Restricted mean times as one number a patient, (n,), censoring taken care of.

    n times the estimate with all, less n - 1 times that without the patient (Andersen, Hansen & Klein,
    2004, doi:10.1007/s10985-004-4771-0). Do it within each arm, and on training patients apart from others.
    """
    event, time = event & (time <= horizon), np.minimum(time, horizon)
    steps, k = np.unique(time, return_inverse=True)
    died, left = np.bincount(k, event), np.bincount(k)
    at_risk, width = np.cumsum(left[::-1])[::-1], np.diff(np.append(steps, horizon))
    alone = np.maximum(at_risk - 1, 1)  # at risk without the patient, up to the patient's own time
    reach = np.cumprod(np.append(1, 1 - died / alone)[:-1])
    before = steps[0] + np.append(0, np.cumsum(reach[1:] * width[:-1]))  # area up to each step
    after = width.copy()  # area from each step on, for one who is alive there
    for j in range(len(steps) - 2, -1, -1):
        after[j] += (1 - died[j + 1] / at_risk[j + 1]) * after[j + 1]
    without = before[k] + reach[k] * (1 - (died[k] - event) / alone[k]) * after[k]
    return len(time) * restricted_mean(time, event, horizon) - (len(time) - 1) * without


def doubly_robust(y, arm, advice, propensity, predicted):
    """Augmented inverse-probability value of following `advice`, one term a patient, (n,).

    `predicted` is (n, 2): the outcome under each arm by a model; `propensity` the chance of arm 1. The
    mean is right when either of the two is (Robins, Rotnitzky & Zhao, 1994).
    """
    expected = np.take_along_axis(predicted, advice[:, None].astype(int), 1)[:, 0]
    return expected + (arm == advice) * (y - expected) / np.where(advice == 1, propensity, 1 - propensity)
