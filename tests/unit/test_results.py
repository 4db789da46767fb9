"""The table of results: verdicts follow from intervals, and rows of an earlier run are kept."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

from medkit import lessons
from medkit.report.record import FIGURE, outputs_of

HERE = Path(__file__).parents[2] / "benchmarks"
SPEC = importlib.util.spec_from_file_location("results", HERE / "results.py")
results = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(results)


def estimate(value, low, high):
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize("ours, sign, expected", [
    (estimate(0.95, 0.93, 0.97), 1, "ahead"), (estimate(0.91, 0.89, 0.93), 1, "tied"),
    (estimate(0.85, 0.83, 0.87), 1, "behind"), (estimate(0.85, 0.83, 0.87), -1, "ahead"),
    (estimate(0.85, None, None), 1, "no interval")])
def test_verdict_against_a_published_number(ours, sign, expected):
    assert results.verdict(ours, 0.9, sign) == expected


def test_a_paired_gain_goes_before_intervals():
    facts = {"ours": estimate(8.1, 7.8, 8.4), "baseline": estimate(8.3, 8.0, 8.6), "gain": estimate(0.2, 0.1, 0.3)}
    assert results.against_baseline(facts, -1) == "ahead (paired)"
    facts["gain"] = estimate(None, None, None)
    assert results.against_baseline(facts, -1) == "tied (intervals)"


def test_new_rows_take_the_place_of_old_ones():
    old = [{"lesson": "1", "parameters": {}, "figure": "auroc", "by_seed": [1]},
           {"lesson": "2", "parameters": {}, "figure": "auroc", "by_seed": [2]}]
    new = [{**old[0], "by_seed": [3]}]
    assert [r["by_seed"] for r in results.keep(old, new)] == [[3], [2]]


def test_every_task_names_figures_that_its_lesson_records():
    for task in results.tomllib.loads((HERE / "tasks.toml").read_text())["task"]:
        path = next(p for p in lessons.sources() if int(p.stem[:2]) == int(task["lesson"]))
        built = nbformat.read(str(HERE.parent / "notebooks" / f"{path.stem}.ipynb"), as_version=4)
        known = {figure["name"] for figure in outputs_of(built, FIGURE)}
        for row in task["row"]:
            for name in filter(None, (row["figure"], row.get("baseline"), row.get("gain"))):
                assert name in known or f'"{name}"' in path.read_text(), (task["name"], name)
