"""The trials that come with DeepSurv: are they what we say they are?"""

import os
from pathlib import Path

import numpy as np
import pytest

from medkit.datasets import trials
from medkit.models import treatment

pytestmark = pytest.mark.skipif(not Path(os.environ.get("MEDKIT_DATA", "nowhere"), "deepsurv").exists(),
                                reason="needs deepsurv in MEDKIT_DATA")


def test_the_truth_of_the_simulated_trial_fits_what_was_seen():
    found = trials.trial("deepsurv-simulated")
    expected = found.truth["expected"]
    assert np.ptp(expected[:, 0]) == pytest.approx(0) and np.ptp(expected[:, 1]) > 1
    for arm in (0, 1):
        r = found.arm == arm
        seen = treatment.restricted_mean(found.time[r], found.event[r], found.horizon)
        assert expected[r, arm].mean() == pytest.approx(seen, abs=0.05)
    helped = np.argsort(expected[:, 1] - expected[:, 0])[-1500:]  # those whom it should help live longer with it
    mean = [treatment.restricted_mean(found.time[r], found.event[r], found.horizon)
            for r in (helped[found.arm[helped] == a] for a in (0, 1))]
    assert mean[1] - mean[0] == pytest.approx(np.diff(expected[helped]).mean(), abs=0.15)


def test_the_women_of_gbsg_are_tested_on_and_never_trained_on():
    found, bundled = trials.trial("gbsg"), trials.trial("gbsg2")
    test = found.parts["test"]
    assert len(test) == 686 and len(np.unique(np.concatenate(list(found.parts.values())))) == len(found.arm) == 2232
    assert np.array_equal(np.sort(found.X["age"][test]), np.sort(bundled.X["age"]))
    assert found.event[test].sum() == bundled.event.sum() and found.arm[test].sum() == bundled.arm.sum()
