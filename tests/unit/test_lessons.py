"""Lessons are built from one source, always the same, and what is committed is what the source says."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medkit import build, lessons
from medkit.errors import MedkitError
from medkit.report import parameters

ROOT = Path(__file__).parents[2]
SOURCES = lessons.sources()
BUILT = sorted((ROOT / "notebooks").rglob("*.ipynb"))
SMALL = '''# ---
# jupyter:
#   medkit: {title: Small, learn: [one], read_minutes: 1, before: nothing., data: none., claim: none}
# ---

# %% tags=["parameters"]
seed: int = 0  # seed

# %% tags=["exercise"]
def double(x):
    ### BEGIN SOLUTION
    y = x
    return y + y
    ### END SOLUTION

# %% tags=["exercise"]
### BEGIN SOLUTION
answer = 4
### END SOLUTION

# %% tags=["wrong"]
answer = 5
'''


@pytest.fixture
def small(tmp_path, monkeypatch):
    (tmp_path / "lessons").mkdir()
    path = tmp_path / "lessons" / "01_small.py"
    path.write_text(SMALL)
    for page in ("start", "glossary"):
        (tmp_path / "lessons" / f"{page}.md").write_text(f"# {page}\n\nLESSONS\n")
    monkeypatch.setattr(lessons, "folder", lambda: tmp_path / "lessons")
    return path


def code(notebook):
    return "\n".join(c.source for c in notebook.cells if c.cell_type == "code")


def test_kinds_differ_in_the_exercises_alone(small):
    blank, solved, report = (code(lessons.compose(small, k)) for k in ("exercises", "solutions", "report"))
    assert "    return ...  # your answer here" in blank and "answer = ...  # your answer here" in blank
    assert "return y + y" in solved and "answer = 4" in solved and "SOLUTION" not in solved + blank
    assert "double" not in report and all("answer = 5" not in text for text in (blank, solved, report))
    assert lessons.compose(small, "lesson").cells[0].source.startswith("# 1. Small")


def test_a_solution_that_cannot_be_blanked_is_an_error(small):
    small.write_text(SMALL.replace("answer = 4", "print(4)"))
    lessons.read.cache_clear()
    with pytest.raises(MedkitError, match="must end in"):
        lessons.compose(small, "exercises")
    lessons.read.cache_clear()


def test_building_twice_gives_the_same_bytes_and_runs_once(small, tmp_path, capsys):
    build.build(tmp_path / "nb")
    first = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "nb").rglob("*.ipynb")}
    build.build(tmp_path / "nb")
    assert first == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "nb").rglob("*.ipynb")}
    assert len(first) == 7 and capsys.readouterr().out.count("running 01_small") == 1
    cells = json.loads((tmp_path / "nb" / "01_small.ipynb").read_text())["cells"]
    assert any("text/plain" in o.get("data", {}) for c in cells for o in c.get("outputs", []))


def test_prose_that_changes_keeps_the_outputs(small, tmp_path, capsys):
    build.build(tmp_path / "nb")
    small.write_text(SMALL.replace("read_minutes: 1", "read_minutes: 7"))
    lessons.read.cache_clear()
    build.build(tmp_path / "nb")
    text = (tmp_path / "nb" / "01_small.ipynb").read_text()
    assert capsys.readouterr().out.count("running 01_small") == 1 and "about 7 minutes" in text
    assert "versions:" in text
    lessons.read.cache_clear()


@pytest.mark.parametrize("word", ["1", "01", "01_deep_learning_basics", "deep_learning_basics"])
def test_lessons_are_found_by_number_or_name(word):
    assert lessons.find(word).stem == "01_deep_learning_basics"


def test_an_unknown_lesson_gets_the_nearest_name():
    with pytest.raises(MedkitError, match="Did you mean '01_deep_learning_basics'"):
        lessons.find("deep_learning_basic")


def test_ids_are_unique_and_depend_on_the_text_alone():
    for path in SOURCES:
        ids = [c.id for c in lessons.compose(path).cells]
        assert len(set(ids)) == len(ids) and ids == [c.id for c in lessons.compose(path).cells]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
@pytest.mark.parametrize("folder, kind", [(".", "lesson"), ("exercises", "exercises"), ("solutions", "solutions")])
def test_committed_notebooks_equal_their_source_but_for_outputs(path, folder, kind):
    built = ROOT / "notebooks" / folder / f"{path.stem}.ipynb"
    assert built.exists(), f"{built} is missing: run make build"
    assert build.current(built, lessons.compose(path, kind)), f"{built} differs from {path.name}: run make build"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_lesson_sources_are_well_made(path):
    notebook = lessons.compose(path)
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    facts = lessons.facts(path)
    assert len(tagged) == 1 and len(facts["learn"]) == 3
    assert {"dataset", "effort", "seed"} <= set(re.findall(r"^(\w+):", tagged[0].source, re.M))
    assert notebook.cells[1].cell_type == "code" and "import" in notebook.cells[1].source
    headings = re.findall(r"^## (.+)$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M)
    for wanted in ("A working result first", "The claim, measured", "Where it fails", "Exercises",
                   "Questions to recall", "Take away"):
        assert wanted in headings
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert text.count("<details>") >= 5 and 3 <= text.count("**Exercise ") <= 5 and "doi.org" in text


@pytest.mark.parametrize("path", BUILT, ids=lambda p: str(p.relative_to(ROOT)))
def test_built_notebooks_are_clean(path):
    notebook = json.loads(path.read_text())
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    assert not [o for o in outputs if o.get("name") == "stderr" or o["output_type"] == "error"]
    text = json.dumps([c["source"] for c in notebook["cells"]] + [
        {k: v for k, v in o.get("data", {}).items() if k != "image/png"} | {"t": o.get("text")} for o in outputs])
    assert not re.search(r"/(home|root|tmp|usr|Users)/", text), "a path of some machine"
    for output in outputs:
        if "image/png" in output.get("data", {}):
            assert len(output["metadata"]["image/png"]["alt"]) > 20
    executed = path.parent.name == "notebooks" and path.stem != "glossary"
    assert bool(outputs) == executed and path.stat().st_size < 1_500_000


def cells(number, *starts, **names):
    """Run the cells of a lesson that hold some text, in order, on top of `names`."""
    for cell in lessons.compose(lessons.find(number)).cells:
        if cell.cell_type == "code" and any(text in cell.source for text in starts):
            exec(cell.source, names)
    return names


def test_lesson_1_takes_a_table_whose_first_column_is_text_and_says_what_it_leaves_out(tmp_path):
    rows = "".join(f"P{k},{k},{'ab'[k % 2]},{k // 20}\n" for k in range(40))
    (tmp_path / "t.csv").write_text("who,age,ward,died\n" + rows)
    found = cells("1", "import medkit", "hidden: int", "table = ", "def scaled", dataset=None)
    assert found["numeric"][0] == "mean radius" and found["left_out"] == []
    mine = found["tables"].load(tmp_path / "t.csv", outcome="died")
    found = cells("1", "def scaled", "first = next(", **found | {
        "table": mine, "predictions": {"network": mine.y["test"] * 0.5}, "y": mine.y, "who": mine.patients, "cut": 0.4})
    assert found["left_out"] == ["who", "ward"] and found["first"] == "age"


def test_lesson_4_a_record_teaches_itself_by_what_is_sure_and_leaves_alone_what_is_not():
    own_model = cells("4", "import medkit", "def own_model")["own_model"]
    kind = np.repeat([0, 1], [80, 20])
    looks = np.random.default_rng(0).normal(6.0 * kind[:, None], 1, (100, 3))
    p = np.eye(4)[kind] * 0.9 + 0.025
    p[90:] = [0.55, 0.45, 0, 0]  # half of the rare beats look like their kind, but models of other hearts doubt
    assert (own_model(looks, p).argmax(axis=1) == kind).all() and (p.argmax(axis=1) != kind).sum() == 10
    unsure = np.full((100, 4), 0.25)
    assert own_model(looks, unsure) is unsure


def test_lesson_3_starts_from_shipped_weights_and_sees_every_label():
    found = cells("3", "import medkit", "arch: str", "def looks(n)", effort="demo", y={"train": range(2800)})
    turn = found["in_turn"](range(2800), 0)
    assert len(set(turn)) == 2800 and len(found["in_turn"](range(26), 0)) == found["looks"](26)
    source = next(c.source for c in lessons.compose(lessons.find("3")).cells if "def small_network" in c.source)
    found |= {"which": "hospital", "data": SimpleNamespace(classes="ab")}
    exec(source.partition("\n\n\nnetwork =")[0], found)
    body = [found["small_network"](pretrained=True)[1][3][0].weight for _ in range(2)]
    assert body[0].equal(body[1]), "the body is random, so a frozen one is of no use"


@pytest.mark.parametrize("path", [p for p in BUILT if p.stem in ("start", "glossary")],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_start_page_and_glossary_are_built_from_their_sources(path):
    assert build.current(path, lessons.page(path.stem)), f"{path} differs from {path.stem}.md: run make build"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_a_seed_below_zero_is_refused_before_anything_runs(path):
    with pytest.raises(MedkitError, match="seed.*from 0 to"):
        parameters.check({"seed": "-1"}, parameters.read(lessons.compose(path)), path.stem)
