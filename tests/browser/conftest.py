"""A real browser for the tests, where there is one."""

import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def chromium():
    """Start Chromium: the system's, or the one that Playwright fetched."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with driver.sync_playwright() as play:
        here = next(filter(None, map(shutil.which, NAMES)), None) or play.chromium.executable_path
        if not Path(here).exists():
            pytest.skip("no Chromium on this machine: install the system's, or run playwright install chromium")
        browser = play.chromium.launch(executable_path=here, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe():
    """Give the text of axe-core, the checker of accessibility."""
    path = Path(os.environ.get("AXE_CORE", ""))
    if not path.is_file():
        pytest.skip("AXE_CORE does not name axe.min.js: get it by npm pack axe-core, and unpack it")
    return path.read_text(encoding="utf-8")
