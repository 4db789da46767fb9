"""Figures carry alternative text computed from their numbers, and colours that everyone can tell apart."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

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
    plots.curves([1, 10], {"a": [evaluate.Estimate(0.5, 0.4, 0.6), 0.7]}, "n", "AUROC", "Curve", log_x=True)
    plots.image_grid(np.zeros((3, 8, 8, 1), np.uint8), ["ill", "well", "ill"], heading="Three")
    for text, number in zip(shown, [f"{evaluate.auroc(y, p):.3f}", f"{evaluate.ece(y, p):.3f}", "0.912", "0.7", "ill"]):
        assert number in text


# Viénot, Brettel & Mollon (1999), Color Res Appl 24:243: what a person without red or green cones sees.
DEUTERANOPIA = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
PROTANOPIA = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])


def linear(colour):
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("matrix", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all cones", "deuteranopia", "protanopia"])
def test_the_first_four_colours_differ_for_everyone(matrix):
    seen = [np.clip(matrix @ linear(c), 0, 1) ** (1 / 2.2) for c in plots.PALETTE[:4]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.15


def test_grey_text_has_contrast_on_white():
    luminance = linear(plots.GREY) @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (luminance + 0.05) > 4.5
