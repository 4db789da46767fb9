"""Warm kernels: the same outputs as cold ones, their own random numbers, limits, and no process left over."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from medkit.report import execute, plan, warm
from medkit.report.record import drop_progress

pytestmark = pytest.mark.skipif(not warm.can_fork(), reason="kernels are forked on Linux alone")
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
    "os.write(1, b'below Python')\nsys.stdin.read(1), sorted(k for k in os.environ if k.startswith('MPL')), __name__",
    "from fastcore.imports import IN_NOTEBOOK\nfrom fastprogress.fastprogress import progress_bar\n"
    "from fastai.basics import progress_bar as used\nIN_NOTEBOOK, progress_bar.__name__, used.__name__, type(get_ipython())",
    "get_ipython().run_line_magic('timeit', '-n1 -r1 -q pass')\nplt.rcParams['figure.dpi'], pd.get_option('mode.chained_assignment')",
    "1 / 0"]
ACTS = CELLS[:2] + ["""\
if what == "dice":
    print(random.random(), np.random.rand(), os.getpid())
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
    made = warm.start()
    yield psutil.Process(made.pid)
    warm.stop(made)


def run(folder, cells, given, **options):
    """Run cells; gives the facts and the notebook."""
    path = folder / "n.ipynb"
    made = [nbformat.v4.new_code_cell(text) for text in cells]
    made[1].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    plan.lessons.read.cache_clear()
    plan.notebook.cache_clear()
    task = plan.plan([str(path)], given)[0]
    facts = execute.run(execute.order(task, folder / "out", **options))
    return facts, nbformat.read(folder / "out" / "n.ipynb", as_version=4)


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path


def text(notebook):
    """Give what the last cell printed."""
    return "".join(o.text for o in notebook.cells[-1].outputs if o.output_type == "stream")


def test_outputs_equal_those_of_plain_papermill_cell_by_cell(server, desk, monkeypatch):
    import papermill

    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # the parent has one
    facts, made = run(desk, CELLS, {"seed": 3}, warm=True)
    assert "ZeroDivisionError" in facts["error"]
    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook(plan.notebook(desk / "n.ipynb"), str(desk / "plain.ipynb"), {"seed": 3},
                                   kernel_name="python3", progress_bar=False, cwd=os.getcwd())
    plain = drop_progress(nbformat.read(desk / "plain.ipynb", as_version=4))
    plain.cells = [c for c in plain.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    made.cells = [c for c in made.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    assert len(made.cells) == len(plain.cells) == len(CELLS) + 1
    for ours, theirs in zip(made.cells, plain.cells):
        assert streams(ours) == streams(theirs) and shown(ours) == shown(theirs), ours.source
        assert ours.execution_count == theirs.execution_count
    assert any("image/png" in o.get("data", {}) for c in made.cells for o in c.outputs)


def streams(cell):
    """Give what a cell printed, by stream: how the two are interleaved is chance."""
    return {name: "".join(o.text for o in cell.outputs if o.get("name") == name) for name in ("stdout", "stderr")}


def shown(cell):
    """Give what a cell showed otherwise, errors with their tracebacks included."""
    return [o for o in cell.outputs if o.output_type != "stream"]


def test_each_kernel_throws_its_own_dice_in_its_own_process(server, desk):
    said = [text(run(desk, ACTS, {"what": "dice"}, warm=True)[1]).split() for _ in range(2)]
    assert all(a != b for a, b in zip(*said)) and server.children() == []
    assert warm.fork([], {**os.environ, warm.THREADS[0]: "1"}, "/").poll() is None  # a kernel without a client
    wait_for(lambda: server.children() == [])


def wait_for(happened, seconds=30):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_a_kernel_that_hangs_is_stopped_with_all_that_it_started(server, desk):
    facts, made = run(desk, ACTS, {"what": "hang"}, warm=True, time_limit=4)
    assert facts["status"] == "failed" and "cell 4: stopped at the time limit of 4 s" in facts["error"]
    child = int(text(made).split()[1])
    wait_for(lambda: not psutil.pid_exists(child))
    assert server.children() == []


@pytest.mark.parametrize("what, said", [("loader", "10"), ("threads", "600")])
def test_processes_and_threads_work_in_a_forked_kernel(server, desk, what, said):
    facts, made = run(desk, ACTS, {"what": what}, warm=True, time_limit=60)
    assert facts["error"] is None and text(made).startswith(said)


def test_a_crash_is_told(server, desk):
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


def test_the_server_and_its_kernels_end_with_their_owner(desk):
    text = ("from medkit.report import warm; import os, time; s = warm.start(); k = warm.fork(['-f', 'c.json'], "
            "dict(os.environ), '.'); print(s.pid, k.pid, flush=True); time.sleep(60)")
    owner = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, cwd=desk)
    server, kernel = map(int, owner.stdout.readline().split())
    assert psutil.pid_exists(server) and psutil.pid_exists(kernel)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_for(lambda: not psutil.pid_exists(server) and not psutil.pid_exists(kernel))
