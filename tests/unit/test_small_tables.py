"""Lessons 1, 2 and 6 on a user's own small tables: they work, or say in one message why they cannot."""

import re

import numpy as np
import pandas as pd
import pytest

from medkit import evaluate, lessons, plots, report
from medkit.errors import MedkitError


def function(number, name):
    """Give the source of a function of a lesson."""
    text = "\n\n\n".join(c.source for c in lessons.read(lessons.find(str(number))).cells if c.cell_type == "code")
    return re.search(rf"(?ms)^def {name}\(.*?(?=\n\n\n|\n\S)", text).group()


def walk(number, start="", stop="", given=None, **parameters):
    """Run the cells of a lesson's report from the one with `start` to before the one with `stop`, as a user would."""
    space, on, over = {}, not start, False
    for cell in lessons.compose(lessons.find(str(number)), "report").cells:
        on, over = on or start in cell.source, over or bool(stop) and stop in cell.source
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or "provenance" in tags or not (on and not over or "context" in tags):
            continue
        exec(compile(cell.source, f"lesson {number}", "exec"), space)
        if "parameters" in tags:
            space.update(parameters, **(given or {}))
        plots.plt.close("all")
    return space


def own_table(path, died):
    """Write a table with two numbers, two rows for each patient, and an outcome."""
    x = np.random.default_rng(0).normal(size=(len(died), 2)).round(2)
    pd.DataFrame(x, columns=["age", "crp"]).assign(died=died, patient=np.arange(len(died)) // 2).to_csv(path, index=False)
    return {"dataset": str(path), "outcome": "died"}


def test_lesson_1_says_which_class_is_the_ill_and_needs_two(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(report, "say", said.append)
    walk(1, start="no such cell", **own_table(tmp_path / "a.csv", np.repeat(["lived", "survived"], 40)))
    assert any("*the ill* below: **survived**" in text for text in said)
    with pytest.raises(MedkitError, match="an outcome of two values; 'died' in .* has 3: home, later, never"):
        walk(1, start="no such cell", **own_table(tmp_path / "b.csv", np.repeat(["home", "later", "never"], 30)))


def test_lesson_1_claims_nothing_from_one_ill_test_patient(tmp_path):
    space = walk(1, start="no such cell", **own_table(tmp_path / "a.csv", (np.arange(120) < 14).astype(int)))
    exec(function(1, "verdict"), space)
    assert (space["y"]["test"] == 1).sum() < 5
    assert "too few to compare" in space["verdict"](evaluate.Estimate(0.5, 0.36, 0.65))


@pytest.fixture
def ward(tmp_path):
    """Write a long table of 60 patients, 15 of whom die, with five variables."""
    rng = np.random.default_rng(0)
    usual = {"HR": (85, 15), "Temp": (37, 0.6), "Creatinine": (1.2, 0.4), "Na": (139, 4), "Glucose": (130, 30)}
    rows = [(patient, hour, name, np.round(rng.normal(mean + (patient < 15) * spread, spread), 2))
            for patient in range(60) for name, (mean, spread) in usual.items()
            for hour in np.sort(rng.choice(48, 8, replace=False))]
    rows += [(patient, 0, "Age", rng.integers(30, 90)) for patient in range(60)]
    rows += [(patient, 0, "died", int(patient < 15)) for patient in range(60)]
    pd.DataFrame(rows, columns=["patient", "time", "variable", "value"]).to_csv(tmp_path / "ward.csv", index=False)
    return tmp_path / "ward.csv"


def test_lesson_2_on_few_patients(ward):
    space = walk(2, stop="## Images", dataset=str(ward))
    assert space["sizes"] == [16] and np.isfinite(space["prices"][0].value)


def test_lesson_2_compares_no_price_with_one_that_may_be_0(ward):
    space = walk(2, stop="### Splitting rows", dataset=str(ward), noise_features=1)
    assert space["prices"][space["at"]].low <= 0 and space["beside"] == ""


def test_lesson_2_widens_what_rests_on_patients_that_are_shared(ward):
    space = walk(2, stop="## Clean", dataset=str(ward))
    t, risks = space["y"][space["learning"]], space["risks"]
    gap = [evaluate.auroc(t[b], risks["careful"][b]) - evaluate.auroc(t[b], risks["careless"][b])
           for _, b in space["folds"].split(t, t)]
    found, alone = space["gain"](risks["careful"], risks["careless"]), evaluate.mean_interval(gap)
    assert found.high - found.value == pytest.approx(1.5 * (alone.high - alone.value))
    space["rarer"] = 40
    exec(function(2, "over_studies"), space)
    assert space["over_studies"]([1.0, 2, 3], 40).high - 2 == pytest.approx(2 * (evaluate.mean_interval([1, 2, 3]).high - 2))


def test_lesson_2_goes_on_where_the_penalty_leaves_no_feature():
    said, rng = [], np.random.default_rng(0)
    cells = [c.source for c in lessons.read(lessons.find("2")).cells]
    space = walk(2, stop="## A working result first")
    space |= {"y": np.arange(3000) % 2, "learning": np.arange(60), "raw": rng.normal(size=(60, 9)), "say": said.append}
    exec(next(c for c in cells if "def choose(" in c).split("careless = ")[0], space)
    space["careful"] = [space["choose"]()]
    exec(next(c for c in cells if c.startswith("choice = ")), space)  # numbers of pure chance
    assert said == ["Of 9 features the careful one keeps **1**. (The first penalty left none, so it was loosened.)"]
    space["raw"][:, 3] += 3 * (np.arange(60) % 2)
    exec(next(c for c in cells if c.startswith("choice = ")), space)
    assert said[1] == "Of 9 features the careful one keeps **1**."


SCALED = next(c.source for c in lessons.read(lessons.find("2")).cells if c.source.startswith("scale_price = "))


@pytest.mark.parametrize("low, high, beside, words", [
    (0.1, 0.3, "20% of the price", "the leak flatters the study"), (-0.1, 0.5, "", "these draws cannot tell"),
    (-0.3, -0.1, "", "makes the study look worse")])
def test_lesson_2_says_of_a_leak_what_its_interval_says(low, high, beside, words):
    said, price = [], evaluate.Estimate((low + high) / 2, low, high)
    exec(SCALED, {"over_studies": lambda values, n: price, "scaled_study": float, "repeats": 1, "rarer": 60, "at": 0,
                  "prices": [evaluate.Estimate(1.0, 0.5, 1.5)], "record": lambda *a: None, "say": said.append})
    assert words in said[0] and (beside in said[0] if beside else "% of the price" not in said[0])


@pytest.mark.parametrize("hours", [2, 48])
def test_lesson_6_on_few_patients(ward, hours):
    space = walk(6, stop="## Who comes back", dataset=str(ward), horizon_hours=hours)
    assert len(space["often"]) == 1 and list(space["after"]) == ([6, 12, 24, 48] if hours == 48 else [2])


def test_lesson_6_on_a_ward_that_begins_late_and_knows_little_of_its_patients(ward):
    rows = pd.read_csv(ward).query("variable != 'Age'").replace({"variable": {"Creatinine": "PCT"}})
    rows["time"] = rows["time"].where(rows["variable"] == "died", rows["time"] * 38 / 47 + 9)
    rows.to_csv(ward, index=False)
    space = walk(6, stop="## Who comes back", dataset=str(ward))
    assert list(space["after"]) == [12, 24, 48] and set(space["whom"].index.get_level_values(1)) == {"unknown"}
    for name in ("on_another_ward", "fewer", "other_unit"):
        exec(function(6, name), space)
    cell = next(c.source for c in lessons.read(lessons.find("6")).cells if c.source.startswith("trusted, "))
    exec(cell, space)
    assert not any("creatinine" in name for name in space["wards"])


@pytest.mark.parametrize("hours, steps", [(1, 1), (3, 2), (4, 2)])
def test_the_last_hour_is_seen_also_where_hours_are_odd(hours, steps):
    space = {"np": np}
    exec(function(6, "coarse"), space)
    series = np.full((1, hours, 1), np.nan, np.float32)
    series[0, -1] = 7
    assert space["coarse"](series).shape == (1, steps, 1) and space["coarse"](series)[0, -1, 0] == 7


def test_without_an_alarm_score_1_is_0():
    space = {"np": np, "evaluate": evaluate}
    exec(function(6, "score_1"), space)
    score_1, y = space["score_1"], np.array([1, 0, 0])
    assert score_1(y, np.array([-1.0, -1, -1])) == 0 and score_1(y, np.array([1.0, 1, -1])) == 0.5
    drawn = score_1(y, np.array([1.0, 1, -1]), np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1]]))
    assert np.array_equal(drawn, [0.5, np.nan, 1], equal_nan=True)


