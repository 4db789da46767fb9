"""Preprocessing learns from what it is fitted to, keeps its promises on gaps, and lets no identity through."""

import io
import warnings

import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from sklearn.base import clone
from sklearn.feature_selection import f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from medkit.datasets import images
from medkit.errors import MedkitError
from medkit.hospital import admit
from medkit.preprocess import pictures, signals
from medkit.preprocess.series import STATISTICS, ForwardFill, HourByHour, SeriesFeatures
from medkit.preprocess.tables import Plausible, StabilitySelection

NAN = np.nan


@pytest.mark.filterwarnings("ignore:No features were selected", "ignore:Skipping check")
@parametrize_with_checks([Plausible(), StabilitySelection(halves=5)])
def test_scikit_learn_accepts_them(estimator, check):
    check(estimator)


def gapped(seed=0, shape=(12, 6, 3)):
    rng = np.random.default_rng(seed)
    X = rng.normal(5, 2, shape).astype(np.float32)
    X[rng.random(shape) < 0.4] = NAN
    return X


def test_units_are_mended_and_the_impossible_is_left_out():
    frame = pd.DataFrame({"Temp": [98.6, 37.0, 150.0, NAN], "pH": [735.0, 7.35, 3.0, 7.1], "mine": [1e9, -1, 0, 1]})
    found = Plausible().set_output(transform="pandas").fit_transform(frame)
    assert np.allclose(found["Temp"], [37, 37, NAN, NAN], equal_nan=True)
    assert np.allclose(found["pH"], [7.35, 7.35, NAN, 7.1], equal_nan=True)
    assert list(found["mine"]) == list(frame["mine"]) and frame["Temp"][0] == 98.6


def test_plausible_says_what_is_wrong():
    with pytest.raises(MedkitError, match="2 columns but 1 names"):
        Plausible(["HR"]).fit(np.ones((2, 2)))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_cleaning_twice_changes_nothing_more(seed):
    names = ["Temp", "pH", "HR", "FiO2", "Platelets"]
    X = np.random.default_rng(seed).lognormal(3, 2, (40, 5))
    once = Plausible(names).fit_transform(X)
    assert np.array_equal(once, Plausible(names).fit_transform(once), equal_nan=True)


def test_stability_selection_finds_the_real_features_and_little_else():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 60)), np.arange(300) % 2
    X[:, :3] += y[:, None]
    selected = StabilitySelection(threshold=0.9, random_state=0).fit(X, y).get_support()
    assert selected[:3].all() and selected[3:].sum() <= 3
    assert f_classif(X, y)[1][3:].min() < 0.05  # a filter at 5 % would have taken some
    with pytest.raises(MedkitError, match="threshold"):
        StabilitySelection(threshold=0.4).fit(X, y)


@pytest.mark.parametrize("step", [HourByHour(StandardScaler()), HourByHour(SimpleImputer()), ForwardFill(),
                                  HourByHour(RobustScaler())])
def test_only_the_patients_of_the_fit_decide(step):
    X, other = gapped(0), 100 + gapped(1)
    alone = clone(step).fit(X).transform(X)
    assert np.array_equal(alone, clone(step).fit(X).transform(np.concatenate([X, other]))[:len(X)], equal_nan=True)
    assert not np.array_equal(alone, clone(step).fit(other).transform(X), equal_nan=True)


def test_scaling_keeps_gaps():
    X = gapped()
    Z = HourByHour(StandardScaler()).fit_transform(X)
    assert np.array_equal(np.isnan(Z), np.isnan(X)) and abs(np.nanmean(Z)) < 1e-5


