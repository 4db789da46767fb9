"""Write the notebooks of all lessons: `make build`."""

import json
import sys
import time
from pathlib import Path

import nbformat

from . import lessons
from .files import make_folder, write_text
from .report import plan
from .report.record import PROVENANCE, drop_progress, outputs_of

MARKS = "<!-- lessons, written by make build -->", "<!-- end of lessons -->"
KINDS = "exercises", "solutions"  # each in a folder of its name


def build(root, *, execute=True, force=False):
    """Write `NN_topic.ipynb` (with outputs), `exercises/` and `solutions/` below a folder.

    A lesson whose text has not changed keeps its file, byte for byte; one whose code has not changed keeps its outputs.

    Parameters
    ----------
    root : path
        The `notebooks` folder.
    execute : bool
        Whether lessons whose code changed are run for their outputs.
    force : bool
        Run every lesson anew.
    """
    root = make_folder(root)
    for path in lessons.sources():
        target = root / f"{path.stem}.ipynb"
        if execute and (force or not current(target, lessons.compose(path), "code")):
            print(f"running {path.stem} ...", flush=True)
            write_notebook(target, run(path))
        if target.exists() and not current(target, lessons.compose(path)):
            write_notebook(target, with_outputs(lessons.compose(path), read(target)))
    for path in lessons.sources():  # headers and links may quote what was just measured
        for kind in KINDS:
            write_notebook(make_folder(root / kind) / f"{path.stem}.ipynb", lessons.compose(path, kind))
    for path in lessons.templates():
        write_notebook(make_folder(root / "templates") / f"{path.stem}.ipynb", plan.notebook(path))
    write_notebook(root / "exercises" / "start.ipynb", lessons.page("start"))
    for sub in (".", *KINDS):
        write_notebook(root / sub / "glossary.ipynb", lessons.page("glossary"))


def readme(root):
    """Write the table of lessons, with measured times, into the README beside the notebooks' folder."""
    path = Path(root).parent / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    table = lessons.table(f"{Path(root).name}/{{0}}.ipynb")
    write_text(path, f"{head}{MARKS[0]}\n{table}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")


def read(path):
    """Read a built notebook."""
    return nbformat.read(str(path), as_version=4)


def current(target, fresh, kind=""):
    """Tell whether a built notebook has the text of a fresh composition (of its cells of one kind)."""
    return target.exists() and texts(read(target), kind) == texts(fresh, kind)


def texts(notebook, kind=""):
    """Give what must agree between a built notebook and its source: everything but outputs."""
    return [(c.id, c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells
            if c.cell_type.startswith(kind)]


def run(path):
    """Run a lesson with its defaults, keep its time, and give the notebook with outputs."""
    from nbclient import NotebookClient

    notebook = lessons.compose(path)
    start = time.perf_counter()
    NotebookClient(notebook, timeout=1800, kernel_name="python3", extra_arguments=["--log-level=ERROR"]).execute(cwd=str(path.parent))
    keep_timing(path, time.perf_counter() - start, notebook)
    drop_progress(notebook)
    return with_outputs(lessons.compose(path), notebook)  # its head now quotes the time


def with_outputs(fresh, executed):
    """Put the outputs of an executed notebook's code cells under the same cells of a fresh one."""
    pairs = zip(*([c for c in n.cells if c.cell_type == "code"] for n in (fresh, executed)))
    for cell, done in pairs:
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
    return fresh


def keep_timing(path, seconds, notebook):
    """Store a lesson's time and peak memory, unless they differ little from what is stored."""
    known = lessons.timings()
    if abs(known.get(path.stem, {}).get("seconds", 0) - seconds) <= 0.2 * seconds:
        return
    memory = next(outputs_of(notebook, PROVENANCE))["peak_memory_mb"]
    known[path.stem] = {"seconds": round(seconds), "peak_memory_mb": memory}
    write_text(lessons.folder() / "timings.json", json.dumps(known, indent=1, sort_keys=True) + "\n")


def write_notebook(path, notebook):
    """Write a notebook, whole, unless the file already says the same."""
    text = nbformat.writes(notebook) + "\n"
    if not (Path(path).exists() and Path(path).read_text(encoding="utf-8") == text):
        write_text(path, text)


if __name__ == "__main__":
    build("notebooks", force="--force" in sys.argv)
    readme("notebooks")
