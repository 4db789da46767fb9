"""Notebooks are built from one text source per lesson.

A source is `lessons/NN_topic.py` in py:percent form. Its YAML head tells title, aims, claim and data;
its cells may carry tags:

- `parameters`: the one cell of typed parameters;
- `exercise`: belongs to the exercises; a solution stands between `### BEGIN SOLUTION` and
  `### END SOLUTION`, and its last line (`return x` or `x = y`) becomes the blank to fill;
- `wrong`: an answer that must not pass, for the tests alone; in no notebook;
- `simulated`: tells of simulated patients alone; not on the page of a report on a user's own data;
- `context`: needed by the exercises' tests;
- `nbval-check-output`: the output is the same on every machine, and is compared.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path

from .errors import MedkitError, explained, unknown

SOLUTION = re.compile(r"(?ms)^(?P<indent>[ \t]*)### BEGIN SOLUTION\n(?P<body>.*?)^[ \t]*### END SOLUTION(?:\n|\Z)")
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
          "language_info": {"name": "python"}}


def folder():
    """Give the folder of lesson sources: inside the installed package, or in the checkout."""
    inside = Path(__file__).parent / "_lessons"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "lessons"


def sources():
    """Give every lesson source, in order."""
    return sorted(folder().glob("[0-9][0-9]_*.py"))


def templates():
    """Give the sources of notebooks that are reports alone, such as that on one patient."""
    return sorted((folder() / "templates").glob("*.py"))


def find(word):
    """Find a lesson by number ("3"), name ("03_cnn_diagnosis") or topic, a template by name, or any notebook by path."""
    if word.endswith((".ipynb", ".py")) and Path(word).is_file():
        return Path(word).resolve()
    for path in sources():
        number, topic = path.stem.split("_", 1)
        if word in (path.stem, topic) or (word.isdigit() and int(word) == int(number)):
            return path
    if word in (known := {p.stem: p for p in templates()}):
        return known[word]
    raise unknown("lesson or file", word, [p.stem for p in [*sources(), *templates()]])


@cache
def read(path):
    """Read a source as a notebook, with the facts of its head in `metadata.medkit`."""
    import jupytext

    with explained(f"{path} cannot be read as a notebook"):
        return jupytext.read(path, fmt="ipynb" if path.suffix == ".ipynb" else "py:percent")


def facts(path):
    """Give the facts of a lesson's head: title, learn, claim, before, read_minutes, data."""
    return read(path).metadata["medkit"]


def measured(name):
    """Read the rows that a command in benchmarks/ measured, which travel with the lessons as `name`.json."""
    places = [folder() / f"{name}.json", folder().parent / "benchmarks" / f"{name}.json"]
    return [row for path in places if path.exists() for row in json.loads(path.read_text(encoding="utf-8"))]


def timings():
    """Give the measured seconds and peak memory of each lesson's default run."""
    path = folder() / "timings.json"
    return json.loads(path.read_text()) if path.exists() else {}


def exercises(path):
    """Give the names of a lesson's exercises, such as "1.2", in order."""
    return re.findall(r'Exercise\("(\d+\.\d+)"', "\n".join(c.source for c in read(path).cells))


def solution(name):
    """Give the code that solves an exercise, by its name, such as "1.2"."""
    lesson, _, number = name.partition(".")
    return next(plain_cell(c, "solutions").source for c in read(find(lesson)).cells
                if "BEGIN SOLUTION" in c.source and f"exercise_{number}(" in c.source)


def glossary():
    """Give the words of the glossary: {word: all its names and forms}."""
    text = (folder() / "glossary.md").read_text(encoding="utf-8")
    found = re.findall(r"(?m)^## (.+)\n(?:\*also: (.+?)\.\*)?", text)
    return {word: [word, *filter(None, also.split(", "))] for word, also in found}


def words(path):
    """Give the words of the glossary that stand in a lesson's text; capitals count where a name begins with two."""
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    return [word for word, names in glossary().items() if any(re.search(
        rf"(?<![\w-]){re.escape(n)}(?![\w-])", text, 0 if n[:2].isupper() else re.I) for n in names)]


def page(name, paths=None):
    """Build the start page (of all lessons or some) or the glossary from its Markdown source, as a notebook."""
    import jupytext
    import nbformat

    cells = jupytext.read(folder() / f"{name}.md").cells
    out = [f"({p.stem}.ipynb)" for p in sources() if paths and p not in paths]
    for cell in cells:
        lines = [line for line in cell.source.splitlines() if not any(link in line for link in out)]
        cell.source, cell.metadata = "\n".join(lines).replace("LESSONS", table("{0}.ipynb", paths)), {}
    return nbformat.v4.new_notebook(cells=with_ids(cells, name), metadata=KERNEL)


