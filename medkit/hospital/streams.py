"""Random numbers that belong to a patient, not to a cohort.

Patients are drawn in fixed blocks, each block from a generator of its own.
So patient i is the same in a cohort of ten and in one of a million.
"""
from zlib import crc32

import numpy as np

BLOCK = 256  # patients in a block; another size gives other patients


def block_rng(seed, stream, block):
    """Give the generator of one block of patients.

    Parameters
    ----------
    seed : int
        Seed of the hospital, zero or more.
    stream : str
        What is drawn, such as ``"latent"``; streams are independent.
    block : int
        Number of the block, patient number // block size.

    Returns
    -------
    numpy.random.Generator
        A PCG64 generator, the same on every machine.
    """
    key = (crc32(stream.encode()), block)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def by_patient(latent, stream):
    """Give a generator for each patient (row) of a latent state: a list."""
    return [block_rng(seed, stream, index) for seed, index in zip(latent["seed"], latent["index"])]


def by_block(seed, stream, start, stop, draw):
    """Draw an array for the patients ``start`` to ``stop - 1``.

    Parameters
    ----------
    seed, stream : int, str
        See `block_rng`.
    start, stop : int
        Global patient numbers, ``0 <= start < stop``.
    draw : callable
        ``draw(rng)`` returns an array whose first axis has length `BLOCK`.

    Returns
    -------
    numpy.ndarray
        First axis of length ``stop - start``.
    """
    first, last = start // BLOCK, -(-stop // BLOCK)
    parts = [draw(block_rng(seed, stream, b)) for b in range(first, last)]
    return np.concatenate(parts)[start - first * BLOCK:stop - first * BLOCK]


def normals(seed, stream, start, stop, *shape):
    """Draw standard normal numbers of shape ``(stop - start, *shape)``."""
    return by_block(seed, stream, start, stop, lambda rng: rng.standard_normal((BLOCK, *shape)))


def uniforms(seed, stream, start, stop, *shape):
    """Draw numbers, uniform in [0, 1), of shape ``(stop - start, *shape)``."""
    return by_block(seed, stream, start, stop, lambda rng: rng.random((BLOCK, *shape)))
