"""Simulated patients: who they are, their genes, treatments and outcomes."""
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, spearmanr

from medkit.hospital import admit, genes
from medkit.hospital.latent import SYSTEMS
from medkit.hospital.treatment import ARMS, iwpc_root_dose

N = 20_000


@pytest.fixture(scope="module")
def cohort():
    return admit(N, seed=3)


PARTS = {
    "latent": lambda c: c.latent, "patients": lambda c: c.patients, "genes": lambda c: c.genes,
    "treatment": lambda c: c.treatment(arms=3), "outcome": lambda c: c.outcome(arms=3),
    "anticoagulant": lambda c: c.anticoagulant(35.0),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_patient_does_not_depend_on_the_cohort(part):
    whole = PARTS[part](admit(700, seed=5))
    for start, n in ((0, 3), (250, 20), (699, 1)):
        alone = PARTS[part](admit(n, seed=5, start=start))
        pd.testing.assert_frame_equal(alone, whole.iloc[start:start + n].reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("part", PARTS)
def test_the_seed_decides(part):
    first, again, other = (PARTS[part](admit(50, seed=s)) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert not first.equals(other)


def test_batches_are_the_same_patients():
    cohort = admit(600, seed=2, start=100)
    batches = list(cohort.batches(250))
    assert [len(b) for b in batches] == [250, 250, 100]
    together = pd.concat([b.latent for b in batches], ignore_index=True)
    pd.testing.assert_frame_equal(together, cohort.latent, check_exact=True)


@pytest.mark.parametrize("wrong", [dict(n=0), dict(n=5, seed=-1), dict(n=5, start=-1)])
def test_admit_refuses(wrong):
    with pytest.raises(ValueError, match="admit needs"):
        admit(**wrong)


@pytest.mark.parametrize("flag, low, high", [
    ("female", .42, .46), ("diabetes", .15, .30), ("hypertension", .40, .65), ("copd", .08, .20), ("ckd", .08, .20),
    ("heart_failure", .15, .35), ("pneumonia", .12, .30), ("effusion", .08, .20), ("pneumothorax", .01, .06),
    ("nodule", .03, .12), ("atrial_fibrillation", .06, .16), ("flutter", .01, .04), ("av_block", .02, .08),
    ("epilepsy", .03, .10)])
def test_prevalence(cohort, flag, low, high):
    assert low < cohort.latent[flag].mean() < high


def test_severities_are_severities(cohort):
    severities = cohort.latent[list(SYSTEMS)]
    assert severities.min().min() >= 0 and severities.max().max() <= 1
    assert (severities.std() > 0.1).all()


@pytest.mark.parametrize("cause, effect, sign", [
    ("pack_years", "lung", 1), ("copd", "lung", 1), ("diabetes", "metabolic", 1), ("ckd", "kidney", 1),
    ("exercise", "heart", -1), ("age", "heart", 1), ("heart", "kidney", 1), ("bmi", "diabetes", 1),
    ("heart", "ectopy_v", 1), ("heart", "atrial_fibrillation", 1), ("infection", "pneumonia", 1)])
def test_causes_act_in_the_right_direction(cohort, cause, effect, sign):
    assert sign * spearmanr(cohort.latent[cause], cohort.latent[effect])[0] > 0.05


def test_ectopy_has_a_heavy_tail(cohort):
    beats = cohort.latent["ectopy_v"]
    assert beats.min() >= 0 and beats.mean() > 4 * beats.median()


def test_patients_hide_the_truth(cohort):
    seen = cohort.patients
    assert not set(SYSTEMS) & set(seen.columns) and "heart_failure" not in seen
    assert seen["patient_id"].is_unique and seen["patient_id"][12] == "VH000012"
    assert seen.attrs["source"] == "simulated"


def test_hardy_weinberg(cohort):
    counts = np.stack([(cohort.genes == k).sum() for k in range(3)], axis=1)
    p = (counts[:, 1] + 2 * counts[:, 2]) / (2 * N)
    expected = N * np.stack([(1 - p) ** 2, 2 * p * (1 - p), p ** 2], axis=1)
    statistic = ((counts - expected) ** 2 / expected).sum(axis=1)
    assert counts.sum() == 200 * N
    assert (chi2.sf(statistic, 1) < 0.05).mean() < 0.12


def test_linkage_falls_with_distance_and_ends_with_the_block(cohort):
    r2 = np.corrcoef(cohort.genes.to_numpy(float).T) ** 2
    block = np.arange(200) // genes.PER_BLOCK
    near, far = (np.mean([r2[i, i + d] for i in range(0, 200, 10)]) for d in (1, 9))
    assert near > 0.4 > far
    apart = r2[block[:, None] != block]
    star = r2[genes.VARIANTS.get_loc("CYP2C9_2"), genes.VARIANTS.get_loc("CYP2C9_3")]
    assert np.quantile(apart, 0.95) < 0.001 < star  # but for the two alleles of one gene


def test_causal_variants_reach_the_patient(cohort):
    g, s = cohort.genes, cohort.latent
    assert s["diabetes"][g["TCF7L2"] == 2].mean() > 1.2 * s["diabetes"][g["TCF7L2"] == 0].mean()
    assert s["atrial_fibrillation"][g["PITX2"] > 0].mean() > 1.1 * s["atrial_fibrillation"][g["PITX2"] == 0].mean()
    assert abs(s["age"].corr(g["tag15"])) < 0.03


@pytest.mark.parametrize("assignment", ["confounded", "randomised"])
@pytest.mark.parametrize("arms", [2, 5])
def test_what_is_seen_is_the_outcome_of_the_arm_given(cohort, assignment, arms):
    told, given = cohort.outcome(assignment, arms), cohort.treatment(assignment, arms)
    assert (told["arm"] == given["arm"]).all() and set(told["arm"]) == set(range(arms))
    for name in ("died", "readmitted", "days", "event", "hospital_days"):
        potential = told[[f"{name}_if_{k}" for k in range(arms)]].to_numpy(float)
        np.testing.assert_array_equal(told[name].astype(float), potential[np.arange(N), told["arm"]])


def test_a_harmful_arm_never_lengthens_life(cohort):
    told, given = cohort.outcome(arms=5), cohort.treatment(arms=5)
    for k in range(1, len(ARMS)):
        longer = told[f"survival_if_{k}"] - told["survival_if_0"]
        assert (longer[given[f"effect_{k}"] > 0] <= 0).all() and (longer[given[f"effect_{k}"] < 0] >= 0).all()


def test_effects_follow_genes_history_and_lifestyle(cohort):
    effect, g, s = cohort.treatment(arms=5), cohort.genes, cohort.latent
    assert effect["effect_2"][g["CYP2C19_2"] == 2].mean() > 0.5 + effect["effect_2"][g["CYP2C19_2"] == 0].mean()
    assert effect["effect_1"].corr(s["heart"]) < -0.5
    assert effect["effect_4"].corr(s["exercise"]) > 0.5
    assert (effect["effect_0"] == 0).all()


def test_confounding_misleads_and_chance_does_not(cohort):
    truth = cohort.outcome()["died_if_1"].mean() - cohort.outcome()["died_if_0"].mean()
    seen = {a: cohort.outcome(a).groupby("arm")["died"].mean().diff()[1] for a in ("confounded", "randomised")}
    assert truth < -0.01 and seen["confounded"] > 0.05
    assert abs(seen["randomised"] - truth) < 0.02


def test_propensities_are_those_of_the_assignment(cohort):
    given = cohort.treatment("confounded", 3)
    chance = given[[f"propensity_{k}" for k in range(3)]]
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    assert chance.min().min() > 0.01
    likely = chance["propensity_1"] > 0.5
    assert abs((given["arm"][likely] == 1).mean() - chance["propensity_1"][likely].mean()) < 0.04


def test_treatment_refuses():
    with pytest.raises(ValueError, match="assignment"):
        admit(3).treatment("at will")
    with pytest.raises(ValueError, match="arms"):
        admit(3).outcome(arms=9)
    with pytest.raises(ValueError, match="above 0"):
        admit(3).anticoagulant(0)


def test_mortality_and_follow_up(cohort):
    told = cohort.outcome()
    assert 0.10 < told["died"].mean() < 0.18
    assert 0.05 < told["readmitted"].mean() < 0.20
    assert told["readmitted"].isna().equals(told["died"])
    assert told["days"].between(2, 365).all()
    assert (told["event"][told["died"]]).all()
    assert 0.05 < ((told["days"] < 365) & ~told["event"]).mean() < 0.35  # lost to follow-up


@pytest.mark.parametrize("system", SYSTEMS)
def test_severity_shortens_life(cohort, system):
    assert cohort.latent[system].corr(cohort.outcome()["died_if_0"].astype(float)) > 0.08


def test_anticoagulant_needs(cohort):
    told, g = cohort.anticoagulant(), cohort.genes
    need = told["stable_mg"]
    assert 25 < need.median() < 40
    assert need[g["VKORC1"] == 2].mean() < 0.7 * need[g["VKORC1"] == 0].mean()
    assert need[g["CYP2C9_3"] > 0].mean() < 0.85 * need[g["CYP2C9_3"] == 0].mean()
    assert need[told["amiodarone"]].mean() < need[~told["amiodarone"]].mean() < need[told["inducer"]].mean()
    assert need.corr(cohort.latent["age"]) < -0.2


def test_the_published_dose_of_one_patient_by_hand():
    one = pd.DataFrame({"decade": [6], "height": [170.0], "weight": [70.0], "vkorc1": ["A/G"], "cyp2c9": ["*1/*3"],
                        "race": ["White"], "inducer": [0], "amiodarone": [1]})
    by_hand = 5.6044 - 6 * 0.2614 + 170 * 0.0087 + 70 * 0.0128 - 0.8677 - 0.9357 - 0.5503
    assert iwpc_root_dose(one)[0] == pytest.approx(by_hand)
    unknown = one.assign(vkorc1=None, cyp2c9="*5/*6", race=None)
    assert iwpc_root_dose(unknown)[0] == pytest.approx(by_hand + 0.8677 + 0.9357 - 0.4854 - 0.2188 - 0.1032)


def test_anticoagulant_dose_response(cohort):
    need = cohort.anticoagulant()["stable_mg"]
    right, low, high = (cohort.anticoagulant(need * f) for f in (1, 0.5, 2))
    np.testing.assert_allclose(right["inr"], 2.5)
    assert right["risk"].max() < min(low["risk"].min(), high["risk"].min())
    assert not (right["harmed"] & ~high["harmed"]).any()  # the same luck under every dose
