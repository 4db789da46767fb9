"""The stays of the PhysioNet/CinC challenge 2012 as they come (Silva et al. 2012, Comput Cardiol 39:245-248)."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import fetch
from ..errors import MedkitError, explained
from .cache import cached

NAME = "challenge-2012"
VERSION = 1  # of the cached rows; a change of `read_archive` raises it


def rows_of(letter):
    """Read all measurements of one set, at their exact times, from the cache after the first time.

    Returns
    -------
    DataFrame
        Columns patient, hour (since admission, to the minute), variable, value.
    """
    name = f"set-{letter}.tar.gz"
    archive = fetch.path(NAME, name)
    kept = cached(f"{NAME}-{letter}", [VERSION, fetch.used[f"{NAME}/{name}"]], lambda: read_archive(archive))
    odd = sorted(set(outcomes_of(letter)["RecordID"]) ^ set(kept["stays"].tolist()))
    if odd:
        raise MedkitError(f"{archive} and Outcomes-{letter}.txt do not agree: stay {odd[0]} stands in one of them only "
                          f"({len(odd)} such stays). Are they of the same set?")
    variable = pd.Categorical.from_codes(kept["variable"], kept["variables"])
    return pd.DataFrame({"patient": kept["stays"][kept["stay"]], "hour": kept["minute"] / 60, "variable": variable,
                         "value": kept["value"]})


def outcomes_of(letter):
    """Read one set's outcomes."""
    path = fetch.path(NAME, f"Outcomes-{letter}.txt")
    with explained(f"{path} is not a table of outcomes", "Remove it; it is downloaded again."):
        frame = pd.read_csv(path, skipinitialspace=True).rename(columns=str.strip)
        return frame[["RecordID", "SAPS-I", "SOFA", "Survival", "In-hospital_death"]].astype({"RecordID": np.int64})


def read_archive(archive):
    """Read a set's archive as a stream, all stays at once, to plain arrays that the cache can hold."""
    texts = read_members(archive)
    text = b"".join(texts.values())
    with explained(f"{archive} holds a line that is not time, variable, value"):
        rows = pd.read_csv(io.BytesIO(text), names=["time", "variable", "value"], quoting=csv.QUOTE_NONE,
                           skip_blank_lines=False, dtype={"time": "category", "variable": "category"})
    stay = np.repeat(np.arange(len(texts)), [t.count(b"\n") for t in texts.values()])
    clock = rows["time"].cat.categories.str.extract(r"^(\d+):(\d\d)$").astype(float)
    minute = np.append(60 * clock[0] + clock[1], np.nan)[rows["time"].cat.codes]
    value = pd.to_numeric(rows["value"], errors="coerce").to_numpy(np.float32)
    filled = (rows["variable"].notna() & (rows["variable"] != "RecordID")).to_numpy()
    wrong = np.flatnonzero(filled & (np.isnan(value) | np.isnan(minute)))
    if len(wrong):
        bad = rows.iloc[wrong[0]]
        raise MedkitError(f"{archive}, stay {list(texts)[stay[wrong[0]]]}: '{bad['time']},{bad['variable']},"
                          f"{bad['value']}' should be a time (HH:MM), a variable and a number.")
    return {"stays": np.array(list(texts), np.int64), "stay": stay[filled].astype(np.int32), "value": value[filled],
            "minute": minute[filled].astype(np.int32), "variable": rows["variable"].cat.codes.to_numpy()[filled],
            "variables": rows["variable"].cat.categories.to_numpy(str)}


def read_members(archive):
    """Read the files of an archive, less their first lines: {stay: bytes that end with a new line}."""
    again = f"Remove it, and get it again: medkit data get {NAME}."
    with explained(f"{archive} is truncated or damaged", again), tarfile.open(archive) as tar:
        members = tqdm(tar, desc=archive.name, unit="stay", leave=False, delay=1)
        texts = {Path(m.name).stem: tar.extractfile(m).read() for m in members if m.name.endswith(".txt")}
    if not texts or not all(stay.isdigit() for stay in texts):
        raise MedkitError(f"{archive} should hold one text file for each stay, named by its number.")
    return {stay: text.replace(b"\r", b"").partition(b"\n")[2].rstrip(b"\n") + b"\n" for stay, text in texts.items()}
