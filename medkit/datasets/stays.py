"""Stays in intensive care as hourly grids: PhysioNet's challenge of 2012, the virtual hospital, a user's table."""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import fetch
from ..errors import MedkitError, unknown
from .split import by_patient
from .tables import read_frame

STATIC = ["Age", "Gender", "Height", "Weight", "ICUType"]
UNITS = {"ALP": "IU/L", "ALT": "IU/L", "AST": "IU/L", "Albumin": "g/dL", "BUN": "mg/dL", "Bilirubin": "mg/dL",
         "Cholesterol": "mg/dL", "Creatinine": "mg/dL", "DiasABP": "mmHg", "FiO2": "share", "GCS": "points",
         "Glucose": "mg/dL", "HCO3": "mmol/L", "HCT": "%", "HR": "1/min", "K": "mmol/L", "Lactate": "mmol/L",
         "MAP": "mmHg", "MechVent": "1 if ventilated", "Mg": "mmol/L", "NIDiasABP": "mmHg", "NIMAP": "mmHg",
         "NISysABP": "mmHg", "Na": "mmol/L", "PaCO2": "mmHg", "PaO2": "mmHg", "Platelets": "1000/µL",
         "RespRate": "1/min", "SaO2": "%", "SysABP": "mmHg", "Temp": "°C", "TroponinI": "µg/L", "TroponinT": "µg/L",
         "Urine": "mL", "WBC": "1000/µL", "Weight": "kg", "pH": "pH"}
# What a living adult can have: values beyond are slips of the pen or of a sensor, and are left out.
LIMITS = {"HR": (10, 300), "SysABP": (20, 300), "DiasABP": (5, 200), "MAP": (15, 250), "NISysABP": (20, 300),
          "NIDiasABP": (5, 200), "NIMAP": (15, 250), "Temp": (25, 44), "RespRate": (1, 99), "Weight": (25, 300),
          "PaO2": (10, 600), "PaCO2": (5, 150), "pH": (6.6, 8), "BUN": (0.5, 300), "Creatinine": (0.05, 40),
          "Urine": (0, 3000), "Na": (90, 190), "K": (1, 12), "Height": (120, 220)}
ADMITTED = 3000  # simulated stays


