"""The parameters of a lesson: read from its one cell, checked before anything runs."""

import ast
import math
import re
from dataclasses import dataclass

from ..errors import MedkitError, explained, unknown

LINE = "Give each parameter a line such as 'seed: int = 0'; it may be int, float, str or bool."
RANGE = re.compile(r"(-?\d+(?:\.\d+)?) to (-?\d+(?:\.\d+)?): ")
BOOL = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One parameter: `name: kind = default  # help`; a number's `bounds` are the lowest and the highest value."""

    name: str
    kind: str
    default: object
    choices: tuple
    help: str
    bounds: tuple = ()


def read(notebook):
    """Read the typed parameters of a notebook from the cell tagged `parameters`: {name: Parameter}."""
    cell = next((c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])), None)
    if cell is None:
        return {}
    with explained("The cell tagged 'parameters' cannot be read", LINE):
        nodes, lines = ast.parse(cell.source).body, cell.source.splitlines()
        return {node.target.id: one(node, lines) for node in nodes if isinstance(node, ast.AnnAssign)}


def one(node, lines):
    """Read one annotated assignment with its comment: `# demo | full: help`, and of a number `# 0 to 1: help`."""
    kind, comment = ast.unparse(node.annotation), lines[node.end_lineno - 1].partition("#")[2].strip()
    listed, _, told = comment.partition(": ")
    choices = tuple(listed.split(" | ")) if " | " in listed else ()
    bounds = RANGE.match(comment) if kind in ("int", "float") else None
    return Parameter(node.target.id, kind, ast.literal_eval(node.value), choices, told if choices else comment,
                     tuple(map(float, bounds.groups())) if bounds else ())


def check(given, known, lesson):
    """Bring given values to the types of the known parameters.

    Parameters
    ----------
    given : dict of str to object
        From the command line (strings) or from Python.
    known : dict of str to Parameter
    lesson : str
        Named in the message.

    Raises
    ------
    MedkitError
        For an unknown name (with the nearest known one) or a value of the wrong type.
    """
    for name in given:
        if not known:
            raise MedkitError(f"{lesson} takes no parameters, so no '{name}': tag one cell 'parameters'. {LINE}")
        if name not in known:
            raise MedkitError(f"Lesson {lesson}: {unknown('parameter', name, known)}")
    return {name: cast(value, known[name], lesson) for name, value in given.items()}


def cast(value, parameter, lesson):
    """Bring one value to its parameter's type."""
    try:
        result = CASTS[parameter.kind](value)
        if parameter.kind == "float" and not math.isfinite(result):  # JSON holds no such number
            raise ValueError(value)
        if parameter.bounds and not parameter.bounds[0] <= result <= parameter.bounds[1]:
            raise ValueError(value)
    except (ValueError, KeyError, OverflowError):
        takes = NAMES.get(parameter.kind, "no other value")
        takes += " from {:g} to {:g}".format(*parameter.bounds) if parameter.bounds else ""
        raise MedkitError(f"Lesson {lesson}: the parameter '{parameter.name}' takes {takes}, not '{value}'. "
                          f"Default: {parameter.default!r}.") from None
    if parameter.choices and str(result) not in parameter.choices:
        raise MedkitError(f"Lesson {lesson}: {unknown(f'value of {parameter.name}', value, parameter.choices)}")
    return result


def to_int(value):
    """Read a whole number, and refuse to cut a fraction off."""
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError(value)
    return int(value)


def to_text(value):
    """Take text that can be written down (a command's argument may hold bytes that are not UTF-8)."""
    str(value).encode()
    return str(value)


CASTS = {"str": to_text, "int": to_int, "float": float, "bool": lambda value: BOOL[str(value).lower()]}
NAMES = {"str": "text", "int": "a whole number", "float": "a number", "bool": "yes or no"}
