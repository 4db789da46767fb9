"""Simulated stays: levels, causes, and gaps that tell something."""
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from medkit.hospital import admit
from medkit.hospital.stay import REASONS
from medkit.hospital.variables import SPEC

FIELDS = ("values", "truth", "reason", "interventions")


@pytest.fixture(scope="module")
def cohort():
    return admit(2000, seed=4)


@pytest.fixture(scope="module")
def stay(cohort):
    return cohort.stay()


def column(stay, name, part="values"):
    return getattr(stay, part)[..., stay.variables.index(name)]


def test_shapes(stay):
    shape = (2000, 48, len(stay.variables))
    for field in FIELDS[:-1]:
        assert getattr(stay, field).shape == shape
    assert stay.values.dtype == np.float32 and stay.reason.dtype == np.int8
    assert stay.interventions.shape == (2000, 48, 3)
    assert list(stay.static) == ["Age", "Gender", "Height", "ICUType", "Weight"]


@pytest.mark.parametrize("start, n", [(0, 2), (255, 3), (599, 1)])
def test_a_stay_does_not_depend_on_the_cohort(start, n):
    whole, alone = admit(600, seed=8).stay(12), admit(n, seed=8, start=start).stay(12)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(alone, field), getattr(whole, field)[start:start + n])
    pd.testing.assert_frame_equal(alone.static, whole.static.iloc[start:start + n].reset_index(drop=True))


def test_a_longer_record_begins_with_the_shorter():
    short, long = admit(20, seed=8).stay(10), admit(20, seed=8).stay(72)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(short, field), getattr(long, field)[:, :10])


def test_the_seed_decides():
    first, again, other = (admit(5, seed=s).stay(6) for s in (1, 1, 2))
    assert first.values.tobytes() == again.values.tobytes() != other.values.tobytes()


def test_hours_are_checked():
    with pytest.raises(ValueError, match="hours"):
        admit(2).stay(0)


def test_mortality_and_emptiness(cohort, stay):
    assert 0.10 < cohort.outcome()["died"].mean() < 0.18
    assert 0.75 < np.isnan(stay.values).mean() < 0.85


def test_truth_is_complete_possible_and_what_was_measured(stay):
    assert np.isfinite(stay.truth).all()
    seen = stay.reason == 0
    np.testing.assert_array_equal(seen, np.isfinite(stay.values))
    np.testing.assert_array_equal(stay.values[seen], stay.truth[seen])
    for name, spec in SPEC.items():
        if name != "Weight":  # its level is the patient's own
            values = column(stay, name, "truth")
            assert spec.low - 1e-3 <= values.min() and values.max() <= spec.high + 1e-3


def test_each_reason_occurs(stay):
    assert (np.bincount(stay.reason.ravel(), minlength=len(REASONS)) / stay.reason.size > 0.001).all()


# Medians of set a of the PhysioNet/CinC challenge 2012.
@pytest.mark.parametrize("name, median, within", [
    ("HR", 86, 4), ("SysABP", 117, 6), ("NISysABP", 117, 6), ("Temp", 37.15, .4), ("RespRate", 19, 2), ("GCS", 13, 2),
    ("Urine", 70, 25), ("BUN", 20, 5), ("Creatinine", 1.0, .3), ("Na", 139, 2), ("K", 4.1, .3), ("Glucose", 127, 15),
    ("HCO3", 23, 2), ("WBC", 11.4, 2), ("Platelets", 173, 25), ("Lactate", 2.0, .5), ("pH", 7.38, .03),
    ("PaO2", 120, 20), ("Albumin", 2.9, .3), ("Bilirubin", .9, .3)])
def test_levels_are_those_of_intensive_care(stay, name, median, within):
    assert abs(np.nanmedian(column(stay, name)) - median) < within


