"""Every lesson on real patients, beside a simple baseline and the published figures: `make results`.

    MEDKIT_DATA=... python benchmarks/results.py [--effort full] [--seeds 3] [--add] [--only 6 7] [--time-limit 3600]

Runs the tasks of tasks.toml through `medkit`'s own reports (so a second run does only what is missing or changed),
and writes benchmarks/results.json, RESULTS.md, and the README's head of the table with its figure. A task whose data
is not there keeps the rows that an earlier run measured; each row says when and with which version it was.
"""
import argparse
import datetime
import json
import tomllib
from pathlib import Path
from statistics import mean

import results_head
from medkit import files
from medkit.report.record import PROVENANCE, outputs_of
from medkit.report.run import run

HERE = Path(__file__).parent
WORK = HERE / "results"  # the reports themselves; not in the repository
TARGET = HERE / "results.json"


def measure(task, effort, seeds, time_limit=None, before=()):
    """Run one task's reports; give its rows, and the tasks that failed. Seeds of the rows `before` are not run again."""
    held = {r["figure"]: {e["seed"]: e for e in r.get("each", [])} for r in before if r["lesson"] == task["lesson"]
            and r["parameters"] == task["parameters"] and r["effort"] == effort}
    has = [held.get(row["figure"], {}) for row in task["row"]]
    kept = set.intersection(*map(set, has))
    rows = [("seed", {"seed": str(seed)}) for seed in range(seeds) if seed not in kept]
    folder = WORK / f"lesson-{task['lesson']}-{'-'.join(task['parameters'].values()) or 'default'}-{effort}"
    if not rows:
        return [], []
    done = run([task["lesson"]], {**task["parameters"], "effort": effort}, folder, rows=rows, engine="plain",
               time_limit=time_limit)
    failed = [t for t in done if t.status != "done"]
    good = [t for t in done if t.status == "done"]
    cost = costs([folder / f"{t.stem}.ipynb" for t in good])
    return [row_of(task, row, good, effort, cost, {seed: old[seed] for seed in kept})
            for row, old in zip(task["row"], has) if good], failed


def costs(paths):
    """Read the mean time, and the highest memory, versions and device, off finished reports."""
    import nbformat

    books = [nbformat.read(str(p), as_version=4) for p in paths]
    facts = [next(outputs_of(book, PROVENANCE), {}) for book in books]
    return {"seconds": round(mean(b.metadata["medkit"]["task"]["seconds"] for b in books)) if books else None,
            "peak_memory_mb": max((f.get("peak_memory_mb") or 0 for f in facts), default=None),
            "device": facts[0].get("device") if facts else None,
            "versions": facts[0].get("versions") if facts else None}


def row_of(task, row, done, effort, cost, before):
    """Bring one figure of all seeds into one row: means over seeds of the value and of the ends of its interval."""
    def of_one(t):
        return {"seed": int(t.parameters["seed"]),
                **{name: {end: t.figures.get(row.get(key), {}).get(end) for end in ("value", "low", "high")}
                   for name, key in (("ours", "figure"), ("baseline", "baseline"), ("gain", "gain"))}}

    def over_seeds(name, end):
        found = [e[name][end] for e in each]
        return None if None in found else round(mean(found), 4)

    each = sorted([*before.values(), *map(of_one, done)], key=lambda e: e["seed"])
    means = {name: {end: over_seeds(name, end) for end in ("value", "low", "high")}
             for name in ("ours", "baseline", "gain")}
    ours = means["ours"]
    facts = {"task": row.get("what", task["name"]), "data": row.get("data", task["data"]), "lesson": task["lesson"],
             "parameters": task["parameters"], "effort": effort, "seeds": len(each),
             **{k: row.get(k) for k in ("figure", "label", "simple", "aim", "anchors", "better")},
             **means, "unit": done[0].figures[row["figure"]]["unit"], "each": each,
             "measured": datetime.date.today().isoformat(), **cost}
    sign = -1 if row.get("better") == "lower" else 1
    return {**facts, "against_baseline": against_baseline(facts, sign),
            "against_published": [[*a, verdict(ours, a[1], sign)] for a in row.get("anchors", [])]}


def verdict(ours, other, sign=1):
    """Compare with a single published number, by our interval alone (its own uncertainty is rarely published)."""
    if ours["low"] is None:
        return "no interval"
    low, high = sorted((sign * (ours["low"] - other), sign * (ours["high"] - other)))
    return "ahead" if low > 0 else "behind" if high < 0 else "tied"


def against_baseline(facts, sign):
    """Compare with the simple baseline: by the paired gain where the lesson records it, else by the intervals."""
    if facts["gain"]["low"] is not None:
        return verdict(facts["gain"], 0.0) + " (paired)"
    a, b = facts["ours"], facts["baseline"]
    if a["low"] is None or b["low"] is None:
        return ""
    worse, better = (a["high"] < b["low"], a["low"] > b["high"])[::sign]
    return ("ahead" if better else "behind" if worse else "tied") + " (intervals)"


def page(rows):
    """Write RESULTS.md's text."""
    parts = ["# Results on real patients", "Written by `make results` from `results.json`; nothing here is typed. "
             "Means over seeds; 95 % intervals over patients (mean of the seeds' interval ends). *Verdict*: our "
             "interval or paired gain against the simple baseline on the same split; against a published number, our "
             "interval alone (other splits and protocols where the citation says so). Tried: [NOTES.md](NOTES.md).",
             table(["Task", "Data", "Figure", "Ours", "Aim", "Simple baseline", "Verdict"], map(result_cells, rows)),
             "## Beside published figures",
             table(["Task", "Figure", "Ours", "Published", "Value", "Verdict", "Source"],
                   ([r["task"], r["label"], shown(r["ours"]), a[0], a[1], a[3], a[2]] for r in rows
                    for a in r["against_published"])),
             "## What it cost", table(["Task", "Effort", "Seeds", "Seconds", "Peak memory, MB", "Device", "Measured"],
                                      dict.fromkeys(map(cost_cells, rows))), *speed(), *realism(), *labels()]
    return "\n\n".join(parts) + "\n"


