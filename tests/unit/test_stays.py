"""Stays as hourly grids, from the challenge's archives, a user's long table and the hospital; and bad input."""

import dataclasses
import io
import tarfile

import numpy as np
import pandas as pd
import pytest

from medkit import catalog, fetch
from medkit.datasets import challenge2012, longtable, stays
from medkit.errors import MedkitError

FIRST = ("Time,Parameter,Value\n00:00,RecordID,{}\n00:00,Age,{}\n00:00,Gender,1\n00:00,Height,-1\n00:00,ICUType,3\n"
         "00:00,Weight,-1\n")


def write_set(folder, letter, stays_of, died=None):
    """Write a set of the challenge: {stay: lines of measurements}."""
    with tarfile.open(folder / f"set-{letter}.tar.gz", "w:gz") as tar:
        for stay, lines in stays_of.items():
            body = (FIRST.format(stay, 40 + stay % 50) + lines).encode()
            info = tarfile.TarInfo(f"set-{letter}/{stay}.txt")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    rows = [f"{stay},{-1 if k else 6},1,5,-1,{(died or {}).get(stay, k % 2)}" for k, stay in enumerate(stays_of)]
    header = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"
    (folder / f"Outcomes-{letter}.txt").write_text("\n".join([header, *rows]))


def usual(start, n=20):
    """Measurements of n stays."""
    return {start + k: f"00:07,HR,{70 + k}\n00:37,HR,{72 + k}\n01:10,pH,734\n" for k in range(n)}


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Give an empty cache in which any file passes as the challenge's."""
    card = catalog.card("challenge-2012")
    card = dataclasses.replace(card, files=dict.fromkeys(card.files, ""))
    known = {**catalog.cards(), "challenge-2012": card}
    monkeypatch.setattr(catalog, "cards", lambda: known)
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path))
    (tmp_path / "challenge-2012").mkdir()
    return tmp_path / "challenge-2012"


def test_hours_units_and_unknowns(sets):
    write_set(sets, "a", usual(100))
    data = stays.load("challenge-2012")
    assert data.values.shape == (20, 48, 37) and data.values.dtype == np.float32 and data.y.sum() == 10
    assert data.values[3, 0, data.variables.index("HR")] == 74  # the mean of 73 and 75
    assert data.values[3, 1, data.variables.index("pH")] == np.float32(7.34)
    assert data.mask.sum() == 40 and data.static["Height"].isna().all() and data.static["Age"][3] == 43
    assert data.scores["SAPS-I"].notna().sum() == 1, "-1 means unknown"
    assert data.groups["unit"].eq("medical").all() and data.units["HR"] == "1/min"


def test_sets_by_name_have_the_same_variables(sets):
    for letter, start in zip("ac", (100, 300)):
        write_set(sets, letter, usual(start))
    one, other = stays.load("challenge-2012"), stays.load("challenge-2012", sets="c")
    assert list(other.patients[:2]) == [300, 301] and one.variables == other.variables
    assert sorted(np.concatenate(list(one.parts.values()))) == list(range(20))
    with pytest.raises(MedkitError, match="no set of challenge-2012 'd'"):
        stays.load("challenge-2012", sets="d")
    with pytest.raises(MedkitError, match="last 48 hours; got hours=100"):
        stays.load("challenge-2012", hours=100)


def test_outcomes_may_stand_in_any_order_with_spaces(sets):
    write_set(sets, "b", usual(200))
    first = stays.load("challenge-2012", sets="b")
    header, *rows = (sets / "Outcomes-b.txt").read_text().splitlines()
    (sets / "Outcomes-b.txt").write_text("\r\n".join(row.replace(",", " , ") + " " for row in [header, *rows[::-1]]))
    again = stays.load("challenge-2012", sets="b")
    assert np.array_equal(again.patients, first.patients[::-1]) and np.array_equal(again.y, first.y[::-1])
    assert np.array_equal(again.values, first.values[::-1], equal_nan=True)


