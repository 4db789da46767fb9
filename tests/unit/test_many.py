"""Many reports: the plan, the ledger, and what happens when kernels, workers or the run itself are killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medkit.errors import MedkitError
from medkit.report import execute, index, ledger, parameters, plan
from medkit.report.run import run

# What the notebook does to itself, once: a file in $MARKS says that it did it before.
CELLS = ["import os, signal, sys, time", 'how: str = "well"\nseed: int = 0', """\
print("so far", seed)
mark = os.path.join(os.environ["MARKS"], how + str(seed))
first = not os.path.exists(mark)
open(mark, "a").write("x")""", """\
if how == "kernel" and first:
    os.kill(os.getpid(), signal.SIGKILL)
if how == "worker" and first:
    os.kill(os.getppid(), signal.SIGKILL)
if how == "error" and first:
    raise ValueError("once")
if how == "hang" and first:
    while True:
        time.sleep(0.01)
if how == "memory" and first:
    held = [b"x" * 2**20 for _ in range(900)]
    time.sleep(60)
if how == "print":
    for _ in range(1000):
        print("y" * 10**5)
if how == "slow":
    time.sleep(0.3)"""]
TABLE = "how,seed\nwell,1\nkernel,2\nworker,3\nerror,4\nhang,5\nmemory,6\nprint,7\nwell,8\n"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Stand in a folder with the notebook and an empty folder of marks."""
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "report.ipynb")
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words):
    """Give the command of a run in the folder `out`."""
    return [sys.executable, "-m", "medkit", "run", "report.ipynb", "--engine", "plain", "--out", "out", *words]


def results(out, killed=False):
    """Read the results: {seed: entry}, after checking that each task is there once and its files fit its status.

    A report's page is put in place before its notebook, which counts: a kill between the two leaves a page more.
    """
    found = json.loads((out / "results.json").read_text())
    stems = finished(out)
    assert len({json.dumps(r["parameters"]) for r in found}) == len(found)
    pages = {p.stem for p in out.glob("*.html")} - {"index"}
    assert stems == pages or (killed and stems < pages)
    assert killed or not list(out.glob(".*")), "a temporary file was left"  # after a kill the next run removes it
    for one in found:
        assert one["status"] in ("done", "failed", "not started") and bool(one["error"]) == (one["status"] == "failed")
    return {r["parameters"]["seed"]: r for r in found}


def finished(out):
    """List the reports that are in place."""
    return {p.stem for p in out.glob("*.ipynb") if not p.name.startswith(".")}


def strays(folder):
    """List the workers and kernels that still run in a folder, after giving them a moment to end."""
    def running():
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if process.info["cwd"] == str(folder) and process.pid != os.getpid():
                yield process.info["cmdline"]
    end = time.monotonic() + 10
    while list(running()) and time.monotonic() < end:
        time.sleep(0.1)
    return list(running())


