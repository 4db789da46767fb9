"""The schema of an analyst's own data: inferred, written for correction, read back and checked.

It is a TOML file: `ward.toml` beside a table `ward.csv`, `schema.toml` inside a folder of images or recordings.
"""

import json
import re
from pathlib import Path

import pandas as pd

from ..errors import MedkitError, unknown
from ..files import write_text
from . import tables
from .folder import SUFFIXES, read_labels

KINDS = ("table", "images", "recordings")
# Words in the names of columns, by what such a column is likely to be.
WORDS = {"outcome": "outcome died death mortality dead target label event readmitted diagnosis class",
         "patient": "patient patient_id patientid patient_nbr patient_no patient_number mrn subject subject_id subjectid "
                    "participant participant_id record_id pid case_id id",
         "treatment": "treatment arm therapy", "outcome_date": "outcome_date died_on death_date event_date"}
GROUPS = "sex gender age race ethnicity hospital site centre center ward scanner device".split()
NEGATIVE = "0 0.0 false no n nein non none placebo negative negativ benign control well normal healthy gesund alive survived lived".split()
POSITIVE = "true yes y ja oui died dead deceased verstorben positive positiv malignant case ill krank abnormal disease".split()
NAMING = re.compile(r"(?i)(^|[\W_])(id|nr|nbr|no|code)$")  # a column so called holds names, even where they are digits
CODE = re.compile(r"[A-Za-z]\d[\w.]*")  # V57 among numbers such as 250.83: a code of diagnoses
COMMA = r"\s*-?\d+(\.\d{3})*(,\d+)+(\.\d+)?\s*"  # 0,92 or 250,000 or 2.500,00 as text; whole ones are few
DAY_FIRST = r"\d{1,2}\.\d{1,2}\.\d{4}|(1[3-9]|[23]\d)[-/]\d{1,2}[-/]\d{4}"  # a date that begins with the day
DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}( .*)?")


def kind_of(path):
    """Tell what a path holds: "table", "images" or "recordings"."""
    if not path.exists():
        raise MedkitError(f"There is no file or folder {path}.")
    if path.is_file():
        if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".parquet"):
            raise MedkitError(f"{path} is neither a table (.csv, .tsv, .txt, .parquet) nor a folder.")
        return "table"
    if not (path / "labels.csv").exists():
        return "images"  # one subfolder per class; the reader says so if there is none
    table = tables.read_frame(path / "labels.csv")
    tables.columns_there(table, ["file"], path / "labels.csv")
    return "images" if table["file"].map(lambda f: Path(str(f)).suffix.lower() in SUFFIXES).any() else "recordings"


def read(path):
    """Read and check the schema of some data; what it does not say is inferred."""
    told, where = tables.schema_beside(path), tables.place(path)
    found = infer(path) | told
    if found["kind"] not in KINDS:
        raise MedkitError(f"{where}: {unknown('kind', found['kind'], KINDS)}")
    for key, low, high in (("size", 16, 1024), ("seconds", 0.1, 3600), ("fs", 1, 100_000)):
        if key in found and not low <= found[key] <= high:
            raise MedkitError(f"{where}: '{key}' should lie between {low} and {high:,}, not at {found[key]}.")
    if found["kind"] != "table":
        return found | {"columns": told.get("columns", {})}
    frame = tables.read_frame(path)
    if not found.get("outcome"):
        raise no_outcome(frame, path)
    inferred = infer_columns(frame, found)
    ignored = [c for c, kind in inferred.items() if kind == "ignore" and c not in told.get("columns", {})]
    return found | {"columns": inferred | told.get("columns", {})} | ({"ignored": ignored} if ignored else {})


def no_outcome(frame, path):
    """Make the error for a table in which no column can be the outcome: it names a column that is called so in vain."""
    bare = bare_outcomes(frame)
    why = (f"'{bare[0]}' has one value only" if bare else
           "none has a name such as died, and none but groups such as sex has two values")
    return MedkitError(f"{path}: which column is the outcome is not clear: {why}. Name it in {tables.place(path)}, by the "
                       f'line outcome = "NAME". Columns: {", ".join(map(str, frame.columns))}.')


def bare_outcomes(frame):
    """Name the columns that are called like an outcome, but have one value only."""
    return [c for c in frame if str(c).lower() in WORDS["outcome"].split() and frame[c].nunique() < 2]


def infer(path):
    """Infer the keys of a schema, less its columns, from the names and values of the data."""
    kind = kind_of(path)
    if kind != "table":
        columns = tables.read_frame(path / "labels.csv") if (path / "labels.csv").exists() else []
        return {"kind": kind} | ({"size": 64} if kind == "images" else {"seconds": 10}) | {"groups": groups_in(columns)}
    frame = tables.read_frame(path)
    if not len(frame):
        raise MedkitError(f"{path} has no rows.")
    found = {"kind": kind} | {role: name for role in WORDS if (name := by_name(frame, role))}
    two = [c for c in frame if frame[c].nunique() == 2 and str(c).lower() not in GROUPS and c not in found.values()]
    if two and not bare_outcomes(frame):
        found.setdefault("outcome", two[-1])
    return found | {"groups": groups_in(frame)}


def groups_in(columns):
    """Find the columns of subgroups by their names."""
    return [c for c in columns if str(c).lower() in GROUPS]