def test_what_is_odd_but_has_a_rule(sets):
    """No measurements, times out of order, an unknown variable, impossible values, urine twice, blank lines."""
    odd = {100: "", 101: "03:00,HR,90\n01:00,HR,70\n", 102: "00:10,Zebra,5\n00:20,HR,0\n00:30,HR,-5\n",
           103: "00:10,Urine,100\n00:50,Urine,50\n48:00,HR,60\n00:20,Temp,98.6\n", 104: "\n\n02:00,HR,80\n"}
    write_set(sets, "a", odd | usual(200))
    data = stays.load("challenge-2012")
    hr, urine, temp = (data.values[:5, :, data.variables.index(v)] for v in ("HR", "Urine", "Temp"))
    assert not data.mask[0].any() and not data.mask[2].any() and "Zebra" not in data.variables
    assert hr[1, 1] == 70 and hr[1, 3] == 90 and hr[4, 2] == 80
    assert urine[3, 0] == 150 and temp[3, 0] == pytest.approx(37)
    assert "2 impossible values left out" in data.notes[0] and "2 of 25 stays" in data.notes[1]
    raw = stays.load("challenge-2012", clean=False)
    assert raw.values[2, 0, raw.variables.index("HR")] == -2.5


def test_later_hours_do_not_leak_into_what_was_known_at_admission(sets):
    write_set(sets, "a", {k: v + "30:00,Weight,80\n" for k, v in usual(100).items()})
    early = stays.load("challenge-2012", hours=24)
    assert early.static["Weight"].isna().all() and "no time series in the first 24 hours." in early.notes[1]
    assert (stays.load("challenge-2012", hours=48).static["Weight"] == 80).all()


def test_the_cache_is_used_and_mended(sets, monkeypatch):
    write_set(sets, "a", usual(100))
    times, read = [], challenge2012.read_members
    monkeypatch.setattr(challenge2012, "read_members", lambda archive: times.append(1) or read(archive))
    first, second = stays.load("challenge-2012"), stays.load("challenge-2012")
    assert np.array_equal(first.values, second.values, equal_nan=True) and len(times) == 1
    made = next((fetch.root() / "made").glob("challenge-2012-a-*.npz"))
    made.write_bytes(made.read_bytes()[:500])
    assert np.array_equal(first.values, stays.load("challenge-2012").values, equal_nan=True) and len(times) == 2
    write_set(sets, "a", usual(100) | {100: "00:10,HR,99\n"})
    assert stays.load("challenge-2012").values[0, 0, first.variables.index("HR")] == 99, "another archive is read anew"


@pytest.mark.parametrize("spoil, message", [
    (lambda f: (f / "set-a.tar.gz").write_bytes((f / "set-a.tar.gz").read_bytes()[:400]), "truncated or damaged"),
    (lambda f: (f / "set-a.tar.gz").write_bytes(b"no tar"), "truncated or damaged"),
    (lambda f: write_set(f, "a", {100: "00:10,HR,seventy\n"}), "stay 100: '00:10,HR,seventy' should be"),
    (lambda f: write_set(f, "a", {100: "soon,HR,70\n"}), "stay 100: 'soon,HR,70' should be"),
    (lambda f: write_set(f, "a", {100: "00:10,HR,70,1,2,3\n"}), "not time, variable, value"),
    (lambda f: (f / "Outcomes-a.txt").write_text("a,b\n1,2\n"), "not a table of outcomes"),
    (lambda f: write_set(f, "a", usual(100, 1)), "at least 5 patients"),
    (lambda f: write_set(f, "a", usual(100), dict.fromkeys(range(100, 120), 0)), "all 20 patients lived"),
    (lambda f: (f / "Outcomes-a.txt").open("a").write("\n999,1,1,1,1,0\n"), "stay 999 stands in one"),
])
def test_bad_archives(sets, spoil, message):
    write_set(sets, "a", usual(100))
    spoil(sets)
    with pytest.raises(MedkitError, match=message):
        stays.load("challenge-2012")


