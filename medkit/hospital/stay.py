"""Simulated stays in intensive care: vital signs and laboratory values by the hour.

Six organ systems move as coupled Ornstein-Uhlenbeck processes (Uhlenbeck & Ornstein
1930, doi:10.1103/PhysRev.36.823) around each patient's severities; ventilation,
vasopressors and antibiotics answer to them and act back. Each variable reads them.

Names, units and levels follow the PhysioNet/CinC challenge 2012 (Silva et al. 2012,
Computing in Cardiology 39:245-248): in its set a (4,000 stays) 13.9 % died and 80 %
of the hourly cells are empty. The levels stand in `medkit.hospital.variables`.
"""
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from .latent import SYSTEMS, standardised
from .streams import BLOCK, by_block, normals, uniforms
from .variables import NAMES, PANELS, SHARED, SPEC

REASONS = ("measured", "not due", "too stable to measure", "equipment", "not ordered")
INTERVENTIONS = ("ventilation", "vasopressor", "antibiotics")
DRIVERS = (*SYSTEMS, "age")


@dataclass
class Stay:
    """Hourly values of simulated stays.

    Attributes
    ----------
    static : pandas.DataFrame
        One row per patient: Age, Gender (1 male), Height (cm), ICUType, Weight (kg).
    values : numpy.ndarray
        float32 (patients, hours, variables), in the units of the challenge; NaN where
        nothing was measured.
    truth : numpy.ndarray
        The same without gaps.
    reason : numpy.ndarray
        int8, position in `REASONS`: why a cell is empty, 0 where it is not.
    interventions : numpy.ndarray
        bool (patients, hours, 3), in the order of `INTERVENTIONS`.
    variables : tuple of str
        Names of the last axis of `values`.
    """

    static: pd.DataFrame
    values: np.ndarray
    truth: np.ndarray
    reason: np.ndarray
    interventions: np.ndarray
    variables: tuple = NAMES


def follow(cohort, hours=48):
    """Follow simulated patients by the hour, before any treatment of `outcome` acts.

    Parameters
    ----------
    cohort : medkit.hospital.Cohort
    hours : int
        Length of the record, at least 1. Patients are recorded throughout; a longer
        record begins with the shorter one.

    Returns
    -------
    Stay

    Raises
    ------
    ValueError
        If `hours` is below 1.
    """
    if hours < 1:
        raise ValueError(f"hours must be at least 1, got {hours}")
    where = cohort.seed, cohort.start, cohort.stop
    organs = standardised(cohort.latent)
    unit = _unit(organs, uniforms(cohort.seed, "unit", *where[1:], 4))
    course, interventions = _course(where, organs, unit, hours)
    truth = _truth(where, cohort.latent, course, interventions)
    reason = _watch(where, course, interventions)
    values = np.where(reason == 0, truth, np.float32(np.nan))
    return Stay(_static(cohort.latent, unit, truth), values, truth, reason, interventions)


def _hourly(where, stream, hours, *shape, kind="standard_normal"):
    """Draw float32 numbers (n, hours, *shape); more hours append to fewer."""
    def draw(rng):
        return getattr(rng, kind)((hours, BLOCK, *shape), dtype=np.float32).swapaxes(0, 1)
    return by_block(where[0], stream, *where[1:], draw)


def _unit(organs, u):
    """Choose the intensive care unit, 1 to 4: planned surgery takes the less ill."""
    heart, lung, kidney, infection, brain, metabolic = (organs[k] for k in SYSTEMS)
    ill = infection + lung + kidney + metabolic
    appeal = np.stack([0.8 * heart - 0.15 * ill - 0.4 * brain - 0.85, 0.4 * heart - 0.5 * ill - 0.6 * brain - 0.6,
                       0.25 * ill + 0.45, 0.4 * brain + 0.15], axis=1)
    return 1 + (appeal - np.log(-np.log(u + 1e-300))).argmax(axis=1)


def _course(where, organs, unit, hours):
    """Let organs and interventions act on one another, hour by hour.

    Returns the drivers (n, hours, 7) in spreads and the interventions (n, hours, 3).
    """
    noise = _hourly(where, "organs", hours + 1, 6)
    u = uniforms(where[0], "surgery", *where[1:], 2)
    asleep = np.where(u[:, 0] < np.array([0, .05, .95, .15, .45])[unit], 4 + 20 * u[:, 1], 0)
    home = np.stack([organs[k] for k in SYSTEMS], axis=1)
    x, given = home + 0.45 * noise[:, 0], np.zeros((len(home), 3), bool)
    course, done = np.empty((len(home), hours, 7), np.float32), np.empty((len(home), hours, 3), bool)
    course[..., 6] = organs["age"][:, None]
    for t in range(hours):
        x = x + 0.08 * (_pull(home, x, given) - x) + 0.14 * noise[:, t + 1]
        given = _respond(x, given, t < asleep)
        course[:, t, :6], done[:, t] = x, given
    return course, done


def _pull(home, x, given):
    """Where the organs are drawn to: home, shifted by one another and by treatment."""
    heart, lung, kidney, infection, brain, metabolic = x.T
    pull = home.copy()
    pull[:, 0] += 0.15 * infection - 0.3 * given[:, 1]
    pull[:, 1] += 0.15 * heart + 0.15 * infection - 0.4 * given[:, 0]
    pull[:, 2] += 0.2 * heart + 0.1 * infection
    pull[:, 3] -= 0.6 * given[:, 2]
    pull[:, 4] += 0.1 * metabolic + 0.1 * lung
    pull[:, 5] += 0.15 * infection + 0.15 * kidney
    return pull


