"""Every lesson on real patients, beside a simple baseline and the published figures: `make results`.

    MEDKIT_DATA=... python benchmarks/results.py [--effort full] [--seeds 3] [--add] [--only 6 7] [--time-limit 3600]

Runs the tasks of tasks.toml through `medkit`'s own reports (so a second run does only what is missing or changed),
and writes benchmarks/results.json, RESULTS.md, and the README's head of the table with its figure, after each task. A
task whose data is not there keeps the rows that an earlier run measured, and so does one of which this run measured
less (fewer than three seeds, or the demonstration); each row says when and with which version it was. `--write` runs
nothing: words, published figures and verdicts are brought up to date with tasks.toml, and all is written.
"""
import argparse
import datetime
import json
import tomllib
from math import hypot
from pathlib import Path
from statistics import mean

import results_head
from medkit import files
from medkit.errors import MedkitError, unknown
from medkit.report.record import PROVENANCE, outputs_of
from medkit.report.run import run
from speed import device

HERE = Path(__file__).parent
WORK = HERE / "results"  # the reports themselves; not in the repository
TARGET = HERE / "results.json"
SEEDS = 3  # so many are enough for a row
NETS = {"hospital": "small CNN, 28 pixels; weights: simulated films", "imagenet": "SqueezeNet 1.1, 64 pixels; weights: ImageNet"}


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
    done = reports(task, effort, folder, rows, time_limit)
    failed = [t for t in done if t.status != "done"]
    good = [t for t in done if t.status == "done"]
    cost = costs([folder / f"{t.stem}.ipynb" for t in good])
    found = [row_of(task, row, good, effort, cost, {seed: old[seed] for seed in kept})
             for row, old in zip(task["row"], has) if good]
    return [r for r in found if r["ours"]["value"] is not None], failed


def reports(task, effort, folder, rows, time_limit):
    """Run a lesson with each seed; where the first fails (its data is not there), the others are spared."""
    for some in (rows[:1], rows):
        done = run([task["lesson"]], {**task["parameters"], "effort": effort}, folder, rows=some, engine="plain",
                   time_limit=time_limit)
        if done[0].status != "done":
            break
    return done


def costs(paths):
    """Read the mean time, and the highest memory, versions and device, off finished reports."""
    import nbformat

    books = [nbformat.read(str(p), as_version=4) for p in paths]
    facts = [next(outputs_of(book, PROVENANCE), {}) for book in books]
    return {"seconds": round(mean(b.metadata["medkit"]["task"]["seconds"] for b in books)) if books else None,
            "peak_memory_mb": max((f.get("peak_memory_mb") or 0 for f in facts), default=None),
            "device": named_device(facts[0].get("device")) if facts else None,
            "versions": facts[0].get("versions") if facts else None}


def named_device(kind):
    """Name the device of a kind (cpu, cuda, mps) on which reports ran."""
    here = device(on_cpu=kind == "cpu")
    return here if kind and here.startswith(kind) else kind


def row_of(task, row, done, effort, cost, before):
    """Bring one figure of all seeds into one row."""
    def of_one(t):
        return {"seed": int(t.parameters["seed"]),
                **{name: {end: number(t.figures.get(row.get(key), {}).get(end)) for end in ("value", "low", "high")}
                   for name, key in (("ours", "figure"), ("baseline", "baseline"), ("gain", "gain"))}}

    each = sorted([*before.values(), *map(of_one, done)], key=lambda e: e["seed"])
    return judged({"lesson": task["lesson"], "parameters": task["parameters"], "effort": effort, "seeds": len(each),
                   "figure": row["figure"], "unit": done[0].figures.get(row["figure"], {}).get("unit", ""), "each": each,
                   "measured": datetime.date.today().isoformat(), **cost}, task, row)


def number(x):
    """Give a number as it is, and None for what is none (a lesson can record "not measured")."""
    return None if isinstance(x, str) else x


