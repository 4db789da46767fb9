"""How long does `import medkit` take, beside `import torch`?

    python benchmarks/import_speed.py [--repeats 5]

Each import in a fresh process, in turn; the time of a process that imports nothing is taken off.
"""
import resource
import subprocess
import sys
from statistics import median

import speed


def processor_seconds(code):
    """Run code in a fresh Python; give its seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    """Measure, print, and write the row."""
    a = speed.options(__doc__, repeats=5)
    codes = ("pass", "import medkit", "import torch")
    turns = [[processor_seconds(code) for code in codes] for _ in range(1 if a.quick else a.repeats)]
    medkit, torch = (median(max(turn[k] - turn[0], 0.001) for turn in turns) for k in (1, 2))
    speed.keep([speed.row("import medkit", "import torch", medkit, torch, "s", fewer=True, on_cpu=True,
                          note="limit for medkit: 0.2 s")], a.quick)


if __name__ == "__main__":
    main()
