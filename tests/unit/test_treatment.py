"""Effects of treatments: losses and estimates against small cases worked out otherwise; hostile input."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from medkit.datasets import cohorts, trials
from medkit.errors import MedkitError
from medkit.models import treatment


def data(n=2000):
    rng = np.random.default_rng(0)
    X, arm = rng.normal(size=(n, 3)), rng.integers(0, 2, n)
    effect = 1 + 2 * X[:, 0]
    return X, arm, X[:, 1] + arm * effect + 0.1 * rng.normal(size=n), effect


@pytest.mark.parametrize("learner", [treatment.s_learner, treatment.t_learner, treatment.x_learner])
def test_meta_learners_find_a_linear_effect(learner):
    X, arm, y, effect = data()
    assert np.abs(learner(LinearRegression(), X, arm, y, X) - effect).mean() < 0.05


def test_two_heads_find_it_too():
    X, arm, y, effect = data()
    torch.manual_seed(0)
    net, X_t = treatment.TARNet(3), torch.tensor(X, dtype=torch.float32)
    arm_t, y_t = torch.tensor(arm), torch.tensor(y, dtype=torch.float32)
    treatment.descend(net, lambda: treatment.tarnet_loss(net, X_t, arm_t, y_t, 0.01), 300, 0.02)
    found = torch.diff(net(X_t), dim=1)[:, 0].detach().numpy()
    assert np.sqrt(np.mean((found - effect) ** 2)) < 0.5 < np.std(effect)


def test_cox_loss_is_the_partial_likelihood():
    risk, time, event = torch.tensor([0.5, -0.2, 1.0]), torch.tensor([2.0, 3.0, 1.0]), torch.tensor([1, 0, 1])
    e = risk.exp()
    by_hand = -(risk[2] - e.sum().log() + risk[0] - (e[0] + e[1]).log()) / 2
    assert float(treatment.cox_loss(risk, time, event)) == pytest.approx(float(by_hand), abs=1e-6)


def test_newton_finds_the_coefficients_of_another_implementation():
    X, arm, y, _ = data(500)
    time, event, penalty = np.exp(-y) + 1e-9 * np.arange(500), np.arange(500) % 3 > 0, np.array([1.0, 50.0, 5.0])
    other = CoxPHSurvivalAnalysis(penalty).fit(X, Surv.from_arrays(event, time)).coef_
    found = treatment.fit_cox(X, time, event, penalty)
    assert np.allclose(found, other, atol=1e-3) and np.abs(found).max() > 0.2
    assert np.allclose(found, treatment.fit_cox(X, time, event, penalty, found, steps=1), atol=1e-6)


def test_restricted_mean_and_pseudo_values():
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4, bool)
    assert treatment.restricted_mean(time, event, 3.0) == pytest.approx((1 + 2 + 3 + 3) / 4)
    assert np.allclose(treatment.pseudo_values(time, event, 3.0), [1, 2, 3, 3])  # no censoring: the times themselves
    assert treatment.restricted_mean(time, np.zeros(4, bool), 3.0) == pytest.approx(3)


def test_pseudo_values_are_those_of_leaving_one_out():
    rng = np.random.default_rng(0)
    for n in (2, 7, 60):
        time, event = rng.integers(1, 12, n).astype(float), rng.random(n) < 0.6
        for horizon in (6.0, 20.0):
            kept = [np.arange(n) != i for i in range(n)]
            slow = [n * treatment.restricted_mean(time, event, horizon)
                    - (n - 1) * treatment.restricted_mean(time[k], event[k], horizon) for k in kept]
            assert np.allclose(treatment.pseudo_values(time, event, horizon), slow)


def test_weights_count_patients():
    time, event, times = np.array([1.0, 2.0, 3.0, 5.0]), np.array([True, False, True, True]), np.array([2, 0, 1, 3])
    again = np.repeat(np.arange(4), times)
    assert treatment.restricted_mean(time, event, 4.0, times) == pytest.approx(
        treatment.restricted_mean(time[again], event[again], 4.0))


def test_doubly_robust_is_right_when_the_outcome_model_is_wrong():
    X, arm, y, effect = data(20_000)
    advice = effect > 0
    truth = np.mean(X[:, 1] + advice * effect)
    wrong = np.zeros((len(y), 2))
    assert treatment.doubly_robust(y, arm, advice, 0.5, wrong).mean() == pytest.approx(truth, abs=0.1)


def table(**changes):
    row = {"PharmGKB Subject ID": "PA1", "Gender": "male", "Race (OMB)": "White", "Age": "60 - 69",
           "Height (cm)": 170.0, "Weight (kg)": 80.0, "CYP2C9 consensus": "*1/*1", "Amiodarone (Cordarone)": 0.0,
           "Current Smoker": 0.0, "Simvastatin (Zocor)": 0.0, "Therapeutic Dose of Warfarin": 35.0}
    row |= {name: 0.0 for name in trials.INDUCERS}
    row |= {f"VKORC1 {k} consensus": None for k in trials.LINKED} | {"VKORC1 -1639 consensus": "G/G"}
    rows = [row, row | changes, dict.fromkeys(row)]
    return pd.DataFrame(rows).infer_objects()


def test_rows_without_a_dose_and_empty_rows_are_left_out():
    found = trials.iwpc(table(**{"Therapeutic Dose of Warfarin": None}))
    assert len(found.dose) == 1 and "2 real patients" in found.notes[0]


@pytest.mark.parametrize("column, value, words", [
    ("CYP2C9 consensus", "*1/*33", "row 2: There is no CYP2C9 genotype"),
    ("VKORC1 -1639 consensus", "A/T", "row 2: There is no VKORC1 genotype"),
    ("Therapeutic Dose of Warfarin", 0.0, "row 2: a stable dose of 0")])
def test_hostile_rows_are_named(column, value, words):
    with pytest.raises(MedkitError, match=words):
        trials.iwpc(table(**{column: value}))


def test_a_missing_genotype_is_unknown_or_read_off_its_neighbour():
    blank = {"CYP2C9 consensus": None, "VKORC1 -1639 consensus": None}
    assert list(trials.iwpc(table(**blank)).people[["vkorc1", "cyp2c9"]].iloc[1]) == ["unknown", "unknown"]
    assert trials.iwpc(table(**blank, **{"VKORC1 1173 consensus": "C/T"})).people["vkorc1"][1] == "A/G"


def trial(arm, event):
    n = len(arm)
    return trials.Trial("small", pd.DataFrame({"x": range(n)}), np.array(arm), np.arange(1.0, n + 1),
                        np.array(event, bool), "days", 365, ("usual", "new"), {}, [])


def test_one_arm_or_no_event_teaches_nothing():
    with pytest.raises(MedkitError, match="one arm"):
        trials.check_trial(trial([1, 1, 1], [1, 0, 1]))
    with pytest.raises(MedkitError, match="censored"):
        trials.check_trial(trial([0, 1, 1], [0, 0, 0]))


def test_unknown_names():
    with pytest.raises(MedkitError, match="Did you mean 'gbsg2'"):
        trials.trial("gbsg22")
    with pytest.raises(MedkitError, match="iwpc-warfarin"):
        trials.doses("warfarin")


def test_simulated_patients_know_both_arms():
    found = trials.trial(n=6000)
    assert found.truth["expected"].shape == (len(found.arm), 2) and "simulated" in found.notes[0]
    for arm in (0, 1):
        r = found.arm == arm
        seen = treatment.restricted_mean(found.time[r], found.event[r], found.horizon)
        assert found.truth["expected"][r, arm].mean() == pytest.approx(seen, abs=8)
    assert np.diff(found.truth["expected"]).mean() > 16


def test_xls_and_xlsx_are_read_alike(tmp_path, monkeypatch):
    folder = tmp_path / "iwpc-warfarin"
    folder.mkdir()
    table().to_excel(folder / "PS206767-553247439.xlsx", sheet_name="Subject Data", index=False)
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path))
    assert len(trials.doses("iwpc-warfarin").dose) == 2
    (folder / "PS206767-553247439.xlsx").rename(folder / "PS206767-553247439.xls")
    assert len(trials.doses("iwpc-warfarin").dose) == 2  # pandas looks at the content, not the name


def test_a_patient_unlike_any_in_training_is_flagged_though_each_value_is_usual():
    rng = np.random.default_rng(0)
    height = rng.normal(170, 10, 2000)
    X = np.column_stack([height, height - 100 + rng.normal(0, 3, 2000), np.ones(2000)])  # one column is constant
    usual, tall_and_light = X.mean(0), [185.0, 60.0, 1.0]
    share = treatment.stranger_than(X, np.array([usual, tall_and_light]))
    assert share[0] < 0.01 and share[1] > 0.99
    assert treatment.stranger_than(X, X).mean() == pytest.approx(0.5, abs=0.001)


def test_the_german_trial_says_its_unit_and_that_not_all_were_randomised():
    found = trials.trial("gbsg2")
    assert found.unit == "months" and "months to recurrence or death" in found.notes[0]
    assert "days" not in found.notes[0] and "Not all were randomised" in found.notes[0]


SCHEMA = 'outcome = "event"\ntime = "days"\ntreatment = "horTh"\npatient = "pid"\n'


def own_trial(folder, change=lambda frame: frame, schema=SCHEMA):
    """Write the German trial as a user's table with a schema beside it, and read it back."""
    X, event, *_, days = cohorts.gbsg2()
    frame = X.assign(event=np.where(event, "relapse", "none"), days=days, pid=[f"{k:04d}" for k in range(len(X))])
    change(frame).to_csv(folder / "women.csv", index=False)
    (folder / "women.toml").write_text(schema)
    return trials.trial(str(folder / "women.csv"))