def judged(measured, task, row):
    """Add to what was measured the words and published figures of tasks.toml, and the verdicts that follow."""
    if "each" in measured:
        means = over_seeds(measured["each"])
    else:  # measured before each seed's interval was kept
        means = measured.get("means") or {k: measured[k] for k in ("ours", "baseline", "gain")}
        measured = {**measured, "means": means}
    if row.get("gain") == row["figure"]:  # the figure is a paired gain itself
        means = {**means, "gain": means["ours"]}
    elif row.get("ratio"):  # to the baseline's, on the same patients; below 1: better
        means = {**means, "gain": {a: round(1 - means["ours"][b], 6) for a, b in (("value", "value"), ("low", "high"), ("high", "low"))}}
    facts = {**measured, "task": row.get("what", task["name"]), "data": row.get("data", task["data"]),
             **{k: row.get(k) for k in ("label", "simple", "aim", "better")}, **means}
    sign = -1 if row.get("better") == "lower" else 1
    return {**facts, "against_baseline": against_baseline(facts, sign),
            "against_published": [[*a, verdict(facts["ours"], a[1], sign)] for a in row.get("anchors", [])]}


def over_seeds(each):
    """Average the value and the ends of the interval over seeds; None where a seed has none."""
    def average(name, end):
        found = [e[name][end] for e in each]
        return None if None in found else round(mean(found), 6)

    return {name: {end: average(name, end) for end in ("value", "low", "high")}
            for name in ("ours", "baseline", "gain")}


def verdict(ours, other, sign=1):
    """Compare with a single published number, by our interval alone (its own uncertainty is rarely published)."""
    if ours["low"] is None:
        return "no interval"
    low, high = sorted((sign * (ours["low"] - other), sign * (ours["high"] - other)))
    return "ahead" if low > 0 else "behind" if high < 0 else "tied"


def difference(a, b):
    """Estimate a less b from both intervals, as if they were independent (Zou & Donner 2008, doi:10.1002/sim.3095).

    That two intervals overlap does not make a tie: two that just touch are a clear difference.
    """
    value = a["value"] - b["value"]
    return {"value": value, "low": value - hypot(a["value"] - a["low"], b["high"] - b["value"]),
            "high": value + hypot(a["high"] - a["value"], b["value"] - b["low"])}


def against_baseline(facts, sign):
    """Compare with the simple baseline: by the paired gain where the lesson records it, else by both intervals."""
    if facts["gain"]["low"] is not None:  # above zero: better
        return verdict(facts["gain"], 0.0) + " (paired)"
    a, b = facts["ours"], facts["baseline"]
    if a["low"] is None or b["low"] is None:
        return ""
    return verdict(difference(a, b), 0.0, sign) + " (intervals)"


def page(rows, tasks=()):
    """Write RESULTS.md's text."""
    parts = ["# Results on real patients", "Written by `make results` from `results.json` (the last three tables: by the "
             "commands that they name); nothing here is typed. "
             "Means over seeds; 95 % intervals over patients (mean of the seeds' interval ends; of warfarin over "
             "random splits, widened as they share patients: Nadeau & Bengio 2003, doi:10.1023/A:1024068626366). "
             "*Verdict* against the simple baseline on the same split: by the paired gain, else by the difference of "
             "both intervals as if independent (Zou & Donner 2008, doi:10.1002/sim.3095), which is cautious, as the "
             "patients are the same; against a published number: by our interval alone (other splits and protocols "
             "where the citation says so). Tried: [NOTES.md](NOTES.md).",
             table(["Task", "Data", "Figure", "Ours", "Aim", "Simple baseline", "Verdict"], map(result_cells, rows)),
             *missing(rows, tasks),
             "## Beside published figures",
             table(["Task", "Figure", "Ours", "Published", "Value", "Verdict", "Source"],
                   ([r["task"], r["label"], shown(r["ours"]), a[0], a[1], a[3], a[2]] for r in rows
                    for a in r["against_published"])),
             "## What it cost", table(["Task", "Effort", "Seeds", "Seconds a seed", "Peak memory, MB", "Device", "Measured"],
                                      dict.fromkeys(map(cost_cells, rows))), *speed(), *realism(), *labels()]
    return "\n\n".join(parts) + "\n"


