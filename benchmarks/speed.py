"""What the speed commands share: a clock, and one row of benchmarks/speed.json for each thing measured.

A row says what was timed, our figure, the other's in the same run, and the ratio in our favour (above 1: ours is
faster). `results.py --write` brings the file into RESULTS.md. `--quick` runs everything small and writes nothing.
"""
import argparse
import datetime
import json
import platform
import time
from pathlib import Path
from statistics import median

from medkit.files import write_text

TARGET = Path(__file__).with_suffix(".json")


def clock():
    """Read seconds: of one processor where that does the work (others may be busy beside us), of the wall on a GPU."""
    import torch

    from medkit.training import best_device

    if best_device().type == "cpu":
        return time.process_time()
    getattr(torch, best_device().type).synchronize()
    return time.perf_counter()


def seconds(work):
    """Time one call."""
    start = clock()
    work()
    return clock() - start


def interleaved(ours, theirs, repeats):
    """Call both in turn, each giving a rate (more is better); medians of both and of the ratio of neighbours."""
    pairs = [(ours(), theirs()) for _ in range(repeats)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(a / b for a, b in pairs)


def row(what, against, ours, theirs, unit, *, ratio=None, aim=None, note="", fewer=False, at_least=False, on_cpu=False):
    """Make one row; `fewer` where less is better, as with seconds. `theirs` may be None: there is only our figure.

    The ratio is that of the two figures unless it was measured itself (as a median of neighbours). `at_least` where
    the other was stopped before it had arrived. `on_cpu` where a graphics card would have nothing to do.
    """
    if theirs is not None and ratio is None:
        ratio = theirs / ours if fewer else ours / theirs
    return {"what": what, "against": against, "ours": rounded(ours), "theirs": rounded(theirs), "unit": unit,
            "ratio": rounded(ratio), "at_least": at_least, "aim": aim, "note": note, "device": device(on_cpu),
            "measured": datetime.date.today().isoformat(), "versions": versions()}


def rounded(x):
    """Keep three digits."""
    return None if x is None else float(f"{x:.3g}")


def device(on_cpu=False):
    """Name the processor or graphics card, and the number of threads."""
    import torch

    from medkit.training import best_device

    kind = "cpu" if on_cpu else best_device().type
    if kind == "cuda":
        return f"cuda: {torch.cuda.get_device_name()}"
    names = [line.split(":")[1].strip() for line in cpu_lines() if line.startswith("model name")]
    return f"{kind}: {names[0] if names else platform.machine()}, {torch.get_num_threads()} thread(s)"


def cpu_lines():
    """Read what Linux says of the processor; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def versions():
    """Give the versions that matter for speed."""
    from importlib.metadata import version

    import medkit

    return {"medkit": medkit.__version__, "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "torchvision", "fastai")}}


def merged(old, new):
    """Put new rows in the place of the old ones that measure the same on a device of the same kind; the order stays."""
    def name(r):
        return r["what"], r["against"], r["device"].partition(":")[0]

    return list({name(r): r for r in old + new}.values())


def keep(rows, quick=False):
    """Print each row as it comes, and write it into the file, unless this is only a smoke run."""
    for r in rows:
        print({k: v for k, v in r.items() if k not in ("versions", "measured")}, flush=True)
        if not quick:
            old = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else []
            write_text(TARGET, json.dumps(merged(old, [r]), indent=1) + "\n")


def options(doc, **defaults):
    """Read the command line: whole numbers by name, and --quick."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing")
    return parser.parse_args()
