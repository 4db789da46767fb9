"""A model for an analyst's own data: candidates of three families, chosen on validation. Explained in lesson 10."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from .. import evaluate
from . import simple

FAMILIES = ("prevalence", "logistic regression", "boosting", "network")


@dataclass(frozen=True)
class Model:
    """A model as what is saved of it: `spec` (JSON-like) and `arrays` (by name)."""

    spec: dict
    arrays: dict

    def predict(self, X):
        """Give class probabilities (n, classes) for a DataFrame, images or signals, as in `medkit.datasets.own`."""
        family = self.spec["family"]
        if family == "prevalence":
            return np.tile(self.arrays["rates"], (len(X), 1))
        if family == "network":
            from ..training import forward

            return simple.chances(forward(self.network(), [inputs(self.spec, X)]).numpy())
        scores = simple.linear_scores if family == "logistic regression" else simple.tree_scores
        return simple.chances(scores(self.arrays, features(self.spec, X)))

    def network(self):
        """Build the network and give it its weights."""
        import torch

        net = blank(self.spec)
        net.load_state_dict({k[4:]: torch.as_tensor(v) for k, v in self.arrays.items() if k.startswith("net.")})
        return net


def features(spec, X):
    """Turn data into the numbers that simple models see."""
    if spec["kind"] == "table":
        return simple.encode(X, spec["plan"])
    return simple.thumbnails(X) if spec["kind"] == "images" else simple.powers(X)


def inputs(spec, X):
    """Turn data into what the network sees: a tensor."""
    import torch

    if spec["kind"] == "table":
        return torch.as_tensor(simple.encode(X, spec["plan"]))
    if spec["kind"] == "images":
        return torch.as_tensor(X).permute(0, 3, 1, 2).contiguous()
    mean, sd = (np.asarray(spec[k], np.float32) for k in ("channel_mean", "channel_sd"))
    return torch.as_tensor(((X - mean) / sd).transpose(0, 2, 1).copy())


def blank(spec, pretrained=False):
    """Make the network of a kind of data; images may start from the weights that ship with medkit."""
    from torch import nn

    from .transfer import shipped
    from .waves import SignalNet

    outputs = len(spec["classes"])
    if spec["kind"] == "images":
        return shipped(spec["channels"], outputs, random=not pretrained)
    if spec["kind"] == "recordings":
        return SignalNet(len(spec["channels"]), outputs)
    width = sum(2 if e["type"] == "number" else len(e["values"]) for e in spec["plan"])
    return nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, outputs))


def spec_of(own):
    """Write down what a model must know of its data, from training rows alone."""
    X, y = own.take("train")
    told = {"kind": own.kind, "name": own.name, "classes": own.classes, "rows": len(y),
            **{key: own.schema.get(key) for key in ("outcome", "patient")}, "units": own.schema.get("units", {})}
    if own.kind == "table":
        return told | {"plan": simple.plan_of(X)}
    if own.kind == "images":
        sides = own.facts[["width (pixels)", "height (pixels)"]].iloc[own.parts["train"]].min(axis=1)
        return told | {"size": int(X.shape[1]), "channels": int(X.shape[3]), "smallest_side": int(sides.min())}
    return told | {"fs": own.fs, "channels": list(own.channels), "samples": int(X.shape[1]),
                   "channel_mean": X.mean(axis=(0, 1)).tolist(), "channel_sd": (X.std(axis=(0, 1)) + 1e-6).tolist()}


def fit(own, family, epochs=12, seed=0):
    """Fit a model of one of the `FAMILIES` to the training rows."""
    spec = spec_of(own) | {"family": family}
    X, y = own.take("train")
    if family == "prevalence":
        return Model(spec, {"rates": np.bincount(y, minlength=len(own.classes)) / len(y)})
    if family == "network":
        return fit_network(own, spec, epochs, seed)
    Z = features(spec, X)
    if family == "logistic regression":
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        strength = 0.1 if own.kind == "table" else 0.01
        return Model(spec, simple.linear(make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(Z, y)))
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosted = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.05, max_leaf_nodes=8, l2_regularization=5,
                                             min_samples_leaf=15, random_state=seed)
    return Model(spec, simple.trees(boosted.fit(Z, y)))


def fit_network(own, spec, epochs, seed):
    """Train the network of a kind of data, and take its weights."""
    from torch import nn

    from .. import training
    from ..augment import Augment

    training.set_seed(seed)
    net = blank(spec, pretrained=True)
    train, valid = ((inputs(spec, X), y) for X, y in (own.take("train"), own.take("valid")))
    few = int(np.clip(len(train[1]) // 8, 8, 32))  # small batches where rows are few: more steps
    dls = training.array_loaders(train, valid, batch_size=few, augment=Augment() if own.kind == "images" else None, seed=seed)
    learn = training.learner(dls, net, nn.CrossEntropyLoss(), cbs=training.averaging(0.95))
    training.fit(learn, epochs, lr=0.003, wd=0.1)
    state = {f"net.{k}": v.detach().cpu().contiguous().numpy() for k, v in learn.model.state_dict().items()}
    return Model(spec, state)


def surprise(p, y):
    """Mean negative log-likelihood of the true classes, in nats."""
    return float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-7, 1)).mean())


def choose(own, models):
    """Choose the model with the lowest log-loss on validation rows, and give its name and the table of all."""
    X, y = own.take("valid")
    p = {name: model.predict(X) for name, model in models.items()}
    rows = {name: {"log-loss": surprise(q, y), "AUROC": evaluate.macro(evaluate.auroc)(y, q),
                   "average precision": evaluate.macro(evaluate.average_precision)(y, q)} for name, q in p.items()}
    table = pd.DataFrame(rows).T.sort_values("log-loss")
    return table.index[0], table


def with_cohort(model, own):
    """Add to a model what a report on one patient compares with: validation patients' predictions, outcomes and threshold.

    The rows of a patient with the same outcome count once, by their mean: windows of one recording are not many patients.
    """
    X, y = own.take("valid")
    p = model.predict(X)
    spec = model.spec | ({"threshold": evaluate.threshold_for(y, p[:, 1])} if len(own.classes) == 2 else {})
    who, row = np.unique(np.column_stack([own.patients[own.parts["valid"]].astype(str), y.astype(str)]), axis=0, return_inverse=True)
    mean = np.stack([np.bincount(row, column) for column in p.T], 1) / np.bincount(row)[:, None]
    return Model(spec, model.arrays | {"cohort_p": mean, "cohort_y": who[:, 1].astype(int)})


def observed(model, p):
    """Say how often the fifth of the validation patients (10 to 50, at most half) with the most similar prediction had each class.

    Parameters
    ----------
    p : array of shape (classes,)

    Returns
    -------
    list of Estimate
        One for each class: the share, with Wilson's 95 % interval.
    """
    known = len(model.arrays["cohort_y"])
    found, nearest = [], min(int(np.clip(known // 5, 10, 50)), -(-known // 2))
    for k in range(len(p)):
        near = np.argsort(np.abs(model.arrays["cohort_p"][:, k] - p[k]), kind="stable")[:nearest]
        hits, n = int((model.arrays["cohort_y"][near] == k).sum()), len(near)
        bounds = binomtest(hits, n).proportion_ci(method="wilson")
        found.append(evaluate.Estimate(hits / n, float(bounds.low), float(bounds.high)))
    return found
