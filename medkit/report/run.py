"""Run lessons one after the other, and write one page and one file about all of them."""

import json

from ..files import make_folder, write_text
from . import execute, index


def run(words, given, out, progress=True):
    """Run lessons with parameters, whatever becomes of each, and write the index.

    Parameters
    ----------
    words : list of str
        Lessons by number or name; empty means all.
    given : dict
        Parameters.
    out : path
        The folder that gets `index.html`, `results.json`, and each lesson as .html and .ipynb.

    Returns
    -------
    list of Task
    """
    tasks = execute.plan(words, given)
    out = make_folder(out)
    write_index(tasks, out)
    for task in tasks:
        execute.run(task, out, progress)
        write_index(tasks, out)
    return tasks


def write_index(tasks, out):
    """Write `results.json` and `index.html` as things stand."""
    write_text(out / "results.json", json.dumps([t.result() for t in tasks], indent=1) + "\n")
    write_text(out / "index.html", index.page(tasks))
