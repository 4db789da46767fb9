"""Whole recordings, or equal windows of them, with one label each, split by patient: ECG and EEG."""

import ast
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import fetch
from ..errors import MedkitError
from ..hospital import admit, ecg, eeg, rhythm
from . import signals
from .cache import cached
from .folder import labelled, named_or_folder, parts_of, read_labels
from .split import PARTS, by_patient

SUPERCLASSES = ["NORM", "MI", "STTC", "CD", "HYP"]
VERSION = 1


@dataclass(frozen=True)
class Recordings:
    """Recordings in memory.

    `X` float32 (n, samples, channels) at `fs` Hz, in mV (ECG) or microvolt (EEG); `y` int64 (n,) class codes,
    or (n, classes) of 0/1 where a recording can have several; `patients` (n,); `parts` the row numbers.
    """

    name: str
    fs: float
    channels: list
    classes: list
    X: np.ndarray
    y: np.ndarray
    patients: np.ndarray
    parts: dict
    notes: list = field(default_factory=list)
    files: np.ndarray | None = None  # (n,), of a folder


def recordings(source="virtual-hospital", seconds=4, fs=None, seed=0):
    """Load recordings.

    Parameters
    ----------
    source : str or path
        "virtual-hospital" (simulated ECG: which rhythm?), "virtual-hospital-eeg" (simulated: seizure or not?),
        "ptbxl" (superclasses of diagnosis), "ptbxl-normal" (normal or not), "eegmat" (rest or mental arithmetic), or
        a folder with a `labels.csv` (columns file and label; optional patient and split) of WFDB, EDF or CSV files.
    seconds : float
        Length of the windows that EEG and a folder's recordings are cut into.
    fs : float, optional
        Samples per second of a folder's CSV files.
    seed : int
        Which split, and which simulated patients.
    """
    known = {"virtual-hospital": lambda: hospital_ecg(seed), "ptbxl": ptbxl, "ptbxl-normal": normal_or_not,
             "virtual-hospital-eeg": lambda: hospital_eeg(seconds, seed), "eegmat": lambda: eegmat(seconds, seed)}
    return named_or_folder("set of recordings", source, known, lambda path: from_folder(path, seconds, fs, seed))