def table(address, paths=None):
    """Write the table of lessons, with measured times; `address` holds {0} for a lesson's name."""
    rows = [f"| {int(p.stem[:2])} | [{facts(p)['title']}]({address.format(p.stem)}) | {facts(p)['data']} | "
            f"{facts(p)['read_minutes']} min | {run_time(p)} | "
            f"{timings().get(p.stem, {}).get('peak_memory_mb', '')} MB |" for p in paths or sources()]
    return "\n".join(["| | Lesson | Data | Read | Run | Memory |", "|---|---|---|---|---|---|", *rows])


def compose(path, kind="lesson", paths=None):
    """Build the notebook of one kind from a lesson's source, without outputs.

    Parameters
    ----------
    path : Path
        The source.
    kind : str
        "lesson" or "exercises" (solutions blanked), "solutions" (filled in), or "report" (no exercises).
    paths : list of Path, optional
        The lessons to which it may link; all by default.

    Returns
    -------
    NotebookNode
    """
    import nbformat

    unwanted = {"wrong"} | ({"exercise"} if kind == "report" else set())
    cells = [plain_cell(c, kind) for c in read(path).cells if not unwanted & set(c.metadata.get("tags", []))]
    ends = [] if kind == "report" else [nbformat.v4.new_markdown_cell(neighbours(path, paths or sources()))]
    stamp = nbformat.v4.new_code_cell("from medkit.report import provenance\n\nprovenance(seed)",
                                      metadata={"tags": ["provenance"]})
    made = [nbformat.v4.new_markdown_cell(header(path, kind)), *cells, stamp, *ends]
    return nbformat.v4.new_notebook(cells=with_ids(made, path.stem), metadata={**KERNEL, "medkit": {
        "lesson": path.stem, "title": facts(path)["title"]}})


def plain_cell(cell, kind):
    """Copy a cell with its tags alone, its solution blanked or its markers taken away."""
    import nbformat

    new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
    text = SOLUTION.sub(r"\g<body>" if kind == "solutions" else blank, cell.source)
    made = new(text.rstrip("\n"))
    if cell.metadata.get("tags"):
        made.metadata["tags"] = list(cell.metadata["tags"])
    if "exercise" in cell.metadata.get("tags", []) and "Exercise(" in text:
        made.metadata["jupyter"] = {"source_hidden": True}  # the check and the hint, folded: they would give it away
    return made


def blank(found):
    """Replace a solution by its last line with `...` in place of the answer."""
    last = found["body"].rstrip("\n").splitlines()[-1].strip()
    start = "return" if last.startswith("return ") else last.split(" = ")[0] + " =" if " = " in last else None
    if start is None:
        raise MedkitError(f"A solution must end in 'return ...' or 'name = ...', not in '{last}'.")
    return f"{found['indent']}{start} ...  # your answer here\n"


def with_ids(cells, lesson):
    """Give every cell an id that depends on nothing but its text and place among equals."""
    seen = {}
    for cell in cells:
        seen[cell.source] = seen.get(cell.source, -1) + 1
        cell.id = hashlib.sha256(f"{lesson}\0{cell.source}\0{seen[cell.source]}".encode()).hexdigest()[:8]
    return cells


def header(path, kind="lesson"):
    """Write a lesson's first cell from the facts of its head, the measured time, and the words that it uses."""
    told = facts(path)
    used = ", ".join(f"[{w}](glossary.ipynb#{w.replace(' ', '-')})" for w in words(path)) if kind != "report" else ""
    aims = "\n".join(f"- {aim}" for aim in told["learn"])
    return (f"# {int(path.stem[:2])}. {told['title']}\n\n**You will be able to**\n\n{aims}\n\n"
            f"**Time:** about {told['read_minutes']} minutes to read, {run_time(path)} to run on two CPU cores. "
            f"**Before:** {told['before']} **Data:** {told['data']}\n\n"
            f"**The claim that we test:** {told['claim']}" + (f"\n\n**Words explained:** {used}" if used else ""))


def run_time(path):
    """Say the measured running time of the default run in words."""
    seconds = timings().get(path.stem, {}).get("seconds")
    if seconds is None:
        return "a time not yet measured"
    return f"{5 * max(1, round(seconds / 5))} seconds" if seconds < 100 else f"{round(seconds / 60)} minutes"


def neighbours(path, paths):
    """Write the links to the lessons before and after."""
    k = paths.index(path)
    links = [f"Previous: [{facts(p)['title']}]({p.stem}.ipynb)" for p in paths[max(0, k - 1):k]]
    links += [f"Next: [{facts(p)['title']}]({p.stem}.ipynb)" for p in paths[k + 1:k + 2]]
    return "---\n" + " · ".join([*links, "[Glossary](glossary.ipynb)"])
