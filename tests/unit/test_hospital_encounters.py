"""Earlier stays of simulated patients: order, causes, and what belongs to a patient alone."""

import numpy as np

from medkit.hospital import admit, encounters


def test_stays_stand_in_order_and_the_last_is_that_of_the_outcome():
    cohort = admit(600, seed=1)
    frame, outcome = encounters.histories(cohort), cohort.outcome()
    stays = frame.groupby("patient_id")["stay"]
    assert (stays.transform("cumcount") == frame["stay"]).all() and frame["stay"].max() == encounters.MOST - 1
    whole = frame[frame["patient_id"].isin(cohort.patients["patient_id"][~outcome["died"].to_numpy()])]
    last = whole.groupby("patient_id")["readmitted"].last()
    assert np.array_equal(last.to_numpy(), outcome["readmitted"].dropna().to_numpy(int))
    dead = cohort.patients["patient_id"][outcome["died"].to_numpy()]
    earlier = cohort.latent["earlier_admissions"].to_numpy()[outcome["died"].to_numpy()]
    assert frame["patient_id"].isin(dead).sum() == np.minimum(earlier, encounters.MOST - 1).sum()


def test_a_patient_does_not_depend_on_the_cohort():
    many, few = encounters.histories(admit(300, seed=2)), encounters.histories(admit(50, seed=2, start=100))
    same = many[many["patient_id"].isin(few["patient_id"])].reset_index(drop=True)
    assert same.equals(few.reset_index(drop=True))


def test_values_tell_of_the_organs_and_earlier_stays_of_readmission():
    cohort = admit(6000, seed=3)
    frame = encounters.histories(cohort)
    kidney = cohort.latent["kidney"].to_numpy()[frame["patient_id"].str[2:].astype(int)]
    assert np.corrcoef(kidney, frame["creatinine"])[0, 1] > 0.3 and frame["creatinine"].min() >= 0.3
    again = frame.groupby("stay")["readmitted"].mean()
    assert 0.05 < again[0] < again[2] < 0.4
