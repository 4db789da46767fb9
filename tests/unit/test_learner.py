"""What carries a learner along: start page, progress, glossary, hints before solutions."""

import json
import re

import pytest

from medkit import copies, lessons, progress
from medkit.exercise import Exercise


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "source").mkdir()
    copies.copy_new(tmp_path / "source", tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "mine"


def first_exercise():
    return Exercise("1.1", hint="think").check(lambda answer: check(answer))


def check(answer):
    assert answer == 1, "It is one."


def test_progress_is_kept_and_what_was_right_stays_right(mine):
    exercise = first_exercise()
    for answer, state in [(..., {}), (2, {"1.1": "not yet"}), (1, {"1.1": "right"}), (2, {"1.1": "right"})]:
        exercise(answer)
        assert progress.read() == state
    copies.copy_new(mine.parent / "source", mine)
    assert progress.read() == {"1.1": "right"}


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"1.1": 3}'])
def test_a_damaged_record_counts_as_none(mine, text):
    (mine / progress.FILE).write_text(text)
    assert progress.read() == {}
    first_exercise()(1)
    assert progress.read() == {"1.1": "right"}


def test_nothing_is_written_where_no_record_was_begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first_exercise()(1)
    assert not list(tmp_path.iterdir())


def test_the_start_page_shows_progress_and_the_next_lesson(mine, monkeypatch):
    from medkit import report

    said = []
    monkeypatch.setattr(report, "say", said.append)
    every = [name for path in lessons.sources() for name in lessons.exercises(path)]
    first = lessons.exercises(lessons.sources()[0])
    (mine / progress.FILE).write_text(json.dumps(dict.fromkeys(first, "right")))
    progress.show()
    assert f"{len(first)} of {len(first)} right" in said[0]
    assert f"Next: [{lessons.facts(lessons.sources()[1])['title']}]" in said[0]
    (mine / progress.FILE).write_text(json.dumps(dict.fromkeys(every, "right")))
    progress.show()
    assert "All exercises are right" in said[1]
    progress.check_machine()
    assert "| Memory |" in said[2]


def test_a_hint_comes_before_the_solution(mine, capsys):
    exercise = first_exercise()
    exercise.solution()
    assert "try it first" in capsys.readouterr().out
    exercise(2)
    exercise.solution()
    assert "hint: think" in capsys.readouterr().out
    exercise.solution()
    assert "np.maximum" in capsys.readouterr().out


def test_checks_and_hints_are_folded_so_that_they_give_nothing_away():
    cells = lessons.compose(lessons.find("1"), "exercises").cells
    folded = [c for c in cells if c.metadata.get("jupyter", {}).get("source_hidden")]
    assert len(folded) == 5 and all("hint=" in c.source for c in folded)


@pytest.mark.parametrize("path", lessons.sources(), ids=lambda p: p.stem)
def test_every_exercise_has_its_solution_and_every_lesson_its_words(path):
    names = lessons.exercises(path)
    assert len(set(names)) == len(names) >= 3
    for name in names:
        assert name.startswith(f"{int(path.stem[:2])}.")
        assert f"exercise_{name.split('.')[1]}(" in lessons.solution(name) and "SOLUTION" not in lessons.solution(name)
    assert len(lessons.words(path)) >= 5
    ends = lessons.compose(path).cells[-1].source
    assert ("Previous:" in ends) == (path != lessons.sources()[0]) and ("Next:" in ends) == (path != lessons.sources()[-1])


def test_glossary_is_in_order_and_says_each_word_once():
    text = (lessons.folder() / "glossary.md").read_text()
    words = re.findall(r"(?m)^## (.+)$", text)
    assert words == sorted(words, key=str.lower) and len(set(words)) == len(words) == len(lessons.glossary())
    names = [n.lower() for also in lessons.glossary().values() for n in also]
    assert len(set(names)) == len(names)
    for body in re.split(r"(?m)^## .+$", text)[1:]:
        assert 30 < len(body.strip()) < 400, body
