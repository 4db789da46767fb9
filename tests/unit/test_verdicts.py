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


@pytest.mark.parametrize("low, words", [(0.49, "not told apart from chance"), (0.6, "more than chance")])
def test_lesson_5_says_that_attention_follows_only_where_it_does(low, words):
    said = []
    exec(cell(5, "if data.findings is None:"), {
        "data": SimpleNamespace(findings=1), "modalities": [], "follows": gap(low, 0.7), "say": said.append})
    assert f"**{words}**" in said[0]


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


@pytest.mark.parametrize("found, words, use", [
    (AHEAD, "better, beyond chance", ""), (BEHIND, "worse, beyond chance", "Treat all:"),
    (OPEN, "which is better cannot be told", "Treat all:")])
def test_lesson_7_says_of_advice_and_depth_what_their_intervals_say(found, words, use):
    said, space = [], {"gain": found}
    space |= {"say": said.append, "record": lambda *a, **k: None, "plan": np.ones(9), "held": np.arange(9), "everyone": np.ones(9),
              "robust": lambda rule: 0, "evaluate": SimpleNamespace(mean_interval=lambda values: found), "np": np,
              "plots": SimpleNamespace(estimates=lambda *a, **k: None), "doses": SimpleNamespace(name="ward"), "deep": ["net"],
              "over_splits": lambda values: found, "scores": {"net": np.zeros((3, 2)), "sum": np.zeros((3, 2))},
              "sum_of_all": "sum", "runs": [(0, 0, "sum")]}
    for start in ("def verdict(", "against = ", "gbsg_gain = "):
        exec(cell(7, start), space)
    assert f"the model chosen: {found} mg a week: **{words}**." in said[0] and f"Against that sum, net: **{words}**." in said[1]
    assert ("Use the sum" in said[1]) == bool(use)
    assert f"**Against treat-all: {words}.**" in said[2] and use in said[2]


@pytest.mark.parametrize("high, words", [(0.85, "An average promise hides"), (0.95, "cannot be told")])
def test_lesson_7_says_who_is_served_worst_with_an_interval(high, words):
    said = []
    exec(cell(7, "by_dose = "), {
        "groups": SimpleNamespace(categories=["low", "high"]), "runs": [], "over_splits": lambda v: gap(0.7, high),
        "plots": SimpleNamespace(estimates=lambda *a, **k: None), "doses": SimpleNamespace(name="ward"), "say": said.append})
    assert words in said[0]
