"""Which outlines the viewer draws for the chosen class, and what its legend calls them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from la_medical.reports.case_table import case_content, class_column
from la_medical.reports.page import Page, write_page
from la_medical.reports.pictures import data_uri

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def _box(low, high):
    return [[[low, low], [high, low], [high, high], [low, high], [low, low]]]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Case a: a drawn cancer and a drawn cyst, a candidate of each. Case b: only a "tumour" is drawn."""
    gray = data_uri(Image.fromarray(np.full((64, 64), 90, np.uint8)))
    empty = {"picture": gray, "where": "0 mm", "reference": {}, "candidate": {}}
    first = {"picture": gray, "where": "5 mm", "reference": {"pdac": _box(5, 20), "tumour": _box(5, 20)},
             "candidate": {"pdac": _box(8, 24)}}  # fmt: skip
    second = {"picture": gray, "where": "10 mm", "reference": {"cyst": _box(40, 55), "tumour": _box(40, 55)},
              "candidate": {"cyst": _box(42, 58)}}  # fmt: skip
    shared = {"range": {"low": -200, "high": 400}, "start": 0}
    views = {
        "a": {**shared, "slices": [empty, first, second], "starts": {"pdac": 1, "cyst": 2, "tumour": 1}},
        "b": {**shared, "slices": [{**empty, "reference": {"tumour": _box(5, 20)}}], "starts": {"tumour": 0},
              "note": "<b>not drawn</b>"},
    }  # fmt: skip
    ones = np.ones(2)
    cases = case_content(
        case=["a", "b"], patient=["p", "q"], source=["s", "s"], views=views, score_label="Score",
        classes=[class_column(name, ones, ones, 0.5) for name in ("pdac", "cyst", "tumour", "any")],
        unions={"tumour": ["pdac", "cyst"], "any": ["pdac", "cyst"]},
    )  # fmt: skip
    return write_page(Page("t", "k", "a", ["h"], [], cases=cases), tmp_path_factory.mktemp("outlines"))


def _legend(page, name, case):
    page.select_option("#pick-class", name)
    page.locator(f'#case-table button.open:text-is("{case}")').click()
    page.wait_for_selector(f'#view-canvas[data-ready="{case}"]')
    said = [text.strip() for text in page.locator("#view-legend li").all_inner_texts()]
    where = page.locator("#view-where").inner_text()
    page.keyboard.press("Escape")
    return said, where


def test_the_class_of_the_report_is_outlined_and_others_in_another_style(report, opened):
    page = opened(report)
    others = ["other reference: cyst", "other candidate: cyst"]
    assert _legend(page, "pdac", "a") == (["reference: pdac", "candidate: pdac", *others], "2 of 3, 5 mm")
    others = ["other reference: pdac", "other candidate: pdac"]
    assert _legend(page, "cyst", "a") == (["reference: cyst", "candidate: cyst", *others], "3 of 3, 10 mm")


def test_a_union_has_its_own_outline_or_those_of_its_members(report, opened):
    page = opened(report)
    # drawn as such; nobody answers for it, so its members' candidates stand for it
    assert _legend(page, "tumour", "a")[0] == ["reference: tumour", "candidate: cyst, pdac"]
    assert _legend(page, "any", "a")[0] == ["reference: cyst, pdac", "candidate: cyst, pdac"]
    # somebody drew a tumour and did not say which
    assert _legend(page, "pdac", "b")[0] == ["reference: none of pdac", "candidate: none of pdac",
                                             "other reference: tumour"]  # fmt: skip
    assert _legend(page, "any", "b")[0][0] == "reference: none of any"
    assert page.locator("#view-said").text_content() == "<b>not drawn</b>"


def test_the_picture_says_what_is_outlined_in_it(report, opened):
    page = opened(report)
    _legend(page, "pdac", "a")
    label = page.locator("#view-canvas").get_attribute("aria-label")
    assert label == "Case a, slice 2 of 3; outlined: reference pdac, candidate pdac"
