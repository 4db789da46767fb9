"""Run one lesson with parameters, and say how it ended."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from .. import lessons
from ..files import written_whole
from . import parameters, render
from .record import drop_progress, figures


@dataclass
class Task:
    """One lesson to run with one set of parameters, and what came of it."""

    lesson: str
    parameters: dict
    stem: str  # the name of its files
    status: str = "not started"
    seconds: float | None = None
    error: str | None = None
    figures: dict = field(default_factory=dict)
    warnings: int = 0  # lines on standard error

    def result(self):
        """Give the entry of `results.json`."""
        return {"notebook": self.lesson, "parameters": self.parameters, "status": self.status,
                "seconds": self.seconds, "error": self.error, "figures": self.figures}


def plan(words, given):
    """Make the tasks of a run, after checking lessons and parameters.

    Parameters
    ----------
    words : list of str
        Lessons by number or name; empty means all.
    given : dict
        Parameters for each of them; with several lessons, each takes those that it knows,
        and at least one lesson must know each.
    """
    paths = [lessons.find(w) for w in words] or lessons.sources()
    known = {p: parameters.read(lessons.compose(p, "report")) for p in paths}
    everything = {name: found for one in known.values() for name, found in one.items()}
    parameters.check(given, everything, ", ".join(p.stem for p in paths))
    return [Task(p.stem, parameters.check({k: v for k, v in given.items() if k in known[p]}, known[p], p.stem), p.stem)
            for p in paths]


def run(task, out, progress=True):
    """Run a task: writes `<stem>.ipynb` and `<stem>.html` in `out`, whole, and fills in the task."""
    start = time.perf_counter()
    notebook = lessons.compose(lessons.find(task.lesson), "report")
    with written_whole(Path(out) / f"{task.stem}.ipynb") as aside:
        task.error = execute(notebook, task, aside, progress)
        notebook = tidy(aside)
    task.seconds = round(time.perf_counter() - start, 1)
    task.status = "failed" if task.error else "done"
    task.figures, task.warnings = figures(notebook), stderr_lines(notebook)
    render.page(notebook, Path(out) / f"{task.stem}.html", task)


def execute(notebook, task, path, progress):
    """Run a notebook through papermill, saving to `path` as it goes; give the error's text, or None."""
    import papermill

    label = {"desc": task.stem, "unit": "cell"} if progress else False
    try:
        papermill.execute_notebook(notebook, str(path), task.parameters, kernel_name="python3",
                                   progress_bar=label, cwd=str(Path.cwd()),
                                   extra_arguments=["--log-level=ERROR"])
    except papermill.PapermillExecutionError as error:
        return f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    except RuntimeError as error:  # nbclient's word for a kernel that died
        return f"the kernel stopped: {error}"
    return None


def tidy(path):
    """Take the progress bars out of the notebook that papermill saved, and give it."""
    import nbformat

    notebook = drop_progress(nbformat.read(str(path), as_version=4))
    nbformat.write(notebook, str(path))
    return notebook


def stderr_lines(notebook):
    """Count the lines that cells wrote to standard error."""
    streams = [o.text for c in notebook.cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
    return sum(1 for text in streams for line in text.splitlines() if line.strip())