def runs(folder):
    """Count how often the notebook ran for each task: {mark: times}."""
    return {p.name: len(p.read_text()) for p in (folder / "marks").iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_every_task_is_accounted_for_under_fire_and_a_second_run_does_exactly_the_rest(desk):
    (desk / "t.csv").write_text(TABLE)
    words = ["--for-each", "t.csv", "--jobs", "2", "--time-limit", "12", "--memory-limit", "600"]
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search(r"[1-7]/8 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+(s/report|report/s)\]", done.stderr)  # time left, and rate
    found = results(desk / "out")
    assert {k: r["status"] for k, r in found.items()} == {
        1: "done", 2: "failed", 3: "failed", 4: "failed", 5: "failed", 6: "failed", 7: "done", 8: "done"}
    for seed, text in {2: "cell 5: the kernel stopped", 3: "the worker process stopped (exit code -9)",
                       4: "cell 5: ValueError: once", 5: "cell 5: stopped at the time limit of 12 s",
                       6: "cell 5: stopped at the memory limit of 600 MB"}.items():
        assert text in found[seed]["error"]
        kept = next((desk / "out").glob(f"*seed={seed}-*.html")).read_text()
        assert f"so far {seed}" in kept and 'role="alert"' in kept
    printed = next((desk / "out").glob("*how=print*.html")).read_text()
    assert "beyond 1 MB was left out" in printed and 1e6 < len(printed) < 2e6
    before = runs(desk)
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout
    assert {r["status"] for r in results(desk / "out").values()} == {"done"}
    again = {name for name, times in runs(desk).items() if times > before[name]}
    assert again == {"kernel2", "worker3", "error4", "hang5", "memory6"} and strays(desk) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_a_clean_state_and_goes_on(desk, number):
    (desk / "grid.yaml").write_text("how: slow\nseed: [1, 2, 3, 4]\n")
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests in a background job do not hear it
    running = subprocess.Popen(command("--grid", "grid.yaml", "--jobs", "2"), stderr=subprocess.PIPE, text=True,
                               preexec_fn=heard)
    end = time.monotonic() + 60
    while not finished(desk / "out") and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(number)
    said = running.communicate(timeout=20)[1]
    assert strays(desk) == []
    if number != signal.SIGKILL:
        assert running.returncode == 130 and "--out out does the rest" in said and "Traceback" not in said
    ready, found = finished(desk / "out"), results(desk / "out", killed=number == signal.SIGKILL)
    assert 1 <= len(ready) < 4 and sum(r["status"] == "done" for r in found.values()) <= len(ready)
    before = runs(desk)
    assert subprocess.run(command("--grid", "grid.yaml", "--jobs", "2"), capture_output=True, timeout=240).returncode == 0
    assert {r["status"] for r in results(desk / "out").values()} == {"done"} and strays(desk) == []
    again = {name for name, times in runs(desk).items() if times > before.get(name, 0)}
    assert again == {f"slow{k}" for k in range(1, 5) if not any(f"seed={k}-" in stem for stem in ready)}


@pytest.mark.parametrize("n, engine, warm", [(3, None, True), (3, "plain", False), (1, None, False), (1, "warm", True)])
def test_kernels_are_warm_by_default_for_several_reports(desk, monkeypatch, n, engine, warm):
    def local(jobs, use_warm):
        raise InterruptedError(str(use_warm))

    monkeypatch.setattr(sys.modules["medkit.report.run"], "local", local)
    with pytest.raises(InterruptedError, match=str(warm)):
        run(["report.ipynb"], {}, "out", False, [("", {"seed": k}) for k in range(n)], engine=engine)


def test_only_what_changed_runs_again(desk):
    rows = [("", {"seed": k, "how": name}) for k, name in [(1, "well"), (2, "marks"), (3, "t.txt")]]
    (desk / "t.txt").write_text("one")
    assert {t.status for t in run(["report.ipynb"], {}, "out", False, rows, 3, engine="plain")} == {"done"}
    (desk / "t.txt").write_text("two")
    ledger.fingerprint.cache_clear()
    (desk / "out" / "results.json").unlink()
    before = runs(desk)
    tasks = run(["report.ipynb"], {}, "out", False, rows + [("", {"seed": 9})], 3, engine="plain")
    assert {t.status for t in tasks} == {"done"} and len(results(desk / "out")) == 4
    again = {name for name, times in runs(desk).items() if times > before.get(name, 0)}
    assert again == {"t.txt3", "well9", "marks2"}  # a file and a folder that changed, and a task that is new


def test_a_folder_that_cannot_be_written_fails_its_tasks_or_the_run_in_one_line(desk):
    (desk / "out").mkdir(mode=0o500)
    if os.access(desk / "out", os.W_OK):  # the administrator may write anywhere: a file in the way serves
        (desk / "out").rmdir()
        (desk / "out").write_text("")
    done = subprocess.run(command(), capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and runs(desk) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files")
def test_a_full_disk_fails_the_task_and_leaves_nothing_half_written(desk):
    text = "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" \
           "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\nfrom medkit import cli\ncli.main()"
    (desk / "t.csv").write_text("how,seed\nwell,1\nprint,2\nwell,3\n")
    words = command("--for-each", "t.csv", "--jobs", "3")[3:]
    done = subprocess.run([sys.executable, "-c", text, *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    found = results(desk / "out")
    assert [r["status"] for r in found.values()] == ["done", "failed", "done"] and "Cannot write" in found[2]["error"]


def test_two_runs_in_one_folder_do_not_meet(desk):
    (desk / "out").mkdir()
    with ledger.locked(desk / "out"), pytest.raises(MedkitError, match="Another run is writing"):
        run(["report.ipynb"], {}, desk / "out", False)


def test_a_cluster_runs_the_same(desk):
    distributed = pytest.importorskip("distributed")
    rows = [("", {"seed": k, "how": "error" if k == 2 else "well"}) for k in range(4)]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        tasks = run(["report.ipynb"], {}, "out", False, rows, scheduler=cluster.scheduler_address, engine="plain")
    assert [t.status for t in tasks] == ["done", "done", "failed", "done"]
    assert len(results(desk / "out")) == 4 and all(n == 1 for n in runs(desk).values())


def test_a_cluster_that_is_not_there(desk):
    pytest.importorskip("distributed")
    with pytest.raises(MedkitError, match="No Dask scheduler answers"):
        run(["report.ipynb"], {}, "out", False, scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize("text, message", [
    ("seed: [1, 2", "is not YAML"), ("- 1\n- 2", "a grid is lines such as"), ("seed: []", "has no values"),
    ("seed: [[1], 2]", "single words and numbers"), ("sed: [1]", "Did you mean 'seed'"), ("", "a grid is lines"),
    ("seed: !!python/object/apply:os.system ['touch pwned']", "is not YAML"), ("seed: [1, two]", "a whole number")])
def test_a_grid_that_does_not_fit(desk, text, message):
    (desk / "g.yaml").write_text(text)
    with pytest.raises(MedkitError, match=message):
        run(["report.ipynb"], {}, "out", False, plan.grid("g.yaml"))
    assert not (desk / "out").exists() and not (desk / "pwned").exists()


@pytest.mark.parametrize("text, message", [
    ("seed\n1\n2,3\n", "row 3 has 2 cells"), ("seed,seed\n1,2\n", "seed does not fit"), ("seed\n", "no rows"),
    ("", "not a table"), ("seed\nx\n", "row 2: Lesson report.*a whole number, not 'x'"), ("seed,\n1,2\n", "empty name"),
    ("sed\n1\n", "row 2.*Did you mean 'seed'"), ('seed\n"1\n', "not a table"), (b"seed\n\xff\n", "row 2.*not 'ÿ'"),
    (b"seed\n1\x002\n", "row 2")])
def test_a_table_that_does_not_fit(desk, text, message):
    (desk / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MedkitError, match=message):
        run(["report.ipynb"], {}, "out", False, plan.table("t.csv"))
    assert not (desk / "out").exists()


PIECES = st.lists(st.sampled_from(["seed", "how", ": ", "[", "]", "{", "}", "1", "x", ",", "\n", "- ", "&a ", "*a", "'", '"',
                                   "!!python/object/apply:os.abort []", "\t", "\0", "\r", "2020-02-31", "? ", "|", "0x"]))


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(), PIECES.map(lambda p: "".join(p).encode()), st.text().map(lambda t: t.encode("utf-8"))),
       st.sampled_from([plan.grid, plan.table]))
def test_a_broken_grid_or_table_gets_one_clear_message(desk, content, read):
    (desk / "broken").write_bytes(content)
    try:
        plan.plan(["report.ipynb"], {}, read("broken"))
    except MedkitError as error:
        assert "broken" in str(error) and len(str(error)) < 2000


def test_a_grid_that_is_far_too_large(desk):
    (desk / "g.yaml").write_text("".join(f"a{k}: [1, 2, 3, 4, 5, 6, 7, 8]\n" for k in range(30)))
    with pytest.raises(MedkitError, match="more than 1,000,000 are not planned"):
        plan.grid("g.yaml")


def test_the_plan_of_many_names_each_task_once(desk):
    rows = [("", {"seed": "1"}), ("", {"seed": 1}), ("", {"seed": "2", "how": "../../x\n<b>" + "long" * 99})]
    tasks = plan.plan(["report.ipynb"], {}, rows)
    assert [t.parameters["seed"] for t in tasks] == [1, 2]
    assert all(len(t.stem) < 100 and set("/\\<> \n") & set(t.stem) == set() for t in tasks)
    named, = plan.plan(["report.ipynb"], {"how": "/long" * 99, "seed": 1}, [("", {"seed": 7})])
    assert named.stem.startswith("report-seed=7_how=") and named.parameters["seed"] == 7
    rows = [("", {"seed": k}) for k in range(10_000)]
    assert len({t.stem for t in plan.plan(["report.ipynb"], {}, rows)}) == 10_000


def test_the_index_of_many_has_a_column_for_each_parameter_and_figure():
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "unit": ""}
    tasks = [plan.Task("a", {"seed": k, "x": "<b>"}, f"a{k}", status="done", figures={"auroc": figure}) for k in range(30)]
    page = index.page(tasks)
    assert page.count("<tr data-status") == 30 and "<b>" not in page and 'data-value="0.5"' in page
    assert page.count('<th scope="col">') == 6 and page.count("<script") == 1


def test_a_file_named_by_a_path_that_is_not_there(desk):
    with pytest.raises(MedkitError, match="Cannot read nothing.csv: No such file"):
        plan.table("nothing.csv")
    assert ledger.fingerprint("nothing") == "" and ledger.fingerprint("x\0") == "" and not Path("nothing").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="forked kernels")
def test_a_time_limit_does_not_count_the_wait_for_the_libraries(desk, monkeypatch):
    from medkit.report import warm

    start = warm.fork
    monkeypatch.setattr(warm, "fork", lambda *args: time.sleep(4) or start(*args))
    monkeypatch.setattr(warm, "ways", lambda: [warm.fork])
    task = plan.plan(["report.ipynb"], {})[0]
    facts = execute.run(execute.order(task, desk, time_limit=3, warm=True))
    assert (facts["status"], facts["error"]) == ("done", None)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "nan", "-inf"])
