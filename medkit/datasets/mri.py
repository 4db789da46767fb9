"""Brain MRI: one hippocampus a crop (Medical Segmentation Decathlon, task 4; Simpson et al. 2019, arXiv:1902.09063)."""

import gzip
import hashlib
import tarfile
from pathlib import PurePosixPath

import nibabel
import numpy as np
from tqdm import tqdm

from .. import fetch
from ..errors import explained
from ..preprocess.pictures import grey, resized
from .cache import cached

NAME, VERSION = "msd-hippocampus", 1
WINDOW = (30, 39, 24)  # mm from left to right, back to front, bottom to top: it lies in every crop
SMALL = 3000  # mm3: about a quarter of the crops hold less


def hippocampi(size):
    """Read all crops that have a mask.

    A crop is cut to its hippocampus, so its size would betray the volume: only a window of `WINDOW` is shown. Its front,
    middle and back third, each averaged over 13 mm, stand in the three colours.

    Returns
    -------
    images : uint8 array of shape (260, size, size, 3)
    volumes : array of shape (260,)
        mm3, by the expert's mask.
    people : str array of shape (260,)
        Crops 2k - 1 and 2k are the two sides of one brain. The publisher does not say so; their volumes do.
    sides : array of shape (260, 3)
        The edges of the crops, in mm.
    """
    packed = scans()
    digest = hashlib.sha256(b"".join(packed[name] for name in sorted(packed))).hexdigest()
    fetch.used[f"{NAME}/imagesTr and labelsTr"] = f"sha256:{digest}"
    made = cached(NAME, [VERSION, digest], lambda: read(packed))
    images = np.stack([resized(thirds(box), size) for box in made["boxes"]])
    return images, made["volumes"], np.array([f"brain {(n + 1) // 2}" for n in made["numbers"]]), made["sides"]


def scans():
    """Give the packed crops and masks, {"imagesTr/hippocampus_001.nii.gz": bytes}: of the archive, or unpacked."""
    folder = fetch.root() / NAME
    if (folder / "labelsTr").is_dir():
        return {f"{p.parent.name}/{p.name}": p.read_bytes() for p in folder.glob("*Tr/hippocampus_*.nii.gz")}
    path = fetch.path(NAME, "Task04_Hippocampus.tar")
    with explained(f"{path} cannot be read as an archive of crops"), tarfile.open(path) as archive:
        names = {m: PurePosixPath(m.name) for m in archive if m.isfile()}
        return {f"{p.parent.name}/{p.name}": archive.extractfile(m).read() for m, p in names.items()
                if p.match("*Tr/hippocampus_*.nii.gz")}  # "._hippocampus..." are a Mac's, not ours


def read(packed):
    """Cut the window out of each crop, and measure the volume of its mask."""
    names = sorted(name for name in packed if name.startswith("labelsTr"))
    pairs = [(volume(packed, name.replace("labels", "images")), volume(packed, name))
             for name in tqdm(names, desc="MRI", unit="crop", leave=False)]
    return {"boxes": np.stack([middle(grey(image)) for image, _ in pairs]),
            "volumes": np.array([float((mask > 0).sum()) for _, mask in pairs]),
            "sides": np.array([mask.shape for _, mask in pairs]),
            "numbers": np.array([int(name[-10:-7]) for name in names])}


def volume(packed, name):
    """Unpack one NIfTI volume (voxels of 1 mm), axes to the right, the front and the top."""
    with explained(f"{NAME}/{name} cannot be read as NIfTI"):
        return np.asarray(nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(gzip.decompress(packed[name]))).dataobj)


def middle(values):
    """Cut `WINDOW` out of the middle."""
    return values[tuple(slice((n - side) // 2, (n - side) // 2 + side) for n, side in zip(values.shape, WINDOW))]


def thirds(box):
    """Bring the front, middle and back third of a box to three colours: (height, width, 3), the top above."""
    means = box.reshape(WINDOW[0], 3, -1, WINDOW[2]).mean(axis=2)
    return np.round(means[::-1, ::-1, ::-1].transpose(2, 0, 1)).astype(np.uint8)
