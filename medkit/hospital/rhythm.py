"""When each heart beat falls, where it starts and what the rhythm is. Simulated.

The sinus clock varies by breathing and Mayer waves, as in McSharry et al. 2003
(doi:10.1109/TBME.2003.808805). Ectopic beats are a Markov chain over the last two beats. How
much sinus intervals vary was set by hand to the sinus beats of MIT-BIH's DS1 records. A
supraventricular beat resets the sinus node; a ventricular one does not, so its pause is
compensatory. A sick sinus node pauses long after atrial runs. In class F a sinus and a
ventricular beat meet.
"""
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from .streams import by_patient

CLASSES = np.array(list("NSVF"))
N, S, V, F, BLOCKED = range(5)
RHYTHMS = np.array(["sinus", "atrial fibrillation", "atrial flutter", "bigeminy",
                    "first-degree AV block", "second-degree AV block"])
SINUS, AF, FLUTTER, BIGEMINY, FIRST, SECOND = range(6)
FOCI = 3
FASTEST = 3.5  # beats per second for which numbers are drawn


@dataclass
class Beats:
    """Beats of all patients in one list; times and intervals in seconds.

    `kind` is N, S, V, F or BLOCKED (a P wave that no QRS follows), `rr` the interval
    before, `pr` the PR interval, `focus` the ventricular focus and `mix` the share of
    the ventricles that it activates (0 for N and S, 1 for V). `rhythm` (index into
    `RHYTHMS`) and `breath` (breathing rate in Hz) have one value per patient.
    """

    patient: np.ndarray
    time: np.ndarray
    kind: np.ndarray
    rr: np.ndarray
    pr: np.ndarray
    focus: np.ndarray
    mix: np.ndarray
    rhythm: np.ndarray
    breath: np.ndarray


def simulate(latent, seconds):
    """Draw the beats of every patient, from just before 0 s to just past the end.

    Parameters
    ----------
    latent : pandas.DataFrame
        Latent state, one row per patient.
    seconds : float
        Length of the recording.

    Returns
    -------
    Beats
        In order of patient and time.
    """
    traits, z, u = _draw(latent, int(seconds * FASTEST) + 12)
    person = _person(latent, traits)
    kind = _classes(person, u[:, 0])
    focus = (u[:, 1] ** 2 * person["foci"][:, None]).astype(int)
    rr = _intervals(person, kind, focus, _clock(person, z[:, 0]), z[:, 1], u[:, 2])
    kind, pr = _conduction(person, kind)
    first = rr[:, :1] * (1 + 2 * traits[:, -1:])
    time = np.cumsum(rr, 1) - first + pr - person["pr"][:, None]
    mix = np.select([kind == V, kind == F], [1, 0.25 + 0.5 * u[:, 2]], 0)
    keep = (time > -1) & (time < seconds + 0.5)
    return Beats(np.nonzero(keep)[0], time[keep], kind[keep], rr[keep], pr[keep], focus[keep],
                 mix[keep], person["rhythm"], person["breath"])


def _draw(latent, length):
    """Draw traits (n, 30), normals (n, 2, length) and uniforms (n, 3, length)."""
    drawn = [(rng.random(30), rng.standard_normal((2, length)), rng.random((3, length)))
             for rng in by_patient(latent, "rhythm")]
    return map(np.array, zip(*drawn))


def _person(latent, traits):
    """What stays the same in one patient: rhythm, rate, variability, ectopic foci."""
    state = {name: latent[name].to_numpy() for name in latent}
    u = iter(traits.T)
    rhythm = _rhythm(state, next(u))
    sick = (rhythm == SINUS) & (next(u) < state["ectopy_s"] / (state["ectopy_s"] + 3000)) & (state["age"] > 55)
    rate = (67 - 12 * sick + 10 * ndtri(next(u)) + 22 * state["infection"] + 8 * state["heart"]
            + 4 * state["female"] + 12 * (rhythm == AF))
    ratio = np.array([2, 3, 4, 4])[(next(u) * 4).astype(int)]
    rr = np.where(rhythm == FLUTTER, 0.2 * ratio, 60 / np.clip(rate, 42, 150))
    frail = np.clip((state["age"] - 20) / 60, 0, 1.2) + state["heart"]
    pr = 0.155 + 0.02 * ndtri(next(u)) + (0.1 + 0.08 * next(u)) * np.isin(rhythm, (FIRST, SECOND))
    return {
        "rhythm": rhythm, "sick": sick, "rr": rr, "pr": np.clip(pr, 0.11, 0.36), "ratio": ratio,
        "vary": 0.076 * np.exp(0.5 * ndtri(next(u)) - 0.5 * frail), "af": 0.14 + 0.14 * next(u),
        "breath": 0.17 + 0.15 * next(u), "vagal": next(u), "jumpy": next(u) < 0.3,
        "block": (3 + 3 * next(u)).astype(int), "wenckebach": next(u) < 0.6,
    } | _ectopy(state, rhythm, rr, sick, u)


