"""Patients with a dose or a treatment: what they were given, what came of it. Explained in lesson 7."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from .. import fetch
from ..errors import MedkitError, unknown
from ..hospital import admit, treatment
from ..hospital.outcome import expected_days
from . import cohorts, schema, tables
from .split import by_patient

DOSES = ("virtual-hospital", "iwpc-warfarin")
TRIALS = ("virtual-hospital", "hospital-confounded", "gbsg", "gbsg2", "deepsurv-simulated")
INDUCERS = ["Carbamazepine (Tegretol)", "Phenytoin (Dilantin)", "Rifampin or Rifampicin"]
LINKED = {"1173": {"C/C": "G/G", "C/T": "A/G", "T/T": "A/A"}, "2255": {"C/C": "G/G", "C/T": "A/G", "T/T": "A/A"},
          "1542": {"G/G": "G/G", "C/G": "A/G", "C/C": "A/A"}}
STARS = ("*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3", "*1/*5", "*1/*6", "*1/*11", "*1/*13", "*1/*14")
BREAST = ["hormone therapy", "tumour size", "postmenopausal", "age", "positive nodes", "progesterone", "oestrogen"]


@dataclass(frozen=True)
class Doses:
    """Patients on a stable dose of warfarin: `people` as the formula asks (see
    `hospital.treatment.iwpc_root_dose`) and more, `dose` in mg a week, shape (n,), and `variants`
    (n, variants) in genome order, counts of an allele, NaN where unknown."""

    name: str
    people: pd.DataFrame
    dose: np.ndarray
    variants: np.ndarray
    notes: list


@dataclass(frozen=True)
class Trial:
    """Patients of two arms: covariates `X` (n rows), `arm` (0 or 1), `time` (`unit`), `event` (bool), all shape
    (n,); what counts is the time alive (`counted`: or free of what) within the `horizon`. `parts` holds row numbers;
    `truth`, for simulated patients alone, what is never seen otherwise: "expected", that time under each arm, (n, 2).
    `doubt` says why the arms may have differed from the start."""

    name: str
    X: pd.DataFrame
    arm: np.ndarray
    time: np.ndarray
    event: np.ndarray
    unit: str
    horizon: float
    arms: tuple
    parts: dict
    notes: list
    truth: dict = field(default_factory=dict)
    counted: str = "alive"
    doubt: str = ""


CHOSEN = "so the benefit may be that of who was chosen"


def doses(source="virtual-hospital", n=4000, seed=0):
    """Load patients with their stable dose: simulated (`n` of them), or those of the IWPC (2009)."""
    if source == "virtual-hospital":
        return hospital_doses(n, seed)
    if source == "iwpc-warfarin":
        return iwpc(pd.read_excel(iwpc_file(), sheet_name="Subject Data"))
    raise unknown("set of doses", source, DOSES)


def iwpc_file():
    """Give the table of the IWPC: the official .xls, or the same saved as .xlsx where that is at hand."""
    again = fetch.root() / "iwpc-warfarin" / "PS206767-553247439.xlsx"
    return again if again.exists() else fetch.path("iwpc-warfarin", "PS206767-553247439.xls")


def iwpc(table):
    """Keep the patients with a dose, a decade, a height and a weight: 4,386 of 5,700."""
    table = table.dropna(subset=["PharmGKB Subject ID"])
    dose = check_doses(table["Therapeutic Dose of Warfarin"])
    people = pd.DataFrame({
        "decade": pd.to_numeric(table["Age"].astype(str).str[0], errors="coerce"), "height": table["Height (cm)"],
        "weight": table["Weight (kg)"], "female": 1.0 * (table["Gender"] == "female"),
        "vkorc1": check_genotypes(vkorc1(table), ("A/A", "A/G", "G/G"), "VKORC1"),
        "cyp2c9": check_genotypes(table["CYP2C9 consensus"], STARS, "CYP2C9"), "race": table["Race (OMB)"],
        "inducer": table[INDUCERS].max(axis=1).fillna(0), "amiodarone": table["Amiodarone (Cordarone)"].fillna(0),
        "smoker": table["Current Smoker"].astype(float), "simvastatin": table["Simvastatin (Zocor)"].astype(float)})
    kept = people[["decade", "height", "weight"]].notna().all(axis=1) & dose.notna()
    places = [c for c in table if c.startswith("VKORC1") and c.endswith("consensus")]
    variants = np.stack([allele_count(table[c]) for c in places], axis=1)[kept]
    notes = [f"{len(table):,} real patients in the table, {kept.sum():,} with a dose, a decade of age, a height and a "
             "weight.", "A missing VKORC1 genotype is read off its neighbours, as the consortium did; others stay "
             "unknown."]
    return Doses("iwpc-warfarin", people[kept].reset_index(drop=True), dose[kept].to_numpy(float), variants, notes)


def vkorc1(table):
    """Genotype at -1639 G>A; a missing one is read off its neighbours in linkage, as the consortium did."""
    found, linked = table["VKORC1 -1639 consensus"], table["Race (OMB)"].isin(["White", "Asian"])
    for place, same in LINKED.items():
        other = table[f"VKORC1 {place} consensus"].map(same)
        found = found.fillna(other if place == "1173" else other.where(linked))
    return found


def check_genotypes(column, known, gene):
    """Refuse a genotype that nobody knows; a missing one may pass, as "unknown"."""
    tables.refuse(column.notna() & ~column.isin(known), "The table", lambda row:
                  f"{unknown(f'{gene} genotype', column[row], known)} Leave it empty if it is not known")
    return column.fillna("unknown")


def check_doses(dose):
    """Refuse a weekly dose that is not above 0 mg; a missing one may pass."""
    tables.refuse(dose.notna() & ~(dose > 0), "The table", lambda row: f"a stable dose of {dose[row]:g} mg a week. It must be "
                  "above 0; leave it empty if the patient never had one")
    return dose


def allele_count(genotypes):
    """Count the alternative allele, the second of the alphabet's order, in genotypes such as "A/G"."""
    letters = sorted(set("".join(genotypes.dropna())) - {"/"})
    return genotypes.map(lambda g: g.count(letters[-1]), na_action="ignore").to_numpy(float)


