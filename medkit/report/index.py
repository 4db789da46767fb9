"""The one page about a run: status, time, key figures with intervals, links."""

import base64
import hashlib
from functools import cache
from html import escape

from .record import spoken
from .render import POLICY, TEMPLATES, style

FEW = 20  # up to so many rows the page needs no tools
COLUMNS = 12  # of figures; the others stand in the reports and in results.json
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Results</title>
<style>{style} body {{ max-width: {width}; }} ul {{ margin: 0; padding-left: 1.1rem; }}</style>
</head>
<body>
<main>
<h1>Results</h1>
<p>{summary}</p>
{tools}<div class="wide">
<table>
<thead><tr>{columns}</tr></thead>
<tbody>
"""
TOOLS = """<div id="tools" role="search" hidden>
<label>Search (press /) <input id="find" type="search"></label>
<label>Status <select id="status"><option value="">all</option><option>done</option><option>failed</option><option>not started</option></select></label>
<button id="back">Previous</button> <button id="next">Next</button>
<span id="said" role="status"></span>
</div>
"""
FOOT = """</tbody>
</table>
</div>
<p>The same as data: <a href="results.json">results.json</a></p>
</main>
{script}</body>
</html>
"""


@cache
def script():
    """Read the script of the page about many reports."""
    return (TEMPLATES / "table.js").read_text(encoding="utf-8")


def page(tasks):
    """Give the HTML of the index page for a list of tasks."""
    counts = [(s, sum(t.status == s for t in tasks)) for s in ("done", "failed", "not started")]
    summary = ", ".join(f"{n} {s}" for s, n in counts if n) + "."
    return few(tasks, summary) if len(tasks) <= FEW else many(tasks, summary)


def few(tasks, summary):
    """Give the page about a few reports: no script."""
    columns = headings(["Notebook", "Status", "Seconds", "Key figures, with 95\N{NO-BREAK SPACE}% interval", "Parameters"])
    head = HEAD.format(style=style(), policy=POLICY, width="70rem", summary=summary, tools="", columns=columns)
    return head + "".join(row(t) for t in tasks) + FOOT.format(script="")


def many(tasks, summary):
    """Give the page about many reports: a column for each parameter and figure, to search, sort and filter."""
    given = list(dict.fromkeys(name for t in tasks for name in t.parameters))
    found = list(dict.fromkeys(name for t in tasks for name in t.figures))
    if len(found) > COLUMNS:
        summary += f" Figures shown: the first {COLUMNS} of {len(found)}."
    columns = headings(["Notebook", "Status", "Seconds", *given, *found[:COLUMNS]])
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    head = HEAD.format(style=style(), policy=f"{POLICY}; script-src 'sha256-{digest}'", width="none", summary=summary,
                       tools=TOOLS, columns=columns)
    rows = (long_row(t, given, found[:COLUMNS]) for t in tasks)
    return head + "".join(rows) + FOOT.format(script=f"<script>{script()}</script>\n")


def headings(names):
    """Give the cells of a table's head."""
    return "".join(f'<th scope="col">{escape(name)}</th>' for name in names)


def row(task):
    """Give the table row of one task, with all parameters in one cell and all figures in another."""
    found = "".join(f"<li>{escape(n)}: {escape(spoken(f))}</li>" for n, f in task.figures.items())
    given = "<br>".join(f"{escape(k)} = {escape(str(v))}" for k, v in task.parameters.items()) or "defaults"
    return f"<tr>{first_cells(task)}<td><ul>{found}</ul></td><td>{given}</td></tr>\n"


def long_row(task, given, found):
    """Give the table row of one task, with a cell for each parameter and figure."""
    cells = [f"<td>{escape(str(task.parameters.get(name, '')))}</td>" for name in given]
    cells += [figure_cell(task.figures.get(name)) for name in found]
    return f'<tr data-status="{task.status}">{first_cells(task)}{"".join(cells)}</tr>\n'


def figure_cell(figure):
    """Give the cell of one figure, sorted by its value."""
    if figure is None:
        return "<td></td>"
    value = "" if figure["value"] is None else str(figure["value"])
    return f'<td data-value="{escape(value)}">{escape(spoken(figure))}</td>'


def first_cells(task):
    """Give the cells that every row begins with: links, status and error, seconds."""
    name = escape(task.lesson)
    links = (f'<a href="{escape(task.stem)}.html">{name}</a><br>(<a href="{escape(task.stem)}.ipynb">notebook</a>)'
             if task.status != "not started" else name)
    status = f'<span class="status-{task.status.split()[0]}">{task.status}</span>'
    if task.error:
        status += f"<br>{escape(task.error)}"
    seconds = "" if task.seconds is None else f"{task.seconds:.1f}"
    return f'<th scope="row">{links}</th><td>{status}</td><td class="number">{seconds}</td>'
