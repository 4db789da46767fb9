"""Run many reports while kernels, workers and the run itself are killed; then check that none is lost or doubled.

python benchmarks/reports_under_fire.py [--reports 1000] [--killed 0.05] [--jobs 2] [--engine warm]

While `medkit run` works, this script kills with SIGKILL, at random moments: a kernel, a worker, or the whole run
(which is then started again with the same command), until one report in twenty was hit. Then the same command runs
undisturbed until nothing is missing.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import nbformat
import psutil

CELLS = ["import os, time\nimport numpy as np", "seed: int = 0  # the patient",
         "rng = np.random.default_rng(seed)\nprint('risk', rng.random())",
         "open(os.environ['MARKS'], 'a').write(f'{seed}\\n')\ntime.sleep(0.2)"]


def prepare(folder, n):
    """Write the notebook and the table, and give the command."""
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "report.ipynb")
    (folder / "t.csv").write_text("seed\n" + "".join(f"{k}\n" for k in range(n)))
    return [sys.executable, "-m", "medkit", "run", "report.ipynb", "--for-each", "t.csv", "--out", "out"]


def start(command, folder):
    """Start the run; its processes stand in `folder`, which is how they are found."""
    import os

    return subprocess.Popen(command, cwd=folder, env={**os.environ, "MARKS": str(folder / "marks")},
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def processes(folder):
    """Find the processes of the run by kind: workers, kernels (forked or cold)."""
    found = {"worker": [], "kernel": []}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words, parent = " ".join(process.info["cmdline"] or []), process.parent()
        if process.info["cwd"] != str(folder) or parent is None:
            continue
        if "medkit.report.worker" in words:
            found["worker"].append(process)
        elif "ipykernel" in words or ("forkserver" in words and "medkit run" not in " ".join(parent.cmdline())):
            found["kernel"].append(process)
    return found


def fire(command, folder, wanted, rng):
    """Kill until `wanted` were hit or the run has nothing left; gives how many of each kind."""
    hit, running = Counter(), start(command, folder)
    while sum(hit.values()) < wanted:
        time.sleep(rng.uniform(0.3, 2.5))
        if running.poll() is not None:  # all done or failed: a second run takes the failed ones up
            if {r["status"] for r in results(folder)} == {"done"}:
                break
            running = start(command, folder)
            continue
        kind = rng.choices(["kernel", "worker", "run"], [10, 8, 2])[0]
        try:
            targets = [running] if kind == "run" else processes(folder)[kind]
            if targets:
                rng.choice(targets).kill()
                hit[kind] += 1
            if kind == "run":
                running.wait()
                running = start(command, folder)
        except psutil.Error:
            continue
    running.wait()
    return hit


def results(folder):
    """Read the results."""
    return json.loads((folder / "out" / "results.json").read_text())


def check(folder, n, hit):
    """Check that every report is there once, whole, and that nothing is left over; gives what was found."""
    found, out = results(folder), folder / "out"
    seeds = sorted(r["parameters"]["seed"] for r in found)
    assert seeds == list(range(n)), "a report is lost or doubled"
    assert {r["status"] for r in found} == {"done"}
    notebooks = list(out.glob("*.ipynb"))
    assert len(notebooks) == n and len(list(out.glob("*.html"))) == n + 1
    for path in notebooks:
        nbformat.validate(nbformat.read(path, as_version=4))
        assert path.with_suffix(".html").read_text().rstrip().endswith("</html>")
    assert not list(out.glob(".*")), "a temporary file is left"
    time.sleep(3)
    assert not any(processes(folder).values()), "a process is left"
    times = Counter(Counter((folder / "marks").read_text().split()).values())
    assert sum(k * v for k, v in times.items()) - n <= 2 * sum(hit.values()) + 40, "finished reports ran again"
    return dict(sorted(times.items()))


def main():
    """Run, kill, resume, check, print."""
    parser = argparse.ArgumentParser()
    for name, default in [("reports", 1000), ("killed", 0.05), ("jobs", 2), ("engine", "warm"), ("seed", 0)]:
        parser.add_argument(f"--{name}", type=type(default), default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, begin = Path(name).resolve(), time.monotonic()
        command = [*prepare(folder, options.reports), "--jobs", str(options.jobs), "--engine", options.engine]
        hit = fire(command, folder, round(options.killed * options.reports), random.Random(options.seed))
        after = Counter(r["status"] for r in results(folder))
        for _ in range(3):
            last = start(command, folder).wait()
        times = check(folder, options.reports, hit)
    print(f"{options.reports} reports, {sum(hit.values())} kills: {dict(hit)}; {time.monotonic() - begin:.0f} s in all")
    print(f"when the fire ceased: {dict(after)}; after the same command again: all done (exit code {last})")
    print(f"how often each report reached its last cell: {times}; no file or process left over")


if __name__ == "__main__":
    main()