def hospital_doses(n, seed):
    """Give warfarin to simulated patients."""
    cohort = admit(n, seed)
    p, g, given = cohort.patients, cohort.genes, cohort.anticoagulant()
    people = pd.DataFrame({
        "decade": np.floor(p["age"] / 10), "height": p["height"], "weight": p["bmi"] * (p["height"] / 100) ** 2,
        "female": 1.0 * (p["sex"] == "female"), "vkorc1": np.take(("G/G", "A/G", "A/A"), g["VKORC1"]),
        "cyp2c9": treatment._STARS[g["CYP2C9_2"], g["CYP2C9_3"]], "race": "White",
        "inducer": 1.0 * given["inducer"], "amiodarone": 1.0 * given["amiodarone"],
        "smoker": 1.0 * (p["smoking_pack_years"] > 0), "diabetes": 1.0 * p["diabetes"]})
    return Doses("virtual hospital (simulated)", people, given["stable_mg"].to_numpy(), g.to_numpy(float),
                 [f"{n:,} simulated patients of the virtual hospital; the dose follows the published formula, a "
                  "made-up extra need of smokers, and chance."])


def trial(source="virtual-hospital", n=4000, seed=0):
    """Load patients of two arms, in parts: by name, or a table of your own (see `own`).

    The simulated ones (`n`) come with what each arm would have done.
    """
    if Path(source).suffix:
        return check_trial(own(Path(source).expanduser(), seed))
    if source not in TRIALS:
        raise unknown("trial", source, TRIALS)
    if source in TRIALS[:2]:
        return check_trial(hospital_trial(n, seed, "confounded" if source == TRIALS[1] else "randomised"))
    return check_trial(german() if source == "gbsg2" else deepsurv(source))


