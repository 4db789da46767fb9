"""What a notebook says of itself, in its own outputs: figures, and what they were made with."""

import math
import re
import sys
from contextlib import suppress
from html import escape

FIGURE = "application/vnd.medkit.figure+json"
PROVENANCE = "application/vnd.medkit.provenance+json"
BAR = re.compile(r"\d+%\||\d+\S* \[\d+:\d\d, ")  # "40%|####" or "12it [00:03, "
PACKAGES = ("medkit-notebooks", "torch", "torchvision", "fastai", "scikit-learn", "numpy", "pandas", "matplotlib")


def record(name, value, low=None, high=None, unit=""):
    """Store a figure that the lesson claims, where the report and the tests find it, and show it.

    Parameters
    ----------
    name : str
        Such as "test_auroc".
    value : Estimate, float or str
        An `Estimate` brings its own interval.
    low, high : float, optional
        The 95 % interval.
    unit : str
        Such as "s" or "mg/week"; "" for a pure number.
    """
    from IPython.display import display

    if hasattr(value, "low"):
        value, low, high = value.value, value.low, value.high
    figure = {"name": name, "value": plain(value), "low": plain(low), "high": plain(high), "unit": unit}
    display({FIGURE: figure, "text/plain": f"{name}: {spoken(figure)}"}, raw=True)


def plain(number):
    """Bring a number to what JSON can hold; NaN and infinity become None."""
    if number is None or isinstance(number, str):
        return number
    return float(number) if math.isfinite(float(number)) else None


def spoken(figure):
    """Write a figure with its interval and unit, for a person."""
    value, unit = figure["value"], f" {figure['unit']}" if figure["unit"] else ""
    if not isinstance(value, float):
        return f"{value}{unit}"
    interval = figure["low"] is not None and figure["high"] is not None
    around = f" (95 % interval {figure['low']:z.3f} to {figure['high']:z.3f})" if interval else ""
    return f"{value:z.{3 if interval or value % 1 else 0}f}{unit}{around}"  # a count stands without decimals


def say(text):
    """Show prose that quotes computed figures (Markdown)."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def quote(text):
    """Make a text of the data (a name, a category) safe inside Markdown: it is shown as it is, and does nothing."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:-])", lambda found: f"&#{ord(found[0])};", escape(str(text), quote=False).replace("\n", " "))


def provenance(seed=None):
    """Show the versions, device, data checksums and peak memory of this run, and store them."""
    from IPython.display import display

    from .. import fetch

    facts = {"versions": versions(), "device": device(), "seed": seed, "data": dict(sorted(fetch.used.items())),
             "peak_memory_mb": peak_memory()}
    lines = [f"versions: {', '.join(f'{k} {v}' for k, v in facts['versions'].items())}",
             f"device: {facts['device']}; seed: {seed}; peak memory: {facts['peak_memory_mb']} MB"]
    lines += [f"data: {name} ({digest})" for name, digest in facts["data"].items()]
    display({PROVENANCE: facts, "text/plain": "\n".join(lines)}, raw=True)


def versions():
    """Give the version of Python and of each package that figures depend on."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def device():
    """Name the device that training chose, if torch was used at all."""
    if "torch" not in sys.modules:
        return "cpu"
    from ..training import best_device

    return best_device().type


def peak_memory():
    """Give this process's peak memory in MB, or None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def outputs_of(notebook, kind):
    """Give what a notebook's cells displayed of one kind (FIGURE or PROVENANCE), in order, one by one."""
    return (o["data"][kind] for c in notebook.cells for o in c.get("outputs", []) if kind in o.get("data", {}))


def drop_progress(notebook):
    """Take the progress bars off a notebook's standard error; what else stands there is kept, in one piece a cell."""
    import nbformat

    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        kept = [o for o in outputs if o.get("name") != "stderr"]
        said = without_bars("".join(o.text for o in outputs if o.get("name") == "stderr"))
        if len(kept) < len(outputs):
            cell.outputs = kept + ([nbformat.v4.new_output("stream", name="stderr", text=said)] if said else [])
    return notebook


def without_bars(text):
    """Show text as a terminal would (what follows the last carriage return), less tqdm's bars."""
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    return "\n".join(line for line in lines if line.strip() and not BAR.search(line))


def figures(notebook):
    """Collect the recorded figures of an executed notebook: {name: {value, low, high, unit}}."""
    return {f["name"]: {k: f[k] for k in ("value", "low", "high", "unit")} for f in outputs_of(notebook, FIGURE)}
