"""Warm kernels, forked or of the pool: outputs as of cold ones, own random numbers, limits, no process left over."""

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from unittest import mock

import nbformat
import psutil
import pytest

from medkit.errors import MedkitError
from medkit.report import engine, execute, plan, warm
from medkit.report.record import drop_progress

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kernels start cold on Windows")
CELLS = [
    "import medkit\nimport os, random, signal, subprocess, sys, time\nimport matplotlib.pyplot as plt\n"
    "import numpy as np\nimport pandas as pd\nimport torch\nfrom fastai.vision.all import SimpleNamespace",
    'seed: int = 0\nwhat: str = ""',
    "torch.manual_seed(seed)\nnet = torch.nn.Sequential(torch.nn.Linear(300, 500), torch.nn.Tanh(), "
    "torch.nn.Linear(500, 2))\nloss = net(torch.randn(400, 300)).pow(2).mean()\nloss.backward()\nloss",
    "os.environ['OMP_NUM_THREADS'], float(np.random.default_rng(seed).normal(size=(300, 300)).dot(np.ones(300)).sum())",
    "pd.DataFrame({'a': [1, np.nan]}).describe()",
    "plt.plot([1, seed])\nplt.title('shown without asking')",
    "print('out'); print('err', file=sys.stderr); subprocess.run(['echo', 'from a child'])\n"
    "os.write(1, b'below Python')\ntime.sleep(1)  # a thread of the kernel picks these up\nsys.stdin.read(1), sorted(k for k in os.environ if k.startswith('MPL')), __name__",
    "from fastcore.imports import IN_NOTEBOOK\nfrom fastprogress.fastprogress import progress_bar\n"
    "from fastai.basics import progress_bar as used\nIN_NOTEBOOK, progress_bar.__name__, used.__name__, type(get_ipython())",
    "get_ipython().run_line_magic('timeit', '-n1 -r1 -q pass')\nplt.rcParams['figure.dpi'], pd.get_option('mode.chained_assignment')",
    "1 / 0"]
ACTS = CELLS[:2] + ["""\
if what == "dice":
    print(random.random(), np.random.rand(), os.getpid(), os.getppid())
if what == "hang":
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    print("child", children[0].pid)
    while True:
        pass
if what == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if what == "loader":
    from torch.utils.data import DataLoader
    print(sum(len(b) for b in DataLoader(list(range(10)), batch_size=5, num_workers=2)))
if what == "threads":
    torch.set_num_threads(2)
    print(float((torch.ones(600, 600) @ torch.ones(600, 600)).mean()))"""]


@pytest.fixture(scope="module")
def server():
    if not warm.can_fork():
        pytest.skip("kernels are forked on Linux alone")
    made = warm.start()
    yield psutil.Process(made.pid)
    warm.stop(made)


@pytest.fixture(params=["fork", "pool"])
def way(request, monkeypatch):
    """Force one way of starting kernels."""
    if request.param == "fork":
        request.getfixturevalue("server")
    monkeypatch.setenv("MEDKIT_KERNELS", request.param)
    return request.param


def order(folder, cells, given, **options):
    """Write cells as a notebook, and order a report of it."""
    path = folder / "n.ipynb"
    made = [nbformat.v4.new_code_cell(text) for text in cells]
    made[1].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    plan.lessons.read.cache_clear()
    plan.notebook.cache_clear()
    return execute.order(plan.plan([str(path)], given)[0], folder / "out", **options)


def run(folder, cells, given, **options):
    """Run cells; gives the facts and the notebook."""
    ordered = order(folder, cells, given, **options)
    with mock.patch.dict(os.environ):
        os.environ.pop("PYTEST_CURRENT_TEST", None)  # as in `plain`; and one environment for all, as the pool wants it
        facts = execute.run(ordered)
    return facts, nbformat.read(folder / "out" / "n.ipynb", as_version=4)


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path


