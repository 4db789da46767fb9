"""Stays in intensive care as hourly grids: PhysioNet's challenge of 2012, the virtual hospital, a user's long table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..errors import MedkitError, unknown
from ..hospital import admit
from .challenge2012 import outcomes_of, rows_of
from .longtable import SPEC, STATIC, at_admission, gridded, mended, read_long
from .split import by_patient

HOSPITAL, CHALLENGE = "virtual-hospital", "challenge-2012"
LONGEST = {HOSPITAL: 96, CHALLENGE: 48}  # hours; the simulator discharges nobody, so later ones would mean nothing
ADMITTED = 3000  # simulated stays: about one in eight ends in death
UNITS = {name: spec[0] for name, spec in SPEC.items()} | {"BNP": "pg/mL"}
SERIES = [name for name in sorted(SPEC) if name not in {"Age", "Gender", "Height", "ICUType"}]
ICU_TYPES = {1: "coronary", 2: "cardiac surgery", 3: "medical", 4: "surgical"}


@dataclass(frozen=True)
class Stays:
    """Stays of n patients, unsplit, with the rows of each part.

    Attributes
    ----------
    variables, units : list, dict
        What was measured, and in which unit.
    values : float32 array of shape (n, hours, variables)
        NaN where nothing was measured. Several values of an hour are averaged; urine is summed.
    static : DataFrame
        n rows: Age (years), Gender (1 male), Height (cm), Weight (kg), ICUType (1 coronary, 2 cardiac surgery,
        3 medical, 4 surgical); NaN where unknown.
    y : int64 array of shape (n,)
        1 died in hospital.
    patients : array of shape (n,)
    parts : dict
        "train", "valid" and "test" to row numbers: split by patient, outcome balanced.
    scores : DataFrame
        SAPS-I, SOFA and "days to death" from admission, where known: to compare with or to learn from, never an input.
    notes : list of str
        What the reader should know.
    groups : DataFrame
        Subgroups: sex, age, unit.
    truth : float32 array, or None
        For simulated stays: `values` without gaps.
    """

    name: str
    variables: list
    units: dict
    values: np.ndarray
    static: pd.DataFrame
    y: np.ndarray
    patients: np.ndarray
    parts: dict
    scores: pd.DataFrame
    notes: list
    groups: pd.DataFrame
    truth: np.ndarray | None = None

    @property
    def mask(self):
        """Whether each cell was measured: bool, as `values`."""
        return np.isfinite(self.values)

    @property
    def since(self):
        """Hours since the last measurement before each hour, as `values`: see `hours_since`."""
        return hours_since(self.mask)


def hours_since(mask):
    """Count the hours since each variable was last measured, before the hour itself.

    Parameters
    ----------
    mask : array of bool, shape (patients, hours, variables)

    Returns
    -------
    array of float32, same shape
        0 in the first hour; where nothing was measured yet, the hours since the start (Che et al. 2018,
        doi:10.1038/s41598-018-24271-9).
    """
    hour = np.arange(mask.shape[1])[None, :, None]
    last = np.maximum.accumulate(np.where(mask, hour, 0), axis=1)
    before = np.concatenate([np.zeros_like(last[:, :1]), last[:, :-1]], axis=1)
    return (hour - before).astype(np.float32)


def load(source=HOSPITAL, hours=48, seed=0, sets="a", clean=True):
    """Load stays by name, or from a user's long table.

    Parameters
    ----------
    source : str or path
        "virtual-hospital" (simulated), "challenge-2012" (Silva et al. 2012, Computing in Cardiology 39:245-248), or a
        long table or its folder (see `medkit.datasets.longtable`).
    hours : int
        How many hours from admission, 1 to 48 for the challenge, to 96 for the hospital.
    seed : int
        Which split; for the hospital also which patients.
    sets : {"a", "b", "c"}
        Which set of the challenge.
    clean : bool
        Mend units and leave out impossible values. False keeps what was written down (to show what cleaning does).

    Raises
    ------
    MedkitError
        If the source is unknown, a file is damaged, a row is wrong, or all patients have the same outcome.
    """
    if hours < 1:
        raise MedkitError(f"A stay needs at least 1 hour; got hours={hours}.")
    if hours > LONGEST.get(str(source), np.inf):
        raise MedkitError(f"The stays of {source} last {LONGEST[str(source)]} hours; got hours={hours}. Ask for fewer.")
    if source == HOSPITAL:
        return simulated(hours, seed)
    if source == CHALLENGE:
        return challenge(hours, seed, sets, clean)
    path = Path(source).expanduser()
    if path.suffix or path.is_dir():
        return from_table(path, hours, seed, clean)
    raise unknown("set of stays", source, [HOSPITAL, CHALLENGE, "the path of a long table"])


def simulated(hours, seed):
    """Admit patients to the virtual hospital, and watch their stays."""
    batches = list(admit(ADMITTED, seed).batches(500))
    stays = [c.stay(hours) for c in tqdm(batches, desc="simulated stays", unit_scale=500, unit="stay", leave=False)]
    y = np.concatenate([c.outcome()["died"] for c in batches]).astype(np.int64)
    static = pd.concat([s.static[STATIC] for s in stays], ignore_index=True)
    note = f"Simulated: {ADMITTED:,} patients of the virtual hospital. A score here is not a score on real patients."
    return assembled("virtual-hospital", list(stays[0].variables), np.concatenate([s.values for s in stays]), static, y,
                     np.concatenate([c.patients["patient_id"] for c in batches]), seed, [note],
                     truth=np.concatenate([s.truth for s in stays]))


def assembled(name, variables, values, static, y, patients, seed, notes, scores=None, truth=None):
    """Put stays together, split by patient."""
    if len(np.unique(y)) < 2 and len(y) > 2:
        raise MedkitError(f"{name}: all {len(y)} patients {'died' if y[0] else 'lived'}: there is nothing to predict.")
    scores = pd.DataFrame(index=range(len(y))) if scores is None else scores
    return Stays(name, variables, {v: UNITS.get(v, "") for v in variables}, values, static, y, patients,
                 by_patient(patients, y, seed=seed), scores, notes, groups_of(static), truth)


def groups_of(static):
    """Give sex, age band and unit of each patient."""
    bands = ["0 to 44", "45 to 64", "65 to 79", "80 and over"]
    age = pd.cut(static["Age"], [0, 45, 65, 80, 200], labels=bands, right=False)
    return pd.DataFrame({"sex": static["Gender"].map({0: "female", 1: "male"}), "age": age.astype(object),
                         "unit": static["ICUType"].map(ICU_TYPES)}).fillna("unknown")


def challenge(hours, seed, letter, clean):
    """Load a set of the challenge; all sets have the same variables, in the same order."""
    if letter not in ("a", "b", "c"):
        raise unknown(f"set of {CHALLENGE}", letter, "abc")
    rows, outcomes, how = rows_of(letter), outcomes_of(letter), ""
    if clean:
        rows, impossible = mended(rows)
        how = f", but units mended and {impossible.sum():,} impossible values left out"
    patients = outcomes["RecordID"].to_numpy()
    values = gridded(rows, patients, SERIES, hours)
    bare = int((~np.isfinite(np.delete(values, SERIES.index("Weight"), axis=2))).all(axis=(1, 2)).sum())
    notes = [f"Real stays: PhysioNet/CinC challenge 2012, set {letter}. Values as they were written down{how}.",
             f"{bare} of {len(patients):,} stays hold no time series{f' in the first {hours} hours' * (hours < 48)}."]
    scores = outcomes[["SAPS-I", "SOFA", "Survival"]].astype(float).where(lambda s: s >= 0)
    return assembled(CHALLENGE, SERIES, values, at_admission(rows, patients, hours),
                     outcomes["In-hospital_death"].to_numpy(np.int64), patients, seed, notes,
                     scores.rename(columns={"Survival": "days to death"}))


def from_table(path, hours, seed, clean):
    """Load a user's long table."""
    rows, died, notes = read_long(path)
    odd, lost = died[~died.isin([0, 1])], rows["patient"][~rows["patient"].isin(died.index)]
    if len(odd):
        raise MedkitError(f"{path}: 'died' should be 0 or 1; patient {odd.index[0]} has {odd.iloc[0]}.")
    if len(lost):
        raise MedkitError(f"{path}: patient {lost.iloc[0]} has measurements but no outcome. Put an outcomes.csv (patient, died) "
                          "beside the table, or add a row with the variable 'died' (0 or 1) for each patient.")
    rows, told = cleaned(rows, path) if clean else (rows, [])
    patients = died.index.to_numpy()
    variables = sorted(set(rows["variable"]) - (set(STATIC) - {"Weight"}))
    if not variables:
        raise MedkitError(f"{path}: no variable has a value that can be used.")
    values = gridded(rows, patients, variables, hours)
    empty = int((~np.isfinite(values)).all(axis=(1, 2)).sum())
    notes += told + beyond(rows, hours, path)
    notes += [f"{empty} of {len(patients):,} patients have no measurement in the first {hours} hours."] if empty else []
    return assembled(path.stem, variables, values, at_admission(rows, patients, hours), died.to_numpy(np.int64),
                     patients, seed, notes)


