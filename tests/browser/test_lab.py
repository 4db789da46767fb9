"""JupyterLab as a learner meets it, in a real browser: start page, Run All Cells, feedback, progress."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from medkit import copies, progress

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start JupyterLab with the options of `make lab`, on fresh copies and a fresh home: (address, folder)."""
    home = tmp_path_factory.mktemp("home")
    copies.copy_new(ROOT / "notebooks" / "exercises", home / "my-notebooks")
    options = re.search(r"jupyter lab (.*) \$\(LAB_OPTIONS\)", (ROOT / "Makefile").read_text())[1]
    options = shlex.split(options.replace("$(NOTEBOOKS)", "my-notebooks"))
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
    env |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(home)}
    command = [sys.executable, "-m", "jupyterlab", *options, "--no-browser", f"--port={port}", "--ServerApp.port_retries=0",
               "--IdentityProvider.token=t", "--allow-root"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, cwd=home, env=env, stdout=log, stderr=log)
    try:
        wait(lambda: answers(f"http://127.0.0.1:{port}/api?token=t"), 60, lambda: (home / "log").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}", home / "my-notebooks"
    finally:
        server.terminate()
        server.wait(20)


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


def wait(ready, seconds, state):
    """Wait until `ready()` is true."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, state()
        time.sleep(0.25)


@pytest.fixture(scope="module")
def page(chromium, lab):
    tab = chromium.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    tab.goto(f"{lab[0]}/?token=t")  # as the browser that `make lab` opens
    yield tab
    tab.context.close()


def shown(page, selector):
    """Find in the notebook that is in front."""
    return page.locator(f".jp-NotebookPanel:not(.lm-mod-hidden) {selector}")


def run_all(page, seconds):
    """Choose Run, Run All Cells once the kernel is idle, and wait until every code cell has run."""
    last = shown(page, ".jp-CodeCell").last  # cells out of sight are not on the page: go to the last

    def prompt():
        last.scroll_into_view_if_needed()
        return last.locator(".jp-InputPrompt").inner_text()

    shown(page, ".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(state="attached", timeout=180_000)
    wait(lambda: choose_run_all(page) or "[ ]" not in prompt(), 60, lambda: "no cell was sent to the kernel")
    wait(lambda: re.search(r"\[\d+\]", prompt()), seconds, lambda: f"not all cells ran in {seconds} s, the last is {prompt()}")


def choose_run_all(page):
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
    page.wait_for_timeout(3_000)  # a kernel that is not yet connected lets the choice go by


def test_it_opens_on_the_start_page_which_checks_the_machine_and_shows_progress(page):
    shown(page, "h2:has-text('Is this machine ready?')").wait_for(timeout=60_000)
    run_all(page, 180)
    assert shown(page, ".jp-OutputArea-output td:text-is('Free disk')").count() == 1
    assert shown(page, ".jp-OutputArea-output :text('0 of 5 right')").count() >= 1


def test_a_link_leads_to_lesson_1_which_runs_from_top_to_bottom(page):
    shown(page, ".jp-MarkdownOutput a:text-is('Deep learning basics')").first.click()
    shown(page, "h1:has-text('1. Deep learning basics')").wait_for(timeout=30_000)
    run_all(page, 480)
    assert shown(page, "[data-mime-type='application/vnd.jupyter.error']").count() == 0


def test_an_answer_gets_feedback_at_once_and_progress_is_kept(page, lab):
    cell = shown(page, ".jp-CodeCell:has-text('exercise_1(relu)')")
    cell.scroll_into_view_if_needed()
    assert "not tried yet" in cell.locator(".jp-OutputArea").inner_text()
    for body, said in [("return z.max()", "not yet. It should give an array back"), ("return np.maximum(z, 0)", "right. Well done!")]:
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(f"def relu(z):\n    {body}\n\n\nexercise_1(relu)")
        page.keyboard.press("Control+Enter")
        cell.locator(f".jp-OutputArea :text('{said}')").wait_for(timeout=20_000)
    assert progress.read(lab[1]) == {"1.1": "right"}


def test_recall_questions_open_by_keyboard_and_glossary_words_are_linked(page):
    question = shown(page, "details summary").first
    question.scroll_into_view_if_needed()
    question.focus()
    page.keyboard.press("Enter")
    shown(page, "details[open]").first.wait_for(timeout=5_000)
    assert shown(page, "a[href*='glossary.ipynb']").count() >= 1
