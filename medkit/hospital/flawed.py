"""Simulated patients as an analyst gets them: files on a disk, with flaws planted that are known. For lesson 10."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import wfdb
from PIL import Image
from pyedflib import highlevel

from . import admit, ecg


def table(path, n=900, seed=0):
    """Write a table of simulated patients (CSV), and give the flaws: [(kind, where)], as `medkit.datasets.audit` names them."""
    cohort, rng = admit(n, seed), np.random.default_rng(seed)
    frame, died = cohort.patients.copy(), cohort.outcome()["died"].to_numpy()
    stay = cohort.stay(24)
    means = np.ma.masked_invalid(stay.values).mean(axis=1).filled(np.nan)  # empty for who was never measured
    labs = pd.DataFrame(means.astype(np.float32), columns=stay.variables)
    keep = ["Creatinine", "BUN", "Lactate", "HR", "Temp", "GCS"]
    frame = frame.rename(columns={"patient_id": "patient"}).join(labs[keep].round(2))
    days = np.where(died, rng.integers(2, 20, n), 30)
    admitted = np.datetime64("2031-01-01") + rng.integers(0, 300, n)
    frame = frame.assign(admitted=admitted, died=died.astype(int), outcome_date=admitted + days,
                         last_letter=admitted + days + np.where(died, 9, -5))
    frame["discharge_code"] = np.where(died ^ (rng.random(n) < 0.01), "E9", "A1")  # written when the outcome is known
    frame.loc[rng.random(n) < np.where(died, 0.15, 0.75), "Lactate"] = np.nan  # measured in those who look ill
    frame.loc[rng.choice(n, n // 50, replace=False), "bmi"] = 999
    frame.loc[rng.random(n) < 0.2, "sex"] = frame["sex"].str.capitalize()
    order = np.argsort(died + rng.normal(0, 0.6, n), kind="stable")  # numbered partly by outcome
    frame["patient"] = [f"P{k:05d}" for k in np.argsort(order) + 1]
    twice = frame.sample(15, random_state=seed).assign(patient=[f"Q{k:05d}" for k in rng.integers(1, n, 15)])
    frame = pd.concat([frame, twice]).sample(frac=1, random_state=seed)
    frame.round({"age": 1, "height": 1, "bmi": 1, "smoking_pack_years": 1, "exercise": 1, "alcohol": 1}).to_csv(path, index=False)
    return [("leak", "discharge_code"), ("gaps tell", "Lactate"), ("code for missing", "bmi"), ("spelling", "sex"),
            ("identity", "patient"), ("duplicate", "patient"), ("date", "last_letter"), ("missing", "Lactate")]


def images(folder, n=260, seed=0, size=64):
    """Write a folder of simulated X-rays with `labels.csv`, boxes included, and give the planted flaws."""
    cohort = admit(2 * n, seed + 1)
    ill = cohort.latent["pneumonia"].to_numpy()
    clear = np.random.default_rng(seed).choice(np.flatnonzero(~ill), n - n // 3, False)
    chosen = np.sort(np.r_[np.flatnonzero(ill)[:n // 3], clear])
    films = cohort.xray(size, marker=False)
    which = list(films.findings).index("pneumonia")
    (folder / "films").mkdir(parents=True, exist_ok=True)
    rows = [(f"films/{i:05d}.png", "pneumonia" if ill[i] else "clear", f"P{i:05d}", films.images[i], films.masks[i, which])
            for i in chosen]
    rows += [(f"films/copy{k}.png", rows[7 * k][1], f"Q{k:05d}", *rows[7 * k][3:]) for k in range(8)]  # one film, two patients
    for file, label, _, film, _ in rows:
        shape = (size + 16, size) if label == "pneumonia" else (size, size)  # the ill are filmed by another machine
        Image.fromarray(film).resize(shape).save(folder / file)
    table = pd.DataFrame([(f, c, p, *box_of(mask, c, size)) for f, c, p, _, mask in rows],
                         columns=["file", "label", "patient", "x", "y", "width", "height"])
    table["sex"] = [cohort.patients["sex"].iloc[int(p[1:])] if p[0] == "P" else "female" for p in table["patient"]]
    table.to_csv(folder / "labels.csv", index=False)
    return [("duplicate", "patient"), ("leak", "width (pixels)")]


def box_of(mask, label, size):
    """Give the box around a lesion, in the pixels of the file."""
    down, across = np.nonzero(mask)
    if label != "pneumonia" or not len(down):
        return [None] * 4
    wide = (size + 16) / size
    return [round(across.min() * wide, 1), down.min(), round((np.ptp(across) + 1) * wide, 1), np.ptp(down) + 1]


def recordings(folder, n=360, seed=0, fs=100):
    """Write a folder of simulated ECGs (WFDB, EDF and CSV mixed) with `labels.csv`, and give the planted flaws."""
    latent = admit(20 * n, seed + 2).latent
    af = latent["atrial_fibrillation"].to_numpy()
    rng = np.random.default_rng(seed)
    some = [rng.choice(np.flatnonzero(af == ill), size, False) for ill, size in ((True, n // 3), (False, n - n // 3))]
    latent = latent.iloc[np.sort(np.concatenate(some))]
    taken = ecg.record(SimpleNamespace(latent=latent), 10, fs)
    x = taken.signal[:, [0, 1, 6]].transpose(0, 2, 1).astype(float)  # leads I, II and V1
    x[3, :, 2] = 0  # an electrode that fell off
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k, i in enumerate([*range(n), *range(0, 35, 7)]):  # five recordings are filed a second time
        file = write_signal(folder, f"r{k:04d}", x[i], fs, k % 3)
        rows.append((file, taken.rhythm[i], f"P{latent.index[i]:05d}" if k < n else f"Q{k:05d}"))
    table = pd.DataFrame(rows, columns=["file", "label", "patient"])
    table = table[table["label"].isin(["sinus", "atrial fibrillation"])]
    table.to_csv(folder / "labels.csv", index=False)
    return [("duplicate", "patient"), ("signal", "r0003.hea, channel 'V1' is a flat line.")]


def write_signal(folder, name, x, fs, how):
    """Write one recording as WFDB, EDF or CSV, and give its file's name."""
    leads = ["I", "II", "V1"]
    if how == 0:
        wfdb.wrsamp(name, fs, ["mV"] * 3, leads, p_signal=x, fmt=["16"] * 3, write_dir=str(folder))
        return f"{name}.hea"
    if how == 1:
        headers = highlevel.make_signal_headers(leads, "mV", fs, physical_min=-8.0, physical_max=8.0)
        highlevel.write_edf(str(folder / f"{name}.edf"), np.ascontiguousarray(x.T), headers)
        return f"{name}.edf"
    body = np.column_stack([np.arange(len(x)) / fs, x])
    np.savetxt(folder / f"{name}.csv", body, "%.4f", ",", header=",".join(["time", *leads]), comments="")
    return f"{name}.csv"
