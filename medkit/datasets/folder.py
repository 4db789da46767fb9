"""A user's own folder of images, checked file by file.

Two layouts:

- one subfolder per class, images (PNG, JPEG, BMP, TIFF or DICOM) inside;
- images anywhere below the folder, and a `labels.csv` with the columns `file` and `label`, and
  optionally `patient` and `split` (train, valid or test).

Without a `patient` column DICOM films are grouped by their tag PatientID, which is shown and kept nowhere. Any other image
counts as a patient of its own. Notes say so.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from tqdm import tqdm

from ..errors import MedkitError, explained, unknown
from . import tables
from .split import PARTS, by_patient

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm"}


def named_or_folder(what, source, known, from_folder):
    """Load a data set by its name, of those `known` as {name: function}, or from a user's folder."""
    path = Path(source).expanduser()
    if str(source) in known:
        return known[str(source)]()
    if path.is_dir():
        return from_folder(path)
    raise unknown(f"{what} or folder", source, known)


def read_folder(folder, size, seed=0):
    """Read a folder of images.

    Returns
    -------
    X : uint8 array of shape (n, size, size, channels)
    y : int64 array of shape (n,)
    patients : array of str of shape (n,)
    classes : list of str
    parts : dict of part to row numbers
    notes : list of str, what the reader should know of how images were changed
    heads : DataFrame of n rows, what `read_image` found beside the pixels, less who the patient is
    """
    table = read_labels(folder)
    classes, y = labelled(table, folder)
    X, notes, heads = read_images([folder / f for f in table["file"]], size)
    others = sum(f.is_file() and f.name[0] != "." for f in folder.glob("*/**/*")) - len(table)
    notes += [f"{others} files of other kinds were left out."] * (others > 0 and not (folder / "labels.csv").exists())
    burnt = (heads["BurnedInAnnotation"] == "YES").sum()
    notes += [f"{burnt} films say that text is burnt into them. Look for names before you show a report of them."] * bool(burnt)
    if "patient" not in table:
        table["patient"], told = by_tag(table["file"], heads["PatientID"])
        notes.append(told)
    patients = table["patient"].to_numpy(str)
    parts = parts_of(table, y, patients, seed, folder)
    check_classes(y, classes, parts, folder)
    return X, y, patients, classes, parts, notes, heads.drop(columns="PatientID")


def labelled(table, folder):
    """Give the classes of a labels file, and the code of each row; `positive` in schema.toml names the one to find."""
    return tables.coded(table["label"], folder, tables.schema_beside(folder / "schema").get("positive"))


def by_tag(files, tags):
    """Group films by PatientID (`tags`). A patient is called after the first of the films: the tag itself goes no further.

    Returns
    -------
    Series of str, and a note
    """
    if tags[tags != ""].nunique() < 2:  # none, or one that stands for all
        return files, ("No patient is named: each image counts as a patient of its own. If a patient has several "
                       "images, name the patient in labels.csv, or the test is too kind.")
    patients = files.groupby(tags.where(tags != "", files)).transform("first")
    return patients, (f"Films were grouped by the DICOM tag PatientID: {patients.nunique():,} patients, each called after the "
                      f"first film. {(tags == '').sum():,} images have no such tag, and count as a patient each.")


def files_by_patient(folder):
    """List files with their patients as for training, but without need of labels or classes.

    Returns
    -------
    DataFrame of `file` and `patient`
    """
    path = folder / "labels.csv"
    if path.exists():
        table = read_listed(path, ["file"])
    else:
        table = pd.DataFrame({"file": [f.relative_to(folder).as_posix() for f in images_below(folder)]}, dtype=str)
    if "patient" in table:
        return table
    from ..preprocess.pictures import tag

    tags = [tag(folder / f, "PatientID") if f.lower().endswith(".dcm") and (folder / f).is_file() else "" for f in table["file"]]
    return table.assign(patient=by_tag(table["file"], pd.Series(tags, dtype=str))[0])


def check_classes(y, classes, parts, folder):
    """Check that every part has every class, without which nothing can be measured."""
    for part, rows in parts.items():
        absent = np.setdiff1d(np.arange(len(classes)), y[rows])
        if len(absent):
            raise MedkitError(f"{folder}: the {part} part has no '{classes[absent[0]]}'. Too few patients have it "
                              "(at least 7 serve), or a split that came with the data leaves it out.")


def list_classes(folder):
    """Make the table of files from one subfolder per class."""
    subfolders = sorted(d for d in folder.iterdir() if d.is_dir() and not d.name.startswith("."))
    if not subfolders:
        raise MedkitError(f"{folder} has neither class subfolders nor a labels.csv. Put the images of each class "
                          "in a subfolder of its name, or add a labels.csv with the columns file and label.")
    files = {d.name: images_below(d) for d in subfolders}
    empty = [name for name, found in files.items() if not found]
    if empty:
        raise MedkitError(f"No image in the class folder {folder / empty[0]}. Add images "
                          f"({', '.join(sorted(SUFFIXES))}; a DICOM file must end in .dcm) or remove the folder.")
    rows = [(f.relative_to(folder).as_posix(), name) for name, found in files.items() for f in found]
    return pd.DataFrame(rows, columns=["file", "label"])


