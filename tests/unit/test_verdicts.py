"""What lessons 5, 6 and 7 say of a difference follows from its interval: ahead, behind, or not to be told."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from medkit import evaluate, lessons


def cell(number, start):
    """Give the source of a lesson's cell by how it starts."""
    return next(c.source for c in lessons.read(lessons.find(str(number))).cells if c.source.startswith(start))


def gap(low, high):
    """Make a difference by its interval."""
    return evaluate.Estimate((low + high) / 2, low, high)


AHEAD, BEHIND, OPEN, NONE = gap(0.1, 0.3), gap(-0.3, -0.1), gap(-0.1, 0.2), gap(np.nan, np.nan)


@pytest.mark.parametrize("image, series, words", [
    (AHEAD, AHEAD, "ahead, beyond chance"), (AHEAD, OPEN, "cannot be told"), (OPEN, BEHIND, "behind, beyond chance"),
    (AHEAD, BEHIND, "behind, beyond chance"), (NONE, AHEAD, "cannot be told")])
def test_lesson_5_calls_joining_ahead_only_where_it_is_ahead_of_both(image, series, words):
    said = []
    exec(cell(5, "def verdict("), {
        "gains": {"attention less image": image, "attention less series": series, "attention less baseline": OPEN},
        "alone": ["image", "series"], "data": SimpleNamespace(name="ward"), "say": said.append})
    assert f"Is joining ahead of both alone? **{words}**." in said[0] and said[0].endswith("**cannot be told**.")


def test_lesson_6_widens_the_brier_score_over_folds_and_judges_its_paired_gap():
    said, cox = [], np.array([0.16, 0.17, 0.18, 0.15, 0.17])
    space = {"marks": {"Cox": list(cox), "small network": list(cox - [0.02, 0.03, 0.02, 0.03, 0.02])},
             "c_index": {"small network": gap(0.7, 0.8), "Cox": gap(0.7, 0.8)}, "say": said.append, "record": lambda *a: None,
             "drawn": {name: np.linspace(0.7, 0.8, 9) for name in ("Cox", "small network")}, "evaluate": evaluate, "np": np,
             "partial": partial, "plots": SimpleNamespace(estimates=lambda *a: None)}
    exec(cell(6, "def verdict(").split("\n\n\n")[0], space)
    exec(cell(6, "over_folds = "), space)
    alone = evaluate.mean_interval(cox)
    assert space["brier"]["Cox"].high - 0.166 == pytest.approx(1.5 * (alone.high - 0.166))  # sqrt(1 + 5 / 4)
    assert "**which is better cannot be told**" in said[0]
    assert said[0].endswith("**better, beyond chance**.")