@pytest.mark.parametrize("name, cause, sign", [
    ("BNP", "heart", 1), ("Creatinine", "heart", 1), ("TroponinT", "heart", 1), ("SysABP", "heart", -1),
    ("BUN", "kidney", 1), ("Creatinine", "kidney", 1), ("Urine", "kidney", -1), ("K", "kidney", 1),
    ("HCO3", "kidney", -1), ("PaO2", "lung", -1), ("PaCO2", "lung", 1), ("RespRate", "lung", 1),
    ("WBC", "infection", 1), ("Lactate", "infection", 1), ("HR", "infection", 1), ("SysABP", "infection", -1),
    ("GCS", "brain", -1), ("Bilirubin", "metabolic", 1), ("Glucose", "diabetes", 1), ("Creatinine", "ckd", 1),
    ("BNP", "heart_failure", 1), ("Weight", "bmi", 1)])
def test_organs_move_their_variables(cohort, stay, name, cause, sign):
    level = column(stay, name, "truth").mean(axis=1)
    assert sign * spearmanr(level, cohort.latent[cause])[0] > 0.06


@pytest.mark.parametrize("name, sign", [("GCS", -1), ("BUN", 1), ("Lactate", 1), ("Urine", -1), ("Bilirubin", 1),
                                        ("Platelets", -1), ("HCO3", -1)])
def test_the_dying_look_ill(cohort, stay, name, sign):
    died = cohort.outcome()["died"].to_numpy()
    level = np.median(column(stay, name, "truth"), axis=1)
    assert sign * (level[died].mean() - level[~died].mean()) > 0.1 * level.std()


@pytest.mark.parametrize("name", ["Lactate", "Bilirubin", "TroponinT", "BUN", "pH"])
def test_the_more_ill_are_measured_more(cohort, stay, name):
    ill = cohort.latent[["lung", "kidney", "infection", "metabolic", "heart", "brain"]].rank().mean(axis=1)
    counts = np.isfinite(column(stay, name)).sum(axis=1)
    worst, best = ill > ill.quantile(0.75), ill < ill.quantile(0.25)
    assert counts[worst].mean() > 1.1 * counts[best].mean()


def test_gaps_bias_what_is_seen(stay):
    lactate = column(stay, "Lactate", "truth")
    assert np.nanmean(column(stay, "Lactate")) > 1.05 * lactate.mean()


def test_interventions_answer_to_illness(cohort, stay):
    hours = pd.DataFrame(stay.interventions.sum(axis=1), columns=["ventilation", "vasopressor", "antibiotics"])
    latent = cohort.latent
    assert spearmanr(hours["antibiotics"], latent["infection"])[0] > 0.5
    assert spearmanr(hours["vasopressor"], latent["heart"] + latent["infection"])[0] > 0.3
    medical = stay.static["ICUType"] == 3
    assert spearmanr(hours["ventilation"][medical], latent[["lung", "brain"]].max(axis=1)[medical])[0] > 0.3
    np.testing.assert_array_equal(column(stay, "MechVent", "truth"), stay.interventions[..., 0])


def test_antibiotics_lower_the_white_count(cohort, stay):
    infected = cohort.latent["infection"].to_numpy() > 0.6
    white = np.log(column(stay, "WBC", "truth")[infected])
    assert white[:, 36:].mean() < white[:, :6].mean() - 0.02


def test_hours_hang_together(stay):
    for name, low in (("HR", .7), ("GCS", .7), ("SysABP", .5), ("Creatinine", .9)):
        values = column(stay, name, "truth")
        assert spearmanr(values[:, 20], values[:, 21])[0] > low
    lag1, lag24 = (spearmanr(column(stay, "HR", "truth")[:, 10], column(stay, "HR", "truth")[:, 10 + k])[0] for k in (1, 24))
    assert lag1 > lag24 + 0.1


def test_units_differ_as_they_should(cohort, stay):
    died = cohort.outcome()["died"].groupby(stay.static["ICUType"]).mean()
    assert set(died.index) == {1, 2, 3, 4} and died[2] < 0.6 * died[3]
