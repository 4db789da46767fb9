"""An analyst's own data: schema inferred, flaws found where they are and not where they are not, reports that run."""

import json
import re
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest

from medkit import lessons
from medkit.datasets import audit, own, schema
from medkit.errors import MedkitError
from medkit.hospital import flawed
from medkit.report import quote, render
from medkit.report.run import run

ATTACK = '<img src=x onerror="document.title=\'pwned\'"><script>1</script>'


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """Write the three simulated sets once, and give their folder and the planted flaws."""
    folder = tmp_path_factory.mktemp("desk")
    planted = {"ward.csv": flawed.table(folder / "ward.csv", n=500), "films": flawed.images(folder / "films", n=160),
               "ecg": flawed.recordings(folder / "ecg", n=90)}
    return folder, planted


def clean_table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    died = rng.random(n) < 0.3
    return pd.DataFrame({"mrn": [f"m{k}" for k in rng.permutation(n)], "age": rng.normal(60, 10, n).round(1) + 3 * died,
                         "sex": rng.choice(["f", "m"], n), "crp": rng.gamma(2, 20, n).round(2), "died": died.astype(int)})


@pytest.mark.parametrize("name", ["ward.csv", "films", "ecg"])
def test_every_planted_flaw_is_found(desk, name):
    folder, planted = desk
    found = {(f.kind, f.where) for f in audit.findings(own.load(folder / name))}
    assert set(planted[name]) <= found


@pytest.mark.parametrize("left_out", [[], ["crp"], ["sex", "crp"]])  # of few columns rows are alike by chance
def test_clean_data_raise_no_alarm(tmp_path, left_out):
    clean_table().drop(columns=left_out).to_csv(tmp_path / "ward.csv", index=False)
    assert audit.findings(own.load(tmp_path / "ward.csv")) == []


def test_a_table_that_was_appended_to_itself_is_found(tmp_path):
    frame = clean_table()
    pd.concat([frame, frame.assign(mrn="n" + frame["mrn"])]).to_csv(tmp_path / "ward.csv", index=False)
    assert "400 pairs of rows" in next(f.text for f in audit.findings(own.load(tmp_path / "ward.csv")) if f.kind == "duplicate")


def test_a_class_that_is_rare_in_the_test_part_is_told(tmp_path):
    frame = clean_table()
    frame.assign(died=(frame.index < 7).astype(int)).to_csv(tmp_path / "ward.csv", index=False)
    told = [f.text for f in audit.findings(own.load(tmp_path / "ward.csv")) if f.kind == "few"]
    assert told == ["Only 7 patients are '1'.", "Only 1 patients of the test part are '1'."]


