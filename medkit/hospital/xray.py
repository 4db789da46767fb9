"""Simulated chest X-rays of the virtual hospital's patients.

The film is a projection through anatomy: path lengths (``anatomy``,
``findings``) times attenuation give a line integral; Beer-Lambert gives the
primary beam; a blurred share of it is scatter; photons are counted with noise;
the logarithm is windowed as a radiography system would. Each hospital has its
own scanner and its own lead marker in a corner.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Callable

import numpy as np
import pandas as pd

from ..files import read_toml
from . import anatomy, findings, physique
from .streams import normals

MU_SOFT, MU_BONE, AIR = 0.2, 0.30, 0.75  # 1/cm at about 70 keV; bone beyond soft tissue; air's share of lung
SCANNERS = pd.DataFrame(read_toml(Path(__file__).with_name("scanners.toml"))["scanners"])  # one row per hospital
LETTERS = SCANNERS.pop("letter")
CHUNK, FINE = 16, 96  # patients drawn at once at that size; pixels per side at least, before shrinking
LOOK = "exposure low high power blur scatter spare marker_x marker_y".split()  # without the spare: other films
NAMES = [*physique.TRAITS, *findings.TRAITS, *LOOK]


@dataclass
class XRays:
    """X-rays of a cohort (simulated).

    Attributes
    ----------
    images : uint8 array (n, size, size); bright is dense.
    labels : DataFrame (n, 5) of bool, one column per name in ``findings``.
    hospital : int array (n,), the scanner and marker in use.
    masks : bool array (n, 5, size, size), drawn when first asked for.
    """

    images: np.ndarray
    labels: pd.DataFrame
    hospital: np.ndarray
    _masks: Callable = field(repr=False)
    findings: tuple = findings.FINDINGS

    @cached_property
    def masks(self):
        return self._masks()


def take(cohort, size=64, *, view="adult", marker=True, quality_follows_illness=True):
    """Take one chest X-ray of every patient of a cohort (simulated).

    Parameters
    ----------
    cohort : Cohort, whose ``latent`` frame says what is true of each patient.
    size : int, pixels per side, 28 to 512.
    view : "adult", or "child": the same illness in a small child's chest, lying down.
    marker : bool, whether the hospital's lead marker lies in a corner of every film.
    quality_follows_illness : bool, whether the unwell (pneumonia, failing heart) breathe in less, lie
        crooked and nearer, and blur the film by moving. That is so in practice, and it was matched by
        hand to real films; but it says "ill" without showing the illness: a hidden shortcut. With False
        every film is taken as if its patient were well; what the lungs and the heart show stays.

    Notes
    -----
    Small findings need pixels: a small CNN finds no pneumothorax at 28 and some at 64; a nodule adds about
    6 grey levels and is not found at 64 either (``benchmarks/findings_by_size.py``).

    Returns
    -------
    XRays

    Raises
    ------
    ValueError
        If size or view is not one of those above.
    """
    if not 28 <= size <= 512:
        raise ValueError(f"size must lie in 28 to 512 pixels, not {size}")
    if view not in ("adult", "child"):
        raise ValueError(f'view must be "adult" or "child", not {view!r}')
    latent = cohort.latent
    traits = dict(zip(NAMES, draw(latent).T))
    labels = label(latent, traits, view)
    some = max(1, CHUNK * FINE**2 // max(size, FINE) ** 2)
    chunks = [slice(i, i + some) for i in range(0, len(latent), some)]
    parts = [(latent[c], {k: v[c] for k, v in traits.items()}, view, quality_follows_illness) for c in chunks]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = list(pool.map(lambda part: expose(part, marker, size), parts))
    return XRays(np.concatenate(images), labels, latent.hospital.to_numpy(),
                 lambda: np.concatenate([project(part, size)[2]() for part in parts]))


def draw(latent):
    """Standard normal traits (n, number of NAMES), the same for a patient whatever n is."""
    index = latent["index"].to_numpy()
    first = index.min()
    return normals(latent["seed"].iloc[0], "xray", first, index.max() + 1, len(NAMES)).astype(np.float32)[index - first]


def label(latent, traits, view):
    """True findings, DataFrame (n, 5); cardiomegaly is a cardiothoracic ratio above 0.5 (child: 0.58)."""
    out = latent.reindex(columns=findings.FINDINGS)
    b = physique.body(latent, traits, view)
    out["cardiomegaly"] = physique.cardiothoracic_ratio(b) > b.large.ravel()
    return out.astype(bool).reset_index(drop=True)


def project(part, size):
    """Line integral of attenuation (n, size, size), the body, a function that draws the masks."""
    b, f = physique.body(*part), findings.lesions(*part[:3])
    X, Y = anatomy.coordinates(b, size)
    left = X > 0
    lung, field_, wall = anatomy.lungs(b, X, Y, left, anatomy.heart(b, X, Y))
    cloud = findings.texture(b, X, Y, 0)
    fill = findings.consolidation(b, f, X, Y, cloud)
    fluid = findings.effusion(b, f, X, Y, left, wall)
    edge = findings.collapse(b, f, X, Y, left, wall)
    lost = np.clip(fill + findings.haze(b, f, X, Y, cloud), 0, 0.97)
    vessels = anatomy.vessels(b, X, Y, left) * anatomy.step(lung / 8) * (1 - 0.5 * lost)
    aerated = AIR * lung * (1 - lost) - vessels - findings.nodule(f, X, Y)
    aerated = np.where(edge < 0, 0.95 * lung, aerated - 0.3 * np.exp(-np.square(edge / 0.12))) * (1 - fluid)
    solid = anatomy.torso(b, X, Y, wall)
    air = np.clip(aerated + anatomy.airways(b, X, Y), 0, 0.95 * solid)
    bone = anatomy.ribs(b, X, Y) + anatomy.skeleton(b, X, Y)
    path = MU_SOFT * (solid - air) + MU_BONE * bone * (solid > 1)
    return path, b, lambda: findings.masks(b, f, X, Y, field_, fill, fluid, edge)


def expose(part, marker, size):
    """Films of one chunk of patients, uint8 (n, size, size)."""
    (path, b, _), (latent, traits, *_) = project(part, max(size, FINE)), part
    look = SimpleNamespace(**{k: traits[k].reshape(-1, 1, 1) for k in LOOK})
    hospital = latent.hospital.to_numpy()
    scanner = SimpleNamespace(**{k: v.to_numpy(np.float32)[hospital, None, None] for k, v in SCANNERS.items()})
    beam = np.exp(-path)
    beam += np.clip(b.motion * b.unwell + 0.12 * look.blur, 0, 0.6) * (blur(beam, 0.022) - beam)  # the unwell move
    share = np.clip(scanner.scatter * np.exp(0.25 * look.scatter) + 0.2 * b.unwell, 0, 0.8)
    beam = (1 - share) * beam + share * blur(np.minimum(beam, 0.2), 0.09)
    film = -np.log(counted(shrink(beam, size), latent, scanner, look))
    film = film - scanner.unsharp * blur(film, 0.12)
    grey = window(film, scanner, look)
    if marker:
        stamp(grey, hospital, look)
    return (255 * grey + 0.5).astype(np.uint8)


def counted(beam, latent, scanner, look):
    """Beam with photon and electronic noise; each patient's noise has its own seed."""
    noise = np.empty_like(beam)
    for row, seed, index in zip(noise, latent["seed"], latent["index"]):
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, 7, index])))
        rng.standard_normal(dtype=np.float32, out=row)
    photons = scanner.photons * np.exp(0.5 * look.exposure)
    spread = np.sqrt(beam / photons + np.square(scanner.noise * beam))
    return np.maximum(beam + spread * noise, 1e-4)


