"""Debian's chromium, driven by playwright, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """A function that opens a page from the file system, offline; any message on the console fails the test."""
    complaints, contexts = [], []

    def open_page(path, *, theme="light", width=1280, height=900):
        context = chromium.new_context(
            offline=True, color_scheme=theme, viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: _said(message, complaints))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: _local(request.url, complaints))
        page.goto(Path(path).resolve().as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The text of axe-core: the file AXE_CORE, else of the package axe-playwright-python, else from npm; or skipped."""
    given = os.environ.get("AXE_CORE")
    if given:
        return Path(given).read_text(encoding="utf-8")
    package = find_spec("axe_playwright_python")
    if package is not None and package.origin is not None:
        return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm is not installed, so {AXE} cannot be fetched; AXE_CORE may name a copy of axe.min.js")
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run([npm, "pack", "--silent", AXE], cwd=folder, check=True, capture_output=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"npm could not fetch {AXE}; AXE_CORE may name a copy of axe.min.js")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode("utf-8")


def _said(message, complaints):
    # the software driver's note on its own speed while a screenshot of WebGL is taken
    if "GPU stall due to ReadPixels" not in message.text:
        complaints.append(f"{message.type}: {message.text}")


def _local(url, complaints):
    if not url.startswith(("file:", "data:", "about:", "blob:")):
        complaints.append(f"network: {url}")
