"""Run one task, and say how it ended."""

import json
import os
import time
from pathlib import Path

import nbformat

from ..errors import MedkitError, brief
from ..files import written_whole
from . import ledger, render
from .plan import Task, notebook
from .record import drop_progress, figures


def order(task, out, **options):
    """Write down a task so that another process, here or elsewhere, can run it: plain JSON."""
    return {"lesson": task.lesson, "parameters": task.parameters, "stem": task.stem, "key": ledger.key(task),
            "out": str(Path(out).resolve()), "cwd": os.getcwd(), "notebook": notebook(task.path), **options}


def run(ordered):
    """Run an ordered task: writes `<stem>.html` and `<stem>.ipynb`, whole, and gives what came of it."""
    start = time.perf_counter()
    task = Task(ordered["lesson"], ordered["parameters"], ordered["stem"])
    try:
        with written_whole(Path(ordered["out"]) / f"{task.stem}.ipynb") as aside:
            task.error = execute(nbformat.from_dict(ordered["notebook"]), task, aside, ordered)
            finish(task, aside, ordered, start)
    except MedkitError as error:  # the disk is full, the folder cannot be written
        task.status, task.error = "failed", str(error)
    except Exception as error:  # whatever else it was, the other tasks go on
        task.status, task.error = "failed", f"{type(error).__name__}: {brief(error)}"
    return task.facts()


def finish(task, aside, ordered, start):
    """Fill in the task, render its page, and stamp its notebook: the last step before it is renamed."""
    made = drop_progress(nbformat.read(str(aside), as_version=4))
    task.seconds = round(time.perf_counter() - start, 1)
    task.status = "failed" if task.error else "done"
    task.figures = figures(made)
    for name in ("input_path", "output_path"):  # papermill's: the whole notebook once more, and where this machine keeps it
        made.metadata.get("papermill", {}).pop(name, None)
    ledger.stamp(task, made, ordered["key"])
    nbformat.write(made, str(aside))
    render.page(made, Path(ordered["out"]) / f"{task.stem}.html", task)


def rescue(ordered, pid, reason, keep=True):
    """Put away what a killed process left half written of its task, or keep it as a failed report; gives the facts."""
    task = Task(ordered["lesson"], ordered["parameters"], ordered["stem"], status="failed", error=reason)
    out = Path(ordered["out"])
    aside = out / f".{pid}.part.{task.stem}.ipynb"
    try:
        if keep:
            task.error = f"cell {reached(notebook_at(aside))}: {reason}"
            finish(task, aside, ordered, time.perf_counter())
            os.replace(aside, out / f"{task.stem}.ipynb")
    except (OSError, ValueError, MedkitError):
        pass  # too little was written to show it
    for left in out.glob(f".{pid}.part.*"):
        left.unlink(missing_ok=True)
    return task.facts() | {"seconds": None}


def execute(made, task, path, options):
    """Run a notebook through papermill, saving to `path` as it goes; give the error's text, or None."""
    import papermill

    from .engine import LimitError

    limits = {name: options.get(name) for name in ("time_limit", "memory_limit", "warm")}
    escaped = str(path).replace("{", "{{").replace("}", "}}")  # papermill fills in parameters
    try:
        papermill.execute_notebook(made, escaped, task.parameters, engine_name="warm", kernel_name="python3",
                                   progress_bar={"desc": task.stem, "unit": "cell"} if options.get("bar") else False,
                                   cwd=options["cwd"], extra_arguments=["--log-level=ERROR"], **limits)
    except papermill.PapermillExecutionError as error:
        said = error.evalue if error.ename == "MedkitError" else brief(error.evalue)
        return f"cell {error.exec_count}: {error.ename}: {said}"
    except (LimitError, TimeoutError) as error:
        return f"cell {reached(notebook_at(path))}: {error}"
    except RuntimeError as error:  # nbclient's word for a kernel that died
        return f"cell {reached(notebook_at(path))}: the kernel stopped: {error}"
    return None


def notebook_at(path):
    """Read the notebook that papermill saved, as plain JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def reached(made):
    """Count the code cells that papermill started."""
    return sum(bool(c["metadata"].get("papermill", {}).get("start_time")) for c in made["cells"] if c["cell_type"] == "code")
