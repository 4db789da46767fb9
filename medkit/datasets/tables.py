"""Tables with one row per patient or encounter, split by patient."""

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
    for column in [outcome] + ([patient] if patient else []):
        if column not in frame:
            raise MedkitError(f"{path}: {unknown('column', column, frame.columns)}")
        blank = np.flatnonzero(frame[column].isna())
        if len(blank):
            raise MedkitError(f"{path}, row {blank[0] + 1}: the column '{column}' is empty.")
    classes, y = np.unique(frame[outcome], return_inverse=True)
    if len(classes) < 2:
        raise MedkitError(f"{path}: the column '{outcome}' has one value only ({classes[0]}): nothing to predict.")
    patients = frame[patient].to_numpy() if patient else np.arange(len(frame))
    X = frame.drop(columns=[outcome] + ([patient] if patient else []))
    return X, y.astype(np.int64), patients, [str(c) for c in classes]


def read_frame(path):
    """Read a CSV or Parquet file."""
    import pandas as pd

    if not path.exists():
        raise MedkitError(f"There is no file {path}.")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, encoding="utf-8-sig")
    except Exception as error:
        raise MedkitError(f"{path} cannot be read as a table: {str(error).rstrip('.')}.") from None
