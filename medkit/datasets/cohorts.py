"""Tables that are known by name: breast cancer, readmission with diabetes and of simulated patients, survival.

Each function gives features, outcome codes, patients, class names, notes and, of survival, times.
"""

import zipfile

import numpy as np
import pandas as pd

from .. import fetch
from ..errors import MedkitError, explained
from ..hospital import admit, encounters

ADMITTED = 12_000
DEAD_OR_DYING = [11, 13, 14, 19, 20, 21]  # discharged dead, or to a hospice: cannot or hardly be readmitted
CODES = ["admission_type_id", "discharge_disposition_id", "admission_source_id"]
SIMULATED = "Simulated patients of the virtual hospital. A score here is not a score on real patients."
RETURNS = ["not within 30 days", "readmitted within 30 days"]


def wisconsin():
    """Read the Wisconsin diagnostic breast cancer table; 1 stands for malignant (Street et al., 1993)."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    return data.data, (data.target == 0).to_numpy(np.int64), np.arange(len(data.data)), ["benign", "malignant"], []


def diabetes130():
    """Read encounters with diabetes in 130 US hospitals; 1 stands for readmission within 30 days.

    Strack et al. 2014, BioMed Res Int 2014:781670, doi:10.1155/2014/781670. Encounters that ended in death or in a
    hospice are left out. A patient's encounters stand in the order of their numbers, which stands in for time: the
    file has no dates. "?" is missing; "None" of a laboratory value means that it was not measured.
    """
    frame = read_member(fetch.path("diabetes130", "dataset_diabetes.zip"), "diabetic_data.csv")
    frame = frame[~frame["discharge_disposition_id"].isin(DEAD_OR_DYING)].sort_values(["patient_nbr", "encounter_id"])
    frame = frame.astype({code: "category" for code in CODES} | {c: "category" for c in frame.select_dtypes("object")})
    y = (frame["readmitted"] == "<30").to_numpy(np.int64)
    note = (f"{len(frame):,} encounters of {frame['patient_nbr'].nunique():,} real patients, "
            f"{y.mean():.1%} followed by another within 30 days.")
    return (frame.drop(columns=["encounter_id", "patient_nbr", "readmitted"]).reset_index(drop=True), y,
            frame["patient_nbr"].to_numpy(), RETURNS, [note])


def read_member(archive, name):
    """Read the CSV table of a zip whose path ends in a name, whatever its folder and capitals."""
    again = "Remove it, and get it again: medkit data get diabetes130."
    with explained(f"{archive} is truncated or damaged", again), zipfile.ZipFile(archive) as held:
        inside = [n for n in held.namelist() if n.lower().endswith(name)]
        if not inside:
            raise MedkitError(f"{archive} holds no {name}; it holds {', '.join(held.namelist()[:5])}.")
        return pd.read_csv(held.open(inside[0]), na_values="?", keep_default_na=False, low_memory=False)


def hospital_readmission(seed):
    """Take simulated stays, with those of earlier years; 1 stands for readmission within 30 days.

    A patient's stays stand in the order of time (see `medkit.hospital.encounters`).
    """
    frame = encounters.histories(admit(ADMITTED, seed))
    frame = frame.astype({"sex": "category", "hospital": "category"} | dict.fromkeys(frame.select_dtypes("bool"), int))
    X = frame.drop(columns=["patient_id", "stay", "readmitted"]).reset_index(drop=True)
    return X, frame["readmitted"].to_numpy(np.int64), frame["patient_id"].to_numpy(str), RETURNS, [SIMULATED]


def whas500():
    """Read 500 heart attacks, followed from admission for years; 1 stands for death (Hosmer et al. 2008).

    The length of stay (`los`) is left out: it is known at discharge alone. Times are in days.
    """
    from sksurv.datasets import load_whas500

    X, fate = load_whas500()
    return (plain(X).drop(columns="los"), fate["fstat"].astype(np.int64), np.arange(len(X)), ["censored", "died"],
            ["500 real patients of the Worcester Heart Attack Study; times in days."], fate["lenfol"].astype(float))


def gbsg2():
    """Read 686 women with breast cancer; 1 stands for recurrence or death (Schumacher et al. 1994). Times in days."""
    from sksurv.datasets import load_gbsg2

    X, fate = load_gbsg2()
    return (plain(X), fate["cens"].astype(np.int64), np.arange(len(X)), ["censored", "recurrence or death"],
            ["686 real patients of the German Breast Cancer Study Group; times in days."], fate["time"].astype(float))


def plain(frame):
    """Bring columns of numbers that are kept as categories to numbers; categories of words stay."""
    whole = {c: pd.to_numeric(frame[c].astype(str), errors="coerce") for c in frame.select_dtypes("category")}
    return frame.assign(**{c: v for c, v in whole.items() if v.notna().all()})


BY_NAME = {"wisconsin-breast-cancer": lambda seed: wisconsin(), "diabetes130": lambda seed: diabetes130(),
           "hospital-readmission": hospital_readmission, "whas500": lambda seed: whas500(), "gbsg2": lambda seed: gbsg2()}
