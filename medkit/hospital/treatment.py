"""Treatments of simulated patients, with the effect on each patient known.

Who profits depends on genes, history and lifestyle. The directions are those of the
literature (CYP2C19*2 weakens clopidogrel; beta blockers suit a failing heart, less
so in carriers of ADRB1 Gly389 and in COPD); the sizes are made up.
"""
import numpy as np
import pandas as pd
from scipy.special import softmax

from . import genes
from .latent import standardised
from .streams import normals, uniforms

ARMS = ("usual care", "beta blocker", "clopidogrel", "steroid", "rehabilitation")
ASSIGNMENTS = ("confounded", "randomised")
VKORC1 = {"G/G": 0.0, "A/G": -0.8677, "A/A": -1.6974}
CYP2C9 = {"*1/*1": 0.0, "*1/*2": -0.5211, "*1/*3": -0.9357, "*2/*2": -1.0616, "*2/*3": -1.9206, "*3/*3": -2.3312}
RACE = {"White": 0.0, "Asian": -0.1092, "Black or African American": -0.2760}
_STARS = np.array([["*1/*1", "*1/*3", "*3/*3"], ["*1/*2", "*2/*3", ""], ["*2/*2", "", ""]])  # by number of *2, of *3


def assign(cohort, assignment="confounded", arms=2):
    """Treat simulated patients.

    Parameters
    ----------
    cohort : medkit.hospital.Cohort
    assignment : {"confounded", "randomised"}
        Whether the more ill are treated more often, or chance decides.
    arms : int
        Number of arms of `ARMS`, 2 to 5; arm 0 is usual care.

    Returns
    -------
    pandas.DataFrame
        ``arm``, ``treatment`` (its name), and for each arm k ``propensity_k`` and
        ``effect_k``: the logarithm of the hazard ratio of death against arm 0.

    Raises
    ------
    ValueError
        If `assignment` or `arms` is none of these.
    """
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"assignment must be one of {ASSIGNMENTS}, got {assignment!r}")
    if not 2 <= arms <= len(ARMS):
        raise ValueError(f"arms must be 2 to {len(ARMS)}, got {arms}")
    chance = np.full((len(cohort), arms), 1 / arms)
    if assignment == "confounded":
        chance = 0.05 / arms + 0.95 * softmax(_leaning(cohort.latent)[:, :arms], axis=1)
    u = uniforms(cohort.seed, "treatment", cohort.start, cohort.stop)
    arm = np.minimum((u[:, None] >= np.cumsum(chance, axis=1)).sum(axis=1), arms - 1)
    told = {"arm": arm, "treatment": np.take(ARMS, arm)}
    told |= {f"propensity_{k}": chance[:, k] for k in range(arms)}
    return pd.DataFrame(told | {f"effect_{k}": v for k, v in enumerate(effects(cohort).T[:arms])})


def effects(cohort):
    """Give the logarithm of the hazard ratio of each arm against usual care, (n, 5)."""
    s = cohort.latent
    gene = genes.counts(cohort.seed, cohort.start, cohort.stop)
    smoker = s["pack_years"].to_numpy() > 0
    blocker = 0.25 - 2.0 * s["heart"] + 0.40 * gene["ADRB1"] + 0.50 * s["copd"]
    clopidogrel = -0.35 - 0.25 * gene["CDKN2B_AS1"] + 0.70 * gene["CYP2C19_2"] - 0.30 * smoker
    steroid = 0.20 - 2.2 * s["infection"] + 0.80 * s["diabetes"]
    rehabilitation = -0.90 + 0.20 * s["exercise"] + 0.02 * (s["age"] - 64)
    return np.stack([np.zeros(len(s)), blocker, clopidogrel, steroid, rehabilitation], axis=1)


def _leaning(latent):
    """How doctors lean to each arm, (n, 5): the more ill a patient, the less usual care."""
    z = standardised(latent)
    ill = (z["heart"] + z["lung"] + z["kidney"] + z["infection"] + z["brain"]) / 3.2
    return np.stack([0 * ill, 0.9 * ill + 0.5 * z["heart"], 0.7 * ill + 0.4 * z["age"],
                     0.8 * ill + 0.5 * z["infection"], 0.6 * ill - 0.4 * z["age"]], axis=1)


