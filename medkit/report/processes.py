"""Processes that others started: their memory, and their end."""

from contextlib import suppress

import psutil


def tree(pid):
    """Give a process and all that it started; nothing if it is gone."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    return []


def resident(pid):
    """Give the memory, in bytes, that a process and those that it started hold."""
    total = 0
    for process in tree(pid):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def kill(pid, itself=True):
    """Kill a process and all that it started, or these alone."""
    for process in tree(pid):
        if itself or process.pid != pid:
            with suppress(psutil.Error):
                process.kill()