def shrink(image, size):
    """Mean over the area of each coarser pixel: (n, fine, fine) to (n, size, size)."""
    fine = image.shape[1]
    low, high = np.arange(size)[:, None] * fine / size, np.arange(1, size + 1)[:, None] * fine / size
    at = np.arange(fine)[None]
    weight = (np.clip(np.minimum(high, at + 1) - np.maximum(low, at), 0, 1) * size / fine).astype(np.float32)
    return image if fine == size else weight @ image @ weight.T


def blur(image, width):
    """Gaussian blur (n, size, size), `width` as a share of the side, by a coarse grid of 28 cells or fewer."""
    size = image.shape[1]
    step_ = size // 28
    cells = size // step_
    at = (np.arange(size) + 0.5)[:, None] - (np.arange(cells) + 0.5)[None] * step_
    weight = np.exp(-0.5 * np.square(at / (width * size)))
    weight = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    coarse = image[:, : cells * step_, : cells * step_].reshape(-1, cells, step_, cells, step_).mean((2, 4))
    return weight @ coarse @ weight.T


def window(film, scanner, look):
    """Film to grey in [0, 1]: window by percentiles of the film, then LUT power."""
    size = film.shape[1]
    middle = slice(size // 8, size - size // 8, size // 28)
    inner = np.sort(film[:, middle, middle].reshape(len(film), -1), axis=1)
    cut = inner.shape[1] - 1
    low = np.take_along_axis(inner, (scanner.low[:, 0].astype(int) * cut) // 100, 1)[:, :, None]
    high = np.take_along_axis(inner, (scanner.high[:, 0] * cut / 100).astype(int), 1)[:, :, None]
    low = np.minimum(low, high - 1.9)  # the system's narrowest window
    wide = high - low
    low, high = low - (0.42 + 0.12 * look.low) * wide, high + (0.3 + 0.10 * look.high) * wide
    return np.clip((film - low) / (high - low), 0, 1) ** (scanner.power * np.exp(0.2 * look.power))


def stamp(grey, hospital, look):
    """Lay each hospital's lead letter into its corner, in place."""
    size = grey.shape[1]
    cell = round(size / 48)
    for i, site in enumerate(hospital):
        letter = np.kron([[c == "1" for c in row] for row in LETTERS[site]], np.ones((cell, cell), bool))
        x = cell + int(cell * 2 * min(abs(look.marker_x[i, 0, 0]), 2))
        y = cell + int(cell * 2 * min(abs(look.marker_y[i, 0, 0]), 2))
        x = size - x - 5 * cell if site % 2 == 0 else x
        grey[i, y:y + 5 * cell, x:x + 5 * cell][letter] = 0.97
