"""A process that runs tasks, one after the other, as JSON lines; if it dies, the run goes on with another."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from . import processes
from .execute import rescue, run

GRACE = 60  # seconds beyond a task's own time limit before its worker is killed


class Worker:
    """The near end: starts the process, hands it tasks, and says what became of each."""

    def __init__(self, environment):
        self.environment, self.process, self.stopped = environment, None, False

    def call(self, ordered):
        """Run a task in the process and give its facts, even where the process does not survive it."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        limit = ordered.get("time_limit")
        timer = threading.Timer((limit or 0) + GRACE, self.kill)
        timer.daemon = True
        try:
            if limit:  # in case the task's own does not end it
                timer.start()
            self.process.stdin.write(json.dumps(ordered) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):  # the pipe broke, or ended
            self.kill()
        finally:
            timer.cancel()
        reason = f"the worker process stopped (exit code {self.process.wait()})"
        return rescue(ordered, self.process.pid, reason, keep=not self.stopped)

    def start(self):
        """Start the process, out of reach of the terminal's Ctrl-C."""
        self.process = subprocess.Popen([sys.executable, "-m", "medkit.report.worker"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, encoding="utf-8", env=self.environment,
                                        start_new_session=True)
        if self.stopped:  # meanwhile
            self.kill()

    def kill(self):
        """Kill the process and what it started; warm kernels end as their connection does."""
        if self.process and self.process.poll() is None:
            processes.kill(self.process.pid)

    def stop(self):
        """End the process for good; the task that it has in hand counts as not started."""
        self.stopped = True
        self.kill()
        if self.process:
            self.process.wait()


def follow(owner):
    """End this process, its kernel and its half-written files when the process that started it is gone."""
    while os.getppid() == owner:
        time.sleep(0.3)
    processes.kill(os.getpid(), itself=False)
    for left in Path(current.get("out", os.devnull)).glob(f".{os.getpid()}.part.*"):
        left.unlink(missing_ok=True)
    os._exit(1)


current = {}


def main():
    """Run the tasks that come on standard input; answer on what was standard output, which then becomes the error's."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=follow, args=[os.getppid()], daemon=True).start()
    for line in sys.stdin:
        current.clear()
        current.update(json.loads(line))
        answers.write(json.dumps(run(current)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
