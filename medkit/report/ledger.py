"""What is done already: each report's notebook carries what it was made from, so it is its own entry of the ledger.

A notebook is renamed into place as the last step of its task. So a task is done if and only if its notebook is there,
says "done", and was made from the same source, parameters and data.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

import medkit

from .. import fetch
from ..errors import MedkitError
from .plan import FACTS, notebook

MOST = 200_000  # entries of a folder that are looked at
OUTPUT = "save_to"  # a parameter that names what a report writes, not what it reads


def key(task):
    """Give a checksum of all that a task depends on: medkit, the notebook, the parameters, files that they name."""
    files = {k: fingerprint(v) for k, v in task.parameters.items() if isinstance(v, str) and k != OUTPUT}
    parts = [code(), source(task.path), task.parameters, files]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def code():
    """Give a checksum of medkit's own files: its code, and the catalog with the checksums of all data sets."""
    files = sorted(p for p in Path(medkit.__file__).parent.rglob("*.*") if p.is_file() and p.suffix != ".pyc")
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()


@cache
def source(path):
    """Give a checksum of a notebook's cells."""
    return hashlib.sha256(json.dumps([c.source for c in notebook(path).cells]).encode()).hexdigest()


@cache
def fingerprint(name):
    """Give the checksums of a file and of what is read with it, or of a folder's names, sizes and times; "" if it is not there."""
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return "".join(f"{p.name} {fetch.checksum(p)} " for p in (path, *beside(path)))
        found = sorted(p for p in islice(files_in(path), MOST) if p.is_file()) if name and path.is_dir() else []
        facts = [(str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in found]
    except (OSError, ValueError, RuntimeError):  # the last: ~ of a user who is not here
        return ""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest() if facts else ""


def files_in(folder):
    """Give the files of a folder, also where links lead."""
    return (Path(at, name) for at, _, names in os.walk(folder, followlinks=True) for name in names)


def beside(path):
    """Find what is read with a file: its schema and the other files of a recording, which have its stem, and outcomes."""
    near = [path.parent / name for name in os.listdir(path.parent) if name.startswith((f"{path.stem}.", "outcomes."))]
    return sorted(p for p in near if p != path and p.stem in (path.stem, "outcomes") and p.suffix not in (".html", ".ipynb")
                  and p.is_file())


def stamp(task, made, digest):
    """Write into a finished notebook what it was made from, and what came of it."""
    made.metadata.setdefault("medkit", {})["task"] = {**task.facts(), "key": digest}


def restore(task, out, digest):
    """Fill in a task from its files of an earlier run; says whether it is done and nothing has changed since."""
    try:
        text = (Path(out) / f"{task.stem}.ipynb").read_text(encoding="utf-8")
        facts = json.loads(text)["metadata"]["medkit"]["task"]
        if facts["key"] != digest or facts["status"] != "done" or not (Path(out) / f"{task.stem}.html").exists():
            return False
        if not Path(task.parameters.get(OUTPUT, "")).expanduser().exists():
            return False
        vars(task).update({name: facts[name] for name in FACTS})
        return True
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return False


@contextmanager
def locked(out):
    """Keep a second run out of the same folder, and remove what a killed one left half written."""
    try:
        import fcntl

        folder = os.open(out, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows has no such lock
        folder = None
    except BlockingIOError:
        os.close(folder)
        raise MedkitError(f"Another run is writing in {out}. Wait for it, or choose another folder.") from None
    except OSError:  # a network drive that knows no locks
        pass
    try:
        for left in Path(out).glob(".*.part.*"):
            left.unlink(missing_ok=True)
        yield
    finally:
        if folder is not None:
            os.close(folder)
