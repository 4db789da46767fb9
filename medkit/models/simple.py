"""Features and simple models as plain arrays: what they are is all there is to save. Explained in lesson 10."""

import numpy as np
from scipy.special import softmax

BANDS = 10  # of a signal's power, equally wide from 0 to half the sampling rate on a logarithmic scale
THUMB = 16  # side of the thumbnails that simple models see


def plan_of(X):
    """Learn from training rows how to turn a table into numbers: a JSON-like list, one entry a column.

    It holds quantiles and shares, for comparison with the cohort, and no row of any patient.
    """
    def one(name):
        values = X[name]
        if values.dtype.kind in "if":
            there = values.dropna().to_numpy(float)
            marks = np.quantile(there, np.linspace(0, 1, 21)).tolist() if len(there) else [0.0] * 21
            filled = values.fillna(marks[10])
            return {"name": str(name), "type": "number", "quantiles": marks, "mean": float(filled.mean()),
                    "sd": max(float(filled.std(ddof=0)), 1e-9)}
        shares = values.astype(str)[values.notna()].value_counts(normalize=True)
        return {"name": str(name), "type": "category", "values": shares.index.tolist(), "shares": shares.tolist()}

    return [one(name) for name in X]


def encode(X, plan):
    """Turn a table into float32 (n, columns): numbers scaled, gaps filled by the median and told, categories one-hot."""
    columns = []
    for entry in plan:
        values = X[entry["name"]]
        if entry["type"] == "number":
            values = values.to_numpy(float)
            gap = np.isnan(values)
            columns += [np.clip((np.where(gap, entry["quantiles"][10], values) - entry["mean"]) / entry["sd"], -10, 10), gap]
        else:
            texts = values.astype(str).where(values.notna())
            columns += [(texts == v).to_numpy() for v in entry["values"]]
    return np.column_stack(columns).astype(np.float32)


def thumbnails(X):
    """Turn images (n, size, size, channels) into (n, numbers): means over blocks, in 0 to 1."""
    edges = np.linspace(0, X.shape[1], THUMB + 1).astype(int)[:-1]
    rows = np.add.reduceat(X.astype(np.float32), edges, axis=1)
    blocks = np.add.reduceat(rows, edges, axis=2)
    return (blocks / (255 * (X.shape[1] / THUMB) ** 2)).reshape(len(X), -1)


def powers(X):
    """Turn signals (n, samples, channels) into (n, numbers): the log of the power in bands of each channel."""
    power = np.abs(np.fft.rfft(X - X.mean(axis=1, keepdims=True), axis=1)) ** 2
    edges = np.unique(np.geomspace(1, power.shape[1], BANDS + 1).astype(int))[:-1]
    return np.log(np.add.reduceat(power, edges, axis=1) + 1e-9).reshape(len(X), -1).astype(np.float32)


def linear(fitted):
    """Take the arrays out of a pipeline of a scaler and a logistic regression."""
    scaler, model = fitted[0], fitted[-1]
    return {"mean": scaler.mean_, "scale": scaler.scale_, "weights": model.coef_, "bias": model.intercept_}


def linear_scores(arrays, Z):
    """Give the scores of a logistic regression, (n, classes or 1)."""
    return (Z - arrays["mean"]) / arrays["scale"] @ arrays["weights"].T + arrays["bias"]


def trees(fitted):
    """Take the trees out of scikit-learn's HistGradientBoostingClassifier (no categorical splits).

    All trees lie in arrays of shape (trees, nodes); the trees of an iteration stand together, one for each score.
    """
    flat = [t.nodes for one in fitted._predictors for t in one]
    size = max(map(len, flat))
    kinds = {"feature_idx": np.int64, "num_threshold": float, "left": np.int64, "right": np.int64, "value": float,
             "missing_go_to_left": np.uint8, "is_leaf": np.uint8}
    found = {name: np.stack([np.pad(nodes[name].astype(kind), (0, size - len(nodes))) for nodes in flat])
             for name, kind in kinds.items()}
    for side in ("left", "right"):  # a leaf leads to itself
        found[side] = np.where(found["is_leaf"] == 1, np.arange(size), found[side])
    depth = max(int(nodes["depth"].max()) for nodes in flat)
    return found | {"start": np.ravel(fitted._baseline_prediction).astype(float), "depth": np.array([depth])}


def tree_scores(arrays, Z):
    """Give the scores of boosted trees, (n, scores): go down all trees at once."""
    trees_there = np.arange(len(arrays["value"]))
    at = np.zeros((len(Z), len(trees_there)), int)
    rows = np.arange(len(Z))[:, None]
    for _ in range(int(arrays["depth"][0])):
        x = Z[rows, arrays["feature_idx"][trees_there, at]].astype(float)
        left = np.where(np.isnan(x), arrays["missing_go_to_left"][trees_there, at] == 1,
                        x <= arrays["num_threshold"][trees_there, at])
        at = np.where(left, arrays["left"][trees_there, at], arrays["right"][trees_there, at])
    scores = len(arrays["start"])
    return arrays["value"][trees_there, at].reshape(len(Z), -1, scores).sum(axis=1) + arrays["start"]


def chances(scores):
    """Turn scores (n, 1) or (n, classes) into probabilities (n, classes)."""
    scores = np.column_stack([np.zeros(len(scores)), scores]) if scores.shape[1] == 1 else scores
    return softmax(scores, axis=1)
