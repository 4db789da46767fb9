"""Electrocardiograms of simulated patients, with beat and rhythm labels.

Each wave (P, Q, R, S, ST, T) is a Gaussian in time, as in McSharry et al. 2003
(doi:10.1109/TBME.2003.808805), here a vector of the heart's dipole in three
dimensions. Lead vectors after Dower project it, so that the leads agree:
II = I + III. Sizes of effects are plausible, not estimated.
"""
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft
from scipy.special import ndtri

from . import rhythm
from .rhythm import AF, BLOCKED, CLASSES, FLUTTER, FOCI, RHYTHMS, S
from .streams import by_patient

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
HOLTER = ("MLII", "V1")
# Rows I, II, V1 to V6; columns x (to the left), y (to the feet), z (to the back).
DOWER = np.array([[0.632, -0.235, 0.059], [0.235, 1.066, -0.132],
                  [-0.515, 0.157, -0.917], [0.044, 0.164, -1.387], [0.882, 0.098, -1.277],
                  [1.213, 0.127, -0.601], [1.125, 0.127, -0.086], [0.831, 0.076, 0.230]])
P1, P2, Q, R, S_WAVE, LATE, ST, T1, T2 = range(9)
SINUS_BEAT, ATRIAL_BEAT, FIRST_FOCUS = range(3)
CHUNK = 64


@dataclass
class ECG:
    """Simulated recordings of n patients.

    `signal` is float32 (n, leads, samples) in mV at `fs` Hz. `beats` holds one array
    of R-peak samples per patient, `classes` their AAMI classes (N, S, V or F) and
    `rhythm` one name per patient.
    """

    signal: np.ndarray
    fs: float
    leads: tuple
    beats: list
    classes: list
    rhythm: np.ndarray


def record(cohort, seconds=10, fs=250, leads=12, noise=True):
    """Record the ECG of every patient of a cohort.

    Parameters
    ----------
    cohort : Cohort
        Patients; only ``cohort.latent`` is read.
    seconds : float
        Length of the recording.
    fs : float
        Samples per second, 100 or more.
    leads : {12, 2}
        Standard 12 leads, or a Holter's MLII and V1.
    noise : bool
        Add baseline wander, mains hum, electrode motion and muscle noise.

    Returns
    -------
    ECG
        Same seed, same bytes; a patient does not depend on the others.
    """
    if leads not in (2, 12) or fs < 100 or seconds <= 0:
        raise ValueError("leads must be 2 or 12, fs at least 100 Hz and seconds above 0")
    latent = cohort.latent
    parts = [_chunk(latent.iloc[k:k + CHUNK], seconds, fs, leads, noise) for k in range(0, len(latent), CHUNK)]
    signal, beats, classes, names = zip(*parts)
    return ECG(np.concatenate(signal), fs, LEADS if leads == 12 else HOLTER,
               sum(beats, []), sum(classes, []), np.concatenate(names))


def _chunk(latent, seconds, fs, leads, noise):
    """Record a few patients: signal, beat samples, classes, rhythm names."""
    n, samples = len(latent), round(seconds * fs)
    beats = rhythm.simulate(latent, seconds)
    rngs = by_patient(latent, "ecg")
    body = _body(latent, rngs)
    z = np.concatenate([r.standard_normal((k, 12)) for r, k in zip(rngs, np.bincount(beats.patient, minlength=n))])
    dipole = _render(beats, _waves(beats, body, z), n, samples, fs)
    dipole += _atrial_waves(beats.rhythm, body, samples, fs)
    signal = _electrodes(body, leads) @ dipole
    if noise:
        signal += _noise(latent, rngs, beats.breath, signal.shape[1:], fs)
    if leads == 12:
        signal = _derive(signal)
    return signal.astype(np.float32), *_labels(beats, n, samples, fs), RHYTHMS[beats.rhythm]


def _labels(beats, n, samples, fs):
    """Samples and classes of the beats inside the signal, one array per patient."""
    at = np.round(beats.time * fs).astype(int)
    inside = (at >= 0) & (at < samples) & (beats.kind != BLOCKED)
    ends = np.searchsorted(beats.patient[inside], np.arange(1, n))
    return np.split(at[inside], ends), np.split(CLASSES[beats.kind[inside]], ends)