def missing(rows, tasks):
    """Say which rows of tasks.toml have not been measured."""
    there = {named(r) for r in rows}
    lost = [f"{row.get('what', t['name'])}: {row['label']} (lesson {t['lesson']}, {row.get('data', t['data'])})"
            for t in tasks for row in t["row"] if results_head.name(t, row["figure"]) not in there]
    if lost:
        yield "Not measured yet: " + "; ".join(lost) + "."


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
    rows = stored("speed.json")
    if not rows:
        return
    gpu = "" if any(not r["device"].startswith("cpu") for r in rows) else " No GPU was at hand."
    yield "## Speed, side by side"
    yield "Written by the commands that time (`*_speed.py`, `batched_members.py`, `reports_per_minute.py`, " \
          "`hospital_scaling.py`). Each pair in one run. A ratio above 1: ours is faster. On a cpu, seconds are of " \
          f"processor time (reports: of the wall); on a GPU, of the wall.{gpu}"
    yield table(["What", "Beside", "Ours", "Theirs", "Unit", "Ratio", "Aim", "Note", "Device"],
                [*map(speed_cells, sorted(rows, key=lambda r: r["what"])), course()])


def speed_cells(r):
    """Give one row of the table of speeds."""
    def short(x):
        return "" if x is None else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"

    ratio = ("at least " if r["at_least"] else "") + short(r["ratio"])
    aim = f"{r['aim']}: {'reached' if r['ratio'] >= r['aim'] else 'missed'}" if r["aim"] else ""
    return [r["what"], r["against"], short(r["ours"]), short(r["theirs"]), r["unit"], ratio, aim, r["note"], r["device"]]


def course(most=720):
    """Give the row of the whole course, as its lessons were timed when their notebooks were built."""
    timed = json.loads((Path(__file__).parents[1] / "lessons" / "timings.json").read_text()).values()
    took, memory = (f([t[name] for t in timed]) for f, name in ((sum, "seconds"), (max, "peak_memory_mb")))
    return [f"the whole course, {len(timed)} lessons one after the other", "", f"{took:,}", "", "s", "",
            f"{most} s: {'reached' if took < most else 'missed'}", f"by the wall; most memory {memory:,} MB", "two CPU cores"]


def realism():
    """Give what simulated patients teach about real ones, as the `realism_*.py` commands measured it."""
    rows = stored("realism.json")
    if not rows:
        return
    yield "## Learned from simulated patients alone, tested on real ones"
    yield "Written by `realism_xray.py`, `realism_ecg.py` and `realism_stays.py`. No real patient was trained on, but " \
          "the look of the simulated films and the levels of the simulated stays were matched by hand to real ones of " \
          "these data sets: see [NOTES.md](NOTES.md). *Told apart*: AUROC of a model that tells simulated from real " \
          "(0.5: alike)."
    yield table(["Figure", "Data", "Trained on simulated", "Aim", "Trained on real", "Told apart"],
                ([r["figure"], r["data"], shown(r), r["aim"] or "", f"{r['trained on real']:.3f}",
                  f"{r['told apart']:.3f}"] for r in rows))


def labels():
    """Give what pre-trained weights are worth, as `label_efficiency.py` measured it."""
    rows = by_labels()
    if not rows:
        return
    draws = sorted({len(r["pre-trained"]) for r in rows})
    yield f"## Labels needed: PneumoniaMNIST, test AUROC (mean of {' or '.join(map(str, draws))} draws)"
    yield "Written by `label_efficiency.py`; each beside the same network from scratch. The gain's 95 % interval is " \
          "over draws of the labels, not over patients. " + ". ".join(f"*{k}*: {net}" for k, net in NETS.items()) + "."
    yield "![Test AUROC over 25 to all labelled images, pre-trained beside from scratch, a panel for each network; the " \
          "table below has the means](labels.png)"
    yield table(["Weights", "Labels", "Pre-trained", "From scratch", "Paired gain"],
                ([r["weights"], r["labels"], f"{mean(r['pre-trained']):.3f}", f"{mean(r['from scratch']):.3f}",
                  shown(dict(zip(("value", "low", "high"), r["gain"])))] for r in rows))


