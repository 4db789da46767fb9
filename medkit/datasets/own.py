"""An analyst's own data, of any kind, in one form: variables, outcome, patients, parts, and facts about each row."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

from .. import fetch
from ..errors import MedkitError, explained
from . import folder, images, recordings, schema, tables
from .split import by_patient

BOX = ["x", "y", "width", "height"]
MOST_CLASSES = 20


@dataclass(frozen=True)
class Own:
    """A data set of n rows in memory.

    Attributes
    ----------
    kind : str
        "table", "images" or "recordings".
    X : DataFrame, uint8 array (n, size, size, channels), or float32 array (n, samples, channels)
    y : int64 array of shape (n,)
        Class codes; of two classes 1 is the one to find.
    patients : array of str of shape (n,)
    parts : dict
        "train", "valid" and "test" to row numbers, split by patient.
    facts : DataFrame
        n rows: what is known of each row but is no input: dates, file, size, subgroup.
    schema : dict
    notes : list of str
    boxes : float array of shape (n, 4), or None
        Where the finding is in X, in pixels: x, y, width, height; NaN where none is marked.
    fs, channels : float and list
        Of recordings.
    """

    name: str
    kind: str
    classes: list
    X: object
    y: np.ndarray
    patients: np.ndarray
    parts: dict
    facts: object
    schema: dict
    notes: list = field(default_factory=list)
    boxes: np.ndarray | None = None
    fs: float = 0.0
    channels: list = field(default_factory=list)

    def take(self, part):
        """Give X and y of a part."""
        rows = self.parts[part]
        return (self.X.iloc[rows] if self.kind == "table" else self.X[rows]), self.y[rows]

    def told(self):
        """Say in one line what is predicted, and what was taken for what."""
        wanted = f"{self.classes[1]} against {self.classes[0]}" if len(self.classes) == 2 else ", ".join(self.classes)
        who, unused = self.schema.get("patient", "none is named"), ", ".join(self.schema.get("ignored", []))
        return (f"To be predicted: {self.schema.get('outcome', 'label')} ({wanted}). "
                + f"Patient: {who}. " * (self.kind == "table") + f"Not used: {unused} (see Findings). " * bool(unused)
                + "If that is wrong, write the schema with medkit new, and correct it.")


def load(path, seed=0):
    """Load an analyst's own data by its schema, which is inferred where it is not written down.

    Parameters
    ----------
    path : str or path
        A table (CSV, Parquet), or a folder of images or recordings.
    seed : int
        Which split by patient, where the data bring none.

    Raises
    ------
    MedkitError
        If anything does not fit: it names the file, the row and the column.
    """
    path = Path(path).expanduser()
    with explained(f"{path} cannot be used", f"Is its schema right ({tables.place(path)})?"):
        told = schema.read(path)
        made = {"table": from_table, "images": from_images, "recordings": from_recordings}[told["kind"]](path, told, seed)
    folder.check_classes(made.y, made.classes, made.parts, path)
    tables.columns_there(made.facts, told.get("groups", []), path)
    fetch.used[path.name] = images.digest_of(made.y, hashes(made.X) if made.kind == "table" else made.X)
    return made


def hashes(X):
    """Give one number for the content of each row of a frame."""
    return pd.util.hash_pandas_object(X.astype(object).map(str), index=False).to_numpy()


def from_table(path, told, seed):
    """Read a table; the outcome, the patient and the date of the outcome are no inputs."""
    frame = tables.read_frame(path, told.get("patient"))
    roles = {key: told[key] for key in ("outcome", "patient", "outcome_date", "treatment") if told.get(key)}
    tables.columns_there(frame, [*roles.values(), *told["columns"], *told.get("units", {})], path)
    tables.cells_filled(frame, [roles[key] for key in ("outcome", "patient") if key in roles], path)
    classes, y = tables.coded(frame[roles["outcome"]], path, told.get("positive"))
    if len(classes) > MOST_CLASSES:
        raise MedkitError(f"{path}: the outcome '{roles['outcome']}' has {len(classes)} different values; {MOST_CLASSES} classes "
                          "can be told apart. Name another column, or cut numbers into classes.")
    aside = {roles[key] for key in ("outcome", "patient", "outcome_date") if key in roles}
    X = tables.typed(frame.drop(columns=list(aside)), told["columns"], path)
    if not X.shape[1]:
        raise MedkitError(f"{path} has no column to predict from. See [columns] in {tables.place(path)}.")
    patients = frame[roles["patient"]].to_numpy(str) if "patient" in roles else row_names(len(frame))
    notes = tables.left_out(frame) + ([] if "patient" in roles else [schema.nobody(frame.drop(columns=list(aside)))])
    return Own(path.stem, "table", [str(c) for c in classes], X, y, patients, by_patient(patients, y, seed=seed), frame,
               told, notes)


def row_names(n):
    """Name patients after their rows."""
    return np.array([f"row {k}" for k in range(1, n + 1)])


def from_images(path, told, seed):
    """Read a folder of images, with facts about the files, and boxes where the labels have them."""
    X, y, patients, classes, parts, notes, heads = folder.read_folder(path, told["size"], seed)
    labels = folder.read_labels(path)
    known = labels.drop(columns=["label", "patient", "split", *BOX], errors="ignore")
    facts = known.assign(**{"width (pixels)": heads["width"], "height (pixels)": heads["height"],
                            "brightness": X.mean(axis=(1, 2, 3)), "format": labels["file"].map(suffix)})
    boxes = scaled_boxes(labels, heads, told["size"], path / "labels.csv") if set(BOX) <= set(labels) else None
    return Own(path.resolve().name, "images", classes, X, y, patients, parts, facts, told, notes, boxes)


def suffix(name):
    """Give the ending of a file's name."""
    return Path(str(name)).suffix.lower()


