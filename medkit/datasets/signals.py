"""One recording from a file: WFDB, EDF or CSV, checked, in physical units."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyedflib
import wfdb

from ..errors import MedkitError, explained

MISSING = 0.2  # a channel that lacks more than this share of its samples is refused


@dataclass(frozen=True)
class Signal:
    """One recording: `x` float32 (samples, channels) at `fs` Hz, its channels' names, what was mended."""

    x: np.ndarray
    fs: float
    channels: list
    notes: list = field(default_factory=list)


def read(path, fs=None, channels=None):
    """Read one recording.

    Parameters
    ----------
    path : path
        A WFDB record (with or without `.hea`), an EDF file, or a CSV file with one column a channel.
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
        x, found, names = reader(path, fs)
    if fs and abs(found / fs - 1) > 0.01:
        raise MedkitError(f"{path}: the file says {found:g} samples per second, you say {fs:g}. Correct one.")
    absent = [c for c in channels or [] if c not in names]
    if absent:
        raise MedkitError(f"{path} has no channel '{absent[0]}'. Its channels: {', '.join(names)}.")
    keep = [names.index(c) for c in channels] if channels else list(range(len(names)))
    names = [names[k] for k in keep]
    x, notes = mend(x[:, keep], names, path)
    return Signal(x, float(found), names, notes)


def read_wfdb(path, fs):
    """Read a WFDB record (wfdb checks the data against the header's length)."""
    stem = path.with_suffix("") if path.suffix in (".hea", ".dat", ".atr") else path
    if not stem.with_name(f"{stem.name}.hea").exists():
        raise MedkitError(f"There is no recording {path}. Known kinds: WFDB (.hea with .dat), EDF (.edf), CSV (.csv).")
    record = wfdb.rdrecord(str(stem), return_res=32)
    return record.p_signal, record.fs, record.sig_name


def read_edf(path, fs):
    """Read the channels of an EDF file that share the commonest sampling rate."""
    told, size = edf_bytes(path), path.stat().st_size
    if size < told:  # checked here, as pyedflib prints its complaint
        raise MedkitError(f"{path} is cut short: its header tells of {told:,} bytes, it has {size:,}.")
    with pyedflib.EdfReader(str(path)) as file:
        rates = [file.getSampleFrequency(k) for k in range(file.signals_in_file)]
        rate = max(set(rates), key=rates.count)
        rows = [k for k, r in enumerate(rates) if r == rate]
        return np.stack([file.readSignal(k) for k in rows], 1), rate, [file.getLabel(k).strip() for k in rows]


def edf_bytes(path):
    """Give the length that an EDF file should have by its header (Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7)."""
    with path.open("rb") as file:
        head = file.read(256)
        count = int(head[252:256])
        file.seek(256 + 216 * count)
        samples = [int(file.read(8)) for _ in range(count)]
    return 256 * (count + 1) + 2 * int(head[236:244]) * sum(samples)


def read_csv(path, fs):
    """Read a CSV file; a column `time` or `seconds` tells the sampling rate."""
    if not path.exists():
        raise MedkitError(f"There is no file {path}.")
    frame = pd.read_csv(path, encoding="utf-8-sig")
    clock = next((c for c in frame if c.strip().lower() in ("time", "seconds", "time (s)")), None)
    text = next((c for c in frame if frame[c].dtype == object), None)
    if text is not None:
        raise MedkitError(f"{path}: the column '{text}' holds something that is not a number.")
    if clock is not None and len(frame) > 1:
        fs = 1 / float(np.median(np.diff(frame.pop(clock))))
    if not fs or not np.isfinite(fs) or fs <= 0:
        raise MedkitError(f"{path}: tell how many samples per second it has (fs=...), "
                          "or add a column 'time' in seconds.")
    return frame.to_numpy(float), fs, [str(c) for c in frame]


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
