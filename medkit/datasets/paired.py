"""Several modalities of the same patients: an image, a signal, a series of values. Explained in lesson 5."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import catalog, fetch
from ..errors import unknown
from ..hospital import admit
from . import waveforms
from .folder import read_image
from .images import seen_patients
from .split import by_patient

SIDE, HOURS, SECONDS, FS = 32, 24, 5, 100  # light enough for a laptop
PANEL = "Creatinine BUN K Na Mg HCO3 Urine Glucose HCT Platelets Albumin".split()  # says little of the lungs
LABS = "crp d-dimer ldh lymphocytes neutrophils pco2 po2".split()


@dataclass(frozen=True)
class Paired:
    """Rows that have several modalities.

    `inputs` maps "image" to uint8 (n, side, side), "signal" to float32 (n, samples, leads) at `fs` Hz and
    "values" to float32 (n, steps, variables) with NaN where nothing was measured; not every source has all.
    `y` (n,) is 1 where the answer to `question` is yes. `findings` says which modality truly shows it,
    a bool DataFrame with one column a modality, where that is known; `groups` holds subgroups.
    """

    name: str
    question: str
    inputs: dict
    y: np.ndarray
    patients: np.ndarray
    parts: dict
    variables: list
    fs: float = 0
    notes: list = field(default_factory=list)
    findings: object = None
    groups: object = None


def load(source="virtual-hospital", admitted=3000, most=None, seed=0, describe=None):
    """Load rows with several modalities.

    Parameters
    ----------
    source : str
        "virtual-hospital" (simulated X-ray, ECG and laboratory values), "mitdb" (beats and their intervals) or
        "hannover-cxr" (X-ray and laboratory values).
    admitted : int
        For the hospital: how many patients.
    most : int, optional
        Draw at most so many rows of each part.
    seed : int
        Which simulated patients; for Hannover which split.
    describe : callable, optional
        For the beats of MIT-BIH: takes the windows (n, samples, leads) and the R peaks (n,) in seconds of one record;
        gives its signal (n, samples, leads) and a DataFrame of n rows of values. Without it: windows in mV and `rr`.
    """
    make = {"virtual-hospital": lambda: from_hospital(admitted, seed), "mitdb": lambda: from_mitdb(seed, describe),
            "hannover-cxr": lambda: from_hannover(seed)}
    if source not in make:
        raise unknown("source of several modalities", source, make)
    return thin(make[source](), most, seed)


def thin(data, most, seed):
    """Draw at most `most` rows of each part, in their order."""
    if most is None or all(len(rows) <= most for rows in data.parts.values()):
        return data
    draw = np.random.default_rng(seed)
    rows = {part: np.sort(draw.permutation(r)[:most]) for part, r in data.parts.items()}
    kept = np.sort(np.concatenate(list(rows.values())))
    frames = {k: f.iloc[kept].reset_index(drop=True) for k in ("findings", "groups") if (f := getattr(data, k)) is not None}
    return replace(data, inputs={m: x[kept] for m, x in data.inputs.items()}, y=data.y[kept],
                   patients=data.patients[kept], parts={p: np.searchsorted(kept, r) for p, r in rows.items()}, **frames)


def from_hospital(admitted, seed):
    """Take X-ray, ECG and a day of values of simulated patients; each can show a reason to call the doctor."""
    batches = list(admit(admitted, seed).batches(250))
    rows = [(c.xray(SIDE).images, c.ecg(seconds=SECONDS, fs=FS, leads=2).signal.transpose(0, 2, 1), c.stay(HOURS))
            for c in tqdm(batches, desc="patients", unit_scale=250, unit="patient", leave=False)]
    columns = [rows[0][2].variables.index(v) for v in PANEL]
    image, signal, values = (np.concatenate(part) for part in zip(
        *((x, e, stay.values[:, :, columns]) for x, e, stay in rows)))
    state = pd.concat([c.latent for c in batches], ignore_index=True)
    findings = pd.DataFrame({"image": state["pneumonia"] | state["effusion"], "values": state["kidney"] > 0.5,
                             "signal": state["atrial_fibrillation"] | state["flutter"]})[["image", "signal", "values"]]
    y, seen = findings.any(axis=1).to_numpy(np.int64), seen_patients(batches)
    note = (f"Simulated: {admitted:,} patients of the virtual hospital, each with an X-ray, {SECONDS} seconds of ECG "
            f"and {HOURS} hours of laboratory values. A score here is not a score on real patients.")
    question = "pneumonia or effusion, atrial fibrillation or flutter, or failing kidneys"
    return Paired("virtual hospital (simulated)", question, {"image": image, "signal": signal, "values": values}, y,
                  seen.index.to_numpy(), by_patient(seen.index, y, (0.6, 0.1, 0.3), seed), PANEL, FS, [note],
                  findings, seen.reset_index(drop=True))


def from_mitdb(seed, describe=None):
    """Take the beats of MIT-BIH, ectopic (S, V, F) or not, and to train with those of a virtual clinic as well."""
    sets = real, clinic = waveforms.beats("mitdb"), waveforms.beats("virtual-clinic", seed)
    rows = [(one, one.record == name) for one in sets for name in dict.fromkeys(one.record)]  # a record stands together
    signals, frames = zip(*(describe(one.windows[r], one.at[r] / one.fs) if describe else
                            (one.windows[r], pd.DataFrame(one.rr[r], columns=waveforms.RR)) for one, r in rows))
    values = pd.concat(frames)
    inputs = {"signal": np.concatenate(signals), "values": values.to_numpy(np.float32)[:, None]}
    y, patients = (np.append(getattr(real, k), getattr(clinic, k)) for k in ("y", "patients"))
    parts = real.parts | {"train": np.append(real.parts["train"], np.arange(len(real.y), len(y)))}
    notes = [*real.notes, *clinic.notes, "Simulated beats are training rows: validation and test patients are real."]
    return Paired(real.name, "an ectopic beat (S, V or F)", inputs, np.isin(y, (1, 2, 3)).astype(np.int64), patients,
                  parts, list(values), real.fs, notes)


def from_hannover(seed):
    """Take X-rays of COVID-19 patients with the values known by then; was the patient in intensive care at any time?"""
    table = pd.read_csv(fetch.path("hannover-cxr", "data.csv"))
    files = [fetch.path("hannover-cxr", f"png/{i}.png", progress=False) for i in table["image_id"]]
    image = np.stack([read_image(f, 64, [])[..., 0] for f in tqdm(files, desc="X-rays", leave=False)])
    known = {lab: table[f"{lab}_val"].where(table[f"{lab}_offset"] <= 0) for lab in LABS}
    limits = {lab: v[np.isfinite(v)].agg(["min", "max"]) for lab, v in known.items()}  # "inf": beyond what is measured
    values = np.stack([v.clip(*limits[lab]) for lab, v in known.items()], 1).astype(np.float32)[:, None]
    y, patients = table["icu_admission_offset"].notna().to_numpy(np.int64), table["patient_id"].to_numpy(str)
    notes = [*catalog.card("hannover-cxr").pitfalls, "Values measured after the image are left out."]
    return Paired("Hannover X-rays", "intensive care at some time", {"image": image, "values": values}, y, patients,
                  by_patient(patients, y, (0.5, 0.15, 0.35), seed), LABS, 0, notes,
                  groups=table[["projection", "sex"]])
