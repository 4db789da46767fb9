"""Turn an executed notebook into one HTML page that needs nothing from elsewhere."""

import re
from functools import cache
from pathlib import Path

from ..files import write_text
from .record import quote

SIMULATED = "virtual-hospital"
TEMPLATES = Path(__file__).parent / "templates"
FORMULA = re.compile(r"(?s)(\$\$.+?\$\$|(?<![\\$\w])\$[^$\s](?:[^$\n]*[^$\s])?\$(?!\w))")
CODE = re.compile(r"(?s)(```.*?```|`[^`\n]*`)")
# A browser runs no script of these pages and fetches nothing for them, whatever data, parameters or outputs contain.
POLICY = ("default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'; "
          "base-uri 'none'; form-action 'none'")
KEPT = re.compile(r"(?is)(<(pre|code|script|style)\b.*?</\2\s*>|<[^>]*>)")  # shown as it stands, or not at all
HIDDEN = re.compile(r"(?is)<(script|style)\b.*?(?:</\1\s*>|\Z)")  # what stands in these is not for reading
LINK, IMAGE = re.compile(r"https?://|mailto:|#|[\w./-]+(#[\w-]+)?$"), re.compile("data:image/")  # nothing else is linked or shown
TAGS = """a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5
h6 hr i img ins kbd li mark ol p pre progress q s samp small span strong sub summary sup table tbody td tfoot th thead
tr u ul var wbr math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup
mtable mtd mtext mtr munder munderover""".split()
ATTRIBUTES = """abbr accent accentunder align alt border class colspan columnalign columnspacing dir display displaystyle
fence form height id lang linethickness lspace mathvariant max maxsize minsize movablelimits open rowspacing
rowspan rspace scope scriptlevel separator span start stretchy style symmetric title value width xmlns""".split()


@cache
def template(name):
    """Read a file that the pages are made of."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def exporter(name):
    """Make the HTML exporter with one of our templates: no script, no address outside the page."""
    from nbconvert import HTMLExporter

    made = HTMLExporter(template_name=name, extra_template_basedirs=[str(TEMPLATES)], exclude_output_prompt=True,
                        exclude_anchor_links=True, sanitize_html=True)
    made.register_filter("clean_html", clean)
    return made


def clean(html):
    """Keep of HTML what shows something, and drop what could act: scripts, frames, forms, handlers, other addresses."""
    return cleaner().clean(HIDDEN.sub("", html.decode() if isinstance(html, bytes) else str(html)))


@cache
def cleaner():
    """Make the cleaner, from lists of what is allowed."""
    from bleach.css_sanitizer import CSSSanitizer
    from bleach.sanitizer import Cleaner

    def allowed(tag, name, value):
        if name in ("href", "src"):
            return bool((LINK if tag == "a" else IMAGE).match(value))
        return name in ATTRIBUTES

    return Cleaner(tags=TAGS, attributes=allowed, protocols=["http", "https", "mailto", "data"], strip=True,
                   css_sanitizer=CSSSanitizer())


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
    title = notebook.metadata.get("medkit", {}).get("title")  # of a lesson alone
    lesson = [c for c in notebook.cells if "simulated" not in c.metadata.get("tags", [])]
    own = len(lesson) < len(notebook.cells) and task.parameters.get("dataset", SIMULATED) != SIMULATED
    if own:  # on a user's own data: without what tells of simulated patients
        notebook.cells, lesson[0].source = lesson, f"# {title}: {quote(Path(task.parameters['dataset']).name)}"
    facts = {"title": title or task.lesson, "error": task.error, "style": template("style.css"), "policy": POLICY,
             "fold": own or not title}  # code is for learners
    write_text(path, markup(notebook, "medkit", facts))


def markup(notebook, name="fragment", facts=None):
    """Give the HTML of a notebook by one of our templates: "fragment" has its cells alone, without code."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_mathml(cell.source)
    return readable(exporter(name).from_notebook_node(notebook, resources={"task": facts})[0])


def readable(html):
    """Let a table, figure or formula wider than the page scroll, by keyboard too; mark numbers; an empty cell is no heading."""
    scrolls = r'<{0} class="wide" tabindex="0" role="group" aria-label="{1}">\g<0></{0}>'
    html = re.sub(r"(?s)<table\b.*?</table>", scrolls.format("div", "Table"), html)
    html = re.sub(r'(?s)<math\b[^>]*display="block".*?</math>', scrolls.format("span", "Formula"), html)
    html = re.sub(r'<img(?:[^>"]|"[^"]*")*>', scrolls.format("div", "Figure"), html)
    html = re.sub(r"<td>(?=[-+]?[\d.,]+%?</td>|NaN</td>)", '<td class="number">', html)
    return together(re.sub(r"<th>\s*</th>", "<td></td>", html))


def together(html):
    """Keep a number and its % on one line, by a no-break space, wherever a text is no code."""
    parts = KEPT.split(html)  # text, what is kept, its tag, text, ...
    parts[::3] = (re.sub(r"(?<=\d)\s%", "\N{NO-BREAK SPACE}%", text) for text in parts[::3])
    return "".join(part for k, part in enumerate(parts) if k % 3 < 2)


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
