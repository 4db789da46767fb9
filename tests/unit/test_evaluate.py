"""Metrics against scikit-learn, and intervals against what they promise."""

import numpy as np
import pytest
from sklearn import metrics

from medkit import evaluate
from medkit.errors import MedkitError
from medkit.report.record import spoken


@pytest.fixture
def case():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 800)
    return y, np.clip(np.round(rng.normal(0.35 + 0.2 * y, 0.2), 2), 0, 1)  # rounded: many ties


@pytest.mark.parametrize("ours, theirs", [
    (evaluate.auroc, metrics.roc_auc_score), (evaluate.average_precision, metrics.average_precision_score),
    (evaluate.brier, metrics.brier_score_loss)])
def test_equal_to_scikit_learn(case, ours, theirs):
    y, p = case
    assert ours(y, p) == pytest.approx(theirs(y, p), abs=1e-12)
    w = np.random.default_rng(0).integers(0, 4, (3, len(y)))
    assert ours(y, p, w) == pytest.approx([theirs(y, p, sample_weight=row) for row in w], abs=1e-12)


def test_threshold_metrics(case):
    y, p = case
    hit = p >= 0.45
    assert evaluate.accuracy(y, p, threshold=0.45) == pytest.approx(metrics.accuracy_score(y, hit))
    assert evaluate.sensitivity(y, p, threshold=0.45) == pytest.approx(metrics.recall_score(y, hit))
    assert evaluate.specificity(y, p, threshold=0.45) == pytest.approx(metrics.recall_score(1 - y, ~hit))


def test_ece_is_zero_for_a_calibrated_and_large_for_an_overconfident_model():
    rng = np.random.default_rng(0)
    p = rng.random(50_000)
    y = rng.random(50_000) < p
    assert evaluate.ece(y, p) < 0.01
    assert evaluate.ece(y, np.where(p > 0.5, 0.999, 0.001)) > 0.2


def test_macro_over_classes():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    p = rng.dirichlet([1, 1, 1], 300) + np.eye(3)[y] * 0.2
    p /= p.sum(1, keepdims=True)
    assert evaluate.macro(evaluate.auroc)(y, p) == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"))
    found = evaluate.interval(evaluate.macro(evaluate.auroc), y, p, count=200)
    assert found.low < found.value < found.high
    two = np.stack([1 - p[:, 1], p[:, 1]], axis=1)
    assert evaluate.macro(evaluate.auroc)(y == 1, two) == pytest.approx(metrics.roc_auc_score(y == 1, p[:, 1]))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = 0.7602  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    inside = 0
    for _ in range(200):
        y = np.repeat([0, 1], 60)
        found = evaluate.interval(evaluate.auroc, y, rng.normal(y, 1), count=300, seed=int(rng.integers(1e6)))
        inside += found.low <= truth <= found.high
    assert 0.88 <= inside / 200 <= 0.99


def test_rows_of_one_patient_widen_the_interval(case):
    y, p = case
    rows = np.repeat(np.arange(len(y)), 5)
    alone = evaluate.interval(evaluate.auroc, y[rows], p[rows])
    whole = evaluate.interval(evaluate.auroc, y[rows], p[rows], groups=rows)
    assert (whole.high - whole.low) > 1.8 * (alone.high - alone.low)


def test_paired_comparison_is_sharper_than_two_intervals(case):
    y, p = case
    q = np.clip(p + np.random.default_rng(3).normal(0, 0.05, len(p)), 0, 1)
    gap = evaluate.compare(evaluate.auroc, y, p, q)
    single = evaluate.interval(evaluate.auroc, y, p)
    assert gap.value == pytest.approx(evaluate.auroc(y, p) - evaluate.auroc(y, q))
    assert gap.high - gap.low < 0.7 * (single.high - single.low)
    assert evaluate.compare(evaluate.auroc, y, p, p).low == 0


def test_the_threshold_reaches_the_sensitivity_and_no_lower(case):
    y, p = case
    cut = evaluate.threshold_for(y, p, sensitivity=0.9)
    assert evaluate.sensitivity(y, p, threshold=cut) >= 0.9 > evaluate.sensitivity(y, p, threshold=cut + 0.01)
    best = evaluate.threshold_for(y, p)
    youden = [evaluate.sensitivity(y, p, threshold=t) + evaluate.specificity(y, p, threshold=t) for t in np.unique(p)]
    assert max(youden) == pytest.approx(
        evaluate.sensitivity(y, p, threshold=best) + evaluate.specificity(y, p, threshold=best))