def check_trial(found):
    """Refuse a trial that can teach nothing about a treatment."""
    if len(np.unique(found.arm)) < 2:
        raise MedkitError(f"{found.name}: all {len(found.arm):,} patients are in one arm ({found.arms[found.arm[0]]}). "
                          "Without a comparison no effect can be estimated.")
    if not found.event.any():
        raise MedkitError(f"{found.name}: everybody is censored, nobody had the event. Follow up for longer.")
    for part, rows in found.parts.items():
        seen = [int((found.arm[rows] == a).sum()) for a in (0, 1)]
        if min(seen) < 10 or found.event[rows].sum() < 5:
            raise MedkitError(f"{found.name}: too few patients for '{part}' ({seen[0]} and {seen[1]} in the two arms, "
                              f"{found.event[rows].sum()} events). Each part needs 10 of each arm, and 5 events.")
    return found


def split(n, seed):
    """Part rows into training (60 %), validation (20 %) and test (20 %)."""
    order = np.random.default_rng(seed).permutation(n)
    return dict(zip(("train", "valid", "test"), np.split(order, [int(0.6 * n), int(0.8 * n)])))


def hospital_trial(n, seed, assignment):
    """Give clopidogrel or usual care to simulated patients: the arms 0 and 2 of the hospital."""
    cohort = admit(n, seed)
    given, after = cohort.treatment(assignment, 3), cohort.outcome(assignment, 3)
    kept = (given["arm"] != 1).to_numpy()
    p, g = cohort.patients[kept].reset_index(drop=True), cohort.genes[kept].reset_index(drop=True)
    seen = p.drop(columns=["patient_id", "sex", "hospital"]).astype(float).assign(female=1.0 * (p["sex"] == "female"))
    seen["smoker"] = 1.0 * (seen["smoking_pack_years"] > 0)
    expected = np.stack([expected_days(cohort, given[f"effect_{k}"].to_numpy())[kept] for k in (0, 2)], axis=1)
    return Trial(
        f"virtual hospital (simulated), {assignment}", seen.join(g[["CDKN2B_AS1", "CYP2C19_2", "LPA", "ADRB1"]].astype(float)),
        (given["arm"].to_numpy()[kept] == 2).astype(int), after["days"].to_numpy()[kept],
        after["event"].to_numpy(bool)[kept], "days", 365, ("usual care", "clopidogrel"), split(kept.sum(), seed),
        [f"{kept.sum():,} simulated patients, treatment {assignment}; sizes of effects are made up."], {"expected": expected},
        doubt=f"treatment was not randomised, {CHOSEN}" if assignment == "confounded" else "")


def deepsurv(source):
    """Read Rotterdam (training) and GBSG (test), or the simulated set, from the files of DeepSurv (2018).

    In the simulated set the hazard is constant under arm 0 (its events over its time give the rate), and under arm 1
    multiplied by exp(`hr`), which the file holds: so the truth is known there.
    """
    import h5py

    real = source == "gbsg"
    with h5py.File(fetch.path("deepsurv", "gbsg_cancer_train_test.h5" if real else "sim_treatment_dataset.h5")) as file:
        names = [name for name in ("train", "valid", "test") if name in file]
        whole = {k: np.concatenate([file[part][k][()] for part in names]) for k in file["train"]}
        sizes = [len(file[part]["t"]) for part in names]
    parts = dict(zip(names, np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])))
    X = pd.DataFrame(whole["x"].astype(float), columns=BREAST if real else [f"x{k}" for k in range(10)] + ["treated"])
    arm, time, event = X.pop(BREAST[0] if real else "treated"), whole["t"].astype(float), whole["e"].astype(bool)
    rest = X, arm.to_numpy(int), time, event
    if real:
        train, valid = np.split(np.random.default_rng(0).permutation(parts["train"]), [1236])
        return Trial(source, *rest, "months", 60, ("no treatment", "hormone therapy"),
                     parts | {"train": np.sort(train), "valid": np.sort(valid)},
                     ["Real patients: Rotterdam tumour bank (training, validation), GBSG trial (test)."],
                     counted="free of recurrence", doubt=f"treatment was not randomised, {CHOSEN}")
    rate = event[arm == 0].sum() / time[arm == 0].sum() * np.exp(np.outer(whole["hr"], (0, 1)))
    return Trial(source, *rest, "units", 3, ("placebo", "treatment"), parts,
                 ["Simulated by the makers of DeepSurv, with a known effect of treatment."],
                 {"expected": (1 - np.exp(-3 * rate)) / rate})