def beyond(rows, hours, path):
    """Note how many values lie after the last hour; where all series do, the unit of time is wrong."""
    late, series = rows["hour"] >= hours, ~rows["variable"].isin(STATIC)
    share = late[series].mean()
    told = f"{late.sum():,} of {len(rows):,} values lie after the first {hours} hours and were left out." + (
        " Are the times in minutes? They should be hours since admission." if share > 0.5 else "")
    if share == 1:
        raise MedkitError(f"{path}: {told}")
    return [told] if late.any() else []


def cleaned(rows, path):
    """Clean a user's rows; where most values of a variable are impossible, its unit is wrong."""
    kept, impossible = mended(rows)
    share = (impossible / rows["variable"].value_counts()).filter(SPEC)
    if len(share) and share.max() > 0.5:
        name = share.idxmax()
        unit, low, high = SPEC[name]
        raise MedkitError(f"{path}: {share.max():.0%} of the values of '{name}' lie outside {low:g} to {high:g} {unit}."
                          f" Convert them to {unit}, or give the variable another name.")
    strange = sorted(set(rows["variable"]) - set(SPEC))
    left_out = ", ".join(f"{n} of {v}" for v, n in impossible.items())
    notes = [f"Impossible values left out: {left_out}."] if left_out else []
    return kept, notes + ([f"Taken as they are, no unit or range is known: {', '.join(strange)}."] if strange else [])
