"""Tables with one row per patient or encounter, split by patient.

A user's CSV or Parquet file may have a schema beside it, a TOML file of the same name ("ward.csv", "ward.toml"):

    outcome = "died"        # the column to predict
    patient = "mrn"         # the column that names the patient
    positive = "yes"        # of two outcomes, the one to find; else it is guessed by their names, then by rarity
    [columns]               # columns that are not named here are taken as they look
    age = "number"          # text in it is an error that names the row
    ward = "category"
    admitted = "date"       # no variable; checked against the date of the outcome (lesson 10)
    note = "ignore"
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import MedkitError, explained, unknown
from ..files import read_toml
from .reading import left_out, read_frame
from .split import by_patient

TYPES = ("number", "category", "date", "ignore")
KEYS = {"kind": str, "outcome": str, "positive": str, "patient": str, "treatment": str, "outcome_date": str, "groups": list,
        "columns": dict, "units": dict, "size": int, "seconds": (int, float), "fs": (int, float),  # of a schema
        "time": str, "treated": str, "horizon": (int, float), "unit": str, "randomised": bool}  # of a trial (lesson 7)


@dataclass(frozen=True)
class Table:
    """A table in memory.

    `X` maps "train", "valid" and "test" to DataFrames of features; `y` to int64 class codes of
    shape (n,); `patients` to patient ids of shape (n,); rows of one patient stand together, in the
    order of time (in a user's file: in the order of the file, and rows that are wholly alike count once). Of survival
    `time` maps parts to times of shape (n,), and `y` is 1 where the event was seen, 0 where follow-up ended before.
    """

    name: str
    classes: list
    X: dict
    y: dict
    patients: dict
    notes: list
    time: dict | None = None


def load(source, outcome="outcome", patient=None, seed=0):
    """Load a table by the name of a data set or from a CSV or Parquet file.

    Parameters
    ----------
    source : str or path
        "wisconsin-breast-cancer", "diabetes130", "hospital-readmission" (simulated), "whas500", "gbsg2" (survival), or the
        path of a file.
    outcome : str
        For a file: the column to predict. It may not contradict a schema beside the file; nor may `patient`.
    patient : str, optional
        For a file: the column that names the patient (007 is not 7). Without it one so called serves; else each row is
        a patient. A note says which.
    seed : int
        Which split; for the hospital also which patients.

    Raises
    ------
    MedkitError
        If there is no such table, or a row is wrong; the message names the row and the column.
    """
    from . import cohorts

    path = Path(source).expanduser()
    if path.suffix:
        return split(path.stem, *read_file(path, agreed(path, outcome, patient)), seed=seed)
    if str(source) not in cohorts.BY_NAME:
        raise unknown("table", source, cohorts.BY_NAME)
    return split(str(source), *cohorts.BY_NAME[str(source)](seed), seed=seed)


def agreed(path, outcome, patient):
    """Join parameters and the schema of a table; what contradicts is an error."""
    told, given = schema_beside(path), {"outcome": outcome if outcome != "outcome" else None, "patient": patient}
    given = {key: value for key, value in given.items() if value}
    for key, value in given.items():
        if told.get(key, value) != value:
            raise MedkitError(f"The parameters say that the {key} of {path} is '{value}', but the schema says "
                              f"'{told[key]}' ({place(path)}). Correct it, or leave the parameter out.")
    return {"outcome": outcome} | given | told


def split(name, X, y, patients, classes, notes, time=None, *, seed):
    """Split a frame and its outcome by patient."""
    parts = by_patient(patients, y, seed=seed)
    return Table(name, classes, {p: X.iloc[r].reset_index(drop=True) for p, r in parts.items()},
                 {p: y[r] for p, r in parts.items()}, {p: patients[r] for p, r in parts.items()}, notes,
                 None if time is None else {p: time[r] for p, r in parts.items()})


def place(path):
    """Say where the schema of some data stands: beside a table, or inside a folder."""
    return path / "schema.toml" if path.is_dir() else path.with_suffix(".toml")


def schema_beside(path):
    """Read and check the schema of some data, if there is one."""
    where = place(path)
    with explained(f"{where} cannot be read as TOML"):
        told = read_toml(where) if where.exists() else {}
    for key, value in told.items():
        if key not in KEYS:
            raise MedkitError(f"{where}: {unknown('key', key, KEYS)}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool) != (KEYS[key] is bool):
            raise MedkitError(f"{where}: '{key}' has the wrong type ({value!r}).")
    return told


def read_file(path, schema):
    """Read a user's table and part it into features, outcome codes, patients, class names and notes."""
    from .schema import dates_in

    outcome, patient = schema["outcome"], schema.get("patient")
    frame, told = read_frame(path, patient), []
    if outcome not in frame:
        raise MedkitError(f"{path}: {unknown('column', outcome, frame.columns)} Name the outcome in {place(path)}, by "
                          'the line outcome = "NAME".')
    if not patient:
        patient, told = patient_in(frame.drop(columns=outcome))
        frame = read_frame(path, patient) if patient else frame
    frame, notes = once(frame) if patient else (frame, [])
    needed = [outcome, patient] if patient else [outcome]
    columns_there(frame, [*needed, *schema.get("columns", {})], path)
    cells_filled(frame, needed, path)
    classes, y = coded(frame[outcome], path, schema.get("positive"))
    # where nothing names the patient, equal rows may be one person or two: they stay, and share a part of the split
    patients = frame[patient].to_numpy(str) if patient else frame.groupby(list(frame), dropna=False, sort=False).ngroup()
    dates = dates_in(frame.drop(columns=needed))
    told += [f"Dates are no variables, and were left out: {', '.join(map(str, dates))}."] if dates else []
    X = typed(frame.drop(columns=needed), dict.fromkeys(dates, "date") | schema.get("columns", {}), path)
    patients, order = np.asarray(patients), np.argsort(patients, kind="stable")
    return (X.iloc[order], y[order], patients[order], [str(c) for c in classes],
            left_out(frame) + notes + told + (backwards(frame, patient, dates) if patient else []))


def backwards(frame, patient, dates):
    """Note which dates run backwards within a patient, whose rows should stand in the order of time."""
    from .schema import when

    later = {c: (d < d.groupby(frame[patient]).shift()).groupby(frame[patient]).any().sum() for c, d in when(frame[dates]).items()}
    return [f"Of {n:,} patients the dates in '{c}' run backwards. What is counted from earlier rows is wrong then: sort the file."
            for c, n in later.items() if n]


def patient_in(frame):
    """Find the column that names the patient, or None, and what to note of it."""
    from . import schema

    found = schema.by_name(frame, "patient")
    return found, [f"The column '{found}' is taken to name the patient." if found else schema.nobody(frame)]


def once(frame):
    """Keep one of rows that are alike; a note tells how many went."""
    again = frame.duplicated()
    return frame[~again], [f"{again.sum():,} rows repeat another and were left out."] if again.any() else []


def coded(outcomes, path, positive=None):
    """Give the distinct values of an outcome, and the code of each row.

    They stand in order, numbers before texts; of two the one to find is the last: `positive`, or by
    `medkit.datasets.schema.positive_of`.
    """
    from .schema import positive_of

    classes = sorted(outcomes.unique(), key=lambda c: (isinstance(c, str), c))
    if len(classes) < 2:
        raise MedkitError(f"{path}: '{outcomes.name}' has one value only ({[*classes, 'none'][0]}); two are needed.")
    if len(classes) == 2:
        counts = {str(c): int((outcomes == c).sum()) for c in classes[::-1]}
        if positive and positive not in counts:
            raise MedkitError(f"{path}: {unknown(f'value of {outcomes.name}', positive, counts)}")
        classes = sorted(classes, key=lambda c: str(c) == (positive or positive_of(counts)))
    return classes, outcomes.map({c: k for k, c in enumerate(classes)}).to_numpy(np.int64)


def typed(frame, columns, path):
    """Bring columns to the types of a schema."""
    for column, kind in columns.items():
        if kind not in TYPES:
            raise MedkitError(f"{path}, column '{column}': {unknown('type', kind, TYPES)}")
    numeric = {c: numbers(frame, c, path) for c, kind in columns.items() if kind == "number" and c in frame}
    named = {c: categories(frame[c]) for c, kind in columns.items() if kind == "category" and c in frame}
    ignored = [c for c, kind in columns.items() if kind in ("ignore", "date")]
    return frame.assign(**numeric, **named).drop(columns=ignored, errors="ignore")


def categories(values):
    """Give a column as categories; whole numbers that are floats for the sake of gaps are whole again: 1, not 1.0."""
    whole = values.dtype.kind == "f" and (values.dropna() % 1 == 0).all()
    return (values.astype("Int64") if whole else values).astype("category")


def columns_there(frame, columns, path):
    """Check that a table has some columns."""
    for column in columns:
        if column not in frame:
            raise MedkitError(f"{path}: {unknown('column', column, frame.columns)}")


def refuse(wrong, path, say):
    """Raise an error about the first row that is `wrong` (a Series of bool), if one is; `say(row)` tells what is wrong there."""
    rows = wrong.index[wrong]
    if len(rows):
        raise MedkitError(f"{path}, row {rows[0] + 1}: {say(rows[0])} ({len(rows)} such rows).")


def cells_filled(frame, columns, path):
    """Check that no cell of some columns is empty."""
    for column in columns:
        refuse(frame[column].isna(), path, lambda row: f"the column '{column}' is empty: fill it, or leave such rows out")


def numbers(frame, column, path):
    """Give a column as numbers (float), NaN where it is empty; text in it is an error that names the row."""
    found = pd.to_numeric(frame[column], errors="coerce").astype(float)
    refuse((found.isna() & frame[column].notna()) | np.isinf(found), path,
           lambda row: f"the column '{column}' should hold a number, but holds '{frame[column][row]}'")
    return found
