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


@pytest.mark.parametrize("ours, baseline, sign, expected", [
    (estimate(0.616, 0.475, 0.771), estimate(0.814, 0.714, 0.895), 1, "behind (intervals)"),  # they overlap a little
    (estimate(0.616, 0.475, 0.771), estimate(0.814, 0.714, 0.895), -1, "ahead (intervals)"),
    (estimate(0.876, 0.861, 0.891), estimate(0.873, 0.857, 0.887), 1, "tied (intervals)")])
def test_two_intervals_that_overlap_can_differ_all_the_same(ours, baseline, sign, expected):
    facts = {"ours": ours, "baseline": baseline, "gain": estimate(None, None, None)}
    assert results.against_baseline(facts, sign) == expected


def test_a_gain_is_judged_by_itself():
    task = {"name": "t", "data": "d", "lesson": "5", "parameters": {}}
    each = [{"seed": 0, "ours": estimate(-0.02, -0.04, -0.01), "baseline": estimate(None, None, None),
             "gain": estimate(None, None, None)}]
    row = results.judged({"each": each}, task, {"figure": "gain", "gain": "gain", "label": "gain"})
    assert row["against_baseline"] == "behind (paired)"


def test_a_ratio_is_judged_by_how_far_it_lies_from_one():
    task = {"name": "t", "data": "d", "lesson": "8", "parameters": {}}
    for ends, expected in (((0.9, 0.8, 0.98), "ahead (paired)"), ((0.9, 0.8, 1.1), "tied (paired)"), ((1.2, 1.1, 1.3), "behind (paired)")):
        each = [{"seed": 0, "ours": estimate(*ends), "baseline": estimate(None, None, None), "gain": estimate(None, None, None)}]
        row = results.judged({"each": each}, task, {"figure": "nll_ratio", "ratio": True, "label": "ratio"})
        assert row["against_baseline"] == expected


def test_new_rows_take_the_place_of_old_ones_unless_they_measured_less():
    old = [{"lesson": "1", "parameters": {}, "figure": "auroc", "effort": "full", "seeds": 3, "by_seed": [1]},
           {"lesson": "2", "parameters": {}, "figure": "auroc", "effort": "demo", "seeds": 1, "by_seed": [2]}]
    for change, kept in [({}, [3]), ({"seeds": 5}, [3]), ({"seeds": 2}, [1]), ({"effort": "demo"}, [1])]:
        new = [{**old[0], "by_seed": [3], **change}]
        assert [r["by_seed"] for r in results.keep(old, new)] == [kept, [2]]
    assert results.keep([{**old[0], "seeds": 5}], [old[0]]) == [old[0]], "three seeds are enough"


@pytest.mark.parametrize("arguments, said", [
    (["--only", "99"], "There is no task of lesson '99'"), (["--data", "gbs"], "Did you mean 'gbsg'?"),
    (["--only", "3", "--data", "gbsg"], "No task of the lessons 3 has the data gbsg.")])
def test_what_no_task_has_is_said_and_nothing_is_run_or_written(monkeypatch, arguments, said):
    monkeypatch.setattr(sys, "argv", ["results.py", *arguments])
    monkeypatch.setattr(results, "measure", None)
    monkeypatch.setattr(results, "publish", None)
    with pytest.raises(SystemExit) as stopped:
        results.main()
    assert said in str(stopped.value)


def test_a_run_writes_after_each_task_says_an_error_once_and_can_be_stopped(monkeypatch, capsys):
    failed = SimpleNamespace(status="failed", error="no data", stem="s")
    answers = iter([([], [failed, failed]), ([], [])])
    written = []

    def measure(*given):
        answer = next(answers, None)
        if answer is None:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(results, "measure", measure)
    monkeypatch.setattr(results, "publish", lambda new, tasks: written.append(new) or [])
    monkeypatch.setattr(sys, "argv", ["results.py", "--only", "1", "2"])
    with pytest.raises(SystemExit, match="Some reports failed"):
        results.main()
    assert written == [[], []] and capsys.readouterr().out.count("no data") == 1
    with pytest.raises(SystemExit, match="Stopped"):
        results.main()


def test_what_is_written_is_up_to_date_with_the_tasks():
    rows, tasks = results.read(), results.tomllib.loads((HERE / "tasks.toml").read_text())["task"]
    by_name = {results_head.name(t, row["figure"]): (t, row) for t in tasks for row in t["row"]}
    for r in rows:
        assert results.judged(r, *by_name[results.named(r)]) == r, "run: python benchmarks/results.py --write"
        assert r["effort"] == "full" and r["seeds"] >= results.SEEDS


def test_one_task_has_the_same_published_figures_in_each_lesson():
    tasks = results.tomllib.loads((HERE / "tasks.toml").read_text())["task"]
    same = [t["row"][0]["anchors"] for t in tasks if t["name"].startswith("Pneumonia on chest X-rays")]
    assert len(same) == 2 and same[0] == same[1]


