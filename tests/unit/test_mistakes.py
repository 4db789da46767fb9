"""What a user gets wrong, or a file hides, is told: nothing is guessed in silence."""

import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

from medkit import classroom, errors, evaluate, lessons, progress
from medkit.datasets import audit, own, schema, tables
from medkit.errors import MedkitError
from medkit.report import index, parameters, plan
from medkit.report.run import run


def ward(n=400, seed=0):
    rng = np.random.default_rng(seed)
    died = rng.random(n) < 0.3
    return pd.DataFrame({"patient_id": [f"P{k:05d}" for k in rng.permutation(n)], "sex": rng.choice(["f", "m"], n),
                         "age": rng.normal(60, 10, n).round(1) + 3 * died, "crp": rng.gamma(2, 20, n).round(2),
                         "ward": rng.choice(["north", "south"], n), "died": died.astype(int)})


def written(frame, path, **how):
    frame.to_csv(path, index=False, **how)
    return path


def found(frame, path):
    return {(f.kind, f.where) for f in audit.findings(own.load(written(frame, path)))}


@pytest.mark.parametrize("given, lacking", [({"data": "ward.csv", "patient": "P1"}, "model"),
                                            ({"patient": "P1"}, "model and data"), ({"model": "m"}, "data and patient")])
def test_a_patients_page_is_never_of_another_patient(tmp_path, given, lacking):
    task, = run(["patient"], given, tmp_path / "out", progress=False)
    assert task.status == "failed" and f"Also give {lacking}:" in task.error


def test_a_patients_page_names_the_outcome(tmp_path):
    from medkit.models import own as models
    from medkit.models import store

    one = own.load(written(ward(), tmp_path / "ward.csv"))
    store.save(models.with_cohort(models.fit(one, "logistic regression"), one), tmp_path / "model")
    given = {"model": str(tmp_path / "model"), "data": str(tmp_path / "ward.csv"), "patient": "P00012"}
    task, = run(["patient"], given, tmp_path / "out", progress=False)
    assert task.status == "done", task.error
    assert "predicted probability of died = 1:" in (tmp_path / "out" / "patient.html").read_text()


def test_a_parameter_that_contradicts_the_schema_is_refused(tmp_path):
    path = written(ward(), tmp_path / "ward.csv")
    (tmp_path / "ward.toml").write_text('outcome = "died"\npatient = "patient_id"\n')
    assert tables.load(path).classes == tables.load(path, outcome="died").classes == ["0", "1"]
    with pytest.raises(MedkitError, match=r"outcome of .* is 'ward', but the schema says 'died' \(.*ward.toml\)"):
        tables.load(path, outcome="ward")
    with pytest.raises(MedkitError, match="patient of"):
        tables.load(path, patient="age")


def test_rows_of_a_patient_stay_together_also_without_a_schema(tmp_path):
    visits = pd.concat([ward(), ward()]).assign(visit=np.arange(800))
    table = tables.load(written(visits, tmp_path / "a.csv"), outcome="died")
    assert not set(table.patients["train"]) & set(table.patients["test"]) and "patient_id" not in table.X["train"]
    assert "The column 'patient_id' is taken to name the patient." in table.notes
    unclear = visits.rename(columns={"patient_id": "file_nr"})
    written(unclear, tmp_path / "b.csv")
    for one in (tables.load(tmp_path / "b.csv", outcome="died"), own.load(tmp_path / "b.csv")):
        assert "'file_nr'" in " ".join(one.notes) and "too kind" in " ".join(one.notes)
    lone = ward().rename(columns={"patient_id": "file_nr"})
    assert "file_nr" not in " ".join(own.load(written(lone, tmp_path / "c.csv")).notes)


