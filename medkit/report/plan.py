"""The tasks of a run: which notebooks, with which parameters, and what each depends on."""

import csv
import hashlib
import itertools
import json
import math
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .. import lessons
from ..errors import MedkitError
from . import parameters

MOST = 1_000_000  # reports of one grid
FACTS = ("status", "seconds", "error", "figures")  # what comes of a task


@dataclass
class Task:
    """One lesson to run with one set of parameters, and what came of it."""

    lesson: str
    parameters: dict
    stem: str  # the name of its files
    path: Path = None  # the source
    status: str = "not started"
    seconds: float | None = None
    error: str | None = None
    figures: dict = field(default_factory=dict)

    def facts(self):
        """Give what came of it."""
        return {name: getattr(self, name) for name in FACTS}

    def result(self):
        """Give the entry of `results.json`."""
        return {"notebook": self.lesson, "parameters": self.parameters, **self.facts()}


def plan(words, given, rows=None):
    """Make the tasks of a run, after checking lessons and parameters.

    Parameters
    ----------
    words : list of str
        Lessons by number or name, or paths of notebooks; empty means all lessons.
    given : dict
        Parameters for each of them; with several lessons, each takes those that it knows,
        and at least one lesson must know each.
    rows : list of (str, dict), optional
        From `grid` or `table`: where a set of parameters stands, and the set. One task for each, and for each lesson.

    Returns
    -------
    list of Task
        Without repetitions.
    """
    paths = [lessons.find(w) for w in words] or lessons.sources()
    known = {p: parameters.read(notebook(p)) for p in paths}
    everything = {name: found for one in known.values() for name, found in one.items()}
    tasks = {}
    for where, row in rows or [("", {})]:
        values = {**row, **given, **row}  # what tells rows apart comes first, in names and columns
        try:
            parameters.check(values, everything, ", ".join(p.stem for p in paths))
            made = [task(p, values, known[p], rows is not None) for p in paths]
        except MedkitError as error:
            raise MedkitError(f"{where}: {error}" if where else str(error)) from None
        tasks |= {t.stem: t for t in made}
    return list(tasks.values())


def task(path, values, known, many):
    """Make one task; of many, each is named by its parameters."""
    own = parameters.check({k: v for k, v in values.items() if k in known}, known, path.stem)
    return Task(path.stem, own, named(path.stem, own) if many else path.stem, path)


def named(stem, own):
    """Name a task by its parameters: letters that every file system takes, and a checksum that tells it from others."""
    text = re.sub(r"[^A-Za-z0-9.=_]+", "-", "_".join(f"{k}={v}" for k, v in own.items()))[:60].strip("-.")
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:10]
    return f"{stem}-{text}-{digest}"


@cache
def notebook(path):
    """Give the notebook that a report runs: a lesson without exercises, or another notebook as it is."""
    import nbformat

    source = lessons.read(path)
    if "medkit" in source.metadata:
        return lessons.compose(path, "report")
    cells = lessons.with_ids([lessons.plain_cell(c, "report") for c in source.cells], path.stem)
    return nbformat.v4.new_notebook(cells=cells, metadata=lessons.KERNEL)


def grid(path):
    """Read a grid: a YAML file of parameters, each with a list of values (as text); gives every combination.

    Example: `seed: [0, 1, 2]` and `rate: [0.1, 0.2]` are six tasks.
    """
    import yaml

    try:
        axes = texts()(read_text(path)).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MedkitError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(axes, dict) or not all(isinstance(k, str) for k in axes) or not axes:
        raise MedkitError(f"{path}: a grid is lines such as 'seed: [0, 1, 2]': a parameter and its values.")
    values = [v if isinstance(v, list) else [v] for v in axes.values()]
    if any(isinstance(v, list | dict) or v is None for one in values for v in one):
        raise MedkitError(f"{path}: the values of a grid are single words and numbers, as in 'seed: [0, 1, 2]'.")
    if not all(values):
        raise MedkitError(f"{path}: a parameter has no values, so there is nothing to run.")
    if math.prod(map(len, values)) > MOST:
        raise MedkitError(f"{path} asks for {math.prod(map(len, values)):,} reports; more than {MOST:,} are not planned.")
    return [(str(path), dict(zip(axes, one))) for one in itertools.product(*values)]


@cache
def texts():
    """Make a safe reader of YAML that leaves values as they are written: 007 is not 7."""
    from yaml import SafeLoader

    kept = {first: [r for r in found if r[0].endswith((":null", ":merge"))]
            for first, found in SafeLoader.yaml_implicit_resolvers.items()}
    return type("Texts", (SafeLoader,), {"yaml_implicit_resolvers": kept})


def table(path):
    """Read a table (CSV, any usual separator and encoding) of parameters: a column each, a task each row.

    An empty cell means the default.
    """
    from ..datasets import reading

    try:
        lines = read_text(path).splitlines(keepends=True)
        if not lines:
            raise MedkitError(f"{path} is empty, so it is not a table: its first line names the parameters.")
        header, *body = csv.reader(lines, strict=True, skipinitialspace=True, delimiter=reading.separator(lines[0]))
    except (csv.Error, ValueError) as error:
        raise MedkitError(f"{path} is not a table in CSV form: {error}.") from None
    repeated = {name for name in header if header.count(name) > 1}
    if repeated or not all(header):
        raise MedkitError(f"{path}: the first line names the parameters, each once; "
                          f"{', '.join(sorted(repeated)) or 'an empty name'} does not fit.")
    body = [(f"{path}, row {k}", row) for k, row in enumerate(body, 2) if row]
    for where, row in body:
        if len(row) != len(header):
            raise MedkitError(f"{where} has {len(row)} cells, but the first line has {len(header)}.")
    if not body:
        raise MedkitError(f"{path} has no rows below its first line, so there is nothing to run.")
    return [(where, {k: v for k, v in zip(header, row) if v}) for where, row in body]


def cross(first, second):
    """Combine each row of a grid with each row of a table."""
    if first is None or second is None:
        return first or second
    return [(f"{a} with {b}", {**x, **y}) for a, x in first for b, y in second]


def read_text(path):
    """Read a text file that a user named, in any usual encoding."""
    from ..datasets import reading

    try:
        return reading.decoded(Path(path))
    except OSError as error:
        raise MedkitError(f"Cannot read {path}: {error.strerror or error}.") from None
