"""The speed commands: rows take the place of old ones, ratios favour ours, lines are straight; the table shows them."""

import importlib
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Give what loads a command of benchmarks/ by name."""
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module


def test_a_new_row_takes_the_place_of_the_old_one(load):
    def row(what, against, ours, device="cpu: A"):
        return {"what": what, "against": against, "ours": ours, "device": device}

    rows = [row("a", "x", 1), row("b", "x", 2)]
    new = [row("a", "y", 3), row("a", "x", 4, "cpu: B"), row("a", "x", 5, "cuda: C")]
    assert [r["ours"] for r in load("speed").merged(rows, new)] == [4, 2, 3, 5]  # a GPU's rows stand beside a cpu's


def test_a_ratio_above_one_means_that_ours_is_faster(load):
    row = load("speed").row
    assert row("seconds", "", 2.0, 30.0, "s", fewer=True)["ratio"] == 15
    assert row("images", "", 90.0, 30.0, "images/s")["ratio"] == 3
    assert row("alone", "", 90.0, None, "images/s")["ratio"] is None


def test_what_the_processor_does_is_not_named_after_a_graphics_card(load, monkeypatch):
    import torch

    from medkit import training

    speed = load("speed")
    monkeypatch.setattr(training, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert speed.row("a", "x", 1.0, 2.0, "s")["device"] == "cuda: a card"
    assert speed.row("a", "x", 1.0, 2.0, "s", on_cpu=True)["device"].startswith("cpu: ")


def test_only_the_first_batches_are_small(load):
    import torch

    first = load("pneumonia_speed").SmallFirst(3)
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    assert [tuple(first(images).shape[2:]) for _ in range(3)] == [(18, 18), (18, 18), (28, 28)]


def test_neighbours_are_compared_by_medians(load):
    ours, theirs = iter([10.0, 20.0, 90.0]), iter([5.0, 5.0, 9.0])
    assert load("speed").interleaved(lambda: next(ours), lambda: next(theirs), 3) == (20, 5, 4)


def test_the_exponent_of_growth(load):
    scaling = load("hospital_scaling")
    sizes = scaling.sizes(1000, 1_000_000)
    assert sizes == [1000, 3162, 10_000, 31_623, 100_000, 316_228, 1_000_000]
    assert scaling.exponent(sizes, [3e-5 * n for n in sizes]) == pytest.approx(1)
    assert scaling.exponent(sizes, [1e-9 * n**2 for n in sizes]) == pytest.approx(2)


def test_rows_are_written_but_not_by_a_smoke_run(load, tmp_path, monkeypatch):
    speed = load("speed")
    monkeypatch.setattr(speed, "TARGET", tmp_path / "speed.json")
    speed.keep([speed.row("a", "x", 4.0, 2.0, "s")], quick=True)
    assert not speed.TARGET.exists()
    for ours in (4.0, 6.0):
        speed.keep([speed.row("a", "x", ours, 2.0, "s", aim=2.5)])
    assert [r["ratio"] for r in json.loads(speed.TARGET.read_text())] == [3]


@pytest.mark.parametrize("device, said", [("cpu: A", True), ("cuda: B", False)])
def test_the_page_shows_the_rows_and_says_whether_a_gpu_was_there(load, tmp_path, monkeypatch, device, said):
    results, speed = load("results"), load("speed")
    monkeypatch.setattr(results, "HERE", tmp_path)
    assert list(results.speed()) == []
    rows = [speed.row("a", "x", 4.0, 2.0, "s", aim=3), speed.row("b", "x", 9.0, 900.0, "s", aim=50, fewer=True,
                                                                 at_least=True), speed.row("c", "", 5e6, None, "p/s")]
    (tmp_path / "speed.json").write_text(json.dumps([r | {"device": device} for r in rows]))
    text = "\n".join(results.speed())
    assert "| 2 | 3: missed |" in text and "| at least 100 | 50: reached |" in text and "5,000,000" in text
    assert ("No GPU was at hand" in text) == said


def test_on_a_gpu_the_clock_waits_for_it_and_reads_the_wall(load, monkeypatch):
    import torch

    from medkit import training

    speed, waits = load("speed"), []
    monkeypatch.setattr(training, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(1))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: 7.0)
    assert speed.clock() == 7 and waits == [1]


def test_a_rival_that_is_not_there_is_refused(load, monkeypatch):
    command = load("pneumonia_speed")
    monkeypatch.setattr(command, "write_files", lambda data, folder: None)
    monkeypatch.setattr(command, "at_hand", lambda: command.models.resnet18)
    options = type("Options", (), {"only": "nobody"})
    with pytest.raises(SystemExit, match="no such rival. There are: same; goal; fastai on files, resnet18"):
        list(command.to_the_goal(None, options))


@pytest.mark.parametrize("name", sorted(p.stem for p in HERE.glob("*.py") if "\ndef main(" in p.read_text()))
def test_every_command_explains_itself_and_does_nothing(load, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        load(name).main()
    assert end.value.code == 0 and "usage:" in capsys.readouterr().out and not list(tmp_path.iterdir())
