"""Models as files: the same predictions after reading back, nothing unpickled, data that do not fit refused."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from medkit.datasets import own
from medkit.errors import MedkitError
from medkit.models import own as models
from medkit.models import simple, store


def ward(path, n=240, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(50, 10, n), rng.normal(0, 1, n)
    y = np.digitize(x + 5 * z, np.quantile(x + 5 * z, np.linspace(0, 1, classes + 1)[1:-1]))
    frame = pd.DataFrame({"patient": [f"p{k}" for k in range(n)], "age": x, "lab": np.where(rng.random(n) < 0.2, np.nan, z),
                          "sex": rng.choice(["f", "m"], n), "outcome": [f"c{k}" for k in y]})
    frame.to_csv(path, index=False)
    return own.load(path)


@pytest.mark.parametrize("outputs", [2, 3])
def test_exported_trees_predict_as_scikit_learn_does(outputs):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(600, 5))
    y = np.digitize(Z[:, 0] * Z[:, 1] + 0.3 * Z[:, 2], [-0.3, 0.3][:outputs - 1])
    Z[rng.random(Z.shape) < 0.1] = np.nan
    fitted = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(Z, y)
    new = rng.normal(size=(200, 5))
    new[:50, 0] = np.nan
    new = np.vstack([new, Z])
    assert np.allclose(simple.chances(simple.tree_scores(simple.trees(fitted), new)), fitted.predict_proba(new), atol=1e-12)


@pytest.mark.parametrize("family", models.FAMILIES)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_read_back_predicts_the_same(tmp_path, family, classes):
    one = ward(tmp_path / "ward.csv", classes=classes)
    model = models.with_cohort(models.fit(one, family, epochs=2), one)
    again = store.load(store.save(model, tmp_path / "model"))
    X, y = one.take("test")
    p = again.predict(X)
    assert np.array_equal(p, model.predict(X)) and p.shape == (len(y), classes) and np.allclose(p.sum(1), 1)
    assert {f.name for f in (tmp_path / "model").iterdir()} == {"model.json", "weights.safetensors"}
    assert not {"p1,", "p17"} & set((tmp_path / "model" / "model.json").read_text().split('"'))  # no patient's name


def test_the_best_on_validation_is_chosen(tmp_path):
    one = ward(tmp_path / "ward.csv", n=600)
    best, table = models.choose(one, {f: models.fit(one, f) for f in ("prevalence", "logistic regression", "boosting")})
    assert best != "prevalence" and table.loc[best, "log-loss"] == table["log-loss"].min()
    assert table.loc["prevalence", "AUROC"] == 0.5 and table.loc[best, "AUROC"] > 0.8


def test_an_interval_covers_what_was_observed(tmp_path):
    one = ward(tmp_path / "ward.csv", n=600)
    model = models.with_cohort(models.fit(one, "logistic regression"), one)
    low, high = (models.observed(model, np.array([1 - p, p]))[1] for p in (0.05, 0.95))
    assert low.low <= low.value <= low.high < high.value <= high.high <= 1


def test_the_most_similar_are_at_most_half_of_the_cohort():
    p = np.array([0.1] * 6 + [0.9] * 6)
    model = models.Model({}, {"cohort_p": np.stack([1 - p, p], 1), "cohort_y": (p > 0.5).astype(int)})
    assert models.observed(model, np.array([0.1, 0.9]))[1].value == 1  # not ten of all twelve


def test_windows_of_one_recording_are_not_many_patients(tmp_path):
    ward(tmp_path / "ward.csv")
    frame = pd.read_csv(tmp_path / "ward.csv")
    pd.concat([frame] * 10).to_csv(tmp_path / "ward.csv", index=False)
    one = own.load(tmp_path / "ward.csv")
    model = models.with_cohort(models.fit(one, "logistic regression"), one)
    rows = one.parts["valid"]
    assert len(rows) == 10 * len(model.arrays["cohort_y"]) and model.arrays["cohort_y"].sum() * 10 == one.y[rows].sum()
    assert np.allclose(np.sort(np.repeat(model.arrays["cohort_p"][:, 1], 10)), np.sort(model.predict(one.take("valid")[0])[:, 1]))


@pytest.fixture
def saved(tmp_path):
    one = ward(tmp_path / "ward.csv")
    return store.save(models.with_cohort(models.fit(one, "boosting"), one), tmp_path / "model"), tmp_path / "ward.csv"


@pytest.mark.parametrize("change, message", [
    (lambda f: f.drop(columns="lab"), "no column 'lab'"), (lambda f: f.assign(age="old"), "should hold a number"),
    (lambda f: f.assign(sex="x"), "no category of sex 'x'"), (lambda f: f.assign(age=f["age"] * 100), "another unit"),
    (lambda f: f.drop(columns="patient"), "no column 'patient'"), (lambda f: f.assign(patient="q"), "no patient 'p3'")])
def test_a_row_that_does_not_fit_is_refused(saved, tmp_path, change, message):
    model, path = store.load(saved[0]), tmp_path / "new.csv"
    frame = pd.read_csv(saved[1])
    frame.drop(columns="outcome").to_csv(path, index=False)
    assert model.predict(store.read_new(model, path, "p3")).shape == (1, 2)
    change(frame).to_csv(path, index=False)
    with pytest.raises(MedkitError, match=message):
        store.read_new(model, path, "p3")


def test_a_code_is_the_same_with_and_without_gaps_beside_it(tmp_path):
    ward(tmp_path / "ward.csv")
    frame = pd.read_csv(tmp_path / "ward.csv")
    frame["unit"] = np.where(np.arange(len(frame)) % 9, np.arange(len(frame)) % 3, np.nan)  # so 1 stands there as 1.0
    frame.to_csv(tmp_path / "ward.csv", index=False)
    (tmp_path / "ward.toml").write_text('[columns]\nunit = "category"\n')
    one = own.load(tmp_path / "ward.csv")
    model = models.with_cohort(models.fit(one, "logistic regression"), one)
    frame.head(5).tail(1).astype({"unit": int}).to_csv(tmp_path / "new.csv", index=False)
    new, old = (model.predict(store.read_new(model, tmp_path / name, "p4")) for name in ("new.csv", "ward.csv"))
    assert {e["name"]: e for e in model.spec["plan"]}["unit"]["values"][0] in "012" and np.array_equal(new, old)


def test_units_that_differ_are_refused(tmp_path):
    (tmp_path / "ward.toml").write_text('[units]\nlab = "mg/dL"\n')
    one = ward(tmp_path / "ward.csv")
    model = models.with_cohort(models.fit(one, "prevalence"), one)
    (tmp_path / "ward.toml").write_text('[units]\nlab = "mmol/L"\n')
    with pytest.raises(MedkitError, match="in mmol/L, but the model was trained on mg/dL"):
        store.read_new(model, tmp_path / "ward.csv", "p3")


def test_images_that_do_not_fit_are_refused(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(40):
        kind = ("ill", "well")[k % 2]
        (tmp_path / "films" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 90 + 100 * (k % 2), (40, 40)).astype(np.uint8)).save(tmp_path / "films" / kind / f"{k}.png")
    one = own.load(tmp_path / "films")
    model = models.with_cohort(models.fit(one, "logistic regression"), one)
    assert model.predict(store.read_new(model, tmp_path / "films", "ill/0.png")).shape == (1, 2)
    Image.fromarray(rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(tmp_path / "films" / "colour.png")
    Image.fromarray(rng.integers(0, 255, (10, 10)).astype(np.uint8)).save(tmp_path / "films" / "small.png")
    for name, message in (("colour.png", "has colour"), ("small.png", "10 pixels"), ("../ward.csv", "lies outside"), ("x", "no patient")):
        with pytest.raises(MedkitError, match=message):
            store.read_new(model, tmp_path / "films", name)


def test_all_files_of_a_patient_are_read_as_training_grouped_them(tmp_path):
    import pydicom
    from pydicom.data import get_testdata_file

    film = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    (tmp_path / "new" / "b").mkdir(parents=True)
    for k, name in enumerate(["1.dcm", "2.dcm", "b/3.dcm", "b/4.dcm"]):
        film.PatientID = f"SECRET-{k % 2}"
        film.save_as(tmp_path / "new" / name)
    names = lambda patient: [f.relative_to(tmp_path / "new").as_posix() for f in store.files_of(tmp_path / "new", patient)]  # noqa: E731
    assert names("1.dcm") == names("b/3.dcm") == names("b\\3.dcm") == ["1.dcm", "b/3.dcm"] and names("2.dcm") == ["2.dcm", "b/4.dcm"]
    listed = tmp_path / "new" / "labels.csv"
    listed.write_text("file\n1.dcm\n2.dcm\nlost.dcm\n")  # the others were left out of training too
    assert names("1.dcm") == ["1.dcm"] and names("b/3.dcm") == ["b/3.dcm"]
    listed.write_text("file,patient\n1.dcm,p\n2.dcm,p\nb\\3.dcm,q\nb/4.dcm,q\n../x.dcm,r\nrec,s\nlost.dcm,t\n")
    (tmp_path / "x.dcm").write_bytes(b"")
    (tmp_path / "new" / "rec.hea").write_bytes(b"")
    assert names("p") == names("2.dcm") == ["1.dcm", "2.dcm"] and names("q") == ["b/3.dcm", "b/4.dcm"] and names("s") == ["rec"]
    for patient, message in (("r", "lies outside"), (tmp_path / "x.dcm", "lies outside"), ("t", "no file 'lost.dcm'")):
        with pytest.raises(MedkitError, match=message):
            names(patient)


def test_recordings_that_do_not_fit_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "ecg"
    folder.mkdir()

    def write(name, samples=1000, fs=100, lead="II"):
        body = np.column_stack([np.arange(samples) / fs, rng.normal(size=samples)])
        np.savetxt(folder / name, body, "%.4f", ",", header=f"time,{lead}", comments="")

    for k in range(40):
        write(f"{k}.csv")
    pd.DataFrame({"file": [f"{k}.csv" for k in range(40)], "label": ["a", "b"] * 20}).to_csv(folder / "labels.csv", index=False)
    one = own.load(folder)
    model = models.with_cohort(models.fit(one, "logistic regression"), one)
    assert model.predict(store.read_new(model, folder, "3.csv")).shape == (1, 2)
    write("fast.csv", fs=250)
    write("short.csv", samples=500)
    write("other.csv", lead="V1")
    for name, message in (("fast.csv", "250 samples per second"), ("short.csv", "lasts 5 s"), ("other.csv", "no channel 'II'")):
        with pytest.raises(MedkitError, match=message):
            store.read_new(model, folder, name)


def test_an_altered_model_is_refused(saved):
    folder, _ = saved
    weights = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(MedkitError, match="checksum"):
        store.load(folder)
    (folder / "weights.safetensors").write_bytes(weights)
    told = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(told | {"threshold": 0.9}))
    with pytest.raises(MedkitError, match="checksum"):
        store.load(folder)
    (folder / "model.json").write_text(json.dumps(told | {"format": 99}))
    with pytest.raises(MedkitError, match="format 99"):
        store.load(folder)
    with pytest.raises(MedkitError, match="holds no saved model"):
        store.load(folder / "lost")


def test_a_forged_tree_cannot_run_off(saved):
    model = store.load(saved[0])
    forged = dict(model.arrays, left=model.arrays["left"] + 10_000)
    store.save(models.Model(model.spec, forged), saved[0])
    with pytest.raises(MedkitError, match="leads nowhere"):
        store.load(saved[0])
