"""Tables by name and from files, split by patient."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from medkit.datasets import cohorts, own, schema, tables
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
    ("a,outcom\n1,0\n", "There is no column 'outcome'. Did you mean 'outcom'.*Name the outcome in .*t.toml"),
    ("a,outcome\n1,0\n2,\n", "row 2: the column"),
    ("a,outcome\n1,0\n2,0\n", "one value only"), ("a,outcome\n", "one value only .none"),
    ("a,outcome\n1,0\n2,1\n", "at least 5 patients.*of the 2 here none"),
    ("", "cannot be read as a table")])
def test_bad_csv(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(MedkitError, match=message):
        tables.load(tmp_path / "t.csv")


def test_a_workbook_is_no_table_and_capitals_do_not_hide_parquet(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04\x14\x00\x06\x00")
    with pytest.raises(MedkitError, match="is no text .*Save the table as CSV"):
        tables.load(tmp_path / "t.xlsx")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.PARQUET")
    assert list(tables.read_frame(tmp_path / "t.PARQUET")) == ["a"]


def test_missing_file_and_unknown_name():
    with pytest.raises(MedkitError, match="There is no file"):
        tables.load("nowhere/t.csv")
    with pytest.raises(MedkitError, match="Did you mean 'wisconsin-breast-cancer'"):
        tables.load("wisconsin-breast")


@pytest.mark.parametrize("how", [{"sep": ";", "decimal": ","}, {"sep": "\t"}, {"encoding": "utf-16"},
                                 {"sep": "|", "encoding": "cp1252"}, {"sep": ";"}, {"encoding": "utf-8-sig"}])
def test_a_csv_of_any_dialect(tmp_path, how):
    frame = pd.DataFrame({"größe": np.arange(20) + 0.5, "note": "a", "outcome": np.arange(20) % 2})
    frame.to_csv(tmp_path / "t.csv", index=False, **how)
    table = tables.load(tmp_path / "t.csv")
    assert list(table.X["train"]) == ["größe", "note"] and table.X["train"]["größe"].dtype == float


@pytest.fixture
def ward(tmp_path):
    """Write a table with a schema beside it, and give its path."""
    (tmp_path / "ward.csv").write_text("mrn,age,ward,note,died,days\n" + "\n".join(
        f"{k // 2},{40 + k},{k % 3},free text,{k // 2 % 2},{10 * k}" for k in range(40)))
    (tmp_path / "ward.toml").write_text('outcome = "died"\npatient = "mrn"\n[columns]\nage = "number"\n'
                                        'ward = "category"\nnote = "ignore"\ndays = "number"\n')
    return tmp_path / "ward.csv"


def test_rows_of_a_patient_stand_together_in_the_order_of_the_file(tmp_path):
    frame = pd.DataFrame({"who": [f"p{k % 20}" for k in range(60)], "visit": np.arange(60), "outcome": np.arange(60) % 2})
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = tables.load(tmp_path / "t.csv", patient="who")
    who, visit = table.patients["train"], table.X["train"]["visit"].to_numpy()
    assert (pd.Series(who).ne(pd.Series(who).shift()).sum() == len(set(who))) and len(who) == 3 * len(set(who))
    assert all((np.diff(visit[who == w]) > 0).all() for w in set(who)) and (table.y["train"] == visit % 2).all()


@pytest.mark.parametrize("step, said", [(1, []), (-1, ["Of 20 patients the dates in 'admitted' run backwards"])])
def test_rows_that_run_back_in_time_are_told(tmp_path, step, said):
    days = pd.date_range("2020-01-25", periods=60).strftime("%d/%m/%Y")[::step]
    frame = pd.DataFrame({"who": [f"p{k % 20}" for k in range(60)], "born": "01/02/1950", "admitted": days, "outcome": np.arange(60) % 2})
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = tables.load(tmp_path / "t.csv", patient="who")
    left_out = ["Dates are no variables, and were left out: born, admitted"]
    assert [note.partition(".")[0] for note in table.notes] == left_out + said and list(table.X["train"]) == []


def test_numbers_and_texts_can_both_be_outcomes():
    classes, y = tables.coded(pd.Series([2, "a", 1] * 2, name="outcome", dtype=object), "t.csv")
    assert classes == [1, 2, "a"] and y.tolist() == [1, 2, 0] * 2


def test_a_schema_beside_the_table(ward):
    table = tables.load(ward)
    assert table.X["train"].dtypes.astype(str).to_dict() == {"age": "float64", "ward": "category", "days": "float64"}
    assert not set(table.patients["train"]) & set(table.patients["test"])


@pytest.mark.parametrize("line, schema, message", [
    ("0,old,1,x,1,5", None, "row 41: the column 'age' should hold a number, but holds 'old'"),
    ("0,50,1,x,1,soon", None, "row 41: the column 'days' should hold a number"),
    (",50,1,x,1,5", None, "row 41: the column 'mrn' is empty"), ("0,50,1,x,1,5", 'clock = "days"', "no key 'clock'"),
    ("0,50,1,x,1,5", '[columns]\nage = "integer"', "no type 'integer'"),
    ("0,50,1,x,1,5", '[columns]\nagee = "number"', "Did you mean 'age'"),
    ("0,50,1,x,1,5", "outcome = died", "cannot be read as TOML"), ("0,inf,1,x,1,5", None, "row 41: the column 'age'")])
def test_bad_rows_and_schemas(ward, line, schema, message):
    ward.write_text(ward.read_text() + f"\n{line}\n")
    if schema:
        ward.with_suffix(".toml").write_text(schema if "outcome" in schema else f'outcome = "died"\n{schema}')
    with pytest.raises(MedkitError, match=message):
        tables.load(ward)


def test_patients_are_text_and_rows_that_stand_twice_count_once(tmp_path):
    names = [f"{'00' * (k % 2)}{k // 2}" for k in range(40)]
    frame = pd.DataFrame({"who": names, "x": np.arange(40), "outcome": np.arange(40) // 2 % 2})
    pd.concat([frame, frame.assign(who=" " + frame["who"] + " ")]).to_csv(tmp_path / "t.csv", index=False)
    table = tables.load(tmp_path / "t.csv", patient="who")
    assert sorted(w for part in table.patients.values() for w in part) == sorted(names)
    assert table.notes == ["40 rows repeat another and were left out."]
    pd.concat([frame[["x", "outcome"]]] * 2).to_csv(tmp_path / "t.csv", index=False)
    table = tables.load(tmp_path / "t.csv")
    assert not set(table.X["train"]["x"]) & set(table.X["test"]["x"])  # nobody is named: equal rows stay, in one part
    assert sum(map(len, table.y.values())) == 80


@pytest.mark.parametrize("n", [1, 3, 4])
def test_a_split_leaves_no_part_empty(n):
    with pytest.raises(MedkitError, match=f"at least 5 patients with the same outcome; of the {n} here none"):
        by_patient(np.arange(n), np.zeros(n))
    assert all(map(len, by_patient(np.arange(5), np.zeros(5)).values()))


ENCOUNTERS = ("encounter_id,patient_nbr,race,discharge_disposition_id,admission_type_id,admission_source_id,"
              "A1Cresult,readmitted\n")


@pytest.fixture
def diabetes(tmp_path, monkeypatch):
    """Give the path of a small archive of encounters in the cache: 60, of 30 patients, in no order; one died."""
    rows = [f"{1000 - k},{k % 30},{'?' if k % 4 else 'Asian'},{11 if k == 5 else 1},1,1,None,"
            f"{'<30' if k % 30 < 10 else 'NO'}" for k in range(60)]
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path))
    (tmp_path / "diabetes130").mkdir()
    path = tmp_path / "diabetes130" / "dataset_diabetes.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Some_Folder/Diabetic_Data.CSV", ENCOUNTERS + "\n".join(rows))
    return path


def test_encounters_stand_in_order_by_patient_without_the_dead(diabetes):
    X, y, patients, _, notes = cohorts.diabetes130()
    assert len(y) == 59 and y.sum() == 19 and np.all(np.diff(patients) >= 0) and "59 encounters of 30" in notes[0]
    assert X["A1Cresult"].eq("None").all() and X["race"].isna().sum() == 44 and "encounter_id" not in X
    table = tables.load("diabetes130")
    assert not set(table.patients["train"]) & set(table.patients["test"])
    assert table.X["train"]["race"].dtype == "category"


def test_a_damaged_or_foreign_archive(diabetes):
    whole = diabetes.read_bytes()
    diabetes.write_bytes(whole[:-30])
    with pytest.raises(MedkitError, match="truncated or damaged"):
        tables.load("diabetes130")
    with zipfile.ZipFile(diabetes, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(MedkitError, match="holds no diabetic_data.csv; it holds readme.txt"):
        tables.load("diabetes130")


def test_survival_of_real_patients_as_seen_at_admission():
    whas, gbsg = tables.load("whas500"), tables.load("gbsg2")
    assert sum(y.sum() for y in whas.y.values()) == 215 and "los" not in whas.X["train"] and whas.time["test"].min() > 0
    assert sum(y.sum() for y in gbsg.y.values()) == 299 and gbsg.X["train"]["horTh"].dtype == "category"
    assert {p: t.shape for p, t in gbsg.time.items()} == {p: y.shape for p, y in gbsg.y.items()}


def test_simulated_patients_for_readmission(monkeypatch):
    again = tables.load("hospital-readmission")
    assert "Simulated" in again.notes[0] and 0.05 < again.y["train"].mean() < 0.2
    monkeypatch.setattr(cohorts, "ADMITTED", 200)
    one, other = (tables.load("hospital-readmission", seed=s).X["train"] for s in (1, 2))
    assert not one.equals(other)


@pytest.mark.parametrize("outcomes, told, last", [(["ja", "nein"], "", "ja"), (["survived", "died"], "", "died"),
                                                  (["a", "b", "b"], "", "a"), (["a", "b", "b"], 'positive = "b"', "b"),
                                                  (["positiv", "positiv", "negativ"], "", "positiv"), (["y", "y", "n"], "", "y"),
                                                  ([1, 2, 1], "", "2"), ([0, 1, 1], "", "1")])
def test_the_outcome_to_be_found_is_number_1(tmp_path, outcomes, told, last):
    rows = [f"{outcomes[k % len(outcomes)]},{k}" for k in range(60)]
    (tmp_path / "ward.csv").write_text("\n".join(["died,age", *rows]))
    (tmp_path / "ward.toml").write_text(told)
    table = tables.load(tmp_path / "ward.csv", outcome="died")
    assert table.classes[-1] == last
    assert all(str(outcomes[int(a) % len(outcomes)]) == table.classes[c] for a, c in zip(table.X["train"]["age"], table.y["train"]))


def test_an_outcome_to_be_found_that_nobody_has_is_an_error(tmp_path):
    (tmp_path / "ward.csv").write_text("\n".join(["died,age", *[f"{k % 2},{k}" for k in range(60)]]))
    (tmp_path / "ward.toml").write_text('positive = "yes"')
    with pytest.raises(MedkitError, match="no value of died 'yes'"):
        tables.load(tmp_path / "ward.csv", outcome="died")


def test_spaces_around_names_in_the_header_do_not_hide_the_patient(tmp_path):
    lines = [" patient_id ; died; ward, north ", *[f"0{k % 30:02};{k % 30 % 2};{k}" for k in range(90)]]
    (tmp_path / "ward.csv").write_text("\n".join(lines))
    table = tables.load(tmp_path / "ward.csv", outcome="died")
    assert list(table.X["train"]) == ["ward, north"] and set(map(len, table.patients["train"])) == {3}


@pytest.mark.parametrize("text, message", [
    ("age,outcome\n1,0\n\n2,1,x\n", "t.csv, line 4 has more cells than its header: 3, not 2"),
    ("age,outcome\n1,0,x\n2,1,x\n", "t.csv, line 2 has more cells"), ('a,outcome\n"1\n2",0\n1,2,3\n', "line 4 has more"),
    ("age;age ;x;outcome;x\n1;2;3;0;1\n", "several columns are called 'age, x'")])
def test_a_table_whose_columns_would_shift_or_share_a_name_is_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(MedkitError, match=message):
        tables.load(tmp_path / "t.csv")


@pytest.mark.parametrize("first", ["", "sep=;\n", '"sep=;"\r\n'])
def test_row_numbers_empty_rows_and_a_line_for_excel_are_no_data(tmp_path, first):
    rows = [f"{9 * k};p{k};{k % 2};{k},5;" for k in range(60)]
    (tmp_path / "t.csv").write_text(first + "\n".join([";patient;outcome;age, weight;", *rows, ";;;;", " ; ;;;"]), newline="")
    table = tables.load(tmp_path / "t.csv")
    assert list(table.X["train"]) == ["age, weight"] and table.classes == ["0", "1"] and table.X["train"].dtypes.iloc[0] == float
    assert table.notes[0] == "2 rows are wholly empty and were left out; rows are numbered without them."
    assert own.load(tmp_path / "t.csv").notes == table.notes[:1]
    assert "Unnamed: 0" in tables.read_frame(tmp_path / "t.csv", "Unnamed: 0")  # unless it names the patient


def test_a_long_text_of_several_paragraphs_holds_no_empty_rows(tmp_path):
    note, end = "seen\n , \n\nhome", "x" * 200_000
    (tmp_path / "t.csv").write_text(f'\n\n;;\nage;sex;note\n1;m;"{note}"\n\n"";;\n;;\n2;f;{end}\n')
    read = tables.read_frame(tmp_path / "t.csv")
    assert read.to_numpy().tolist() == [[1, "m", note], [2, "f", end]] and read["age"].dtype == int
    assert read.attrs["empty"] == 3  # one of them above the header


def test_a_column_in_the_index_of_a_parquet_file_is_kept(tmp_path):
    frame = pd.DataFrame({"mrn": [f"{k:03}" for k in range(60)], "age": 1.5, "outcome": [0, 1] * 30})
    frame.set_index("mrn").to_parquet(tmp_path / "t.parquet")
    assert tables.load(tmp_path / "t.parquet", patient="mrn").patients["train"][0][0] == "0"
    frame.reindex([*frame.index[::-1], 99]).to_parquet(tmp_path / "t.parquet")
    read = tables.read_frame(tmp_path / "t.parquet")
    assert isinstance(read.index, pd.RangeIndex) and len(read) == 60 and list(read) == list(frame)


def test_dates_of_several_time_zones_are_compared():
    dates = pd.DataFrame({"a": ["2024-03-31 00:30+01:00", "2024-03-31"], "b": ["2024-03-31T01:00+02:00", "2024-04-01T00:00Z"]})
    when = schema.when(dates)
    assert (when["b"] - when["a"]).dt.total_seconds().tolist() == [-1800, 86400]