@pytest.mark.parametrize("name", ["seed", "rate"])
def test_numbers_that_json_cannot_hold_are_refused(value, name):
    known = {"seed": parameters.Parameter("seed", "int", 0, (), ""), "rate": parameters.Parameter("rate", "float", 0.5, (), "")}
    with pytest.raises(MedkitError, match="takes a"):
        parameters.check({name: value}, known, "t")


def test_a_damaged_notebook_gets_one_message(desk):
    (desk / "bad.ipynb").write_text("{")
    with pytest.raises(MedkitError, match="bad.ipynb cannot be read as a notebook"):
        plan.plan(["bad.ipynb"], {})


def test_a_finished_notebook_that_somebody_damaged_is_run_again(desk):
    task = plan.plan(["report.ipynb"], {})[0]
    (desk / "report.html").write_text("")
    (desk / "report.ipynb").write_text(json.dumps({"metadata": {"medkit": {"task": {"key": "k", "status": "done"}}}}))
    assert not ledger.restore(task, desk, "k") and task.status == "not started"


def test_a_space_behind_a_comma_is_no_part_of_a_name_or_a_value(desk):
    (desk / "t.csv").write_text('how, seed\nwell, 1\n')
    assert plan.table("t.csv") == [("t.csv, row 2", {"how": "well", "seed": "1"})]


