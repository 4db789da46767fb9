"""Saving a model without pickle, and refusing data that do not fit it.

A saved model is a folder of two files: `model.json` (what it is, what it needs) and `weights.safetensors` (arrays).
Loading runs no code of the file's.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.numpy

from ..datasets import recordings, signals, tables
from ..datasets.folder import files_by_patient, read_image
from ..datasets.own import row_names
from ..errors import MedkitError, explained, unknown
from ..files import make_folder, write_text, written_whole
from .own import FAMILIES, Model

FORMAT = 1
NEEDED = {"table": ("plan",), "images": ("size", "channels", "smallest_side"), "recordings": ("fs", "channels", "samples")}
FAR = 3  # a value this many times the training range away from it is taken for another unit


def save(model, folder):
    """Save a model into a folder.

    Returns
    -------
    Path
        The folder.
    """
    folder = make_folder(folder)
    weights = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in model.arrays.items()})
    with written_whole(folder / "weights.safetensors") as aside:
        aside.write_bytes(weights)
    spec = model.spec | {"format": FORMAT, "weights": hashlib.sha256(weights).hexdigest()}
    write_text(folder / "model.json", json.dumps(spec | {"digest": digest(spec)}, indent=1, ensure_ascii=False) + "\n")
    return folder


def digest(spec):
    """Give the checksum of a specification."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def load(folder):
    """Load a model that `save` wrote.

    Raises
    ------
    MedkitError
        If a file is missing, damaged or altered, or comes from another version.
    """
    folder = Path(folder).expanduser()
    try:
        spec, weights = ((folder / name).read_bytes() for name in ("model.json", "weights.safetensors"))
    except OSError as error:
        raise MedkitError(f"{folder} holds no saved model: {error.strerror} ({Path(str(error.filename)).name}).") from None
    with explained(f"The model in {folder} is damaged or was altered", "Save it again."):
        told = json.loads(spec)
        digested = told.pop("digest", None)
        if told.get("format", FORMAT) != FORMAT:
            raise ValueError(f"it has the format {told['format']}, and this medkit reads format {FORMAT}")
        if digest(told) != digested or hashlib.sha256(weights).hexdigest() != told.get("weights"):
            raise ValueError("its checksum does not agree")
        model = Model(told, safetensors.numpy.load(weights))
        checked(model)
    return model


def checked(model):
    """Check that the parts of a model agree, however they came about."""
    spec, arrays = model.spec, model.arrays
    if spec["family"] not in FAMILIES or spec["kind"] not in NEEDED or not set(NEEDED[spec["kind"]]) <= set(spec):
        raise ValueError("parts are missing")
    if arrays["cohort_p"].shape != (len(arrays["cohort_y"]), len(spec["classes"])):
        raise ValueError("the cohort has another number of classes")
    if spec["family"] == "boosting":
        nodes = arrays["value"].shape[1]
        if any(a.shape != arrays["value"].shape or a.min() < 0 or a.max() >= nodes for a in (arrays["left"], arrays["right"])):
            raise ValueError("a tree leads nowhere")
        if not 0 <= arrays["depth"][0] <= nodes:
            raise ValueError("a tree is deeper than it is large")
    p = model.predict(nobody(spec))
    if p.shape != (1, len(spec["classes"])) or not np.isclose(p.sum(), 1):
        raise ValueError("its parts do not make a prediction")


def nobody(spec):
    """Make an input of the shape that a model takes: typical values, a black image, a flat line."""
    if spec["kind"] == "table":
        return pd.DataFrame({e["name"]: [e["quantiles"][10] if e["type"] == "number" else e["values"][0]] for e in spec["plan"]})
    return (np.zeros((1, spec["size"], spec["size"], spec["channels"]), np.uint8) if spec["kind"] == "images" else
            np.zeros((1, spec["samples"], len(spec["channels"])), np.float32))


def read_new(model, data, patient):
    """Read what is known of one patient from files like those that the model was trained on, and check that it fits.

    Parameters
    ----------
    data : path
        A table, or a folder; an outcome or label is not needed.
    patient : str
        As the patient column of the table or of `labels.csv` names it; or the name of any of the patient's files in the
        folder, all of which are read.

    Returns
    -------
    DataFrame, images or signals
        As `Model.predict` takes them, one or more rows.

    Raises
    ------
    MedkitError
        If there is no such patient, or the data do not fit the model.
    """
    data = Path(data).expanduser()
    with explained(f"{data} cannot be used"):
        if model.spec["kind"] == "table":
            return fitting_table(model.spec, rows_of(model.spec, data, patient), data)
        files = files_of(data, patient)
        return fitting_images(model.spec, files) if model.spec["kind"] == "images" else fitting_signals(model.spec, files)