def text(notebook):
    """Give what the last cell printed."""
    return "".join(o.text for o in notebook.cells[-1].outputs if o.output_type == "stream")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Run the cells by papermill alone."""
    import papermill

    folder = tmp_path_factory.mktemp("plain")
    (folder / "out").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)  # with it ipykernel leaves what is printed below Python alone
        with pytest.raises(papermill.PapermillExecutionError):
            papermill.execute_notebook(order(folder, CELLS, {"seed": 3})["notebook"], str(folder / "plain.ipynb"), {"seed": 3},
                                       kernel_name="python3", progress_bar=False, cwd=os.getcwd())
    return without_errors(drop_progress(nbformat.read(folder / "plain.ipynb", as_version=4)))


def without_errors(notebook):
    """Give the cells but for those in which papermill tells of an error."""
    return [c for c in notebook.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]


def test_outputs_equal_those_of_plain_papermill_cell_by_cell(way, desk, plain, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # the parent of forked kernels has one
    facts, made = run(desk, CELLS, {"seed": 3}, warm=True)
    made.cells = without_errors(made)
    assert "ZeroDivisionError" in facts["error"] and len(made.cells) == len(plain) == len(CELLS) + 1
    for ours, theirs in zip(made.cells, plain):
        assert streams(ours) == streams(theirs) and shown(ours) == shown(theirs), ours.source
        assert ours.execution_count == theirs.execution_count
    assert any("image/png" in o.get("data", {}) for c in made.cells for o in c.outputs)


def streams(cell):
    """Give what a cell printed, by stream: how the two are interleaved is chance."""
    return {name: "".join(o.text for o in cell.outputs if o.get("name") == name) for name in ("stdout", "stderr")}


def shown(cell):
    """Give what a cell showed otherwise, errors with their tracebacks included."""
    return [o for o in cell.outputs if o.output_type != "stream"]


def test_each_kernel_throws_its_own_dice_in_its_own_process(server, desk, monkeypatch):
    monkeypatch.setenv("MEDKIT_KERNELS", "fork")
    said = [text(run(desk, ACTS, {"what": "dice"}, warm=True)[1]).split() for _ in range(2)]
    assert all(a != b for a, b in zip(*(s[:3] for s in said))) and server.children() == []
    assert warm.fork([], {**os.environ, warm.THREADS[0]: "1"}, "/").poll() is None  # a kernel without a client
    wait_for(lambda: server.children() == [])


def test_a_kernel_of_the_pool_is_used_once_and_never_for_another_environment(desk, monkeypatch):
    monkeypatch.setenv("MEDKIT_KERNELS", "pool")
    said, ready = [], []
    for mark in ("1", "1", "2"):
        ready.append([k.pid for k in warm.waiting.values()])
        monkeypatch.setenv("MARK", mark)
        said.append(text(run(desk, ACTS, {"what": "dice"}, warm=True)[1]).split())
    assert all(len(set(thrown)) == 3 for thrown in list(zip(*said))[:3])  # numbers and processes are each one's own
    pids = [int(s[2]) for s in said]
    assert {int(s[3]) for s in said} == {os.getpid()} and [pids[1]] == ready[1] and pids[2] not in ready[2]
    wait_for(lambda: not any(map(alive, [*pids, *ready[2]])))
    (kernel,), made = warm.waiting.values(), os.listdir(desk)
    kernel.kill()
    kernel.wait()  # it died while it waited: a cold one serves
    assert run(desk, ACTS[:2], {}, warm=True)[0]["status"] == "done" and os.listdir(desk) == made


def alive(pid):
    """Say whether a process is there, and not a dead one that nobody has asked for."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for(happened, seconds=30):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_a_kernel_that_hangs_is_stopped_with_all_that_it_started(way, desk):
    facts, made = run(desk, ACTS, {"what": "hang"}, warm=True, time_limit=15)
    assert facts["status"] == "failed" and "cell 4: stopped at the time limit of 15 s" in facts["error"]
    child = int(text(made).split()[1])
    wait_for(lambda: not alive(child))


