"""What `medkit doctor` looks at."""

import os
import shutil
import socket
import sys
from importlib import import_module, metadata
from urllib.parse import urlsplit

import psutil

from . import catalog, fetch
from .errors import reason

GB = 2**30


def findings():
    """Give (what, how it is, what to do) for each check; nothing to do is ""."""
    return [python(), *packages(), device(), memory(), disk(), cache(), network()]


def python():
    """Tell the version of Python; with one before 3.11 medkit is not even imported."""
    return "Python", sys.version.split()[0], ""


def packages():
    """Check that the packages that the lessons need are there, and can be imported."""
    for name in ("torch", "fastai", "scikit-learn", "papermill", "jupyterlab"):
        try:
            import_module({"scikit-learn": "sklearn"}.get(name, name))
            yield name, metadata.version(name), ""
        except Exception as error:  # a broken one fails in ways that nobody foresees
            yield name, f"missing or broken: {reason(error)}", "Run: pip install -e . -c constraints.txt"


def device():
    """Check where training will run."""
    try:
        from .training import best_device
    except Exception:
        return "Device", "unknown", "Mend the packages above first."
    chosen = best_device().type
    return "Device", chosen, "" if chosen != "cpu" else "None needed: every lesson's default is made for a CPU."


def memory():
    """Check the memory that is there."""
    total = psutil.virtual_memory().total / GB
    return "Memory", f"{total:.1f} GB", "" if total >= 4 else "Close other programs: 4 GB are wanted."


def nearest():
    """Give the data folder, or as long as it is not made the nearest folder above it."""
    return next(f for f in (fetch.root().absolute(), *fetch.root().absolute().parents) if f.exists())


def disk():
    """Check the free space where data are kept."""
    free = shutil.disk_usage(nearest()).free / GB
    return "Free disk", f"{free:.0f} GB", "" if free >= 2 else "Free some space: data sets take up to 2 GB."


def cache():
    """Check the folder that holds the data sets, or will hold them."""
    state = "there" if fetch.root().is_dir() else "made at the first download"
    good = nearest().is_dir() and os.access(nearest(), os.W_OK)
    return "Data folder", f"{fetch.root()} ({state})", "" if good else (
        "Cannot be written: set MEDKIT_DATA to another folder before you download.")


def network():
    """Check whether the mirror, or the source of the MedMNIST sets, answers."""
    address = os.environ.get("MEDKIT_MIRROR") or catalog.card("pneumoniamnist").base_url
    try:
        url = urlsplit(address)
        port = url.port or {"http": 80, "https": 443}[url.hostname and url.scheme]
        socket.create_connection((url.hostname, port), timeout=3).close()
    except OSError:
        return "Network", f"no answer from {url.hostname}", "Lessons that use built-in data need none."
    except (ValueError, KeyError):
        return "Network", f"'{address}' is no address", "Set MEDKIT_MIRROR to one such as http://192.168.1.5:8000/data."
    return "Network", f"{url.hostname} answers", ""