@pytest.mark.parametrize("written", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d %H:%M"])
def test_dates_are_compared_as_they_were_written(tmp_path, written):
    frame = clean_table()
    admitted = pd.Timestamp("2023-01-01") + pd.to_timedelta(frame.index % 300, "D")
    frame["admitted"], frame["died_on"] = admitted.strftime(written), (admitted + pd.Timedelta(days=9)).strftime(written)
    frame.to_csv(tmp_path / "ward.csv", index=False)
    assert not [f for f in audit.findings(own.load(tmp_path / "ward.csv")) if f.kind == "date"]
    frame.assign(admitted=frame["died_on"], died_on=frame["admitted"]).to_csv(tmp_path / "ward.csv", index=False)
    assert "400 dates lie after" in next(f.text for f in audit.findings(own.load(tmp_path / "ward.csv")) if f.kind == "date")


def test_a_flaw_is_what_raises_its_alarm(tmp_path):
    def kinds(frame, extra=""):
        frame.to_csv(tmp_path / "ward.csv", index=False)
        return {(f.kind, f.where) for f in audit.findings(own.load(tmp_path / "ward.csv"))}

    frame = clean_table()
    assert kinds(frame.assign(code=frame["died"] * 2 + 1)) == {("leak", "code")}
    assert kinds(frame.assign(mrn=[f"m{k}" for k in frame["died"].rank(method="first").astype(int)])) == {("identity", "patient")}
    assert kinds(frame.assign(crp=frame["crp"].mask(frame.index < 20, 99999))) == {("code for missing", "crp")}
    assert kinds(frame.assign(one=1.0)) == {("constant", "one")}
    twice = frame.head(5).assign(mrn=list("vwxyz"))
    assert kinds(pd.concat([frame, twice])) == {("duplicate", "patient")}
    same = pd.concat([frame, frame.head(5)])  # the same patient twice is no duplicate across patients
    assert kinds(same) == {("repeated", "mrn")}


def test_leaks_are_looked_for_in_training_rows_alone(tmp_path):
    frame = clean_table()
    frame.to_csv(tmp_path / "ward.csv", index=False)
    one = own.load(tmp_path / "ward.csv")
    beyond = np.zeros(len(one.y), bool)
    beyond[one.parts["test"]] = True
    leaky = frame["died"].where(beyond, 0.5 + frame["age"] / 1000)
    assert audit.foretells(one, leaky) == audit.foretells(one, leaky.where(~beyond, 7.0)) < 0.95


def test_the_schema_that_is_written_is_read_back(desk, tmp_path):
    folder, _ = desk
    shutil.copy(folder / "ward.csv", tmp_path / "ward.csv")
    inferred = schema.read(tmp_path / "ward.csv")
    schema.write(tmp_path / "ward.csv")
    again = schema.read(tmp_path / "ward.csv")
    assert {k: again[k] for k in inferred} == inferred and again["units"] == {}
    assert inferred["outcome"] == "died" and inferred["patient"] == "patient" and inferred["columns"]["admitted"] == "date"
    with pytest.raises(MedkitError, match="--force"):
        schema.write(tmp_path / "ward.csv")
    hostile = pd.DataFrame({'a"\n]\x7f=\\': [1.5, 2, 3, 4], "ü'#": ["x", "y", "x", "y"], "y": [0, 1, 0, 1]})
    hostile.to_csv(tmp_path / "h.csv", index=False)
    before = schema.read(tmp_path / "h.csv")
    schema.write(tmp_path / "h.csv")
    assert schema.read(tmp_path / "h.csv")["columns"] == before["columns"]


@pytest.mark.parametrize("text, message", [
    ("outcom = 'died'", "Did you mean 'outcome'"), ("outcome = 3", "wrong type"), ("kind = 'film'", "no kind"),
    ("positive = 'dead'", "value of died"), ("outcome = 'age'", "different values"), ("[columns]\nage = 'nr'", "type 'nr'"),
    ("[columns]\nagee = 'number'", "Did you mean 'age'"), ("groups = ['seks']", "column 'seks'"), ("= 3", "TOML"),
    ("[columns]\nage='ignore'\nsex='ignore'\ncrp='ignore'", "no column to predict from")])
def test_a_wrong_schema_is_told(tmp_path, text, message):
    clean_table().to_csv(tmp_path / "ward.csv", index=False)
    (tmp_path / "ward.toml").write_text(text)
    with pytest.raises(MedkitError, match=message):
        own.load(tmp_path / "ward.csv")


def test_parquet_is_the_same_as_csv(tmp_path):
    clean_table().to_csv(tmp_path / "a.csv", index=False)
    clean_table().to_parquet(tmp_path / "b.parquet")
    a, b = own.load(tmp_path / "a.csv"), own.load(tmp_path / "b.parquet")
    assert (a.y == b.y).all() and a.X.astype(str).equals(b.X.astype(str)) and a.classes == ["0", "1"]


def test_boxes_are_checked_and_scaled(desk, tmp_path):
    folder, _ = desk
    one = own.load(folder / "films")
    boxes = one.boxes[one.y == 1]
    assert np.isnan(one.boxes[one.y == 0]).all() and np.isfinite(boxes).any()
    assert np.nanmin(boxes) >= 0 and np.nanmax(boxes[:, 1] + boxes[:, 3]) <= 64
    shutil.copytree(folder / "films", tmp_path / "films")
    labels = pd.read_csv(tmp_path / "films" / "labels.csv")
    labels.loc[3, ["x", "y", "width", "height"]] = [60, 60, 50, 5]
    labels.to_csv(tmp_path / "films" / "labels.csv", index=False)
    with pytest.raises(MedkitError, match="row 4: the box does not lie inside"):
        own.load(tmp_path / "films")


def test_recordings_of_three_kinds_are_read_alike(desk):
    one = own.load(desk[0] / "ecg")
    assert set(one.facts["format"]) == {".hea", ".edf", ".csv"} and one.fs == pytest.approx(100) and one.X.shape[1:] == (1000, 3)
    assert one.classes == ["sinus", "atrial fibrillation"]


def test_what_data_say_is_shown_and_never_acts(tmp_path):
    frame = clean_table(120)
    frame["sex"] = frame["sex"].map({"f": ATTACK, "m": "m"})
    frame.rename(columns={"crp": ATTACK}).to_csv(tmp_path / "ward.csv", index=False)
    card = audit.card(own.load(tmp_path / "ward.csv"))
    cells = [nbformat.v4.new_output("display_data", {"text/html": t.to_html()}) for t in card.values()]
    cells.append(nbformat.v4.new_output("display_data", {"text/markdown": f"**{quote(ATTACK)}**"}))
    from medkit.report.plan import Task

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=cells)])
    render.page(notebook, tmp_path / "page.html", Task("x", {}, "x", status="done"))
    html = (tmp_path / "page.html").read_text()
    assert html.count("&lt;script&gt;") >= 3  # a column, a category, and Markdown: shown as they are
    assert "<script" not in html and "<img" not in html


