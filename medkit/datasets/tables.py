"""Tables with one row per patient or encounter, split by patient."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import MedkitError, unknown
from .split import by_patient

BUNDLED = ("wisconsin-breast-cancer",)


@dataclass(frozen=True)
class Table:
    """A table in memory.

    `X` maps "train", "valid" and "test" to DataFrames of features; `y` to int64 class codes of
    shape (n,); `patients` to patient ids of shape (n,).
    """

    name: str
    classes: list
    X: dict
    y: dict
    patients: dict


def load(source, outcome="outcome", patient=None, seed=0):
    """Load a table by the name of a data set or from a CSV or Parquet file.

    Parameters
    ----------
    source : str or path
        "wisconsin-breast-cancer", or the path of a file.
    outcome : str
        For a file: the column to predict.
    patient : str, optional
        For a file: the column that names the patient. Without it each row is a patient.
    seed : int
        Which split.
    """
    if source == "wisconsin-breast-cancer":
        return split(source, *wisconsin(), seed=seed)
    path = Path(source).expanduser()
    if not path.suffix:
        raise unknown("table", source, BUNDLED)
    return split(path.stem, *read_file(path, outcome, patient), seed=seed)


def split(name, X, y, patients, classes, seed=0):
    """Split a frame and its outcome by patient."""
    parts = by_patient(patients, y, seed=seed)
    return Table(name, classes, {p: X.iloc[r].reset_index(drop=True) for p, r in parts.items()},
                 {p: y[r] for p, r in parts.items()}, {p: patients[r] for p, r in parts.items()})


def wisconsin():
    """Read the Wisconsin diagnostic breast cancer table; 1 stands for malignant (Street et al., 1993)."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    return data.data, (data.target == 0).to_numpy(np.int64), np.arange(len(data.data)), ["benign", "malignant"]


def read_file(path, outcome, patient):
    """Read a user's table and part it into features, outcome codes, patients and class names."""
    frame = read_frame(path)
    needed = [outcome] + ([patient] if patient else [])
    columns_there(frame, needed, path)
    cells_filled(frame, needed, path)
    classes, y = np.unique(frame[outcome], return_inverse=True)
    if len(classes) < 2:
        raise MedkitError(f"{path}: the column '{outcome}' has one value only ({classes[0]}): nothing to predict.")
    patients = frame[patient].to_numpy() if patient else np.arange(len(frame))
    X = frame.drop(columns=[outcome] + ([patient] if patient else []))
    return X, y.astype(np.int64), patients, [str(c) for c in classes]


def read_frame(path):
    """Read a CSV (any usual separator and encoding, decimal points or commas) or Parquet file."""
    import pandas as pd

    if not path.exists():
        raise MedkitError(f"There is no file {path}.")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(io.StringIO(decoded(path)), **dialect(path))
    except Exception as error:
        raise MedkitError(f"{path} cannot be read as a table: {str(error).strip().rstrip('.')}.") from None


def decoded(path):
    """Read a text file as UTF-8, UTF-16 (with its mark), or else as Windows-1252, as Excel in the West writes it."""
    body = path.read_bytes()
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def dialect(path):
    """Find the separator in the header, and whether numbers are written with a comma."""
    lines = decoded(path).splitlines()[:1000]
    header = lines[0] if lines else ""
    sep = max(",;\t|", key=header.count)
    comma = sep != "," and any(re.search(rf"(^|{re.escape(sep)})-?\d+,\d+({re.escape(sep)}|$)", line) for line in lines)
    return {"sep": sep, "decimal": "," if comma else ".", "low_memory": False}


def columns_there(frame, columns, path):
    """Check that a table has some columns."""
    for column in columns:
        if column not in frame:
            raise MedkitError(f"{path}: {unknown('column', column, frame.columns)}")


def cells_filled(frame, columns, path):
    """Check that no cell of some columns is empty."""
    for column in columns:
        blank = frame.index[frame[column].isna()]
        if len(blank):
            raise MedkitError(f"{path}, row {blank[0] + 1}: the column '{column}' is empty ({len(blank)} such rows).")


def numbers(frame, column, path):
    """Give a column as numbers (float), NaN where it is empty; text in it is an error that names the row."""
    import pandas as pd

    found = pd.to_numeric(frame[column], errors="coerce").astype(float)
    wrong = frame.index[(found.isna() & frame[column].notna()) | np.isinf(found)]
    if len(wrong):
        raise MedkitError(f"{path}, row {wrong[0] + 1}: the column '{column}' should hold a number, but holds "
                          f"'{frame[column][wrong[0]]}' ({len(wrong)} such rows).")
    return found
