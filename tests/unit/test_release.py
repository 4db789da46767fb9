"""What is released: a wheel and an sdist that hold the lessons, and run from an empty folder."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import medkit
from medkit import lessons

ROOT = Path(__file__).parents[2]


def build(kind, out):
    """Build a wheel or an sdist with hatchling, without a network."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install hatchling")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)], cwd=ROOT, check=True,
                   capture_output=True, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
    return next(out.iterdir())


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Unpack the wheel into a folder, as an installation does."""
    out = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build("wheel", out / "dist")) as wheel:
        wheel.extractall(out / "site")
    return out / "site"


def run(site, folder, *words):
    """Run the installed medkit, from an empty folder, with nothing of the checkout on the path."""
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", "medkit", *words], cwd=folder, env=env, capture_output=True, text=True,
                          timeout=300)


def test_the_wheel_holds_the_lessons_and_runs_one_from_an_empty_folder(installed, tmp_path):
    where = subprocess.run([sys.executable, "-c", "import medkit; print(medkit.__file__)"], cwd=tmp_path, text=True,
                           env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True).stdout.strip()
    assert Path(where).is_relative_to(installed)
    shown = run(installed, tmp_path, "list").stdout
    assert all(lessons.facts(p)["title"].split()[0] in shown for p in lessons.sources())
    done = run(installed, tmp_path, "run", "1", "--out", "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "report" / "index.html").exists()


def test_the_wheel_makes_a_classroom_with_figures_on_the_slides(installed, tmp_path):
    done = run(installed, tmp_path, "student", "1", "--out", "class")
    assert done.returncode == 0, done.stderr
    assert "data:image/png" in (tmp_path / "class" / "teacher" / "slides" / "01_deep_learning_basics.html").read_text()


def test_the_sdist_holds_what_builds_the_wheel(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "benchmarks/realism.json", "benchmarks/label_efficiency.json", "medkit/cli.py",
            "lessons/timings.json", "lessons/glossary.md"} <= names
    assert {f"lessons/{p.name}" for p in lessons.sources()} <= names


def test_version_changelog_and_citation_agree():
    newest = re.search(r"(?m)^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text())
    citation = (ROOT / "CITATION.cff").read_text()
    assert newest[1] == medkit.__version__ and f"version: {newest[1]}" in citation and newest[2] in citation
