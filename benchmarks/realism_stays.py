"""Train on simulated stays alone, test on real ones: does what is learnt hold?

    MEDKIT_DATA=/path/to/data python benchmarks/realism_stays.py [stays to simulate]

Real stays: PhysioNet/CinC challenge 2012, set a (Silva et al. 2012, Computing in
Cardiology 39:245-248), under $MEDKIT_DATA/challenge-2012. The models see none of them
before the test. The simulator is not blind to set a, though: its levels and correlations
were adjusted by hand to it, and its mortality by variable, age and unit had been looked at
before the effects were chosen. Sets b and c would be the clean test. Prints three tables,
and writes a row of benchmarks/realism.json for each model.
"""
import argparse
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

import realism
from medkit import evaluate
from medkit.hospital import admit
from medkit.hospital.variables import NAMES

STATIC = ["Age", "Gender", "ICUType", "Weight"]
SHARED = [name for name in NAMES if name != "BNP"]
MODELS = {
    "logistic regression": lambda: make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=0),
        LogisticRegression(C=0.01, max_iter=500)),
    "boosting": lambda: HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=200, max_leaf_nodes=8, l2_regularization=10, random_state=0),
}


def real_stays(folder):
    """Read set a as an hourly grid (4000, 48, variables), static values and deaths."""
    deaths = pd.read_csv(folder / "Outcomes-a.txt").set_index("RecordID")["In-hospital_death"]
    with tarfile.open(folder / "set-a.tar.gz") as tar:
        parts = {int(Path(m.name).stem): pd.read_csv(tar.extractfile(m)) for m in tar if m.name.endswith(".txt")}
    rows = pd.concat(parts, names=["id"]).reset_index("id")
    rows = rows[rows["Value"] >= 0].assign(hour=lambda r: r["Time"].str[:2].astype(int))
    first = rows[(rows["Time"] == "00:00") & rows["Parameter"].isin(STATIC)]
    static = first.groupby(["id", "Parameter"])["Value"].first().unstack().reindex(deaths.index)[STATIC]
    rows = rows[(rows["hour"] < 48) & rows["Parameter"].isin(SHARED)]
    grid = np.full((len(deaths), 48, len(SHARED)), np.nan, np.float32)
    grid[deaths.index.get_indexer(rows["id"]), rows["hour"], pd.Index(SHARED).get_indexer(rows["Parameter"])] = rows["Value"]
    return grid, static.reset_index(drop=True), deaths.to_numpy()


def simulated_stays(n, seed):
    """Make the same of the virtual hospital."""
    cohort = admit(n, seed)
    stay = cohort.stay()
    keep = [stay.variables.index(name) for name in SHARED]
    return stay.values[:, :, keep], stay.static[STATIC], cohort.outcome()["died"].to_numpy().astype(int)


def summaries(grid, static):
    """Describe each stay: middle, lowest, highest, last value and count of each variable."""
    ordered, count = np.sort(grid, axis=1), np.isfinite(grid).sum(1)  # empty cells sort last
    parts = {label: np.take_along_axis(ordered, (share * np.maximum(count - 1, 0)).astype(int)[:, None], 1)[:, 0]
             for label, share in (("lowest", 0.1), ("middle", 0.5), ("highest", 0.9))}
    parts["last"] = pd.DataFrame(grid.transpose(0, 2, 1).reshape(-1, 48)).ffill(axis=1).iloc[:, -1].to_numpy()
    parts["last"] = parts["last"].reshape(len(grid), -1)
    parts["count"] = count
    frames = [pd.DataFrame(v, columns=[f"{n} {k}" for n in SHARED]) for k, v in parts.items()]
    icu = pd.get_dummies(static["ICUType"].astype(int)).reindex(columns=[1, 2, 3, 4], fill_value=False)
    icu.columns = [f"unit {k}" for k in icu.columns]
    return pd.concat([static.drop(columns="ICUType"), icu.astype(float), *frames], axis=1)


def auroc(died, score, rng):
    """Give AUROC with a 95 % bootstrap interval over patients, as text."""
    draws = [rng.integers(len(died), size=len(died)) for _ in range(300)]
    low, high = np.quantile([roc_auc_score(died[i], score[i]) for i in draws], [0.025, 0.975])
    return f"{roc_auc_score(died, score):.3f} ({low:.3f} to {high:.3f})"


