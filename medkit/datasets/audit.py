"""What is suspicious about a data set before any model is trained: leaks, doubles, gaps. Explained in lesson 10.

What looks at the outcome looks at training rows alone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from .. import evaluate
from . import schema
from .own import hashes
from .split import folds

LEAK, FILE_LEAK, TELLING, RANKS = 0.95, 0.8, 0.65, 0.65  # AUROC of one column alone
MOST = 5000  # rows that are looked at for one column
SAME = 0.9995  # correlation of two images or signals that are taken for one
SENTINELS = {-999, -99, -9, -1, 99, 999, 9999, 99999}


@dataclass(frozen=True)
class Finding:
    """One thing to look at: `kind` (a key of `ADVICE`), `where` (a column), and what was found."""

    kind: str
    where: str
    text: str


ADVICE = {"leak": "Was it known when the prediction is to be made? If not, ignore it.",
          "gaps tell": "Ask why it was measured. A model will use the gap itself.",
          "identity": "Numbers given by outcome or by clinic tell of it. Never an input.",
          "date": "Written after the outcome. Whatever comes from that visit is not known in time.",
          "missing": "Ask why. Ignore the column, or measure it.",
          "code for missing": "Replace it by an empty cell.", "spelling": "Write each category in one way.",
          "repeated": "Written twice? Remove the copies.", "ignored": "Mend it, or give its type in the schema.",
          "outcomes differ": "Right if each row is a visit with its own outcome. If not, mend it.",
          "constant": "It tells nothing. Ignore it.", "duplicate": "One patient under two names? Join or remove them.",
          "few": "Scores mean little; from fewer than 10 intervals too. Collect more.", "signal": "Look at it. Leave it out if it is not real."}


def findings(own):
    """Give all findings about a data set, as a list of Finding."""
    found = [*duplicates(own), *identity(own), *few(own)]
    found += spellings(pd.Series(own.classes), own.schema.get("outcome", "label"))
    if own.kind == "table":
        found += repeats(own) + [Finding("ignored", c, f"Not used: {schema.why_ignored(own.facts[c])}.")
                                 for c in own.schema.get("ignored", [])]
        return found + [f for name in own.X for f in column(own, name)] + dates(own)
    found += [Finding("signal", n.partition(":")[0], n) for n in own.notes if "flat line" in n or "clipped" in n]
    for name in own.facts.columns.difference(["file", *own.schema.get("groups", [])]):
        score = foretells(own, own.facts[name])
        if score >= FILE_LEAK:
            found.append(Finding("leak", name, f"How the file was made tells the outcome: AUROC {score:.2f} by this alone."))
    return found


def column(own, name):
    """Look at one column of a table."""
    values = own.X[name]
    gaps, score = values.isna(), foretells(own, values)
    telling = foretells(own, gaps) if gaps.any() else 0
    looked = [("leak", score >= LEAK, f"Predicts the outcome almost alone (AUROC {score:.2f})."),
              ("missing", gaps.mean() > 0.2, f"{gaps.mean():.0%} are missing."),
              ("gaps tell", telling >= TELLING, f"Whether it was measured tells the outcome (AUROC {telling:.2f})."),
              ("constant", values.nunique() < 2, "It has one value only.")]
    found = [Finding(kind, name, text) for kind, there, text in looked if there]
    return found + (sentinels(values, name) if values.dtype.kind in "if" else spellings(values, name))


def foretells(own, values):
    """Tell how well one column predicts the outcome: cross-validated AUROC of a small tree, patients kept whole.

    A gap counts as a value. Of several classes: the mean over classes, each against the rest.
    """
    rows = own.parts["train"]
    rows = rows if len(rows) <= MOST else np.sort(np.random.default_rng(0).choice(rows, MOST, replace=False))
    values, y, patients = values.iloc[rows], own.y[rows], own.patients[rows]
    number = pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)
    x = (values if number else pd.Series(pd.factorize(values.astype(str).where(values.notna()), sort=True)[0])).to_numpy(float)
    k = min(5, *(len(np.unique(patients[y == c])) for c in range(len(own.classes))))
    if k < 2 or len(np.unique(x)) < 2:
        return 0.5
    tree = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=5, random_state=0)
    p = cross_val_predict(tree, x[:, None], y, cv=PredefinedSplit(folds(patients, y, k)), method="predict_proba")
    return float(evaluate.macro(evaluate.auroc)(y, p))


def sentinels(values, name):
    """Find numbers that stand for "missing": repeated, typical, and far from all others."""
    x = pd.Series(values.to_numpy(float)).dropna()
    low, high = x.quantile([0.25, 0.75]) if len(x) else (0, 0)
    reach = 5 * max(high - low, 1e-9)
    odd = [v for v, n in x.value_counts().items() if v in SENTINELS and n >= 3 and not low - reach <= v <= high + reach]
    return [Finding("code for missing", name, f"The value {v:g} stands {int((x == v).sum())} times, far from all others.")
            for v in odd]


def spellings(values, name):
    """Find categories that differ in capitals and spaces alone."""
    texts = values.dropna().astype(str)
    many = texts.groupby(texts.str.strip().str.lower()).nunique()
    return [Finding("spelling", name, f"'{k}' is written in {n} ways.") for k, n in many[many > 1].items()]


def dates(own):
    """Find dates that lie after the date of the outcome."""
    known = own.schema.get("outcome_date")
    columns = [c for c, kind in own.schema["columns"].items() if kind == "date" and c != known]
    if not known:
        return []
    when = schema.when(own.facts[[known, *columns]])
    return [Finding("date", c, f"{n} dates lie after the outcome ('{known}').")
            for c in columns if (n := int((when[c] > when[known]).sum()))]


def repeats(own):
    """Find rows of one patient that are the same, and patients whose rows have different outcomes."""
    if not (name := own.schema.get("patient")):
        return []
    same, both = own.facts.duplicated().sum(), (pd.Series(own.y).groupby(own.patients).nunique() > 1).sum()
    looked = [("repeated", same, "rows repeat another row of the same patient."),
              ("outcomes differ", both, "patients have rows with different outcomes.")]
    return [Finding(kind, name, f"{n} {text}") for kind, n, text in looked if n]


def identity(own):
    """Find out whether the numbers in patients' names tell the outcome."""
    number = pd.to_numeric(pd.Series(own.patients).str.extract(r"(\d+)(?!.*\d)")[0], errors="coerce")
    score = foretells(own, number) if own.schema.get("patient") or own.kind != "table" else 0.5
    return [Finding("identity", "patient", f"The number in the patient's name tells the outcome (AUROC {score:.2f}).")
            ] if score >= RANKS else []


