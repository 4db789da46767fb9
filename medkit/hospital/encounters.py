"""Earlier stays of simulated patients, each with laboratory values at discharge, and readmission within 30 days.

The severities of `medkit.hospital.latent` are today's. In earlier stays organs were a little better, and each stay had
a crisis of its own; laboratory values read the severities of the day, with noise. The last stay of a patient is the
one of `Cohort.outcome`, and keeps its result. Sizes of effects are plausible, not estimated.
"""
import numpy as np
from scipy.special import expit

from .latent import SYSTEMS, standardised
from .outcome import HAZARD
from .streams import normals, uniforms

MOST = 6  # stays of one patient, this one among them
# Laboratory value: the organ that it reads, level, change for one spread of severity, noise, lowest and highest.
_LABS = {"creatinine": ("kidney", 1.2, 0.5, 0.3, 0.3, 15), "white_cells": ("infection", 10, 3, 3, 0.5, 60),
         "glucose": ("metabolic", 140, 30, 40, 40, 600), "saturation": ("lung", 95.5, -1.5, 1.5, 75, 100),
         "log_bnp": ("heart", 5.5, 0.9, 0.6, 1.5, 10), "sodium": ("brain", 138.5, -1, 3, 115, 165)}


def histories(cohort):
    """List the stays of simulated patients, oldest first; who died in hospital has no last row.

    Returns
    -------
    pandas.DataFrame
        One row per stay: `patient_id`; what was known of the patient; `stay` (0 is the first);
        `days` in hospital, laboratory values at discharge, and `readmitted` within 30 days (0 or 1).
    """
    where, outcome = (cohort.seed, "encounters", cohort.start, cohort.stop), cohort.outcome()
    many = np.minimum(cohort.latent["earlier_admissions"].to_numpy(), MOST - 1) + 1
    row = np.repeat(np.arange(len(cohort)), many)
    stay = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many)
    noise = normals(*where, MOST, len(SYSTEMS) + len(_LABS) + 1)[row, stay]
    organs = _organs(cohort, row, many[row] - 1 - stay, noise)
    ill = sum(weight * organs[name] for name, weight in HAZARD.items())
    again = uniforms(*where, MOST)[row, stay] < expit(-2.3 + 0.30 * stay + 0.15 * ill)
    last, days = stay == many[row] - 1, np.exp(1.9 + 0.12 * ill + 0.6 * noise[:, -1])
    frame = cohort.patients.drop(columns="earlier_admissions").iloc[row].reset_index(drop=True)
    frame = frame.assign(stay=stay, days=np.where(last, outcome["hospital_days"].to_numpy()[row], days).round(1),
                         **_labs(organs, noise[:, len(SYSTEMS):-1]),
                         readmitted=np.where(last, outcome["readmitted"].to_numpy(float)[row], again))
    return frame[frame["readmitted"].notna()].astype({"readmitted": int})


def _labs(organs, noise):
    """Read laboratory values off the organs."""
    return {name: np.clip(level + step * organs[organ] + spread * noise[:, k], low, high).round(1)
            for k, (name, (organ, level, step, spread, low, high)) in enumerate(_LABS.items())}


def _organs(cohort, row, ago, noise):
    """Give severities on the day, in spreads: better in the past, with a crisis of each stay."""
    today = standardised(cohort.latent)
    then = {name: today[name][row] - 0.15 * ago + np.where(ago > 0, 0.5 * noise[:, k], 0)
            for k, name in enumerate(SYSTEMS)}
    return then | {"age": today["age"][row]}