def _body(latent, rngs):
    """Fixed traits of each patient's heart and chest, with its table of waves."""
    u = np.array([r.random(40) for r in rngs])
    z = ndtri(u[:, 8:])
    get = {name: latent[name].to_numpy() for name in latent}
    old = (get["age"] - 50) / 20
    left = u[:, 0] < 0.02 + 0.02 * (old > 0) + 0.3 * get["heart_failure"]
    right = ~left & (u[:, 1] < 0.03 + 0.03 * (old > 0) + 0.05 * get["lung"])
    body = {"u": u, "z": z, "left": left, "right": right, "old": old, **get,
            "qtc": 0.4 + 0.018 * z[:, 0] + 0.012 * get["female"] + 0.03 * get["metabolic"] + 0.05 * left,
            "electrodes": np.array([r.standard_normal((8, 3)) for r in rngs])}
    foci = np.array([r.standard_normal((FOCI, 16)) for r in rngs])
    body["table"] = np.concatenate([_sinus_waves(body), _focus_waves(body, foci)], 1)
    return body


def _direction(azimuth, elevation):
    """Unit vectors (n, 3) by angle in the frontal plane and angle to the back, degrees."""
    a, b = np.broadcast_arrays(np.radians(azimuth), np.radians(elevation))
    return np.stack([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)], -1)


def _sinus_waves(b):
    """Waves (n, 2, 9, 5) of a sinus and of an atrial ectopic beat: time, width, x, y, z."""
    z, n = b["z"], len(b["z"])
    axis = np.clip(40 - 9 * b["old"] - 0.8 * (b["bmi"] - 27) + 22 * z[:, 1] - 25 * b["left"], -60, 105)
    b["size"] = size = 1.45 * np.exp(0.25 * z[:, 2] - 0.015 * (b["bmi"] - 27)) * (1 - 0.3 * b["heart_failure"])
    wide = (1 + 0.1 * z[:, 3]) * (1 + 0.15 * b["heart"]) * np.where(b["left"], 1.7, 1)
    main = size[:, None] * _direction(axis, 30 + 15 * z[:, 4])
    table = np.zeros((n, 2, 9, 5))
    table[..., 0] = -0.02, 0.02, -0.022, 0, 0.024, 0.052, 0.12, 0, 0
    table[..., 1] = 0.018, 0.02, 0.008, 0.011, 0.011, 0.015, 0.05, 0.045, 0.027
    table[:, :, Q:LATE + 1, :2] *= wide[:, None, None, None]
    atrial = np.exp(0.3 * z[:, 5])[:, None]
    table[:, 0, P1, 2:] = 0.08 * atrial * _direction(65 + 12 * z[:, 6], -25)
    table[:, 0, P2, 2:] = 0.07 * atrial * _direction(35 + 12 * z[:, 6], 30)
    table[:, 1, [P1, P2], 2:] = 0.8 * table[:, 0, [P1, P2], 2:] + 0.06 * z[:, None, 7:10]
    table[:, :, Q:, 2:] = _ventricles(b, main, size)[:, None]
    aberrant = (b["u"][:, 2] < 0.15)[:, None] * size[:, None] * np.array([-0.35, 0, -0.35])
    table[:, 1, LATE, 2:] += aberrant
    return table


def _ventricles(b, main, size):
    """Vectors (n, 7, 3) of Q to T2 in a conducted beat, with bundle branch blocks."""
    z, left, right = b["z"], b["left"][:, None], b["right"][:, None]
    unit, size = main / np.linalg.norm(main, axis=1, keepdims=True), size[:, None]
    septal = size * (0.2 * np.exp(0.4 * z[:, [10]])) * np.array([-0.6, -0.2, -0.75])
    basal = size * 0.32 * np.exp(0.4 * z[:, [11]]) * (np.array([-0.4, -0.45, 0.7]) + 0.3 * z[:, 12:15])
    late = right * size * np.array([-0.6, 0, -0.5]) * np.exp(0.2 * z[:, [15]])
    septal = np.where(left, 0.45 * main, septal)
    basal, late = np.where(left, 0.75 * main, basal), late + left * 0.35 * main
    ill = b["heart"][:, None]
    t_size = 0.34 * size ** 0.5 * (1 - 1.3 * ill + 0.25 * z[:, [16]]) + 0.2 * b["kidney"][:, None] ** 2
    t_axis = 0.5 * unit + 0.8 * np.array([0.65, 0.6, -0.6]) + 0.15 * z[:, 17:20]
    t_wave = t_size * t_axis - 0.3 * late
    t_wave = np.where(left, -0.3 * main, t_wave)
    segment = 0.12 * t_wave - 0.06 * size * unit * ill
    return np.stack([septal, main, basal, late, segment, 0.5 * t_wave, 0.6 * t_wave], 1)


