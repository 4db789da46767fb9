"""The figures of the results, and the head of their table for the README; `results.py` calls it, from its files."""
import json
from pathlib import Path
from statistics import mean

from medkit import files

README = Path(__file__).parents[1] / "README.md"
FIGURE = Path(__file__).with_name("results.png")
CURVES = Path(__file__).with_name("labels.png")
MARKS = "<!-- results, written by make results -->", "<!-- end of results -->"


def name(task, figure):
    """Name a figure of a task, or a row of results.json, for good."""
    return task["lesson"], json.dumps(task["parameters"], sort_keys=True), figure


def main_rows(rows, tasks):
    """Take the first figure of each task of tasks.toml, and each that is behind its baseline, in the order of the file."""
    by_name = {name(r, r["figure"]): r for r in rows}
    names = [(name(t, row["figure"]), row is t["row"][0]) for t in tasks for row in t["row"]]
    return [by_name[n] for n, first in names if n in by_name
            and (first or by_name[n]["against_baseline"].startswith("behind"))]


def best_published(row):
    """Give the best of a row's published figures: [what, value, source, verdict], or None."""
    lower = row.get("better") == "lower"
    return (min if lower else max)(row["against_published"], key=lambda a: a[1], default=None)


def block(rows, shown, table):
    """Write the README's part: head of the table, figure, and where the rest stands."""
    def cells(r):
        best = best_published(r)
        return [f"{r['task']} (lesson {r['lesson']})", r["data"], r["label"], shown(r["ours"], r["unit"]), r["seeds"],
                f"{r['simple']} {shown(r['baseline'])}: {r['against_baseline']}" if r["simple"] else "",
                f"{best[1]:g}, {best[0]}: {best[3]}" if best else ""]

    head = ["Task", "Data", "Figure", "Ours (95 % interval)", "Seeds", "Simple baseline: verdict",
            "Best published or re-run: verdict"]
    picture = f"![{alternative(rows)}](benchmarks/results.png)"
    how = ("Ours: mean over seeds, with the mean of the ends of the seeds' 95 % intervals. *Tied*: the interval "
           "of the difference to the baseline holds 0; our interval holds the published figure.")
    return "\n\n".join([MARKS[0], how, table(head, map(cells, rows)), picture, MARKS[1]])


def alternative(rows):
    """Say what the figure shows, for those who cannot see it."""
    parts = "; ".join(f"{r['task']}: {r['label']} {r['ours']['value']:.3f}" for r in on_one_scale(rows))
    return f"On real patients: our figure with its interval, the simple baseline, the best published or re-run. {parts}"


def on_one_scale(rows):
    """Leave out what is not a share between 0 and 1 (mg a week)."""
    return [r for r in rows if 0 <= r["ours"]["value"] <= 1]


def draw(rows):
    """Draw ours, the simple baseline and the best published figure, one line a task, to results.png."""
    import matplotlib.pyplot as plt

    from medkit import plots

    plots.use_style()
    rows = on_one_scale(rows)[::-1]
    fig, ax = plt.subplots(figsize=(8.4, 1.2 + 0.52 * len(rows)))
    for y, r in enumerate(rows):
        ours, best = r["ours"], best_published(r)
        if ours["low"] is not None:
            ax.plot([ours["low"], ours["high"]], [y, y], color=plots.BLUE, lw=2)
        ax.plot(ours["value"], y, "o", color=plots.BLUE, ms=8, label="ours, with 95 % interval")
        if r["baseline"]["value"] is not None:
            ax.plot(r["baseline"]["value"], y + 0.22, "s", color=plots.VERMILION, ms=6, label="simple baseline, same split")
        if best:
            ax.plot(best[1], y - 0.22, "D", color=plots.GREEN, ms=6, label="best published or re-run (its own split)")
    ax.set_yticks(range(len(rows)), [f"{r['task']}\n{r['data']}, {r['label']}" for r in rows], fontsize=9)
    ax.set_xlabel("value of the figure named (1 is perfect)")
    finish(fig, ax, FIGURE)


def finish(fig, ax, path):
    """Put one legend above a figure, and write it whole."""
    import matplotlib.pyplot as plt

    handles = dict(zip(*ax.get_legend_handles_labels()[::-1]))
    fig.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, fontsize=9)
    with files.written_whole(path) as aside:
        fig.savefig(aside, format="png", dpi=110)
    plt.close(fig)


def draw_labels(rows, nets):
    """Draw AUROC over the number of labels, pre-trained and from scratch, one panel a network, to labels.png."""
    import matplotlib.pyplot as plt

    from medkit import plots

    plots.use_style()
    fig, axes = plt.subplots(1, len(nets), figsize=(8.4, 3.6), sharey=True)
    for ax, (weights, net) in zip(axes, nets.items()):
        some = [r for r in rows if r["weights"] == weights]
        x = [r["labels"] for r in some]
        for arm, look in {"pre-trained": {"color": plots.BLUE, "marker": "o"},
                          "from scratch": {"color": plots.VERMILION, "marker": "s", "linestyle": "--"}}.items():
            ax.plot(x, [mean(r[arm]) for r in some], label=f"{arm}, mean", **look)
            ax.plot([r["labels"] for r in some for _ in r[arm]], [v for r in some for v in r[arm]], look["marker"],
                    color=look["color"], ms=3, alpha=0.5)
        ax.set(xscale="log", xlabel="labelled training images")
        ax.set_title(net, fontsize=10)
        ax.set_xticks(x, x)
        ax.minorticks_off()
    axes[0].set_ylabel("AUROC on test images")
    finish(fig, axes[0], CURVES)


def write(rows, tasks, shown, table):
    """Write figure and README's part from the rows of results.json."""
    rows = main_rows(rows, tasks)
    draw(rows)
    before, rest = README.read_text().split(MARKS[0])
    files.write_text(README, before + block(rows, shown, table) + rest.split(MARKS[1])[1])
