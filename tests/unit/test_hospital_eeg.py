"""Simulated EEGs: rhythms, events and artefacts stand where they should."""
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import welch

from medkit.hospital import eeg, latent


def cohort(n, seed=0, start=0, **changed):
    """Patients with some of their latent state overwritten."""
    return SimpleNamespace(latent=latent.draw(seed, start, start + n).assign(**changed))


@pytest.fixture(scope="module")
def calm():
    """Healthy brains, one minute."""
    return eeg.record(cohort(12, brain=0.05, epilepsy=False), 60)


@pytest.fixture(scope="module")
def epileptic():
    """Patients with epilepsy, one minute."""
    return eeg.record(cohort(12, epilepsy=True), 60)


def band(recording, patient, channel, start, stop, low, high):
    """Mean power of one channel in a band of frequencies, between two times."""
    part = slice(round(start * recording.fs), round(stop * recording.fs))
    x = recording.signal[patient, recording.channels.index(channel), part]
    f, power = welch(x, recording.fs, nperseg=min(500, len(x)))
    return power[(f >= low) & (f < high)].mean()


def events(recording, kind):
    """Rows of the event table of one kind."""
    return recording.events[recording.events.kind == kind]


def test_shape_type_and_events(epileptic):
    e = epileptic
    assert e.signal.shape == (12, 19, 15000) and e.signal.dtype == np.float32
    assert np.isfinite(e.signal).all() and 5 < np.median(e.signal.std(2)) < 60
    assert (e.events.start >= 0).all() and (e.events.stop <= 60).all()
    assert (e.events.start < e.events.stop).all() and set(e.events.patient) == set(range(12))
    assert set(e.events.kind) == {"rest", "task", "seizure", "spike", "spindle", "blink", "muscle"}


def test_alpha_is_posterior_and_falls_in_the_task(calm):
    alpha = {kind: np.array([band(calm, r.patient, "O1", r.start, r.stop, 7.5, 12.5)
                             for r in events(calm, kind).itertuples()]) for kind in ("rest", "task")}
    assert np.median(alpha["task"] / alpha["rest"]) < 0.7
    front = [band(calm, r.patient, "F3", r.start, r.stop, 7.5, 12.5) for r in events(calm, "rest").itertuples()]
    assert np.median(alpha["rest"] / front) > 2


def test_subjects_differ_and_ill_brains_are_slow(calm):
    ill = eeg.record(cohort(12, brain=0.9, epilepsy=False), 60)
    share = [np.median([band(e, i, "P3", 0, 60, 1, 6) / band(e, i, "P3", 0, 60, 9, 12) for i in range(12)])
             for e in (calm, ill)]
    assert share[1] > 1.5 * share[0]
    power = [band(calm, i, "O2", 0, 60, 8, 12) for i in range(12)]
    assert max(power) > 3 * min(power)


def test_seizures_are_strong_at_their_focus_only_in_epilepsy(calm, epileptic):
    assert not set(calm.events.kind) & {"seizure", "spike"}
    seizures = events(epileptic, "seizure")
    assert len(seizures) >= 2
    for r in seizures.itertuples():
        late, outside = (r.start + r.stop) / 2, (0, r.start) if r.start > 60 - r.stop else (r.stop, 60)
        inside = band(epileptic, r.patient, r.channel, late, r.stop, 2.5, 8)
        assert inside > 5 * band(epileptic, r.patient, r.channel, *outside, 2.5, 8)
        far = {"3": "T6", "7": "T6", "1": "F8", "4": "T5", "8": "T5", "2": "F7"}[r.channel[-1]]
        assert inside > 2 * band(epileptic, r.patient, far, late, r.stop, 2.5, 8)


def test_artefacts_stand_where_they_arise(calm):
    fp, o = calm.channels.index("Fp1"), calm.channels.index("O1")
    peak = []
    for r in events(calm, "blink").itertuples():
        part = calm.signal[r.patient, :, round(r.start * 250):round(r.stop * 250)]
        peak.append(part[fp].max() - part[o].max())
    assert np.median(peak) > 30
    loud = [band(calm, r.patient, r.channel, r.start, r.stop, 25, 45) / band(calm, r.patient, "Pz", r.start, r.stop, 25, 45)
            for r in events(calm, "muscle").itertuples()]
    assert np.median(loud) > 3


def test_same_bytes_and_no_dependence_on_the_others():
    whole, again = eeg.record(cohort(5), 8), eeg.record(cohort(5), 8)
    late = eeg.record(cohort(2, start=3), 8, channels=("O1", "Fz"))
    assert whole.signal.tobytes() == again.signal.tobytes() and whole.events.equals(again.events)
    rows = [whole.channels.index(c) for c in ("O1", "Fz")]
    assert late.signal.tobytes() == whole.signal[3:][:, rows].tobytes()
    assert not np.array_equal(eeg.record(cohort(5, seed=1), 8).signal, whole.signal)


def test_the_shortest_recording():
    e = eeg.record(cohort(40), 4)
    assert e.signal.shape == (40, 19, 1000) and "muscle" in set(e.events.kind) and (e.events.stop <= 4).all()


@pytest.mark.parametrize("wrong", [{"channels": ("X9",)}, {"fs": 50}, {"seconds": 1}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError):
        eeg.record(cohort(1), **wrong)
