"""The comparison report in a real browser."""

from __future__ import annotations

import pytest

from la_medical.cli.main import main
from tests.reports.two_models import two_models

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    given = [*map(str, two_models(root)), "--out", str(root / "out"), "--bootstraps", "20", "--margin", "0.1"]
    assert main(["compare", *given]) == 0
    return root / "out" / "report.html"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(report, opened, axe, theme):
    page = opened(report, theme=theme)
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


def test_it_says_who_is_right_and_fits_a_phone(report, opened):
    page = opened(report, width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".headline").first.inner_text().startswith("Sensitivity for pdac: A 83.3%, B 33.3%")
    rows = page.locator("section:has(#h-changed) tbody tr").all_inner_texts()
    assert sum("only A is right" in row for row in rows) == 4
    assert sum("only B is right" in row for row in rows) == 1
    assert page.get_by_role("img", name="ROC curves of A and B").is_visible()
