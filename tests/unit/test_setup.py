"""pyproject, constraints, environment.yml and binder agree; the copies leave a learner's edits alone."""

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from medkit import copies

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = {Requirement(line).name: Requirement(line).specifier for line in PROJECT["dependencies"]}
EXTRAS = [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))


def conda(path):
    """Read the requirements of a conda environment file: {name: specifier}."""
    lines = yaml.safe_load((ROOT / path).read_text())["dependencies"]
    return {Requirement(s).name: Requirement(s).specifier for s in lines if isinstance(s, str) and "python=" not in s}


def test_every_requirement_has_a_pin_that_satisfies_it():
    for requirement in [Requirement(line) for line in PROJECT["dependencies"]] + EXTRAS:
        assert requirement.specifier.contains(PINS[requirement.name]), requirement


def test_every_pin_installs_on_an_early_python_3_11():
    found = {name: metadata.metadata(name) for name in PINS if any(metadata.distributions(name=name))}
    late = [name for name, told in found.items() if told["Version"] == PINS[name]
            and not SpecifierSet(told.get("Requires-Python") or "").contains("3.11.2")]  # as Debian 12 has it
    assert len(found) > 100 and late == []


@pytest.mark.parametrize("path, torch", [("environment.yml", "pytorch"), ("binder/environment.yml", "pytorch-cpu")])
def test_conda_files_ask_for_the_same(path, torch):
    names = {**CONDA_NAMES, "torch": torch}
    expected = {names.get(name, name): spec for name, spec in WANTED.items()}
    found = conda(path)
    found.pop("pip")
    assert found == expected


def test_no_file_names_a_package_registry():
    hosts = re.compile("|".join(["py" + "pi.org", "python" + "hosted", "npm" + "js.", "deb." + "debian"]))
    for path in [*ROOT.glob("*.*"), *ROOT.glob("binder/*"), ROOT / "Makefile"]:
        if path.is_file():
            assert not hosts.search(path.read_text(errors="ignore")), path


def test_readme_names_the_commands_and_the_lessons():
    text = (ROOT / "README.md").read_text()
    from medkit import lessons

    assert "make run" in text and "make test" in text and "make lab" in text
    assert all(lessons.facts(p)["title"] in text for p in lessons.sources())


def test_the_folder_of_working_copies_may_have_a_space_in_its_name():
    lab = (ROOT / "Makefile").read_text().split("\nlab:")[1].split("\n\n")[0]
    assert lab.count('"$(NOTEBOOKS)"') == lab.count("$(NOTEBOOKS)") == 2


def test_working_copies_leave_edits_alone(tmp_path):
    source, mine = tmp_path / "source", tmp_path / "mine"
    source.mkdir()
    (source / "a.ipynb").write_text("{}")
    assert len(copies.copy_new(source, mine)) == 1
    (mine / "a.ipynb").write_text("my edits")
    (source / "b.ipynb").write_text("{}")
    assert [p.name for p in copies.copy_new(source, mine)] == ["b.ipynb"]
    assert (mine / "a.ipynb").read_text() == "my edits"


def code_lines(path):
    """Count the lines of a module that hold code: no blank line, comment or docstring."""
    text = path.read_text()
    told = {n for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
            and ast.get_docstring(node) for n in range(node.body[0].lineno, node.body[0].end_lineno + 1)}
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in told
               for n, line in enumerate(text.splitlines(), 1))


def test_medkit_stays_small():
    files = list((ROOT / "medkit").rglob("*.py"))
    assert all(len(p.read_text().splitlines()) <= 300 for p in files)
    simulator = [p for p in files if "hospital" in p.parts]
    assert sum(map(code_lines, simulator)) <= 1389
    assert sum(map(code_lines, files)) - sum(map(code_lines, simulator)) <= 5725
