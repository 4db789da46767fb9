"""The `medkit` command."""

import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from . import __version__, catalog, lessons
from .errors import MedkitError, brief
from .files import write_text

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
data = typer.Typer(help="Data sets: list them, read their cards, download and check their files.", no_args_is_help=True)
app.add_typer(data, name="data")

Lessons = Annotated[Optional[list[str]], typer.Argument(help="Numbers or names; none means all. See: medkit list")]
Given = Annotated[list[str], typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated.")]
Out = Annotated[Optional[Path], typer.Option(help="Folder for the pages. Default: reports/<date and time>.")]
Grid = Annotated[Optional[Path], typer.Option(help="Many: a YAML file of lists, such as 'seed: [0, 1]'; every combination.")]
Each = Annotated[Optional[Path], typer.Option(help="Many: a CSV file; a column each parameter, a report each row.")]
Jobs = Annotated[int, typer.Option(min=1, help="How many at once on this machine.")]
Scheduler = Annotated[Optional[str], typer.Option(help="A Dask cluster's address, tcp://HOST:PORT; it runs them instead.")]
Engine = Annotated[Optional[str], typer.Option(help="warm (libraries loaded once; the default for several) or plain.")]
TimeLimit = Annotated[Optional[float], typer.Option(min=0.1, metavar="SECONDS", help="Stop a report after so long.")]
MemoryLimit = Annotated[Optional[float], typer.Option(min=1, metavar="MB", help="Stop a report that holds more.")]
Again = Annotated[bool, typer.Option("--again", help="Also run what the folder holds already.")]
Name = Annotated[str, typer.Argument(metavar="DATASET", help="The data set's id. See: medkit data list")]


def dated():
    """Name a folder for the pages of this moment."""
    return Path("reports") / datetime.now().strftime("%Y-%m-%d_%H%M%S")


def show_version(wanted: bool):
    """Print the version and stop."""
    if wanted:
        print(f"medkit {__version__}")
        raise typer.Exit


@app.callback()
def options(version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True,
                                                  help="Show the version.")] = False,
            debug: Annotated[bool, typer.Option("--debug", help="Of an error, show the traceback too.")] = False):
    """Learn deep learning on medical data, and run the lessons as reports."""