def test_forward_fill_never_looks_ahead():
    X = np.array([[[NAN], [4], [NAN], [6], [NAN]], [[1], [NAN], [NAN], [NAN], [3]]], np.float32)
    median = np.nanmedian(X)
    filled = ForwardFill().fit_transform(X)[..., 0]
    assert np.allclose(filled, [[median, 4, 4, 6, 6], [1, 1, 1, 1, 3]])
    masked = ForwardFill(mask=True).fit_transform(X)
    assert masked.shape == (2, 5, 2) and np.array_equal(masked[..., 1], np.isfinite(X[..., 0]))
    assert np.isnan(ForwardFill("missing").fit_transform(X)[0, 0, 0])


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_what_comes_later_changes_nothing_before(seed, hour):
    X = gapped(seed)
    later = X.copy()
    later[:, hour:] = 99
    fitted = ForwardFill().fit(X)
    assert np.array_equal(fitted.transform(X)[:, :hour], fitted.transform(later)[:, :hour])
    assert np.isfinite(fitted.transform(X)).all()


def test_a_variable_that_nobody_has_does_not_stop_the_fill():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(ForwardFill().fit_transform(np.full((2, 3, 1), NAN)), np.zeros((2, 3, 1)))


def test_summaries_are_those_of_pandas():
    X = gapped(3)
    table = SeriesFeatures(["a", "b", "c"]).set_output(transform="pandas").fit_transform(X)
    for k, name in enumerate("abc"):
        for i in range(len(X)):
            seen = pd.Series(X[i, :, k]).dropna()
            wanted = {"mean": seen.mean(), "min": seen.min(), "max": seen.max(), "count": len(seen),
                      "last": seen.iloc[-1] if len(seen) else NAN, "since": 5 - seen.index[-1] if len(seen) else 6}
            found = [table.loc[i, f"{name} {s}"] for s in STATISTICS]
            assert np.allclose(found, [wanted[s] for s in STATISTICS], equal_nan=True, atol=1e-4)


def test_series_stand_in_a_pipeline():
    X, y = gapped(shape=(40, 6, 3)), np.arange(40) % 2
    X[y == 1] += 2
    pipeline = make_pipeline(HourByHour(StandardScaler()), SeriesFeatures(), SimpleImputer(), LogisticRegression())
    assert clone(pipeline).fit(X[:20], y[:20]).score(X[20:], y[20:]) > 0.8


@pytest.mark.parametrize("act, said", [
    (lambda X: ForwardFill().fit(X[0]), "2 axes"), (lambda X: ForwardFill("zero").fit(X), "'median' or 'missing'"),
    (lambda X: ForwardFill().fit(X).transform(X[..., :2]), "Fitted to 3 variables"),
    (lambda X: HourByHour(StandardScaler()).fit(X).transform(X[..., :1]), "Fitted to 3 variables"),
    (lambda X: SeriesFeatures(["a"]).fit(X), "3 variables but 1"),
    (lambda X: SeriesFeatures(statistics=("mode",)).fit(X), "no statistic 'mode'")])
def test_series_say_what_is_wrong(act, said):
    with pytest.raises(MedkitError, match=said):
        act(gapped())


def test_filters_take_away_noise_and_little_of_the_heart():
    noisy, true = (admit(8).ecg(leads=2, noise=n).signal.transpose(0, 2, 1) for n in (True, False))
    t = np.arange(true.shape[1])[None, :, None] / 250
    wander, hum = 0.3 * np.sin(2 * np.pi * 0.2 * t), 0.1 * np.sin(2 * np.pi * 50 * t)
    for noise, remove in ((wander, signals.remove_wander), (hum, signals.remove_hum)):
        left = remove(true + noise, 250) - remove(true, 250)
        assert np.std(left[:, 500:-500]) < 0.2 * np.std(noise)
        assert np.std(remove(true, 250) - true, axis=1).mean() < 0.1 * np.std(true, axis=1).mean()


def test_resampling_keeps_slow_waves_and_drops_what_would_alias():
    t = np.arange(2000)[None, :, None] / 500
    slow, fast = np.sin(2 * np.pi * 5 * t), np.sin(2 * np.pi * 90 * t)
    found = signals.resample(slow + fast, 500, 100)
    assert found.shape == (1, 400, 1) and found.dtype == np.float32
    assert np.abs(found - slow[:, ::5])[:, 40:-40].max() < 0.05
    assert np.abs((slow + fast)[:, ::5] - slow[:, ::5]).max() > 0.9
    assert signals.resample(slow, 500, 360).shape == (1, 1440, 1)


