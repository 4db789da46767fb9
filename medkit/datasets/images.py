"""Images with their labels, split by patient: any MedMNIST set by name, or a folder of one's own."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import catalog, evaluate, fetch
from ..errors import MedkitError, explained
from ..hospital import admit
from . import mri, schema
from .folder import named_or_folder, read_folder, read_labels
from .split import by_patient

SIZES = (28, 64, 128, 224)
HOSPITAL = "virtual-hospital"
ADMITTED = 4000  # simulated patients: about one in five has pneumonia


@dataclass(frozen=True)
class ImageSet:
    """A data set of images in memory.

    `X` maps "train", "valid" and "test" to uint8 arrays of shape (n, height, width, channels);
    `y` to int64 class codes of shape (n,), or (n, labels) of 0/1 where an image can have several; of two classes
    1 is the one to find. `patients` to patient ids of shape (n,), `files` (of a folder) to names of shape (n,).
    """

    name: str
    classes: list
    X: dict
    y: dict
    patients: dict
    multi_label: bool = False
    notes: list = field(default_factory=list)
    groups: dict = field(default_factory=dict)  # part to a DataFrame of subgroups (sex, age, hospital), where known
    files: dict = field(default_factory=dict)

    @property
    def channels(self):
        """1 for grey images, 3 for colour."""
        return self.X["train"].shape[-1]

    def counts(self):
        """Count the images of each class in each part, as a DataFrame."""
        return pd.DataFrame({part: y.sum(axis=0) if self.multi_label else np.bincount(y, minlength=len(self.classes))
                             for part, y in self.y.items()}, index=self.classes)

    def take(self, part, n, seed=0):
        """Draw about `n` images of a part, at least one of each class: the row numbers, ascending."""
        y = self.y[part]
        rng = np.random.default_rng(seed)
        if self.multi_label or n >= len(y):
            return np.sort(rng.choice(len(y), min(n, len(y)), replace=False))
        rows = [rng.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
        return np.sort(np.concatenate([r[:max(1, round(n * len(r) / len(y)))] for r in rows]))


def load(source, size=28, seed=0):
    """Load images by the name of a data set, from a folder, or of simulated patients.

    Parameters
    ----------
    source : str or path
        A MedMNIST name such as "pneumoniamnist", "msd-hippocampus" (MRI), a folder (see `medkit.datasets.folder`), or
        "virtual-hospital".
    size : int
        Height and width in pixels. MedMNIST has 28, 64, 128 and 224.
    seed : int
        For a folder or MRI, without a split of their own: which split. For the hospital: which patients.

    Raises
    ------
    MedkitError
        If the source is neither, or its files are damaged.
    """
    known = {HOSPITAL: lambda: from_hospital(size, seed), mri.NAME: lambda: from_mri(size, seed)}
    known |= {c.id: partial(medmnist, c.id, size) for c in catalog.cards().values() if c.kind == "images" and c.splits}
    path = Path(source).expanduser()
    if str(source) not in known and not path.is_dir() and ("/" in str(source) or path.exists()):
        raise MedkitError(f"{source} is not a folder of images. Give a folder with one subfolder per class, "
                          "or with a labels.csv.")
    return named_or_folder("image data set", source, known, lambda path: from_folder(path, size, seed))


def medmnist(name, size):
    """Load a MedMNIST v2 set with its official split (Yang et al., Sci Data 10:41, 2023)."""
    if size not in SIZES:
        raise MedkitError(f"MedMNIST has no images of {size} pixels. Sizes: {', '.join(map(str, SIZES))}.")
    card = catalog.card(name)
    path = fetch.path(name, f"{name}.npz" if size == 28 else f"{name}_{size}.npz")
    with explained(f"{path} cannot be read as .npz"), np.load(path, allow_pickle=False) as loaded:
        arrays = dict(loaded)
    parts = {"train": "train", "valid": "val", "test": "test"}
    X = {part: (a := arrays[f"{key}_images"]).reshape(*a.shape[:3], -1) for part, key in parts.items()}
    multi = card.task == "multi-label"
    codes = {part: arrays[f"{key}_labels"].astype(np.int64) for part, key in parts.items()}
    y = codes if multi else {part: c[:, 0] for part, c in codes.items()}
    rows = {part: np.array([f"{part}-{i}" for i in range(len(c))]) for part, c in y.items()}
    return positive_last(ImageSet(name, card.classes, X, y, rows, multi, list(card.pitfalls)))


def from_hospital(size, seed):
    """Take one chest X-ray of each of some simulated patients; the question is pneumonia."""
    batches = list(admit(ADMITTED, seed).batches(200))
    lettered = size >= 64  # on fewer pixels the marker would cover the lung
    taken = [cohort.xray(size, marker=lettered) for cohort in tqdm(batches, desc="X-rays", unit_scale=200, unit="film", leave=False)]
    X = np.concatenate([t.images for t in taken])[..., None]
    y = np.concatenate([t.labels["pneumonia"] for t in taken]).astype(np.int64)
    patients = seen_patients(batches)
    parts = by_patient(patients.index, y, seed=seed)
    note = f"Simulated: {ADMITTED:,} patients of the virtual hospital. A score here is not a score on real patients."
    return ImageSet(f"{HOSPITAL} (simulated)", ["no pneumonia", "pneumonia"],
                    *({p: a[r] for p, r in parts.items()} for a in (X, y, patients.index.to_numpy())),
                    notes=[note], groups={p: patients.iloc[r].reset_index(drop=True) for p, r in parts.items()})


def from_mri(size, seed):
    """Take brain MRI, split by person; the question is whether the hippocampus is small, as after its atrophy."""
    X, volumes, people, sides = mri.hippocampi(size)
    y = (volumes < mri.SMALL).astype(np.int64)
    parts = by_patient(people, y, (0.6, 0.15, 0.25), seed)
    both = pd.DataFrame({"person": people, "mm3": volumes}).groupby("person")["mm3"].agg(["first", "last", "size"])
    pairs = both[both["size"] == 2]
    notes = [f"{len(y)} crops of brain MRI, of {len(both)} people; of {len(pairs)} both sides, whose volumes correlate by "
             f"{pairs['first'].corr(pairs['last']):.2f}: a split by crops would leak. They are told by the numbers of the files.",
             f"Small: under {mri.SMALL / 1000:g} mL by an expert's outline. That line is ours: no doctor's diagnosis.",
             "Shown is the middle of each crop alone. The sizes of the crops, cut by the outline, rank small ones with "
             f"AUROC {evaluate.auroc(y, -sides.prod(axis=1)):.2f}."]
    return ImageSet(mri.NAME, ["not small", "small"], *({p: a[r] for p, r in parts.items()} for a in (X, y, people)),
                    notes=notes)


def seen_patients(cohorts):
    """Give sex, age band and hospital of each simulated patient, by patient id."""
    frame = pd.concat([c.patients for c in cohorts]).set_index("patient_id")
    age = pd.cut(frame["age"], [0, 45, 65, 200], labels=["0 to 44", "45 to 64", "65 and over"], right=False)
    where = frame["hospital"].map("hospital {}".format)
    return pd.DataFrame({"sex": frame["sex"], "age": age.astype(str), "hospital": where})


def from_folder(folder, size, seed):
    """Load a folder of images, split by patient unless the labels file has a split."""
    X, y, patients, classes, parts, notes, _ = read_folder(folder, size, seed)
    fetch.used[str(folder)] = digest_of(X, y)
    files = read_labels(folder)["file"].to_numpy(str)
    told = f"To be found: {' against '.join(classes[::-1])}. If that is wrong, write it into schema.toml: medkit new."
    return ImageSet(folder.name, classes, *({p: a[r] for p, r in parts.items()} for a in (X, y, patients)),
                    notes=notes + [told] * (len(classes) == 2), files={p: files[r] for p, r in parts.items()})


def positive_last(made):
    """Of two classes, make the one to find number 1: by their names, else the second."""
    if len(made.classes) != 2 or schema.positive_of(dict.fromkeys(made.classes[::-1], 0)) == made.classes[1]:
        return made
    return replace(made, classes=made.classes[::-1], y={part: 1 - codes for part, codes in made.y.items()})


def digest_of(*arrays):
    """Give one checksum of the content of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return f"sha256:{digest.hexdigest()}"
