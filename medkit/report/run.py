"""Run tasks, one or ten thousand, and write one page and one file about all of them."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager

from ..errors import MedkitError, unknown
from ..files import make_folder, write_text
from . import execute, index, ledger, warm
from .plan import plan
from .worker import Worker


def run(words, given, out, progress=True, rows=None, jobs=1, scheduler=None, engine=None, again=False, time_limit=None,
        memory_limit=None):
    """Run lessons with parameters, whatever becomes of each, and write the index.

    A run into the folder of an earlier one does only what is missing, failed or changed.

    Parameters
    ----------
    words : list of str
        Lessons by number or name, or paths of notebooks; empty means all lessons.
    given : dict
        Parameters.
    out : path
        The folder that gets `index.html`, `results.json`, and each report as .html and .ipynb.
    rows : list of (str, dict), optional
        Many sets of parameters, from `plan.grid` or `plan.table`.
    jobs : int
        How many at once on this machine.
    scheduler : str, optional
        The address of a Dask cluster whose workers see `out` and the data; they run the tasks instead.
    engine : str, optional
        "warm" (kernels with the libraries loaded, see `warm.ways`) or "plain". Default: warm for several tasks.
    again : bool
        Run all tasks, whatever is there already.
    time_limit, memory_limit : float, optional
        Of each task, in seconds and MB.

    Returns
    -------
    list of Task

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, when what ran was stopped and the index says how things stand.
    """
    if engine not in (None, "warm", "plain"):
        raise unknown("engine", engine, ["warm", "plain"])
    tasks = plan(words, given, rows)
    out = make_folder(out)
    with ledger.locked(out), ExitStack() as stack:
        todo = [t for t in tasks if again or not ledger.restore(t, out, ledger.key(t))]
        use_warm = engine != "plain" and (engine == "warm" or len(todo) > 1)
        bar = progress and jobs == 1 and rows is None and not scheduler  # a bar of cells; else one of reports
        options = {"time_limit": time_limit, "memory_limit": memory_limit, "warm": use_warm, "bar": bar}
        board = Board(tasks, out)
        if todo:
            stack.enter_context(ended_by_signal())
            submit = stack.enter_context(cluster(scheduler) if scheduler else local(min(jobs, len(todo)), use_warm))
            carry_out(todo, lambda task: submit(execute.order(task, out, **options)), board, progress and not bar)
    return tasks


def carry_out(todo, submit, board, progress):
    """Hand out all tasks, note each end as it comes, and leave the index true whatever happens."""
    from tqdm import tqdm

    done = len(board.tasks) - len(todo)
    with tqdm(total=len(board.tasks), initial=done, unit="report", disable=not progress, leave=False) as shown:
        futures = {submit(task): task for task in todo}
        try:
            for future in as_completed(futures):
                board.note(futures[future], facts_of(future))
                shown.update()
        finally:
            board.write()


def facts_of(future):
    """Give the facts of a task that has ended, also where its worker could not tell them."""
    error = future.exception()
    return {"status": "failed", "error": f"the worker was lost: {error}"} if error else future.result()


class Board:
    """`results.json` and `index.html`: written whole, as often as costs little."""

    def __init__(self, tasks, out):
        self.tasks, self.out = tasks, out
        self.write()

    def note(self, task, facts):
        """Note how a task ended."""
        vars(task).update(facts)
        if time.monotonic() - self.written > 20 * self.cost:
            self.write()

    def write(self):
        """Write both files as things stand."""
        start = time.monotonic()
        write_text(self.out / "results.json", json.dumps([t.result() for t in self.tasks], indent=1) + "\n")
        write_text(self.out / "index.html", index.page(self.tasks))
        self.written = time.monotonic()
        self.cost = self.written - start


@contextmanager
def local(jobs, use_warm):
    """Give the function that hands a task to one of `jobs` worker processes of this machine."""
    server = warm.start() if use_warm and warm.fork in warm.ways() else None
    share = {} if jobs == 1 else dict.fromkeys(warm.THREADS, str(max(1, os.cpu_count() // jobs)))
    mine, everyone = threading.local(), []  # each thread has a worker of its own

    def begin():
        mine.worker = Worker({**share, **os.environ})
        everyone.append(mine.worker)

    pool = ThreadPoolExecutor(jobs, initializer=begin)
    try:
        yield lambda ordered: pool.submit(lambda: mine.worker.call(ordered))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in everyone:
            worker.stop()
        pool.shutdown()
        if server:
            warm.stop(server)


@contextmanager
def cluster(address):
    """Give the function that hands a task to a Dask cluster."""
    try:
        from distributed import Client
    except ImportError:
        raise MedkitError("--scheduler needs Dask, which is not installed. Install it with: "
                          "pip install 'medkit-notebooks[cluster]'") from None
    try:
        client = Client(address, timeout=5)
    except (OSError, ValueError) as error:
        raise MedkitError(f"No Dask scheduler answers at {address}: {error}") from None
    pool = client.get_executor(pure=False)
    try:
        yield lambda ordered: pool.submit(execute.run, ordered)
    finally:
        pool.shutdown(wait=False)
        client.close()


@contextmanager
def ended_by_signal():
    """Let SIGTERM end a run as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