def windows(x, length):
    """Cut a signal (samples, channels) into windows (k, length, channels); what is left over is dropped."""
    return x[:len(x) // length * length].reshape(-1, length, x.shape[1])


def hospital_ecg(seed, n=1000, fs=100):
    """Record 10 seconds of 12 leads of simulated patients; the question is the rhythm."""
    taken = ecg.record(admit(n, seed), 10, fs)
    classes = [str(r) for r in rhythm.RHYTHMS]
    y = np.array([classes.index(r) for r in taken.rhythm])
    patients = np.array([f"VH{i:06d}" for i in range(n)])
    return Recordings("virtual hospital's ECG (simulated)", fs, list(ecg.LEADS), classes,
                      taken.signal.transpose(0, 2, 1), y, patients, by_patient(patients, y, seed=seed),
                      [f"Simulated: {n:,} patients."])


def hospital_eeg(seconds, seed, n=30, fs=100):
    """Record a minute of EEG of simulated patients, half of them with epilepsy; the question is: a seizure?"""
    latent = admit(3000, seed).latent
    chosen = latent[latent["epilepsy"]].index[:n].union(latent[~latent["epilepsy"]].index[:n])
    taken = eeg.record(SimpleNamespace(latent=latent.loc[chosen]), 60, fs)
    length = round(seconds * fs)
    X = np.stack([windows(x.T, length) for x in taken.signal])
    start = np.arange(X.shape[1]) * seconds
    y = np.zeros(X.shape[:2], np.int64)
    for event in taken.events.query("kind == 'seizure'").itertuples():  # a window counts if half of it is seizure
        y[event.patient] |= np.minimum(event.stop, start + seconds) - np.maximum(event.start, start) >= seconds / 2
    patients, y = np.repeat([f"VH{i:06d}" for i in chosen], X.shape[1]), y.ravel()
    return Recordings("virtual hospital's EEG (simulated)", fs, list(eeg.CHANNELS), ["no seizure", "seizure"],
                      X.reshape(-1, length, X.shape[3]), y, patients, by_patient(patients, y, seed=seed),
                      [f"Simulated: {len(chosen)} patients, half of them with epilepsy, windows of {seconds:g} s."])


def ptbxl():
    """Read PTB-XL at 100 Hz with its official folds: 1 to 8 train, 9 validation, 10 test (Wagner et al., 2020)."""
    excerpt = fetch.root() / "ptbxl" / "ptbxl_database_first500.csv"
    whole = fetch.root() / "ptbxl" / "ptbxl_database.csv"
    path = excerpt if excerpt.exists() and not whole.exists() else fetch.path("ptbxl", whole.name)
    table = pd.read_csv(path)
    y = superclasses(table, pd.read_csv(fetch.path("ptbxl", "scp_statements.csv"), index_col=0))
    files = {f"{f}.{kind}": fetch.path("ptbxl", f"{f}.{kind}") for f in table["filename_lr"] for kind in ("hea", "dat")}
    key = [VERSION, {name: fetch.used[f"ptbxl/{name}"] for name in files}]
    made = cached("ptbxl", key, lambda: read_all([p for p in files.values() if p.suffix == ".hea"]))
    fold = table["strat_fold"].clip(lower=8)  # 8: train, 9: validation, 10: test
    parts = {name: np.flatnonzero(fold == k) for k, name in enumerate(PARTS, 8)}
    notes = [f"An excerpt: {len(table):,} of 21,799 records."] if path == excerpt else []
    return Recordings("PTB-XL", 100, made["channels"].tolist(), SUPERCLASSES, made["X"], y,
                      table["patient_id"].astype(int).to_numpy(), parts, notes + list(made["notes"]))


def normal_or_not():
    """Ask of PTB-XL a yes-no question: has the ECG any finding? Records without a superclass are left out."""
    data = ptbxl()
    rows = np.flatnonzero(data.y.any(axis=1))
    parts = {name: np.flatnonzero(np.isin(rows, held)) for name, held in data.parts.items()}
    return replace(data, classes=["normal ECG", "ECG with a finding"], X=data.X[rows], patients=data.patients[rows], parts=parts,
                   y=data.y[rows, 1:].any(axis=1).astype(np.int64))


def superclasses(table, statements):
    """Give the diagnostic superclasses of each record, (n, 5) of 0/1: each statement counts (Strodthoff 2020)."""
    group = statements["diagnostic_class"].dropna().to_dict()
    named = [{group.get(code) for code in ast.literal_eval(text)} for text in table["scp_codes"]]
    return np.array([[int(c in found) for c in SUPERCLASSES] for found in named])


def read_all(paths):
    """Read recordings of equal length to one array."""
    found = [signals.read(p) for p in tqdm(paths, desc="recordings", unit="record", leave=False)]
    return {"X": np.stack([one.x for one in found]), "channels": np.array(found[0].channels),
            "notes": np.array(told(found), dtype=str)}


def eegmat(seconds, seed, fs=125):
    """Read EEG at rest and in mental arithmetic (Zyma et al., 2019), its ECG channel left out."""
    stems = eegmat_files()
    found = [signals.read(fetch.path("eegmat", f"{stem}.edf")) for stem in stems]
    names = [c for c in found[0].channels if c.startswith("EEG") and "A2-A1" not in c]
    cuts = [windows(signals.resample(one.x[:, [one.channels.index(c) for c in names]], one.fs, fs), round(seconds * fs))
            for one in found]
    count = [len(c) for c in cuts]
    y, patients = np.repeat([int(s.endswith("_2")) for s in stems], count), np.repeat([s[:-2] for s in stems], count)
    notes = [f"{len(stems) // 2} of 36 subjects are on this machine."] if len(stems) < 72 else []
    return Recordings("EEG at rest and in mental arithmetic", fs, [c.replace("EEG ", "") for c in names],
                      ["rest", "arithmetic"], np.concatenate(cuts), y, patients,
                      by_patient(patients, np.zeros(len(y)), seed=seed), notes + told(found))


def told(found, most=20):
    """Collect the notes of several signals; of very many the first."""
    notes = [note for one in found for note in one.notes]
    return notes[:most] + [f"... and {len(notes) - most:,} more notes on files."] * (len(notes) > most)


def eegmat_files():
    """Name the recordings: all 72, or without a network the pairs that are on this machine."""
    pairs = [[f"Subject{k:02d}_1", f"Subject{k:02d}_2"] for k in range(36)]
    here = [pair for pair in pairs if all((fetch.root() / "eegmat" / f"{stem}.edf").exists() for stem in pair)]
    try:
        for stem in sum(pairs, []):
            fetch.path("eegmat", f"{stem}.edf")
    except MedkitError:
        if len(here) < 3:  # as many as a split needs
            raise
        pairs = here
    return sum(pairs, [])


def from_folder(folder, seconds, fs, seed):
    """Cut a user's own recordings into windows, labelled by `labels.csv`."""
    if not (folder / "labels.csv").exists():
        raise MedkitError(f"{folder} has no labels.csv. Recordings need one, with the columns file and label (and patient).")
    table = read_labels(folder)
    classes, code = labelled(table, folder)
    found = read_alike(folder, table["file"], fs)
    cuts = [windows(one.x, round(seconds * found[0].fs)) for one in found]
    empty = next((f for f, c in zip(table["file"], cuts) if not len(c)), None)
    if empty:
        raise MedkitError(f"{folder / empty} is shorter than one window of {seconds:g} seconds.")
    rows = np.repeat(np.arange(len(table)), [len(c) for c in cuts])
    table = table.iloc[rows].reset_index(drop=True)
    patients = table.get("patient", table["file"]).to_numpy(str)
    notes = [] if "patient" in table else ["Each file counts as a patient: name who has several, or the test is too kind."]
    return Recordings(folder.name, found[0].fs, found[0].channels, classes, np.concatenate(cuts),
                      code[rows], patients, parts_of(table, code[rows], patients, seed, folder),
                      notes + told(found), table["file"].to_numpy())


def read_alike(folder, names, fs):
    """Read recordings with the channels of the first, and check that all have one sampling rate."""
    first = signals.read(folder / names[0], fs)
    found = [signals.read(folder / f, fs, first.channels) for f in names]
    rates = {one.fs for one in found}
    if max(rates) > 1.001 * min(rates):  # a clock in a CSV file is rounded
        raise MedkitError(f"{folder}: the sampling rates differ ({min(rates):g} to {max(rates):g} Hz). Bring all to one.")
    return found