def images_below(folder):
    """Find the images in a folder and in those inside it."""
    return sorted(f for f in folder.rglob("[!.]*") if f.suffix.lower() in SUFFIXES)


def read_labels(folder):
    """Read and check `labels.csv`, as text; where there is none, list the classes."""
    path = folder / "labels.csv"
    if not path.exists():
        return list_classes(folder)
    table = read_listed(path, ["file", "label"])
    check_files(table, folder)
    return table


def read_listed(path, needed):
    """Read a labels file as text, and check that it has what is needed."""
    table = tables.read_frame(path, "patient", str)
    tables.columns_there(table, needed, path)
    tables.cells_filled(table, [c for c in (*needed, "patient", "split") if c in table], path)
    return table.assign(file=table["file"].str.replace("\\", "/"))  # as Windows writes it


def check_files(table, folder):
    """Check that each row names a file that is there, once."""
    path = folder / "labels.csv"
    tables.refuse(table["file"].str.contains(r"(?i)\.nii(?:\.gz)?$"), path, lambda row: f"'{table['file'][row]}' is a NIfTI "
                  "volume; save the slices that count as PNG, name their patient in a column, and list them instead")
    tables.refuse(table["file"].duplicated(), path, lambda row: f"'{table['file'][row]}' is named twice")
    inside = {f.relative_to(folder).as_posix() for f in folder.rglob("*")}
    absent = ~table["file"].isin(inside) & ~(table["file"] + ".hea").isin(inside)  # WFDB's go without ending
    tables.refuse(absent, path, lambda row: f"there is no file '{table['file'][row]}' in {folder}")


def parts_of(table, y, patients, seed, folder):
    """Take the split of the labels file, or split by patient; `check_classes` finds a part that is empty."""
    if "split" not in table:
        return by_patient(patients, y, seed=seed)
    tables.refuse(~table["split"].isin(PARTS), folder / "labels.csv", lambda row: unknown("split", table["split"][row], PARTS))
    shared = table["split"].groupby(patients).nunique()
    if (shared > 1).any():
        raise MedkitError(f"{folder / 'labels.csv'}: patient '{shared.idxmax()}' stands in more than one split. "
                          "All images of a patient belong in one.")
    return {part: np.flatnonzero(table["split"] == part) for part in PARTS}


def read_images(paths, size):
    """Read images to one array, with notes and heads; colour is kept only if some image has colour."""
    heads = []
    images = [read_image(p, size, heads) for p in tqdm(paths, desc="images", unit="image", disable=len(paths) < 500)]
    colour, heads = any(np.ptp(image, axis=2).any() for image in images), pd.DataFrame(heads)
    stacked, shapes = np.stack(images), set(zip(heads["width"], heads["height"]))
    notes = [f"The images have {len(shapes)} sizes, from {min(shapes)} to {max(shapes)} pixels (width, height): all "
             f"were padded to squares of {size}."] if len(shapes) > 1 else []
    oblong = (heads["tall"] != 1).sum()
    notes += [f"{oblong} DICOM films have pixels that are not square: the films were stretched to their true shape."] * bool(oblong)
    return (stacked if colour else stacked[..., :1]), notes, heads


def read_image(path, size, heads):
    """Read one image as uint8 RGB of shape (size, size, 3), in its true shape, padded; add its head to `heads`."""
    image, tags = from_dicom(path) if path.suffix.lower() == ".dcm" else (from_picture(path), {})
    heads.append({"PatientID": "", "BurnedInAnnotation": "", "tall": 1.0, "width": image.width, "height": image.height} | tags)
    true = np.round(image.size * stretch(heads[-1]["tall"])).astype(int).tolist()
    return np.asarray(ImageOps.pad(image.convert("RGB").resize(true), (size, size), Image.Resampling.BILINEAR))


def stretch(tall):
    """Give by how much (width, height) grow where pixels `tall` times as high as wide are made square."""
    return np.maximum(1, [1 / tall, tall]).T


def from_picture(path):
    """Read a PNG, JPEG, BMP or TIFF; of 16 bits or floats the 0.5th and 99.5th percentile become black and white."""
    with explained(f"{path} is damaged, or is not an image", "Mend or remove the file."), Image.open(path) as image:
        if path.suffix.lower().startswith(".tif") and getattr(image, "n_frames", 1) > 1:
            raise MedkitError(f"{path} holds {image.n_frames} pictures. Save the one that you need as a file of its own.")
        image.load()
    if not image.mode.startswith(("I", "F")):
        return ImageOps.exif_transpose(image)  # upright, as cameras note and viewers show
    from ..preprocess.pictures import grey

    return Image.fromarray(grey(np.asarray(image, dtype=np.float64)))


def from_dicom(path):
    """Read a DICOM picture by its own window (or its 0.5th and 99.5th percentile), and the tags that `read_folder` needs."""
    from ..preprocess.pictures import as_8_bit, read_tagged, tall

    picture, tags = read_tagged(path, "PatientID", "BurnedInAnnotation")
    grey = as_8_bit(picture)
    if grey.ndim > 3 or (grey.ndim == 3 and grey.shape[2] != 3):
        raise MedkitError(f"{path} holds {len(grey)} pictures. Save the one that you need as a file of its own.")
    return Image.fromarray(grey), tags | {"tall": tall(picture.facts)}
