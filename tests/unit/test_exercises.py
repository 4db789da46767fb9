"""Every exercise of every lesson: blank is "not tried", each wrong answer fails, the solution passes."""

import ast

import pytest

from medkit import lessons
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
