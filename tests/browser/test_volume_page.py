"""`la-medical view`: NiiVue draws a volume from a file, offline."""

import io

import numpy as np
import pytest
from PIL import Image

from la_medical.cli.main import main
from tests.reports.small_hospital import build

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    pytest.importorskip("ipyniivue", reason="NiiVue is in the extra `view`")
    root = build(tmp_path_factory.mktemp("view"))
    out = root / "ct04.html"
    given = ["view", "ct04", "--manifest", str(root / "m.csv"), "--predictions", str(root / "predictions")]
    assert main([*given, "--out", str(out)]) == 0
    return out


def test_niivue_draws_image_and_reference(page_file, opened):
    page = opened(page_file)
    page.wait_for_function("document.body.dataset.ready", timeout=60_000)
    ready = page.evaluate("document.body.dataset.ready")
    if ready == "failed":
        pytest.skip(f"no WebGL 2 in this Chromium: {page.inner_text('#said')}")
    assert ready == "4"  # image, reference, two predicted classes
    page.wait_for_timeout(500)
    full = _pixels(page)
    assert _green(full) > 500  # the reference of a lesion that the detector missed
    for slider in page.query_selector_all(".opacity"):
        slider.evaluate("(one) => { one.value = 0; one.dispatchEvent(new Event('input')); }")
    page.wait_for_timeout(500)
    assert _green(_pixels(page)) < _green(full) / 2


def _pixels(page):
    shot = page.locator("#volume").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def _green(pixels):
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return int(((green > red + 30) & (green > blue + 5)).sum())


def _ready(page):
    page.wait_for_function("document.body.dataset.ready", timeout=60_000)
    if page.evaluate("document.body.dataset.ready") == "failed":
        pytest.skip(f"no WebGL 2 in this Chromium: {page.inner_text('#said')}")


def test_the_keyboard_moves_through_the_volume_and_says_where(page_file, opened):
    page = opened(page_file)
    _ready(page)
    page.select_option("#planes", "0")  # one plane is drawn faster than four
    page.locator(".opacity").last.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "volume"
    page.keyboard.press("PageUp")
    first = _where(page)
    page.keyboard.press("PageUp")
    assert np.subtract(_where(page), first).tolist() == [0, 0, 3]  # one slice of 3 mm to the head
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowLeft")  # the left of the picture is the patient's right, +x
    assert np.subtract(_where(page), first).tolist() == [2, 0, 0]
    page.keyboard.press("ArrowDown")
    assert np.subtract(_where(page), first).tolist() == [2, -2, 0]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_axe_finds_nothing_in_the_volume_page(page_file, opened, axe):
    page = opened(page_file)
    _ready(page)
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


def test_on_a_phone_the_volume_page_fits(page_file, opened):
    page = opened(page_file, width=390, height=800)
    _ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#volume").bounding_box()["height"] > 250


def _where(page):
    return [int(value) for value in page.inner_text("#where").removeprefix("At ").split(" mm")[0].split(", ")]
