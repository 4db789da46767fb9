"""The start page's checks and progress: which exercises are right, kept on disk beside the working copies.

It is kept only in a folder that holds `progress.json`; `make lab`, `medkit student` and the start page put one there.
"""

import json
from pathlib import Path

from . import lessons
from .errors import MedkitError
from .files import write_text

FILE = "progress.json"


def begin(folder):
    """Make an empty record of progress in a folder that has none."""
    if not (Path(folder) / FILE).exists():
        keep({}, folder)


def keep(known, folder):
    """Write the record, or say why it cannot be kept: a course may lie where its learner may not write."""
    try:
        write_text(Path(folder) / FILE, json.dumps(known, indent=1, sort_keys=True) + "\n")
    except MedkitError as error:
        print(f"Your progress is not kept here: {str(error).split('. ')[0]}. Copy this folder to one of your own, and open it there.")


def read(folder="."):
    """Give the state of each exercise that was tried, {"1.2": "right" or "not yet"}; {} where none can be read."""
    try:
        known = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): v for k, v in known.items() if v in ("right", "not yet")} if isinstance(known, dict) else {}


def note(exercise, state, folder="."):
    """Keep the state of an exercise; what was right once stays right."""
    known = read(folder)
    if (Path(folder) / FILE).exists() and state != "not tried" and known.get(exercise) not in ("right", state):
        keep({**known, exercise: state}, folder)


def show(folder="."):
    """Show in a notebook each lesson here with a link and how many of its exercises are right, and what comes next."""
    from .report import say

    begin(folder)
    known, rows, nxt = read(folder), [], None
    here = [p for p in lessons.sources() if (Path(folder) / f"{p.stem}.ipynb").exists()]
    for path in here or lessons.sources():
        names = lessons.exercises(path)
        right = sum(known.get(name) == "right" for name in names)
        link = f"[{lessons.facts(path)['title']}]({path.stem}.ipynb)"
        rows.append(f"| {int(path.stem[:2])} | {link} | {'●' * right}{'○' * (len(names) - right)} "
                    f"{right} of {len(names)} right |")
        nxt = nxt or (link if right < len(names) else None)
    say("\n".join(["| | Lesson | Exercises |", "|---|---|---|", *rows, "",
                   f"Next: {nxt}" if nxt else "All exercises are right. Well done!"]))


def check_machine():
    """Show in a notebook what `medkit doctor` finds, and what to do about it."""
    from . import doctor
    from .report import say

    rows = [f"| {what} | {state} | {advice or 'nothing'} |" for what, state, advice in doctor.findings()]
    say("\n".join(["| What | How it is | What to do |", "|---|---|---|", *rows]))