def _focus_waves(b, z):
    """Waves (n, foci, 9, 5) of beats from a ventricular focus: slow spread, T reversed."""
    table = np.zeros((*z.shape[:2], 9, 5))
    slow = 0.95 * np.exp(0.2 * z[..., 0, None])
    table[..., 0] = 0, 0, -0.04, 0, 0.042, 0.085, 0.15, 0.04, 0.07
    table[..., 1] = 0.02, 0.02, 0.017, 0.022, 0.025, 0.025, 0.05, 0.06, 0.04
    table[..., Q:LATE + 1, :2] *= slow[..., None]
    away = np.array([0.3, 0.35, 0.8]) + z[..., 1:4] * np.array([0.8, 1, 0.8])  # most start in the right ventricle
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    lobes = [0.4 * (away + 0.5 * z[..., 4:7]), away + 0.25 * z[..., 7:10],
             (0.35 + 0.5 * z[..., 10, None]) * away + 0.3 * z[..., 11:14], 0.25 * z[..., 13:16]]
    size = 1.15 * b["size"][:, None, None, None] * np.exp(0.25 * z[..., 14])[..., None, None]
    table[..., Q:LATE + 1, 2:] = size * np.stack(lobes, -2)
    area = table[..., Q:LATE + 1, 2:].sum(-2)
    table[..., ST:, 2:] = -area[..., None, :] * np.array([0.1, 0.14, 0.16])[:, None]
    return table


def _waves(beats, body, z):
    """Waves (beats, 9, 5) of each beat: blend sinus and focus, move P by PR and T by QT."""
    who, table = beats.patient, body["table"]
    own = table[who, np.where(beats.kind == S, ATRIAL_BEAT, SINUS_BEAT)]
    focus = table[who, FIRST_FOCUS + beats.focus]
    share = beats.mix[:, None, None]
    waves = (1 - share) * own + share * focus
    waves[:, [P1, P2], 0] += 0.05 - beats.pr[:, None]
    mean = np.bincount(who, beats.rr) / np.maximum(np.bincount(who), 1)
    qt = body["qtc"][who] * np.sqrt(0.6 * mean[who] + 0.4 * np.clip(beats.rr, 0.3, 1.5))
    waves[:, T1, 0] += qt - 0.14
    waves[:, T2, 0] += qt - 0.1
    waves[..., 2:] *= _sway(beats, body, z)
    waves[np.isin(beats.rhythm[who], (AF, FLUTTER)), :Q, 2:] = 0
    waves[beats.kind == BLOCKED, Q:, 2:] = 0
    return waves


def _sway(beats, body, z):
    """Factors (beats, 9, 3) by which breathing, posture and chance change each wave."""
    own, breath = body["z"][beats.patient, 20:26], beats.breath[beats.patient, None]
    breathing = np.sin(2 * np.pi * breath * beats.time[:, None])
    posture = np.sin(beats.time[:, None] / (6 + 2 * own[:, 3:] ** 2) + 3 * own[:, :3])
    axes = 1 + 0.05 * breathing * own[:, :3] + 0.08 * posture * own[:, 3:] + 0.05 * z[:, :3]
    return axes[:, None] * (1 + 0.09 * z[:, 3:, None])