def size_of(path):
    """Give width and height of an upright image in its file, and how `tall` its pixels are, without reading them."""
    if path.suffix.lower() == ".dcm":
        import pydicom

        from ..preprocess.pictures import tall, technical

        head = pydicom.dcmread(path, stop_before_pixels=True)
        return int(head.Columns), int(head.Rows), tall(technical(head))
    with Image.open(path) as image:  # it may lie on its side
        return *(image.size[::-1] if image.getexif().get(ExifTags.Base.Orientation, 1) > 4 else image.size), 1.0


def scaled_boxes(labels, heads, size, where):
    """Check boxes against their images, and bring them to the padded squares of X."""
    boxes = np.column_stack([tables.numbers(labels, c, where) for c in BOX])
    sides, grown = heads[["width", "height"]].to_numpy(), folder.stretch(heads["tall"].to_numpy())
    outside = (boxes[:, :2] < 0).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1) | (boxes[:, :2] + boxes[:, 2:] > sides).any(axis=1)
    tables.refuse(pd.Series(outside), where, lambda row: f"the box does not lie inside the image of {sides[row, 0]} x "
                  f"{sides[row, 1]} pixels")
    boxes, sides = boxes * np.tile(grown, 2), sides * grown
    boxes[:, :2] += (sides.max(axis=1, keepdims=True) - sides) / 2
    return boxes * size / sides.max(axis=1, keepdims=True)


def from_recordings(path, told, seed):
    """Read a folder of recordings, cut into windows, with facts about the files."""
    taken = recordings.from_folder(path, told["seconds"], told.get("fs"), seed)
    labels = folder.read_labels(path).set_index("file", drop=False)
    known = labels.drop(columns=["label", "patient", "split"], errors="ignore").loc[taken.files]
    facts = known.assign(format=known["file"].map(suffix), amplitude=np.abs(taken.X).mean(axis=(1, 2)))
    return Own(path.resolve().name, "recordings", taken.classes, taken.X, taken.y, taken.patients.astype(str), taken.parts,
               facts.reset_index(drop=True), told, taken.notes, fs=taken.fs, channels=taken.channels)
