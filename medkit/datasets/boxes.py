"""Boxes that people drew around findings, as truth for explanations: Pascal VOC XML, or a CSV table."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from ..errors import MedkitError

COLUMNS = ("file", "xmin", "ymin", "xmax", "ymax")


def read_boxes(path):
    """Read boxes from a CSV with the columns file, xmin, ymin, xmax, ymax (pixels), or a folder of VOC XML files.

    Returns
    -------
    dict of file name to float array (boxes, 4): xmin, ymin, xmax, ymax
    """
    path = Path(path).expanduser()
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MedkitError(f"{path}: no boxes here. Give a CSV file, a VOC file (.xml), or a folder of VOC files.")
    rows = [row for f in files for row in (read_voc(f) if f.suffix.lower() == ".xml" else read_csv(f))]
    found = {}
    for where, name, box in rows:
        if not (np.isfinite(box).all() and 0 <= box[0] < box[2] and 0 <= box[1] < box[3]):
            raise MedkitError(f"{where}: the box {', '.join(f'{v:g}' for v in box)} is none. Needed: "
                              "0 <= xmin < xmax and 0 <= ymin < ymax, in pixels.")
        found.setdefault(name, []).append(box)
    return {name: np.array(boxes) for name, boxes in found.items()}


def numbers(values, where):
    """Turn four texts to numbers, or say which is none."""
    try:
        return [float(v) for v in values]
    except (TypeError, ValueError):
        raise MedkitError(f"{where}: {', '.join(map(str, values))} are not four numbers (xmin, ymin, xmax, ymax).") from None


def read_csv(path):
    """List (where, file name, box) of a CSV."""
    try:
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    except Exception as error:
        raise MedkitError(f"{path} cannot be read as CSV: {error}".rstrip(".") + ".") from None
    absent = [c for c in COLUMNS if c not in table]
    if absent:
        raise MedkitError(f"{path} has no column '{absent[0]}'. Needed: {', '.join(COLUMNS)}.")
    places = [f"{path}, line {k + 2}" for k in range(len(table))]
    return [(w, str(r[0]), numbers(r[1:], w)) for w, r in zip(places, table[list(COLUMNS)].itertuples(index=False))]


def read_voc(path):
    """List (where, file name, box) of one VOC file; a file that declares entities is refused, as it could harm."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
            raise MedkitError(f"{path} declares a DOCTYPE or entities. VOC files need none: take that line out.")
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, UnicodeDecodeError, OSError) as error:
        raise MedkitError(f"{path} cannot be read as XML: {error}.") from None
    name = root.findtext("filename")
    if not name:
        raise MedkitError(f"{path} has no <filename>: which image do its boxes belong to?")
    drawn = [[b.findtext(c) for c in COLUMNS[1:]] for b in root.iter("bndbox")]
    return [(str(path), name, numbers(box, path)) for box in drawn]


def to_mask(boxes, width, height, size):
    """Draw boxes, in pixels of an image (width, height), as `medkit.datasets.folder` pads it: bool (size, size)."""
    if (boxes[:, 2] > width).any() or (boxes[:, 3] > height).any():
        raise MedkitError(f"A box reaches beyond its image of {width} x {height} pixels: {boxes.max(0)[2:].tolist()}.")
    side, mask = max(width, height), np.zeros((size, size), dtype=bool)
    moved = (boxes + [(side - width) / 2, (side - height) / 2] * 2) * size / side
    for x0, y0, x1, y1 in moved:
        mask[int(y0):int(np.ceil(y1)), int(x0):int(np.ceil(x1))] = True
    return mask