def mortality(simulated, real):
    """Compare models of death that learnt from simulated and from real stays."""
    (x, y), (x_real, y_real), rows = simulated, real, []
    folds, rng = StratifiedKFold(5, shuffle=True, random_state=0), np.random.default_rng(0)
    half = len(y) // 2
    for name, make in MODELS.items():
        inside = make().fit(x[:half], y[:half]).predict_proba(x[half:])[:, 1]
        moved = make().fit(x, y).predict_proba(x_real)[:, 1]
        own = cross_val_predict(make(), x_real, y_real, cv=folds, method="predict_proba")[:, 1]
        for label, truth, score in (("simulated", y[half:], inside), ("real, learnt on simulated", y_real, moved),
                                    ("real, learnt on real (5 folds)", y_real, own)):
            rows.append((name, label, auroc(truth, score, rng), round(average_precision_score(truth, score), 3)))
    return pd.DataFrame(rows, columns=["model", "tested on", "AUROC (95 % interval)", "AUPRC"])


def two_samples(x, x_real):
    """How well can a classifier tell simulated from real? 0.5 is not at all."""
    both, label = pd.concat([x, x_real], ignore_index=True), np.r_[np.zeros(len(x)), np.ones(len(x_real))]
    folds, rows = StratifiedKFold(3, shuffle=True, random_state=0), []
    for name, part in {"everything": "", "middle values": " middle", "counts": " count",
                       "static": "^(?:Age|Gender|Weight|unit .)$"}.items():
        columns = both.columns[both.columns.str.contains(part)]
        score = cross_val_predict(MODELS["boosting"](), both[columns], label, cv=folds, method="predict_proba")
        rows.append((name, len(columns), round(roc_auc_score(label, score[:, 1]), 3)))
    alone = {c: roc_auc_score(label[ok], both.loc[ok, c]) for c in both if c.endswith(" middle") and "Mech" not in c
             for ok in [both[c].notna()]}
    worst = sorted(alone, key=lambda c: -abs(alone[c] - 0.5))[:5]
    rows += [(c, 1, round(max(alone[c], 1 - alone[c]), 3)) for c in worst]
    return pd.DataFrame(rows, columns=["told apart by", "columns", "AUROC"])


def marginals(grid, grid_real):
    """Put quartiles and filling of each variable side by side."""
    rows = {}
    for i, name in enumerate(SHARED):
        for label, part in (("simulated", grid[..., i]), ("real", grid_real[..., i])):
            quartiles = np.nanquantile(part, [0.25, 0.5, 0.75]).round(2)
            rows.setdefault(name, {})[f"{label} quartiles"] = " ".join(f"{q:g}" for q in quartiles)
            rows[name][f"{label} filled"] = f"{np.isfinite(part).mean():.1%}"
    return pd.DataFrame(rows).T


def main():
    """Print the tables of the first seed; write mortality over all seeds to benchmarks/realism.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stays", type=int, nargs="?", default=12000, help="how many to simulate")
    n, seeds = parser.parse_args().stays, (2012, 2013, 2014)
    grid_real, static_real, died_real = real_stays(realism.folder("challenge-2012", "set-a.tar.gz", "Outcomes-a.txt"))
    x_real, guesses = summaries(grid_real, static_real), {name: [] for name in MODELS}
    for seed in seeds:
        grid, static, died = simulated_stays(n, seed)
        x = summaries(grid, static)
        for name, make in MODELS.items():
            guesses[name].append(make().fit(x, died).predict_proba(x_real)[:, 1])
        if seed == seeds[0]:
            print(f"{n} simulated stays: {died.mean():.1%} died, {np.isnan(grid).mean():.1%} of hourly cells empty")
            print(f"{len(died_real)} real stays: {died_real.mean():.1%} died, {np.isnan(grid_real).mean():.1%} empty\n")
            apart = two_samples(x[:4000], x_real)
            print(mortality((x, died), (x_real, died_real)).to_string(index=False), "\n")
            print(apart.to_string(index=False), "\n")
            print(marginals(grid, grid_real).to_string(), flush=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for name, make in MODELS.items():
        own = cross_val_predict(make(), x_real, died_real, cv=folds, method="predict_proba")[:, 1]
        realism.keep(f"mortality AUROC, {name}", "challenge-2012 set a", 0.70,
                     realism.over_seeds(evaluate.auroc, died_real, guesses[name]),
                     own=evaluate.auroc(died_real, own), told_apart=float(apart["AUROC"].iloc[0]),
                     by_seed=[evaluate.auroc(died_real, p) for p in guesses[name]])


if __name__ == "__main__":
    main()