def few(own):
    """Find classes with few patients, and those with so few in the test part that no interval of a score holds."""
    everyone, tested = (patients_of(own, rows) for rows in (np.arange(len(own.y)), own.parts["test"]))
    return [Finding("few", c, f"Only {n} patients are '{c}'.") for c, n in everyone.items() if n < 50] + [
        Finding("few", "test", f"Only {n} patients of the test part are '{c}'.") for c, n in tested.items() if n < 10]


def patients_of(own, rows):
    """Count the patients of each class among some rows: {class: patients}."""
    return {c: len(np.unique(own.patients[rows][own.y[rows] == k])) for k, c in enumerate(own.classes)}


def duplicates(own):
    """Find rows that equal a row of another patient."""
    pairs = equal_rows(own) if own.kind == "table" else equal_arrays(own)
    if not len(pairs):
        return []
    part = {row: name for name, rows in own.parts.items() for row in rows}
    across = sum(part[i] != part[j] for i, j in pairs)
    i, j = pairs[0]
    return [Finding("duplicate", "patient", f"{len(pairs)} pairs of rows of different patients are the same "
                    f"({across} of them across training and test), such as of {own.patients[i]} and {own.patients[j]}.")]


def equal_rows(own):
    """Give pairs of rows of a table with the same values in all columns; only where shuffled columns hardly make such rows."""
    keys, by_chance = hashes(own.X), hashes(own.X.apply(np.random.default_rng(0).permutation))
    order = np.argsort(keys, kind="stable")
    if len(np.unique(by_chance)) < 0.99 * len(keys):
        return []
    return [(a, b) for a, b in zip(order[:-1], order[1:]) if keys[a] == keys[b] and own.patients[a] != own.patients[b]]


def equal_arrays(own):
    """Give pairs of images or signals of different patients that correlate almost perfectly."""
    flat = own.X.reshape(len(own.X), -1).astype(np.float32)
    flat = flat[:, ::max(1, flat.shape[1] // 1024)]
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    found = []
    for start in range(0, len(flat), 1000):
        i, j = np.nonzero(flat[start:start + 1000] @ flat.T > SAME)
        found += [(a, b) for a, b in zip(i + start, j) if a < b and own.patients[a] != own.patients[b]]
    return found


def card(own):
    """Give the data card: {heading: DataFrame}: counts, variables, subgroups, findings."""
    tables = {"Rows and patients": counts(own)} | ({"Variables": variables(own)} if own.kind == "table" else {})
    groups = [rates(own, group) for group in own.schema.get("groups", [])]
    tables["Subgroups"] = pd.concat(groups) if groups else pd.DataFrame({"": ["none is named in the schema"]})
    told = [(f.kind, f.where, f.text, ADVICE[f.kind]) for f in findings(own)] or [("", "", "nothing found", "")]
    tables["Findings"] = pd.DataFrame(told, columns=["kind", "where", "what was found", "what to do"])
    return tables


def counts(own):
    """Count rows, patients and classes in each part."""
    rows = {part: {"rows": len(r), "patients": len(np.unique(own.patients[r])),
                   **{c: int((own.y[r] == k).sum()) for k, c in enumerate(own.classes)}} for part, r in own.parts.items()}
    return pd.DataFrame(rows).T


def variables(own):
    """Describe each column: missing, range or categories, and what it tells of the outcome alone (training rows)."""
    rows = []
    for name, values in own.X.items():
        number = values.dtype.kind in "if"
        what = f"{values.min():g} to {values.max():g}" if number else f"{values.nunique()} categories"
        rows.append({"variable": name, "unit": own.schema.get("units", {}).get(name, ""), "values": what,
                     "missing": f"{values.isna().mean():.0%}", "AUROC alone": round(foretells(own, values), 2)})
    return pd.DataFrame(rows)


def bands(own, group):
    """Give the subgroup of each row: a category, or a quarter of the range of a number."""
    values = own.facts[group]
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > 6:
        edges = np.unique(values.quantile([0, 0.25, 0.5, 0.75, 1]))
        values = pd.cut(values, edges, include_lowest=True).map(lambda i: f"{round(i.left, 1):g} to {round(i.right, 1):g}")
    return values.astype(object).where(values.notna(), "unknown").astype(str)


def rates(own, group):
    """Count the rows and the share of each class in each subgroup."""
    of = bands(own, group)
    shares = pd.get_dummies(pd.Series(own.y).map(dict(enumerate(own.classes)))).groupby(of.to_numpy()).mean()
    shares.insert(0, "rows", of.value_counts())
    return shares.round(3).set_axis([f"{group}: {k}" for k in shares.index])