def table(title, *columns):
    """Make an empty table for the terminal."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold")
    for k, column in enumerate(columns):
        made.add_column(column, no_wrap=k == 0)  # what one types is never cut
    return made


def show(thing):
    """Print to the terminal, in colour where it has any."""
    from rich.console import Console

    Console(soft_wrap=False, markup=False, emoji=False).print(thing)  # [x] and :x: in a name are names


@app.command("list")
def list_lessons(parameters: Annotated[bool, typer.Option("--parameters", help="Show their parameters too.")] = False):
    """List the lessons: number, title, data, measured time.

    Example: medkit list --parameters
    """
    rows = table("Lessons", "No.", "Title", "Data", "Seconds to run")
    for path in lessons.sources():
        facts, timing = lessons.facts(path), lessons.timings().get(path.stem, {})
        rows.add_row(path.stem[:2], facts["title"], facts["data"], str(timing.get("seconds", "")))
    show(rows)
    if parameters:
        show_parameters()


def show_parameters():
    """Print the parameters of every lesson."""
    from .report.parameters import read

    for path in lessons.sources():
        rows = table(f"Parameters of {path.stem}", "Name", "Takes", "Default", "What it is")
        for p in read(lessons.compose(path, "report")).values():
            rows.add_row(p.name, " | ".join(map(str, p.choices)) or p.kind, repr(p.default), p.help)
        show(rows)


@app.command()
def run(words: Lessons = None, param: Given = [], out: Out = None, grid: Grid = None, for_each: Each = None,
        jobs: Jobs = 1, scheduler: Scheduler = None, engine: Engine = None, time_limit: TimeLimit = None,
        memory_limit: MemoryLimit = None, again: Again = False):
    """Run lessons as reports, and write one page about all of them.

    Example: medkit run 3 -p dataset=pneumoniamnist -p seed=1 --out my-report

    Example: medkit run my_report.ipynb --for-each patients.csv --jobs 2 --out patients

    A second run into the same folder does only what is missing, failed or changed.

    Exit code: 0 if all are done, 1 if one failed, 2 for a wrong lesson or parameter, 130 if it was interrupted.
    """
    from .report import plan, run as runner

    out = out or dated()
    rows = plan.cross(plan.grid(grid) if grid else None, plan.table(for_each) if for_each else None)
    try:
        tasks = runner.run(words or [], pairs(param), out, True, rows, jobs, scheduler, engine, again, time_limit,
                           memory_limit)
    except KeyboardInterrupt:
        print(f"\nInterrupted. What was finished is in {out}; the same command with --out {out} does the rest.",
              file=sys.stderr)
        raise typer.Exit(130) from None
    tell(tasks, out)
    raise typer.Exit(int(any(t.status == "failed" for t in tasks)))


@app.command()
def new(source: Annotated[Path, typer.Option("--from", metavar="PATH", help="A table, or a folder of images or recordings.")],
        force: Annotated[bool, typer.Option("--force", help="Replace a schema that is there.")] = False):
    """Write the schema of your own data, as inferred, for you to correct.

    Example: medkit new --from ward.csv
    """
    from .datasets import schema

    print(f"Wrote {schema.write(source, force)}. Read it, correct it, then run: medkit report {source}")


@app.command()
def report(source: Annotated[Path, typer.Argument(metavar="PATH", help="A table, or a folder of images or recordings.")],
           param: Given = [], out: Out = None, again: Again = False):
    """Report on your own data: data card, a model chosen against baselines, model card. The model is saved beside it.

    Example: medkit report ward.csv --out ward-report, then
    medkit run patient -p model=ward-report/model -p data=ward.csv -p patient=P00012
    """
    from .datasets import own

    print(own.load(source).told())  # what is wrong with the data is told at once
    out = out or dated()
    run(["10"], [f"dataset={source}", f"save_to={out / 'model'}", *param], out, again=again)


def tell(tasks, out):
    """Print how tasks ended: each of a few; of many, how many, and the first that failed."""
    few = len(tasks) <= 20
    for task in tasks if few else [t for t in tasks if t.status == "failed"][:10]:
        time = f" in {task.seconds:.0f} s" if task.seconds is not None else ""
        print(f"{task.stem}: {task.status}{time}" + (f" - {task.error}" if task.error else ""))
    if not few:
        print(", ".join(f"{sum(t.status == s for t in tasks)} {s}" for s in ("done", "failed", "not started")))
    print(f"\nOpen {Path(out).resolve() / 'index.html'}")


def pairs(given):
    """Read NAME=VALUE pairs."""
    if wrong := [text for text in given if "=" not in text]:
        raise MedkitError(f"A parameter is given as NAME=VALUE, not as '{wrong[0]}'. Example: -p seed=1")
    return dict(text.split("=", 1) for text in given)


@app.command()
def doctor():
    """Check this machine: versions, device, memory, disk, cache, network, and what to do about each."""
    from . import doctor as checks

    rows = table("This machine", "What", "How it is", "What to do")
    for what, state, advice in checks.findings():
        rows.add_row(what, state, advice)
    show(rows)


@app.command()
def student(words: Lessons = None, out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("classroom"),
            fetch: Annotated[list[str], typer.Option("--data", metavar="DATASET", help="Fetch this for the class.")] = []):
    """Write a folder for a class: exercises, data mirror, agenda, notes, slides.

    Example: medkit student 1 3 --data pneumoniamnist --out class
    """
    from . import classroom

    copied = classroom.write(out, words or [], fetch)
    held = ", ".join(name for name, files in copied.items() if files)
    print(f"Data in the mirror: {held or 'none'}\n\nOpen {out.resolve() / 'teacher' / 'index.html'}")


@app.command()
def collect(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Holds a subfolder or a zip file for each student.")],
            out: Annotated[Optional[Path], typer.Option(help="Also write the whole table as CSV.")] = None,
            names: Annotated[bool, typer.Option("--names", help="Name the subfolders; else they are numbered.")] = False):
    """Tell who got which exercise right, from the students' folders. No name is shown unless asked for.

    Example: medkit collect collected --out results.csv
    """
    from . import classroom

    found = classroom.collect(folder, names)
    by_lesson, by_exercise = classroom.summary(found)
    rows = table("Right answers by lesson", "Student", *by_lesson)
    for name, counts in by_lesson.iterrows():
        rows.add_row(str(name), *map(str, counts))
    show(rows)
    hardest = ", ".join(f"{name} ({share:.0%})" for name, share in by_exercise.head(5).items())
    print(f"Exercises that fewest got right, of those that somebody tried: {hardest or 'none was tried'}")
    for note in found.attrs["notes"]:
        print(f"Warning: {note} It counts as not tried." + " Who it is: --names." * (not names), file=sys.stderr)
    if out:
        write_text(out, found.to_csv())


@data.command("mirror")
def mirror_data(names: Annotated[list[str], typer.Argument(metavar="DATASET...", help="See: medkit data list")],
                out: Annotated[Path, typer.Option(help="Folder to copy to.")] = Path("mirror")):
    """Copy data sets, fetched first if need be, for others to take from: MEDKIT_MIRROR.

    Example: medkit data mirror mitdb --out mirror, then python -m http.server --directory mirror
    """
    from . import fetch

    for name in names:
        fetch.get(name)
        print(f"{name}: {len(fetch.mirror(name, out))} files in {out / name}")


@data.command("list")
def list_data():
    """List the data sets, and which are on this machine."""
    from . import fetch

    rows = table(f"Data sets (cache: {fetch.root()})", "Id", "What", "Size", "Licence", "Here")
    for card in catalog.cards().values():
        rows.add_row(card.id, card.title, card.size, card.licence, fetch.presence(card.id))
    show(rows)


@data.command("card")
def show_card(name: Name):
    """Show all that is known of a data set: source, licence, citation, pitfalls."""
    card = catalog.card(name)
    rows = table(f"{card.title} ({card.id})", "", "")
    rows.show_header = False
    for label in ("summary", "task", "patients", "size", "licence", "licence_url", "citation", "doi", "homepage"):
        if getattr(card, label):
            rows.add_row(label.replace("_", " "), str(getattr(card, label)))
    for pitfall in card.pitfalls:
        rows.add_row("pitfall", pitfall)
    show(rows)


@data.command()
def get(name: Name, file: Annotated[Optional[str], typer.Option(help="Only this file.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Replace altered files.")] = False):
    """Download a data set's files from their official source, and check them.

    A download that was cut off goes on where it stopped.
    """
    from . import fetch

    for path in fetch.get(name, file, force=force):
        print(path)


@data.command()
def verify(name: Name):
    """Check a data set's files on this machine against the publisher's checksums."""
    from . import fetch

    states = fetch.verify(name)
    for file, state in states.items():
        print(f"{state:8} {file}")
    raise typer.Exit(int(not states or not {"altered", "missing"}.isdisjoint(states.values())))


def main():
    """Run the command; an error becomes one line, and exit code 2 (`MedkitError`) or 1. `--debug` may stand anywhere."""
    if hasattr(sys.stdout, "reconfigure"):  # not where a test or a notebook stands in for it
        sys.stdout.reconfigure(errors="replace")  # a terminal or log that knows ASCII alone
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    try:
        app()
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        told = str(error) if isinstance(error, MedkitError) else (
            f"this was not foreseen: {type(error).__name__}: {brief(error)}. --debug shows where.")
        print(f"medkit: {told}", file=sys.stderr)
        sys.exit(2 if isinstance(error, MedkitError) else 1)
