"""Random numbers that belong to a patient, not to a cohort.

Patients are drawn in fixed blocks, each block from a generator of its own.
So patient i is the same in a cohort of ten and in one of a million.
"""
from zlib import crc32

import numpy as np

BLOCK = 256


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


def by_block(seed, stream, start, stop, draw, block=BLOCK):
    """Draw an array for the patients ``start`` to ``stop - 1``.

    Parameters
    ----------
    seed, stream : int, str
        See `block_rng`.
    start, stop : int
        Global patient numbers, ``0 <= start < stop``.
    draw : callable
        ``draw(rng, block)`` returns an array whose first axis has length `block`.
    block : int
        Patients in a block. Another size gives other patients.

    Returns
    -------
    numpy.ndarray
        First axis of length ``stop - start``.
    """
    first, last = start // block, -(-stop // block)
    parts = [draw(block_rng(seed, stream, b), block) for b in range(first, last)]
    return np.concatenate(parts)[start - first * block:stop - first * block]


def normals(seed, stream, start, stop, *shape):
    """Draw standard normal numbers of shape ``(stop - start, *shape)``."""
    return by_block(seed, stream, start, stop, lambda rng, n: rng.standard_normal((n, *shape)))


def uniforms(seed, stream, start, stop, *shape):
    """Draw numbers, uniform in [0, 1), of shape ``(stop - start, *shape)``."""
    return by_block(seed, stream, start, stop, lambda rng, n: rng.random((n, *shape)))