def test_same_seed_same_numbers_and_one_class_gives_no_number(case):
    y, p = case
    assert evaluate.interval(evaluate.auroc, y, p, seed=3) == evaluate.interval(evaluate.auroc, y, p, seed=3)
    assert evaluate.interval(evaluate.auroc, y, p, seed=3) != evaluate.interval(evaluate.auroc, y, p, seed=4)
    assert np.isnan(evaluate.interval(evaluate.auroc, np.ones(20), np.linspace(0, 1, 20)).low)
    with pytest.raises(MedkitError, match="3 labels but 2"):
        evaluate.auroc([0, 1, 1], [0.1, 0.2])


def test_what_is_no_number_is_no_prediction(case):
    y, p = case
    with pytest.raises(MedkitError, match="1 of 800 predictions are not numbers"):
        evaluate.auroc(y, np.where(np.arange(len(p)) == 3, np.nan, p))


def test_a_threshold_needs_both_classes():
    for sensitivity in (None, 0.9):
        with pytest.raises(MedkitError, match="both classes"):
            evaluate.threshold_for(np.zeros(5), np.linspace(0, 1, 5), sensitivity)


def test_classes_written_as_floats_count_as_classes():
    assert evaluate.rarer(np.array([0.0, 1, 0, 0, 0])) == 1 and evaluate.rarer(np.array([0.2, 1, 0.4])) == 3


def test_chunks_add_up_and_draw_whole_patients():
    groups = np.repeat(np.arange(50), 2)
    w = np.concatenate(list(evaluate.resamples(100, groups, count=30)))
    assert w.shape == (30, 100) and (w[:, ::2] == w[:, 1::2]).all() and (w.sum(1) == 100).all()


def test_subgroups_and_summary(case):
    y, p = case
    by = np.where(np.arange(len(y)) < 200, "young", "old")
    table = evaluate.subgroups(evaluate.auroc, y, p, by, count=100)
    assert list(table.index) == ["old", "young"] and table.loc["young", "n"] == 200
    assert table.loc["young", "value"] == pytest.approx(metrics.roc_auc_score(y[:200], p[:200]))
    assert set(evaluate.summary(y, p, 0.5, count=50)) == set(evaluate.METRICS)
    ages = np.where(np.arange(len(y)) < 200, np.nan, 7.0)
    assert list(evaluate.subgroups(evaluate.auroc, y, p, ages, count=10).index) == [7.0]


def test_an_interval_holds_its_own_value():
    p = np.repeat([0.25, 0.5, 0.75], 40)
    y = np.concatenate([np.arange(40) < 40 * q for q in (0.25, 0.5, 0.75)]).astype(int)  # calibrated: each resample is less so
    found = evaluate.interval(evaluate.ece, y, p, count=300)
    assert found.value == found.low == 0 < found.high
    less = evaluate.compare(evaluate.ece, y, p, y, count=300)
    assert less.value == less.low == 0 < less.high
    assert np.isnan(evaluate.percentiles(np.array([np.nan]), 0.5)).all()  # no resample has the figure: no interval


def test_mean_over_repeats_has_students_interval():
    found = evaluate.mean_interval([1.0, 2.0, 3.0])
    assert found.value == 2 and found.high - 2 == pytest.approx(4.303 / np.sqrt(3), abs=1e-3)
    assert np.isnan(evaluate.mean_interval([1.0]).low)
    wide = evaluate.mean_interval([1.0, 2.0, 3.0], shared=1 / 3)  # splits that share patients: sqrt(1 + 3 / 3) times
    assert wide.high - 2 == pytest.approx(2**0.5 * (found.high - 2))


def test_precision_is_the_share_of_right_alarms():
    from sklearn.metrics import precision_score

    rng = np.random.default_rng(0)
    y, p = rng.integers(2, size=200), rng.random(200)
    assert np.isclose(evaluate.precision(y, p, threshold=0.7), precision_score(y, p >= 0.7))
    assert np.isnan(evaluate.precision(y, p, threshold=2))


