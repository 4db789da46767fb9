"""Broken files of every kind: each is read, or refused with one clear error; nothing else happens.

MEDKIT_FUZZ=500 sets how many of each kind are tried (default 15).
"""

import contextlib
import io
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medkit.datasets import folder, own, signals, tables
from medkit.errors import MedkitError
from medkit.models import own as models
from medkit.models import store
from medkit.preprocess import pictures

COUNT = int(os.environ.get("MEDKIT_FUZZ", 15))


def damaged():
    """Draw a way to damage bytes: cut, overwrite, insert, or replace them all."""
    place = st.floats(0, 1, exclude_max=True)
    few = st.binary(min_size=1, max_size=12)
    return st.one_of(st.tuples(st.just("cut"), place, few), st.lists(st.tuples(place, few), min_size=1, max_size=6),
                     st.tuples(st.just("insert"), place, few), st.tuples(st.just("all"), place, st.binary(max_size=300)))


def apply(body, how):
    """Damage bytes."""
    if isinstance(how, list):
        for place, new in how:
            at = int(place * len(body))
            body = body[:at] + new + body[at + len(new):]
        return body
    kind, place, new = how
    at = int(place * len(body))
    return {"cut": body[:at], "insert": body[:at] + new + body[at:], "all": new}[kind]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Write one good file of each kind; gives {kind: (path, how to read it)}."""
    import pydicom
    import pyedflib
    import wfdb
    from PIL import Image
    from pydicom.data import get_testdata_file

    root, rng = tmp_path_factory.mktemp("fuzz"), np.random.default_rng(0)
    frame = pd.DataFrame({"patient": [f"p{k}" for k in range(60)], "age": rng.normal(60, 9, 60).round(1), "sex": ["f", "m"] * 30,
                          "seen": "2030-01-01", "died": rng.permutation([0, 1] * 30)})
    for name in ("csv", "schema", "model"):
        (root / name).mkdir()
        frame.to_csv(root / name / "ward.csv", index=False)
    frame.to_parquet(root / "ward.parquet")
    (root / "schema" / "ward.toml").write_text('kind = "table"\noutcome = "died"\npatient = "patient"\npositive = "1"\n'
                                               'groups = ["sex"]\n[columns]\nage = "number"\nsex = "category"\nseen = "date"\n'
                                               '[units]\nage = "years"\n')
    one = own.load(root / "model" / "ward.csv")
    store.save(models.with_cohort(models.fit(one, "boosting"), one), root / "model" / "m")
    Image.fromarray(rng.integers(0, 255, (40, 40)).astype(np.uint8)).save(root / "a.png")
    Image.fromarray(rng.integers(0, 255, (40, 40)).astype(np.uint8)).save(root / "a.jpg")
    pydicom.dcmread(get_testdata_file("MR_small.dcm")).save_as(root / "a.dcm")
    with pyedflib.EdfWriter(str(root / "a.edf"), 2) as file, contextlib.redirect_stdout(io.StringIO()):
        file.setSignalHeaders([{"label": n, "dimension": "mV", "sample_frequency": 100, "physical_min": -5.0, "physical_max": 5.0,
                                "digital_min": -32768, "digital_max": 32767, "transducer": "", "prefilter": ""} for n in "ab"])
        file.writeSamples(list(rng.normal(size=(2, 500)).clip(-5, 5)))
    wfdb.wrsamp("w", 100, ["mV"] * 2, ["I", "II"], p_signal=rng.normal(size=(500, 2)), fmt=["16"] * 2, write_dir=str(root))
    np.savetxt(root / "s.csv", np.column_stack([np.arange(200) / 100, rng.normal(size=200)]), "%.3f", ",", header="time,I", comments="")
    (root / "films").mkdir()
    for k in range(16):
        Image.fromarray(rng.integers(0, 255, (20, 20)).astype(np.uint8)).save(root / "films" / f"{k}.png")
    labels = [f"{k}.png,{'ill' if k % 2 else 'well'},p{k},1,1,5,5" for k in range(16)]
    (root / "films" / "labels.csv").write_text("file,label,patient,x,y,width,height\n" + "\n".join(labels) + "\n")

    def image(path):
        return folder.read_image(path, 32, [])

    def use(path):
        return own.load(path), store.load(root / "model" / "m")

    return {"csv": (root / "csv" / "ward.csv", own.load), "parquet": (root / "ward.parquet", own.load),
            "schema": (root / "schema" / "ward.toml", lambda p: own.load(p.with_suffix(".csv"))),
            "labels": (root / "films" / "labels.csv", lambda p: own.load(p.parent)), "table": (root / "csv" / "ward.csv", tables.read_frame),
            "png": (root / "a.png", image), "jpeg": (root / "a.jpg", image), "dicom": (root / "a.dcm", image),
            "dicom picture": (root / "a.dcm", pictures.read_dicom), "edf": (root / "a.edf", signals.read),
            "wfdb header": (root / "w.hea", signals.read), "wfdb data": (root / "w.dat", signals.read),
            "csv signal": (root / "s.csv", signals.read),
            "model json": (root / "model" / "m" / "model.json", lambda p: store.load(p.parent)),
            "model weights": (root / "model" / "m" / "weights.safetensors", lambda p: store.load(p.parent))}


KINDS = ["csv", "parquet", "schema", "labels", "table", "png", "jpeg", "dicom", "dicom picture", "edf", "wfdb header", "wfdb data",
         "csv signal", "model json", "model weights"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_file_is_read_or_refused_with_one_clear_error(good, kind):
    path, reader = good[kind]
    whole = path.read_bytes()
    reader(path)
    refused = []

    @settings(max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged())
    def attempt(how):
        path.write_bytes(apply(whole, how))
        try:
            reader(path)
        except MedkitError as error:
            refused.append(str(error))
            assert 15 < len(str(error)) < 1500, error

    try:
        attempt()
    finally:
        path.write_bytes(whole)
    assert refused, "no damage was noticed"


@pytest.mark.parametrize("family", ["logistic regression", "network", "boosting"])
def test_a_forged_model_with_right_checksums_is_refused_or_harmless(good, tmp_path, family):
    one = own.load(good["csv"][0])
    model, refused = models.with_cohort(models.fit(one, family, epochs=1), one), []

    @settings(max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(sorted(model.spec)), st.none() | st.text(max_size=5) | st.integers() | st.lists(st.integers(), max_size=3),
           st.sampled_from(sorted(model.arrays)), st.integers(0, 3))
    def attempt(key, value, array, cut):
        arrays = dict(model.arrays)
        if cut:
            arrays[array] = arrays[array][:-cut]
        store.save(models.Model(model.spec | {key: value}, arrays), tmp_path / "m")
        try:
            again = store.load(tmp_path / "m")
            p = again.predict(store.read_new(again, good["csv"][0], "p3"))
            assert p.shape == (1, 2) and np.isclose(p.sum(), 1)
        except MedkitError as error:
            refused.append(str(error))

    attempt()
    assert json.loads((tmp_path / "m" / "model.json").read_text())["format"] == 1 and refused
