"""Warm kernels: a Jupyter kernel provisioner that asks a fork server for kernels, else starts them as usual."""

import asyncio
import atexit
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

from jupyter_client.provisioning import LocalProvisioner

ADDRESS = "MEDKIT_WARM"  # the environment variable that names the fork server of this run
PATIENCE = 120  # seconds for the fork server to import everything
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
KERNELS = Path(__file__).parent / "jupyter"  # holds kernels/medkit-warm/kernel.json


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
            env={**os.environ, **dict.fromkeys(THREADS, "1"), "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                 "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow would start a thread at import
                 "PYDEVD_DISABLE_FILE_VALIDATION": "1"})  # the debugger would print a warning
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
        pid = 0
    if not pid:
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

    def wait(self):
        """Give the exit code of a kernel that has ended."""
        return self.poll()

    def send_signal(self, number):
        """Signal the kernel alone, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


class WarmProvisioner(LocalProvisioner):
    """Starts kernels from the fork server of this process (started if need be), or cold where that cannot be."""

    async def launch_kernel(self, cmd, **kwargs):
        """Launch a kernel."""
        forked = None
        if can_fork():
            if ADDRESS not in os.environ:
                start()
            args = cmd[cmd.index("ipykernel_launcher") + 1:]
            cwd = kwargs.get("cwd") or os.getcwd()
            forked = await asyncio.to_thread(fork, args, kwargs["env"], cwd)
        if forked is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid, self.cwd = forked, forked.pid, forked.pid, cwd
        return self.connection_info

    async def wait(self):
        """Wait for the kernel's end; sooner noticed than every 0.1 s."""
        while self.process and self.process.poll() is None:
            await asyncio.sleep(0.01)
        return await super().wait()