def _respond(x, given, asleep):
    """Start or stop each intervention; one that runs needs less reason to go on."""
    heart, lung, _, infection, brain, _ = x.T
    need = np.stack([np.maximum(lung, brain), 0.6 * heart + 0.6 * infection, infection], axis=1)
    now = need > np.array([1.5, 1.0, 0.3]) - 0.5 * given
    now[:, 0] |= asleep
    return now


def _truth(where, latent, course, interventions):
    """Read all variables off the organs: float32 (n, hours, variables)."""
    n, hours = course.shape[:2]
    own = normals(where[0], "own", *where[1:], len(SPEC)).astype(np.float32)
    drift = _drift(where, hours)
    arrival = np.broadcast_to(np.exp(-np.arange(hours, dtype=np.float32) / 5)[:, None], (n, hours, 1))
    events = np.concatenate([interventions, arrival], axis=-1)
    scores, truth = {}, np.empty((n, hours, len(NAMES)), np.float32)
    for v, (name, spec) in enumerate(SPEC.items()):
        scores[name] = _score(spec, scores, own[:, v, None], drift[..., v], course, events)
        truth[..., v] = spec.scaled(scores[name])
    usual = latent["bmi"].to_numpy() * (latent["height"].to_numpy() / 100) ** 2
    weight = truth[..., NAMES.index("Weight")]
    weight[:] = (weight / SPEC["Weight"].centre * usual[:, None].astype(np.float32)).round(1)
    truth[..., -1] = interventions[..., 0]
    return truth


def _drift(where, hours):
    """Wandering of each variable about its level: unit variance, (n, hours, variables)."""
    keep = np.array([spec.keep for spec in SPEC.values()], np.float32)
    drift = _hourly(where, "drift", hours, len(SPEC))
    for t in range(1, hours):
        drift[:, t] = keep * drift[:, t - 1] + np.sqrt(1 - keep ** 2) * drift[:, t]
    return drift


def _score(spec, scores, own, drift, course, events):
    """Give one variable's standard score, (n, hours)."""
    rest = max(1 - sum(w * w for w in (*spec.loads.values(), *spec.follows.values())), 0.05)
    z = np.float32(np.sqrt(rest * spec.between)) * own + np.float32(np.sqrt(rest * (1 - spec.between))) * drift
    for driver, load in spec.loads.items():
        z += np.float32(load) * course[..., DRIVERS.index(driver)]
    for other, load in spec.follows.items():
        z += np.float32(load) * scores[other]
    for i in np.flatnonzero(spec.acts):
        z += np.float32(spec.acts[i]) * events[..., i]
    return z


def _watch(where, course, interventions):
    """Decide what is measured: the reason, int8 (n, hours, variables)."""
    hours, panels = course.shape[1], list(PANELS)
    chance = dict(zip(panels, uniforms(where[0], "orders", *where[1:], len(panels)).T))
    dice = _hourly(where, "watch", hours, 3, len(panels), kind="random")  # the third is for the minute, which none asks
    ill = course[..., :6].sum(axis=-1) / np.float32(3.5)
    care = ill[:, 0] + 2 * interventions[:, 0, 0]
    lined = _ordered(PANELS["line"], chance["line"], care)
    reasons = np.empty((*ill.shape, len(panels)), np.int8)
    for p, (name, panel) in enumerate(PANELS.items()):
        often = np.where(lined, 0.65, 1.5) if name == "cuff" else 1  # a line spares the cuff
        reasons[..., p] = _look(panel, dice[:, :, :2, p], ill, often)
        reasons[~_ordered(panel, chance[SHARED.get(name, name)], care), :, p] = REASONS.index("not ordered")
        if name in ("FiO2", "vent"):
            reasons[..., p][~interventions[..., 0]] = REASONS.index("not ordered")
    of = [panels.index(spec.panel) for spec in SPEC.values()] + [panels.index("vent")]
    reason = reasons[..., of]
    lost = _hourly(where, "lost", hours, len(of), kind="random") < 0.015
    reason[lost & (reason == 0)] = REASONS.index("equipment")
    return reason


def _ordered(panel, chance, care):
    """Say for each patient whether a panel is ordered at all, bool (n,)."""
    share, effect, _, _ = panel
    return chance < expit(logit(share) + effect * care)


def _look(panel, dice, ill, often):
    """Give the reason for one panel, int8 (n, hours): the more ill, the more is measured."""
    _, _, due, care = panel
    first = 1 + 3 * np.exp(-np.arange(ill.shape[1]) / 2) * (due < 0.3)  # more on admission
    step = np.minimum(due * np.reshape(often, (-1, 1)) * first * (0.5 + dice[:, :, 0]), 1)
    turns = np.cumsum(step, axis=1) + dice[:, :1, 1]
    reason = (np.floor(turns) == np.floor(turns - step)).astype(np.int8)
    if care:
        stable = dice[:, :, 1] >= expit(0.6 + 2 * care * ill)
        reason[(reason == 0) & stable] = REASONS.index("too stable to measure")
    return reason


def _static(latent, unit, truth):
    """What is known on admission, named as in the challenge."""
    return pd.DataFrame({"Age": latent["age"].round(), "Gender": (~latent["female"]).astype(float),
                         "Height": latent["height"].round(1), "ICUType": unit,
                         "Weight": truth[:, 0, NAMES.index("Weight")]})
