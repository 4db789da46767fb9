"""Pages as a browser shows them: for everyone, on a phone, enlarged, in the dark, on paper."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from medkit import build, classroom, lessons
from medkit.report import index, render

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
BUILT = [p for p in lessons.sources() if (NOTEBOOKS / f"{p.stem}.ipynb").exists()]
NAMES = [f"{p.stem}.html" for p in BUILT] + [
    "index.html", "many.html", "class/teacher/index.html", "class/teacher/agenda.html", "class/teacher/teaching.html",
    "class/students/index.html", f"class/teacher/notes/{BUILT[-1].stem}.html", f"class/teacher/slides/{BUILT[-1].stem}.html"]
CLIPPED = """() => [...document.querySelectorAll("main *")].filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1
    && getComputedStyle(e).overflowX !== "visible").map(e => e.tagName + " " + e.textContent.slice(0, 60))"""
WIDTH = "() => document.documentElement.scrollWidth"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Write the pages: each built lesson as a report, two index pages, a class."""
    out = tmp_path_factory.mktemp("site")
    figure = {"value": 0.9, "low": 0.8, "high": 0.95, "unit": ""}
    tasks = [SimpleNamespace(lesson=p.stem, stem=p.stem, status="done", seconds=20.0, error=None, parameters={"seed": 1},
                             figures={"test_auroc": figure}) for p in BUILT]
    failed = SimpleNamespace(**{**vars(tasks[0]), "status": "failed", "error": "cell 3: ValueError: no", "figures": {}})
    for task in tasks:
        render.page(build.read(NOTEBOOKS / f"{task.stem}.ipynb"), out / f"{task.stem}.html", task)
    (out / "index.html").write_text(index.page([*tasks, failed]), encoding="utf-8")
    (out / "many.html").write_text(index.page([*tasks, failed] * 5), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDKIT_DATA", str(out / "no-data"))
        classroom.write(out / "class", [BUILT[-1].stem])
    return out


def opened(chromium, page, **options):
    """Open a page in a context of its own."""
    shown = chromium.new_context(**options).new_page()
    shown.goto(page.as_uri())
    return shown


@pytest.fixture(scope="module", params=NAMES)
def page(chromium, site, request):
    """Open each page once."""
    shown = opened(chromium, site / request.param, bypass_csp=True)
    yield shown
    shown.context.close()


def test_no_page_scrolls_sideways_enlarged_or_on_a_phone(page):
    for width in (640, 360, 320):  # 1280 pixels at 200 %, a phone, 1280 pixels at 400 % (WCAG 1.4.10)
        page.set_viewport_size({"width": width, "height": 640})
        assert page.evaluate(WIDTH) <= width, f"at {width} pixels"


def test_paper_clips_nothing(page):
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
    page.emulate_media(media="print")
    assert page.evaluate(CLIPPED) == [] and page.evaluate(WIDTH) <= 718
    assert page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "10mm")).startswith(b"%PDF")
    page.emulate_media(media="screen")


def test_every_figure_has_alternative_text(page):
    texts = page.evaluate("() => [...document.images].map(i => i.alt)")
    assert all(len(text) > 20 for text in texts)
    assert texts or page.url.rpartition("/")[2] not in NAMES[:len(BUILT)] or "notes" in page.url


def test_axe_finds_nothing_serious(page, axe):
    """Each page in one way, and the small ones in every way: light and dark, wide and on a phone."""
    ways = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
    k = next(k for k, name in enumerate(NAMES) if page.url.endswith(f"/{name}"))
    page.add_script_tag(content=axe)
    for scheme, width in ways if k >= len(BUILT) else [ways[k % 4]]:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        found = page.evaluate("() => axe.run({resultTypes: ['violations']})")
        assert len(found["passes"]) > 10
        bad = [(v["id"], v["impact"], v["nodes"][0]["html"][:200]) for v in found["violations"] if v["impact"] != "minor"]
        assert not bad, (scheme, width)


def test_dark_and_light_differ_and_keep_figures_on_white(chromium, site):
    colours = []
    for scheme in ("light", "dark"):
        page = opened(chromium, site / NAMES[1], color_scheme=scheme)
        colours.append(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
        image = page.evaluate("() => getComputedStyle(document.querySelector('img')).backgroundColor")
        page.context.close()
    assert colours == ["rgb(255, 255, 255)", "rgb(22, 24, 28)"] and image == "rgb(255, 255, 255)"


def test_recall_questions_open_by_keyboard(chromium, site):
    page = opened(chromium, site / f"class/teacher/slides/{BUILT[-1].stem}.html")
    question = page.locator("details summary").last
    question.focus()
    assert not page.evaluate("() => document.activeElement.parentElement.open")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.parentElement.open")
    page.context.close()
