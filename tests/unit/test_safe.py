"""Reports of hostile data: nothing in a parameter, a name or an output is run, by Python or by a browser."""

import ast
import os
import re
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medkit import lessons
from medkit.report import index, plan, render

ATTACK = '<script>document.title="pwned"</script><img src=x onerror="document.title=\'pwned\'">'
TRICKS = [ATTACK, '<svg onload="document.title=\'pwned\'"></svg>', '<a href="javascript:document.title=\'pwned\'">x</a>',
          '<iframe srcdoc="<script>parent.document.title=\'pwned\'</script>"></iframe>', "</main></body><script>1</script>",
          '<meta http-equiv="refresh" content="0;url=data:text/html,pwned">', '<base href="http://elsewhere.example/">',
          '<form action="http://elsewhere.example/"><button>go</button></form>', '<math><mi//xlink:href="data:x,1">',
          '<style>body{display:none}</style>', '<details open ontoggle="document.title=\'pwned\'">x</details>',
          '<img src="http://elsewhere.example/x.png">', '<a href="data:text/html,<script>1</script>">x</a>',
          '<p style="position:fixed;top:0;background:url(http://elsewhere.example/)">x</p>', "<!--<script>1</script>-->"]


def hostile_notebook():
    """Make a notebook whose parameters, Markdown and outputs of every kind are hostile."""
    out = nbformat.v4.new_output
    outputs = [out("stream", text=ATTACK), out("error", ename=ATTACK, evalue=ATTACK, traceback=[ATTACK, "\x1b[31m" + ATTACK])]
    for trick in TRICKS:
        outputs += [out("display_data", {"text/html": trick}), out("execute_result", {"text/markdown": f"a *b* {trick}"}),
                    out("display_data", {"text/plain": trick}), out("display_data", {"text/latex": trick}),
                    out("display_data", {"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'>{trick}</svg>"})]
    outputs += [out("display_data", {"application/javascript": 'document.title="pwned"'}),
                out("display_data", {"image/png": '"><script>1</script>'}, metadata={"image/png": {"alt": f'">{ATTACK}'}}),
                out("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": ATTACK}})]
    code = nbformat.v4.new_code_cell(f"name = {ATTACK!r}", outputs=outputs)
    markdown = [nbformat.v4.new_markdown_cell(f"# {t}\n\n{t}\n\n[x](javascript:alert(1)) $x<b$") for t in TRICKS]
    return nbformat.v4.new_notebook(cells=[*markdown, code], metadata={"medkit": {"title": ATTACK}})


@pytest.fixture
def pages(tmp_path):
    """Render the hostile notebook and two indexes (few and many) of hostile tasks."""
    figure = {"value": ATTACK, "low": None, "high": None, "unit": ATTACK}
    tasks = [plan.Task(ATTACK, {ATTACK: ATTACK}, "safe", status="failed", error=ATTACK, figures={ATTACK: figure})] * 30
    render.page(hostile_notebook(), tmp_path / "report.html", tasks[0])
    (tmp_path / "few.html").write_text(index.page(tasks[:3]))
    (tmp_path / "many.html").write_text(index.page(tasks))
    return tmp_path


def markup(html):
    """Yield a page's elements as a browser would read them."""
    from bleach._vendor import html5lib

    tree = html5lib.parse(html, namespaceHTMLElements=False)
    for element in tree.iter():
        if isinstance(element.tag, str):
            yield element


def test_no_tag_or_attribute_of_an_attack_survives(pages):
    for name, scripts in [("report.html", 0), ("few.html", 0), ("many.html", 1)]:
        html = (pages / name).read_text()
        assert "Content-Security-Policy" in html and "unsafe-eval" not in html
        found = list(markup(html))
        tags = [e.tag for e in found]
        assert tags.count("script") == scripts and not {"iframe", "form", "base", "object", "embed", "svg"} & set(tags)
        assert tags.count("meta") == 3
        for element in found:
            for key, value in element.attrib.items():
                assert not key.lower().startswith("on"), (element.tag, key)
                if key in ("src", "href", "style") and element.tag != "style":
                    assert "javascript" not in value and "elsewhere" not in value and "url(" not in value, value
                    assert not value.startswith("data:text"), value


def test_what_reports_show_is_kept():
    kept = '<table class="dataframe"><thead><tr><th>a</th></tr></thead><tbody><tr><td colspan="2">1 &lt; 2</td></tr></tbody></table>'
    assert render.clean(f"<style scoped>x</style>{kept}") == kept
    assert render.clean(render.with_mathml(r"$\frac{a_1}{\sqrt{b}} < \sum_i x_i^2$")).count("<m") > 10
    for text in ('<details open><summary>s</summary><p>t</p></details>', '<progress max="3" value="1"></progress>',
                 '<p style="color: red;">x</p>', '<a href="https://doi.org/10.1/x" title="t">x</a>',
                 '<img alt="a" src="data:image/png;base64,AA==">'):
        assert render.clean(text) == text


