"""Findings on a simulated chest X-ray: what each does to the lung, and where.

A finding changes how much of the lung's air is left along each ray. Its mask
is the region in which that change can be seen.
"""

from types import SimpleNamespace

import numpy as np
from scipy.special import ndtr

from .anatomy import chord, clouds, heart, sample, step
from .physique import cardiothoracic_ratio

FINDINGS = ("pneumonia", "effusion", "cardiomegaly", "nodule", "pneumothorax")
TRAITS = (
    "pattern lobe_side lobe_x lobe_y lobe_size lobe_shape lobe2_x lobe2_y dense visible patch "
    "fluid fluid_side nodule_x nodule_y nodule_side nodule_size ptx ptx_side edema band band_side"
).split()


def lesions(latent, traits, view):
    """Size, site and density of each patient's findings.

    Parameters
    ----------
    latent : DataFrame, n rows; flags pneumonia, effusion, nodule, pneumothorax, heart_failure.
    traits : dict of name to array (n,), standard normal, one for each of ``TRAITS``.
    view : "adult" or "child"; a child's pneumonia is more often diffuse.

    Returns
    -------
    SimpleNamespace of arrays (n, 1, 1).
    """
    t = SimpleNamespace(**traits)
    sick = latent.pneumonia.to_numpy()
    strength = np.clip(0.3 + 0.6 * latent.infection.to_numpy() + 0.25 * t.visible, 0.05, 1.2) * sick
    kind = ndtr(t.pattern.astype(float))[:, None] > ((0.3, 0.6) if view == "child" else (0.5, 0.75))
    f = {"lobar": ~kind[:, 0] * strength, "diffuse": (kind[:, 0] & ~kind[:, 1]) * strength,
         "net": kind[:, 1] * strength}
    f["focal"] = f["lobar"] + 0.5 * (f["diffuse"] + f["net"]) * (t.dense > 0)
    f["x1"], f["y1"] = np.where(t.lobe_side > -0.2, -1, 1) * (7 + 1.8 * t.lobe_x), 2.5 + 4 * t.lobe_y
    f["x2"], f["y2"] = np.where(t.lobe2_x > 0, 7, -7) + 1.5 * t.lobe_x, 2 + 4 * t.lobe2_y
    f["r"], f["oval"] = 3.6 * np.exp(0.3 * t.lobe_size) * (0.6 + 0.6 * strength), np.exp(0.3 * t.lobe_shape)
    f["second"] = (t.patch > 0.3) * f["focal"]
    f["fluid"] = latent.effusion.to_numpy() * np.clip(2.2 * np.exp(0.7 * t.fluid), 0.8, 11)
    f["fluid_left"], f["both"] = t.fluid_side > 0.1, 0.6 * latent.heart_failure.to_numpy()
    f["nodule"] = latent.nodule.to_numpy() * np.clip(0.75 * np.exp(0.35 * t.nodule_size), 0.35, 1.5)
    f["nodule_x"] = np.where(t.nodule_side > 0, 1, -1) * np.clip(7.3 + 1.8 * t.nodule_x, 4.2, 10.5)
    f["nodule_y"] = np.clip(-1.5 + 3 * t.nodule_y, -6, 4)
    f["ptx"] = latent.pneumothorax.to_numpy() * np.clip(1.7 * np.exp(0.5 * t.ptx), 0.7, 5)
    f["ptx_left"] = t.ptx_side > 0
    f["edema"] = (latent.heart_failure * latent.heart).to_numpy() * np.clip(0.30 + 0.2 * t.edema, 0, 0.7)
    f["band"], f["band_left"] = np.maximum(t.band - 0.8, 0), t.band_side > 0
    return SimpleNamespace(**{k: np.asarray(v, bool if v.dtype == bool else np.float32).reshape(-1, 1, 1)
                              for k, v in f.items()})