def test_net_benefit_weighs_false_alarms_by_the_odds():
    y, p = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.1, 0.6, 0.3, 0.1])
    assert np.isclose(evaluate.net_benefit(y, p, threshold=0.2), 1 / 5 - 2 / 5 * 0.25)
    assert evaluate.net_benefit(y, p, threshold=0.95) == 0
    everybody = evaluate.net_benefit(y, np.ones(5), threshold=0.4)
    assert np.isclose(everybody, 0), "treating everybody is worth nothing at the prevalence"
    weights = np.array([[1, 1, 1, 1, 1], [2, 0, 0, 0, 0]])
    assert np.allclose(evaluate.net_benefit(y, p, weights, threshold=0.2), [0.1, 1.0])


def test_no_figure_is_minus_zero_and_a_count_has_no_decimals():
    assert str(evaluate.Estimate(-0.0001, -0.0002, 0.1)) == "0.000 (95 % interval 0.000 to 0.100)"
    assert spoken({"value": 12.0, "low": None, "high": None, "unit": ""}) == "12"
    assert spoken({"value": -0.0001, "low": -0.01, "high": 0.0, "unit": "s"}) == "0.000 s (95 % interval -0.010 to 0.000)"


def test_of_four_patients_no_interval_is_given_and_nothing_warns(recwarn):
    y, p, who = np.tile([0, 1], 20), np.linspace(0, 1, 40), np.repeat(np.arange(4), 10)
    few = evaluate.interval(evaluate.macro(evaluate.auroc), y, np.stack([1 - p, p], 1), who, 100)
    assert np.isnan(few.low) and np.isnan(few.high) and str(few) == f"{few.value:.3f} (too few for an interval)"
    assert np.isnan(evaluate.compare(evaluate.auroc, y, p, 1 - p, who, 100).low)
    pure = np.repeat(np.arange(40) < 5, 8).astype(int)  # five patients have all positives: some resamples have none
    p, who = np.linspace(0, 1, 320), np.repeat(np.arange(40), 8)
    found = evaluate.interval(evaluate.macro(evaluate.auroc), pure, np.stack([1 - p, p], 1), who, 1000)
    assert np.isfinite(found.low) and not recwarn.list


def test_a_class_of_four_patients_has_no_interval_and_one_of_five_has():
    y, p = np.repeat([0, 1], [50, 5]), np.linspace(0, 1, 55) ** 2
    assert np.isfinite(evaluate.interval(evaluate.auroc, y, 1 - p, count=200).low)
    y[-1] = 0
    assert np.isnan(evaluate.interval(evaluate.auroc, y, p, count=200).low)
    assert np.isnan(evaluate.compare(evaluate.auroc, y, p, 1 - p, count=200).high)


def test_a_perfect_score_gets_the_exact_binomial_bound():
    from scipy.stats import beta

    y = np.repeat([0, 1], [60, 12])
    found = evaluate.interval(evaluate.sensitivity, y, y.astype(float), count=200, threshold=0.5)
    assert found.value == 1 and found.high == 1 and found.low == pytest.approx(beta.ppf(0.025, 12, 1))
    macro = evaluate.interval(evaluate.macro(evaluate.auroc), y, np.stack([1 - y, y], 1), count=200)
    assert macro.low == found.low

    def alarms_per_true(y, p, w=None):
        return 1.0 if w is None else np.ones(len(w))

    assert evaluate.interval(alarms_per_true, y, y, count=200).low == 1, "there is no fewer than one alarm for a true one"
    missed = evaluate.interval(evaluate.sensitivity, y, 0.0 * y, count=200, threshold=0.5)
    assert missed.low == 0 and missed.high == pytest.approx(beta.ppf(0.975, 1, 12))


def test_a_score_of_ones_own_is_not_held_for_one_that_ends_at_0_and_1():
    y, p = np.arange(40) % 2, np.arange(40) % 2
    assert evaluate.interval(evaluate.auroc, y, p).low < 1  # perfect: the exact bound
    same = evaluate.weighted(lambda y, p, w: np.zeros(len(w)))  # a difference can be negative
    found = evaluate.interval(same, y, p)
    assert found.low == found.high == 0
