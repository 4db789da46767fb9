"""Splitting a data set so that no patient stands on both sides."""

import numpy as np

from ..errors import MedkitError

PARTS = ("train", "valid", "test")


def by_patient(patients, outcome, fractions=(0.7, 0.15, 0.15), seed=0):
    """Give each row its part, with all rows of a patient in one part and outcomes balanced.

    Parameters
    ----------
    patients : array of shape (n,)
        The patient of each row.
    outcome : array of shape (n,)
        The class of each row; a patient counts as the highest class among the patient's rows.
    fractions : tuple of three floats
        The shares of patients for training, validation and test.
    seed : int
        Which of the possible splits.

    Returns
    -------
    dict
        "train", "valid" and "test" to arrays of row numbers, ascending.

    Raises
    ------
    MedkitError
        If there are so few patients that a part would be empty.
    """
    part = folds(patients, outcome, fractions, seed)
    parts = {name: np.flatnonzero(part == k) for k, name in enumerate(PARTS)}
    empty = [name for name, rows in parts.items() if not len(rows)]
    if empty:
        need = next(n for n in range(3, 999) if len(set(folds(np.arange(n), np.zeros(n), fractions))) == 3)
        raise MedkitError(f"A split into training, validation and test needs at least {need} patients with the same "
                          f"outcome; of the {len(set(patients))} here none is left for '{empty[0]}'.")
    return parts


def folds(patients, outcome, parts=5, seed=0):
    """Number the part of each row, (n,): `parts` is how many equal ones, or their fractions. See `by_patient`."""
    ids, row_patient = np.unique(np.asarray(patients), return_inverse=True)
    worst = np.zeros(len(ids), dtype=int)
    np.maximum.at(worst, row_patient, np.unique(np.asarray(outcome), return_inverse=True)[1])
    fractions = [1 / parts] * parts if isinstance(parts, (int, np.integer)) else parts
    return deal(worst, fractions, np.random.default_rng(seed))[row_patient]


def deal(strata, fractions, rng):
    """Deal patients to the parts, stratum by stratum, so that each part gets its share of each."""
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    rank = np.arange(len(strata)) - np.searchsorted(strata[order], strata[order])
    size = np.bincount(strata)[strata[order]]
    bounds = np.cumsum(fractions[:-1])
    part = np.empty(len(strata), dtype=int)
    part[order] = np.searchsorted(bounds, (rank + 0.5) / size, side="right")
    return part
