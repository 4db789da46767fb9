"""A folder for a class: `medkit student` writes it, `medkit collect` reads back what came of it."""

import hashlib
import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

from . import catalog, fetch, handouts, lessons, progress
from .build import write_notebook
from .errors import MedkitError
from .files import make_folder, write_text, written_whole

FORMS = {"2 hours": [120], "half a day": [240], "2 days": [420, 420]}  # minutes of each day
WELCOME, EXERCISE, BREAK, UNTIL_BREAK, LUNCH = 10, 5, 15, 90, 60  # minutes that we set; the lessons' own are measured
LARGER = re.compile(r"_(64|128|224)\.npz$")  # of a MedMNIST set: lessons show its images of 28 pixels unless told otherwise
LARGEST = 200_000_000  # bytes of notebooks in one zip file: more is no hand-in
HANDED_IN = {".ipynb", ".zip", ".7z", ".gz", ".rar", ".tar", ".tgz"}  # beside folders; of archives only zip can be read
SAID = re.compile(r"Exercise (\d+\.\d+): (right|not yet)\b")


def write(out, words=(), data=()):
    """Write the folder for a class.

    Parameters
    ----------
    out : path
        Gets `students/` (exercises, start page, glossary, data) and `teacher/` (agenda, notes, slides, solutions).
    words : list of str
        Lessons by number or name; none means all.
    data : list of str
        Data sets to fetch first, if they are not here (of a MedMNIST set the images of 28 pixels alone).

    Returns
    -------
    dict of str to list of str
        The files that were mirrored of each data set that the lessons know; none for one that is not here.
    """
    paths = chosen(words)
    empty_of_others(Path(out), paths)
    for name in data:
        for file in [f for f in fetch.names(name) if not LARGER.search(f)] or [None]:
            fetch.get(name, file)
    students, teacher = make_folder(Path(out) / "students"), make_folder(Path(out) / "teacher")
    notebooks(paths, "exercises", students / "notebooks")
    notebooks(paths, "solutions", teacher / "solutions")
    write_text(students / "notebooks" / progress.FILE, "{}\n")  # what a teacher tried there is not handed out
    shutil.rmtree(students / "notebooks" / ".ipynb_checkpoints", ignore_errors=True)
    with written_whole(students / "notebooks.zip") as aside:
        shutil.make_archive(aside.with_suffix(""), "zip", students, "notebooks")
    for path in paths:
        handouts.notes(path, make_folder(teacher / "notes") / f"{path.stem}.html")
        handouts.slides(path, make_folder(teacher / "slides") / f"{path.stem}.html")
    numbers = {int(p.stem[:2]) for p in paths}
    known = [c.id for c in catalog.cards().values() if (c.files or c.manifest) and numbers & set(c.lessons)]
    copied = {name: fetch.mirror(name, students / "data") for name in dict.fromkeys([*known, *data])}
    pages(paths, copied, students, teacher)
    return copied


def empty_of_others(out, paths):
    """Refuse a folder of an earlier class with other lessons: they would be handed out with these."""
    for path in [p for p in lessons.sources() if p not in paths]:
        if any((out / part / f"{path.stem}.ipynb").exists() for part in ("students/notebooks", "teacher/solutions")):
            raise MedkitError(f"{out} holds '{path.stem}' of another class, which would be handed out too. Choose "
                              "another folder with --out, or remove this one.")


def chosen(words):
    """Give the lessons meant by some words, in order; all for none."""
    paths = sorted({lessons.find(word) for word in words}) or lessons.sources()
    if strange := [p.name for p in paths if p not in lessons.sources()]:
        raise MedkitError(f"A class takes lessons, and '{strange[0]}' is none. See: medkit list")
    return paths


def notebooks(paths, kind, folder):
    """Write the notebooks of some lessons, the start page and the glossary into a folder."""
    for path in paths:
        write_notebook(make_folder(folder) / f"{path.stem}.ipynb", lessons.compose(path, kind, paths))
    write_notebook(folder / "start.ipynb", lessons.page("start", paths))
    write_notebook(folder / "glossary.ipynb", lessons.page("glossary"))