def test_what_is_written_down_later_is_not_known_early(ward):
    rows = pd.read_csv(ward)
    late = pd.DataFrame({"patient": range(60), "time": 30, "variable": "Weight", "value": 80})
    pd.concat([rows, late]).to_csv(ward, index=False)
    space = walk(6, stop="Most cells are empty", dataset=str(ward))
    exec(function(6, "cut_short"), space)
    known = {h: space["cut_short"](h).static["Weight"].notna().mean() for h in (24, 31, 48)}
    assert known == {24: 0, 31: 1, 48: 1}


def test_where_no_alarm_is_right_there_is_no_number():
    space = {"np": np, "evaluate": evaluate}
    exec(function(6, "alarms_per_true"), space)
    alarms, y, margin = space["alarms_per_true"], np.array([1, 0, 0]), np.array([-1.0, 1, -1])
    assert np.isnan(alarms(y, margin)) and np.isnan(alarms(y, margin - 5)) and alarms(1 - y, margin) == 1
    assert np.array_equal(alarms(y, -margin, np.array([[1, 0, 1], [0, 0, 1]])), [2, np.nan], equal_nan=True)


@pytest.mark.parametrize("test_on, message", [("a", "Known: cv, b, c"), ("b", "Leave test_on out")])
def test_a_test_set_that_cannot_be_is_refused(test_on, message):
    with pytest.raises(MedkitError, match=message):
        walk(6, stop="Most cells are empty", test_on=test_on)


