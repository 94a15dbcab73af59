"""The diagnosis report as a reader uses it, in a real browser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from la_medical.diagnosis import Settings, diagnose
from la_medical.labels.space import LabelSpace
from la_medical.manifest import from_columns
from la_medical.reports.diagnosis_report import Extras, write_report

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
COUNT = 240


@pytest.fixture(scope="module")
def cohort():
    """Cases c000... with a known truth; every fourth is validation."""
    generator = np.random.default_rng(4)
    truth = generator.integers(0, 2, COUNT)
    return pd.DataFrame(
        {
            "case_id": [f"c{i:03d}" for i in range(COUNT)],
            "patient_id": [f"p{i:03d}" for i in range(COUNT)],
            "source": np.where(np.arange(COUNT) % 3 == 0, "phantom_south", "north"),
            "split": np.where(np.arange(COUNT) % 4 == 0, "val", "test"),
            "image": [f"{i % 7}.png" for i in range(COUNT)],
            "label.pneumonia": truth,
            "label.effusion": pd.array(np.where(np.arange(COUNT) % 3 == 0, 0, truth[::-1]), dtype="Int8"),
            "prob.pneumonia": np.clip(truth * 0.4 + generator.random(COUNT) * 0.6, 0, 1).round(6),
            "prob.effusion": generator.random(COUNT).round(6),
        }
    )


@pytest.fixture(scope="module")
def report(cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for shade in range(7):
        Image.fromarray(np.full((60, 80), 30 * shade, np.uint8)).save(folder / f"{shade}.png")
    labels = [name for name in cohort.columns if not name.startswith("prob.")]
    manifest = from_columns(cohort[labels], root=folder, space=LabelSpace.load("chest_xray"))
    answers = cohort[["case_id", "prob.pneumonia", "prob.effusion"]]
    (folder / "history.csv").write_text("epoch,train.total,val.score\n1,0.9,0.5\n2,0.5,0.7\n")
    result = diagnose(manifest, answers, settings=Settings(replicates=50))
    corner = np.zeros((4, 4), np.uint8)
    corner[:2, :2] = 255
    for case in cohort["case_id"]:
        (folder / "maps" / case).mkdir(parents=True)
        Image.fromarray(corner).save(folder / "maps" / case / "effusion.png")
    extras = Extras(history=folder / "history.csv", maps=folder / "maps")
    return write_report(folder / "out", result, manifest=manifest, extras=extras), result


def _column(page, number):
    return page.locator(f"#case-table tbody tr td:nth-child({number})").all_inner_texts()


def test_opens_offline_and_says_the_result(report, opened):
    path, result = report
    page = opened(path)
    area = result.metrics["classes"]["pneumonia"]["auroc"]["estimate"]
    assert f"AUC for pneumonia {area:.3f}" in page.locator(".lead").inner_text()
    assert "PHANTOM" in page.locator(".phantom").inner_text()
    # ROC, reliability, scores, confusion of two classes; coverage, losses, scores on validation
    assert page.locator("figure svg").count() == 2 * 4 + 3
    assert page.locator(".drawing svg").first.is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_theme_follows_the_system_and_the_button(report, opened, theme):
    page = opened(report[0], theme=theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") != theme
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") != theme  # the reader's choice is kept


def test_worst_errors_come_first_and_sorting_works(report, opened):
    path, result = report
    page = opened(path)
    page.select_option("#pick-class", "pneumonia")
    cases = result.cases
    column = cases.classes.index("pneumonia")
    limit = result.thresholds["pneumonia"].value
    truth, score = cases.truth[:, column] == 1, cases.probability[:, column]
    wrong = (score >= limit) != truth
    worst = cases.rows["case_id"][np.argmax(np.where(wrong, np.abs(score - limit), -1))]
    assert page.locator("#case-table tbody th").first.inner_text() == worst
    page.locator('#case-table button[data-key="score"]').click()
    falling = [float(text) for text in _column(page, 4)]
    assert falling == sorted(falling, reverse=True)
    assert page.locator("#case-table th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.locator('#case-table button[data-key="score"]').click()
    rising = [float(text) for text in _column(page, 4)]
    assert rising == sorted(rising)
    assert rising[0] == pytest.approx(score.min(), abs=1e-3)


def test_filters_narrow_the_table(report, opened):
    path, result = report
    page = opened(path)
    page.select_option("#pick-class", "pneumonia")
    page.select_option("#pick-outcome", "FN")
    column = result.cases.classes.index("pneumonia")
    truth, score = result.cases.truth[:, column], result.cases.probability[:, column]
    missed = int(((truth == 1) & (score < result.thresholds["pneumonia"].value)).sum())
    assert set(_column(page, 6)) == {"FN"}
    assert page.locator("#case-table tbody tr").count() == missed
    page.select_option("#pick-outcome", "")
    page.select_option("#pick-source", label="phantom_south")
    assert set(_column(page, 3)) == {"phantom_south"}
    page.select_option("#pick-source", "")
    page.fill("#find", "C017")
    assert page.locator("#case-table tbody th").all_inner_texts() == ["c017"]
    assert page.locator("#shown").inner_text().startswith("1 of 1 cases")


def test_more_rows_on_request(report, opened):
    page = opened(report[0])
    assert page.locator("#case-table tbody tr").count() == 100
    page.get_by_role("button", name="Show more").click()
    assert page.locator("#case-table tbody tr").count() == COUNT * 3 // 4
    assert not page.get_by_role("button", name="Show more").is_visible()


def test_a_case_opens_with_its_image_and_answers(report, opened, cohort):
    page = opened(report[0])
    page.fill("#find", "c005")
    page.locator("#case-table button.open").click()
    page.wait_for_selector('#view-canvas[data-ready="c005"]')
    assert "Case c005" in page.locator("#viewer").inner_text()
    # 5.png has the value 150 everywhere
    value = page.evaluate("document.getElementById('view-canvas').getContext('2d').getImageData(9, 9, 1, 1).data[0]")
    assert abs(value - 150) <= 2
    shown = page.locator("#view-answers tbody tr").all_inner_texts()
    assert f"{cohort['prob.pneumonia'][5]:.3f}".rstrip("0") in "\n".join(shown)
    page.get_by_role("button", name="Close").click()
    assert not page.locator("#viewer").is_visible()


def test_the_keyboard_is_enough(report, opened):
    page = opened(report[0])
    page.locator("#case-table button.open").first.focus()
    page.keyboard.press("Enter")
    names = page.locator("#case-table tbody th").all_inner_texts()
    assert page.locator("#view-title").inner_text() == f"Case {names[0]}"
    page.keyboard.press("ArrowRight")
    assert page.locator("#view-title").inner_text() == f"Case {names[1]}"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#view-title").inner_text() == f"Case {names[0]}"
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("document.activeElement.textContent") == names[0]  # where the reader was
    page = opened(report[0])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_a_phone_needs_no_sideways_scrolling(report, opened):
    page = opened(report[0], width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#case-table button.open").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#view-close").is_visible()


def test_on_paper_every_figure_is_open_and_light(report, opened):
    page = opened(report[0], theme="dark")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.emulate_media(media="print")
    assert not page.locator("#theme").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(report, opened, axe, theme):
    page = opened(report[0], theme=theme)
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []
    page.locator("#case-table button.open").first.click()
    found = page.evaluate("axe.run('#viewer', {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


def test_the_map_of_a_class_is_laid_over_the_picture_and_taken_off(report, opened):
    page = opened(report[0])
    page.locator("#case-table .open").first.click()
    page.locator("#view-canvas[data-ready]").wait_for()
    colour = "(x, y) => { const c = document.getElementById('view-canvas'); return [...c.getContext('2d').getImageData("
    colour += "x * c.width, y * c.height, 1, 1).data].slice(0, 3); }"
    at = f"([x, y]) => ({colour})(x, y)"
    plain = page.evaluate(at, [0.1, 0.1])
    assert max(plain) - min(plain) < 3
    assert page.locator("#view-maps button").all_inner_texts() == ["Off", "effusion"]
    button = page.get_by_role("button", name="effusion", exact=True)
    button.click()
    page.locator("#view-canvas[data-map=effusion]").wait_for()
    assert button.get_attribute("aria-pressed") == "true"
    red, _, blue = page.evaluate(at, [0.1, 0.1])
    assert red > blue + 60  # orange where the class's map is strong
    assert page.evaluate(at, [0.9, 0.9]) == plain  # nothing where it is 0
    page.get_by_role("button", name="Off", exact=True).click()
    page.locator("#view-canvas:not([data-map])").wait_for()
    assert button.get_attribute("aria-pressed") == "false"