def test_a_trial_of_ones_own_is_read_as_the_same_by_name(tmp_path):
    found, known = own_trial(tmp_path), trials.trial("gbsg2")
    assert found.arms == ("horTh: no", "horTh: yes") and found.event.sum() == known.event.sum()
    assert (found.arm == known.arm).all() and found.time == pytest.approx(known.time * 30.44)
    assert {"age", "menostat_Post", "tgrade_III"} <= set(found.X) and not {"days", "event", "pid"} & set(found.X)
    assert sum(map(len, found.parts.values())) == len(set(np.concatenate(list(found.parts.values())))) == 686
    assert 0 < found.horizon < found.time.max() and "randomised" in found.doubt


def test_a_trial_says_its_horizon_its_unit_and_that_it_was_randomised(tmp_path):
    more = 'horizon = 1000\nunit = "days"\nrandomised = true\ntreated = "no"\n'
    found = own_trial(tmp_path, schema=SCHEMA + more)
    assert (found.horizon, found.unit, found.doubt, found.arms[1]) == (1000, "days", "", "horTh: no")


def test_gaps_of_a_trial_are_filled_by_training_patients_and_leave_a_mark(tmp_path):
    def gaps(frame):
        return frame.assign(age=frame["age"].mask(np.arange(len(frame)) % 7 == 0))

    found = own_trial(tmp_path, gaps)
    assert found.X["age unknown"].sum() == 98 and found.X.notna().all(axis=None)
    trained = found.X.iloc[found.parts["train"]]
    assert set(found.X["age"][found.X["age unknown"] == 1]) == {trained["age"][trained["age unknown"] == 0].median()}


