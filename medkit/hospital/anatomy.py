"""Normal anatomy of a simulated chest X-ray, as path lengths in centimetres.

The chest is seen from the front. X grows to the image's right (the patient's
left), Y grows downward, the origin lies at the middle of the thorax. Each
function returns how many centimetres of one tissue the ray through each pixel
crosses. Chord lengths of ellipsoids and cylinders are exact; ribs are helices
around an elliptical cage. The lengths, `b`, are those of ``physique.body``.
"""

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter


def coordinates(b, size):
    """X and Y in cm of every pixel of a (size, size) image, two arrays (n, size, size)."""
    g = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    gx, gy = b.size * b.stretch * g[None, None, :], b.size * g[None, :, None]
    return gx - b.tilt * gy + b.x, gy + b.tilt * gx + b.y


def step(t):
    """Smooth step from 0 (t <= 0) to 1 (t >= 1)."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def chord(X, Y, x, y, rx, ry, depth=None, angle=0.0):
    """Centimetres that a ray crosses of an ellipsoid with semi-axes rx, ry and depth."""
    c, s = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    u, v = X - x, Y - y
    if angle:
        u, v = c * u + s * v, c * v - s * u
    inside = 1 - np.square(u / rx) - np.square(v / ry)
    return 2 * (rx if depth is None else depth) * np.sqrt(np.maximum(inside, 0))


def cage(b, Y):
    """Half of the rib cage's inner width at height Y."""
    up = np.clip((b.dome_right + 5 - Y) / (b.dome_right + 5 - b.apex), 0, 1)
    return b.cage * np.sqrt(1 - up ** b.bell) + 0.01


def dome(b, X, left):
    """Height of the diaphragm: a dome on each side, falling to the costophrenic angle."""
    away = (np.abs(X) - 5.6) / (b.cage - 5.6)
    return np.where(left, b.dome_left, b.dome_right) + b.sulcus * np.where(away < 0, 0.5, away) * away * np.sign(away)


def heart(b, X, Y):
    """Path through the heart: left ventricle and right atrium, joined."""
    h, x = b.heart, X - 0.6 * b.turn
    ventricle = chord(x, Y, 2.1 * h, b.heart_y, 7.1 * h, 4.9 * h, 4.8 * h, 0.62)
    atrium = chord(x, Y, -0.9 * h, b.heart_y - 0.4, 3.2 * h, 4.6 * h, 4.2 * h)
    return np.maximum(ventricle, atrium)


def lungs(b, X, Y, left, hearts):
    """Path through both lungs, and the mediastinum's share of each ray.

    Returns
    -------
    lung : array (n, size, size), cm of lung with its vessels, before any finding.
    field : bool array, where lung is seen in front of or above the diaphragm.
    wall : array, cm from the pixel to the cage's inner side wall.
    """
    half = cage(b, Y)
    wall = half - np.abs(X)
    deep = np.sqrt(np.clip(1 - np.square(np.square(X / half)), 0, 1))
    deep = b.depth * deep * np.sqrt(np.clip((Y - b.apex) / 9, 0.05, 1))
    middle = b.upper + 0.5 * np.sin(0.45 * (Y - b.apex) + np.where(left, np.float32(0.8), 0))
    middle = middle + 2.2 * np.exp(np.minimum((b.apex - Y) / 1.5, 0)) + 0.05 * np.maximum(Y - b.heart_y, 0)
    open_ = step((np.abs(X - b.turn) - middle + 0.6) / 1.3)
    knob = chord(X - b.turn, Y, 2.0, b.apex + 7.6, b.arch, b.arch)
    artery = chord(X - b.turn, Y, 2.3, b.apex + 11.2, 2.3, 3.6, 1.7)
    thymus = chord(X - b.turn, Y, 0.3, b.heart_y - 5, b.thymus, b.thymus * 1.7, 4.0)
    organs = np.maximum(np.maximum(hearts * 1.6, knob * 3), np.maximum(artery * 2, thymus * 1.2))
    below = (Y - dome(b, X, left)) / 0.35
    recess = np.where(below > 0, np.clip(0.42 - below * 0.035, 0, 1), 1) + 0.58 * step(1 - below) * (below > 0)
    lung = np.maximum(deep * open_ - organs, 0) * recess * (wall > 0)
    return lung, (lung > 2.0) & (below < 0.5), wall


