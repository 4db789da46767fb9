"""Arrays that took long to make, kept in the cache folder: plain .npz files, nothing pickled."""

import hashlib
import json

import numpy as np

from .. import fetch
from ..errors import MedkitError
from ..files import make_folder, written_whole


def cached(name, key, make):
    """Give the arrays of `make()`: from the cache folder if they were made before of the same things.

    Parameters
    ----------
    name : str
        What the arrays are, such as "mitdb-beats".
    key : anything that JSON can write
        All that the arrays depend on: checksums of the sources, settings, and a version of the code.
    make : callable
        Makes the arrays: {name: array}.

    Notes
    -----
    A damaged file is made again. Where nothing can be written, the arrays are made each time.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = fetch.root() / "made" / f"{name}-{digest}.npz"
    kept = read(path)
    if kept is None:
        kept = make()
        write(path, kept)
    return kept


def read(path):
    """Read a file of the cache; None if it is not there, or is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception:  # a damaged zip fails in many ways, and each means: make it again
        return None


def write(path, arrays):
    """Write a file of the cache, whole or not at all."""
    try:
        make_folder(path.parent)
        with written_whole(path) as aside, open(aside, "wb") as file:
            np.savez(file, **arrays)
    except (MedkitError, OSError):
        pass