@pytest.mark.parametrize("text", ["*a* _b_ [x](y) <b> & `c` $d$ # e", "javascript:alert(1)", ATTACK])
def test_quoted_text_is_shown_as_it_is(text):
    import html

    from nbconvert.filters import markdown2html

    shown = markdown2html(quote(text))
    assert html.unescape(shown).replace("<p>", "").replace("</p>", "").strip() == text


def test_identity_in_dicom_does_not_reach_the_card(tmp_path):
    import pydicom
    from pydicom.data import get_testdata_file

    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID = "Secret^Sally", "SECRET-77"
    for k in range(20):
        for kind in ("ill", "well"):
            (tmp_path / "ct" / kind).mkdir(parents=True, exist_ok=True)
            dataset.save_as(tmp_path / "ct" / kind / f"{k}.dcm")
    one = own.load(tmp_path / "ct")
    told = " ".join(t.to_csv() for t in audit.card(one).values()) + str(one)
    assert one.X.shape == (40, 64, 64, 1) and "ecret" not in told.lower().replace("secrets", "")


def dicom_films(folder, patients=24):
    """Write two films of each patient, of two classes; names and numbers stand in the tags alone."""
    import pydicom
    from pydicom.data import get_testdata_file

    film, rng = pydicom.dcmread(get_testdata_file("MR_small.dcm")), np.random.default_rng(0)
    for k in range(2 * patients):
        who, ill = k % patients, k % 2
        film.PatientName, film.PatientID, film.StudyDescription = f"Secret^Sally{who}", f"SECRET-{who}", f"of Secret{who}"
        film.PixelData = (rng.integers(0, 500, (64, 64)) + 900 * ill).astype("<i2").tobytes()
        (folder / ("ill" if ill else "well")).mkdir(parents=True, exist_ok=True)
        film.save_as(folder / ("ill" if ill else "well") / f"im{k:03d}.dcm")
    return folder


def test_dicom_films_are_split_by_patient_and_tell_of_none(tmp_path):
    films, out = dicom_films(tmp_path / "ct"), tmp_path / "out"
    schema.write(films)
    one = own.load(films)
    assert len(set(one.patients)) == 24 and any("PatientID" in note for note in one.notes)
    part_of = {f: part for part, rows in one.parts.items() for f in one.facts["file"].iloc[rows]}
    assert all(part_of[f] == part_of[f[:-7] + f"{int(f[-7:-4]) + 24:03d}.dcm"] for f in part_of if int(f[-7:-4]) < 24)
    first = one.patients[one.parts["test"][0]]
    task, = run(["10"], {"dataset": str(films), "save_to": str(out / "model")}, out, progress=False)
    page, = run(["patient"], {"model": str(out / "model"), "data": str(films), "patient": first}, out, progress=False)
    assert (task.status, page.status) == ("done", "done"), (task.error, page.error)
    html = (out / "10_your_own_data.html").read_text()
    assert "intervals below are narrower" in html and "too few test patients of a class" in html
    assert set(re.search(r"training images\. \d+ images: ([^\"]*)\.", html)[1].split(", ")) == set(one.classes)
    html = (out / "patient.html").read_text()
    fall = re.search(r'what drove the prediction: (?:most in row \d and column \d of .* fall by (\S+)|no part of .*)\."', html)
    assert "from whom the model has learned" in html and (fall[1] is None or abs(float(fall[1])) > 0)
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".dcm"]
    assert {"schema.toml", "model.json", "weights.safetensors", "patient.html", "10_your_own_data.ipynb"} <= {p.name for p in written}
    assert not [p for p in written if b"secret" in p.read_bytes().lower()]


