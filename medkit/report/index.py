"""The one page about a run: status, time, key figures with intervals, links."""

from html import escape

from .record import spoken
from .render import style

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Results</title>
<style>{style} body {{ max-width: 70rem; }} ul {{ margin: 0; padding-left: 1.1rem; }}</style>
</head>
<body>
<main>
<h1>Results</h1>
<p>{summary}</p>
<div class="wide">
<table>
<thead><tr><th scope="col">Notebook</th><th scope="col">Status</th><th scope="col">Seconds</th><th scope="col">Key figures, with 95&nbsp;% interval</th><th scope="col">Parameters</th></tr></thead>
<tbody>
"""
FOOT = """</tbody>
</table>
</div>
<p>The same as data: <a href="results.json">results.json</a></p>
</main>
</body>
</html>
"""


def page(tasks):
    """Give the HTML of the index page for a list of tasks."""
    counts = [(s, sum(t.status == s for t in tasks)) for s in ("done", "failed", "not started")]
    summary = ", ".join(f"{n} {s}" for s, n in counts if n) + "."
    return HEAD.format(style=style(), summary=summary) + "".join(row(t) for t in tasks) + FOOT


def row(task):
    """Give the table row of one task."""
    name = escape(task.lesson)
    links = (f'<a href="{escape(task.stem)}.html">{name}</a><br>(<a href="{escape(task.stem)}.ipynb">notebook</a>)'
             if task.status != "not started" else name)
    status = f'<span class="status-{task.status.split()[0]}">{task.status}</span>'
    if task.error:
        status += f"<br>{escape(task.error)}"
    seconds = "" if task.seconds is None else f"{task.seconds:.1f}"
    found = "".join(f"<li>{escape(n)}: {escape(spoken(f))}</li>" for n, f in task.figures.items())
    given = "<br>".join(f"{escape(k)} = {escape(str(v))}" for k, v in task.parameters.items()) or "defaults"
    return (f"<tr><th scope=\"row\">{links}</th><td>{status}</td><td class=\"number\">{seconds}</td>"
            f"<td><ul>{found}</ul></td><td>{given}</td></tr>\n")
