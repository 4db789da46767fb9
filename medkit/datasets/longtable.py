"""Rows of patient, hour, variable and value: units mended, impossible values left out, brought to an hourly grid.

A user's long table is a CSV or Parquet file with the columns `patient`, `time` (hours since admission, or "HH:MM"),
`variable` and `value`. What became of the patients stands in `outcomes.csv` (or `.parquet`) beside it, with the columns
`patient` and `died` (0 or 1), or in the table itself, as the variable "died". The variables of `STATIC` are known at
admission. A folder with `stays.csv` (or `.parquet`) and `outcomes.csv` will do as well.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import MedkitError
from ..files import read_toml
from .tables import cells_filled, columns_there, numbers, once, read_frame, refuse

STATIC = ["Age", "Gender", "Height", "Weight", "ICUType"]
SUMMED = {"Urine"}  # volumes; of anything else several values in an hour are averaged
SPEC = read_toml(Path(__file__).with_name("plausible.toml"))  # variable: unit, lowest and highest value of a living patient
ANY = ("", float(np.finfo(np.float32).min), float(np.finfo(np.float32).max))  # of a variable that `SPEC` does not know
# Variable, from, to, factor, shift: a value in the range is in another unit, or lacks its point.
MENDS = [("pH", 660, 800, 0.01, 0), ("pH", 66, 80, 0.1, 0), ("Temp", 77, 111.2, 5 / 9, -160 / 9),
         ("FiO2", 20, 100, 0.01, 0), ("Height", 48, 84, 2.54, 0), ("Height", 1.2, 2.2, 100, 0),
         ("Height", 305, 559, 1 / 2.54, 0)]


def mended(rows):
    """Mend units, and leave out values that no living patient has; of what `SPEC` does not know, those beyond float32.

    Parameters
    ----------
    rows : DataFrame
        Columns patient, hour, variable, value (-1 in a variable of `STATIC` means unknown).

    Returns
    -------
    rows : DataFrame
        The rows that stay.
    impossible : Series
        How many values of each variable were left out, less those of -1.
    """
    name, value = rows["variable"].astype("category"), rows["value"].to_numpy(float, copy=True)
    for variable, low, high, factor, shift in MENDS:
        at = (name == variable).to_numpy() & (value >= low) & (value <= high)
        value[at] = value[at] * factor + shift
    low, high = (name.map(lambda v: SPEC.get(v, ANY)[end]).to_numpy(float) for end in (1, 2))
    kept = (value >= low) & (value <= high)
    impossible = name[~kept & (value != -1)].value_counts()
    return rows.assign(value=value)[kept], impossible[impossible > 0]


def gridded(rows, patients, variables, hours):
    """Bring rows to hours: float32 (patients, hours, variables), NaN where nothing was measured.

    Several values of an hour are averaged; volumes (`SUMMED`) are added. The order of rows does not matter. Rows of
    other variables, after `hours`, or beyond what float32 can hold, are left out.
    """
    who, what = pd.Index(patients).get_indexer(rows["patient"]), pd.Index(variables).get_indexer(rows["variable"])
    used = (rows["hour"] < hours).to_numpy() & (what >= 0) & (rows["value"].abs() <= ANY[2]).to_numpy()
    shape = (len(patients), hours, len(variables))
    cell = np.ravel_multi_index((who[used], rows["hour"].to_numpy()[used].astype(int), what[used]), shape)
    count = np.bincount(cell, minlength=np.prod(shape)).reshape(shape)
    total = np.bincount(cell, rows["value"].to_numpy()[used], minlength=np.prod(shape)).reshape(shape)
    summed = [v in SUMMED for v in variables]
    with np.errstate(invalid="ignore"):
        return np.where(summed & (count > 0), total, total / count).astype(np.float32)


def at_admission(rows, patients, hours):
    """Give the first known value of each variable of `STATIC` within `hours`: a frame with a row per patient."""
    rows = rows[rows["variable"].isin(STATIC) & (rows["hour"] < hours)].sort_values("hour", kind="stable")
    first = rows.drop_duplicates(["patient", "variable"]).assign(variable=lambda r: r["variable"].astype(str))
    wide = first.pivot(index="patient", columns="variable", values="value")
    return wide.reindex(patients, columns=STATIC).reset_index(drop=True)


def read_long(path):
    """Read a user's long table and its outcomes (the layout stands above).

    Returns
    -------
    rows : DataFrame
        Columns patient (as text: 007 is not 7), hour, variable, value. What stands there twice counts once.
    outcomes : Series
        1 for each patient that died, 0 for others, by patient.
    notes : list of str
    """
    table = found(path, "stays") if path.is_dir() else path
    frame = read_frame(table, "patient")
    columns_there(frame, ["patient", "time", "variable", "value"], table)
    cells_filled(frame, ["patient", "time", "variable"], table)
    frame = frame.dropna(subset="value")
    rows, notes = once(frame[["patient"]].assign(hour=hours_of(frame, table), variable=frame["variable"].astype(str).str.strip(),
                                                 value=numbers(frame, "value", table)))
    beside = found(table.parent, "outcomes", needed=path.is_dir())
    within = rows["variable"] == "died"
    died = read_outcomes(beside) if beside else rows[within].groupby("patient")["value"].last()
    return rows[~within], died, notes


def found(folder, stem, needed=True):
    """Find a table by the stem of its name."""
    here = [path for path in (folder / f"{stem}.csv", folder / f"{stem}.parquet") if path.exists()]
    if needed and not here:
        raise MedkitError(f"The folder {folder} has no {stem}.csv (or {stem}.parquet). A folder of stays has two "
                          "tables: stays.csv (patient, time, variable, value) and outcomes.csv (patient, died).")
    return here[0] if here else None


def hours_of(frame, path):
    """Read times, as hours or as "HH:MM", to hours since admission."""
    text = frame["time"].astype(str)
    clock = text.str.extract(r"^\s*(\d+):([0-5]\d)\s*$").astype(float)
    plain = frame.assign(time=(clock[0] + clock[1] / 60).where(clock[0].notna(), text))
    hours = numbers(plain, "time", path)
    refuse(hours < 0, path, lambda row: f"the time {text[row]} of patient {frame['patient'][row]} lies before admission; hours "
           "count from admission, 0 or more")
    return hours


def read_outcomes(path):
    """Read and check a table of outcomes."""
    frame = read_frame(path, "patient")
    columns_there(frame, ["patient", "died"], path)
    cells_filled(frame, ["patient", "died"], path)
    refuse(frame["patient"].duplicated(), path, lambda row: f"patient {frame['patient'][row]} stands there twice")
    return frame.assign(died=numbers(frame, "died", path)).set_index("patient")["died"]