def pages(paths, copied, students, teacher):
    """Write the pages for the teacher and the one for the students."""
    listed = "\n".join(f"- {lessons.facts(p)['title']}: [notes](notes/{p.stem}.html), [slides](slides/{p.stem}.html), "
                       f"[solutions](solutions/{p.stem}.ipynb)" for p in paths)
    texts = {name: (lessons.folder() / f"{name}.md").read_text("utf-8") for name in ("for_teacher", "for_students", "teaching")}
    told = texts["for_teacher"].replace("LESSONS", listed) + mirrored(copied)
    handouts.document("For the teacher", told, teacher / "index.html")
    handouts.document("For the students", texts["for_students"], students / "index.html")
    handouts.document("Agenda", agenda(paths), teacher / "agenda.html")
    handouts.document("Teaching", texts["teaching"], teacher / "teaching.html")


def mirrored(copied):
    """Say which data sets the mirror holds, and how to add another."""
    told = ["", "## Data", "", "By default no lesson needs data from elsewhere: patients are simulated, or come with "
            "a package. Real ones, by parameter, the students' machines take from `students/data`. It holds:", ""]
    held = [f"- `{name}`: {len(files)} file{'s' * (len(files) > 1)}" for name, files in copied.items() if files]
    rest = ", ".join(f"`{name}`" for name, files in copied.items() if not files)
    return "\n".join(told + (held or ["- nothing"]) + (["", f"Not on this machine, so not in it: {rest}. To fetch and add one: "
                              "`medkit student --data NAME`, with what you gave before."] if rest else []))


def agenda(paths):
    """Write the agendas for 2 hours, half a day and 2 days, as Markdown."""
    parts = ["# Agenda", "", "Computed from each lesson's minutes to read and its measured time to run, "
             f"{EXERCISE} minutes for each exercise, and a break after about {UNTIL_BREAK} minutes. What does not fit "
             "stands below as homework."]
    for form, days in FORMS.items():
        left = [step for path in paths for step in steps(path)]
        parts += ["", f"## {form[0].upper()}{form[1:]}"]
        for number, minutes in enumerate(days, 1):
            if number > 1 and not left:
                break  # the first day was enough
            rows, left = day(left, minutes, first=number == 1)
            parts += ["", f"**Day {number}**"] if len(days) > 1 else []
            parts += ["", "| From | Minutes | What |", "|---|---|---|", *rows]
        parts += ["", f"At home: {'; '.join(what for what, _ in left)}." if left else "Nothing is left for home."]
    return "\n".join(parts)


