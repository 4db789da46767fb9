"""Other right answers to the exercises are accepted, and wrong ones that come up are refused with a reason."""

import ast

import numpy as np
import pytest
import torch

from medkit import lessons
from medkit.exercise import Exercise

from test_exercises import attempts, namespace

RIGHT = {
    "0.1": ["lambda heart, chest: (heart.sum(0) > 0).mean() / (chest.sum(0) > 0).mean()",
            "lambda heart, chest: len(set(np.nonzero(heart)[1])) / len(set(np.nonzero(chest)[1]))",
            "lambda heart, chest: torch.tensor(heart).any(0).sum() / torch.tensor(chest).any(0).sum()"],
    "0.2": ["lambda t, u: 1 / (u.mean() - t.mean())", "lambda t, u: len(t) / (u - t).sum()",
            "lambda t, u: round(1 / float(pd.Series(u - t).mean()))"],
    "0.3": ["lambda at, fs: 60 * fs / np.median(np.diff(at))", "lambda at, fs: 60 / (pd.Series(at).diff().median() / fs)",
            "lambda at, fs: np.median(60 * fs / np.diff(at))"],
    "1.1": ["lambda z: np.where(z > 0, z, 0)", "lambda z: [max(v, 0) for v in z]", "lambda z: z * (z > 0)",
            "lambda z: torch.relu(torch.tensor(z))", "lambda z: pd.Series(z).clip(lower=0)", "lambda z: (abs(z) + z) / 2"],
    "1.2": ["2.303", "np.log(10)", "nn.functional.binary_cross_entropy(torch.tensor([0.9]), torch.tensor([0.0]))",
            "log_loss([0], [0.9], labels=[0, 1])"],
    "1.3": ["lambda X, y, p: ((p - y)[:, None] * X).mean(0)", "lambda X, y, p: np.einsum('nd,n->d', X, p - y) / len(X)",
            "lambda X, y, p: [np.mean((p - y) * X[:, j]) for j in range(X.shape[1])]",
            "lambda X, y, p: torch.tensor(X).T @ torch.tensor(p - y) / len(y)"],
    "1.4": ["lambda a, b: [StandardScaler().fit(a).transform(x) for x in (a, b)]",
            "lambda a, b: tuple((torch.tensor(x) - torch.tensor(a).mean(0)) / torch.tensor(a).std(0) for x in (a, b))",
            "lambda a, b: [(pd.DataFrame(x) - pd.DataFrame(a).mean()) / pd.DataFrame(a).std() for x in (a, b)]"],
    "1.5": ["lambda y, p, threshold: ((p >= threshold) & (y == 1)).sum() / (y == 1).sum()",
            "lambda y, p, threshold: recall_score(y, p >= threshold)",
            "lambda y, p, threshold: np.average(p >= threshold, weights=y)"],
    "2.1": ["lambda t: [(v - 32) * 5 / 9 if 77 <= v <= 112 else v for v in t]",
            "lambda t: pd.Series(t).mask(pd.Series(t).between(77, 112), (t - 32) / 1.8)",
            "lambda t: torch.where((torch.tensor(t) >= 77) & (torch.tensor(t) <= 112), (torch.tensor(t) - 32) / 1.8, torch.tensor(t))"],
    "2.2": ["lambda values, start: pd.Series(values).ffill().fillna(start)",
            "lambda values, start: np.array(pd.Series([start, *values]).ffill())[1:]"],
    "2.3": ["lambda X, y: cross_val_predict(make_pipeline(StandardScaler(), SelectKBest(k=10), LogisticRegression()), X, y, "
            "cv=StratifiedKFold(5, shuffle=True, random_state=0), method='predict_proba')[:, 1]",
            "by_hand"],
    "2.4": ["lambda hu, c, w: np.interp(hu, [c - w / 2, c + w / 2], [0, 1])",
            "lambda hu, c, w: ((torch.tensor(hu) - c) / w + 0.5).clamp(0, 1)",
            "lambda hu, c, w: [min(max((v - c) / w + 0.5, 0), 1) for v in hu]"],
    "3.1": ["lambda s, k, p, t: int(np.floor((s + 2 * p - k) / t)) + 1", "lambda s, k, p, t: len(range(0, s + 2 * p - k + 1, t))"],
    "3.2": ["lambda a: np.maximum(np.maximum(a[::2, ::2], a[1::2, ::2]), np.maximum(a[::2, 1::2], a[1::2, 1::2]))",
            "lambda a: nn.functional.max_pool2d(torch.tensor(a)[None].float(), 2)[0]",
            "lambda a: [[a[i:i + 2, j:j + 2].max() for j in range(0, a.shape[1], 2)] for i in range(0, a.shape[0], 2)]"],
    "3.3": ["lambda a, b: np.intersect1d(a, b)", "lambda a, b: [x for x in a if x in b]",
            "lambda a, b: set(a).intersection(b)", "lambda a, b: pd.Series(a)[pd.Series(a).isin(b)].unique()"],
    "3.4": ["0.2", "0.05 * 0.95 / (0.05 * 0.95 + 0.95 * 0.2)", "torch.tensor(47.5 / 237.5)"],
    "4.1": ["lambda h, n, z: n + z * (h - n)", "lambda h, n, z: torch.lerp(*map(torch.tensor, (n, h, z)))"],
    "4.2": ["lambda at: list((at[1:] - at[:-1]) / np.median(at[1:] - at[:-1]))",
            "lambda at: pd.Series(at).diff().dropna() / pd.Series(at).diff().median()",
            "lambda at: torch.tensor(at).diff() / torch.tensor(at).diff().median()"],
    "4.3": ["lambda t, k: [t[k, k] / t.sum(axis=1)[k], t[k, k] / t.sum(axis=0)[k]]",
            "lambda t, k: torch.tensor([t[k, k] / t[k].sum(), t[k, k] / t[:, k].sum()])"],
    "4.4": ["lambda s, m: np.exp(np.where(m, s, -np.inf)) / np.exp(s[m]).sum()",
            "lambda s, m: torch.tensor(s).masked_fill(~torch.tensor(m), -torch.inf).softmax(0)",
            "lambda s, m: [np.exp(a) / np.exp(s[m]).sum() if b else 0 for a, b in zip(s, m)]"],
    "5.1": ["lambda s, t: torch.tensor(s).masked_fill(~torch.tensor(t), -torch.inf).softmax(0)",
            "lambda s, t: np.exp(s) * t / (np.exp(s) * t).sum()"],
    "5.2": ["lambda p, q, r: 1 / (1 + np.exp(-(np.log(p / (1 - p)) + np.log(q / (1 - q)) - np.log(r / (1 - r)))))",
            "lambda p, q, r: p * q / r / (p * q / r + (1 - p) * (1 - q) / (1 - r))"],
    "5.3": ["lambda rate, k: np.prod([1 - rate] * k)", "lambda rate, k: torch.tensor(1.0 - rate).pow(k)"],
    "5.4": ["lambda a, b: pd.Series(a - b).quantile([0.025, 0.975])", "lambda a, b: tuple(np.quantile(a - b, (0.025, 0.975)))",
            "lambda a, b: torch.tensor(a - b).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))"],
    "6.1": ["lambda m: [k - max([j for j in range(k) if m[j]], default=0) for k in range(len(m))]",
            "lambda m: (~m[:-1]).size and np.array([next((d for d in range(1, k + 1) if m[k - d]), k) for k in range(len(m))])"],
    "6.2": ["14", "13.9", "-np.log(0.5) / 0.05", "torch.tensor(2.0).log() / 0.05"],
    "6.3": ["lambda y, p, t: (((p >= t) & (y == 1)).sum() - ((p >= t) & (y == 0)).sum() * t / (1 - t)) / len(y)",
            "lambda y, p, t: np.where(p >= t, np.where(y, 1, -t / (1 - t)), 0).mean()"],
    "6.4": ["2.5", "2.54", "1 / (0.14 * 0.8 / (0.14 * 0.8 + 0.86 * 0.2))"],
    "7.1": ["lambda d, p: np.isclose(p, d, rtol=0.2, atol=0).mean()", "lambda d, p: (abs(p / d - 1) <= 0.2).sum() / len(d)",
            "lambda d, p: torch.tensor(abs(p - d) <= 0.2 * d).float().mean()"],
    "7.2": ["lambda v, W, c: torch.sigmoid(torch.tensor(v @ W + c))", "lambda v, W, c: (1 + np.tanh((v @ W + c) / 2)) / 2"],
    "7.3": ["lambda y, arm, advice: 2 * np.where(arm == advice, y, 0).mean()",
            "lambda y, arm, advice: 2 * y[arm == advice].sum() / len(y)"],
    "8.1": ["0.94", "sum(math.comb(5, k) * 0.8 ** k * 0.2 ** (5 - k) for k in (3, 4, 5))", "0.8 ** 3 * (10 * 0.04 + 5 * 0.16 + 0.64)"],
    "8.2": ["lambda l: torch.tensor(l).softmax(0)", "lambda l: 1 / np.exp(l[None] - l[:, None]).sum(1)"],
    "8.3": ["0.68", "0.675", "torch.logit(torch.tensor([0.9, 0.9, 0.1])).mean().sigmoid()", "9 ** (1 / 3) / (1 + 9 ** (1 / 3))"],
    "8.4": ["lambda d, s: list(np.argsort(d)[::-1][:int(len(d) * s)])", "lambda d, s: torch.tensor(d).topk(int(s * len(d))).indices",
            "lambda d, s: set(pd.Series(d).nlargest(int(s * len(d))).index)"],
    "9.1": ["lambda a, b: np.logical_and(a, b).sum() / np.logical_or(a, b).sum()",
            "lambda a, b: (a & b).sum() / (a.sum() + b.sum() - (a & b).sum())",
            "lambda a, b: (torch.tensor(a) & torch.tensor(b)).sum() / (torch.tensor(a) | torch.tensor(b)).sum()"],
    "9.2": ["lambda A, G: np.einsum('f,fhw->hw', G.mean((1, 2)), A).clip(0)",
            "lambda A, G: torch.relu((torch.tensor(G).mean((1, 2), keepdim=True) * torch.tensor(A)).sum(0))",
            "lambda A, G: np.where((m := np.tensordot(G.mean((1, 2)), A, 1)) > 0, m, 0)"],
    "9.3": ["5", "5.0", "torch.tensor(5)", "0.5 * (0 + 10)"],
    "10.1": ["lambda who, a, b: np.intersect1d(who[a], who[b])", "lambda who, a, b: {w for w in who[a] if w in who[b]}",
             "lambda who, a, b: [w for w in dict.fromkeys(who[a]) if w in set(who[b])]"],
    "10.2": ["lambda x, y: 0.5 + abs(np.isnan(x)[y == 1].mean() - np.isnan(x)[y == 0].mean()) / 2",
             "lambda x, y: max(evaluate.auroc(y, pd.isna(x)), evaluate.auroc(y, pd.notna(x)))"],
    "10.3": ["lambda v, low, high: ~((v < 2 * low - high) | (v > 2 * high - low))",
             "lambda v, low, high: [bool(np.isnan(x)) or 2 * low - high <= x <= 2 * high - low for x in v]",
             "lambda v, low, high: pd.Series(v).between(2 * low - high, 2 * high - low) | pd.Series(v).isna()"],
}
WRONG = {
    "0.1": ["lambda heart, chest: 0.5", "lambda heart, chest: np.ptp(np.nonzero(heart)[1]) / np.ptp(np.nonzero(chest)[1])"],
    "0.2": ["lambda t, u: 5", "lambda t, u: len(t)", "lambda t, u: (u - t).sum()"],
    "0.3": ["lambda at, fs: 60 * fs / np.diff(at).min()", "lambda at, fs: 60 * fs * len(at) / (at[-1] - at[0])", "lambda at, fs: 75"],
    "1.1": ["lambda z: np.clip(z, 0, 1)", "lambda z: np.maximum(z, 0.01 * z)", "lambda z: z[z > 0]", "lambda z: None"],
    "1.2": ["-np.log10(0.1)", "-np.log2(0.1)", "0.81", "'2.3'"],
    "1.3": ["lambda X, y, p: X @ (p - y) / len(y)", "lambda X, y, p: (X[:2] * (p - y)[:2]).mean(0)",
            "lambda X, y, p: ((p - y)[:, None] * X).mean()", "lambda X, y, p: X.T @ p / len(y)"],
    "1.4": ["lambda a, b: [(x - x.mean(0)) / (x.std(0) + 1e-9) for x in (a, b)]", "lambda a, b: (a - a.mean(0)) / a.std(0)",
            "lambda a, b: [(x - a.mean()) / a.std() for x in (a, b)]", "lambda a, b: [x - a.mean(0) for x in (a, b)]"],
    "1.5": ["lambda y, p, t: ((p >= t) & (y == 1)).sum() / max((p >= t).sum(), 1)", "lambda y, p, t: np.mean(p[y == 0] < t)",
            "lambda y, p, t: 2 / 3"],
    "2.1": ["lambda t: np.where(t > 77, (t - 32) / 1.8, t)", "lambda t: np.where(t >= 77, (t - 32) / 1.8, t)",
            "lambda t: np.where(t > 70, (t - 32) * 1.8, t)"],
    "2.2": ["lambda values, start: pd.Series(values).fillna(np.nanmean(values))", "lambda values, start: pd.Series(values).ffill()",
            "lambda values, start: pd.Series(values).interpolate().fillna(start)"],
    "2.3": ["lambda X, y: np.full(len(y), 0.5)", "lambda X, y: LogisticRegression().fit(X, y).predict_proba(X)[:, 1]",
            "lambda X, y: cross_val_predict(LogisticRegression(), X[:, :10], y, method='predict_proba')"],
    "2.4": ["lambda hu, c, w: np.where(hu >= c + w / 2, 1, np.where(hu <= c - w / 2, 0, 0.5))",
            "lambda hu, c, w: np.clip((hu - c + w) / (2 * w), 0, 1)"],
    "3.1": ["lambda s, k, p, t: (s + 2 * p - k) // t", "lambda s, k, p, t: s // t", "lambda s, k, p, t: 28"],
    "3.2": ["lambda a: a.max()", "lambda a: a.reshape(2, 2, -1).max(2)", "lambda a: np.maximum(a[::2], a[1::2])"],
    "3.3": ["lambda a, b: set()", "lambda a, b: set(a) ^ set(b)", "lambda a, b: len(set(a) & set(b))"],
    "3.4": ["0.8", "47.5 / 190", "20", "'20 %'"],
    "4.1": ["lambda h, n, z: (h + n) / 2", "lambda h, n, z: np.where(z > 0.5, h, n)"],
    "4.2": ["lambda at: pd.Series(at).diff() / pd.Series(at).diff().median()", "lambda at: at[1:] / np.median(at)"],
    "4.3": ["lambda t, k: t[k, k] / t[k].sum()", "lambda t, k: (np.diag(t) / t.sum(1), np.diag(t) / t.sum(0))"],
    "4.4": ["lambda s, m: m / m.sum()", "lambda s, m: s * m / (s * m).sum()", "lambda s, m: np.exp(s[m]) / np.exp(s[m]).sum()"],
    "5.1": ["lambda s, t: s * t / max((s * t).sum(), 1)", "lambda s, t: np.exp(s * t) / np.exp(s * t).sum()"],
    "5.2": ["lambda p, q, r: p * q", "lambda p, q, r: 1 - (1 - p) * (1 - q)", "lambda p, q, r: 0.5"],
    "5.3": ["lambda rate, k: 1 - rate", "lambda rate, k: (1 - rate) * k", "lambda rate, k: rate ** k"],
    "5.4": ["lambda a, b: np.mean(a - b)", "lambda a, b: np.percentile(a - b, [0.025, 0.975])",
            "lambda a, b: (a - b).mean() + np.array([-1.96, 1.96]) * (a - b).std()"],
    "6.1": ["lambda m: np.cumsum(~m)", "lambda m: [0 if x else 1 for x in m]"],
    "6.2": ["np.log10(2) / 0.05", "0.05 / np.log(2)", "-13.86"],
    "6.3": ["lambda y, p, t: np.mean((p >= t) & (y == 1)) - np.mean((p >= t) & (y == 0)) * t",
            "lambda y, p, t: ((p >= t) & (y == 1)).sum() - ((p >= t) & (y == 0)).sum() * t / (1 - t)"],
    "6.4": ["0.39", "28.4", "5"],
    "7.1": ["lambda d, p: np.mean(p - d <= 0.2 * d)", "lambda d, p: 100 * np.mean(abs(p - d) <= 0.2 * d)"],
    "7.2": ["lambda v, W, c: np.tanh(v @ W + c)", "lambda v, W, c: 1 / (1 + np.exp(-(v @ W.T + c)))",
            "lambda v, W, c: 1 / (1 + np.exp(v @ W + c))"],
    "7.3": ["lambda y, arm, advice: y[arm == advice].mean()", "lambda y, arm, advice: np.sum((arm == advice) * y / 0.5)"],
    "8.1": ["0.8 ** 5", "94.2", "0.8 ** 3"],
    "8.2": ["lambda l: l == l.max()", "lambda l: np.exp(l) / len(l)"],
    "8.3": ["9", "67.5", "np.log(9)"],
    "8.4": ["lambda d, s: np.argsort(-d)[:round(s * len(d))]", "lambda d, s: d > np.quantile(d, 1 - s)", "lambda d, s: [1, 3]"],
    "9.1": ["lambda a, b: 2 * (a & b).sum() / (a.sum() + b.sum())", "lambda a, b: 1 / 3", "lambda a, b: (a & b).mean()"],
    "9.2": ["lambda A, G: np.maximum((G.sum((1, 2))[:, None, None] * A).sum(0), 0)",
            "lambda A, G: np.maximum(G.mean((1, 2))[:, None, None] * A, 0)"],
    "9.3": ["2.5", "3.33", "'5'"],
    "10.1": ["lambda who, a, b: {'a'}", "lambda who, a, b: len(set(who[a]) & set(who[b]))"],
    "10.2": ["lambda x, y: max((m := (np.isnan(x) == y).mean()), 1 - m)", "lambda x, y: np.isnan(x).mean()"],
    "10.3": ["lambda v, low, high: np.isnan(v) | ((v >= low) & (v <= high))",
             "lambda v, low, high: np.isnan(v) | ((v >= low - (high - low) / 2) & (v <= high + (high - low) / 2))"],
}


