"""How each simulated chest is built and how its patient lies: the lengths that ``anatomy`` draws.

Lengths of a child's chest are given relative to an adult's cage, so that one set of formulas serves both.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ..files import read_toml

TRAITS = (
    "shift_x shift_y tilt zoom stretch turn cage apex dome_right dome_left bow inspiration "
    "depth fat wide_heart drop_heart knob hilum upper slope spacing first_rib rib_bone "
    "clavicle clavicle_y scapula arm shoulder head_x head_y spine trachea bubble bubble_x "
    "vessels tree tree_turn cloud_x cloud_y haze"
).split()

SHAPE = read_toml(Path(__file__).with_name("chest.toml"))  # typical lengths: {name: (adult, child)}


def body(latent, traits, view, quality_follows_illness=True):
    """Lengths of each patient's chest from the latent state and random traits.

    Parameters
    ----------
    latent : DataFrame, n rows; see ``Cohort.latent``.
    traits : dict of name to array (n,), standard normal, one for each of ``TRAITS``.
    view : "adult" or "child".
    quality_follows_illness : bool, see ``xray.take``.

    Returns
    -------
    SimpleNamespace of float32 arrays (n, 1, 1), in cm unless a share.
    """
    p = person(latent, view == "child", quality_follows_illness)
    s, t = SimpleNamespace(**{name: pair[p.child] for name, pair in SHAPE.items()}), SimpleNamespace(**traits)
    breath = 1.0 * t.inspiration - 1.3 * p.unwell + 1.2 * p.smoker
    b = posture(p, s, t) | thorax(p, s, t, breath) | mediastinum(p, s, t, breath) | bones(p, s, t) | tissue(p, s, t)
    return SimpleNamespace(**{k: np.broadcast_to(np.float32(v), len(latent)).reshape(-1, 1, 1) for k, v in b.items()})


def person(latent, child, quality_follows_illness):
    """What shapes a chest: how ill, how unwell on the table, fat, smoker, age, failing heart; arrays (n,)."""
    ill = np.maximum((0.3 + 0.7 * latent.infection) * latent.pneumonia, 0.7 * latent.heart * latent.heart_failure)
    return SimpleNamespace(
        child=child, ill=ill.to_numpy(), unwell=ill.to_numpy() * quality_follows_illness,
        fat=np.clip((latent.bmi.to_numpy() - 24) / 10, -0.6, 2) * (0.3 if child else 1),
        smoker=np.clip(latent.pack_years.to_numpy() / 60, 0, 1) * (not child),
        age=np.clip((latent.age.to_numpy() - 50) / 30, -1, 1.3) * (not child), female=latent.female.to_numpy(),
        heart=latent.heart.to_numpy(), failing=latent.heart_failure.to_numpy())


def posture(p, s, t):
    """How the patient lies or stands, and keeps still: the unwell lie crooked, nearer, and move."""
    return {
        "size": s.view * np.exp(0.07 * t.zoom - 0.13 * p.unwell), "stretch": np.exp(0.05 * t.stretch),
        "x": (1.0 + p.unwell) * t.shift_x, "y": s.center + (1.0 + 0.5 * p.unwell) * t.shift_y,
        "tilt": 0.035 * (1 + p.unwell) * t.tilt, "turn": s.turn * (1 + p.unwell) * t.turn,
        "arm": np.abs(0.25 + 0.2 * t.arm + p.child * (1.3 + 0.5 * t.arm)), "shoulder": s.shoulder + 1.6 * t.shoulder,
        "head_x": 1.6 * t.head_x, "head_y": s.head + 1.8 * t.head_y,
        "unwell": p.unwell, "motion": 0.25 + 0.2 * p.child}


def thorax(p, s, t, breath):
    """Cage, diaphragm and depth of the chest."""
    right = s.dome + 0.9 * breath + 0.4 * t.dome_right
    return {
        "cage": s.cage * np.exp(0.04 * t.cage) * np.where(p.female, 0.96, 1.02), "apex": s.apex + 0.5 * t.apex,
        "bell": s.bell, "dome_right": right, "dome_left": right + 0.9 + 0.5 * t.dome_left,
        "sulcus": s.sulcus * np.exp(0.15 * t.bow) * (1 - 0.45 * p.smoker),
        "depth": s.depth * np.exp(0.08 * t.depth) * (1 + 0.1 * p.smoker), "neck": s.neck}


def mediastinum(p, s, t, breath):
    """Heart, great vessels, thymus, hila, trachea, and the vessels of the lung."""
    grown = 0.5 * p.heart * (0.5 if p.child else 1)
    return {
        "heart": s.heart * np.exp(0.05 * t.wide_heart + 0.03 * p.age + grown - 0.16), "large": s.large,
        "heart_y": s.heart_y + 0.5 * t.drop_heart + 0.35 * breath, "arch": s.arch * np.exp(0.1 * t.knob + 0.15 * p.age),
        "upper": s.upper * np.exp(0.13 * t.upper + 0.1 * p.unwell),
        "thymus": s.thymus * np.exp(0.2 * t.knob + 0.2 * p.unwell), "hilum": np.exp(0.3 * t.hilum + 0.3 * p.ill),
        "trachea": 0.3 * t.trachea, "vessels": np.exp(0.3 * t.vessels + 0.5 * p.heart * p.failing - 0.3 * p.smoker),
        "tree": t.tree, "tree_turn": 0.12 * t.tree_turn}


def bones(p, s, t):
    """Ribs, clavicles, scapulae and spine."""
    return {
        "slope": s.slope * np.exp(0.12 * t.slope), "spacing": s.spacing * np.exp(0.05 * t.spacing),
        "first_rib": s.first_rib + (s.apex + 0.5 * t.apex) - s.apex + 0.3 * t.first_rib,
        "bone": s.rib_bone * np.exp(0.25 * t.rib_bone - 0.15 * p.age * p.female), "rim": s.rim * np.exp(0.3 * t.cage),
        "clavicle_y": s.clavicle_y + 0.9 * t.clavicle_y, "clavicle": 2.2 + 1.2 * t.clavicle,
        "scapula": 1.2 * t.scapula, "spine": np.exp(0.2 * t.spine)}


def tissue(p, s, t):
    """Fat and breasts, air in the stomach, and the haze and texture of the lung."""
    return {
        "wall": s.wall * np.exp(0.15 * t.fat) + 1.6 * np.maximum(p.fat, -0.5), "fat": p.fat,
        "female": p.female & (not p.child), "bubble": 1.6 + 1.1 * t.bubble, "bubble_x": 6.5 + 1.3 * t.bubble_x,
        "cloud_x": t.cloud_x, "cloud_y": t.cloud_y, "haze": np.maximum(0, 0.05 + 0.07 * t.haze)}


def cardiothoracic_ratio(b):
    """Width of the heart over the inner width of the rib cage, array (n,)."""
    left = 2.1 * b.heart + 6.45 * b.heart
    right = 0.9 * b.heart + 3.2 * b.heart
    return ((left + right) / (2 * 0.97 * b.cage)).ravel()
