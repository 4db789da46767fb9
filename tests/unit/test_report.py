"""Reports: parameters checked first, failures told and contained, pages that stand alone."""

import json
import re

import nbformat
import pytest

from medkit import lessons
from medkit.errors import MedkitError
from medkit.report import parameters, render
from medkit.report.run import run

NBSP = "\N{NO-BREAK SPACE}"
HEAD = """# ---
# jupyter:
#   medkit: {title: "T <b>&", learn: [one], read_minutes: 1, before: nothing., data: none., claim: none}
# ---

# %%
from medkit.report import record, say

# %% tags=["parameters"]
effort: str = "demo"  # demo | full: how much
seed: int = 0  # the seed
rate: float = 0.5  # a rate
quick: bool = True  # or slow
dataset: str = "none"  # what

"""
GOOD = HEAD + """# %% [markdown]
# The formula $x^2$ and the code `$HOME`.

# %%
import sys
import matplotlib.pyplot as plt
from medkit import plots
print("a warning", file=sys.stderr)
from tqdm import tqdm
for _ in tqdm(range(3)):
    pass
for _ in tqdm(range(3), leave=False):
    pass
fig, ax = plt.subplots()
ax.plot([seed, 1])
plots.show(fig, "A line & more, drawn for the test.")

# %%
record("score", 0.5 + seed, 0.4, 0.9, "points")
record("weights", "none")
record("lost", float("nan"))
say(f"The score is {seed}.")
"""
BAD = HEAD + """# %%
record("early", 1)

# %%
raise ValueError("no such <thing>")
"""
DEAD = HEAD + """# %%
import os
os._exit(3)
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    (tmp_path / "lessons").mkdir()
    for number, text in enumerate([GOOD, BAD, DEAD], 1):
        (tmp_path / "lessons" / f"0{number}_{['good', 'bad', 'dead'][number - 1]}.py").write_text(text)
    monkeypatch.setattr(lessons, "folder", lambda: tmp_path / "lessons")
    lessons.read.cache_clear()
    yield tmp_path
    lessons.read.cache_clear()


def test_a_run_with_failures(course):
    out = course / "out"
    tasks = run([], {"seed": "2"}, out, progress=False)
    assert [t.status for t in tasks] == ["done", "failed", "failed"]
    names = {f"0{k}_{n}.{s}" for k, n in enumerate(["good", "bad", "dead"], 1) for s in ("html", "ipynb")}
    assert {p.name for p in out.iterdir()} == names | {"index.html", "results.json"}
    good, bad, dead = json.loads((out / "results.json").read_text())
    assert set(good) == {"notebook", "parameters", "status", "seconds", "error", "figures"}
    assert good["figures"]["score"] == {"value": 2.5, "low": 0.4, "high": 0.9, "unit": "points"}
    assert good["figures"]["lost"]["value"] is None and good["figures"]["weights"]["value"] == "none"
    assert good["parameters"] == {"seed": 2} and good["error"] is None and good["seconds"] > 0
    assert bad["figures"]["early"]["value"] == 1 and "ValueError: no such <thing>" in bad["error"]
    assert re.search(r"kernel", dead["error"])
    check_pages(out)


def check_pages(out):
    """Look at the pages that the run with failures wrote."""
    index, page = (out / "index.html").read_text(), (out / "01_good.html").read_text()
    assert "no such &lt;thing&gt;" in index and "0.400 to 0.900" in index and "1 done, 2 failed" in index
    assert not re.search(r"""(src|href)=["']https?://|<script|@import|url\(http""", page + index)
    assert 'alt="A line &amp; more, drawn for the test."' in page and "<math" in page and "$HOME" in page
    assert "it/s" not in page and page.count("Messages on standard error") == 1
    assert "a warning" in page and "The score is 2." in page and "torch" in page and "T &lt;b&gt;&amp;" in page
    assert 'role="alert"' in (out / "02_bad.html").read_text()
    nbformat.validate(nbformat.read(out / "01_good.ipynb", as_version=4))
    assert str(out) not in page + (out / "01_good.ipynb").read_text()  # where the machine keeps it is nobody's business


@pytest.mark.parametrize("given, message", [
    ({"sed": "1"}, "There is no parameter 'sed'. Did you mean 'seed'"), ({"seed": "two"}, "takes a whole number, not 'two'"),
    ({"seed": 1.5}, "whole number"), ({"rate": "fast"}, "takes a number"), ({"quick": "perhaps"}, "yes or no"),
    ({"effort": "ful"}, "Did you mean 'full'")])
def test_a_bad_parameter_stops_the_run_before_it_begins(course, given, message):
    with pytest.raises(MedkitError, match=message):
        run(["1"], given, course / "out")
    assert not (course / "out").exists()


def test_parameters_are_read_with_type_default_choices_and_help(course):
    known = parameters.read(lessons.compose(lessons.find("1"), "report"))
    assert known["effort"].choices == ("demo", "full") and known["rate"].kind == "float"
    assert known["seed"].default == 0 and known["seed"].help == "the seed"
    assert parameters.check({"quick": "no", "rate": "1"}, known, "x") == {"quick": False, "rate": 1.0}


def test_out_that_is_a_file(course):
    (course / "out").write_text("in the way")
    with pytest.raises(MedkitError, match="a file of that name is in the way"):
        run(["1"], {}, course / "out")


def test_a_full_disk_stops_the_run_with_one_message_and_nothing_half_written(course, monkeypatch):
    import errno
    from pathlib import Path

    real = Path.write_text

    def full(self, text, **kwargs):
        if "results.json" in self.name and "done" in text:
            real(self, text[:10], **kwargs)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, text, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(MedkitError, match="full"):
        run(["1"], {}, course / "out", progress=False)
    assert not [p for p in (course / "out").iterdir() if "part" in p.name]
    assert json.loads((course / "out" / "results.json").read_text())[0]["status"] == "not started"


@pytest.mark.parametrize("text, formulas", [("$a$ and $b_1$", 2), ("costs $5 and $6", 0), ("`$x$`", 0),
                                            ("$$\nx\n$$", 1), ("```\n$x$\n```", 0)])
def test_formulas(text, formulas):
    assert render.with_mathml(text).count("<math") == formulas


def test_a_number_and_its_percent_sign_stay_on_one_line():
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Of 95\n% or 5 %, but `5 %`, *5* % and 7 %d.\n\n    6 %\n")])
    html = render.markup(page)
    assert f"95{NBSP}% or 5{NBSP}%" in html and "<code>5 %</code>" in html and "6 %" in html
    kept = '<img alt="5 %"><style>a 5 %</style><script>1 % 2</script><pre>5 % <b>6 %</b></pre>'
    assert render.together(f"{kept}5 %{kept}") == f"{kept}5{NBSP}%{kept}"