def by_hand(X, y):
    from sklearn.feature_selection import f_classif
    from sklearn.linear_model import LogisticRegression

    p = np.zeros(len(y))
    for k in range(5):
        held = np.arange(len(y)) // 2 % 5 == k
        best = np.argsort(f_classif(X[~held], y[~held])[0])[-10:]
        p[held] = LogisticRegression().fit(X[~held][:, best], y[~held]).predict_proba(X[held][:, best])[:, 1]
    return p


@pytest.mark.parametrize("path", lessons.sources(), ids=lambda p: p.stem)
@pytest.mark.filterwarnings("ignore")
def test_other_right_answers_pass_and_wrong_ones_are_told_why(path):
    given = "import math\nimport numpy as np\nimport pandas as pd\nimport torch\nfrom torch import nn\n" \
            "from sklearn.metrics import log_loss, recall_score\nfrom sklearn.preprocessing import StandardScaler"
    space = namespace(path) | {"by_hand": by_hand}
    exec(given, space)
    faults = []
    for cell, _ in attempts(path):
        exercise = space[ast.parse(cell.source).body[-1].value.func.id]
        for state, answers in (("right", RIGHT[exercise.name]), ("not yet", WRONG[exercise.name])):
            assert len(answers) >= 2
            for answer in answers:
                found, message = exercise.judge(eval(answer, space))
                if found != state or "Your code stopped" in message:
                    faults.append((exercise.name, state, answer, message))
    assert not faults, "\n".join(map(str, faults))


@pytest.mark.parametrize("answer, words", [
    (lambda x: None, "must end in return"), (lambda x: "nine", "not of the kind or shape"),
    (lambda x: np.ones((2, 3)), "not of the kind or shape"), (lambda x: y, "Your code stopped with NameError"),  # noqa: F821
    (lambda x: torch.tensor(9.0, requires_grad=True), "right")])
def test_it_is_told_whether_the_learners_code_or_its_answer_is_at_fault(answer, words):
    exercise = Exercise("9.1", hint="think")

    @exercise.check
    def _(square):
        assert np.isclose(square(3), 9), "The square of 3 is 9."

    assert words in exercise.judge(answer)[1]