def texture(b, X, Y, which, fine=20.0):
    """Periodic texture ``which`` in each patient's own place (n, size, size)."""
    return sample(clouds(), which, X * fine + 200 * b.cloud_x, Y * fine + 200 * b.cloud_y)


def consolidation(b, f, X, Y, cloud):
    """Share of lung air that pneumonia replaces, in [0, 0.95]: lobar, patchy, diffuse or net-like."""
    r1 = (np.square(X - f.x1) * f.oval + np.square(Y - f.y1) / f.oval) / np.square(f.r)
    r2 = (np.square(X - f.x2) / f.oval + np.square(Y - f.y2) * f.oval) / np.square(0.8 * f.r)
    lobar = step(1.05 - 0.55 * r1 + 0.22 * cloud) * f.focal + step(0.9 - 0.55 * r2 + 0.25 * cloud) * f.second
    hila = np.exp(-np.square((np.abs(X) - 4.5) / 5.0) - np.square((Y - 1.5) / 6.5))
    diffuse = (0.15 + 0.5 * hila) * np.maximum(1 + 0.3 * cloud, 0)
    net = (0.2 + 0.4 * hila) * np.maximum(1 + 0.25 * texture(b, X, Y, 1, 9.0) + 0.25 * cloud, 0)
    return np.clip(0.75 * lobar + f.diffuse * diffuse + f.net * net, 0, 0.95)


def haze(b, f, X, Y, cloud):
    """Share of lung air lost without pneumonia: oedema, poor inspiration, old scars and bands."""
    hila = np.exp(-np.square((np.abs(X) - 4) / 4.5) - np.square((Y - 0.5) / 5))
    base = step((Y - b.dome_right + 6) / 6)
    band = np.exp(-np.square((Y - b.dome_right + 3.2 + 0.15 * X) / 0.5)) * (f.band_left == (X > 0)) * f.band
    return (b.haze * (1 + base) + f.edema * (0.4 + hila + 0.4 * base)) * np.maximum(1 + 0.4 * cloud, 0) + 0.25 * band


def effusion(b, f, X, Y, left, wall):
    """Share of lung replaced by fluid: a level that climbs toward the chest wall (meniscus)."""
    low = np.where(left, b.dome_left, b.dome_right) + 0.75 * b.sulcus
    climb = 0.25 * f.fluid * np.square(np.clip(np.abs(X) / b.cage, 0, 1)) * 2 + 1.5 * np.exp(-np.maximum(wall, 0) / 1.2)
    amount = np.where(f.fluid_left == left, 1, f.both) * f.fluid
    return step((Y - low + amount + climb * (amount > 0)) / 1.2) * (amount > 0)


def collapse(b, f, X, Y, left, wall):
    """Depth (cm) inside the collapsed lung's edge; negative where only air is left."""
    inward = np.minimum(wall, 0.65 * (Y - b.apex) + 0.15 * np.abs(X))
    gap = np.where(f.ptx_left == left, f.ptx, 0) * np.clip(1.3 - 0.05 * (Y - b.apex), 0.2, 1.3)
    return np.where(gap > 0, inward - gap, 9.0)


def nodule(f, X, Y):
    """Path through the nodule (cm), a sphere."""
    return chord(X, Y, f.nodule_x, f.nodule_y, np.maximum(f.nodule, 0.01), np.maximum(f.nodule, 0.01)) * (f.nodule > 0)


def masks(b, f, X, Y, field, fill, fluid, edge):
    """Where each finding is seen, bool (n, 5, size, size) in the order of ``FINDINGS``."""
    large = cardiothoracic_ratio(b).reshape(-1, 1, 1) > b.large
    seen = [(fill > 0.15) & (fluid < 0.5) & field, (fluid > 0.5) & field, (heart(b, X, Y) > 0.5) & large,
            (nodule(f, X, Y) > 0) & field, (edge < 0) & field]
    return np.stack(seen, 1)
