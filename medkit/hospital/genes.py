"""Variants of simulated patients: linkage blocks in Hardy-Weinberg equilibrium.

Each block has one lead variant. A chromosome's lead allele is drawn with the
lead's frequency; its neighbours copy it with a chance that falls with distance.
Both chromosomes are independent, which is what Hardy-Weinberg equilibrium means.

The named variants and their direction of effect are well known; the size of an
effect here is made up. Frequencies are rounded values of European populations.
"""
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import read_toml
from .streams import uniforms

CAUSAL = read_toml(Path(__file__).with_suffix(".toml"))  # {name: chromosome, frequency, changes}
BLOCKS, PER_BLOCK, LEAD_AT = 20, 10, 4
COPIED = 0.85  # chance that a neighbour copies the variant beside it on its chromosome
# Lead variant of each linkage block; the `tag` blocks change nothing.
NAMES = tuple(CAUSAL) + tuple(f"tag{i}" for i in range(len(CAUSAL), BLOCKS))
# The frequency of the counted allele of each lead; those of the `tag` blocks are spread evenly.
FREQUENCIES = np.r_[[variant["frequency"] for variant in CAUSAL.values()], np.linspace(0.08, 0.48, BLOCKS - len(CAUSAL))]


def leads(seed, start, stop):
    """Draw the lead allele of each block on both chromosomes.

    Returns
    -------
    numpy.ndarray
        bool, shape ``(stop - start, 2, BLOCKS)``.
    """
    u = uniforms(seed, "leads", start, stop, 2, BLOCKS)
    alleles = u < FREQUENCIES
    # CYP2C9 *2 and *3 never share a chromosome: they take neighbouring parts of one draw.
    star3, star2 = FREQUENCIES[:2]
    alleles[..., 1] = (u[..., 0] >= star3) & (u[..., 0] < star3 + star2)
    return alleles


def counts(seed, start, stop):
    """Count the lead alleles, as a dictionary of name to int8 array (n,)."""
    both = leads(seed, start, stop).sum(axis=1, dtype=np.int8)
    return {name: both[:, i] for i, name in enumerate(NAMES[:len(CAUSAL)])}


# A lead in the middle of its block, and its neighbours by their places beside it.
VARIANTS = pd.Index([f"{lead}:{beside:+d}" if beside else lead for lead in NAMES
                     for beside in range(-LEAD_AT, PER_BLOCK - LEAD_AT)], name="variant")


def variants(seed, start, stop):
    """Draw all variants.

    Returns
    -------
    pandas.DataFrame
        int8, one row per patient, one column per name in `VARIANTS`: number of
        counted alleles, 0, 1 or 2.
    """
    haplotypes = np.empty((stop - start, 2, BLOCKS, PER_BLOCK), bool)
    haplotypes[..., LEAD_AT] = leads(seed, start, stop)
    u = uniforms(seed, "neighbours", start, stop, 2, BLOCKS, PER_BLOCK)
    fresh = u < COPIED + (1 - COPIED) * np.linspace(0.15, 0.45, PER_BLOCK)
    for steps, before in ((range(LEAD_AT - 1, -1, -1), 1), (range(LEAD_AT + 1, PER_BLOCK), -1)):
        for i in steps:
            copied = u[..., i] < COPIED
            haplotypes[..., i] = np.where(copied, haplotypes[..., i + before], fresh[..., i])
    counted = haplotypes.sum(axis=1, dtype=np.int8).reshape(stop - start, -1)
    return pd.DataFrame(counted, columns=VARIANTS)