@dataclass(frozen=True)
class Stays:
    """Stays of n patients, unsplit.

    `values` is float32 (n, hours, variables), NaN where nothing was measured; `static` has n rows of `STATIC`;
    `y` int64 (n,), 1 died in hospital; `parts` maps "train", "valid" and "test" to row numbers; `scores` holds
    severity scores where known (for comparison, never an input); `truth` the values without gaps (simulated stays).
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
    truth: np.ndarray | None

    @property
    def mask(self):
        """Whether each cell was measured: bool, as `values`."""
        return np.isfinite(self.values)


def load(source="virtual-hospital", hours=48, seed=0, sets="a"):
    """Load stays by name, or from a long table (CSV or Parquet).

    Parameters
    ----------
    source : str or path
        "virtual-hospital", "challenge-2012" (Silva et al. 2012, Computing in Cardiology 39:245-248), or a file with
        the columns patient, time (hours since admission), variable and value. In it the variable "died" (0 or 1)
        is the outcome, and those of `STATIC` are known at admission.
    hours : int
        How many hours of each stay.
    seed : int
        Which split (and which simulated patients).
    sets : str
        Sets of the challenge, such as "a" or "bc".
    """
    if source == "virtual-hospital":
        return simulated(hours, seed)
    if source == "challenge-2012":
        rows, outcomes = (pd.concat(frames, ignore_index=True) for frames in zip(*(challenge(s) for s in sets)))
        scores = outcomes[["SAPS-I", "SOFA"]].astype(float).where(lambda s: s >= 0)
        notes = [f"real stays: PhysioNet challenge 2012, set {', '.join(sets)}; impossible values left out"]
        return gridded(source, rows, outcomes["RecordID"].to_numpy(), outcomes["In-hospital_death"].to_numpy(np.int64),
                       hours, seed, scores, notes)
    if not Path(source).suffix:
        raise unknown("set of stays", source, ["virtual-hospital", "challenge-2012", "the path of a long table"])
    rows, patients, y = long_table(Path(source).expanduser())
    return gridded(Path(source).stem, rows, patients, y, hours, seed, pd.DataFrame(index=range(len(y))), [])


def simulated(hours, seed):
    """Admit patients to the virtual hospital, and watch their stays."""
    from ..hospital import admit

    cohort = admit(ADMITTED, seed)
    stay, y = cohort.stay(), cohort.outcome()["died"].to_numpy().astype(np.int64)
    who, none = np.arange(ADMITTED), pd.DataFrame(index=range(ADMITTED))
    return Stays("virtual-hospital", list(stay.variables), UNITS, stay.values[:, :hours], stay.static[STATIC], y, who,
                 by_patient(who, y, seed=seed), none, ["simulated stays of the virtual hospital: not real patients"],
                 none, stay.truth[:, :hours])


def challenge(letter):
    """Read one set of the challenge: a long frame (patient, hour, variable, value) and its outcomes."""
    outcomes = pd.read_csv(fetch.path("challenge-2012", f"Outcomes-{letter}.txt"))
    archive = fetch.path("challenge-2012", f"set-{letter}.tar.gz")
    try:
        with tarfile.open(archive) as tar:
            texts = [tar.extractfile(m).read().partition(b"\n")[2] for m in tar if m.name.endswith(".txt")]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise MedkitError(f"{archive} cannot be read to its end ({error}): download it again.") from None
    rows = pd.read_csv(io.BytesIO(b"".join(texts)), names=["time", "variable", "value"],
                       dtype={"time": "category", "variable": "category"})
    new = rows["variable"] == "RecordID"  # the first line of each stay
    rows["patient"] = rows["value"].where(new).ffill().astype(np.int64)
    clock = rows["time"].cat.categories.str.split(":", expand=True)  # pairs of hour and minute
    rows["hour"] = np.array([int(h) + int(m) / 60 for h, m in clock])[rows["time"].cat.codes]
    return rows[~new & rows["variable"].notna() & (rows["value"] >= 0)], outcomes


def long_table(path):
    """Read a user's long table: its rows, the patients and their outcomes."""
    frame = read_frame(path)
    for column in ("patient", "time", "variable", "value"):
        if column not in frame:
            raise MedkitError(f"{path}: {unknown('column', column, frame.columns)}")
    for column in ("time", "value"):
        numbers = pd.to_numeric(frame[column], errors="coerce")
        wrong = np.flatnonzero(numbers.isna() | (numbers < 0 if column == "time" else False))
        if len(wrong):
            k = wrong[0]
            raise MedkitError(f"{path}, row {k + 1} (patient {frame['patient'][k]}): the column '{column}' should hold "
                              f"a number, but holds '{frame[column][k]}'.")
        frame[column] = numbers
    died = frame[frame["variable"] == "died"].groupby("patient")["value"].last()
    lost = frame.loc[~frame["patient"].isin(died.index), "patient"]
    if len(lost):
        raise MedkitError(f"{path}: patient {lost.iloc[0]} has no row with the variable 'died' (0 or 1).")
    if set(died) != {0, 1}:
        raise MedkitError(f"{path}: 'died' should be 0 for some patients and 1 for others; "
                          f"here it is {sorted(set(died))}.")
    rows = frame[frame["variable"] != "died"].rename(columns={"time": "hour"})
    return rows, died.index.to_numpy(), died.to_numpy(np.int64)


def cleaned(rows):
    """Mend units and leave out impossible values."""
    value, name = rows["value"].to_numpy(float), rows["variable"]
    value = np.where((name == "pH") & (value > 100), value / 100, value)  # 735 is 7.35
    value = np.where((name == "pH") & (value > 50), value / 10, value)
    value = np.where((name == "Height") & (value < 80), value * 2.54, value)  # inches
    low, high = (name.map({k: v[i] for k, v in LIMITS.items()}).astype(float).to_numpy() for i in (0, 1))
    return rows.assign(value=value)[~((value < low) | (value > high))]


def gridded(name, rows, patients, y, hours, seed, scores, notes):
    """Average rows by hour, and part what was known at admission from what was measured."""
    rows = cleaned(rows)
    admission = rows[rows["variable"].isin(STATIC)].sort_values("hour", kind="stable")
    first = admission.groupby(["patient", "variable"], observed=True)["value"].first()
    static = first.unstack().reindex(patients, columns=STATIC)
    rows = rows[(rows["hour"] < hours) & (~rows["variable"].isin(STATIC) | (rows["variable"] == "Weight"))]
    variables = sorted(rows["variable"].unique())
    shape = (len(patients), hours, len(variables))
    cell = np.ravel_multi_index((pd.Index(patients).get_indexer(rows["patient"]), rows["hour"].astype(int),
                                 pd.Index(variables).get_indexer(rows["variable"])), shape)
    count = np.bincount(cell, minlength=np.prod(shape))
    with np.errstate(invalid="ignore"):
        values = (np.bincount(cell, rows["value"], minlength=np.prod(shape)) / count).astype(np.float32).reshape(shape)
    return Stays(name, variables, UNITS, values, static.reset_index(drop=True), y, patients,
                 by_patient(patients, y, seed=seed), scores, notes, pd.DataFrame(index=range(len(y))), None)
