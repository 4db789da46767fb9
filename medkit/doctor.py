"""What `medkit doctor` looks at."""

import os
import shutil
import socket
import sys
from importlib import metadata
from urllib.parse import urlsplit

GB = 2**30


def findings():
    """Give (what, how it is, what to do) for each check; nothing to do is ""."""
    return [python(), *packages(), device(), memory(), disk(), cache(), network()]


def python():
    """Check the version of Python."""
    right = sys.version_info[:2] >= (3, 11)
    return "Python", sys.version.split()[0], "" if right else "Install Python 3.11 or newer."


def packages():
    """Check that the packages that the lessons need are there."""
    from importlib.util import find_spec

    for name, module in {"torch": "torch", "fastai": "fastai", "scikit-learn": "sklearn", "papermill": "papermill",
                         "jupyterlab": "jupyterlab"}.items():
        here = find_spec(module) is not None
        yield name, *((metadata.version(name), "") if here else ("missing", "Run: pip install -e . -c constraints.txt"))


def device():
    """Check where training will run."""
    from .training import best_device

    chosen = best_device().type
    return "Device", chosen, "" if chosen != "cpu" else "None needed: every lesson's default is made for a CPU."


def memory():
    """Check the memory that is there."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    except (ValueError, AttributeError):
        return "Memory", "unknown", ""
    return "Memory", f"{total:.1f} GB", "" if total >= 4 else "Close other programs: 4 GB are wanted."


def disk():
    """Check the free space where data are kept."""
    from . import fetch

    folder = next(f for f in (fetch.root().absolute(), *fetch.root().absolute().parents) if f.exists())
    free = shutil.disk_usage(folder).free / GB
    return "Free disk", f"{free:.0f} GB", "" if free >= 2 else "Free some space: data sets take up to 2 GB."


def cache():
    """Check the folder that holds the data sets."""
    from . import fetch

    folder = fetch.root()
    state = "there" if folder.is_dir() else "made at the first download"
    return "Data folder", f"{folder} ({state})", "" if state != "there" or os.access(folder, os.W_OK) else (
        "Read only: set MEDKIT_DATA to another folder before you download.")


def network():
    """Check whether the mirror, or the source of the MedMNIST sets, answers."""
    from .catalog import card

    url = urlsplit(os.environ.get("MEDKIT_MIRROR") or card("pneumoniamnist").base_url)
    try:
        socket.create_connection((url.hostname, url.port or (443 if url.scheme == "https" else 80)), timeout=3).close()
    except OSError:
        return "Network", f"no answer from {url.hostname}", "Lessons that use built-in data need none."
    return "Network", f"{url.hostname} answers", ""
