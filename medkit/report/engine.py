"""The papermill engine `warm`: kernels that have the libraries loaded, and limits on each report.

`papermill --engine warm in.ipynb out.ipynb`. Papermill loads this module while it is itself being imported, so
nothing of papermill is imported at the top, and the engine's class is made when it is asked for.
"""

import threading
from functools import cache
from subprocess import DEVNULL
from time import monotonic

from nbclient.exceptions import CellTimeoutError, DeadKernelError

from . import processes

STREAM_LIMIT, OUTPUT_LIMIT = 2**20, 20 * 2**20  # characters that one cell may print, and show otherwise
GAP = 0.2  # seconds between two looks at a kernel's memory


class LimitError(Exception):
    """A report was stopped because it took too long or too much memory."""


def __getattr__(name):
    """Give `WarmEngine`, made when it is first asked for."""
    if name == "WarmEngine":
        return engine()
    raise AttributeError(name)


@cache
def engine():
    """Make the engine from papermill's. Options: `warm` (default yes), `time_limit` (s), `memory_limit` (MB)."""
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine

    client_class = type("LimitedClient", (Limited, PapermillNotebookClient), {})

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, start_timeout=120, execution_timeout=None,
                                     input_path=None, warm=True, time_limit=None, memory_limit=None, **options):
            client = client_class(nb_man, kernel_name=kernel_name, startup_timeout=start_timeout,
                                  timeout=execution_timeout, iopub_timeout=60, **options)
            return client.execute_within(warm, time_limit, memory_limit)

    return Engine


class Limited:
    """A notebook client (mixed into papermill's) with bounded time, memory and output, and warm kernels."""

    def execute_within(self, warm, time_limit, memory_limit):
        """Execute the notebook; raises `LimitError` where a limit was met."""
        self.warm, self.memory_limit = warm and self.kernel_name == "python3", memory_limit
        self.excess, self.over, self.shown = None, threading.Event(), {}
        end = cache(lambda: monotonic() + time_limit)  # from the first cell on: a first kernel waits for the libraries
        if time_limit:
            self.timeout_func = lambda cell: max(0.1, end() - monotonic())
        try:
            return self.execute(stdout=DEVNULL, stderr=DEVNULL)  # what a kernel prints reaches its notebook
        except (CellTimeoutError, DeadKernelError):
            if time_limit and monotonic() >= end():
                self.excess = f"stopped at the time limit of {time_limit:g} s"
            if self.excess:
                raise LimitError(self.excess) from None
            raise
        finally:
            self.over.set()

    def execute(self, **kwargs):
        """Execute; a kernel that dies before its first word (another program took its port) is started once more."""
        try:
            return super().execute(**kwargs)
        except RuntimeError as error:
            if "before replying" not in str(error) or self.excess:
                raise
            return super().execute(**kwargs)

    def create_kernel_manager(self):
        """Make the manager of the kernel, and watch its memory."""
        manager = super().create_kernel_manager()
        if self.warm:
            manager.kernel_name = "medkit-warm"  # installed with medkit; nbclient does not know it for an IPython
            self.extra_arguments = [*self.extra_arguments, f"--HistoryManager.hist_file={self.ipython_hist_file}"]
        if self.memory_limit:
            threading.Thread(target=self.watch_memory, args=[manager], daemon=True).start()
        return manager

    def watch_memory(self, manager):
        """Kill the kernel when it and what it started hold too much memory."""
        while not self.over.wait(GAP):
            if manager.has_kernel and processes.resident(manager.provisioner.pid) > self.memory_limit * 2**20:
                self.excess = f"stopped at the memory limit of {self.memory_limit:g} MB"
                return processes.kill(manager.provisioner.pid)

    def output(self, outs, msg, display_id, cell_index):
        """Keep an output, unless the cell has shown too much already."""
        kind, limit = ("print", STREAM_LIMIT) if msg["msg_type"] == "stream" else ("show", OUTPUT_LIMIT)
        content, before = msg["content"], self.shown.get((cell_index, kind), 0)
        after = self.shown[cell_index, kind] = before + len(str(content))
        if after <= limit or msg["msg_type"] == "error":
            return super().output(outs, msg, display_id, cell_index)
        if before > limit:
            return None
        text = (content.get("text", "")[:limit - before]
                + f"\n[What this cell would {kind} beyond {limit / 2**20:g} MB was left out.]\n")
        cut = {**msg, "msg_type": "stream", "content": {"name": content.get("name", "stdout"), "text": text}}
        return super().output(outs, cut, None, cell_index)
