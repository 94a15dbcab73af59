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
    return int(((green > red + 30) & (green > blue + 30)).sum())