def test_what_nobody_foresaw_is_cut_where_it_is_long(tmp_path):
    assert errors.brief("a\n b") == "a b" and len(errors.brief("P00001" * 999)) < 320
    cells = [nbformat.v4.new_code_cell("raise TypeError('P00001' * 999)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "x.ipynb")
    task, = run([str(tmp_path / "x.ipynb")], {}, tmp_path / "out", progress=False)
    assert task.status == "failed" and task.error.startswith("cell 1: TypeError: P00001") and len(task.error) < 400
    with pytest.raises(MedkitError) as told, errors.explained("This"):
        raise ValueError("P00001" * 999)
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("change, message", [
    (lambda f: f.assign(died=1), "'died' has one value only.*ward.toml.*outcome = \"NAME\".*Columns: patient_id, sex"),
    (lambda f: f.drop(columns="died"), "not clear: none has a name such as died.*Columns: patient_id, sex, age, crp, ward")])
def test_no_other_outcome_is_guessed(tmp_path, change, message):
    path = written(change(ward()), tmp_path / "ward.csv")
    with pytest.raises(MedkitError, match=message):
        own.load(path)
    schema.write(path)
    assert '# outcome = "..."' in (tmp_path / "ward.toml").read_text()
    with pytest.raises(MedkitError, match="not clear"):
        own.load(path)
    (tmp_path / "ward.toml").write_text('outcome = "ward"\n')
    assert set(own.load(path).classes) == {"south", "north"}


def test_the_command_says_what_it_predicts(tmp_path):
    frame = ward().assign(lactate=[f"{k / 100:.2f}".replace(".", ",") for k in range(400)])
    told = own.load(written(frame, tmp_path / "ward.csv")).told()
    assert "died (1 against 0). Patient: patient_id." in told and "Not used: lactate (see Findings)." in told


@pytest.mark.parametrize("value", [95, 0, -0.1, float("nan")])
def test_a_sensitivity_is_a_share(value):
    with pytest.raises(MedkitError, match="share above 0 and at most 1"):
        evaluate.threshold_for([0, 1], [0.2, 0.8], value)
    assert evaluate.threshold_for([0, 1], [0.2, 0.8], 1) == 0.8


def test_a_range_in_a_comment_bounds_a_number():
    text = "wanted: float = 0.9  # 0 to 1: share\nhidden: int = 16  # 1 to 1000: nodes\nname: str = ''  # 0 to 1: word"
    cell = nbformat.v4.new_code_cell(text, metadata={"tags": ["parameters"]})
    known = parameters.read(nbformat.v4.new_notebook(cells=[cell]))
    assert known["wanted"].bounds == (0, 1) and known["name"].bounds == () and "0 to 1" in known["wanted"].help
    assert parameters.check({"wanted": "0.95", "hidden": "1000", "name": "x"}, known, "x")["hidden"] == 1000
    for name, value in (("wanted", "95"), ("wanted", "nan"), ("hidden", 0)):
        with pytest.raises(MedkitError, match=f"'{name}' takes a.* number from . to 1.*, not '{value}'"):
            parameters.check({name: value}, known, "x")


def test_a_notebook_without_parameters_says_how_to_give_it_some():
    with pytest.raises(MedkitError, match="takes no parameters, so no 'patient': tag one cell 'parameters'"):
        parameters.check({"patient": "x"}, {}, "mine")


@pytest.mark.parametrize("text", ["%matplotlib inline\nseed: int = 0", "seed: int", "where: Path = Path('x')"])
def test_a_cell_of_parameters_that_cannot_be_read_is_told(text):
    cell = nbformat.v4.new_code_cell(text, metadata={"tags": ["parameters"]})
    with pytest.raises(MedkitError, match="'parameters' cannot be read: .* a line such as 'seed: int = 0'"):
        parameters.read(nbformat.v4.new_notebook(cells=[cell]))


def test_a_parameter_of_another_kind_takes_no_other_value():
    cell = nbformat.v4.new_code_cell("sizes: list = [1, 2]\nk: int = 1  # 1 | 2: which", metadata={"tags": ["parameters"]})
    known = parameters.read(nbformat.v4.new_notebook(cells=[cell]))
    with pytest.raises(MedkitError, match=r"'sizes' takes no other value, not '3'. Default: \[1, 2\]"):
        parameters.check({"sizes": "3"}, known, "mine")
    assert parameters.check({"k": "2"}, known, "mine") == {"k": 2}


def test_columns_that_are_not_used_and_rows_that_contradict_are_found(tmp_path):
    frame, path = ward(), tmp_path / "ward.csv"
    assert found(frame, path) == set()
    card = audit.card(own.load(path))["Findings"]
    assert len(card) == 1 and "nothing found" in card.to_string()
    few = frame.assign(lactate=[f"{k % 9},{k % 10}" for k in range(400)])  # few enough values for a category
    many = frame.assign(platelets=[f"{150 + k},000" for k in range(400)], note=[f"text {k}" for k in range(400)])
    assert found(few, path) == {("ignored", "lactate")}
    assert found(many, path) == {("ignored", "platelets"), ("ignored", "note")}
    shown = audit.card(own.load(path))["Findings"]
    assert "write 0.92 for 0,92" in shown.to_string() and "text 3" not in shown.to_string()
    schema.write(path)
    assert audit.findings(own.load(path)) == [], "the schema was read by its writer"
    (tmp_path / "ward.toml").unlink()
    assert found(pd.concat([frame, frame.head(9)]), path) == {("repeated", "patient_id")}
    other = frame.head(9).assign(died=1 - frame["died"].head(9))
    assert found(pd.concat([frame, other]), path) == {("outcomes differ", "patient_id")}
    spelt = frame["died"].map({0: "no", 1: "yes"}).where(frame.index % 2 == 0, frame["died"].map({0: "no ", 1: "Yes"}))
    assert ("spelling", "died") in found(frame.assign(died=spelt), path)


def test_a_comma_that_may_mean_thousands_is_refused(tmp_path):
    frame = ward().assign(platelets=[f"{150 + k},000" for k in range(400)])
    with pytest.raises(MedkitError, match="'150,000' can be 150.000 or 150000"):
        own.load(written(frame, tmp_path / "t.tsv", sep="\t"))
    assert own.load(written(ward(), tmp_path / "s.csv", sep=";", decimal=",")).X["crp"].dtype == float


def test_a_class_that_lacks_is_told_of_a_table_in_words_that_fit_one(tmp_path):
    with pytest.raises(MedkitError, match="part has no") as told:
        own.load(written(ward(12).assign(died=[1, 1] + [0] * 10), tmp_path / "t.csv"))
    assert "image" not in str(told.value) and "labels.csv" not in str(told.value)


def test_the_start_page_shows_what_was_handed_out(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("medkit.report.say", said.append)
    (tmp_path / "03_cnn_diagnosis.ipynb").write_text("{}")
    progress.show(tmp_path)
    assert re.findall(r"\((\w+)\.ipynb\)", said[0]) == ["03_cnn_diagnosis"] * 2  # its row, and Next


def test_a_class_is_not_written_over_another(tmp_path):
    (tmp_path / "students" / "notebooks").mkdir(parents=True)
    (tmp_path / "students" / "notebooks" / "02_preprocessing.ipynb").write_text("{}")
    with pytest.raises(MedkitError, match="holds '02_preprocessing' of another class"):
        classroom.write(tmp_path, ["1"])
    assert not (tmp_path / "teacher").exists()
    classroom.empty_of_others(tmp_path, [lessons.find("2")])


def test_a_folder_that_cannot_be_read_is_no_silent_zero(tmp_path):
    for name, text in (("Ada", '{"1.1": "right"}'), ("Bao", '{"1.1": "ri'), ("Chidi", None)):
        (tmp_path / name).mkdir()
        if text:
            (tmp_path / name / progress.FILE).write_text(text)
    assert classroom.collect(tmp_path, names=True).attrs["notes"] == [
        "Student Bao: progress.json cannot be read.", "Student Chidi: the folder holds no notebook."]
    done = subprocess.run([sys.executable, "-m", "medkit", "collect", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count("Warning: Student ") == 2
    assert "Chidi" not in done.stderr + done.stdout


@pytest.mark.parametrize("count", [2, 30])
def test_the_index_names_reports_by_what_tells_them_apart(count):
    tasks = [plan.Task("patient", {"model": "m", "patient": f"P{k}"}, f"p{k}", status="done") for k in range(count)]
    page = index.page(tasks)
    assert '<a href="p1.html">patient = P1 (patient)</a>' in page
    assert count == 2 or page.index(">patient</th>") < page.index(">model</th>")
    assert '<a href="p.html">patient</a>' in index.page([plan.Task("patient", {"seed": 1}, "p", status="done")])


@pytest.mark.parametrize("how", [{"sep": ";"}, {"encoding": "latin-1"}, {"sep": "\t", "encoding": "utf-16"}, {}])
def test_a_table_of_reports_is_read_as_data_are(tmp_path, how):
    frame = pd.DataFrame({"patient": ["Müller", "007"], "limit": ["1", ""]})
    rows = [row for _, row in plan.table(written(frame, tmp_path / "p.csv", **how))]
    assert rows == [{"patient": "Müller", "limit": "1"}, {"patient": "007"}]
    (tmp_path / "p.csv").write_bytes(b"")
    with pytest.raises(MedkitError, match="p.csv is empty, so it is not a table"):
        plan.table(tmp_path / "p.csv")


GAIN = next(c.source for c in lessons.read(lessons.find("10")).cells if "plots.estimates(" in c.source)


@pytest.mark.parametrize("chosen, rarest, low, high, words", [
    ("network", 5, 0.1, 0.2, "**better, beyond chance"), ("network", 5, -0.2, -0.1, "**worse, beyond chance"),
    ("network", 4, 0.1, 0.2, "**too few test patients"), ("network", 5, -0.1, 0.1, "**not better beyond chance"),
    ("prevalence", 5, -0.2, -0.1, "Prevalence was chosen"), ("logistic regression", 5, 0, 0, "Logistic regression itself")])
def test_the_gain_over_the_baseline_is_told_as_it_is(chosen, rarest, low, high, words):
    said, estimate = [], evaluate.Estimate(0.5, 0.4, 0.6)
    exec(GAIN, {"sets": {"w": None}, "main": "w", "results": {"w": {"auroc": estimate, "baseline_auroc": estimate}},
                "plots": SimpleNamespace(estimates=lambda *a: None), "simulated": False, "quote": str, "say": said.append,
                "chosen": {"w": chosen}, "rarest": lambda one: rarest, "gain": evaluate.Estimate((low + high) / 2, low, high), "title": "w"})
    assert words in said[-1]


CATCH_UP = next(c.source for c in lessons.read(lessons.find("3")).cells if "catch_up = " in c.source)


@pytest.mark.parametrize("low, auroc, words", [
    (0.05, 0.9, "pre-training saved training here"), (-0.05, 0.9, "not seen to save anything"),
    (0.05, 0.8, "does not reach"), (-0.05, 0.99, "better than the pre-trained one after so short a training.")])
def test_lesson_3_says_that_pre_training_saved_training_only_where_it_was_ahead(low, auroc, words):
    said, means = [], {"pre-trained": [evaluate.Estimate(0.9, 0.8, 1)]}
    exec(CATCH_UP, {"gains": {9: evaluate.Estimate(0.1, low, 0.2)}, "means": means, "everything": 9, "passes": {9: "1 pass"},
                    "found": {"AUROC": evaluate.Estimate(auroc, auroc - 0.02, auroc + 0.02)}, "epochs": 16, "say": said.append})
    assert words in said[-1]
