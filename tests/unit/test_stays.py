"""Stays as hourly grids: the challenge's archives, the virtual hospital, and a user's long table."""

import io
import tarfile

import numpy as np
import pandas as pd
import pytest

from medkit import fetch
from medkit.datasets import stays
from medkit.errors import MedkitError

RECORD = """Time,Parameter,Value
00:00,RecordID,{id}
00:00,Age,{age}
00:00,Gender,1
00:00,Height,-1
00:00,ICUType,3
00:00,Weight,80
00:07,HR,70
00:37,HR,80
03:00,HR,90
03:00,pH,735
04:00,Temp,-17.8
47:59,HR,60
"""


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Sets b and c of six stays each, where `fetch` would put them."""
    for letter, start in (("b", 100), ("c", 200)):
        ids = range(start, start + 6)
        with tarfile.open(tmp_path / f"set-{letter}.tar.gz", "w:gz") as tar:
            for k in ids:
                text = RECORD.format(id=k, age=k - start + 30).encode()
                if k == start + 5:
                    text = b"".join(text.splitlines(keepends=True)[:7])  # nothing was measured but weight
                member = tarfile.TarInfo(f"set-{letter}/{k}.txt")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
        pd.DataFrame({"RecordID": ids, "SAPS-I": [-1, 5, 6, 7, 8, 9], "SOFA": 1, "Length_of_stay": 3, "Survival": -1,
                      "In-hospital_death": [0, 1, 0, 1, 0, 1]}).to_csv(tmp_path / f"Outcomes-{letter}.txt", index=False)
    monkeypatch.setattr(fetch, "path", lambda dataset, name, **_: tmp_path / name)
    return tmp_path


def test_a_set_of_the_challenge_by_name(archive):
    data = stays.load("challenge-2012", sets="b")
    heart = data.values[0, :, data.variables.index("HR")]
    assert data.values.shape == (6, 48, 3) and data.values.dtype == np.float32
    assert data.variables == ["HR", "Weight", "pH"], "a temperature of -17.8 is impossible, and was the only one"
    assert heart[0] == 75 and heart[3] == 90 and heart[47] == 60 and np.isfinite(heart).sum() == 3
    assert np.isclose(data.values[0, 3, data.variables.index("pH")], 7.35)
    assert data.static["Age"].tolist() == [30, 31, 32, 33, 34, 35] and data.static["Height"].isna().all()
    assert data.y.tolist() == [0, 1, 0, 1, 0, 1] and np.isnan(data.scores["SAPS-I"][0])
    assert data.mask[5].sum() == 1, "a stay without measurements stays in, empty"
    assert not {"Length_of_stay", "Survival"} & {*data.variables, *data.static, *data.scores}


def test_several_sets_and_fewer_hours(archive):
    data = stays.load("challenge-2012", sets="bc", hours=4)
    assert data.values.shape[:2] == (12, 4) and len(set(data.patients)) == 12
    assert sorted(np.concatenate(list(data.parts.values()))) == list(range(12))


def test_a_truncated_archive_says_so(archive):
    whole = (archive / "set-b.tar.gz").read_bytes()
    (archive / "set-b.tar.gz").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(MedkitError, match="set-b.tar.gz cannot be read to its end"):
        stays.load("challenge-2012", sets="b")


def long_rows(**change):
    rows = [{"patient": p, "time": t, "variable": v, "value": x} for p in range(6)
            for t, v, x in ((5.2, "HR", 80 + p), (1.0, "HR", 70), (0, "Age", 50 + p), (0, "died", p % 2))]
    frame = pd.DataFrame(rows).astype({"value": object, "time": object})
    for column, value in change.items():
        frame.loc[4, column] = value
    return frame


def test_a_long_table_in_any_order(tmp_path):
    long_rows().to_csv(tmp_path / "ward.csv", index=False)
    data = stays.load(tmp_path / "ward.csv", hours=8)
    assert data.values.shape == (6, 8, 1) and data.values[2, 5, 0] == 82 and data.values[2, 1, 0] == 70
    assert data.static["Age"].tolist() == [50, 51, 52, 53, 54, 55] and data.y.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("frame, says", [
    (long_rows(value="high"), r"row 5 \(patient 1\): the column 'value' should hold a number, but holds 'high'"),
    (long_rows(time=-3), r"row 5 \(patient 1\): the column 'time'"),
    (long_rows().drop(columns="variable"), "variable"),
    (long_rows().query("not (patient == 3 and variable == 'died')"), "patient 3 has no row with the variable 'died'"),
    (long_rows().query("patient == 0"), "0 for some patients and 1 for others")])
def test_bad_long_tables_are_named(tmp_path, frame, says):
    frame.to_csv(tmp_path / "ward.csv", index=False)
    with pytest.raises(MedkitError, match=says):
        stays.load(tmp_path / "ward.csv")


def test_unknown_names_are_named():
    with pytest.raises(MedkitError, match="challenge-2012"):
        stays.load("challenge-2021")


def test_the_hospital_has_the_same_shape(monkeypatch):
    monkeypatch.setattr(stays, "ADMITTED", 60)
    data = stays.load(hours=24, seed=1)
    assert data.values.shape == data.truth.shape == (60, 24, len(data.variables)) and np.isfinite(data.truth).mean() > 0.9
    assert list(data.static) == stays.STATIC and "simulated" in data.notes[0]
