"""The parent of warm kernels: it imports the heavy libraries once, then forks one kernel per request (Linux).

`python -m medkit.report.forkserver FD`, where FD is a listening Unix socket. A request is one line of JSON; its
connection then stands for the kernel: it carries the exit code back, and closing it ends the kernel. When standard
input closes, the owner is gone: all kernels are killed and the parent ends.
"""

import atexit
import importlib
import json
import os
import random
import selectors
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


def main(listening):
    """Serve until the owner is gone; in a forked child, become its kernel."""
    for name in MODULES:
        importlib.import_module(name)
    draw_once()
    sys.path.pop(0)  # where the owner stood; a kernel starts with its own folder
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    become_kernel(serve(socket.socket(fileno=listening), wake))


def draw_once():
    """Fill matplotlib's caches of fonts and text, and take what is loaded out of the garbage collector's way."""
    import gc
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().set_title("0123456789")
    FigureCanvasAgg(figure).print_png(io.BytesIO())
    gc.collect()
    gc.freeze()


def serve(listener, wake):
    """Answer requests and report ends; returns in a child alone, with the request to serve there."""
    selector, kernels = selectors.DefaultSelector(), {}  # kernels: process id -> its connection
    for source in (listener, sys.stdin.fileno(), wake):
        selector.register(source, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                request = answer(listener.accept()[0], selector, kernels)
                if request:
                    return request
            elif key.fd == sys.stdin.fileno():
                for pid in kernels:
                    kill_group(pid)
                sys.exit(0)
            elif key.fd == wake:
                os.read(wake, 4096)
                reap(selector, kernels)
            elif pid := next((p for p, connection in kernels.items() if connection is key.fileobj), None):
                kill_group(pid)  # its client closed the connection, or ended
                selector.unregister(key.fileobj)


def answer(connection, selector, kernels):
    """Fork a kernel and answer with its process id, or with 0 where that is not safe; gives the request in the child."""
    connection.settimeout(10)
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # process, user, group
    try:
        request = json.loads(connection.makefile("r").readline())
    except (OSError, ValueError):  # it asked for nothing, or is gone
        return connection.close()
    if int.from_bytes(peer[4:8], sys.byteorder) != os.getuid():
        return connection.close()
    pid = os.fork() if safe_to_fork() else None
    if pid == 0:
        for key in list(selector.get_map().values()):
            os.close(key.fd) if isinstance(key.fileobj, int) else key.fileobj.close()
        selector.close()
        return request
    if pid:
        own_group(pid)
        kernels[pid] = connection
        selector.register(connection, selectors.EVENT_READ)
    tell(connection, pid or 0)
    return None


def tell(connection, number):
    """Send a number to a client, if it still listens."""
    with suppress(OSError):
        connection.sendall(f"{number}\n".encode())


def safe_to_fork():
    """Say whether this process has one thread and no CUDA context: a fork of others hangs or breaks."""
    torch = sys.modules["torch"]
    return len(os.listdir("/proc/self/task")) == 1 and not torch.cuda.is_initialized()


def reap(selector, kernels):
    """Report the exit code of each kernel that ended, and end what it left running."""
    while kernels:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        connection = kernels.pop(pid)
        kill_group(pid)
        if connection in [key.fileobj for key in selector.get_map().values()]:
            selector.unregister(connection)
        tell(connection, os.waitstatus_to_exitcode(status))
        connection.close()


def own_group(pid):
    """Put a kernel at the head of a process group; parent and child both do, so that neither comes too late."""
    with suppress(OSError):  # the other was quicker, or has ended
        os.setpgid(pid, pid)


def kill_group(pid):
    """Kill a kernel and all that it started."""
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def become_kernel(request):
    """Run a kernel in this forked process, as `python -m ipykernel_launcher` would in a new one."""
    import ctypes

    parent = os.getppid()
    own_group(0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what a kernel prints reaches its notebook, not the owner's terminal
        os.dup2(nothing, stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    use_threads(request["threads"])
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
    main(int(sys.argv[1]))
