"""Variants of simulated patients: linkage blocks in Hardy-Weinberg equilibrium.

Each block has one lead variant. A chromosome's lead allele is drawn with the
lead's frequency; its neighbours copy it with a chance that falls with distance.
Both chromosomes are independent, which is what Hardy-Weinberg equilibrium means.

The named variants and their direction of effect are well known; the size of an
effect here is made up. Frequencies are rounded values of European populations.
"""
import numpy as np
import pandas as pd

from .streams import uniforms

# name: (chromosome, frequency of the counted allele, what it changes here)
CAUSAL = {
    "CYP2C9_3": (10, 0.07, "anticoagulant is broken down slowly"),
    "CYP2C9_2": (10, 0.13, "anticoagulant is broken down more slowly than usual"),
    "VKORC1": (16, 0.39, "sensitive to the anticoagulant (-1639 G>A)"),
    "CDKN2B_AS1": (9, 0.49, "coronary disease (9p21)"),
    "LPA": (6, 0.07, "coronary disease"),
    "PITX2": (4, 0.12, "atrial fibrillation"),
    "TCF7L2": (10, 0.29, "type 2 diabetes"),
    "FTO": (16, 0.42, "body mass index"),
    "CHRNA5": (15, 0.35, "smoking"),
    "ADRB1": (10, 0.27, "response to beta blockers (Arg389Gly)"),
    "CYP2C19_2": (10, 0.15, "response to clopidogrel"),
    "UMOD": (16, 0.20, "kidney disease"),
}
BLOCKS, PER_BLOCK, LEAD_AT = 20, 10, 4
COPIED = 0.85  # chance that a neighbour copies the variant beside it on its chromosome
NAMES = tuple(CAUSAL) + tuple(f"tag{i}" for i in range(len(CAUSAL), BLOCKS))
"""Lead variant of each linkage block; the ``tag`` blocks change nothing."""


def _frequencies():
    """Give the frequency of the counted allele of each lead, shape (BLOCKS,)."""
    known = [frequency for _, frequency, _ in CAUSAL.values()]
    return np.array(known + list(np.linspace(0.08, 0.48, BLOCKS - len(known))))


def leads(seed, start, stop):
    """Draw the lead allele of each block on both chromosomes.

    Returns
    -------
    numpy.ndarray
        bool, shape ``(stop - start, 2, BLOCKS)``.
    """
    u = uniforms(seed, "leads", start, stop, 2, BLOCKS)
    alleles = u < _frequencies()
    # CYP2C9 *2 and *3 never share a chromosome: they take neighbouring parts of one draw.
    star3, star2 = _frequencies()[:2]
    alleles[..., 1] = (u[..., 0] >= star3) & (u[..., 0] < star3 + star2)
    return alleles


def counts(seed, start, stop):
    """Count the lead alleles, as a dictionary of name to int8 array (n,)."""
    both = leads(seed, start, stop).sum(axis=1, dtype=np.int8)
    return {name: both[:, i] for i, name in enumerate(NAMES[:len(CAUSAL)])}


def _map():
    """List all variants: a lead in the middle of its block, neighbours about 2 kb apart."""
    rows = []
    for block, lead in enumerate(NAMES):
        chromosome, _, changes = CAUSAL.get(lead, (1 + block, None, ""))
        for offset in range(-LEAD_AT, PER_BLOCK - LEAD_AT):
            name = f"{lead}:{offset:+d}" if offset else lead
            rows.append((name, chromosome, 1_000_000 * (block + 1) + 2_000 * offset, block, "" if offset else changes))
    return pd.DataFrame(rows, columns=["variant", "chromosome", "position", "block", "changes"])


MAP = _map()
"""One row per variant: chromosome, position (base pairs, made up), linkage block, what it changes."""


def variants(seed, start, stop):
    """Draw all variants.

    Returns
    -------
    pandas.DataFrame
        int8, one row per patient, one column per row of `MAP`: number of counted
        alleles, 0, 1 or 2.
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
    return pd.DataFrame(counted, columns=MAP["variant"])
