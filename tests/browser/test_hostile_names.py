"""Names from data that hold HTML, scripts, quotes, formulas or mathematics do nothing in a real browser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from la_medical.cli.main import main
from la_medical.diagnosis import Settings, diagnose
from la_medical.labels.space import LabelSpace
from la_medical.manifest import from_columns
from la_medical.reports.case_table import case_content, class_column
from la_medical.reports.diagnosis_report import Extras, write_report
from la_medical.reports.page import Page, Table, write_page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

HOSTILE = [
    "<img src=x onerror=\"window.hit=1;alert('img')\">",
    "</script><script>window.hit=1;alert('script')</script>",
    "</style><svg onload=alert(1)>",
    "\"><b onmouseover='alert(1)'>bold</b>",
    "line\nbreak\r\n\ttab",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "${{7*7}} {{ 7*7 }} {% raw %}",
    "$\\frac{$ costs 5$",
    "javascript:alert(1)",
    "<!--<script>",
    "\u2028\u202eabc\x07",
    "&lt;img src=x&gt;",
    "患者 ü ß",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    Image.fromarray(np.full((20, 20), 90, np.uint8)).save(folder / "one.png")
    count = 4 * len(HOSTILE)
    truth = np.arange(count) // 2 % 2
    table = pd.DataFrame(
        {
            "case_id": [f"c{n:03d}" for n in range(count)],
            "patient_id": [f"{HOSTILE[n % len(HOSTILE)]}{n}" for n in range(count)],
            "source": [HOSTILE[n % len(HOSTILE)] for n in range(count)],
            "split": np.where(np.arange(count) // len(HOSTILE) == 0, "val", "test"),
            "image": "one.png",
            "label.pneumonia": truth,
        }
    )
    manifest = from_columns(table, root=folder, space=LabelSpace.load("chest_xray"))
    answers = pd.DataFrame(
        {"case_id": table["case_id"], "prob.pneumonia": np.random.default_rng(0).random(count).round(3)}
    )
    result = diagnose(manifest, answers, settings=Settings(replicates=0))
    audit = {"checks": [{"name": name, "status": "failed", "message": name} for name in HOSTILE]}
    (folder / "h.csv").write_text('epoch,"train.<img src=x onerror=alert(1)>",val.$score$\n1,2,0.1\n2,1,0.4\n')
    extras = Extras(audit=audit, history=folder / "h.csv")
    inputs = {name: {"file": name, "sha256": name} for name in HOSTILE}
    return write_report(folder / "out", result, manifest=manifest, inputs=inputs, extras=extras)


def _harmless(page, dialogs):
    assert dialogs == []
    assert page.evaluate("window.hit") is None
    injected = "document.querySelectorAll('img, iframe, object, embed, form:not(#controls), b, [onerror], [onload]')"
    assert page.evaluate(f"{injected}.length") == 0
    assert page.evaluate("document.scripts.length") == 2


def _listened(page):
    dialogs = []
    page.on("dialog", lambda one: (dialogs.append(one.message), one.dismiss()))
    page.reload()
    return dialogs


def test_nothing_from_data_runs_or_becomes_an_element(report, opened):
    page = opened(report)
    dialogs = _listened(page)
    shown = page.locator("#case-table tbody td:nth-child(3)").all_inner_texts()
    assert HOSTILE[0] in shown  # as text
    for name in (HOSTILE[0], HOSTILE[1]):
        page.fill("#find", name)
        page.locator("#case-table button.open").first.click()
        page.locator("#view-answers caption").hover()
        assert name in page.locator("#view-answers caption").inner_text()
        page.keyboard.press("Escape")
    page.fill("#find", "")
    page.select_option("#pick-source", label=HOSTILE[0])
    assert set(page.locator("#case-table tbody td:nth-child(3)").all_inner_texts()) == {HOSTILE[0]}
    for part in page.locator("summary").all():
        part.click()
    _harmless(page, dialogs)


def test_class_and_file_names_of_a_page_are_text_too(opened, tmp_path):
    ones = np.ones(len(HOSTILE))
    extra = [{"label": HOSTILE[0], "values": HOSTILE, "number": False}]
    slices = [{"picture": "data:,", "where": HOSTILE[0], "reference": {HOSTILE[1]: []}, "candidate": {HOSTILE[0]: []}}]
    view = {"range": {"low": 0, "high": 1}, "start": 0, "starts": {}, "slices": slices, "note": HOSTILE[1]}
    cases = case_content(
        case=HOSTILE, patient=HOSTILE, source=HOSTILE, score_label=HOSTILE[0], unions={HOSTILE[0]: HOSTILE},
        classes=[class_column(name, ones, ones, 0.5, extra=extra) for name in HOSTILE],
        views={**dict.fromkeys(HOSTILE[:2], view), HOSTILE[2]: {"picture": "data:,", "maps": {HOSTILE[0]: "data:,"}}},
    )  # fmt: skip
    table = Table("t", HOSTILE[0], HOSTILE, [(HOSTILE, False)], HOSTILE[1])
    page = opened(
        write_page(
            Page(
                HOSTILE[1],
                HOSTILE[0],
                HOSTILE[2],
                HOSTILE,
                HOSTILE,
                phantom=HOSTILE[0],
                tables=[table],
                cases=cases,
                cases_note=HOSTILE[0],
                foot=HOSTILE[1],
            ),
            tmp_path,
        )
    )
    dialogs = _listened(page)  # fmt: skip
    for name in HOSTILE:
        page.evaluate("([name]) => { const s = document.getElementById('pick-class'); s.value = name; "
                      "s.dispatchEvent(new Event('change')); }", [name])  # fmt: skip
    for row in range(3):
        page.locator("#case-table button.open").nth(row).click()
        page.keyboard.press("Escape")
    _harmless(page, dialogs)


def test_a_volume_page_of_a_hostile_source_is_refused_or_harmless(opened, tmp_path):
    pytest.importorskip("ipyniivue", reason="NiiVue is in the extra `view`")
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "i.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "m.nii.gz")
    table = pd.DataFrame({"case_id": ["a"], "source": [HOSTILE[1]], "image": ["i.nii.gz"], "mask": ["m.nii.gz"],
                          "label.pdac": [1]})  # fmt: skip
    table.to_csv(tmp_path / "m.csv", index=False)
    assert main(["view", "a", "--manifest", str(tmp_path / "m.csv"), "--out", str(tmp_path / "a.html")]) == 0
    page = opened(tmp_path / "a.html")
    dialogs = _listened(page)
    page.wait_for_function("document.body.dataset.ready", timeout=60_000)
    assert dialogs == []
    assert page.evaluate("window.hit") is None