@pytest.mark.parametrize("change, schema, told", [
    (lambda f: f, SCHEMA.replace('time = "days"\n', ""), 'time = "NAME"'),
    (lambda f: f, SCHEMA.replace("days", "dais"), "Did you mean 'days'"),
    (lambda f: f, SCHEMA + 'randomised = "yes"\n', "'randomised' has the wrong type"),
    (lambda f: f.assign(days=f["days"] - 100), SCHEMA, r"row \d+: the column 'days' holds -\d+"),
    (lambda f: f.assign(horTh=np.arange(len(f)) % 3), SCHEMA, "'horTh' should have two values, but has 3"),
    (lambda f: f.assign(pid=f["pid"].str[:3]), SCHEMA, "some patients have several rows"),
    (lambda f: f.assign(days="2024-03-01"), SCHEMA, "'days' should hold a number, but holds '2024-03-01'"),
    (lambda f: f, SCHEMA + 'treated = "ja"\n', "There is no value of horTh 'ja'"),
    (lambda f: f, SCHEMA + "horizon = -5\n", "a horizon of -5 should be above 0"),
    (lambda f: f, SCHEMA + "horizon = 1e5\n", "were followed for 2659 at most"),
    (lambda f: f[:60], SCHEMA, "too few patients")])
def test_a_trial_that_cannot_be_used_is_told_in_one_message(tmp_path, change, schema, told):
    with pytest.raises(MedkitError, match=told):
        own_trial(tmp_path, change, schema)