def torso(b, X, Y, wall):
    """Path through all soft tissue as if the lungs were solid: trunk, neck, arms, head, breasts."""
    broad = b.cage + b.wall
    half = b.neck + (broad - b.neck) * step((Y - b.shoulder + 2) / 7) + 0.06 * np.maximum(Y, 0)
    half += 4 * np.exp(-np.square((Y - b.shoulder - 5) / 4))
    deep = (b.depth + 5 + 4 * b.fat) * (0.62 + 0.38 * step((Y - b.shoulder) / 11) + 0.08 * step((Y - b.dome_right) / 6))
    trunk = deep * np.sqrt(np.clip(1 - np.abs(X / half) ** 3, 0, 1))
    head = chord(X, Y, b.head_x, b.head_y, 7.0, 6.0, 9.0)
    soft = np.maximum(np.maximum(trunk, head), limb(b, X, Y, 4.4 + b.fat) * 1.1)
    lie = chord(np.abs(X), Y, 7.4 + 0.5 * b.fat, 5.4 + b.fat, 5.2 + 0.8 * b.fat, 4.6 + b.fat, 1.0)
    rim = b.rim * np.exp(-np.square((wall + 0.7) / 0.9)) * step((np.abs(X) - 3) / 4) * step((b.dome_right + 6 - Y) / 6)
    return soft + rim + b.female * lie * (1.3 + 0.7 * b.fat) * (0.75 + 0.25 * step((Y - 4) / 5))


def limb(b, X, Y, radius):
    """Chord of a cylinder along each upper arm, from the shoulder outward."""
    c, s = np.cos(b.arm), np.sin(b.arm)
    x, y = np.abs(X) - b.cage - 2.6, Y - b.shoulder - 6.5
    along, aside = x * s + y * c, x * c - y * s
    near = np.square(aside) + np.square(np.minimum(along, 0))
    return 2 * np.sqrt(np.maximum(radius * radius - near, 0))


def ribs(b, X, Y):
    """Bone of the ribs: back parts run outward, front parts inward and down (a helix)."""
    side = np.clip(np.abs(X) / (cage(b, Y) + 0.35), 0, 1)
    turn = np.arcsin(side)
    oblique = step((np.abs(X) - 0.8) / 2.2) / np.sqrt(1.06 - np.square(side))
    bone = tube(b, Y - b.slope * turn + 0.9 * np.exp(-np.abs(X) / 2), 0.27) * oblique
    front = tube(b, Y - b.slope * 1.35 * (np.pi - turn) + 1.2, 0.33) * oblique
    front *= step((np.abs(X) - 4.5 - 0.25 * np.maximum(Y + 6, 0)) / 2.0)
    return np.where(side < 0.999, 1.1 * bone + 0.7 * front, 0) * b.bone


def tube(b, height, half):
    """Bone across a stack of ribs at `spacing`; `half` is the half width as a share of it."""
    k = (height - b.first_rib) / b.spacing
    t = (k - np.floor(k) - 0.5) / half
    return np.sqrt(np.maximum(1 - t * t, 0)) * (0.55 + 0.45 * t * t) * ((k > 0) & (k < 10)) * step((11 - k) / 4)


def skeleton(b, X, Y):
    """Bone of the spine, clavicles, scapulae, shoulders and jaw (cm of bone)."""
    x = X - 0.5 * b.turn
    disc = np.cos(np.minimum(Y, 40) * (2 * np.pi / 2.3) / b.spacing * 2.5)
    spine = np.sqrt(np.maximum(1 - np.square(x / 2.1), 0)) * (0.8 + 0.25 * disc) * b.spine
    pedicle = np.exp(-np.square((np.abs(x) - 1.4) / 0.45)) * (0.5 + 0.5 * disc) * 0.5
    a = np.abs(X - b.turn)
    line = b.clavicle_y - b.clavicle * np.sin(np.clip((a - 2) / 13, 0, 1) * 1.9) - 0.05 * a
    clavicle = np.sqrt(np.maximum(1 - np.square((Y - line) / (0.7 + 0.012 * a)), 0))
    clavicle = clavicle * step(a - 1.2) * step((17 - a) / 2)
    out = np.abs(X) - b.cage + 2.2 - b.scapula
    blade = step(out - 0.22 * (Y + 3)) * step((b.apex + 16 - Y + 0.8 * out) / 2.5)
    blade = 0.28 * (blade * step((Y - b.apex - 0.5 + 0.3 * out) / 1.5)) * step((8 - out) / 2)
    ball = chord(np.abs(X), Y, b.cage + 3.0, b.shoulder + 6.6, 2.3, 2.3) * 0.12
    shaft = np.minimum(limb(b, X, Y, 1.15), 1.2) * 0.6
    jaw = np.clip(chord(X, Y, b.head_x, b.head_y + 0.5, 6.0, 4.8, 1.0), 0, 1) * 0.9
    return spine + pedicle + (1.3 * clavicle + 2.5 * blade) * b.bone + ball + shaft + jaw


