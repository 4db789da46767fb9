"""Figures carry alternative text computed from their numbers, and colours that everyone can tell apart."""

import base64
import io
import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from medkit import evaluate, plots


@pytest.fixture
def shown(monkeypatch):
    texts = []

    def keep(fig, alt):
        fig.canvas.draw()
        texts.append(alt)
        plots.plt.close(fig)

    monkeypatch.setattr(plots, "show", keep)
    plots.use_style()
    return texts


def test_alternative_text_quotes_the_numbers(shown):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    p = np.clip(0.3 + 0.3 * y + rng.normal(0, 0.2, 200), 0, 1)
    plots.discrimination(y, {"net": p}, "Test")
    plots.calibration(y, {"net": p}, "Calibration")
    plots.estimates({"AUROC": evaluate.Estimate(0.912, 0.9, 0.92)}, "value", "Figures", reference=0.5)
    plots.curves([1, 10], {"a": [evaluate.Estimate(0.5, 0.4, 0.6), 0.7123456]}, "n", "AUROC", "Curve", log_x=True)
    plots.image_grid(np.zeros((3, 8, 8, 1), np.uint8), ["ill", "well", "ill"], heading="Three")
    for text, number in zip(shown, [f"{evaluate.auroc(y, p):.3f}", f"{evaluate.ece(y, p):.3f}", "0.912", "0.7", "ill"]):
        assert number in text
    assert shown[3].endswith("to 0.712.")


NAMES = ["adenocarcinoma of the left lower lobe, with metastases", "squamous cell carcinoma", "normal mucosa",
         "cancer-associated stroma", "lymphocytes_and_plasma_cells_together", "a name so long that it would leave no room "
         "for the picture, nor for the axes, nor for what they say"]


def drawn_texts(draw, monkeypatch):
    """Draw a figure, and give what its titles and tick labels cover, and how wide its narrowest axes are (a share)."""
    kept = []
    monkeypatch.setattr(plots, "show", lambda fig, alt: kept.append(fig))
    plots.use_style()
    draw()
    fig, = kept
    fig.canvas.draw()
    texts = [t for ax in fig.axes for t in [ax.title, *ax.get_xticklabels(), *ax.get_yticklabels()]
             if t.get_text() and t.get_visible() and (ax.axison or t is ax.title)]
    boxes, narrowest = [t.get_window_extent() for t in texts], min(ax.get_position().width for ax in fig.axes)
    legends = [(legend.get_window_extent(), ax.get_window_extent()) for ax in fig.axes
               for legend in filter(None, [*fig.legends, ax.get_legend()])]
    plots.plt.close(fig)
    return boxes, narrowest, legends


@pytest.mark.parametrize("draw", [
    lambda: plots.image_grid(np.zeros((6, 8, 8)), NAMES, heading="Six"),
    lambda: plots.estimates({n: evaluate.Estimate(0.5, 0.4, 0.6) for n in NAMES}, "AUROC", "Models"),
    lambda: plots.curves([25, 26, 27, 30, 100, 10000, 10222], {"net": [0.5] * 7}, "labels", "AUROC", "Curve", log_x=True),
    lambda: plots.calibration([0, 1] * 50, {n: np.linspace(0, 1, 100) for n in NAMES[:4]}, "Calibration", bins=5)])
def test_long_names_and_close_ticks_overlap_nothing(draw, monkeypatch):
    boxes, narrowest, legends = drawn_texts(draw, monkeypatch)
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    assert narrowest > 0.08 and not any(legend.overlaps(ax) for legend, ax in legends)


def test_alternative_text_has_no_full_stop_behind_a_question(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: seen.append(data["text/plain"]))
    plots.show(plots.plt.figure(), "Is it right?. Yes.")
    assert seen == ["Is it right? Yes."]


def test_a_class_named_between_dollar_signs_is_no_formula(monkeypatch):
    kept, name = [], "$5-$10 $\\no$"  # the last is no formula that could be drawn
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    monkeypatch.setattr(plots.plt, "close", kept.append)
    plots.image_grid(np.zeros((1, 8, 8, 1), np.uint8), [name], heading=name)
    plots.curves([1, 10], {name: [0.5, 0.7]}, name, name, name)
    plots.estimates({name: evaluate.Estimate(0.9, 0.8, 0.95)}, name, name)
    fig, ax = plots.plt.subplots()
    ax.set(xscale="log", xlim=(1, 1000), xlabel=name)
    plots.show(fig, name)
    texts = [t for f in kept for t in f.findobj(plots.Text)]
    assert sum(t.get_text() == name for t in texts) >= 10 and not any(t.get_parse_math() for t in texts if t.get_text() == name)
    assert all(t.get_parse_math() for t in ax.get_xticklabels())


def test_a_figure_is_stored_small_with_no_colour_that_looks_other(monkeypatch):
    kept = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: kept.append((data, metadata)))
    rng = np.random.default_rng(0)
    for k in (0, 1):
        fig, ax = plots.plt.subplots()
        if k:
            ax.imshow(rng.random((80, 80, 3)))  # thousands of colours
        ax.plot([0, 1], color=plots.PURPLE, lw=5)
        plots.show(fig, "What it shows.")
    drawn = [Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) for data, _ in kept]
    assert [d.mode for d in drawn] == ["P", "RGB"]
    wanted = np.round(255 * np.array(to_rgb(plots.PURPLE)))
    for image, (data, metadata) in zip(drawn, kept):
        assert np.abs(np.asarray(image.convert("RGB")) - wanted).max(axis=2).min() <= 8
        assert metadata["image/png"]["alt"] == data["text/plain"] == "What it shows."


# Machado, Oliveira & Fernandes (2009), IEEE Trans Vis Comput Graph 15:1291, severity 1.0, doi:10.1109/TVCG.2009.113:
# what a person without red cones, or without green ones, sees of a colour in linear RGB.
SEEN_BY = {
    "all cones": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]])}
# Linear sRGB to CIE XYZ (D65), IEC 61966-2-1.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Bring a linear RGB colour to CIE L*a*b*, where distance 2.3 is a just noticeable difference."""
    x = TO_XYZ @ np.clip(rgb, 0, 1) / (TO_XYZ @ np.ones(3))
    x, y, z = np.where(x > (6 / 29) ** 3, np.cbrt(x), x * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(palette, matrix):
    """Give the smallest colour difference between any two colours, as seen through a matrix."""
    seen = [lab(matrix @ linear(c)) for c in palette]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


def contrast_to_white(colour):
    """Give the contrast ratio to white (WCAG 2.2, relative luminance)."""
    return 1.05 / (TO_XYZ[1] @ linear(colour) + 0.05)


@pytest.mark.parametrize("matrix", SEEN_BY.values(), ids=SEEN_BY)
def test_all_colours_of_the_palette_differ_for_everyone(matrix):
    assert nearest(plots.PALETTE, matrix) > 20


def test_the_simulation_finds_a_palette_that_some_cannot_read():
    red_and_green = ["#B00000", "#5F6E00"]
    assert nearest(red_and_green, SEEN_BY["all cones"]) > 60 > 20 > nearest(red_and_green, SEEN_BY["deuteranopia"])


def test_lines_and_grey_text_stand_out_from_white():
    assert min(map(contrast_to_white, plots.PALETTE)) >= 3  # WCAG 1.4.11, graphical objects
    assert contrast_to_white(plots.GREY) >= 4.5  # WCAG 1.4.3, text
