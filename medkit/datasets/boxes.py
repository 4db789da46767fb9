"""Boxes that people drew around findings, as truth for explanations: Pascal VOC XML, or a CSV table."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from ..errors import MedkitError, explained
from .folder import stretch
from .tables import columns_there, numbers, read_frame, refuse

BOX = ["xmin", "ymin", "xmax", "ymax"]


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
    rows = pd.concat([checked(read_voc(f) if f.suffix.lower() == ".xml" else read_frame(f, dtype=str), f) for f in files])
    return {name: boxes[BOX].to_numpy(float) for name, boxes in rows.groupby("file", sort=False)}


def checked(table, path):
    """Check a table of boxes: its columns, numbers, and that each box has an inside."""
    columns_there(table, ["file", *BOX], path)
    table = table.assign(**{c: numbers(table, c, path) for c in BOX})
    refuse(~table.eval("0 <= xmin < xmax and 0 <= ymin < ymax"), path, lambda row: "the box "
           f"{', '.join(f'{v:g}' for v in table[BOX].loc[row])} is none; needed: 0 <= xmin < xmax and 0 <= ymin < ymax, in pixels")
    return table


def read_voc(path):
    """Read the boxes of one VOC file; a file that declares entities is refused, as it could harm."""
    with explained(f"{path} cannot be read as XML"):
        text = path.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
            raise MedkitError(f"{path} declares a DOCTYPE or entities. VOC files need none: take that line out.")
        root = ElementTree.fromstring(text)
    name = root.findtext("filename")
    if not name:
        raise MedkitError(f"{path} has no <filename>: which image do its boxes belong to?")
    return pd.DataFrame([[name, *map(b.findtext, BOX)] for b in root.iter("bndbox")], columns=["file", *BOX])


def to_mask(boxes, width, height, tall, size):
    """Draw boxes, in pixels of an image (as `own.size_of` tells), as `folder` stretches and pads it: bool (size, size)."""
    if (boxes[:, 2] > width).any() or (boxes[:, 3] > height).any():
        raise MedkitError(f"A box reaches beyond its image of {width} x {height} pixels: {boxes.max(0)[2:].tolist()}.")
    sides, mask = stretch(tall) * [width, height], np.zeros((size, size), dtype=bool)
    moved = (boxes * np.tile(stretch(tall), 2) + np.tile((sides.max() - sides) / 2, 2)) * size / sides.max()
    for x0, y0, x1, y1 in moved:
        mask[int(y0):int(np.ceil(y1)), int(x0):int(np.ceil(x1))] = True
    return mask