def by_labels():
    """Give the rows of `label_efficiency.py` in order."""
    return sorted(stored("label_efficiency.json"), key=lambda r: (r["weights"], r["labels"]))


def stored(name):
    """Give the rows that another command has written, if it has."""
    path = HERE / name
    return json.loads(path.read_text("utf-8")) if path.exists() else []


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
    return json.loads(TARGET.read_text("utf-8")) if TARGET.exists() else []


def keep(old, new):
    """Put new rows in the place of the old ones for the same figure of the same task, unless they measured less."""
    held = {named(r): r for r in old}
    better = {named(r): r for r in new if named(r) not in held or enough(r) >= enough(held[named(r)])}
    return sorted((held | better).values(), key=named)


def named(r):
    """Name a row for good."""
    return results_head.name(r, r["figure"])


def enough(r):
    """Rank how thoroughly a row was measured."""
    return r["effort"] == "full", min(r["seeds"], SEEDS)


def chosen(tasks, only, data):
    """Take the tasks of some lessons, or with some data."""
    if wrong := set(only or ()) - {int(t["lesson"]) for t in tasks}:
        raise unknown("task of lesson", min(wrong), dict.fromkeys(t["lesson"] for t in tasks))
    if data and not any(data in t["parameters"].values() for t in tasks):
        raise unknown("task with the data", data, dict.fromkeys(v for t in tasks for v in t["parameters"].values()))
    found = [t for t in tasks if (not only or int(t["lesson"]) in only)
             and (not data or data in t["parameters"].values())]
    if not found:
        raise MedkitError(f"No task of the lessons {', '.join(map(str, only))} has the data {data}.")
    return found


def publish(new, tasks):
    """Write results.json, RESULTS.md and the README's part; give the rows that measured less than what is there."""
    by_name = {results_head.name(t, row["figure"]): (t, row) for t in tasks for row in t["row"]}
    rows = keep(read(), new)  # read anew: another run may have written, too
    poorer = [r for r in new if r not in rows]
    rows = [judged(r, *by_name[named(r)]) if named(r) in by_name else r for r in rows]
    files.write_text(TARGET, json.dumps(rows, indent=1) + "\n")
    files.write_text(HERE / "RESULTS.md", page(rows, tasks))
    results_head.write(rows, tasks, shown, table)
    if by_labels():
        results_head.draw_labels(by_labels(), NETS)
    return poorer


def carry_out(a, tasks):
    """Run what is asked for, and write after each task; say whether all reports were made."""
    todo = chosen(tasks, a.only, a.data)
    complete = True
    for task in todo:
        print(task["name"], flush=True)
        new, failed = measure(task, a.effort, a.seeds, a.time_limit, read() if a.add else ())
        for error in dict.fromkeys(f"{t.status} - {t.error}" for t in failed):  # missing data: once for all seeds
            print(f"  {error}", flush=True)
        for r in publish(new, tasks):
            print(f"  {r['figure']}: kept as it was, since this run measured less (effort {r['effort']}, {r['seeds']} "
                  "seeds).", flush=True)
        complete &= not failed
    return complete


def main():
    """Read the command line, run, and end with 1 where a report failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--effort", default="full", choices=["demo", "full"])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="*", type=int, help="lessons, by number")
    parser.add_argument("--data", help="only tasks with this value of a parameter")
    parser.add_argument("--time-limit", type=float, help="seconds a report")
    parser.add_argument("--add", action="store_true", help="run only seeds that results.json does not hold (have their lessons not changed since?)")
    parser.add_argument("--write", action="store_true", help="run nothing: bring all that is written up to date with tasks.toml")
    a = parser.parse_args()
    if a.seeds < 1:
        parser.error("--seeds must be 1 or more")
    tasks = tomllib.loads((HERE / "tasks.toml").read_text())["task"]
    try:
        if a.write:
            publish([], tasks)
        elif not carry_out(a, tasks):
            raise SystemExit("Some reports failed (above); their rows are as an earlier run left them.")
    except MedkitError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("Stopped. The tasks before this one are written; the same command goes on with what is "
                         "missing.") from None


if __name__ == "__main__":
    main()