@pytest.fixture
def table():
    """Give a long table of 20 patients, and their outcomes."""
    who = np.repeat(np.arange(20), 3)
    frame = pd.DataFrame({"patient": who, "time": np.tile([0, 0.5, 5], 20),
                          "variable": np.tile(["Age", "HR", "My lab"], 20), "value": np.tile([50, 80, 1.5], 20)})
    return frame, pd.DataFrame({"patient": np.arange(20), "died": np.arange(20) % 2})


@pytest.mark.parametrize("how", [{}, {"sep": ";", "decimal": ","}, {"sep": "\t", "encoding": "utf-16"},
                                 {"encoding": "cp1252"}])
def test_a_folder_of_ones_own(table, tmp_path, how):
    frame, outcomes = table
    frame.replace("My lab", "Größe").to_csv(tmp_path / "stays.csv", index=False, **how)
    outcomes.to_csv(tmp_path / "outcomes.csv", index=False)
    data = stays.load(tmp_path)
    assert data.variables == ["Größe", "HR"] and data.values[4, 5, 0] == 1.5 and data.values[4, 0, 1] == 80
    assert data.static["Age"].eq(50).all() and data.y.sum() == 10
    assert "no unit or range is known: Größe" in data.notes[0]


def test_one_table_with_outcomes_within_and_clock_times(table, tmp_path):
    frame, outcomes = table
    died = pd.DataFrame({"patient": outcomes["patient"], "time": 40, "variable": "died", "value": outcomes["died"]})
    frame = pd.concat([frame, died, frame[:9]]).sample(frac=1, random_state=0)  # any order; rows that stand twice
    frame["time"] = [f"{int(t)}:{int(t % 1 * 60):02d}" for t in frame["time"]]
    frame.to_parquet(tmp_path / "mine.parquet")
    data = stays.load(tmp_path / "mine.parquet")
    assert data.values[4, 0, data.variables.index("HR")] == 80 and data.y.sum() == 10 and "died" not in data.variables


@pytest.mark.parametrize("column, row, value, message", [
    ("value", 4, "high", "row 5: the column 'value' should hold a number, but holds 'high'"),
    ("time", 4, "noon", "row 5: the column 'time' should hold a number, but holds 'noon'"),
    ("time", 4, -3, r"row 5: the time -3.* of patient 1 lies before admission"),
    ("patient", 4, None, "row 5: the column 'patient' is empty"),
    ("patient", 4, 77, "patient 77 has measurements but no outcome"),
    ("died", 4, 2, "patient 4 has 2"), ("died", slice(None), 0, "all 20 patients lived"),
    ("patients", 0, 0, "patient 0 stands there twice"),
    ("value", slice(None), 8000, "100% of the values of 'HR' lie outside 10 to 300 1/min"),
    ("no time", 0, 0, "no column 'time'"),
])
def test_bad_tables(table, tmp_path, column, row, value, message):
    frame, outcomes = (t.astype(object) for t in table)
    if column == "died":
        outcomes.loc[row, "died"] = value
    elif column == "patients":
        outcomes = pd.concat([outcomes, outcomes[:1]])
    elif column == "no time":
        frame = frame.rename(columns={"time": "when"})
    else:
        frame.loc[row, column] = value
        frame = frame[frame["variable"] != "Age"] if value == 8000 else frame
    frame.to_csv(tmp_path / "stays.csv", index=False)
    outcomes.to_csv(tmp_path / "outcomes.csv", index=False)
    with pytest.raises(MedkitError, match=message):
        stays.load(tmp_path)


def save(folder, frame, outcomes):
    """Write a folder of stays, and give it."""
    frame.to_csv(folder / "stays.csv", index=False)
    outcomes.to_csv(folder / "outcomes.csv", index=False)
    return folder


def test_patients_are_text(table, tmp_path):
    names = ["A1", "007", "7", *map(str, range(100, 117))]
    frame, outcomes = (t.assign(patient=[names[k] for k in t["patient"]]) for t in table)
    frame.loc[frame["patient"] == "7", "value"] = 99
    frame["patient"] = frame["patient"] + " "
    frame.loc[::2, "variable"] += " "
    data = stays.load(save(tmp_path, frame, outcomes))
    assert data.variables == ["HR", "My lab"]
    assert list(data.patients) == names and data.values[1:3, 0, 0].tolist() == [80, 99]


