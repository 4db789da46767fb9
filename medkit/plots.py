"""The figures that lessons and reports share: one palette, units on axes, alternative text.

Each function that draws ends in `show`, which puts the figure in the notebook together with a text
that says what it shows, computed from the same numbers.
"""

import base64
import io
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter

from . import evaluate

# The hues of Okabe & Ito (2008), "Color Universal Design", darkened until each stands out from white (3 to 1 or more)
# and any two of them differ for people without red or green cones: tests/unit/test_plots.py measures both.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, GREY = (
    "#00517F", "#C28600", "#007555", "#984300", "#1D99E0", "#CC79A7", "#595959")
PALETTE = [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY]
MARKERS = "osD^vP"


def use_style():
    """Set the suite's look for all figures that follow."""
    plt.style.use(Path(__file__).with_name("medkit.mplstyle"))
    plt.rcParams["axes.prop_cycle"] = plt.cycler(color=PALETTE)


def show(fig, alt):
    """Put a figure in the notebook with its alternative text.

    Parameters
    ----------
    fig : Figure
    alt : str
        What the figure shows, for those who cannot see it.
    """
    from IPython.display import display

    plain(fig)
    picture, alt = base64.b64encode(png(fig)).decode(), alt.replace("?.", "?")
    display({"image/png": picture, "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)
    plt.close(fig)


def plain(fig):
    """Draw every text of a figure as it stands, "$5-$10" too; the powers on a logarithmic axis alone are formulas."""
    axes = [axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis) if isinstance(axis.get_major_formatter(), LogFormatter)]
    powers = {label for axis in axes for label in axis.get_ticklabels(which="both")}
    for text in fig.findobj(Text):
        text.set_parse_math(text in powers)


def png(fig):
    """Draw a figure as PNG, in 256 colours where nobody would see the difference: a third of the size."""
    from PIL import Image, ImageChops

    fig.savefig(drawn := io.BytesIO(), format="png")
    full = Image.open(drawn).convert("RGB")
    few = full.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    off = max(most for _, most in ImageChops.difference(full, few.convert("RGB")).getextrema())  # of 255
    (few if off <= 8 else full).save(small := io.BytesIO(), "PNG", optimize=True)
    return small.getvalue()


def wrapped(text, width):
    """Break a long name into lines of at most `width` characters, so that it overlaps no other."""
    return "\n".join(part for line in str(text).split("\n") for part in textwrap.wrap(line, width) or [""])


def apart(ticks):
    """Give the ticks of a logarithmic axis that have room for their labels: the first, the last, and what lies between."""
    first, *rest = sorted(ticks)
    kept, room = [first], (max(ticks) / first) ** 0.09
    for tick in rest:
        if tick >= room * kept[-1] and (tick * room <= max(ticks) or tick == max(ticks)):
            kept.append(tick)
    return kept


def image_grid(images, titles, columns=6, heading=""):
    """Show images of shape (n, height, width[, channels]) in a grid, each with a title."""
    rows, above = -(-len(images) // columns), [wrapped(title, 21) for title in titles]
    height = 1.7 + 0.15 * max(title.count("\n") + 1 for title in above)
    fig, axes = plt.subplots(rows, columns, figsize=(1.6 * columns, height * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, above):
        ax.imshow(np.squeeze(image), vmin=0, vmax=255)
        ax.set_title(title, fontsize=9, loc="center")
    fig.suptitle(wrapped(heading, 16 * columns), x=0.01, ha="left", fontsize=12)
    show(fig, f"{heading}. {len(images)} images: {', '.join(titles)}.")


def estimates(rows, xlabel, title, reference=None):
    """Draw named estimates with their intervals, one under the other.

    Parameters
    ----------
    rows : dict of str to Estimate
    xlabel : str
        What is measured, with its unit.
    reference : float, optional
        Where to draw a line, such as 0 for a difference.
    """
    width = np.clip(4 + 0.08 * max(map(len, rows), default=0), 6.8, 9.2)  # room for long names
    fig, ax = plt.subplots(figsize=(width, 0.9 + 0.42 * len(rows)))
    ax.margins(x=0.08)
    for k, (name, e) in enumerate(rows.items()):
        ax.plot([e.low, e.high], [k, k], color=BLUE, lw=2)
        ax.plot(e.value, k, "o", color=BLUE)
        ax.annotate(f"{e.value:z.{3 if abs(e.value) < 10 else 1}f}", (e.value, k), (0, 6), textcoords="offset points",
                    ha="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 0.3})
    if reference is not None:
        ax.axvline(reference, color=GREY, lw=1, ls="--")
    ax.set(yticks=range(len(rows)), yticklabels=[wrapped(name, 52) for name in rows], ylim=(len(rows) - 0.4, -0.7),
           xlabel=xlabel, title=wrapped(title, 75))
    ax.locator_params(axis="x", nbins=7)
    show(fig, f"{title}. " + "; ".join(f"{name}: {e}" for name, e in rows.items()))


def curves(x, series, xlabel, ylabel, title, log_x=False, reference=None):
    """Draw lines with bands, each named in the legend below the axes.

    Parameters
    ----------
    x : array of shape (k,)
    series : dict of str to list of k Estimates (or floats)
    log_x : bool or list of float
        A logarithmic axis with ticks at `x`, or at the numbers given.
    reference : (float, str), optional
        The height and the name of a dashed line.
    """
    fig, ax = plt.subplots(figsize=(6.8, 4.4))
    for k, (name, points) in enumerate(series.items()):
        values = np.array([[p.value, p.low, p.high] if isinstance(p, evaluate.Estimate) else [p] * 3 for p in points])
        ax.plot(x, values[:, 0], marker=MARKERS[k] if len(values) < 30 else "", ms=5, label=name, color=PALETTE[k])
        ax.fill_between(x, values[:, 1], values[:, 2], alpha=0.15, color=PALETTE[k], lw=0)
    if reference:
        ax.axhline(reference[0], color=GREY, lw=1, ls="--", label=reference[1])
    ax.set(xlabel=xlabel, ylabel=ylabel, title=wrapped(title, 75))
    if log_x:
        ax.set_xscale("log")
        ticks = apart(x if log_x is True else log_x)
        ax.set_xticks(ticks, [f"{v:,}" for v in ticks])
        ax.minorticks_off()
    fig.legend(loc="outside lower center", ncols=2, fontsize=10)
    told = [[p if isinstance(p, evaluate.Estimate) else f"{p:.3g}" for p in (s[0], s[-1])] for s in series.values()]
    ends = "; ".join(f"{name} goes from {first} to {last}" for name, (first, last) in zip(series, told))
    show(fig, f"{title}. {ylabel} over {xlabel}: {ends}.")


def discrimination(y, predictions, title):
    """Draw ROC and precision-recall curves side by side.

    Parameters
    ----------
    y : array of shape (n,), 0 or 1
    predictions : dict of str to array of shape (n,)
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    fig, (roc, pr) = plt.subplots(1, 2, figsize=(9, 4.4))
    for k, (name, p) in enumerate(predictions.items()):
        fpr, tpr, _ = roc_curve(y, p)
        precision, recall, _ = precision_recall_curve(y, p)
        roc.plot(fpr, tpr, color=PALETTE[k], label=name)
        pr.plot(recall, precision, color=PALETTE[k])
    roc.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="chance")
    pr.axhline(np.mean(y), color=GREY, lw=1, ls="--")
    fig.suptitle(wrapped(title, 95), x=0.01, ha="left", fontsize=12)
    roc.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC")
    pr.set(xlabel="sensitivity (recall)", ylabel="precision", title="Precision and recall", ylim=(0, 1.02))
    fig.legend(loc="outside lower center", ncols=3, fontsize=10)
    areas = "; ".join(f"{name}: area under the ROC curve {evaluate.auroc(y, p):.3f}, average precision "
                      f"{evaluate.average_precision(y, p):.3f}" for name, p in predictions.items())
    show(fig, f"{title}. ROC and precision-recall curves. {areas}.")


def calibration(y, predictions, title, bins=10):
    """Draw observed rate against predicted risk, with 95 % intervals (Wilson) at each point."""
    from scipy.stats import binomtest

    fig, ax = plt.subplots(figsize=(5.4, 5.6))
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="perfect")
    for k, (name, p) in enumerate(predictions.items()):
        risk, rate, n = evaluate.reliability(y, p, bins)
        bounds = [binomtest(round(r * m), int(m)).proportion_ci(method="wilson") for r, m in zip(rate, n)]
        ax.vlines(risk, [b.low for b in bounds], [b.high for b in bounds], color=PALETTE[k], lw=1.5, alpha=0.6)
        ax.plot(risk, rate, marker=MARKERS[k], color=PALETTE[k], label=f"{name} (ECE {evaluate.ece(y, p):.3f})")
    ax.set(xlabel="predicted risk", ylabel="observed rate", title=wrapped(title, 60), xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    fig.legend(loc="outside lower center", fontsize=10)
    gaps = "; ".join(f"{name}: expected calibration error {evaluate.ece(y, p):.3f}" for name, p in predictions.items())
    show(fig, f"{title}. Observed rate against predicted risk. {gaps}.")