def result_cells(r):
    """Give one row of the first table."""
    simple = f"{r['simple']} {shown(r['baseline'])}" if r["simple"] else ""
    ours = shown(r["ours"], r["unit"])
    return [r["task"], r["data"], r["label"], ours, r["aim"] or "", simple, r["against_baseline"]]


def cost_cells(r):
    """Give one row of the table of costs."""
    return f"{r['task']} ({r['data']})", r["effort"], r["seeds"], r["seconds"], \
        r["peak_memory_mb"], r["device"], r["measured"]


def speed():
    """Give what the `*_speed.py` commands and `hospital_scaling.py` timed, where they have run."""
    rows = json.loads((HERE / "speed.json").read_text()) if (HERE / "speed.json").exists() else []
    if not rows:
        return
    devices = sorted({r["device"] for r in rows})
    gpu = "" if any(not d.startswith("cpu") for d in devices) else " No GPU was at hand."
    yield "## Speed, side by side"
    yield f"Each pair in one run. A ratio above 1: ours is faster. On a cpu, seconds are of processor time (reports: of " \
          f"the wall). Measured on {'; '.join(devices)}.{gpu}"

    def short(x):
        return "" if x is None else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"

    def cells(r):
        ratio = ("at least " if r["at_least"] else "") + short(r["ratio"])
        aim = f"{r['aim']}: {'reached' if r['ratio'] >= r['aim'] else 'missed'}" if r["aim"] else ""
        return [r["what"], r["against"], short(r["ours"]), short(r["theirs"]), r["unit"], ratio, aim, r["note"]]

    yield table(["What", "Beside", "Ours", "Theirs", "Unit", "Ratio", "Aim", "Note"],
                [*map(cells, sorted(rows, key=lambda r: r["what"])), course()])


def course(most=720):
    """Give the row of the whole course, as its lessons were timed when their notebooks were built."""
    timed = json.loads((Path(__file__).parents[1] / "lessons" / "timings.json").read_text()).values()
    took, memory = (f([t[name] for t in timed]) for f, name in ((sum, "seconds"), (max, "peak_memory_mb")))
    return [f"the whole course, {len(timed)} lessons one after the other", "", f"{took:,}", "", "s", "",
            f"{most} s: {'reached' if took < most else 'missed'}", f"by the wall; most memory {memory:,} MB"]


def realism():
    """Give what simulated patients teach about real ones, as `realism.py` measured it."""
    rows = json.loads((HERE / "realism.json").read_text())
    yield "## Learned from simulated patients alone, tested on real ones"
    yield table(["Figure", "Data", "Trained on simulated", "Aim", "Trained on real"],
                ([r["figure"], r["data"], shown(r), r["aim"] or "", r["trained on real"]] for r in rows))


def labels():
    """Give what pre-trained weights are worth, as `label_efficiency.py` measured it."""
    rows = json.loads((HERE / "label_efficiency.json").read_text())
    yield "## Labels needed: PneumoniaMNIST, test AUROC (mean of draws)"
    yield table(["Weights", "Labels", "Pre-trained", "From scratch", "Paired gain"],
                ([r["weights"], r["labels"], f"{mean(r['pre-trained']):.3f}", f"{mean(r['from scratch']):.3f}",
                  shown(dict(zip(("value", "low", "high"), r["gain"])))] for r in rows))


def shown(e, unit=""):
    """Write an estimate."""
    if e["value"] is None:
        return "not measured"
    unit = f" {unit}" if unit else ""
    return f"{e['value']:.3f}" + (f" ({e['low']:.3f} to {e['high']:.3f})" if e["low"] is not None else "") + unit


def table(head, rows):
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", "/") for c in line) + " |" for line in lines)


def read():
    """Give the rows that were measured so far."""
    return json.loads(TARGET.read_text()) if TARGET.exists() else []


def keep(old, new):
    """Put new rows in the place of the old ones for the same figure of the same task."""
    def name(r):
        return results_head.name(r, r["figure"])

    return sorted({name(r): r for r in old + new}.values(), key=name)


def main():
    """Run what is asked for, and write both files after each task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--effort", default="full", choices=["demo", "full"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="lessons, by number")
    parser.add_argument("--data", help="only tasks with this value of a parameter")
    parser.add_argument("--time-limit", type=float, help="seconds a report")
    parser.add_argument("--add", action="store_true", help="run only seeds that results.json does not hold (have their lessons not changed since?)")
    parser.add_argument("--write", action="store_true", help="run nothing: write RESULTS.md from results.json")
    a = parser.parse_args()
    tasks = tomllib.loads((HERE / "tasks.toml").read_text())["task"]
    for task in [] if a.write else tasks:
        if (a.only and task["lesson"] not in a.only) or (a.data and a.data not in task["parameters"].values()):
            continue
        print(task["name"], flush=True)
        new, failed = measure(task, a.effort, a.seeds, a.time_limit, read() if a.add else ())
        for t in failed:
            print(f"  {t.stem}: {t.status} - {t.error}", flush=True)
        files.write_text(TARGET, json.dumps(keep(read(), new), indent=1) + "\n")  # another run may have written, too
    rows = read()
    files.write_text(HERE / "RESULTS.md", page(rows))
    results_head.write(rows, tasks, shown, table)


if __name__ == "__main__":
    main()