@pytest.fixture
def measured(monkeypatch):
    """Measure a task of two figures with reports that one gives; give its rows, its failures, and the seeds asked for."""
    task = {"name": "Deaths", "data": "a ward", "lesson": "1", "parameters": {"dataset": "x"},
            "row": [{"figure": "auroc", "label": "AUROC"}, {"figure": "ap", "label": "precision"}]}

    def measure(status, figures):
        asked = []

        def run(lessons, parameters, folder, rows, **more):
            asked.append([values["seed"] for _, values in rows])
            return [SimpleNamespace(status=status, stem="s", error="no data", parameters=values, figures=figures)
                    for _, values in rows]

        monkeypatch.setattr(results, "run", run)
        monkeypatch.setattr(results, "costs", lambda paths: {"seconds": 1})
        return (task, *results.measure(task, "full", 3), asked)

    return measure


def test_where_the_first_seed_fails_the_others_are_spared(measured):
    _, rows, failed, asked = measured("failed", {})
    assert rows == [] and len(failed) == 1 and asked == [["0"]]


def test_a_figure_that_the_lesson_could_not_measure_has_no_row_and_is_named(measured):
    good, lost = {**estimate(0.8, 0.7, 0.9), "unit": ""}, {**estimate("not measured", None, None), "unit": ""}
    for figures in ({"auroc": good}, {"auroc": good, "ap": lost}):
        task, rows, failed, asked = measured("done", figures)
        assert [r["figure"] for r in rows] == ["auroc"] and failed == [] and asked == [["0"], ["0", "1", "2"]]
        assert list(results.missing(rows, [task])) == ["Not measured yet: Deaths: precision (lesson 1, a ward)."]


def test_the_device_of_a_row_has_a_name():
    assert results.named_device("cpu").startswith("cpu: ")
    assert results.named_device("cuda-of-another-machine") == "cuda-of-another-machine" and results.named_device(None) is None


def test_a_page_without_the_other_commands_files_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "HERE", tmp_path)
    assert results.page([]).startswith("# Results on real patients")


def test_the_curves_of_labels_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(results_head, "CURVES", tmp_path / "labels.png")
    results_head.draw_labels(results.by_labels(), results.NETS)
    assert (tmp_path / "labels.png").stat().st_size > 5000
    assert {r["weights"] for r in results.by_labels()} == set(results.NETS)


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


def test_the_head_hides_no_defeat():
    rows, tasks = json.loads(results.TARGET.read_text()), results.tomllib.loads((HERE / "tasks.toml").read_text())["task"]
    behind = [r for r in rows if r["against_baseline"].startswith("behind")]
    assert behind and all(r in results_head.main_rows(rows, tasks) for r in behind)


def test_the_readme_shows_the_head_of_what_was_measured():
    rows, tasks = json.loads(results.TARGET.read_text()), results.tomllib.loads((HERE / "tasks.toml").read_text())["task"]
    head = results_head.main_rows(rows, tasks)
    assert len(head) >= 5
    assert results_head.block(head, results.shown, results.table) in results_head.README.read_text()
    assert (HERE / "RESULTS.md").read_text() == results.page(rows, tasks)


def test_the_figure_draws_what_lies_between_0_and_1(tmp_path, monkeypatch):
    monkeypatch.setattr(results_head, "FIGURE", tmp_path / "figure.png")
    row = {"task": "death", "data": "ward", "lesson": "6", "parameters": {}, "figure": "auroc", "label": "AUROC", "simple": "boosting",
           "ours": estimate(0.9, 0.8, 1.0), "baseline": estimate(0.8, 0.7, 0.9), "better": None,
           "against_published": [["a net", 0.7, "paper", "ahead"], ["a better net", 0.85, "paper", "tied"]]}
    assert results_head.best_published(row)[0] == "a better net"
    assert results_head.on_one_scale([row, {**row, "ours": estimate(8.1, 8.0, 8.2)}]) == [row]
    results_head.draw([row, {**row, "ours": estimate(0.9, None, None), "baseline": estimate(None, None, None)}])
    assert (tmp_path / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize("n", [25, 1000, 4708])
def test_no_labelled_image_comes_again_before_all_have_come(n):
    looks = label_efficiency.looks_at(n, 3200)
    turn = label_efficiency.in_turn(np.arange(n), looks, draw=0)
    assert len(turn) == looks and looks % 32 == 0 and set(turn[:n]) == set(range(n))
    assert np.ptp(np.bincount(turn, minlength=n)) <= 1


def test_label_efficiency_keeps_what_another_run_wrote_meanwhile(tmp_path, monkeypatch):
    def compare(data, X, weights, n, draws, looks):
        label_efficiency.TARGET.write_text(json.dumps([{"weights": "imagenet", "labels": 25}]))
        return {"weights": weights, "labels": n}

    monkeypatch.setattr(label_efficiency, "TARGET", tmp_path / "rows.json")
    monkeypatch.setattr(label_efficiency, "LABELS", (25,))
    monkeypatch.setattr(label_efficiency, "compare", compare)
    monkeypatch.setattr(label_efficiency.images, "load", lambda name: SimpleNamespace(X={}, y={"train": []}))
    monkeypatch.setattr(sys, "argv", ["label_efficiency.py", "--only", "hospital"])
    label_efficiency.main()
    assert [r["weights"] for r in json.loads(label_efficiency.TARGET.read_text())] == ["imagenet", "hospital"]
