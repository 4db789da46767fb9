"""What becomes of simulated patients, under the treatment they had and under each other.

Time to death is a Weibull time whose hazard grows with age and the severities. Chance
is drawn once per patient and kept for every arm, so arms differ by their effect alone.
"""
import numpy as np
import pandas as pd
from scipy.special import expit

from . import treatment
from .latent import standardised
from .streams import normals, uniforms

YEAR = 365.0
HAZARD = {"heart": .40, "lung": .35, "kidney": .40, "infection": .30, "brain": .65, "metabolic": .30, "age": .45}
_LEVEL, _SHAPE = -3.2, 0.3


def follow_up(cohort, assignment="confounded", arms=2):
    """Follow simulated patients for a year from admission.

    Parameters
    ----------
    cohort : medkit.hospital.Cohort
    assignment, arms
        See `medkit.hospital.treatment.assign`.

    Returns
    -------
    pandas.DataFrame
        ``arm``; ``died`` in hospital; ``readmitted`` within 30 days (missing for the
        dead); ``days`` to death or to the end of follow-up, ``event`` (death seen), and
        ``hospital_days``. The same under arm k: ``died_if_k`` and so on, and
        ``survival_if_k``, the true days to death, past the end of follow-up as well.
    """
    given = treatment.assign(cohort, assignment, arms)
    worlds = [_world(cohort, given[f"effect_{k}"].to_numpy()) for k in range(arms)]
    arm, row = given["arm"].to_numpy(), np.arange(len(cohort))
    observed = {name: np.stack([w[name] for w in worlds])[arm, row]
                for name in ("died", "readmitted", "days", "event", "hospital_days")}
    potential = {f"{name}_if_{k}": v for k, w in enumerate(worlds) for name, v in w.items()}
    return pd.DataFrame({"arm": arm} | observed | potential)


def expected_days(cohort, effect):
    """Give the expected days alive within a year, (n,), under treatments of these log hazard ratios (n,)."""
    t = np.linspace(0, YEAR - 2, 400)
    some = np.array_split(np.exp(np.asarray(_log_hazard(cohort) + effect)), len(cohort) // 5000 + 1)  # to save memory
    return 2 + np.concatenate([np.trapezoid(np.exp(-h[:, None] * t**_SHAPE), t, axis=1) for h in some])


def _log_hazard(cohort):
    """Log hazard of each patient without any treatment, (n,)."""
    z = standardised(cohort.latent)
    return _LEVEL + sum(weight * z[name] for name, weight in HAZARD.items())


def _world(cohort, effect):
    """Let the year pass for all patients under treatments of these effects."""
    s = cohort.latent
    where = cohort.seed, "outcome", cohort.start, cohort.stop
    u, bell = uniforms(*where, 4), normals(*where)
    ill = _log_hazard(cohort) + effect
    survival = 2 + np.minimum((-np.log1p(-u[:, 0]) / np.exp(ill)) ** (1 / _SHAPE), 100 * YEAR)
    home = 2 + np.exp(1.9 + 0.12 * (ill - _LEVEL) + 0.6 * bell)
    lost = np.where(u[:, 1] < 0.25, 2 + np.maximum(home, YEAR * u[:, 2]), YEAR)
    died, end = survival <= home, np.minimum(lost, YEAR)
    again = u[:, 3] < expit(-2.3 + 0.30 * np.minimum(s["earlier_admissions"], 5) + 0.15 * (ill - _LEVEL))
    return {"died": died, "readmitted": np.where(died, np.nan, again),
            "days": np.minimum(survival, end), "event": survival <= end,
            "hospital_days": np.minimum(survival, home), "survival": survival}