def steps(path):
    """Give the steps of a lesson: [(what, minutes)], reading with the run, then the exercises."""
    told, number = lessons.facts(path), int(path.stem[:2])
    run = -(-lessons.timings().get(path.stem, {}).get("seconds", 0) // 60)
    tasks = len(lessons.exercises(path))
    return [(f"lesson {number}, {told['title']}", told["read_minutes"] + run),
            (f"{tasks} exercises of lesson {number}", EXERCISE * tasks)]


def day(todo, minutes, first):
    """Fill one day with the steps that fit, in order: (rows of the table, what is left)."""
    rows, now, since, lunched = [], 0, 0, minutes < 360

    def add(what, length):
        nonlocal now
        rows.append(f"| {now // 60}:{now % 60:02} | {length} | {what} |")
        now += length

    if first:
        add("Welcome; the start page and its check of the machine", WELCOME)
    while todo:
        what, length = todo[0]
        pause = 0 if since + length <= UNTIL_BREAK or not since else BREAK if lunched or now < 150 else LUNCH
        if now + pause + length + WELCOME > minutes:
            break
        if pause:
            add("Lunch" if pause == LUNCH else "Break", pause)
            since, lunched = 0, lunched or pause == LUNCH
        add(f"{what[0].upper()}{what[1:]}", length)
        since, todo = since + length, todo[1:]
    add("Questions to recall, each of the day's lessons; what to take away", WELCOME)
    return rows, todo


def collect(folder, names=False):
    """Tell who got what right, from students' folders.

    Parameters
    ----------
    folder : path
        Holds a subfolder (or a zip file) for each student, with saved notebooks and perhaps `progress.json`.
    names : bool
        Name the rows by the subfolders. Otherwise they are numbered, in an order that does not follow the names.

    Returns
    -------
    DataFrame
        A row for each student, a column for each exercise: "right", "not yet" or "" (not tried). Its `attrs` hold under
        "notes" what could not be read of whom.
    """
    import pandas as pd

    found = [p for p in Path(folder).glob("[!.]*") if p.is_dir() or p.suffix.lower() in HANDED_IN
             and not p.with_suffix("").is_dir()]  # a zip file that was unpacked beside itself counts once
    if not found:
        raise MedkitError(f"{folder} holds no students' folders: put each student's folder or zip file into it, under any name.")
    found.sort(key=(lambda p: p.name) if names else (lambda p: hashlib.sha256(p.name.encode()).digest()))
    columns = [name for path in lessons.sources() for name in lessons.exercises(path)]
    states, unread = zip(*map(handed_in, found))
    index = [p.name if p.is_dir() else p.stem for p in found] if names else range(1, len(found) + 1)
    rows = [[state.get(c, "") for c in columns] for state in states]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(index, name="student"))
    table.attrs["notes"] = [f"Student {name}: {why}." for name, why in zip(index, unread) if why]
    return table


def handed_in(path):
    """Read what one student handed in: the state of each exercise, and what could not be read, or "".

    Of notebooks and `progress.json` the better state counts; what cannot be read counts as not tried.
    """
    files = {name: told_by(name, text) for name, text in contents(path)}
    kinds = {progress.FILE if name.name == progress.FILE else "a notebook" if name.suffix == ".ipynb" else
             "an archive (damaged, locked, or no zip file)" for name, told in files.items() if told is None}
    why = f"{' and '.join(sorted(kinds))} cannot be read" if kinds else "" if files else "the folder holds no notebook"
    told = [item for items in files.values() for item in items or []]
    return dict(sorted(told, key=lambda item: item[1] == "right")), why


def contents(path):
    """Give (path, text) of each notebook and `progress.json`; a zip file is read without being unpacked anywhere."""
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and (wanted(p) or p.suffix.lower() == ".zip")]
        return [item for p in inside for item in contents(p)]
    with suppress(Exception):  # damaged, or locked by a password: it fails in ways that nobody foresees
        if wanted(path):
            return [(path, path.read_text(encoding="utf-8"))]
        with ZipFile(path) as held:
            inside = {name: entry for entry in held.infolist() if wanted(name := path / entry.filename.replace("\\", "/"))}
            if sum(entry.file_size for entry in inside.values()) <= LARGEST:
                return [(name, held.read(entry).decode("utf-8")) for name, entry in inside.items()]
    return [(path, None)]


def wanted(path):
    """Tell whether a file can tell of exercises."""
    usual = ".ipynb_checkpoints" not in path.parts and not path.name.startswith("._")
    return usual and (path.name == progress.FILE or path.suffix == ".ipynb")


def told_by(path, text):
    """Give what a file tells of exercises, [(name, state)]; None for one that is neither notebook nor progress."""
    try:
        held = json.loads(text)
        if path.name == progress.FILE:
            return [item for item in held.items() if item[1] in ("right", "not yet")]
        printed = ("".join(o.get("text", [])) for c in held["cells"] for o in c.get("outputs", []))
        return SAID.findall("\n".join(printed))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def summary(table):
    """Give the two tables for the screen: right answers of each student by lesson, and of each exercise by class."""
    right = table.eq("right")
    lesson = right.columns.str.partition(".").get_level_values(0)
    tried = (table != "").any()
    return right.T.groupby(lesson, sort=False).sum().T, right.loc[:, tried].mean().sort_values()
