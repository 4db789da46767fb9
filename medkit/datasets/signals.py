"""One recording from a file: WFDB, EDF or CSV, checked, in physical units.

Voltages are in mV, those of EEG (told by the channels' names) in microvolt: a header's units say how to convert. Other
units stay. A CSV file tells no units: its numbers stay as they are.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyedflib
import wfdb

from ..errors import MedkitError, explained
from .tables import cells_filled, numbers, read_frame, refuse

MISSING = 0.2  # a channel that lacks more than this share of its samples is refused
MILLIVOLTS = {"nv": 1e-6, "uv": 1e-3, "\N{GREEK SMALL LETTER MU}v": 1e-3, "mv": 1, "v": 1e3}  # in a unit, case folded
EEG = re.compile(r"EEG|(FP|AF|FC|FT|CP|TP|PO|[ACEFMOPT])(Z|\d+)\b", re.I)  # names of channels


@dataclass(frozen=True)
class Signal:
    """One recording: `x` float32 (samples, channels) at `fs` Hz, its channels' names, what the reader should know."""

    x: np.ndarray
    fs: float
    channels: list
    notes: list = field(default_factory=list)


def read(path, fs=None, channels=None):
    """Read one recording.

    Parameters
    ----------
    path : path
        A WFDB record (with or without `.hea`), an EDF file, or a CSV file with one column a channel, and perhaps a
        column `time` or `seconds` that grows by even steps.
    fs : float, optional
        Samples per second: needed for CSV. For the others it is checked against the header.
    channels : list of str, optional
        Which, in this order. Without it: all.

    Raises
    ------
    MedkitError
        If the file cannot be read, disagrees with its header, lacks a channel, or holds no signal.
    """
    path = Path(path).expanduser()
    reader = {".edf": read_edf, ".csv": read_csv}.get(path.suffix.lower(), read_wfdb)
    with explained(f"{path} cannot be read", "It is damaged, cut short, or its header does not describe its data. Copy it "
                   "again from its source."):
        x, found, names, told = reader(path, fs)
    if fs and abs(found / fs - 1) > 0.01:
        raise MedkitError(f"{path}: the file says {found:g} samples per second, you say {fs:g}. Correct one.")
    absent = [c for c in channels or [] if c not in names]
    if absent:
        raise MedkitError(f"{path} has no channel '{absent[0]}'. Its channels: {', '.join(names)}.")
    keep = [names.index(c) for c in channels] if channels else list(range(len(names)))
    names = [names[k] for k in keep]
    x, notes = mend(x[:, keep], names, path)
    return Signal(x, float(found), names, told + notes)


def converted(x, fs, names, units, path):
    """Bring voltages to mV, those of EEG to microvolt: x, fs, names, and a note on channels that have other units."""
    scale = [MILLIVOLTS.get(unit.strip().casefold()) for unit in units]
    x *= [1 if f is None else 1000 * f if EEG.match(n) else f for n, f in zip(names, scale)]
    other = ", ".join(f"{n} ('{unit.strip()}')" for n, unit, f in zip(names, units, scale) if f is None)
    return x, fs, names, [f"{path.name}: no voltages, and left in their units: {other}."] if other else []


def read_wfdb(path, fs):
    """Read a WFDB record (wfdb checks the data against the header's length)."""
    stem = path.with_suffix("") if path.suffix in (".hea", ".dat", ".atr") else path
    if not stem.with_name(f"{stem.name}.hea").exists():
        raise MedkitError(f"There is no recording {path}. Known kinds: WFDB (.hea with .dat), EDF (.edf), CSV (.csv).")
    record = wfdb.rdrecord(str(stem), return_res=32)
    return converted(record.p_signal, record.fs, record.sig_name, record.units, path)


def read_edf(path, fs):
    """Read the channels of an EDF file that share the commonest sampling rate."""
    told, size = edf_bytes(path), path.stat().st_size
    if size < told:  # checked here, as pyedflib prints its complaint
        raise MedkitError(f"{path} is cut short: its header tells of {told:,} bytes, it has {size:,}.")
    with pyedflib.EdfReader(str(path)) as file:
        rates = [file.getSampleFrequency(k) for k in range(file.signals_in_file)]
        rate = max(set(rates), key=rates.count)
        rows = [k for k, r in enumerate(rates) if r == rate]
        names = [file.getLabel(k).strip() for k in rows]
        *found, notes = converted(np.stack([file.readSignal(k) for k in rows], 1), rate, names,
                                  [file.getPhysicalDimension(k) for k in rows], path)
        other = ", ".join(f"{file.getLabel(k).strip()} ({r:g} Hz)" for k, r in enumerate(rates) if r != rate)
    return *found, notes + ([f"{path.name}: left out, of another sampling rate: {other}."] if other else [])


