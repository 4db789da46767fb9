"""Heart beats cut from ECG recordings, in true order, split by patient. Whole recordings: `recordings`.

Beats are labelled by the classes of ANSI/AAMI EC57: N (sinus, or conducted as if), S (supraventricular
ectopic), V (ventricular ectopic), F (fusion of both) and Q (cannot be told).
"""

from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import numpy as np
import wfdb
from tqdm import tqdm
from wfdb.io.annotation import ann_labels

from .. import catalog, fetch
from ..errors import MedkitError, explained
from ..hospital import ecg, latent
from . import signals
from .cache import cached
from .folder import named_or_folder
from .recordings import Recordings, recordings  # noqa: F401 (whole recordings, for those who look here)
from .split import PARTS, by_patient

CLASSES = list("NSVFQ")
# ANSI/AAMI EC57:1998, table 1 (also de Chazal et al. 2004, doi:10.1109/TBME.2004.827359), in WFDB's symbols.
AAMI = {symbol: c for c, symbols in enumerate(("NLRBejn", "AaJS", "VEr", "F", "/fQ?")) for symbol in symbols}
# de Chazal et al. 2004: patients to learn from, and to test on. Paced records (102, 104, 107, 217) stand in neither.
DS1 = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230".split()
DS2 = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234".split()
VALID = "114 118 124 205 207".split()  # of DS1: each class is there, N, S and V in more than one patient
PACED = {"102": "train", "107": "train", "104": "test", "217": "test"}  # "mitdb-all": our choice, no protocol has them
RR = ("previous", "next", "local mean", "record mean")
FS, BEFORE, AFTER, VERSION = 120, 42, 66, 1  # windows of 0.35 s before and 0.55 s after the R peak
SIMULATED = {"virtual-hospital": "those of 6,000 with most ectopic beats", "virtual-clinic": "sent for ectopic beats"}
SECONDS = 120  # of recording, of each simulated patient


@dataclass(frozen=True)
class Beats:
    """Beats of n recordings in memory, those of a record together and in true order.

    `record` and `patients` (n,) name where each beat comes from, `at` (n,) its R peak in samples at `fs` Hz
    and `y` (n,) its class; `windows` float32 (n, samples, leads) holds mV around the R peak; `rr` float32
    (n, 4) the intervals named in `RR`, in seconds; `parts` the row numbers of each part.
    """

    name: str
    fs: float
    leads: list
    classes: list
    record: np.ndarray
    patients: np.ndarray
    at: np.ndarray
    y: np.ndarray
    windows: np.ndarray
    rr: np.ndarray
    parts: dict
    notes: list = field(default_factory=list)


def beats(source="virtual-hospital", seed=0):
    """Load annotated beats.

    Parameters
    ----------
    source : str or path
        "virtual-hospital" or "virtual-clinic" (simulated; the second has more ectopic beats), "mitdb" (the
        44 records of the AAMI protocol), "mitdb-all" (48: with the paced ones), or a folder of WFDB records with
        annotations (.atr).
    seed : int
        For the hospital: which patients. For a folder: which split.
    """
    known = {name: partial(from_hospital, name, seed) for name in SIMULATED}
    known |= {"mitdb": lambda: from_mitdb({}), "mitdb-all": lambda: from_mitdb(PACED)}
    return named_or_folder("set of beats", source, known, lambda path: from_folder(path, seed))


def from_mitdb(paced):
    """Cut all beats of the MIT-BIH Arrhythmia Database (Moody & Mark, 2001), of `paced` records {name: part} too."""
    names = sorted([*DS1, *DS2, *paced])
    files = {n: [fetch.path("mitdb", f"{n}.{kind}") for kind in ("hea", "dat", "atr")] for n in names}
    key = [VERSION, FS, BEFORE, AFTER, {f.name: fetch.used[f"mitdb/{f.name}"] for n in names for f in files[n]}]
    made = cached("mitdb-beats", key, lambda: cut_all({n: files[n][0] for n in names}))
    part = {**dict.fromkeys(DS1, "train"), **dict.fromkeys(VALID, "valid"), **dict.fromkeys(DS2, "test"), **paced}
    whose = np.array([part[r] for r in made["record"]])
    patients = np.where(made["record"] == "202", "201", made["record"])
    notes = [*catalog.card("mitdb").pitfalls, "The second lead is V1 in most records; V2, V4 or V5 in a few.",
             "Validation patients, inside DS1: records " + ", ".join(VALID) + ".",
             *[f"Paced record {name} is here too, in the part '{where}'." for name, where in paced.items()]]
    return Beats("MIT-BIH", FS, ["MLII", "V1"], CLASSES, patients=patients, notes=notes + list(made.pop("notes")),
                 parts={p: np.flatnonzero(whose == p) for p in PARTS}, **made)