def airways(b, X, Y):
    """Air in trachea, main bronchi, stomach (cm)."""
    x, carina = X - 0.8 * b.turn - b.trachea, b.apex + 8.6
    pipe = np.sqrt(np.maximum(0.8 - x * x, 0)) * 2 * step((carina - Y) / 1.0) * step((Y - b.apex + 8) / 4)
    branch = np.abs(x) * 0.75 + carina - 0.4
    main = np.sqrt(np.maximum(0.3 - np.square((Y - branch) * 0.75), 0)) * step((4.2 - np.abs(x)) / 2) * 1.6
    high = np.maximum(b.bubble, 0.1)
    bubble = chord(X, Y, b.bubble_x, b.dome_left + 2.4, 1.7 * high, high) * (b.bubble > 0.5)
    return 1.2 * pipe + main + 0.6 * bubble


@lru_cache(maxsize=1)
def clouds(size=512):
    """Two periodic textures (2, size, size): soft clouds and a fine net, mean 0 and variance 1."""
    rng = np.random.Generator(np.random.PCG64(20))
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")) * size + 1e-6
    white = np.fft.rfft2(rng.standard_normal((size, size)))
    shaped = [white * f ** -1.7 * (f > 2), white * f / (1 + (f / 26) ** 4)]
    both = np.stack([np.fft.irfft2(s, (size, size)) for s in shaped])
    return (both / both.std((1, 2), keepdims=True)).astype(np.float32)


@lru_cache(maxsize=1)
def trees(count=8, size=512, levels=7):
    """Vessel trees (count, size, size) that fan out from the middle of the left edge."""
    rng = np.random.Generator(np.random.PCG64(21))
    out = np.zeros((count, size, size), np.float32)
    for tree in out:
        x, y = np.zeros(7), np.zeros(7)
        way = np.linspace(-1.35, 1.35, 7) + rng.normal(0, 0.12, 7)
        for level in range(levels):
            reach = 0.30 * 0.80 ** level * np.exp(rng.normal(0, 0.2, len(x)))
            s = np.linspace(0, 1, 120)[:, None]
            bend = way + s * rng.normal(0, 0.25, len(x))
            px, py = x + s * reach * np.cos(bend), y + s * reach * np.sin(bend)
            layer = np.zeros_like(tree)
            i, j = ((py + 1.2) / 2.4 * size).astype(int), (px / 1.4 * size).astype(int)
            ok = (i >= 0) & (i < size) & (j >= 0) & (j < size)
            layer[i[ok], j[ok]] = 1
            width = 4.5 * 0.74 ** level
            tree += gaussian_filter(layer, width) * width ** 1.5 * 1.7
            fork = rng.normal(0.36, 0.12, len(x))
            way = np.concatenate([bend[-1] + fork, bend[-1] - fork])
            x, y = np.tile(px[-1], 2), np.tile(py[-1], 2)
    return out


def sample(atlas, which, u, v):
    """Value of ``atlas[which]`` (512, 512) at row v and column u, wrapped around."""
    return atlas.reshape(-1)[(which * 512 + (v.astype(np.int32) & 511)) * 512 + (u.astype(np.int32) & 511)]


def vessels(b, X, Y, left):
    """Path through blood vessels (cm), fanning out from the hila."""
    low = np.where(left, 0, np.float32(0.6))
    u, v = np.abs(X - b.turn) - 1.8, Y - b.apex - 10.5 - low
    c, s = np.cos(b.tree_turn), np.sin(b.tree_turn)
    u, v = c * u + s * v, c * v - s * u
    which = (np.abs(b.tree * 1000).astype(np.int32) + 3 * left) % len(trees())
    u, v = np.clip(u * 34, 0, 511), np.clip(v * 20 + 256, 0, 511)
    hilum = chord(np.abs(X - b.turn), Y, 4.0, b.apex + 10.8 + low, 1.5, 2.6, 0.9)
    return (0.75 * sample(trees(), which, u, v) + hilum * b.hilum) * b.vessels