@pytest.mark.parametrize("act, said", [
    (lambda X: signals.remove_wander(X, 0), "above 0 Hz"), (lambda X: signals.remove_hum(X, NAN), "above 0 Hz"),
    (lambda X: signals.remove_hum(X, 100), "nothing above 50 Hz"),
    (lambda X: signals.resample(X, 250, -1), "new sampling"),
    (lambda X: signals.resample(X, 250, np.pi), "no simple ratio"), (lambda X: signals.remove_hum(X[0], 250), "2 axes"),
    (lambda X: signals.remove_wander(X[:, :100], 250), "at least 2 s"),
    (lambda X: signals.remove_hum(np.where(X > 2, NAN, X), 250), "Signal 0 has gaps")])
def test_signals_say_what_is_wrong(act, said):
    with pytest.raises(MedkitError, match=said):
        act(np.random.default_rng(0).standard_normal((2, 1000, 2)))


def example(name):
    return get_testdata_file(name, download=False)


def hostile():
    """A CT whose patient's name stands where nobody looks for it."""
    dataset = pydicom.dcmread(example("CT_small.dcm"))
    dataset.PatientName = "Hidden^Harriet"
    for name in ("StudyDescription", "ImageComments", "RescaleType", "SeriesDescription", "WindowCenterWidthExplanation"):
        setattr(dataset, name, "HARRIET HIDDEN")
    dataset.BurnedInAnnotation = dataset.Modality = "HARRIET HIDDEN"
    dataset.private_block(0x0011, "MAKER", create=True).add_new(0x01, "LO", "HARRIET HIDDEN")
    return dataset


def test_no_identity_passes_the_allow_list(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hostile().save_as(tmp_path / "a.dcm")
        found = pictures.read_dicom(tmp_path / "a.dcm")
        buffer = io.BytesIO()
        pictures.without_identity(pydicom.dcmread(tmp_path / "a.dcm")).save_as(buffer, enforce_file_format=True)
    assert "harriet" not in repr(found.facts).lower() and found.facts["Rows"] == 128
    assert b"harriet" not in buffer.getvalue().lower() and b"1CT1" not in buffer.getvalue()
    buffer.seek(0)
    assert np.array_equal(pydicom.dcmread(buffer).pixel_array, pydicom.dcmread(example("CT_small.dcm")).pixel_array)


def test_ct_comes_in_hounsfield_units():
    ct = pictures.read_dicom(example("CT_small.dcm"))
    stored = pydicom.dcmread(example("CT_small.dcm")).pixel_array
    assert np.array_equal(ct.values, stored.astype(np.float32) - 1024) and len(ct.facts["PixelSpacing"]) == 2
    assert pictures.read_dicom(example("MR_small.dcm")).window == (600, 1600)


def shared(dataset):
    """Write the copy to share, and read it back."""
    buffer = io.BytesIO()
    pictures.without_identity(dataset).save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def test_a_palette_goes_with_the_copy_to_share():
    dataset = pydicom.dcmread(example("examples_palette.dcm"))
    assert np.array_equal(pictures.rescaled(shared(dataset), "PALETTE COLOR"), pictures.rescaled(dataset, "PALETTE COLOR"))


def test_a_file_that_says_that_text_is_burnt_in_is_not_shared():
    dataset = pydicom.dcmread(example("CT_small.dcm"))
    del dataset.SOPClassUID
    assert shared(dataset).Rows == 128
    dataset.BurnedInAnnotation = "YES"
    with pytest.raises(MedkitError, match="burnt into"):
        pictures.without_identity(dataset)


def test_a_folder_tells_of_films_with_text_burnt_in(tmp_path):
    dataset = pydicom.dcmread(example("CT_small.dcm"))
    for k in range(16):
        dataset.BurnedInAnnotation = "NO" if k else "YES"
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        dataset.save_as(tmp_path / "ab"[k % 2] / f"{k}.dcm")
    assert any(note.startswith("1 films say that text is burnt into them") for note in images.load(tmp_path, 16).notes)


def test_a_compression_that_cannot_be_opened_is_told_with_a_way_out():
    with pytest.raises(MedkitError, match=r"gdcmconv.*JPEG-LS[^:]*dependencies\.$"):
        pictures.read_dicom(example("MR_small_jpeg_ls_lossless.dcm"))


def test_dark_and_bright_are_turned_the_usual_way(tmp_path):
    dataset = pydicom.dcmread(example("MR_small.dcm"))
    usual = pictures.as_8_bit(pictures.read_dicom(example("MR_small.dcm"))).astype(int)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.save_as(tmp_path / "a.dcm")
    turned = pictures.as_8_bit(pictures.read_dicom(tmp_path / "a.dcm")).astype(int)
    assert np.abs(usual + turned - 255).max() <= 1


def test_damaged_pictures_are_named(tmp_path):
    whole = open(example("CT_small.dcm"), "rb").read()
    cases = {"half.dcm": whole[:20000], "start.dcm": whole[:400], "text.dcm": b"not a picture", "empty.dcm": b"",
             "a.nii.gz": b"\x1f\x8bnonsense", "b.nii": b""}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MedkitError, match=name):
            (pictures.read_nifti if ".nii" in name else pictures.read_dicom)(tmp_path / name)
    with pytest.raises(MedkitError, match="MR_truncated"):
        pictures.read_dicom(example("MR_truncated.dcm"))
    with pytest.raises(MedkitError, match="no picture"):
        pictures.read_dicom(example("rtplan.dcm"))