def key_of(**parameters):
    ledger.fingerprint.cache_clear()
    return ledger.key(plan.Task("report", parameters, "report", Path("report.ipynb")))


@pytest.mark.parametrize("name", ["ward.csv", "ward.toml", "outcomes.csv"])
def test_what_is_read_with_the_data_counts_as_data(desk, monkeypatch, name):
    monkeypatch.setenv("HOME", str(desk))
    monkeypatch.setenv("USERPROFILE", str(desk))
    (desk / "ward.csv").write_text("a")
    for given in ("ward.csv", "~/ward.csv"):
        before = key_of(dataset=given)
        assert key_of(dataset=given) == before
        (desk / name).write_text(given)
        (desk / "ward.html").write_text(given)
        assert key_of(dataset=given) != before


def test_what_a_report_writes_is_no_input_but_must_be_there(desk):
    before = key_of(save_to="model")
    task = plan.Task("report", {"save_to": "model"}, "report", status="done")
    made = nbformat.v4.new_notebook()
    ledger.stamp(task, made, before)
    nbformat.write(made, "report.ipynb")
    (desk / "report.html").write_text("")
    assert not ledger.restore(task, desk, before)
    (desk / "model").mkdir()
    (desk / "model" / "weights").write_text("")
    assert key_of(save_to="model") == before and ledger.restore(task, desk, before)


def test_links_of_the_index_lead_to_files_of_any_name():
    task = plan.Task("ward #1", {}, 'ward #1? 50% "x"', status="done")
    assert re.findall('href="(ward[^"]*)"', index.page([task])) == [f"ward%20%231%3F%2050%25%20%22x%22.{end}" for end in ("html", "ipynb")]


def test_the_values_of_a_grid_stay_as_they_are_written(desk):
    (desk / "g.yaml").write_text("how: [007, 1_0, no, 2020-01-02, 1.50, '']\nseed: 08\n")
    tasks = plan.plan(["report.ipynb"], {}, plan.grid("g.yaml"))
    assert [t.parameters["how"] for t in tasks] == ["007", "1_0", "no", "2020-01-02", "1.50", ""]
    assert tasks[0].stem.startswith("report-how=007_seed=8-") and {t.parameters["seed"] for t in tasks} == {8}


@pytest.mark.skipif(sys.platform == "win32", reason="links need permission there")
@pytest.mark.parametrize("link, given", [("films", "films"), ("films/one", "films"), ("films/one.png", "films"), ("a.csv", "a.csv")])
def test_a_link_that_leads_elsewhere_is_a_change(desk, link, given):
    for name in ("old", "new"):
        path = desk / name / "1.png" if "." not in link else desk / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        os.utime(path, (1, 1))
    (desk / link).parent.mkdir(exist_ok=True)
    (desk / link).symlink_to(desk / "old")
    before = key_of(dataset=given)
    (desk / link).unlink()
    (desk / link).symlink_to(desk / "new")
    assert key_of(dataset=given) != before