def test_what_stands_twice_counts_once(table, tmp_path):
    frame, outcomes = table
    frame = frame.replace("My lab", "Urine").assign(time=np.tile(["0:00", "0:30", "5:00"], 20))
    again = frame.assign(time="0" + frame["time"])
    rows = pd.concat([frame, again]).assign(row=np.arange(120))
    data = stays.load(save(tmp_path, rows, outcomes))
    assert (data.values[:, 5, data.variables.index("Urine")] == 1.5).all()
    assert "60 rows repeat another and were left out." in data.notes


def test_what_float32_cannot_hold_is_impossible(table, tmp_path):
    frame, outcomes = (t.astype(object) for t in table)
    frame.loc[2, "value"] = 1e39
    data = stays.load(save(tmp_path, frame, outcomes))
    assert not np.isinf(stays.load(tmp_path, clean=False).values).any()
    assert np.isnan(data.values[0, 5]).all() and "Impossible values left out: 1 of My lab." in data.notes
    frame.loc[frame["variable"] == "My lab", "value"] = 1e39
    assert stays.load(save(tmp_path, frame, outcomes)).variables == ["HR"]


def test_what_lies_after_the_last_hour_is_told(table, tmp_path):
    frame, outcomes = table
    folder = save(tmp_path, frame, outcomes)
    note = "20 of 60 values lie after the first 4 hours and were left out."
    assert note in stays.load(folder, hours=4).notes and not any("after" in n for n in stays.load(folder).notes)
    late = frame.assign(time=frame["time"].where(frame["variable"] == "Age", 60 + frame["time"]))
    with pytest.raises(MedkitError, match="40 of 60 values lie after the first 48 hours.*in minutes"):
        stays.load(save(tmp_path, late, outcomes))
    with pytest.raises(MedkitError, match="no variable has a value that can be used"):
        stays.load(save(tmp_path, frame[:0], outcomes))


def test_what_is_not_there(tmp_path):
    with pytest.raises(MedkitError, match="has no stays.csv"):
        stays.load(tmp_path)
    with pytest.raises(MedkitError, match="Did you mean 'challenge-2012'"):
        stays.load("challenge2012")
    with pytest.raises(MedkitError, match="at least 1 hour"):
        stays.load(hours=0)
    with pytest.raises(MedkitError, match="virtual-hospital last 96 hours; got hours=97"):
        stays.load(hours=97)
    (tmp_path / "t.csv").write_text("patient,time,variable,value\n1,0,HR,80\n")
    with pytest.raises(MedkitError, match="patient 1 has measurements but no outcome. Put an outcomes.csv"):
        stays.load(tmp_path / "t.csv")


def test_simulated_stays_have_the_same_shape(monkeypatch):
    monkeypatch.setattr(stays, "ADMITTED", 60)
    data = stays.load(hours=6, seed=3)
    assert data.values.shape == data.truth.shape == data.mask.shape == (60, 6, 38) and "Simulated" in data.notes[0]
    assert np.array_equal(data.values[data.mask], data.truth[data.mask]) and np.isfinite(data.truth).all()
    assert not set(data.patients[data.parts["train"]]) & set(data.patients[data.parts["test"]])
    assert list(data.static) == longtable.STATIC and len(data.groups) == 60


def test_hours_since_count_from_the_last_measurement_before():
    series = np.full((1, 5, 2), np.nan, np.float32)
    series[0, [0, 3], 0], series[0, 2, 1] = 1, 1
    none = pd.DataFrame()
    data = stays.Stays("", ["a", "b"], {}, series, none, np.zeros(1), np.zeros(1), {}, none, [], none)
    assert data.since[0, :, 0].tolist() == [0, 1, 2, 3, 1] and data.since[0, :, 1].tolist() == [0, 1, 2, 1, 2]
