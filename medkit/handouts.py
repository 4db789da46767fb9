"""What a teacher holds: notes and slides of a lesson, from the lesson's own source. Pages that need no network."""

import ast
import copy
import re
from html import escape

import nbformat

from . import lessons
from .build import read
from .files import write_text
from .report.render import POLICY, markup, template

LINK = re.compile(r"\[([^]]+)\]\([\w./-]+\.ipynb[^)]*\)")  # to other notebooks, which a slide does not have beside it


def document(title, markdown, path):
    """Write Markdown as one HTML page in the suite's look."""
    write_text(path, fill(title, f'<article>{html([markdown])}</article>', ""))


def slides(path, target):
    """Write a lesson's slides: a heading, figures and results each; the rest of the text folds open as notes.

    They are read from the built notebook, with its outputs, or from the source where there is none.
    """
    shown = [f'<section id="s{k}">{html(parts)}{speaker(notes)}</section>'
             for k, (parts, notes) in enumerate(split(built(path)), 1)]
    write_text(target, fill(lessons.facts(path)["title"], "\n".join(shown), template("slides.css")))


def fill(title, body, own):
    """Put a body into a page that allows no script and no other address."""
    return template("document.html").format(policy=POLICY, title=escape(title), style=template("style.css"), own=own,
                                            body=body)


def built(path):
    """Give a lesson's notebook with outputs: beside the sources, or, if there is none, without outputs."""
    places = [lessons.folder() / "notebooks", lessons.folder().parent / "notebooks"]
    found = next((p for p in places if (p / f"{path.stem}.ipynb").exists()), None)
    return read(found / f"{path.stem}.ipynb") if found else lessons.compose(path)


def split(notebook):
    """Cut a notebook into slides: [(parts to show, Markdown for notes)]; a part is Markdown or a cell with outputs."""
    made, heading = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not cell.source.startswith("---"):
            told = LINK.sub(r"\1", cell.source.partition("\n\n**Words explained:**")[0])
            for text in re.split(r"(?m)^(?=## )|^(?=\*\*Exercise )", told):
                first, _, rest = text.strip().partition("\n\n")
                headed = first.startswith("#")
                heading = first.splitlines()[0] if headed else heading
                if first.startswith(("**Exercise ", "**References**")) or headed and "<details>" in text:
                    made.append(([text], []))
                elif headed:
                    lead, _, rest = rest.partition("\n\n") if first.startswith("## ") else (rest, "", "")
                    made.append(([f"{heading}\n\n{lead}"], [rest] if rest.strip() else []))
                elif text.strip() and made:
                    made[-1][1].append(text)
        elif not {"exercise", "provenance"} & set(cell.metadata.get("tags", [])):
            made += [([f"### {heading.strip('# ')}", part], []) for part in with_outputs(cell)]
    return made


def seen(output):
    """Tell whether an output belongs on a slide: a figure, a table or computed prose; not what a progress bar left."""
    data = output.get("data", {})
    return "image/png" in data or "text/markdown" in data or "<table" in data.get("text/html", "")


def with_outputs(cell):
    """Copy a cell without its code, once for each figure; tables and prose go with what stands before them."""
    made = []
    for output in filter(seen, cell.get("outputs", [])):
        if not made or "image/png" in output["data"]:
            made.append(copy.deepcopy(cell))
            made[-1].source, made[-1].outputs = "", []
        made[-1].outputs.append(output)
    return made


def speaker(notes):
    """Fold the text that stands behind a slide."""
    return f"<details><summary>Notes</summary>{html(notes)}</details>" if notes else ""


def html(parts):
    """Render Markdown and cells as HTML, cleaned as reports are."""
    cells = [nbformat.v4.new_markdown_cell(p) if isinstance(p, str) else p for p in parts]
    return markup(nbformat.v4.new_notebook(cells=cells))


def notes(path, target):
    """Write the notes for who teaches a lesson: times, claim, what goes wrong and why, questions and answers."""
    told, memory = lessons.facts(path), lessons.timings().get(path.stem, {}).get("peak_memory_mb", "?")
    text = "\n\n".join(c.source for c in lessons.read(path).cells if c.cell_type == "markdown")
    lines = [f"# {int(path.stem[:2])}. {told['title']}: notes", "", f"{told['read_minutes']} minutes to read, "
             f"{lessons.run_time(path)} to run, {memory} MB of memory. Before: {told['before']} Data: {told['data']}",
             "", "**They will be able to**", "", *(f"- {aim}" for aim in told["learn"]), "", "## Ask before you run it",
             "", f"{told['claim']} Take a vote, write it on the board, and come back to it at the end.", "",
             "## Where it fails", "", section(text, "Where it fails"), "", "## Exercises: what goes wrong", "",
             *mistakes(path), "", "## Questions, with answers", "", *re.findall(r"(?s)<details>.*?</details>", text)]
    document(told["title"], "\n".join(lines), target)


def section(text, heading):
    """Give the first paragraph under a heading of a lesson."""
    found = re.search(rf"(?m)^## {heading}\s*\n+(.+(?:\n(?!\s*$).+)*)", text)
    return found[1] if found else ""


def mistakes(path):
    """List each exercise with its question, wrong answers, what the check says to such, and the solution."""
    question = ""
    for cell in lessons.read(path).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown" and (asked := re.search(r"(?s)\*\*Exercise \d+\.\*\*.*", cell.source)):
            question = asked[0]
        elif "exercise" in tags and "Exercise(" in cell.source:
            yield from ["", question, "", "The check can say:", "", *(f"- {m}" for m in messages(cell.source)), ""]
        elif "BEGIN SOLUTION" in cell.source:
            yield from ["A solution:", "", "```python", lessons.plain_cell(cell, "solutions").source, "```", ""]
        elif "wrong" in tags:
            yield from ["A wrong answer that comes up:", "", "```python", cell.source, "```", ""]


def messages(code):
    """Give what the assertions of a check say."""
    return [ast.unparse(node.msg).strip("'\"") if not isinstance(node.msg, ast.Constant) else node.msg.value
            for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assert) and node.msg]