def test_numbers_are_marked_and_what_is_wide_can_scroll():
    image = '<img alt="a > b" src="data:image/png;base64,AA==">'
    html = render.readable(f"<table><td>-1.5</td><td>12%</td><td>1 of 2</td></table>{image}")
    assert html.count('<td class="number">') == 2 and "<td>1 of 2</td>" in html
    assert html.count('class="wide" tabindex="0"') == 2 and f'aria-label="Figure">{image}</div>' in html
    assert '<a href="glossary.ipynb#auroc">x</a>' == render.clean('<a href="glossary.ipynb#auroc">x</a>')


def test_nothing_unpacks_unpickles_or_evaluates():
    """Archives are read in place; numbers come from plain arrays; a parameter goes through papermill's writer of literals."""
    acts = re.compile(r"extractall|(?<!str)\.extract\(|import pickle|joblib|(?<!\.)\b(eval|exec)\(|yaml\.load\(|"
                      r"allow_pickle=True|torch\.load|read_pickle|os\.system|shell=True")
    sources = [*Path(plan.__file__).parents[1].rglob("*.py"), *lessons.sources(), *lessons.templates()]
    found = [(p.name, m[0]) for p in sources for m in acts.finditer(p.read_text(encoding="utf-8"))]
    assert len(sources) > 80 and found == []


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), st.text('\'"\\\n\r\u2028{}$`#;() \0'), st.integers(), st.floats(), st.booleans()))
def test_a_parameter_is_a_value_and_never_code(value):
    from papermill.translators import PythonTranslator

    lines = ast.parse(PythonTranslator.codify({"x": value})).body
    assert len(lines) == 1 and isinstance(lines[0], ast.Assign)
    if isinstance(value, float):
        assert repr(eval(ast.unparse(lines[0].value), {"float": float})) == repr(value)
    else:
        assert ast.literal_eval(lines[0].value) == value


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text() | st.floats() | st.integers(), min_size=1))
def test_a_name_made_of_parameters_is_a_plain_file_name(values):
    name = plan.named("lesson", values)
    assert name.startswith("lesson-") and len(name) < 100 and os.path.basename(name) == name
    assert all(c.isascii() and (c.isalnum() or c in "._=-") for c in name)


def test_a_browser_runs_nothing_of_it_and_fetches_nothing(pages, chromium):
    for name in ("report.html", "few.html", "many.html"):
        page = chromium.new_page()
        asked, dialogs = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(f"file://{pages / name}")
        for link in page.query_selector_all("a")[:40]:
            if (link.get_attribute("href") or "").startswith(("javascript", "data")):
                link.click()
        page.wait_for_timeout(300)
        assert page.title() != "pwned" and dialogs == []
        assert [url for url in asked if not url.startswith(("file:", "data:image"))] == []


@pytest.mark.parametrize("script", [True, False])
def test_the_rows_of_many_are_seen_with_a_script_and_without(pages, chromium, script):
    with chromium.new_context(java_script_enabled=script) as context:
        page = context.new_page()
        page.goto(f"file://{pages / 'many.html'}")
        assert page.locator("tbody tr").count() == 30 and page.locator("tbody tr").last.is_visible()
        assert page.locator("#find").is_visible() == script


def test_ten_thousand_rows_can_be_searched_sorted_and_filtered_with_the_keyboard(tmp_path, chromium):
    tasks = [plan.Task("03_cnn", {"seed": k, "patient": f"p{k:05}"}, f"s{k}", status="failed" if k % 20 == 0 else "done", seconds=k % 7,
                       figures={"auroc": {"value": (k * 7919 % 10_000) / 1e4, "low": 0.1, "high": 0.9, "unit": ""}},
                       error="cell 3: no <x>" if k % 20 == 0 else None) for k in range(10_000)]
    (tmp_path / "index.html").write_text(index.page(tasks))
    page = chromium.new_page()
    page.goto(f"file://{tmp_path / 'index.html'}")
    assert page.inner_text("#said") == "1 to 100 of 10000 reports" and page.locator("tbody tr").count() == 100
    page.keyboard.press("/")
    page.keyboard.type("p00123")
    assert page.inner_text("#said") == "1 to 1 of 1 reports" and "p00123" in page.inner_text("tbody")
    page.fill("#find", "")
    page.keyboard.press("Tab")
    page.select_option("#status", "failed")
    assert page.inner_text("#said").endswith("of 500 reports")
    page.focus("thead th:nth-child(6) button")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert page.get_attribute("thead th:nth-child(6)", "aria-sort") == "descending"
    values = [float(v) for v in page.eval_on_selector_all("tbody td:nth-child(6)", "c => c.map(x => x.dataset.value)")]
    assert values == sorted(values, reverse=True) and max(values) > 0.99
    page.focus("#next")
    page.keyboard.press("Enter")
    assert page.inner_text("#said").startswith("101 to 200 of 500")