@pytest.mark.parametrize("number, stop, last, message", [
    (2, "## Clean", 7, "need at least 10"), (6, "jobs = ", 0, "have the rarer outcome.*At least 5 and 1 are needed")])
def test_lessons_say_when_too_few_died(ward, number, stop, last, message):
    rows = pd.read_csv(ward)
    rows.loc[(rows["variable"] == "died") & (rows["patient"] > last), "value"] = 0
    rows.to_csv(ward, index=False)
    with pytest.raises(MedkitError, match=message):
        walk(number, stop=stop, dataset=str(ward))


@pytest.fixture
def stays_table(tmp_path):
    """Write tables with a row per stay; some columns are numbers, some are words."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4 == 0
    columns = {"age": rng.integers(20, 90, 400) + 5 * y, "drugs": rng.poisson(4, 400),
               "ward": rng.choice(["a", "b", "c"], 400), "insurer": rng.choice(["x", "y"], 400)}

    def write(names, outcome=y.astype(int)):
        path = tmp_path / "returns.csv"
        pd.DataFrame({name: columns[name] for name in names} | {"outcome": outcome}).to_csv(path, index=False)
        return str(path)
    return write


def readmission(path):
    return walk(6, "## Who comes back", "## When, and not only whether", {"verdict": str}, encounters=path)


@pytest.mark.parametrize("names", [("age", "drugs"), ("ward", "insurer"), ("age", "ward")])
def test_readmission_with_numbers_or_words_alone(stays_table, names):
    found = readmission(stays_table(names))["readmission"]
    assert len(found) == 5 and all(np.isfinite(e.value) for e in found.values())


def test_readmission_with_dates_and_with_yes_and_no(tmp_path):
    rng = np.random.default_rng(0)
    pd.DataFrame({"urgent": rng.random(400) < 0.5, "came": pd.Timestamp("2020-01-01"), "ward": rng.choice(["a", "b"], 400),
                  "age": rng.integers(20, 90, 400), "outcome": np.arange(400) % 4 // 3}).to_parquet(tmp_path / "own.parquet")
    space = readmission(str(tmp_path / "own.parquet"))
    assert list(space["alone"]["train"]) == ["urgent", "ward", "age"] and space["numbers_alone"]["train"].shape[1] == 2


def test_lesson_6_counts_points_of_pressure_where_it_is_taken_by_cuff_alone():
    space = walk(6, stop="## A working result first")
    for name in ("read_together", "forward"):
        exec(function(6, name), space)
    cuff = np.full((2, 6), 80.0)
    space |= {"data": type("Stays", (), {"variables": ["NISysABP", "HR"]}), "RATIOS": {}}
    assert (space["read_together"](np.stack([cuff, cuff + 1], axis=2))["pressure"] == 80).all()


def test_readmission_says_which_answer_counts_as_coming_back(stays_table, capsys):
    space = readmission(stays_table(("age", "ward"), np.where(np.arange(400) % 4 == 0, "Ja", "Nein")))
    assert "'Ja' counts as coming back, 'Nein' as not" in capsys.readouterr().out and not space["thirty_days"]


def test_readmission_asks_a_question_with_two_answers(stays_table):
    with pytest.raises(MedkitError, match="3 values.*needs two"):
        readmission(stays_table(("age", "ward"), np.arange(400) % 3))
