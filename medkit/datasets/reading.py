"""A user's table as it stands in its file: CSV of any dialect, or Parquet."""

import csv
import io
import re

import numpy as np
import pandas as pd

from ..errors import MedkitError, explained

csv.field_size_limit(2 ** 31 - 1)  # a cell may hold a long text


def read_frame(path, patient=None, dtype=None, whole=False):
    """Read a CSV (any usual separator and encoding, decimal points or commas; "?" is a gap) or Parquet file.

    The column `patient` is read as text, less spaces around it, so that 007 stays 007; `dtype` is that of pandas. Left
    out, unless `whole`, are rows that are wholly empty, and columns without a name that are empty or number the rows.
    """
    if not path.exists():
        raise MedkitError(f"There is no file {path}.")
    with explained(f"{path} cannot be read as a table"):
        frame = (read_parquet(path, whole) if path.suffix.lower() == ".parquet" else
                 read_csv(path, dtype or {patient: str}, whole))
    each_once(frame, path)
    if patient in frame:
        names = frame[patient].astype("string").str.strip()
        frame[patient] = names.mask(names == "").to_numpy(object, na_value=np.nan)
    spare = [c for c in frame if str(c).startswith("Unnamed: ") and c != patient and counts(frame[c])]
    return frame if whole else frame.drop(columns=spare)


def read_parquet(path, whole):
    """Read a Parquet file; what its index holds is a column, if it has a name."""
    frame = pd.read_parquet(path)
    frame = frame.reset_index(drop=frame.index.names == [None])
    kept = frame if whole else frame.dropna(how="all").reset_index(drop=True)
    kept.attrs["empty"] = len(frame) - len(kept)
    return kept


def read_csv(path, dtype, whole):
    """Read a CSV file; its empty rows go before they turn whole numbers into fractions."""
    text = decoded(path)
    how, above = dialect(text, path)
    names, skipped = layout(text, how["sep"], above, whole, path)
    frame = pd.read_csv(io.StringIO(text), **how, names=names, header=0, skiprows=skipped, dtype=dtype)
    frame.attrs["empty"] = len(skipped) - above
    return frame


def left_out(frame):
    """Note how many wholly empty rows of a file were left out."""
    n = frame.attrs["empty"]
    return [f"{n:,} rows are wholly empty and were left out; rows are numbered without them."] if n else []


def each_once(names, path):
    """Refuse columns of one name."""
    names = list(map(str, names))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MedkitError(f"{path}: several columns are called '{', '.join(twice)}'. Give each a name of its own.")


def counts(values):
    """Say whether values are whole numbers, each once, or none at all."""
    values = pd.to_numeric(values.dropna(), errors="coerce")
    return values.is_unique and (values % 1 == 0).all()


def decoded(path):
    """Read a text file as UTF-8, UTF-16 (with its mark), or else as Windows-1252, as Excel in the West writes it."""
    body = path.read_bytes()
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16")
    if body.startswith((b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf")):  # .xlsx or zip, gzip, old .xls
        raise MedkitError(f"{path} is no text (a workbook, or packed?). Save the table as CSV in UTF-8, or as .parquet.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def separator(header):
    """Find what separates the names in a table's first line."""
    return max(",;\t|", key=header.count)


def dialect(text, path):
    """Find how to read a table: its separator (in the header, or told by a first line "sep=;"), its decimal mark; and the
    number of lines above the header."""
    told = re.match(r'"?sep=(.)"?\r?\n', text)
    lines = [line for line in text.splitlines()[bool(told):1000] if line.strip()]
    sep = told[1] if told else separator(lines[0] if lines else "")
    cell = rf"(?<![^{re.escape(sep)}])-?(\d+,\d+)(?![^{re.escape(sep)}])"
    found = [n for line in lines for n in re.findall(cell, line)] if sep != "," else []
    if found and all(re.fullmatch(r"[1-9]\d?\d?,\d{3}", n) for n in found):
        raise MedkitError(f"{path}: '{found[0]}' can be {found[0].replace(',', '.')} or {found[0].replace(',', '')}. "
                          "Write the numbers without such a comma.")
    return {"sep": sep, "decimal": "," if found else ".", "low_memory": False, "na_values": ["?"]}, int(bool(told))


def layout(text, sep, above, whole, path):
    """Give the names in a header, less spaces around them, and which rows to skip; a longer row would shift the columns."""
    rows, names, skipped = csv.reader(io.StringIO(text, newline=""), delimiter=sep), [], []
    for k, row in enumerate(rows):
        if k < above or (row and not whole and not any(map(str.strip, row))):
            skipped.append(k)
        elif not names:
            names = [name.strip() or f"Unnamed: {n}" for n, name in enumerate(row)]
        elif len(row) > len(names):
            raise MedkitError(f"{path}, line {rows.line_num} has more cells than its header: {len(row)}, not "
                              f"{len(names)}. Is a '{sep}' part of a text or a number? Then put it in quotes.")
    each_once(names, path)
    return names, skipped
