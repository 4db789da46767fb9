"""Every exercise of every lesson: blank is "not tried", each wrong answer fails, the solution passes."""

import ast
import errno
import subprocess
import sys

import pytest

from medkit import files, lessons, progress
from medkit.exercise import Exercise


def test_three_states(capsys):
    exercise = Exercise("9.1", hint="think")

    @exercise.check
    def _(square):
        assert square(3) == 9, "The square of 3 is 9."

    for answer, state, words in [(..., "not tried", "not tried yet"), (lambda x: ..., "not tried", "not tried yet"),
                                 (lambda x: 6, "not yet", "exercise_1.hint()"), (lambda: 9, "not yet", "TypeError"),
                                 (lambda x: x * x, "right", "right")]:
        exercise(answer)
        assert exercise.state == state and words in capsys.readouterr().out
    exercise.hint()
    assert "think" in capsys.readouterr().out


def test_a_course_where_nobody_may_write_still_checks_answers(tmp_path, monkeypatch, capsys):
    exercise = Exercise("9.1", hint="think").check(lambda answer: None)
    (tmp_path / progress.FILE).write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("medkit.files.os.replace", refuse)
    exercise(1)
    told = capsys.readouterr().out
    assert "right. Well done!" in told and "not kept here: No permission to write progress.json. Copy this folder" in told
    monkeypatch.setattr("medkit.report.say", print)
    (tmp_path / progress.FILE).unlink()
    progress.show()
    assert "0 of" in (told := capsys.readouterr().out) and "not kept here" in told


def refuse(*args):
    raise OSError(errno.EROFS, "Read-only file system")


def test_where_to_write_instead_is_said(tmp_path):
    told = str(files.explain(OSError(errno.EROFS, ""), "reports"))
    assert "--out" in told and "MEDKIT_DATA" in told
    (tmp_path / "file").touch()
    done = subprocess.run([sys.executable, "-m", "medkit.copies", str(tmp_path), str(tmp_path / "file" / "mine")],
                          capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("medkit: ") and "make lab NOTEBOOKS=FOLDER" in done.stderr


def tags(cell):
    return cell.metadata.get("tags", [])


def namespace(path):
    """Run the cells that a lesson's exercises need."""
    space = {}
    for cell in lessons.read(path).cells:
        if cell.cell_type == "code" and "context" in tags(cell):
            exec(compile(cell.source, path.name, "exec"), space)
    return space


def attempts(path):
    """Give (solved cell, [wrong cells]) for each exercise of a lesson."""
    found = []
    for cell in lessons.read(path).cells:
        if "exercise" in tags(cell) and "BEGIN SOLUTION" in cell.source:
            found.append((cell, []))
        elif "wrong" in tags(cell):
            found[-1][1].append(cell)
    return found


def state_after(space, text):
    """Run an answer; its last statement is the call exercise_N(answer)."""
    exec(text, space)
    call = ast.parse(text).body[-1].value
    return space[call.func.id].state


@pytest.mark.parametrize("path", lessons.sources(), ids=lambda p: p.stem)
def test_blank_wrong_and_right_answers(path, capsys):
    space, found = namespace(path), attempts(path)
    assert 3 <= len(found) <= 5
    for cell, wrong in found:
        check = cell.source.rstrip().splitlines()[-1]
        assert state_after(space, lessons.plain_cell(cell, "exercises").source) == "not tried"
        assert wrong, f"no wrong answer is listed for: {check}"
        for answer in wrong:
            assert state_after(space, answer.source + "\n" + check) == "not yet", answer.source
        assert state_after(space, lessons.plain_cell(cell, "solutions").source) == "right"
