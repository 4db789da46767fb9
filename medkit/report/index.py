"""The one page about a run: status, time, key figures with intervals, links."""

import base64
import hashlib
from html import escape
from urllib.parse import quote

from .record import spoken
from .render import POLICY, template, together

FEW = 20  # up to so many rows the page needs no tools
COLUMNS = 12  # of figures; the others stand in the reports and in results.json


def page(tasks):
    """Give the HTML of the index page for a list of tasks."""
    summary = ", ".join(f"{n} {s}" for s in ("done", "failed", "not started") if (n := sum(t.status == s for t in tasks))) + "."
    return (few if len(tasks) <= FEW else many)(tasks, varying(tasks), summary)


def few(tasks, apart, summary):
    """Give the page about a few reports: no script."""
    names = ["Notebook", "Status", "Seconds", "Key figures, with 95 % interval", "Parameters"]
    return fill(names, (row(t, apart) for t in tasks), width="70rem", summary=summary, policy=POLICY)


def many(tasks, apart, summary):
    """Give the page about many reports: a column for each parameter and figure, to search, sort and filter."""
    given = list(dict.fromkeys([*apart, *(name for t in tasks for name in t.parameters)]))
    found = list(dict.fromkeys(name for t in tasks for name in t.figures))
    if len(found) > COLUMNS:
        summary += f" Figures shown: the first {COLUMNS} of {len(found)}."
    summary += " In brackets: 95 % intervals." if found else ""
    script, shown = template("table.js"), found[:COLUMNS]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return fill(["Notebook", "Status", "Seconds", *given, *shown], (long_row(t, given, shown, apart) for t in tasks),
                width="none", summary=summary, policy=f"{POLICY}; script-src 'sha256-{digest}'",
                tools=template("tools.html"), script=f"<script>{script}</script>\n")


def varying(tasks):
    """Name the parameters that tell the tasks apart."""
    names = dict.fromkeys(name for t in tasks for name in t.parameters)
    return [n for n in names if len({str(t.parameters[n]) for t in tasks if n in t.parameters}) > 1]


def fill(names, rows, tools="", script="", **parts):
    """Fill in the template."""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return together(template("index.html").format(columns=columns, rows="".join(rows), style=template("style.css"),
                                                  tools=tools, script=script, **parts))


def row(task, apart):
    """Give the table row of one task, with all parameters in one cell and all figures in another."""
    found = "".join(f"<li>{escape(n)}: {escape(spoken(f))}</li>" for n, f in task.figures.items())
    given = "<br>".join(f"{escape(k)} = {escape(str(v))}" for k, v in task.parameters.items()) or "defaults"
    return f"<tr>{first_cells(task, apart)}<td><ul>{found}</ul></td><td>{given}</td></tr>\n"


def long_row(task, given, found, apart):
    """Give the table row of one task, with a cell for each parameter and figure."""
    cells = [f"<td>{escape(str(task.parameters.get(name, '')))}</td>" for name in given]
    cells += [figure_cell(task.figures.get(name)) for name in found]
    return f'<tr data-status="{task.status}">{first_cells(task, apart)}{"".join(cells)}</tr>\n'


def figure_cell(figure):
    """Give the cell of one figure, sorted by its value."""
    if figure is None:
        return "<td></td>"
    value = "" if figure["value"] is None else str(figure["value"])
    return f'<td data-value="{escape(value)}">{escape(spoken(figure).replace("95 % interval ", ""))}</td>'


def first_cells(task, apart):
    """Give the cells that every row begins with: links by what tells the task apart, status and error, seconds."""
    told = ", ".join(f"{k} = {str(task.parameters[k])[:60]}" for k in apart if k in task.parameters)
    name = escape(f"{told} ({task.lesson})" if told else task.lesson)
    links = (f'<a href="{quote(task.stem)}.html">{name}</a> (<a href="{quote(task.stem)}.ipynb">notebook</a>)'
             if task.status != "not started" else name)
    status = f'<span class="status-{task.status.split()[0]}">{task.status}</span>'
    if task.error:
        status += f"<br>{escape(task.error)}"
    seconds = "" if task.seconds is None else f"{task.seconds:.1f}"
    return f'<th scope="row">{links}</th><td>{status}</td><td class="number">{seconds}</td>'