def test_a_kernel_can_be_interrupted_and_goes_on(way):
    from jupyter_client import KernelManager

    manager = KernelManager(kernel_name="medkit-warm")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        asked = client.execute("print('here', flush=True)\nwhile True: pass", stop_on_error=False)  # else the kernel
        # refuses for a moment what is asked next, and a busy machine makes the moment long
        while client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
            pass
        manager.interrupt_kernel()
        while (told := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
            pass  # replies to what was asked before
        assert told["content"]["ename"] == "KeyboardInterrupt"
        assert client.execute_interactive("1", timeout=60)["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("what, said", [("loader", "10"), ("threads", "600")])
def test_processes_and_threads_work_in_a_forked_kernel(server, desk, what, said):
    facts, made = run(desk, ACTS, {"what": what}, warm=True, time_limit=60)
    assert facts["error"] is None and text(made).startswith(said)


def test_a_crash_is_told(way, desk):
    facts, _ = run(desk, ACTS, {"what": "crash"}, warm=True)
    assert facts["status"] == "failed" and "cell 4: the kernel stopped" in facts["error"]


def test_without_a_server_kernels_start_cold(desk, monkeypatch):
    monkeypatch.setenv(warm.ADDRESS, "medkit-of-nobody")
    assert warm.fork([], {}, "/") is None
    facts, _ = run(desk, ["1", "what: str = ''"], {}, warm=True)
    assert facts["status"] == "done"


def test_a_parent_with_threads_does_not_fork(desk):
    text = ("import threading, time, sys; import medkit.report.forkserver as f; sys.modules['torch'] = __import__('types')"
            ".SimpleNamespace(cuda=__import__('types').SimpleNamespace(is_initialized=lambda: len(sys.argv) > 1))\n"
            "alone = f.safe_to_fork(); threading.Thread(target=time.sleep, args=[9], daemon=True).start()\n"
            "print(alone, f.safe_to_fork())")
    told = [subprocess.run([sys.executable, "-c", text, *words], capture_output=True, text=True).stdout.split()
            for words in ([], ["cuda"])]
    assert told == [["True", "False"], ["False", "False"]]


@pytest.mark.parametrize("lie", ["is_initialized", "_is_in_bad_fork"])
def test_a_parent_that_has_touched_cuda_does_not_fork_and_the_pool_serves(desk, monkeypatch, lie):
    if not warm.can_fork():
        pytest.skip("kernels are forked on Linux alone")
    parent = (f"import sys, torch; torch.cuda.{lie} = lambda: True; from medkit.report import forkserver; "
              "forkserver.main(*sys.argv[1:])")
    popen = subprocess.Popen
    monkeypatch.setattr(warm, "DRIVERS", ())
    monkeypatch.delenv("MEDKIT_KERNELS", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda words, **given: popen([words[0], "-c", parent, *words[3:]], **given))
        made = warm.start()
    try:
        assert warm.ways() == [warm.fork, warm.take] and warm.fork([], dict(os.environ), "/") is None
        if lie == "is_initialized":
            assert made.wait(30) == 0  # it would hold memory for nothing
            facts, told = run(desk, ACTS, {"what": "dice"}, warm=True)
            assert facts["status"] == "done" and int(text(told).split()[3]) == os.getpid()
    finally:
        warm.stop(made)


def test_the_papermill_command_knows_the_engine_and_jupyter_the_provisioner(desk, monkeypatch):
    monkeypatch.setenv("MEDKIT_KERNELS", "cold")
    ordered = order(desk, ["", "what: str = ''", "print(what, 6 * 7)"], {})
    nbformat.write(nbformat.from_dict(ordered["notebook"]), desk / "in.ipynb")
    subprocess.run([sys.executable, "-m", "papermill", "--engine", "warm", "in.ipynb", "out.ipynb", "-p", "what", "so"],
                   check=True, capture_output=True, cwd=desk)
    assert text(nbformat.read(desk / "out.ipynb", as_version=4)) == "so 42\n"
    found, = entry_points(group="jupyter_client.kernel_provisioners", name="medkit-warm")
    assert found.load() is warm.WarmProvisioner


def test_which_kernels_serve(monkeypatch):
    monkeypatch.delenv("MEDKIT_KERNELS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(warm, "can_fork", lambda: True)
    monkeypatch.setattr(warm, "DRIVERS", [os.devnull])  # there is a GPU
    assert warm.ways() == [warm.take]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert warm.ways() == [warm.fork, warm.take]
    monkeypatch.setattr(warm, "can_fork", lambda: False)
    assert warm.ways() == [warm.take]
    monkeypatch.setenv("MEDKIT_KERNELS", "cold")
    assert warm.ways() == []
    monkeypatch.setenv("MEDKIT_KERNELS", "pol")
    with pytest.raises(MedkitError, match="no MEDKIT_KERNELS 'pol'. Did you mean 'pool'"):
        warm.ways()


@pytest.mark.parametrize("started", ["s = warm.start(); k = warm.fork(given, dict(os.environ), '.')",
                                     "k = warm.take(given, dict(os.environ), '.'); s = [*warm.waiting.values()][0]"])
def test_what_waits_and_what_serves_end_with_their_owner(desk, started):
    if "fork" in started and not warm.can_fork():
        pytest.skip("kernels are forked on Linux alone")
    text = (f"from medkit.report import warm; import os, time; given = ['-f', 'c.json']; {started}; "
            "print(s.pid, k.pid, flush=True); time.sleep(60)")
    owner = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, cwd=desk)
    server, kernel = map(int, owner.stdout.readline().split())
    assert psutil.pid_exists(server) and psutil.pid_exists(kernel)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_for(lambda: not psutil.pid_exists(server) and not psutil.pid_exists(kernel))


@pytest.mark.parametrize("said, excess, times", [
    ("Kernel died before replying to kernel_info", None, 2), ("Kernel died", None, 1),
    ("Kernel died before replying to kernel_info", "stopped at the memory limit of 9 MB", 1)])
def test_a_kernel_that_dies_before_its_first_word_is_started_once_more(said, excess, times):
    tried = []

    class Client:
        def execute(self):
            tried.append(said)
            raise RuntimeError(said)

    client = type("LimitedClient", (engine.Limited, Client), {"excess": excess})()
    with pytest.raises(RuntimeError, match=said):
        client.execute()
    assert len(tried) == times


@pytest.mark.skipif(not warm.can_fork(), reason="kernels are forked on Linux alone")
def test_matplotlib_keeps_its_folder_where_home_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setenv(warm.ADDRESS, "")  # so that the other server is named again in the end
    monkeypatch.setenv("MEDKIT_KERNELS", "fork")
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with monkeypatch.context() as lost:
        lost.setenv("HOME", "/dev/null")
        made = warm.start()
    look = "import matplotlib, os\nplace = os.environ['MPLCONFIGDIR']\nassert place == matplotlib.get_cachedir() and os.path.isdir(place)"
    ended = [execute.run(order(tmp_path, [look, "seed: int = 0"], {}, warm=True)) for _ in range(2)]
    warm.stop(made)
    assert [facts["error"] for facts in ended] == [None, None]
