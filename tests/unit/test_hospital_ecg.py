"""Simulated ECGs: labels, rhythms and leads behave as hearts and electrodes do."""
from types import SimpleNamespace

import numpy as np
import pytest

from medkit.hospital import ecg, latent


def cohort(n, seed=0, start=0, **changed):
    """Patients with some of their latent state overwritten."""
    return SimpleNamespace(latent=latent.draw(seed, start, start + n).assign(**changed))


def healthy(n, **changed):
    """Patients in sinus rhythm with sound hearts, but for what is changed."""
    calm = dict.fromkeys(("atrial_fibrillation", "flutter", "av_block", "heart_failure"), False)
    return cohort(n, **({**calm, "heart": 0.1, "ectopy_s": 0.0, "ectopy_v": 0.0} | changed))


def mean_beat(recording, wanted, span):
    """Average the beats of one class over all patients, per lead, within `span` seconds."""
    offset = np.arange(round(span[0] * recording.fs), round(span[1] * recording.fs))
    cut = [signal[:, at + offset] for signal, beats, classes in
           zip(recording.signal, recording.beats, recording.classes)
           for at in beats[classes == wanted]
           if at + offset[0] >= 0 and at + offset[-1] < signal.shape[1]]
    return np.array(cut)


def spread_of_rr(recording):
    """Coefficient of variation of the RR interval, one value per patient."""
    return np.array([np.diff(b).std() / np.diff(b).mean() for b in recording.beats])


def test_shape_type_and_labels():
    e = ecg.record(cohort(70), 10, fs=250)
    assert e.signal.shape == (70, 12, 2500) and e.signal.dtype == np.float32
    assert np.isfinite(e.signal).all() and len(e.beats) == len(e.classes) == len(e.rhythm) == 70
    for beats, classes in zip(e.beats, e.classes):
        assert len(beats) == len(classes) and set(classes) <= set("NSVF")
        assert (beats >= 0).all() and (beats < 2500).all() and (np.diff(beats) > 0).all()
    rate = np.array([len(b) * 6 for b in e.beats])
    assert rate.min() >= 24 and rate.max() <= 200 and 55 < np.median(rate) < 100


def test_leads_agree_even_with_noise():
    e = ecg.record(cohort(5), 5)
    one, two, three, avr, avl, avf = e.signal[:, :6].swapaxes(0, 1)
    np.testing.assert_allclose(two, one + three, atol=1e-5)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-5)
    assert np.abs(two - one).max() > 0.1


def test_same_bytes_and_no_dependence_on_the_others():
    whole = ecg.record(cohort(70), 4)
    again, late = ecg.record(cohort(70), 4), ecg.record(cohort(3, start=66), 4)
    assert whole.signal.tobytes() == again.signal.tobytes()
    np.testing.assert_allclose(late.signal, whole.signal[66:69], atol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(late.beats, whole.beats[66:69]))
    assert not np.array_equal(ecg.record(cohort(3, seed=1), 4).signal, whole.signal[:3])


def test_peaks_lie_on_their_labels():
    e = ecg.record(healthy(20), 10, noise=False)
    beats = np.abs(np.diff(mean_beat(e, "N", (-0.3, 0.4)).sum(1), axis=1))
    offset = np.median(beats.argmax(1)) - 0.3 * e.fs
    assert abs(offset) < 0.03 * e.fs


def test_fibrillation_is_irregular_and_has_no_p():
    quiet = {"noise": False, "seconds": 40}
    sinus = ecg.record(healthy(30), **quiet)
    af = ecg.record(healthy(30, atrial_fibrillation=True), **quiet)
    assert set(af.rhythm) == {"atrial fibrillation"} and set(sinus.rhythm) == {"sinus"}
    assert np.median(spread_of_rr(af)) > 2 * np.median(spread_of_rr(sinus))
    lead = [mean_beat(e, "N", (-0.2, -0.05)).mean(0)[1] for e in (sinus, af)]
    p = [x[15:30].max() - (x[0] + x[-1]) / 2 for x in lead]  # above the line that joins both ends
    assert p[0] > 0.03 > 2 * abs(p[1])


def test_ventricular_beats_are_wide_early_and_followed_by_a_pause():
    e = ecg.record(healthy(40, ectopy_v=300.0), 60, leads=2, noise=False)
    width = {}
    for c in "NV":
        power = (mean_beat(e, c, (-0.12, 0.16)) ** 2).sum(1)
        time = np.arange(power.shape[1]) / e.fs
        mean = (power * time).sum(1) / power.sum(1)
        width[c] = np.median(np.sqrt((power * (time - mean[:, None]) ** 2).sum(1) / power.sum(1)))
    assert width["V"] > 1.5 * width["N"]
    early, pause = [], []
    for beats, classes in zip(e.beats, e.classes):
        gap = np.diff(beats) / np.median(np.diff(beats))
        alone = np.flatnonzero((classes[1:-1] == "V") & (classes[:-2] == "N") & (classes[2:] == "N"))
        early += list(gap[alone])
        pause += list(gap[alone + 1])
    assert np.median(early) < 0.9 and np.median(pause) > 1.1
    assert 1.8 < np.median(np.add(early, pause)) < 2.2


def test_supraventricular_beats_are_early_and_narrow():
    e = ecg.record(healthy(40, ectopy_s=300.0, age=40.0), 60, leads=2, noise=False)
    size = {c: np.ptp(mean_beat(e, c, (-0.05, 0.05))[:, 0], axis=1).mean() for c in "NS"}
    assert abs(size["S"] / size["N"] - 1) < 0.25
    gap = np.concatenate([np.diff(b)[c[1:] == "S"] / np.median(np.diff(b)) for b, c in zip(e.beats, e.classes)])
    assert len(gap) > 40 and np.median(gap) < 0.85


def test_flutter_bigeminy_and_blocks():
    flutter = ecg.record(healthy(8, flutter=True), 20)
    assert set(flutter.rhythm) == {"atrial flutter"}
    assert np.median(spread_of_rr(flutter)) < 0.1
    bigeminy = ecg.record(healthy(8, ectopy_v=1e7), 20)
    assert set(bigeminy.rhythm) == {"bigeminy"}
    assert 0.3 < np.mean(np.isin(np.concatenate(bigeminy.classes), ["V", "F"])) < 0.65
    block = ecg.record(healthy(40, av_block=True), 20)
    second, gaps = block.rhythm == "second-degree AV block", [np.diff(b) for b in block.beats]
    assert set(block.rhythm) == {"first-degree AV block", "second-degree AV block"}
    dropped = np.array([g.max() / np.median(g) for g in gaps])
    assert np.median(dropped[second]) > 1.3 > np.median(dropped[~second])


def test_a_failing_heart_widens_and_flattens_the_qrs():
    sound, failing = (ecg.record(healthy(100, heart_failure=f, heart=h), 4, noise=False)
                      for f, h in ((False, 0.1), (True, 0.8)))
    height = [np.ptp(e.signal[:, 1], axis=1).mean() for e in (sound, failing)]
    steep = [np.abs(np.diff(e.signal[:, 1], axis=1)).max(1).mean() for e in (sound, failing)]
    assert height[1] < 0.95 * height[0] and steep[1] < 0.8 * steep[0]


@pytest.mark.parametrize("wrong", [{"leads": 3}, {"fs": 20}, {"seconds": 0}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError):
        ecg.record(cohort(1), **wrong)
