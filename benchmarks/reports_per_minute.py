"""Measure reports per minute: `medkit run` with warm kernels against a loop of the papermill command, in one run.

python benchmarks/reports_per_minute.py [--reports 60] [--plain 5] [--jobs 2] [--quick]

The notebook imports torch and fastai, predicts, and draws one figure. Medkit also renders each report as HTML and
keeps its ledger; papermill alone does not. "Steady" leaves out the start (the time to the first report).
"""

import contextlib
import io
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import speed

CELLS = [
    "import medkit\nimport matplotlib.pyplot as plt\nimport torch\nfrom fastai.vision.all import *",
    "seed: int = 0  # the patient",
    "torch.manual_seed(seed)\nnet = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), "
    "torch.nn.Linear(256, 2))\nrisk = net(torch.randn(500, 64)).softmax(1)[:, 1].detach()\nfloat(risk.mean())",
    "fig, ax = plt.subplots()\nax.hist(risk.numpy(), bins=20)\nax.set(xlabel='risk', title=f'Patient {seed}')\nplt.show()"]


def write_notebook(path):
    """Write the notebook that both sides run."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


def loop_of_papermill(notebook, out, n):
    """Run the papermill command n times; gives the seconds."""
    start = time.perf_counter()
    for seed in range(n):
        subprocess.run([Path(sys.executable).with_name("papermill"), notebook, out / f"plain{seed}.ipynb",
                        "-p", "seed", str(seed)], check=True, capture_output=True)
    return time.perf_counter() - start


def warm_reports(notebook, out, n, jobs):
    """Run n reports with warm kernels; gives the seconds, and when each report was there."""
    from medkit.report.run import run

    start = time.time()
    rows = [(f"row {seed}", {"seed": seed}) for seed in range(n)]
    with contextlib.redirect_stderr(io.StringIO()):
        tasks = run([str(notebook)], {}, out, False, rows, jobs)
    assert all(t.status == "done" for t in tasks), tasks[0].error
    return time.time() - start, sorted(p.stat().st_mtime - start for p in out.glob("*.ipynb"))


class MemoryWatch(threading.Thread):
    """Looks at the private memory of forked kernels (USS) while reports run, and keeps the largest."""

    def __init__(self):
        super().__init__(daemon=True)
        self.largest = self.parent = 0

    def run(self):
        while True:
            time.sleep(0.25)
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error, IndexError):
                    if "medkit.report.forkserver" in process.cmdline():
                        forked = process.parent().cmdline() == process.cmdline()
                        size = process.memory_full_info()
                        self.largest = max(self.largest, size.uss) if forked else self.largest
                        self.parent = self.parent if forked else max(self.parent, size.rss)


def main():
    """Measure and print."""
    options = speed.options(__doc__, reports=60, plain=5, jobs=2)
    if options.quick:
        options.reports, options.plain = 4, 1
    with tempfile.TemporaryDirectory() as folder:
        notebook, out = Path(folder) / "report.ipynb", Path(folder) / "out"
        write_notebook(notebook)
        plain = 60 * options.plain / loop_of_papermill(notebook, Path(folder), options.plain)
        seconds, ends = warm_reports(notebook, out, options.reports, options.jobs)
        watch = MemoryWatch()  # apart, for looking takes time
        watch.start()
        warm_reports(notebook, Path(folder) / "again", 10, options.jobs)
    steady = 60 * (len(ends) - 1) / (ends[-1] - ends[0])
    whole = 60 * len(ends) / seconds
    print(f"papermill command in a loop: {plain:.1f} reports a minute ({options.plain} reports)")
    print(f"medkit, warm, {options.jobs} at once: {whole:.1f} a minute with the start, {steady:.1f} steady "
          f"({options.reports} reports); first after {ends[0]:.1f} s")
    print(f"ratio: {whole / plain:.1f} with the start, {steady / plain:.1f} steady")
    print(f"memory: {watch.largest / 2**20:.0f} MB for each further report (largest private share of a kernel), "
          f"{watch.parent / 2**20:.0f} MB for the parent")
    what, against = f"reports, {options.jobs} at once", "the papermill command in a loop"
    note = f"{options.reports} and {options.plain} reports; first after {ends[0]:.1f} s; by the wall"
    speed.keep([speed.row(f"{what}, under way", against, steady, plain, "reports/min", aim=20, note=note, on_cpu=True),
                speed.row(f"{what}, with the start", against, whole, plain, "reports/min", note=note, on_cpu=True)], options.quick)


if __name__ == "__main__":
    main()