def german():
    """Read the GBSG2 trial (Schumacher et al., 1994), months to recurrence or death."""
    X, event, *_, days = cohorts.gbsg2()
    coded = X.assign(menostat=1.0 * (X["menostat"] == "Post"), tgrade=X["tgrade"].astype(str).str.len().astype(float))
    return Trial("gbsg2", coded.drop(columns="horTh").astype(float), (X["horTh"] == "yes").to_numpy(int),
                 days / 30.44, event.astype(bool), "months", 60, ("none", "hormonal therapy"),
                 split(len(X), 0), [f"{len(X)} real patients of the German Breast Cancer Study Group; months to recurrence "
                                    "or death. Not all were randomised to hormonal therapy."],
                 counted="free of recurrence", doubt=f"not all were randomised, {CHOSEN}")


def own(path, seed=0):
    """Read a trial of your own: a table (CSV, Parquet), a row per patient, and the schema beside it.

    Of its keys `treatment`, `outcome` (the event) and `time` (to the event, or to the end of follow-up) name columns;
    `treated` is the value of arm 1, `horizon` the time that counts, in the `unit` of `time`; `randomised` may be true.
    """
    told = schema.read(path)
    for key, what in (("treatment", "holds the two arms"), ("time", "says how long a patient was followed")):
        if key not in told:
            raise MedkitError(f'{path}: which column {what}? Say so in {tables.place(path)}, by the line {key} = "NAME".')
    given, until = told["treatment"], told["time"]
    columns = {c: kind for c, kind in told["columns"].items() if c != given} | {until: "number"}
    X, event, who, classes, notes = tables.read_file(path, told | {"columns": columns})
    tables.columns_there(X, [given, until], path)
    tables.cells_filled(X, [given, until], path)
    time = X[until]
    tables.refuse(time < 0, path, lambda row: f"the column '{until}' holds {time[row]:g}. A time cannot be below 0")
    arms, arm = tables.coded(X[given], path, told.get("treated"))
    for column, values in ((given, arms), (told["outcome"], classes)):
        if len(values) != 2:
            raise MedkitError(f"{path}: '{column}' should have two values, but has {len(values)}. Keep the rows of two.")
    if told.get("patient") and len(set(who)) < len(who):
        raise MedkitError(f"{path}: some patients have several rows. A trial takes a row per patient.")
    parts = by_patient(np.arange(len(arm)), 2 * arm + event, (0.6, 0.2, 0.2), seed)
    horizon = told.get("horizon") or float(f"{min(time[arm == a].quantile(0.9) for a in (0, 1)):.2g}")
    if not 0 < horizon <= time.max():
        raise MedkitError(f"{path}: a horizon of {horizon:g} should be above 0, and patients were followed for {time.max():g} "
                          f"at most. Name another in {tables.place(path)}, in the unit of '{until}'.")
    notes = [f"{len(arm):,} patients of your table, by chance in three parts. '{given}' is the treatment, "
             f"'{until}' the time to '{classes[1]}' of '{told['outcome']}'; what counts is the time up to {horizon:g}.", *notes]
    return Trial(path.stem, complete(X.drop(columns=[given, until]), parts["train"]), arm, time.to_numpy(), event == 1,
                 told.get("unit", "units"), horizon, tuple(f"{given}: {value}" for value in arms), parts, notes,
                 counted=f"free of '{told['outcome']}'",
                 doubt="" if told.get("randomised") else f"nobody says that treatment was randomised, {CHOSEN}")


def complete(X, train):
    """Make numbers of categories, and fill gaps by the medians of training patients; each gap leaves a mark."""
    gaps = X.isna().loc[:, X.iloc[train].isna().any()].add_suffix(" unknown").astype(float)
    X = pd.get_dummies(X, dtype=float).reset_index(drop=True)
    X = X.fillna(X.iloc[train].median()).join(gaps.reset_index(drop=True))
    return X.loc[:, X.iloc[train].nunique() > 1].astype(float)
