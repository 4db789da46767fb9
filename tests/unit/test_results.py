"""The table of results: verdicts follow from intervals, and rows of an earlier run are kept."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from medkit import lessons
from medkit.report.record import FIGURE, outputs_of

HERE = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(HERE))
import label_efficiency  # noqa: E402
import results  # noqa: E402
import results_head  # noqa: E402


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


def test_seeds_that_were_measured_before_are_not_run_again(monkeypatch):
    task = {"name": "t", "data": "d", "lesson": "1", "parameters": {"dataset": "x"},
            "row": [{"figure": "auroc"}, {"figure": "ap"}]}
    none = dict.fromkeys(("value", "low", "high"))

    def row(figure, *seeds):
        each = [{"seed": k, "ours": estimate(0.8, 0.7, 0.9), "baseline": none, "gain": none} for k in seeds]
        return {"lesson": "1", "parameters": {"dataset": "x"}, "effort": "full", "figure": figure, "each": each}

    def run(lessons, parameters, folder, rows, **more):
        figures = dict.fromkeys(("auroc", "ap"), {**estimate(0.9, 0.8, 1.0), "unit": ""})
        return [SimpleNamespace(status="done", stem="s", parameters=values, figures=figures) for _, values in rows]

    monkeypatch.setattr(results, "run", run)
    monkeypatch.setattr(results, "costs", lambda paths: {"seconds": 1})
    found, failed = results.measure(task, "full", 2, before=[row("auroc", 1, 2), row("ap", 1)])
    assert failed == [] and [[e["seed"] for e in one["each"]] for one in found] == [[0, 1], [0, 1]]
    assert found[0]["ours"] == estimate(0.85, 0.75, 0.95) and found[0]["baseline"] == none and found[0]["seeds"] == 2
    assert results.measure(task, "full", 2, before=found) == ([], [])


def test_every_task_names_figures_that_its_lesson_records():
    for task in results.tomllib.loads((HERE / "tasks.toml").read_text())["task"]:
        path = next(p for p in lessons.sources() if int(p.stem[:2]) == int(task["lesson"]))
        built = nbformat.read(str(HERE.parent / "notebooks" / f"{path.stem}.ipynb"), as_version=4)
        known = {figure["name"] for figure in outputs_of(built, FIGURE)}
        for row in task["row"]:
            for name in filter(None, (row["figure"], row.get("baseline"), row.get("gain"))):
                assert name in known or f'"{name}"' in path.read_text(), (task["name"], name)


def test_the_readme_shows_the_head_of_what_was_measured():
    rows, tasks = json.loads(results.TARGET.read_text()), results.tomllib.loads((HERE / "tasks.toml").read_text())["task"]
    head = results_head.main_rows(rows, tasks)
    assert len(head) >= 5
    assert results_head.block(head, results.shown, results.table) in results_head.README.read_text()
    assert (HERE / "RESULTS.md").read_text() == results.page(rows)


def test_the_figure_draws_what_lies_between_0_and_1(tmp_path, monkeypatch):
    monkeypatch.setattr(results_head, "FIGURE", tmp_path / "figure.png")
    row = {"task": "death", "data": "ward", "lesson": "6", "parameters": {}, "figure": "auroc", "label": "AUROC", "simple": "boosting",
           "ours": estimate(0.9, 0.8, 1.0), "baseline": estimate(0.8, 0.7, 0.9), "better": None,
           "against_published": [["a net", 0.7, "paper", "ahead"], ["a better net", 0.85, "paper", "tied"]]}
    assert results_head.best_published(row)[0] == "a better net"
    assert results_head.on_one_scale([row, {**row, "ours": estimate(8.1, 8.0, 8.2)}]) == [row]
    results_head.draw([row])
    assert (tmp_path / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize("n", [25, 1000, 4708])
def test_no_labelled_image_comes_again_before_all_have_come(n):
    looks = label_efficiency.looks_at(n, 3200)
    turn = label_efficiency.in_turn(np.arange(n), looks, draw=0)
    assert len(turn) == looks and looks % 32 == 0 and set(turn[:n]) == set(range(n))
    assert np.ptp(np.bincount(turn, minlength=n)) <= 1
