"""Turn an executed notebook into one HTML page that needs nothing from elsewhere."""

import re
from functools import cache
from pathlib import Path

from ..files import write_text

TEMPLATES = Path(__file__).parent / "templates"
FORMULA = re.compile(r"(?s)(\$\$.+?\$\$|(?<![\\$\w])\$[^$\s](?:[^$\n]*[^$\s])?\$(?!\w))")
CODE = re.compile(r"(?s)(```.*?```|`[^`\n]*`)")


@cache
def style():
    """Read the style sheet that the pages share."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


@cache
def exporter():
    """Make the HTML exporter with our template: no script, no address outside the page."""
    from nbconvert import HTMLExporter

    return HTMLExporter(template_name="medkit", extra_template_basedirs=[str(TEMPLATES)], exclude_output_prompt=True,
                        exclude_anchor_links=True)


def page(notebook, path, task):
    """Write a notebook as HTML, whole.

    Parameters
    ----------
    notebook : NotebookNode
        Executed; its formulas are turned into MathML.
    path : Path
    task : Task
        For the title, and for the error if there was one.
    """
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_mathml(cell.source)
    title = notebook.metadata.get("medkit", {}).get("title", task.lesson)
    facts = {"title": title, "error": task.error, "style": style()}
    html, _ = exporter().from_notebook_node(notebook, resources={"task": facts})
    write_text(path, html)


def with_mathml(markdown):
    """Replace $...$ and $$...$$ by MathML, which browsers show without a script; code is left alone."""
    parts = CODE.split(markdown)
    return "".join(part if k % 2 else FORMULA.sub(formula, part) for k, part in enumerate(parts))


def formula(found):
    """Turn one formula into MathML."""
    from latex2mathml.converter import convert

    text = found[0]
    display = "block" if text.startswith("$$") else "inline"
    return convert(text.strip("$"), display=display)
