"""Arrays that took long to make, kept in the cache folder: plain .npz files, nothing pickled."""

import hashlib
import json
from contextlib import suppress

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
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception:  # not there, or damaged, which fails in many ways: each means to make it again
        kept = make()
    with suppress(MedkitError, OSError):
        make_folder(path.parent)
        with written_whole(path) as aside, open(aside, "wb") as file:
            np.savez(file, **kept)
    return kept
