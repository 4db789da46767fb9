"""Tables by name and from files, split by patient."""

import numpy as np
import pandas as pd
import pytest

from medkit.datasets import tables
from medkit.datasets.split import by_patient
from medkit.errors import MedkitError


def test_wisconsin_codes_malignant_as_one():
    table = tables.load("wisconsin-breast-cancer")
    assert sum(y.sum() for y in table.y.values()) == 212 and table.classes == ["benign", "malignant"]
    assert table.X["train"].shape[1] == 30


def test_a_split_keeps_patients_whole_and_outcomes_balanced():
    rng = np.random.default_rng(0)
    patients, outcome = rng.integers(0, 300, 1000), rng.random(1000) < 0.2
    parts = by_patient(patients, outcome, seed=1)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(1000))
    assert not set(patients[parts["train"]]) & set(patients[parts["test"]])
    assert not set(patients[parts["train"]]) & set(patients[parts["valid"]])
    rates = [outcome[r].mean() for r in parts.values()]
    assert max(rates) - min(rates) < 0.1
    assert not np.array_equal(by_patient(patients, outcome, seed=2)["test"], parts["test"])


def test_a_users_csv(tmp_path):
    frame = pd.DataFrame({"who": np.repeat(np.arange(30), 2), "x": np.arange(60.0), "died": np.arange(60) // 2 % 2})
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = tables.load(tmp_path / "t.csv", outcome="died", patient="who")
    assert list(table.X["train"]) == ["x"] and table.classes == ["0", "1"]
    assert not set(table.patients["train"]) & set(table.patients["test"])


@pytest.mark.parametrize("text, message", [
    ("a,outcom\n1,0\n", "There is no column 'outcome'. Did you mean 'outcom'"), ("a,outcome\n1,0\n2,\n", "row 2: the column"),
    ("a,outcome\n1,0\n2,0\n", "one value only"), ("a,outcome\n1,0\n2,1\n", "at least 3 patients"),
    ("", "cannot be read as a table")])
def test_bad_csv(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(MedkitError, match=message):
        tables.load(tmp_path / "t.csv")


def test_missing_file_and_unknown_name():
    with pytest.raises(MedkitError, match="There is no file"):
        tables.load("nowhere/t.csv")
    with pytest.raises(MedkitError, match="Did you mean 'wisconsin-breast-cancer'"):
        tables.load("wisconsin-breast")