def by_name(frame, role):
    """Find the column whose name says that it plays a role, or None; an outcome has 2 to 20 values."""
    lower = {str(c).lower(): c for c in frame}
    names = [lower[word] for word in WORDS[role].split() if word in lower]
    return next((c for c in names if role not in ("outcome", "treatment") or 2 <= frame[c].nunique() <= 20), None)


def nobody(frame):
    """Say that no column names the patient, and which may do so after all: its values repeat."""
    like = [c for c in frame if NAMING.search(str(c)) and len(frame) / 4 < frame[c].nunique() < len(frame)]
    return "No patient is named: each row counts as a patient of its own." + (
        f" If '{like[0]}' does, whose values repeat, the test is too kind: say so in the schema." if like else "")


def infer_columns(frame, schema):
    """Infer the type of each column of a table that may serve as a variable."""
    roles = {schema.get(key) for key in ("outcome", "patient", "outcome_date")}
    return {c: type_of(frame[c].dropna(), bool(NAMING.search(str(c)))) for c in frame if c not in roles}


def type_of(values, naming=False):
    """Infer a column's type: number (unless it is `naming` things), category, date, or (free text, names, nothing) ignore."""
    if pd.api.types.is_bool_dtype(values):
        return "category"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "date"
    count = values.astype(str).value_counts()
    texts, most = count.index, 0.8 * max(len(values), 1)
    number = pd.to_numeric(pd.Series(texts), errors="coerce").notna().to_numpy()
    if count[number].sum() >= most and texts[~number].str.fullmatch(CODE).sum() < 3 and not naming:
        return "number"  # a word among the numbers is then an error that names its row
    if count[texts.str.fullmatch(COMMA)].sum() >= most:
        return "ignore"  # and not a category: the reader is told
    if count[texts.str.fullmatch(DATE)].sum() >= most:
        return "date"
    return "category" if 0 < len(count) <= min(50, len(values) / 2) else "ignore"


def dates_in(frame):
    """Name the columns that hold dates."""
    return [c for c in frame if type_of(frame[c].dropna()) == "date"]


def when(dates):
    """Read columns of dates, as of UTC; 05.03.2023 is in March, 05/03/2023 only beside such as 13/03/2023."""
    day_first = any(dates[c].astype(str).str.match(DAY_FIRST).any() for c in dates)
    return {c: pd.to_datetime(dates[c], errors="coerce", format="mixed", dayfirst=day_first, utc=True) for c in dates}


def why_ignored(values):
    """Say why a column is not used, without quoting it."""
    texts = values.dropna().astype(str)
    return ("it is empty" if not len(texts) else "numbers with commas: write 0.92 for 0,92, and 250000 for 250,000"
            if texts.str.fullmatch(COMMA).mean() >= 0.8 else "names, texts, or too many")


def positive_of(counts):
    """Guess which of two classes is the one to find: by their names, else the rarer. `counts` is {class: rows}."""
    return min(counts, key=lambda c: (c.lower() not in POSITIVE, c.lower() in NEGATIVE, counts[c]))


def write(path, force=False):
    """Write the inferred schema beside the data, with remarks, and give its path."""
    path = Path(path).expanduser()
    where = tables.place(path)
    if where.exists() and not force:
        raise MedkitError(f"{where} is there already. Edit it, or replace it with --force.")
    schema = infer(path)
    lines = [f"# Inferred from {path.name!r}. Correct what is wrong, then run: medkit report PATH"]
    lines += [f"{key} = {toml(value)}" for key, value in schema.items()]
    lines += (remarks(schema, tables.read_frame(path)) if schema["kind"] == "table" else
              positive_line(read_labels(path)["label"]))
    write_text(where, "\n".join(lines) + "\n")
    return where


def remarks(schema, frame):
    """Give the part of a table's schema that tells of its columns."""
    absent = [f'# {key} = "..."  # {what}' for key, what in (
        ("outcome", "the column to predict, which must be named"),
        ("patient", "the column that names the patient; without it each row is a patient"),
        ("treatment", "the column that tells the treatment"), ("outcome_date", "when the outcome came to be known"))
        if key not in schema]
    told = [f"{toml(c)} = {toml(kind)}  # {about(frame[c], kind)}" for c, kind in infer_columns(frame, schema).items()]
    positive = positive_line(frame[schema["outcome"]]) if "outcome" in schema else []
    return [*positive, *absent, "", "[columns]  # number, category, date or ignore", *told, "",
            "[units]  # for example: creatinine = \"mg/dL\"; a saved model refuses data in other units"]


def positive_line(outcomes):
    """Give the line that says which of two classes is to be found: the guess of `positive_of`."""
    counts = {str(c): n for c, n in outcomes.value_counts().items()}
    return [f"positive = {toml(positive_of(counts))}  # of the two classes, the one to find"] * (len(counts) == 2)


def about(values, kind):
    """Say in a few words what a column holds, without quoting texts of patients."""
    gaps = f", {values.isna().mean():.0%} missing" if values.isna().any() else ""
    if kind != "number":
        return f"{values.nunique()} different values{gaps}" + (f"; {why_ignored(values)}" if kind == "ignore" else "")
    number = pd.to_numeric(values, errors="coerce")
    wrong = values.index[number.isna() & values.notna()]
    words = f"; {len(wrong)} cells hold no number (row {wrong[0] + 1}): mend them" if len(wrong) else ""
    return f"{number.min():g} to {number.max():g}{gaps}{words}"


def toml(value):
    """Write a value as TOML."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