def test_each_dicom_file_is_read_once(tmp_path, monkeypatch):
    import pydicom

    films, asked, read = dicom_films(tmp_path / "ct"), [], pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda path, **how: asked.append(path) or read(path, **how))
    assert len(set(own.load(films).patients)) == 24 and len(asked) == len(set(asked)) == 48


@pytest.mark.parametrize("tag, said, tall", [("PixelSpacing", ["0.6", "0.3"], 2), ("PixelAspectRatio", ["1", "2"], 0.5),
                                             ("ImagerPixelSpacing", ["0", "0.3"], 1), ("PixelSpacing", ["1", "99"], 1)])
def test_pixels_that_are_not_square_are_made_so(tmp_path, tag, said, tall):
    import pydicom

    for path in dicom_films(tmp_path / "ct").rglob("*.dcm"):
        film = pydicom.dcmread(path)
        del film.PixelSpacing
        setattr(film, tag, said)
        film.save_as(path)
    pd.DataFrame([{"file": f.relative_to(tmp_path / "ct").as_posix(), "label": f.parent.name, "x": 0, "y": 32, "width": 16, "height": 32}
                  for f in (tmp_path / "ct").rglob("*.dcm")]).to_csv(tmp_path / "ct" / "labels.csv", index=False)
    one = own.load(tmp_path / "ct")
    box, black = {2: ([16, 32, 8, 32], [(32, 0)]), 0.5: ([0, 32, 16, 16], [(0, 32)]), 1: ([0, 32, 16, 32], [])}[tall]
    assert one.boxes[0].tolist() == box and all((one.X[:, r, c] == 0).all() for r, c in black)
    assert any("not square" in note for note in one.notes) == (tall != 1) and own.size_of(path) == (64, 64, tall)
    assert (one.X[:, 32, 32] > 0).any() and (one.facts["height (pixels)"] == 64).all()


def test_what_is_inferred_of_a_table_as_hospitals_hold_it(tmp_path):
    rng = np.random.default_rng(0)
    codes = [["250.83", "428", "V57", "E849", "?", "V58.1"][k] for k in rng.choice(6, 400, p=[.4, .4, .05, .05, .05, .05])]
    frame = clean_table().rename(columns={"mrn": "patient_nbr"}).assign(
        encounter_id=1000 + rng.permutation(400), admission_type_id=rng.integers(1, 9, 400), weight=["?"] * 390 + ["80"] * 10,
        diag_1=codes, many=[f"V{k}" if k % 10 == 0 else f"{k}.5" for k in range(400)], lab=["<5"] + ["7.5", "8", "9.25"] * 133)
    frame.to_csv(tmp_path / "ward.csv", index=False)
    told = schema.read(tmp_path / "ward.csv")
    kinds = {c: told["columns"][c] for c in ("encounter_id", "admission_type_id", "diag_1", "many", "lab", "age")}
    assert told["patient"] == "patient_nbr" and kinds == {
        "encounter_id": "ignore", "admission_type_id": "category", "diag_1": "category", "many": "ignore", "lab": "number", "age": "number"}
    text = schema.write(tmp_path / "ward.csv").read_text()
    assert "1 cells hold no number (row 1)" in text and "98% missing" in text and 'positive = "1"' in text


def test_a_patient_called_007_keeps_the_name(tmp_path):
    from medkit.models import own as models
    from medkit.models import store

    clean_table().assign(mrn=[f"{k:05d}" for k in range(400)]).to_csv(tmp_path / "ward.csv", index=False)
    one = own.load(tmp_path / "ward.csv")
    store.save(models.with_cohort(models.fit(one, "prevalence"), one), tmp_path / "model")
    assert "00007" in one.patients and len(store.read_new(store.load(tmp_path / "model"), tmp_path / "ward.csv", "00007")) == 1


@pytest.mark.parametrize("counts, wanted", [
    ({"normal": 5, "pneumonia": 90}, "pneumonia"), ({"0": 5, "2": 9}, "2"), ({"a": 5, "b": 9}, "a"), ({"Died": 90, "x": 1}, "Died")])
def test_the_class_to_find_is_guessed_by_name_before_it_is_by_number(counts, wanted):
    assert schema.positive_of(counts) == wanted


