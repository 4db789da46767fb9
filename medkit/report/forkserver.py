"""Processes that import the heavy libraries before they are asked for a kernel: a parent that forks, or one of a pool.

A kernel of the pool, `python -m medkit.report.forkserver`, becomes the kernel of the one request that comes on its
standard input. A parent (Linux) imports once, then forks a kernel per request:
`python -m medkit.report.forkserver FD`, where FD is a listening Unix socket. A request is one line of JSON. Each is
served by a fork, the guard, that forks the kernel, waits for it, and sends its exit code back. The guard kills the
kernel and all that it started when the connection closes, or when standard input does: then the owner is gone.
"""

import atexit
import builtins
import ctypes
import importlib
import json
import os
import queue
import random
import select
import shutil
import signal
import socket
import sys
import threading
from contextlib import suppress

# What the lessons import. Not fastai.tabular (it changes pandas' options), and not matplotlib's notebook backend
# (it must meet its kernel at import).
MODULES = """torch torchvision fastai.vision.all sklearn.linear_model sklearn.model_selection sklearn.calibration
scipy.stats safetensors.torch matplotlib.pyplot ipykernel.ipkernel ipykernel.zmqshell
ipykernel.kernelapp ipykernel.debugger tornado.platform.asyncio sqlite3 IPython.core.completer IPython.core.debugger
IPython.core.oinspect IPython.core.pylabtools IPython.extensions.storemagic medkit.datasets.images
medkit.datasets.tables medkit.exercise medkit.models.transfer medkit.report.record""".split()
PR_SET_PDEATHSIG = 1
OWNER = 0  # standard input closes when the owner is gone


def main(listening=None):
    """Serve until the owner is gone; in a forked child, or in a pool when asked, become a kernel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    asked = queue.SimpleQueue()
    if listening is None:
        threading.Thread(target=follow, args=[asked], daemon=True).start()
    builtins.get_ipython = ZMQInteractiveShell
    for name in MODULES:
        importlib.import_module(name)
    del builtins.get_ipython
    draw_once()
    sys.path.pop(0)  # where the owner stood; a kernel starts with its own folder
    become_kernel(asked.get() if listening is None else serve(socket.socket(fileno=int(listening))))


def follow(asked):
    """Pass on the one request; then, when the owner is gone or lets go, end this process and all that it started."""
    try:
        with open(os.dup(OWNER)) as owner:
            asked.put(json.loads(owner.readline()))
            owner.read()
    finally:
        os.killpg(0, signal.SIGKILL)


class ZMQInteractiveShell:
    """Stands in for a kernel's shell, by its name, while libraries that ask where they are (fastai) are imported."""


def draw_once():
    """Fill matplotlib's caches of fonts and text, and take what is loaded out of the garbage collector's way."""
    import gc

    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().set_title("0123456789")
    figure.savefig(os.devnull, format="png")
    gc.collect()
    gc.freeze()


def serve(listener):
    """Fork a guard for each connection, while that is safe; returns in a kernel alone, with its request."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards leave nothing to collect
    while True:
        if OWNER in select.select([listener, OWNER], [], [])[0] or not safe_to_fork():
            sys.exit()
        with listener.accept()[0] as connection:
            if os.fork() == 0:
                listener.close()
                return guard(connection)


def safe_to_fork():
    """Say whether this process has one thread and has not initialised CUDA: a fork of others hangs or breaks."""
    return len(os.listdir("/proc/self/task")) == 1 and not sys.modules["torch"].cuda.is_initialized()


def guard(connection):
    """Fork the kernel that a client asks for, and see to its end; returns in the kernel alone, with the request."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # process, user, group
    touched = sys.modules["torch"].cuda._is_in_bad_fork()  # the parent asked CUDA something: a fork alone can tell
    if touched or int.from_bytes(peer[4:8], sys.byteorder) != os.getuid():
        os._exit(1)
    request = json.loads(connection.makefile("r").readline())
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        atexit.unregister(shutil.rmtree)  # matplotlib's folder, temporary where HOME is read-only: the parent's to remove
        return request
    with suppress(OSError):  # the kernel does it too: neither must come too late
        os.setpgid(pid, pid)
    connection.sendall(f"{pid}\n".encode())
    select.select([connection, OWNER, os.pidfd_open(pid)], [], [])
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):  # perhaps nobody waits for it
        connection.sendall(f"{code}\n".encode())
    os._exit(0)


def become_kernel(request):
    """Run a kernel in this process, as `python -m ipykernel_launcher` would in a new one."""
    parent = os.getppid()
    with suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what a kernel prints reaches its notebook, not the owner's terminal
        os.dup2(nothing, stream)
    kept = {name: os.environ[name] for name in ["MPLCONFIGDIR"] if name in os.environ}  # which matplotlib uses by now
    os.environ.clear()
    os.environ.update(kept | request["env"])
    os.chdir(request["cwd"])
    use_threads(request.get("threads", 1))
    reseed()
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel_launcher", *request["args"]]
    try:
        IPKernelApp.launch_instance([*request["args"], f"--IPKernelApp.parent_handle={parent}"])
    finally:
        threading._shutdown()  # as at any exit, but for taking apart all that was loaded, which takes time and memory
        atexit._run_exitfuncs()
        os._exit(0)


def use_threads(count):
    """Let the libraries use as many threads as they would in a kernel that was started cold."""
    if count > 1:
        from threadpoolctl import threadpool_limits

        sys.modules["torch"].set_num_threads(count)
        threadpool_limits(count)


def reseed():
    """Give this kernel its own random numbers. PyTorch's are left: in a new process they start the same each time."""
    random.seed()
    sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    main(*sys.argv[1:])