def _render(beats, waves, n, samples, fs):
    """Sum the waves into the dipole (n, 3, samples) in mV."""
    before, after = int(0.45 * fs), int(0.75 * fs)
    first = np.ceil(beats.time * fs).astype(int) - before
    grid = first[:, None] + np.arange(before + after)
    t = (grid / fs - beats.time[:, None]).astype(np.float32)
    waves = waves.astype(np.float32)
    shape = np.exp(-0.5 * ((t[..., None] - waves[:, None, :, 0]) / waves[:, None, :, 1]) ** 2)
    values = shape @ waves[..., 2:]
    inside = (grid >= 0) & (grid < samples)
    flat = (beats.patient[:, None] * samples + grid)[inside]
    return np.stack([np.bincount(flat, values[..., i][inside], n * samples).reshape(n, samples)
                     for i in range(3)], 1)


def _atrial_waves(names, body, samples, fs):
    """Fibrillatory or flutter waves of the atria (n, 3, samples); zero in other rhythms."""
    u, t = body["u"], np.arange(samples) / fs
    flutter = names == FLUTTER
    rate = np.where(flutter, 5, 5 + 2.5 * u[:, 3])[:, None]
    wobble = np.where(flutter, 0, 1)[:, None] * (
        2 * np.sin(2 * np.pi * (0.35 + 0.2 * u[:, [4]]) * t) + 1.5 * np.sin(2 * np.pi * 1.1 * (t + u[:, [5]])))
    phase = 2 * np.pi * (rate * t + u[:, [6]]) + wobble
    wave = np.sin(phase) + 0.4 * np.sin(2 * phase + 0.5) + 0.2 * np.sin(3 * phase)
    size = np.where(flutter, 0.1 + 0.08 * u[:, 7], np.where(names == AF, 0.02 + 0.05 * u[:, 7], 0))
    toward = np.where(flutter[:, None], [0.1, 0.9, -0.4], [0.15, 0.4, -0.8])
    return size[:, None, None] * toward[..., None] * wave[:, None]


def _electrodes(body, leads):
    """Lead vectors (n, 8 or 2, 3): Dower's, moved by where the electrodes were stuck."""
    spread = np.array([[0.06], [0.06], *[[0.12]] * 6])
    if leads == 12:
        return DOWER + spread * body["electrodes"]
    return DOWER[[1, 2]] * [[1], [0.8]] + np.array([[0.1], [0.2]]) * body["electrodes"][:, [1, 2]]


def _derive(signal):
    """The 12 leads from I, II and V1 to V6."""
    one, two, chest = signal[:, 0], signal[:, 1], signal[:, 2:]
    limb = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2], 1)
    return np.concatenate([limb, chest], 1)


def _noise(latent, rngs, breath, shape, fs):
    """Noise (n, leads, samples) in mV, drawn per electrode."""
    leads, samples = shape
    f = np.fft.rfftfreq(samples, 1 / fs)
    white = np.stack([r.standard_normal((leads + 1, len(f), 2), np.float32) for r in rngs])
    white = white.view(np.complex64)[..., 0]
    level = np.exp(np.array([r.standard_normal((5, leads)) for r in rngs]))[..., None]
    wander = colour(white[:, 1:], (f > 0.04) * (f < 0.8) / (f + 0.1), samples)
    motion = colour(white[:, 1:], (f >= 0.8) * (f < 20) / (f + 1) ** 1.3, samples)
    muscle = colour(white[:, 1:], (f >= 12) / (1 + (f / 60) ** 2), samples)
    burst = np.exp(1.2 * colour(white[:, :1], (f > 0) * np.exp(-f / 0.3), samples))
    t = np.arange(samples) / fs
    tide = np.sin(2 * np.pi * breath[:, None] * t)[:, None]
    mains = np.where(latent["hospital"].to_numpy() % 2, 60, 50)[:, None]
    hum = (np.sin(2 * np.pi * mains * t) * (mains < fs / 2))[:, None]
    active = 1.2 if leads == 2 else 1  # a Holter is worn through the day
    return active * (0.04 * level[:, 0] ** 0.7 * wander + 0.03 * level[:, 1] ** 0.7 * tide + 0.004 * level[:, 2] * hum
            + 0.005 * level[:, 3] ** 0.8 * burst * motion
                     + 0.008 * level[:, 4] ** 0.6 * burst ** 0.5 * muscle)


def colour(white, shape, samples):
    """Turn a white complex spectrum into noise of standard deviation 1."""
    scale = samples / (2 * np.sqrt((shape ** 2).sum()) + 1e-12)
    return irfft(white * (scale * shape).astype(np.float32), samples)