def from_folder(folder, seed):
    """Cut the beats of a user's own WFDB records; each record counts as a patient."""
    paths = {p.stem: p for p in sorted(folder.glob("*.hea"))}
    if not paths:
        raise MedkitError(f"{folder} has no WFDB records (.hea), with beats annotated in files .atr: needed are both.")
    leads = signals.read(next(iter(paths.values()))).channels
    made = cut_all(paths, leads)
    notes = [*made.pop("notes"), "Each record counts as a patient: of one who has several keep one, or the test is too kind."]
    return Beats(folder.name, FS, leads, CLASSES, patients=made["record"], notes=notes,
                 parts=by_patient(made["record"], made["y"], seed=seed), **made)


def cut_all(paths, leads=None):
    """Cut the beats of records {name: header path} to one set of arrays."""
    shown = tqdm(paths.items(), desc="beats", unit="record", leave=False)
    found, notes = zip(*(cut_file(name, path, leads) for name, path in shown))
    return joined(found) | {"notes": np.array(sum(notes, []), dtype=str)}


def joined(found):
    """Join the arrays of several records."""
    return {key: np.concatenate([one[key] for one in found]) for key in found[0]}


def cut_file(name, path, leads):
    """Cut the beats of one record with its annotations; give them and notes."""
    signal = signals.read(path, channels=leads or mlii_first(path))
    with explained(f"{path.with_suffix('.atr')} cannot be read", "Beats need annotations."):
        marks = wfdb.rdann(str(path.with_suffix("")), "atr")
    if len(marks.sample) and marks.sample[-1] >= len(signal.x):
        raise MedkitError(f"{path}: an annotation stands at sample {marks.sample[-1]:,}, but the signal ends at "
                          f"{len(signal.x):,}. The data are cut short, or belong to another record.")
    code, notes = classify(marks.symbol, name)
    there = code >= 0
    at = np.round(marks.sample[there] * FS / signal.fs).astype(np.int64)
    return cut(name, signals.resample(signal.x, signal.fs, FS), at, code[there]), notes + signal.notes


def mlii_first(path):
    """Name a record's leads with MLII first: in record 114 they are swapped."""
    return sorted(wfdb.rdheader(str(path.with_suffix(""))).sig_name, key=lambda lead: lead != "MLII")


def classify(symbols, name):
    """Give the AAMI class of each annotation, -1 for those that mark no beat; notes name unknown symbols."""
    strange = sorted(set(symbols) - {label.symbol for label in ann_labels})
    notes = [f"{name}: annotations '{s}' are no WFDB symbol and were left out ({list(symbols).count(s)} of them)."
             for s in strange]
    return np.array([AAMI.get(s, -1) for s in symbols], dtype=np.int64), notes


def cut(name, x, at, y):
    """Cut windows around R peaks of one record of shape (samples, leads)."""
    whole = (at >= BEFORE) & (at < len(x) - AFTER)  # a beat at either end has no whole window
    if whole.sum() < 3:
        raise MedkitError(f"Record {name} has {whole.sum()} annotated beats away from its ends: too few to know its rhythm.")
    gap = np.diff(at) / FS
    if not 0.25 < np.median(gap) < 2.5:
        raise MedkitError(f"Record {name}: beats lie {np.median(gap):.2f} s apart. No heart beats so; is the sampling "
                          "rate right?")
    before, after = np.append(gap[0], gap), np.append(gap, gap[-1])
    near = np.convolve(np.pad(before, 5, mode="edge"), np.ones(11) / 11, "valid")
    rr = np.column_stack([before, after, near, np.full(len(at), gap.mean())]).astype(np.float32)
    return {"record": np.full(whole.sum(), name), "at": at[whole], "y": y[whole], "rr": rr[whole],
            "windows": x[at[whole, None] + np.arange(-BEFORE, AFTER)]}


def from_hospital(source, seed):
    """Let simulated patients wear a two-lead recorder for two minutes."""
    chosen = latent.holters(seed) if source == "virtual-hospital" else latent.referred(seed)
    taken = ecg.record(SimpleNamespace(latent=chosen), SECONDS, FS, leads=2)
    made = joined([cut(f"VH{i:06d}", x.T, at, np.array([CLASSES.index(c) for c in classes]))
                   for i, x, at, classes in zip(chosen["index"], taken.signal, taken.beats, taken.classes)])
    notes = [f"Simulated: {len(chosen)} patients of the virtual hospital, {SIMULATED[source]}; "
             f"{SECONDS} seconds each. A score here is not a score on real patients."]
    row = np.unique(made["record"], return_inverse=True)[1]
    stratum = np.log2(1 + np.bincount(row, made["y"] == 1)).astype(int)[row]  # S beats are few: deal them evenly
    return Beats("virtual hospital (simulated)", FS, list(ecg.HOLTER), CLASSES, patients=made["record"], notes=notes,
                 parts=by_patient(made["record"], stratum, (0.6, 0.15, 0.25), seed), **made)