def edf_bytes(path):
    """Give the length that an EDF file should have by its header (Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7)."""
    with path.open("rb") as file:
        head = file.read(256)
        count = int(head[252:256])
        file.seek(256 + 216 * count)
        samples = [int(file.read(8)) for _ in range(count)]
    return 256 * (count + 1) + 2 * int(head[236:244]) * sum(samples)


def read_csv(path, fs):
    """Read a CSV file; a column `time` or `seconds` tells the sampling rate, one that counts the rows is left out."""
    frame = read_frame(path, whole=True)
    frame = frame.assign(**{c: numbers(frame, c, path) for c in frame.select_dtypes(exclude="number")})
    clock = next((c for c in frame if c.strip().lower() in ("time", "seconds", "time (s)")), None)
    if clock is not None and len(frame) > 1:
        fs = rate_of(frame.pop(clock), path)
    if not fs or not np.isfinite(fs) or fs <= 0:
        raise MedkitError(f"{path}: tell how many samples per second it has (fs=...), "
                          "or add a column 'time' in seconds.")
    steps = {c: np.diff(frame[c].to_numpy(float)) for c in frame}
    counts = [c for c, d in steps.items() if len(d) > 9 and d[0] and np.ptp(d) <= 1e-3 * abs(d.mean())]  # as pandas writes
    told = [f"{path.name}: left out, as it only counts the rows: '{c}'." for c in counts]
    return frame.drop(columns=counts).to_numpy(float), fs, [str(c) for c in frame if c not in counts], told


def rate_of(clock, path):
    """Give the samples per second of a clock in seconds, which must grow by even steps (its digits may be rounded)."""
    cells_filled(clock.to_frame(), [clock.name], path)
    mean, step = (clock.iloc[-1] - clock.iloc[0]) / (len(clock) - 1), clock.diff()
    uneven = ~((step > 0) & ((step - mean).abs() <= 0.75 * mean)) & step.notna()
    refuse(uneven, path, lambda row: f"the time goes from {clock[row - 1]} to {clock[row]}, but should grow by even "
           "steps. Sort the rows, put empty ones where samples were lost, write all digits; or give fs instead")
    if mean >= 1:
        raise MedkitError(f"{path}: by the column '{clock.name}' a sample lasts {mean:g} seconds. If it is in "
                          "milliseconds, divide it by 1,000; or leave it out and give fs.")
    return float(1 / mean)


def mend(x, names, where):
    """Refuse what is no signal, fill short gaps by straight lines, and note what the reader should know."""
    x, notes = np.array(x, dtype=np.float32), []
    if len(x) < 2:
        raise MedkitError(f"{where} has {len(x)} sample(s): that is no recording.")
    for k, name in enumerate(names):
        gone = ~np.isfinite(x[:, k])
        if gone.mean() > MISSING:
            raise MedkitError(f"{where}, channel '{name}': {gone.mean():.0%} of the samples are missing. "
                              "Leave the channel or the recording out.")
        if gone.any():
            x[gone, k] = np.interp(np.flatnonzero(gone), np.flatnonzero(~gone), x[~gone, k])
            notes.append(f"{where.name}, channel '{name}': {gone.sum():,} missing samples, filled by straight lines.")
    low, high = x.min(axis=0), x.max(axis=0)
    if (low == high).all():
        raise MedkitError(f"{where} is a flat line in every channel: were the electrodes connected?")
    stuck = ((x == low) | (x == high)).mean(axis=0)
    notes += [f"{where.name}, channel '{n}' is a flat line." for n, a, b in zip(names, low, high) if a == b]
    notes += [f"{where.name}, channel '{n}' is clipped: {s:.0%} of its samples lie at its limits."
              for n, s, a, b in zip(names, stuck, low, high) if s > 0.01 and a < b]
    return x, notes


def resample(x, fs, to):
    """Change the sampling rate along the first axis, low-pass filtered (polyphase)."""
    from scipy.signal import resample_poly  # a second to import

    ratio = Fraction(to / fs).limit_denominator(1000)
    return x if ratio == 1 else resample_poly(x, ratio.numerator, ratio.denominator, axis=0).astype(np.float32)