def rows_of(spec, data, patient):
    """Give the rows of one patient of a table."""
    column = spec.get("patient")
    frame = tables.read_frame(data, column)
    tables.columns_there(frame, [column] if column else [], data)
    rows = frame[(frame[column] if column else row_names(len(frame))) == str(patient)]
    if not len(rows):
        raise MedkitError(f"{data} has no patient '{patient}'.")
    return rows


def fitting_table(spec, frame, where):
    """Check columns, types, categories, units and ranges; give the columns that the model takes."""
    tables.columns_there(frame, [e["name"] for e in spec["plan"]], where)
    for name, unit in tables.schema_beside(where).get("units", {}).items():
        if spec["units"].get(name, unit) != unit:
            raise MedkitError(f"{where}: '{name}' is in {unit}, but the model was trained on {spec['units'][name]}.")
    return pd.DataFrame({e["name"]: fitting_column(frame, e, where) for e in spec["plan"]}, index=frame.index)


def fitting_column(frame, entry, where):
    """Check one column of new rows against what the model was trained on."""
    name = entry["name"]
    if entry["type"] == "number":
        values = tables.numbers(frame, name, where)
        low, high = entry["quantiles"][0], entry["quantiles"][-1]
        reach = FAR * max(high - low, abs(high), 1e-9)
        odd = values[(values < low - reach) | (values > high + reach)]
        if len(odd):
            raise MedkitError(f"{where}: '{name}' is {odd.iloc[0]:g}, far outside {low:g} to {high:g}, which the model was "
                              "trained on. Is it in another unit?")
        return values
    values = tables.categories(frame[name])
    strange = sorted(set(values.dropna().astype(str)) - set(entry["values"]))
    if strange:
        raise MedkitError(f"{where}: {unknown(f'category of {name}', strange[0], entry['values'])}")
    return values


def files_of(folder, patient):
    """Give the files of a patient in a folder, grouped as for training; the patient may be called after any of them."""
    if not folder.is_dir():
        raise MedkitError(f"There is no folder {folder}.")
    table, name = files_by_patient(folder), str(patient).replace("\\", "/")
    who = [str(patient)] if str(patient) in set(table["patient"]) else table["patient"][table["file"] == name]
    names = table["file"][table["patient"].isin(who)].tolist() or [name]
    for name in names:
        if folder.resolve() not in (folder / name).resolve().parents:
            raise MedkitError(f"{name} lies outside {folder}: a patient's files are read from there alone.")
        if not ((folder / name).is_file() or (folder / f"{name}.hea").is_file()):  # WFDB's go without ending
            raise MedkitError(f"{folder} has no patient and no file '{name}'.")
    return [folder / name for name in names]


def fitting_images(spec, files):
    """Read images, and check colour and resolution."""
    heads = []
    X = np.stack([read_image(f, spec["size"], heads) for f in files])
    if spec["channels"] == 1 and np.ptp(X, axis=3).any():
        raise MedkitError(f"{files[0].parent}: an image of this patient has colour; the model was trained on grey ones.")
    smallest = min(min(head["width"], head["height"]) for head in heads)
    if smallest < spec["smallest_side"] / 2:
        raise MedkitError(f"{files[0].parent}: an image has {smallest} pixels a side; the model was trained on images of at "
                          f"least {spec['smallest_side']}.")
    return X[..., :spec["channels"]]


def fitting_signals(spec, files):
    """Read recordings, and check sampling rate, channels and length; they are cut into the model's windows."""
    found = [signals.read(f, None, spec["channels"]) for f in files]
    for one, file in zip(found, files):
        if abs(one.fs / spec["fs"] - 1) > 0.01:
            raise MedkitError(f"{file} has {one.fs:g} samples per second; the model was trained on {spec['fs']:g}.")
        if len(one.x) < spec["samples"]:
            raise MedkitError(f"{file} lasts {len(one.x) / one.fs:g} s; the model needs {spec['samples'] / spec['fs']:g} s.")
    return np.concatenate([recordings.windows(one.x, spec["samples"]) for one in found])
