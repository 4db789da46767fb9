"""What lessons 5, 6 and 7 say of a difference follows from its interval: ahead, behind, or not to be told."""

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
        "alone": ["image", "series"], "data": type("Data", (), {"name": "ward"}), "say": said.append})
    assert f"Is joining ahead of both alone? **{words}**." in said[0] and said[0].endswith("**cannot be told**.")
