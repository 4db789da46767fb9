"""Electroencephalograms of simulated patients, with every event marked.

Sources under the scalp (1/f background, posterior alpha, frontal theta, central beta)
reach each electrode by distance. Alpha falls and theta and beta rise during a task.
Spikes and seizures come from one focus in patients with epilepsy. Sizes of effects
are plausible, not estimated; mains hum and blinks reach the electrodes as in practice.
"""
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from .ecg import colour
from .streams import block_rng

# The 10-20 system: angle from the vertex and from the right ear towards the nose, degrees.
ANGLES = {"Fp1": (92, 108), "Fp2": (92, 72), "F7": (92, 144), "F3": (60, 129), "Fz": (46, 90),
          "F4": (60, 51), "F8": (92, 36), "T3": (92, 180), "C3": (46, 180), "Cz": (0, 0), "C4": (46, 0),
          "T4": (92, 0), "T5": (92, 216), "P3": (60, 231), "Pz": (46, 270), "P4": (60, 309),
          "T6": (92, 324), "O1": (92, 252), "O2": (92, 288)}
CHANNELS = tuple(ANGLES)
FOCI = ("T3", "T4", "F3", "F4", "F7", "F8", "C3", "C4", "O1", "O2")


@dataclass
class EEG:
    """Simulated recordings of n patients.

    `signal` is float32 (n, channels, samples) in microvolt at `fs` Hz. `events` has one
    row per event: ``patient`` (row of the signal), ``kind`` (rest, task, seizure, spike,
    spindle, blink or muscle), ``start`` and ``stop`` in seconds and ``channel`` (where it
    is largest, empty for rest and task).
    """

    signal: np.ndarray
    fs: float
    channels: tuple
    events: pd.DataFrame


def record(cohort, seconds=60, fs=250, channels=CHANNELS):
    """Record the EEG of every patient of a cohort: half at rest, half in a task.

    Parameters
    ----------
    cohort : Cohort
        Patients; only ``cohort.latent`` is read.
    seconds : float
        Length of the recording, 4 or more. Seizures need 20.
    fs : float
        Samples per second, 100 or more.
    channels : sequence of str
        Electrodes of the 10-20 system, from `CHANNELS`.

    Returns
    -------
    EEG
        Same seed, same bytes; a patient does not depend on the others.
    """
    unknown = set(channels) - set(CHANNELS)
    if unknown or fs < 100 or seconds < 4:
        raise ValueError("need fs >= 100 Hz, seconds >= 4 and channels of the 10-20 system, "
                         f"got {fs}, {seconds}, unknown {sorted(unknown)}")
    rows = [CHANNELS.index(c) for c in channels]
    people = cohort.latent.to_dict("records")
    signal = np.zeros((len(people), len(rows), round(seconds * fs)), np.float32)
    events = []
    for i, patient in enumerate(people):
        one = _Recording(patient, signal.shape[2], fs)
        signal[i] = one.signal[rows]
        events += [(i, *event) for event in one.events]
    events = pd.DataFrame(events, columns=["patient", "kind", "start", "stop", "channel"])
    return EEG(signal, fs, tuple(channels), events)


_DOWN, _TURN = np.radians(np.array(list(ANGLES.values()), float)).T
# Electrode positions (19, 3) on a sphere of radius 1: right, front, up.
PLACES = np.stack([np.sin(_DOWN) * np.cos(_TURN), np.sin(_DOWN) * np.sin(_TURN), np.cos(_DOWN)], 1)
GAPS = ((PLACES[:, None] - PLACES) ** 2).sum(-1)


def _reach(channel, width):
    """Share (19,) of a source under one electrode that each electrode sees."""
    return np.exp(-0.5 * GAPS[CHANNELS.index(channel)] / width ** 2)


