"""The medkit command, as a user meets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medkit import cli, doctor


def medkit(*words, **env):
    return subprocess.run([sys.executable, "-m", "medkit", *words], capture_output=True, text=True,
                          env={**os.environ, **env}, timeout=120)


def test_import_is_light():
    text = "import sys, medkit; sys.exit(bool({'numpy', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", text]).returncode == 0


def test_help_teaches():
    shown = medkit("run", "--help").stdout
    assert "Example" in shown and "--param" in shown and "Exit code" in shown
    assert {"doctor", "list", "data", "run"} <= set(medkit("--help").stdout.split())


@pytest.mark.parametrize("words, message", [
    (["run", "deep_learning_basic"], "Did you mean '01_deep_learning_basics'"),
    (["run", "1", "-p", "sed=1"], "Did you mean 'seed'"), (["run", "1", "-p", "seed"], "NAME=VALUE"),
    (["data", "card", "mitbd"], "Did you mean 'mitdb'"), (["data", "verify", "nothing"], "There is no data set")])
def test_a_users_mistake_gets_one_message_and_exit_code_2(words, message):
    done = medkit(*words)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("place", [0, 3])
def test_debug_shows_where_a_mistake_was_noticed(place):
    words = ["data", "card", "mitbd"]
    done = medkit(*words[:place], "--debug", *words[place:])
    assert done.returncode == 2 and "Traceback" in done.stderr and done.stderr.splitlines()[-1].startswith("medkit: There is no")


def test_an_error_that_nobody_foresaw_is_one_line_and_with_debug_a_traceback(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import medkit.doctor\n\ndef break_down():\n    raise OSError('a\\nb')\n\n"
                                               "medkit.doctor.findings = break_down\n")
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = medkit("doctor", PYTHONPATH=paths)
    assert done.returncode == 1 and done.stderr == "medkit: this was not foreseen: OSError: a b. --debug shows where.\n"
    done = medkit("doctor", "--debug", PYTHONPATH=paths)
    assert done.returncode == 1 and "Traceback" in done.stderr and "break_down" in done.stderr


def test_lists_and_cards(tmp_path):
    assert "Deep learning basics" in medkit("list", "--parameters").stdout
    assert "pneumoniamnist" in medkit("data", "list", MEDKIT_DATA=str(tmp_path)).stdout
    assert "10.5281/zenodo" in medkit("data", "card", "pneumoniamnist").stdout.replace("\n", "")
    assert medkit("data", "verify", "pneumoniamnist", MEDKIT_DATA=str(tmp_path)).returncode == 1
    assert medkit("--version").stdout.startswith("medkit ")


def test_doctor_says_how_it_is():
    shown = medkit("doctor").stdout
    assert "Memory" in shown and "Device" in shown and "Network" in shown


def test_doctor_tells_of_a_broken_package_and_goes_on(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('no libcudart')")
    done = medkit("doctor", PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]))
    assert done.returncode == 0 and "broken" in done.stdout and "Network" in done.stdout


@pytest.mark.parametrize("address", ["192.168.1.5:8000/data", "http://here:x", "http://[::1", "/mnt/data", "http:///data"])
def test_doctor_knows_what_is_no_address_of_a_mirror(address, monkeypatch):
    monkeypatch.setenv("MEDKIT_MIRROR", address)
    assert doctor.network()[1:] == (f"'{address}' is no address",
                                    "Set MEDKIT_MIRROR to one such as http://192.168.1.5:8000/data.")


def test_doctor_sees_that_a_file_is_no_data_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path / "file"))
    assert "another folder" in doctor.cache()[2]
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path / "later"))
    assert doctor.cache()[2] == ""


@pytest.mark.parametrize("words, again", [([], False), (["--again"], True)])
def test_a_report_on_own_data_can_be_run_again(tmp_path, monkeypatch, words, again):
    (tmp_path / "ward.csv").write_text("age,died\n" + "".join(f"{k},{k % 2}\n" for k in range(60)))
    asked = []
    monkeypatch.setattr("medkit.report.run.run", lambda *given: asked.append(given) or [])
    CliRunner().invoke(cli.app, ["report", str(tmp_path / "ward.csv"), "--out", str(tmp_path), *words])
    assert [given[8] for given in asked] == [again]


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_a_terminal_that_knows_ascii_alone(tmp_path, env):
    (tmp_path / "größe.csv").write_text("größe,died\n" + "".join(f"{k},{k % 2}\n" for k in range(60)), encoding="utf-8")
    done = medkit("new", "--from", str(tmp_path / "größe.csv"), **env)
    assert done.returncode == 0 and "Read it, correct it" in done.stdout and done.stderr == ""
    assert medkit("list", **env).returncode == 0