def _ectopy(state, rhythm, rr, sick, u):
    """How often ectopic beats come, how early, from how many foci; `again` and `run` repeat them."""
    return {
        "p_v": np.minimum(state["ectopy_v"] / 3600 * rr, 0.3),
        "p_s": np.minimum(state["ectopy_s"] / 3600 * rr, 0.3),
        "again_v": np.where(rhythm == BIGEMINY, 0.96, 0.7 * next(u) ** 2), "again_s": 0.6 * next(u) ** 2,
        "run_v": 0.25 * next(u) ** 2,
        "run_s": np.where(sick, 0.7 + 0.25 * next(u), 0.9 * next(u) ** 2),
        "slow": next(u), "fuse": 0.5 * next(u) ** 4, "couple_s": 0.52 + 0.34 * next(u),
        "foci": (1 + FOCI * next(u) ** 2).astype(int),
        "couple_v": 0.5 + 0.36 * np.stack([next(u) for _ in range(FOCI)], 1),
    }


def _rhythm(state, u):
    """The rhythm by the patient's flags; many ventricular beats make bigeminy likely."""
    often = u < state["ectopy_v"] / (state["ectopy_v"] + 1500)
    return np.select([state["atrial_fibrillation"], state["flutter"], state["av_block"] & (u < 0.35),
                      state["av_block"], often], [AF, FLUTTER, SECOND, FIRST, BIGEMINY], SINUS)


def _clock(p, z):
    """Intervals (n, beats) that the sinus node, or in AF and flutter the AV node, sets."""
    cycles = np.fft.rfftfreq(z.shape[1])
    f = cycles / p["rr"][:, None]
    peak = lambda at, width: np.exp(-0.5 * ((f - at) / width) ** 2) / width  # noqa: E731
    power = (0.7 * peak(p["breath"][:, None], 0.03) * p["vagal"][:, None] + 0.4 * peak(0.1, 0.02)
             + 0.25 / (f + 0.01)) * (f > 0)
    wave = np.fft.irfft(np.fft.rfft(z) * np.sqrt(power), z.shape[1])
    wave /= np.sqrt(2 * power[:, 1:].sum(1, keepdims=True) / z.shape[1])
    sinus = np.clip(1 + p["vary"][:, None] * wave, 0.5, 1.8)
    fibrillation = np.maximum(np.exp(p["af"][:, None] * z), 0.32 / p["rr"][:, None])
    shift = np.round(0.6 * z * p["jumpy"][:, None]).clip(-1, 2) / p["ratio"][:, None]
    flutter = np.maximum(1 + shift, 0.5) + 0.004 * z
    rhythm = p["rhythm"][:, None]
    return p["rr"][:, None] * np.select([rhythm == AF, rhythm == FLUTTER], [fibrillation, flutter], sinus)


def _classes(p, u):
    """AAMI class (n, beats). A V is rare, but likelier right after V (run) and after V, N."""
    steady = p["rhythm"] == SECOND
    atrial = ~np.isin(p["rhythm"], (AF, FLUTTER, BIGEMINY, SECOND))
    calm_v = np.where(p["rhythm"] == BIGEMINY, 0.3, p["p_v"] * (1 - p["again_v"]) * (1 - p["run_v"]))
    calm_s = np.where(p["sick"], 0.25, p["p_s"] * (1 - p["again_s"]) * (1 - p["run_s"]) * atrial)
    kind = np.zeros(u.shape, int)
    before, last = np.where(p["rhythm"] == BIGEMINY, V, N), np.zeros(len(u), int)
    for k in range(u.shape[1]):
        v = np.select([last == V, (last == N) & (before == V)], [p["run_v"], p["again_v"]], calm_v)
        s = np.select([last == S, (last == N) & (before == S)], [p["run_s"], p["again_s"]], calm_s)
        v, s = v * ~steady, np.where(last == V, 0, s * atrial)
        fused = u[:, k] < v * p["fuse"] * (last == N)
        kind[:, k] = np.select([fused, u[:, k] < v, u[:, k] < v + s], [F, V, S], N)
        before, last = last, np.where(fused, V, kind[:, k])
    return kind


def _intervals(p, kind, focus, clock, z, u):
    """Intervals (n, beats): premature before an ectopic beat, then its pause."""
    last = np.roll(kind, 1, axis=1)
    last[:, 0] = N
    early = np.take_along_axis(p["couple_v"], focus, 1) + 0.025 * z
    late = 0.95 + 0.02 * z
    atrial = np.clip(p["couple_s"][:, None] + 0.04 * z, 0.45, 0.95)
    came = np.select([last == V, last == F], [np.roll(early, 1, axis=1), np.roll(late, 1, axis=1)], 1)
    pause = np.where(p["rhythm"][:, None] == AF, 1.15, 2 - came)
    factor = np.select(
        [(kind == V) & (last == V), kind == V, kind == F, (kind == S) & (last == S), kind == S,
         (last == V) | (last == F), last == S],
        [np.maximum(early, 0.45 + 0.5 * p["slow"][:, None]), early, late, atrial + 0.08, atrial,
         pause, 1 + (0.3 + 1.2 * p["sick"][:, None]) * u], 1)
    return np.maximum(clock * factor, 0.27)


def _conduction(p, kind):
    """Drop beats in second-degree AV block; PR grows beat by beat if Wenckebach."""
    place = np.arange(kind.shape[1]) % p["block"][:, None]
    second = p["rhythm"][:, None] == SECOND
    dropped = second & (place == p["block"][:, None] - 1)
    growth = np.where(second & p["wenckebach"][:, None], 0.09 * (1 - 0.55 ** place), 0)
    return np.where(dropped, BLOCKED, kind), p["pr"][:, None] + growth * ~dropped