def test_nifti_is_turned_to_slices_as_radiologists_see_them(tmp_path):
    import nibabel

    values = np.zeros((4, 5, 6), np.float32)
    values[0, 4, 5] = 7  # the patient's left-most voxel in a file that counts to the left; front; top
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-2.0, 3.0, 4.0, 1.0])), tmp_path / "a.nii.gz")
    found = pictures.read_nifti(tmp_path / "a.nii.gz")
    assert found.values.shape == (6, 5, 4) and found.facts["VoxelSpacing"] == [4, 3, 2]
    assert found.values[5, 0, 0] == 7  # top slice, front row, the patient's right on the left
    nibabel.save(nibabel.Nifti1Image(values[..., None], np.diag([-2.0, 3.0, 4.0, 1.0])), tmp_path / "b.nii")
    assert np.array_equal(pictures.read_nifti(tmp_path / "b.nii").values, found.values)
    nibabel.save(nibabel.Nifti1Image(np.stack([values] * 2, -1), np.eye(4)), tmp_path / "c.nii")
    with pytest.raises(MedkitError, match="one volume"):
        pictures.read_nifti(tmp_path / "c.nii")


def test_a_window_is_black_below_white_above_and_straight_between():
    found = pictures.window(np.array([[-2000.0, -160, 40, 240, NAN]]), 40, 400)
    assert found.tolist() == [[0, 0, 128, 255, 0]] and found.dtype == np.uint8
    with pytest.raises(MedkitError, match="width"):
        pictures.window(found, 40, 0)
    assert pictures.resized(found, 32).shape == (32, 32)
    with pytest.raises(MedkitError, match="uint8"):
        pictures.resized(np.zeros((2, 2)), 8)


def test_a_folder_may_hold_dicom(tmp_path):
    dataset = pydicom.dcmread(example("CT_small.dcm"))
    for label in ("ill", "well"):
        (tmp_path / label).mkdir()
        for k in range(8):
            dataset.save_as(tmp_path / label / f"{k}.dcm")
    data = images.load(str(tmp_path), size=32)
    assert data.X["train"].shape[1:] == (32, 32, 1) and np.ptp(data.X["train"]) > 100
    (tmp_path / "ill" / "0.dcm").write_bytes(b"no")
    with pytest.raises(MedkitError, match="0.dcm"):
        images.load(str(tmp_path), size=32)