def anticoagulate(cohort, weekly_mg=None):
    """Give warfarin: the dose that each simulated patient needs, and what a dose does.

    The square root of the stable dose follows the pharmacogenetic algorithm of the
    International Warfarin Pharmacogenetics Consortium (2009, N Engl J Med 360:753,
    doi:10.1056/NEJMoa0809329), with a made-up extra need of smokers and a residual.

    Parameters
    ----------
    cohort : medkit.hospital.Cohort
    weekly_mg : float or array of shape (n,), optional
        A dose to try, above 0. Trying several shows the dose-response of a patient.

    Returns
    -------
    pandas.DataFrame
        ``amiodarone`` and ``inducer`` (interacting drugs), ``stable_mg`` a week; with
        `weekly_mg` also ``inr``, the ``risk`` of bleeding or clotting, and ``harmed``.

    Raises
    ------
    ValueError
        If a dose is not above 0.
    """
    where = cohort.seed, "warfarin", cohort.start, cohort.stop
    u = uniforms(*where, 3)
    told = pd.DataFrame({"amiodarone": u[:, 0] < 0.05 + 0.2 * cohort.latent["atrial_fibrillation"],
                         "inducer": u[:, 1] < 0.02})
    told["stable_mg"] = np.clip(_root_dose(cohort, told) + 0.9 * normals(*where), 1.6, None) ** 2
    if weekly_mg is None:
        return told
    if not np.all(np.asarray(weekly_mg) > 0):
        raise ValueError("weekly_mg must be above 0")
    told["inr"] = 2.5 * weekly_mg / told["stable_mg"]
    told["risk"] = 1 - np.exp(-0.03 - 0.8 * np.log(told["inr"] / 2.5) ** 2)
    return told.assign(harmed=u[:, 2] < told["risk"])


def _root_dose(cohort, drugs):
    """Expected square root of the stable weekly dose in mg, (n,)."""
    s = cohort.latent
    gene = genes.counts(cohort.seed, cohort.start, cohort.stop)
    people = {"decade": np.floor(s["age"] / 10), "height": s["height"], "weight": s["bmi"] * (s["height"] / 100) ** 2,
              "vkorc1": np.take(("G/G", "A/G", "A/A"), gene["VKORC1"]),
              "cyp2c9": _STARS[gene["CYP2C9_2"], gene["CYP2C9_3"]], "race": "White"}
    return iwpc_root_dose(pd.DataFrame(people | dict(drugs.items()))) + 0.3 * (s["pack_years"] > 0)


def iwpc_root_dose(people):
    """Square root of the stable weekly warfarin dose in mg, by the published pharmacogenetic algorithm.

    International Warfarin Pharmacogenetics Consortium, 2009, N Engl J Med 360:753-764,
    doi:10.1056/NEJMoa0809329, supplementary appendix. On 4,386 patients of its own table it errs by
    8.35 mg a week on average (checked by tests/data/test_real_warfarin.py).

    Parameters
    ----------
    people : pandas.DataFrame
        ``decade`` (age in years // 10), ``height`` (cm), ``weight`` (kg), ``cyp2c9`` ("*1/*3"),
        ``vkorc1`` (-1639 G>A: "G/G", "A/G", "A/A"), ``race`` (a key of `RACE`, anything else is
        mixed or missing), ``inducer`` (of enzymes: carbamazepine, phenytoin, rifampin) and
        ``amiodarone`` (0 or 1). A genotype that is none of the known ones counts as unknown.

    Returns
    -------
    pandas.Series
        Its square is the dose.
    """
    p = people
    return (5.6044 - 0.2614 * p["decade"] + 0.0087 * p["height"] + 0.0128 * p["weight"]
            + p["vkorc1"].map(VKORC1).fillna(-0.4854) + p["cyp2c9"].map(CYP2C9).fillna(-0.2188)
            + p["race"].map(RACE).fillna(-0.1032) + 1.1816 * p["inducer"] - 0.5503 * p["amiodarone"])
