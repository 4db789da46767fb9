"""What the tests share: a data set of our own on a local server, and checks of recorded figures."""

import hashlib
import http.server
import os
import shutil
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest

from medkit import catalog, fetch

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FIGURE = "application/vnd.medkit.figure+json"
RANGES = tomllib.loads((Path(__file__).parent / "figures.toml").read_text())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """After nbval ran a notebook's cell: are the figures that it recorded within their ranges?"""
    yield
    for output in getattr(item, "test_outputs", None) or []:
        figure = output.get("data", {}).get(FIGURE)
        if figure:
            check_figure(Path(item.fspath).stem, figure)


def check_figure(lesson, figure):
    """Compare one recorded figure with its range in figures.toml; a figure without a range is an error."""
    bounds = RANGES[lesson][figure["name"]]
    if isinstance(figure["value"], str):
        assert figure["value"] in bounds, f"{figure['name']} is {figure['value']}, not one of {bounds}"
        return
    low, high, *surely = bounds  # a third bound: of the lower end of its interval
    assert figure["value"] is not None and low <= figure["value"] <= high, f"{figure} is outside {bounds}"
    assert not surely or figure["low"] > surely[0], f"the interval of {figure} does not lie above {surely[0]}"


@pytest.fixture
def tiny_images():
    """Make arrays as a MedMNIST file holds them: 40, 12 and 12 images of 28 x 28, two classes."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in {"train": 40, "val": 12, "test": 12}.items():
        labels = (np.arange(n) % 2).astype(np.uint8)[:, None]
        noise = rng.integers(0, 100, (n, 28, 28))
        arrays |= {f"{part}_images": (noise + 100 * labels[:, :, None]).astype(np.uint8), f"{part}_labels": labels}
    return arrays


class Handler(http.server.SimpleHTTPRequestHandler):
    """A server of one folder that can resume, break off, and remembers what it was asked."""

    def do_GET(self):
        body = (Path(self.directory) / self.path.lstrip("/")).read_bytes() if self.exists() else None
        self.server.asked.append((self.path, self.headers.get("Range")))
        if body is None:
            return self.send_error(404)
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        stop = self.server.break_at.pop(0) if self.server.break_at else None
        self.wfile.write(body[start:stop])
        if stop:
            self.close_connection = True

    def exists(self):
        return (Path(self.directory) / self.path.lstrip("/")).is_file()

    def log_message(self, *args):
        """Stay quiet."""


@pytest.fixture
def server(tmp_path):
    """Serve `tmp_path / "site"` on this machine; `break_at` lists byte positions at which replies break off."""
    site = tmp_path / "site"
    site.mkdir()
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(site)))
    made.asked, made.break_at, made.site = [], [], site
    made.url = f"http://127.0.0.1:{made.server_port}"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def tiny_set(server, tiny_images, tmp_path, monkeypatch):
    """Add a data set "tinymnist" to the catalog, with its file on the local server and an empty cache."""
    np.savez(server.site / "tinymnist.npz", **tiny_images)
    body = (server.site / "tinymnist.npz").read_bytes()
    card = catalog.Card("tinymnist", "Tiny", "Made for tests.", "images", "binary", "CC0-1.0", "none",
                        base_url=f"{server.url}/", files={"tinymnist.npz": f"md5:{hashlib.md5(body).hexdigest()}"},
                        labels={"0": "dark", "1": "bright"}, splits={"train": 40, "val": 12, "test": 12})
    known = {**catalog.cards(), "tinymnist": card}
    monkeypatch.setattr(catalog, "cards", lambda: known)
    monkeypatch.setenv("MEDKIT_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDKIT_MIRROR", raising=False)
    fetch.manifest.cache_clear()
    return card


@pytest.fixture(scope="module")
def chromium():
    """Start Chromium: the system's, or the one that Playwright fetched."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with driver.sync_playwright() as play:
        here = next(filter(None, map(shutil.which, BROWSERS)), None) or play.chromium.executable_path
        if not Path(here).exists():
            pytest.skip("no Chromium on this machine: install the system's, or run playwright install chromium")
        browser = play.chromium.launch(executable_path=here, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe():
    """Give the text of axe-core, the checker of accessibility."""
    path = Path(os.environ.get("AXE_CORE", ""))
    if not path.is_file():
        pytest.skip("AXE_CORE does not name axe.min.js: get it by npm pack axe-core, and unpack it")
    return path.read_text(encoding="utf-8")
