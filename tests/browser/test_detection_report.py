"""The detection report in a real browser: slices, windows, outlines."""

from __future__ import annotations

import pytest

from la_medical.reports.detection_report import write_report
from tests.reports.small_hospital import build

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = build(tmp_path_factory.mktemp("hospital"))
    return write_report(
        root / "out", metrics=root / "out" / "metrics.json", candidates=root / "candidates", manifest=root / "m.csv",
        predictions=root / "predictions",
    )  # fmt: skip


def _opened_case(page, name):
    page.fill("#find", name)
    page.locator("#case-table button.open").click()
    page.wait_for_selector(f'#view-canvas[data-ready="{name}"]')


def _until(page, reached, tries=50):
    """Wait for a condition from outside: the page's own policy forbids it to evaluate strings."""
    for _ in range(tries):
        if reached():
            return
        page.wait_for_timeout(100)
    pytest.fail(f"not reached after {tries / 10:g} s")


def _slice(page):
    return int(page.locator("#view-where").inner_text().split()[0])


def test_says_the_sentence_and_opens_without_network(report, opened):
    page = opened(report)
    assert page.locator(".headline").first.inner_text().startswith("Sensitivity for pdac")
    assert "PHANTOM" in page.locator(".phantom").inner_text()
    assert page.get_by_role("img", name="Free-response ROC curve of pdac").is_visible()


def test_slices_scroll_by_key_wheel_and_slider(report, opened):
    page = opened(report)
    _opened_case(page, "ct03")
    first = _slice(page)
    page.keyboard.press("ArrowDown")
    assert _slice(page) == first + 1
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert _slice(page) == first - 1
    page.locator("#view-canvas").hover()
    page.mouse.wheel(0, 120)
    _until(page, lambda: _slice(page) == first)
    page.locator("#view-slice").fill("0")
    assert _slice(page) == 1


def test_outlines_and_windows_change_the_picture(report, opened):
    page = opened(report)
    _opened_case(page, "ct03")
    read = "document.getElementById('view-canvas').toDataURL()"
    colours = """() => {
        const c = document.getElementById('view-canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let green = 0, orange = 0;
        for (let p = 0; p < d.length; p += 4) {
            if (d[p + 1] > d[p] + 60 && d[p + 1] > d[p + 2] + 40) green += 1;
            if (d[p] > d[p + 2] + 80 && d[p] > d[p + 1] + 40) orange += 1;
        }
        return [green, orange];
    }"""
    green, orange = page.evaluate(colours)
    assert green > 20
    assert orange > 20
    before = page.evaluate(read)
    page.get_by_role("button", name="Pancreas").click()
    _until(page, lambda: page.evaluate(read) != before)
    assert page.get_by_role("button", name="Pancreas").get_attribute("aria-pressed") == "true"
    assert page.get_by_role("button", name="Soft tissue").get_attribute("aria-pressed") == "false"


def test_other_cases_by_key_and_size_column_sorts(report, opened):
    page = opened(report)
    page.locator('#case-table button[data-key="extra0"]').click()
    sizes = [float(t) for t in page.locator("#case-table tbody td:nth-child(7)").all_inner_texts() if t]
    assert sizes == sorted(sizes, reverse=True)
    names = page.locator("#case-table tbody th").all_inner_texts()
    page.locator("#case-table button.open").first.click()
    page.keyboard.press("ArrowRight")
    assert page.locator("#view-title").inner_text() == f"Case {names[1]}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(report, opened, axe, theme):
    page = opened(report, theme=theme)
    page.evaluate(axe)
    _opened_case(page, "ct03")
    for where in ("'main'", "'#viewer'"):
        if where == "'main'":
            page.keyboard.press("Escape")
        else:
            page.locator("#case-table button.open").first.click()
        found = page.evaluate(f"axe.run({where}, {{resultTypes: ['violations']}})")["violations"]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []
