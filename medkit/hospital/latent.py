"""The hidden state of health from which everything about a patient follows.

Causes run one way: genes, age and lifestyle, then history, then the severities
of six organ systems, then diseases. Severities lie in [0, 1]: 0 is healthy.
Levels are those of adults in intensive care; sizes of effects are plausible, not
estimated. Simulated throughout.
"""
import numpy as np
import pandas as pd
from scipy.special import expit, logit

from . import genes
from .streams import normals, uniforms

SYSTEMS = ("heart", "lung", "kidney", "infection", "brain", "metabolic")


def draw(seed, start, stop):
    """Draw the latent state of the patients ``start`` to ``stop - 1``.

    Returns
    -------
    pandas.DataFrame
        One row per patient: ``index``, ``seed``, ``hospital`` (0 to 3), lifestyle,
        history, the severities in `SYSTEMS`, disease flags (bool), ``ectopy_s`` and
        ``ectopy_v`` (ectopic beats per hour).
    """
    z = iter(normals(seed, "latent", start, stop, 18).T)
    u = iter(uniforms(seed, "flags", start, stop, 20).T)
    gene = genes.counts(seed, start, stop)
    state = {"index": np.arange(start, stop), "seed": np.full(stop - start, seed)}
    state |= _person(gene, z, u)
    state |= _history(gene, state, u)
    state |= _severities(gene, state, z)
    state |= _diseases(gene, state, u)
    state |= _ectopy(state, z)
    return pd.DataFrame(state)


def holters(seed, seen=6000, most=80):
    """Draw those of the admitted who have most ectopic beats, ventricular or atrial."""
    state = draw(seed, 0, seen)
    return state.loc[state.nlargest(most, "ectopy_v").index.union(state.nlargest(most, "ectopy_s").index)]


def referred(seed, n=300):
    """Draw patients sent for ectopic beats, a quarter for many atrial ones: of these some have a sick sinus node.

    Ectopic beats are rare among the admitted. Here their number is drawn anew, apart from age and the heart's illness.
    """
    state, rng = draw(seed, 0, n), np.random.default_rng(seed)
    state["ectopy_v"] = np.exp(rng.normal(4.5, 1.8, n))
    state["ectopy_s"] = np.exp(rng.normal(3.5, 1.8, n) + 2.5 * (rng.random(n) < 0.25))
    return state


def _person(gene, z, u):
    """Age, sex, body and habits."""
    age = np.clip(65 + 17 * next(z), 16, 90)
    female = next(u) < 0.44
    smoker = next(u) < expit(-0.4 + 0.3 * gene["CHRNA5"] - 0.4 * female)
    exercise = np.clip(2.5 + 2 * next(z) - 0.02 * (age - 64), 0, 10)
    alcohol = np.where(next(u) < 0.35, 0, np.exp(1.2 + 0.9 * next(z)))
    bmi = 27 * np.exp(0.2 * next(z)) + 0.6 * gene["FTO"] - 0.3 * (exercise - 2.5)
    return {
        "hospital": (next(u) * 4).astype(np.int8), "age": age, "female": female,
        "height": np.where(female, 162, 176) + 7 * next(z), "bmi": np.clip(bmi, 14, 60),
        "pack_years": np.where(smoker, np.clip(0.5 * (age - 15) * np.exp(0.6 * next(z)), 1, 120), 0),
        "exercise": exercise, "alcohol": np.clip(alcohol, 0, 60),
    }


def _history(gene, s, u):
    """Illness known before this admission."""
    old, heavy = (s["age"] - 64) / 17, (s["bmi"] - 27) / 6
    diabetes = next(u) < expit(-1.9 + 0.5 * heavy + 0.4 * old + 0.35 * gene["TCF7L2"])
    hypertension = next(u) < expit(-0.1 + 0.8 * old + 0.3 * heavy + 0.3 * diabetes)
    copd = next(u) < expit(-3 + 0.05 * s["pack_years"] + 0.3 * old)
    ckd = next(u) < expit(-3 + 0.6 * old + 0.8 * diabetes + 0.6 * hypertension + 0.4 * gene["UMOD"])
    failing = next(u) < expit(-3.2 + 0.7 * old + 0.7 * hypertension + 0.5 * diabetes
                              + 0.3 * gene["CDKN2B_AS1"] + 0.4 * gene["LPA"])
    burden = 0.25 + 0.6 * failing + 0.5 * copd + 0.4 * ckd + 0.3 * diabetes
    earlier = np.floor(burden * -np.log1p(-next(u)) * 2)
    return {"diabetes": diabetes, "hypertension": hypertension, "copd": copd, "ckd": ckd,
            "heart_failure_history": failing, "earlier_admissions": np.minimum(earlier, 20).astype(np.int8)}


def _severities(gene, s, z):
    """How ill each organ system is on admission; they share one acute insult."""
    old, acute = (s["age"] - 64) / 17, next(z)
    fit = (s["exercise"] - 2.5) / 2
    heart = (-1.5 + 1.6 * s["heart_failure_history"] + 0.3 * s["hypertension"] + 0.35 * old - 0.25 * fit
             + 0.2 * gene["CDKN2B_AS1"] + 0.3 * gene["LPA"] + 0.3 * acute + next(z))
    infection = -1.5 + 0.3 * s["diabetes"] + 0.4 * s["copd"] + 0.6 * acute + 1.2 * next(z)
    lung = (-1.7 + 1.2 * s["copd"] + 0.01 * s["pack_years"] + 0.3 * infection + 0.2 * heart
            - 0.2 * fit + 0.4 * acute + next(z))
    kidney = (-1.1 + 1.7 * s["ckd"] + 0.3 * old + 0.3 * heart + 0.25 * infection + 0.4 * acute
              + 0.8 * next(z))
    brain = -1.9 + 0.15 * old + 0.02 * s["alcohol"] + 0.5 * acute + 1.4 * next(z)
    metabolic = (-1.6 + 1.3 * s["diabetes"] + 0.03 * (s["bmi"] - 27) + 0.02 * s["alcohol"]
                 + 0.2 * infection + 0.5 * acute + 0.8 * next(z))
    return dict(zip(SYSTEMS, map(expit, (heart, lung, kidney, infection, brain, metabolic))))


def _diseases(gene, s, u):
    """Findings that a test can show; a severity makes them likely, not certain."""
    old, heart, lung, infection = (s["age"] - 64) / 17, s["heart"], s["lung"], s["infection"]
    failure = next(u) < expit(-4.8 + 9 * heart)
    pneumonia = next(u) < expit(-4.6 + 7 * infection + 3 * lung)
    fibrillation = next(u) < expit(-3.6 + 0.7 * old + 2 * heart + 0.5 * gene["PITX2"])
    return {
        "heart_failure": failure, "pneumonia": pneumonia,
        "effusion": next(u) < expit(-3.4 + 1.5 * failure + 1.2 * pneumonia + 2 * lung),
        "pneumothorax": next(u) < expit(-4.4 + 2.5 * lung + 0.6 * s["copd"]),
        "nodule": next(u) < expit(-3.2 + 0.02 * s["pack_years"] + 0.5 * old),
        "atrial_fibrillation": fibrillation,
        "flutter": (next(u) < expit(-4.6 + 2 * heart)) & ~fibrillation,
        "av_block": next(u) < expit(-4.2 + 0.5 * old + 2 * heart),
        "epilepsy": next(u) < expit(-4 + 4 * s["brain"]),
    }


def _ectopy(s, z):
    """Ectopic beats per hour, heavy tailed: most patients have few, some thousands."""
    atrial = np.exp(-0.5 + 0.8 * (s["age"] - 64) / 17 + 1.5 * s["heart"] + 1.7 * next(z))
    ventricular = np.exp(-0.7 + 4 * s["heart"] + 1.8 * next(z))
    return {"ectopy_s": np.minimum(atrial, 1500), "ectopy_v": np.minimum(ventricular, 1500)}


# Mean and spread of the logit of each severity over 100,000 patients.
_LEVELS = {"heart": (-.94, 1.32), "lung": (-2.05, 1.41), "kidney": (-1.54, 1.36),
           "infection": (-1.40, 1.35), "brain": (-1.82, 1.50), "metabolic": (-1.54, 1.20)}


def standardised(latent):
    """Give severities (on the logit scale) and age as standard scores: a dict of (n,) arrays."""
    scores = {k: (logit(latent[k].to_numpy()) - mean) / spread for k, (mean, spread) in _LEVELS.items()}
    return scores | {"age": (latent["age"].to_numpy() - 64) / 17}