class _Recording:
    """One patient's EEG while it is built: signal (19, samples) and list of events."""

    def __init__(self, patient, samples, fs):
        self.rng = block_rng(patient["seed"], "eeg", patient["index"])
        self.patient, self.fs, self.events = patient, fs, []
        self.t = np.arange(samples) / fs
        self.f = np.fft.rfftfreq(samples, 1 / fs)
        self.seconds = samples / fs
        task = self._states()
        self.signal = self._background() + self._rhythms(task)
        self._spindles()
        if patient["epilepsy"]:
            self._epilepsy()
        self._artefacts()
        mains = 60 if patient["hospital"] % 2 else 50
        if mains < fs / 2:
            self.signal += self.rng.exponential(0.4, (19, 1)) * np.sin(2 * np.pi * mains * self.t)

    def _states(self):
        """Mark rest and task, in either order; return the depth of the task (samples,)."""
        half, first = self.seconds / 2, self.rng.random() < 0.5
        names = ("task", "rest") if first else ("rest", "task")
        self.events += [(names[0], 0.0, half, ""), (names[1], half, self.seconds, "")]
        return expit((self.t - half) / (-0.3 if first else 0.3))

    def _noise(self, rows, shape):
        """Noise (rows, samples) of standard deviation 1 and the given spectrum."""
        white = self.rng.standard_normal((rows, len(self.f), 2), np.float32).view(np.complex64)[..., 0]
        return colour(white, shape, len(self.t))

    def _background(self):
        """1/f noise that neighbours share, and a little that they do not; slower if the brain is ill."""
        slope = 0.8 + 0.1 * self.rng.standard_normal() + 0.4 * self.patient["brain"]
        shape = (self.f > 0.3) / (self.f + 1) ** slope
        mix = np.exp(-0.5 * GAPS / 0.5 ** 2)
        mix /= np.sqrt((mix ** 2).sum(1, keepdims=True))
        sources = self._noise(19, shape)
        size = np.exp(0.25 * self.rng.standard_normal() + 0.4 * self.patient["brain"])
        return 7.5 * size * (mix @ sources) + 1.2 * self._noise(19, shape)

    def _rhythms(self, task):
        """Alpha at the back, which a task suppresses; theta and beta in front, which it raises."""
        rng, ill = self.rng, self.patient["brain"]
        pace = 10.2 + 0.9 * rng.standard_normal() - 0.02 * max(self.patient["age"] - 60, 0) - 2.5 * ill
        alpha = 9 * np.exp(0.5 * rng.standard_normal()) * (1 - task * rng.uniform(0.3, 0.75))
        theta = rng.uniform(1, 3) * (1 + task * rng.uniform(0.2, 1)) * (1 + ill)
        beta = rng.uniform(2, 5) * (1 + task * rng.uniform(0, 0.5))
        parts = [("O1", 0.65, pace, 0.8, alpha), ("O2", 0.65, pace, 0.8, alpha), ("Pz", 0.8, pace, 1, 0.5 * alpha),
                 ("Fz", 0.6, 6, 0.8, theta), ("F3", 0.6, 20, 4, beta), ("F4", 0.6, 20, 4, beta),
                 ("Cz", 1.4, 18, 4, 0.8 * beta)]
        shared = self._noise(1, np.exp(-0.5 * ((self.f - pace) / 0.8) ** 2))
        total = np.zeros((19, len(self.t)))
        for place, width, at, spread, size in parts:
            own = self._noise(1, np.exp(-0.5 * ((self.f - at) / spread) ** 2))
            wave = 0.8 * shared + 0.6 * own if at == pace else own
            total += _reach(place, width)[:, None] * size * wave
        return total

    def _add(self, kind, start, stop, channel, reach, wave):
        """Add a wave in microvolt between two times, largest at one channel, and mark it."""
        i = slice(round(start * self.fs), round(stop * self.fs))
        t = self.t[i] - self.t[i.start]
        self.signal[:, i] += reach[:, None] * wave(t)
        self.events.append((kind, start, stop, channel))

    def _times(self, per_minute, lasting):
        """Random starts of events that end inside the recording."""
        count = self.rng.poisson(per_minute * self.seconds / 60)
        return np.sort(self.rng.uniform(0, max(self.seconds - lasting - 0.01, 0), count))

    def _spindles(self):
        """Bursts of 12 to 14 Hz over the vertex, in the drowsy (here one in five)."""
        for start in self._times(3 * (self.rng.random() < 0.2), 1.5):
            last, pace = self.rng.uniform(0.6, 1.5), self.rng.uniform(12, 14)
            self._add("spindle", start, start + last, "Cz", _reach("Cz", 0.6),
                      lambda t: 22 * np.sin(np.pi * t / last) ** 2 * np.sin(2 * np.pi * pace * t))

    def _epilepsy(self):
        """Spikes from one focus and, in 60 percent of recordings of 20 s or more, one seizure."""
        focus, size = str(self.rng.choice(FOCI)), self.rng.uniform(50, 120)
        reach = _reach(focus, self.rng.uniform(0.4, 0.6))
        for start in self._times(self.rng.uniform(2, 10), 0.6):
            self._add("spike", start, start + 0.5, focus, reach, lambda t: size * (
                0.45 * np.exp(-0.5 * ((t - 0.26) / 0.07) ** 2) - np.exp(-0.5 * ((t - 0.08) / 0.015) ** 2)))
        if self.seconds >= 20 and self.rng.random() < 0.6:
            self._seizure(focus)

    def _seizure(self, focus):
        """A rhythm that slows from about 7 to 3 Hz, grows, spreads from its focus and stops."""
        last = self.rng.uniform(8, min(45, 0.7 * self.seconds))
        start = self.rng.uniform(0, self.seconds - last - 0.01)
        fast, slow, size = self.rng.uniform(6, 8), self.rng.uniform(2.8, 4), self.rng.uniform(60, 130)

        def wave(t, lag=0.0):
            part = t / last
            turn = 2 * np.pi * (fast * t - (fast - slow) * t ** 2 / (2 * last)) - lag
            sharp = np.sin(turn) + 0.5 * np.sin(2 * turn + 0.6) + 0.25 * np.sin(3 * turn + 1.2)
            return size * (0.15 + 0.85 * part) * np.minimum(1, 12 * (1 - part)) * np.minimum(1, 5 * t) * sharp

        self._add("seizure", start, start + last, focus, _reach(focus, 0.45), wave)
        i = slice(round(start * self.fs), round((start + last) * self.fs))
        t = self.t[i] - self.t[i.start]
        for wider in (0.8, 1.6):  # the neighbours, then all of the head, join later and lag
            later = expit(8 * (t / last - 0.25 * wider))
            self.signal[:, i] += 0.35 * _reach(focus, wider)[:, None] * later * wave(t, wider)

    def _artefacts(self):
        """Blinks in front and bursts of muscle noise at the temples."""
        eyes = 0.75 * (_reach("Fp1", 0.45) + _reach("Fp2", 0.45))
        for start in self._times(self.rng.uniform(2, 14), 0.5):
            size = self.rng.uniform(60, 140)
            self._add("blink", start, start + 0.4, "Fp1", eyes,
                      lambda t: size * np.sin(np.pi * t / 0.4) ** 2)
        muscle = self._noise(1, (self.f > 20) / (1 + self.f / 60))[0]
        for start in self._times(self.rng.uniform(0, 5), 4):
            last, size = self.rng.uniform(0.5, 4), self.rng.uniform(6, 25)
            part = muscle[round(start * self.fs):round((start + last) * self.fs)]
            place = str(self.rng.choice(["T3", "T4", "F7", "F8"]))
            self._add("muscle", start, start + last, place, _reach(place, 0.5),
                      lambda t: size * np.sin(np.pi * t / last) ** 0.5 * part)