def test_the_class_to_find_is_written_down_for_a_folder(desk, tmp_path):
    shutil.copytree(desk[0] / "ecg", tmp_path / "ecg")
    assert 'positive = "atrial fibrillation"' in schema.write(tmp_path / "ecg").read_text()


def treated_table(n=3000, seed=1):
    """Simulate a drug that is given to the severely ill and helps, and an operation that the old alone may have."""
    rng = np.random.default_rng(seed)
    severity, age = rng.normal(size=n), rng.normal(65, 10, n)
    chance = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    arm = np.where(age > 78, "surgery", np.where(rng.random(n) < chance(1.2 * severity), "drug", "none"))
    base = -1 + 1.3 * severity + 0.03 * (age - 65)
    died = rng.random(n) < chance(base - 0.7 * (arm == "drug"))
    frame = pd.DataFrame({"mrn": [f"m{k}" for k in rng.permutation(n)], "age": age.round(1), "arm": arm, "died": died.astype(int),
                          "lactate": (2 + severity + rng.normal(0, 0.1, n)).round(2)})
    frame.loc[::50, "arm"] = None
    return frame, float((chance(base - 0.7) - chance(base))[age <= 78].mean())


def test_arms_are_compared_as_seen_and_adjusted_where_they_overlap(tmp_path):
    frame, truth = treated_table()
    path = tmp_path / "$\\frac{<b>_x" / "w$a_<b>.csv"  # a name that Markdown, HTML and formulas would each misread
    path.parent.mkdir()
    frame.assign(sex=np.where(frame.index % 2, ATTACK, "__m__"), **{ATTACK: frame["age"]}).to_csv(path, index=False)
    assert schema.read(path)["treatment"] == "arm"
    task, = run(["10"], {"dataset": str(path)}, tmp_path / "out", progress=False)
    assert task.status == "done", task.error
    seen, adjusted = (task.figures[f"drug against none, {how}"] for how in ("as seen", "adjusted"))
    assert seen["low"] > 0 > adjusted["high"] and abs(adjusted["value"] - truth) < 0.05  # the drug seemed to harm
    assert "surgery against none, as seen" in task.figures and "surgery against none, adjusted" not in task.figures
    html = (tmp_path / "out" / "10_your_own_data.html").read_text()
    assert "cannot be compared" in html and "No advice follows" in html
    assert "<script" not in html and "<img src=x" not in html and html.count("&lt;script") > 3
    assert "planted flaw" not in html and "<summary>Code</summary>" in html and "Messages on standard error" not in html


def test_new_and_the_patients_page(desk, tmp_path):
    shutil.copy(desk[0] / "ward.csv", tmp_path / "ward.csv")
    done = subprocess.run([sys.executable, "-m", "medkit", "new", "--from", str(tmp_path / "ward.csv")],
                          capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "ward.toml").exists() and "medkit report" in done.stdout
    done = subprocess.run([sys.executable, "-m", "medkit", "new", "--from", str(tmp_path / "lost.csv")],
                          capture_output=True, text=True)
    assert done.returncode == 2 and "There is no file" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["ward.csv", "films", "ecg"])
def test_the_page_about_one_patient(desk, tmp_path, name):
    from medkit.models import own as models
    from medkit.models import store

    one = own.load(desk[0] / name)
    store.save(models.with_cohort(models.fit(one, "logistic regression"), one), tmp_path / "model")
    patient = one.patients[one.parts["test"][0]]
    given = {"model": str(tmp_path / "model"), "data": str(desk[0] / name), "patient": patient}
    task, = run(["patient"], given, tmp_path / "out", progress=False)
    assert task.status == "done", task.error
    assert 0 <= task.figures["risk"]["value"] <= 1
    low, value, high = (task.figures["observed_among_similar"][k] for k in ("low", "value", "high"))
    assert 0 <= low <= value <= high <= 1
    task, = run(["patient"], given | {"patient": "nobody"}, tmp_path / "out", progress=False)
    assert task.status == "failed" and "nobody" in task.error and json.loads((tmp_path / "out" / "results.json").read_text())


def test_the_template_is_found_and_built():
    assert lessons.find("patient").parent.name == "templates"
    built = lessons.folder().parent / "notebooks" / "templates" / "patient.ipynb"
    from medkit import build
    from medkit.report import plan

    assert build.current(built, plan.notebook(lessons.find("patient")))
