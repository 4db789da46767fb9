"""Warm kernels: a Jupyter kernel provisioner that has kernels forked, or takes them from a pool, or starts them cold."""

import asyncio
import atexit
import json
import os
import secrets
import signal
import socket
import subprocess
import sys

from jupyter_client.provisioning import LocalProvisioner

from ..errors import unknown

ADDRESS = "MEDKIT_WARM"  # the environment variable that names the fork server of this run
PATIENCE = 120  # seconds for the fork server to import everything
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ALSO = {"MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as a kernel sets it, but before the imports
        "PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # the debugger would print a warning
DRIVERS = "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1"  # one is there where there is a GPU for CUDA
waiting = {}  # the pool: for an environment, the kernel of this process that serves nobody yet


def ways():
    """Give the functions that start kernels here, the best first; where none can, a kernel starts cold.

    The rule: a kernel is forked only from a parent that has one thread and has never touched CUDA, for neither threads
    nor what CUDA's driver holds outlive a fork. The fork itself may then use CUDA. `forkserver` checks this each time.
    It cannot see what every library asks of the driver while it is imported, so beside a GPU a pool serves: processes
    of their own, started ahead of the reports, each for one. The pool also serves where the parent refuses, and where
    nothing can be forked (macOS). On Windows kernels start cold. MEDKIT_KERNELS=fork, pool or cold decides otherwise.
    """
    gpu = any(map(os.path.exists, DRIVERS)) and os.environ.get("CUDA_VISIBLE_DEVICES") != ""
    forks, pool = [fork] * can_fork(), [take] * (os.name == "posix")
    known = {"": pool if gpu else forks + pool, "fork": forks, "pool": pool, "cold": []}
    wanted = os.environ.get("MEDKIT_KERNELS", "")
    if wanted not in known:
        raise unknown("MEDKIT_KERNELS", wanted, list(known)[1:])
    return known[wanted]


def can_fork():
    """Say whether this system can fork a process that has loaded PyTorch, and watch it: Linux from 5.3 on."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return sys.platform == "linux"


def start():
    """Start a fork server that lives as long as this process, and name it in the environment."""
    name = f"medkit-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")  # an abstract address: no file is left behind
        listener.listen(256)  # clients wait here until the imports are done
        server = subprocess.Popen(
            [sys.executable, "-m", "medkit.report.forkserver", str(listener.fileno())], stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **dict.fromkeys(THREADS, "1"), **ALSO,
                 "JE_ARROW_MALLOC_CONF": "background_thread:false"})  # pyarrow would start a thread at import
    os.environ[ADDRESS] = name
    atexit.register(stop, server)
    return server


def stop(server):
    """End a fork server and its kernels."""
    os.environ.pop(ADDRESS, None)
    server.stdin.close()
    server.wait()


def fork(args, env, cwd):
    """Ask for a kernel; gives a `Forked`, or None where there is no fork server or it must not fork."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    request = {"args": args, "env": env, "cwd": str(cwd), "threads": int(env.get(THREADS[0]) or os.cpu_count())}
    try:
        connection.connect(f"\0{os.environ[ADDRESS]}")
        connection.sendall(json.dumps(request).encode() + b"\n")
        pid = int(connection.recv(32))
    except (OSError, ValueError):
        connection.close()
        return None
    connection.setblocking(False)
    return Forked(pid, connection)


class Forked:
    """A forked kernel, with what jupyter_client needs of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, pid, connection):
        self.pid, self.connection, self.returncode = pid, connection, None

    def poll(self):
        """Give the exit code, or None while the kernel runs."""
        if self.returncode is None:
            try:
                self.returncode = int(self.connection.recv(32) or -signal.SIGKILL)
                self.connection.close()
            except BlockingIOError:
                pass
            except OSError:
                self.returncode = -signal.SIGKILL
        return self.returncode

    wait = poll  # it is only called when the kernel has ended

    def send_signal(self, number):
        """Signal the kernel alone, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def take(args, env, cwd):
    """Take a kernel from the pool, for good, and start the next; gives its process, or None where it has died.

    What is imported may depend on the environment, so a kernel serves only one like that in which it was started.
    """
    alike = frozenset((name, value) for name, value in env.items() if not name.startswith("JPY_"))
    kernel = waiting.pop(alike, None) or get_ready(alike)
    while waiting:  # kernels of other environments are let go, and end
        waiting.popitem()[1].stdin.close()
    waiting[alike] = get_ready(alike)
    try:
        kernel.stdin.write(json.dumps({"args": args, "env": env, "cwd": str(cwd)}).encode() + b"\n")
        kernel.stdin.flush()
    except OSError:
        return None
    return kernel


def get_ready(env):
    """Start a kernel that imports the libraries, waits for its request, and ends when its standard input does."""
    return subprocess.Popen([sys.executable, "-m", "medkit.report.forkserver"], env={**ALSO, **dict(env)},
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


class WarmProvisioner(LocalProvisioner):
    """Starts kernels in the best of the `ways`, with the fork server of this process (started if need be)."""

    async def launch_kernel(self, cmd, **kwargs):
        """Launch a kernel."""
        args, cwd = cmd[cmd.index("ipykernel_launcher") + 1:], kwargs.get("cwd") or os.getcwd()
        for way in ways():
            if way is fork and ADDRESS not in os.environ:
                start()
            made = await asyncio.to_thread(way, args, kwargs["env"], cwd)
            if made:
                self.process, self.pid, self.pgid, self.cwd = made, made.pid, made.pid, cwd
                return self.connection_info
        return await super().launch_kernel(cmd, **kwargs)

    async def wait(self):
        """Wait for the kernel's end; sooner noticed than every 0.1 s."""
        while self.process and self.process.poll() is None:
            await asyncio.sleep(0.01)
        return await super().wait()
