import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns
from la_medical.manifest.audit import CANNOT, FAILED, PASSED, WARNING, audit
from la_medical.manifest.audit.inspection import ALONE, inspect_files, pixel_fingerprints
from la_medical.manifest.audit.render import html, terminal_lines, write_audit
from tests.dicom import made_series

SPACE = LabelSpace.load("chest_xray")


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)


def noise(seed, shape=(40, 48)):
    return np.random.default_rng(seed).integers(0, 256, shape)


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        save(tmp_path / f"{number}.png", noise(number))
    return tmp_path


def small(folder, **columns):
    base = {
        "case_id": [f"c{number}" for number in range(6)],
        "patient_id": [f"p{number}" for number in range(6)],
        "source": "one",
        "split": ["train", "train", "train", "val", "test", "test"],
        "image": [f"{number}.png" for number in range(6)],
        "label.pneumonia": [1, 0, 1, 0, 1, 0],
    }
    return from_columns({**base, **columns}, root=folder, space=SPACE, cards={"one": SourceCard(name="one")})


def test_a_sound_manifest_passes(folder):
    result = audit(small(folder))
    assert not result.failed
    for name in ("missing files", "unreadable files", "patients across splits", "equal pixels across splits"):
        assert result.check(name).status == PASSED
    assert result.check("shortcut baseline").status == CANNOT  # three positives say nothing


def test_missing_empty_and_truncated_files_fail_and_are_named(folder):
    (folder / "0.png").unlink()
    (folder / "1.png").write_bytes(b"")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    result = audit(small(folder))
    assert result.failed
    for name, case in (("missing", "c0"), ("empty", "c1"), ("unreadable", "c2")):
        check = result.check(f"{name} files")
        assert (check.status, check.count, check.cases) == (FAILED, 1, (case,))
    assert result.check("equal pixels across splits").status == CANNOT


def test_labels_only_opens_nothing_and_passes_nothing_it_did_not_see(tmp_path):
    result = audit(small(tmp_path / "nowhere"), labels_only=True)
    for name in ("missing files", "equal pixels across splits", "similar images across splits", "shortcut baseline"):
        assert result.check(name).status == CANNOT
    assert result.check("patients across splits").status == PASSED
    assert not result.failed


def test_a_patient_in_two_splits_fails(folder):
    check = audit(small(folder, patient_id=["p0", "p1", "p2", "p3", "p0", "p5"])).check("patients across splits")
    assert (check.status, check.cases) == (FAILED, ("c0", "c4"))


def test_without_patient_ids_it_cannot_be_checked(folder):
    check = audit(small(folder, patient_id="")).check("patients across splits")
    assert (check.status, check.count) == (CANNOT, 6)


def test_a_study_in_two_splits_fails(folder):
    check = audit(small(folder, study_uid=["1", "2", "3", "3", "5", "6"])).check("studies across splits")
    assert (check.status, check.cases) == (FAILED, ("c2", "c3"))


def test_equal_pixels_are_found_whatever_the_file_format(folder):
    pixels = noise(0)
    Image.fromarray(np.stack([pixels] * 3, axis=-1).astype(np.uint8)).save(folder / "4.bmp")  # gray stored as RGB
    result = audit(small(folder, image=["0.png", "1.png", "2.png", "3.png", "4.bmp", "5.png"]))
    check = result.check("equal pixels across splits")
    assert (check.status, check.cases) == (FAILED, ("c0", "c4"))
    assert result.check("equal pixels under two patients").status == WARNING


def test_a_resized_copy_is_a_warning(folder):
    smooth = np.asarray(
        Image.fromarray(noise(7, (24, 24)).astype(np.uint8)).resize((192, 192), Image.Resampling.BICUBIC)
    )
    save(folder / "0.png", smooth)
    Image.fromarray(smooth).resize((150, 150), Image.Resampling.BILINEAR).save(folder / "5.png")
    result = audit(small(folder))
    check = result.check("similar images across splits")
    assert (check.status, check.cases) == (WARNING, ("c0", "c5"))
    assert not result.failed


def test_derived_sources_fail_until_equal_pixels_show_what_they_share(folder):
    cards = {
        "rsna": SourceCard(name="rsna", derived_from={"nih": "its images are NIH's"}),
        "nih": SourceCard(name="nih"),
    }
    manifest = replace(small(folder, source=["nih"] * 3 + ["rsna"] * 3), cards=cards)
    assert audit(manifest, labels_only=True).check("derived sources across splits").status == FAILED
    assert audit(manifest).check("derived sources across splits").status == FAILED
    save(folder / "3.png", noise(0))  # an image of both, and kept on one side
    manifest = replace(manifest, table=manifest.table.assign(split=["val", "train", "train", "val", "test", "test"]))
    assert audit(manifest).check("derived sources across splits").status == WARNING


def test_without_cards_derivation_cannot_be_checked(folder):
    manifest = replace(small(folder, source=["a"] * 3 + ["b"] * 3), cards={})
    assert audit(manifest, labels_only=True).check("derived sources across splits").status == CANNOT


def test_labels_that_contradict_the_space_fail(tmp_path):
    space = LabelSpace.load("pancreatic_ct")
    manifest = from_columns(
        {"case_id": list("abc"), "image": "x.nii.gz", "label.pdac": [1, 1, 0], "label.cyst": [1, 0, 0],
         "label.pannet": [0, 0, 0], "label.tumour": [1, 1, 1]},
        root=tmp_path, space=space,
    )  # fmt: skip
    check = audit(manifest, labels_only=True).check("label relations")
    assert (check.status, check.cases) == (FAILED, ("c",))  # a patient may have a cyst beside a cancer, as in a


def test_series_faults_fail_or_warn_by_what_they_are(folder):
    faults = ["", "monochrome1;gantry_tilt", "irregular_step", "mixed_patients; lossy", "", ""]
    result = audit(small(folder, faults=faults))
    assert (result.check("series geometry").status, result.check("series geometry").cases) == (FAILED, ("c2", "c3"))
    assert result.check("series: irregular_step").status == FAILED
    assert result.check("series: mixed_patients").cases == ("c3",)
    for name in ("monochrome1", "gantry_tilt", "lossy"):
        assert result.check(f"series: {name}").status == WARNING


def test_coverage_counts_every_state(folder):
    result = audit(small(folder, **{"label.effusion": [1, 0, -1, None, None, 0]}), labels_only=True)
    entry = next(entry for entry in result.coverage if entry["class"] == "effusion")
    assert entry == {
        "source": "one", "class": "effusion", "rows": 6, "positive": 1, "negative": 2, "uncertain": 1, "unknown": 2,
    }  # fmt: skip


def test_a_source_with_one_state_of_a_class_is_named(folder):
    manifest = small(folder, source=["a"] * 3 + ["b"] * 3, **{"label.effusion": [1, 1, None, 0, 1, None]})
    check = audit(manifest, labels_only=True).check("one-sided classes")
    assert check.status == WARNING
    assert "a has only positives of effusion" in check.message
    assert "b has" not in check.message


def test_the_report_is_whole_escaped_and_without_network(folder, tmp_path):
    manifest = replace(small(folder, source="<b>&one"), cards={"<b>&one": SourceCard(name="x", phantom=True)})
    result = audit(manifest)
    page = html(result)
    assert "&lt;b&gt;&amp;one" in page
    assert "<b>" not in page
    assert "PHANTOM" in page
    for forbidden in ("http://", "https://", "<script", "<link", "@import", "src="):
        assert forbidden not in page
    assert "prefers-color-scheme: dark" in page
    first = write_audit(result, tmp_path / "one")
    second = write_audit(audit(manifest), tmp_path / "two")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_audit_json_has_the_documented_keys(folder):
    content = json.loads(json.dumps(audit(small(folder)).to_dict(), allow_nan=False))
    assert list(content) == [
        "schema_version", "status", "manifest", "counts", "checks", "coverage", "confounding", "shortcuts",
    ]  # fmt: skip
    assert all(set(check) == {"name", "status", "count", "message", "cases"} for check in content["checks"])
    assert len({check["name"] for check in content["checks"]}) == len(content["checks"])


def test_no_more_than_twenty_cases_are_listed(tmp_path):
    manifest = from_columns(
        {"case_id": [f"c{n:02d}" for n in range(30)], "image": "gone.png", "label.pneumonia": 1},
        root=tmp_path,
        space=SPACE,
    )
    check = audit(manifest).check("missing files")
    assert (check.count, len(check.cases)) == (30, 20)


def test_the_terminal_shows_failures_last(folder):
    (folder / "0.png").unlink()
    lines = terminal_lines(audit(small(folder)))
    checks = [line for line in lines if line.startswith("  ") and ": " in line]
    assert "FAILED" in checks[-1]
    assert lines[-1].startswith("1 failed")


def test_a_dicom_series_of_a_row_is_judged_as_the_scan_judges_it(tmp_path):
    """Every warning of the scan, and a series that must not be read is an unreadable file that says why."""
    tilt = [[-10, -20 + 0.5 * z, -100 + 2.5 * z] for z in range(6)]
    kinds = {
        "plain": {}, "tilt": {}, "rescale": {}, "gap": {}, "mono": {"PhotometricInterpretation": "MONOCHROME1"},
        "lossy": {"LossyImageCompression": "01"}, "burned": {"BurnedInAnnotation": "YES"},
    }  # fmt: skip
    for number, (name, changes) in enumerate(kinds.items()):
        for z in range(6):
            own = {"SeriesInstanceUID": f"1.2.{number}", **changes}
            own |= {"ImagePositionPatient": tilt[z]} if name == "tilt" else {}
            own |= {"RescaleIntercept": -1000 - z} if name == "rescale" else {"RescaleIntercept": -1000 + number}
            if name != "gap" or z != 3:
                made_series.save(made_series.ct_slice(z, **own), tmp_path / name / str(z))
    columns = {"case_id": list(kinds), "image": list(kinds), "label.pdac": 1}
    manifest = from_columns(columns, root=tmp_path, space=LabelSpace.load("pancreatic_ct"))
    result = audit(manifest, with_shortcuts=False)
    named = {check.name.removeprefix("series: "): check for check in result.checks if check.name.startswith("series: ")}
    assert {name: check.cases for name, check in named.items()} == {
        "gantry_tilt": ("tilt",), "monochrome1": ("mono",), "lossy": ("lossy",), "burned_in": ("burned",),
        "rescale_varies": ("rescale",),
    }  # fmt: skip
    assert {check.status for check in named.values()} == {"warning"}
    assert result.check("unreadable files").cases == ("gap",)
    assert "missing_slices" in result.check("unreadable files").message


def test_a_fault_in_the_column_and_in_the_header_is_one_fault_of_one_case(tmp_path):
    path = tmp_path / "x.dcm"
    made_series.save(made_series.ct_slice(0, PhotometricInterpretation="MONOCHROME1"), path)
    columns = {"case_id": ["a", "b"], "image": "x.dcm", "faults": ["monochrome1", ""], "label.pneumonia": 1}
    result = audit(from_columns(columns, root=tmp_path, space=SPACE), with_shortcuts=False)
    check = result.check("series: monochrome1")
    assert (check.status, check.count, check.cases) == (WARNING, 2, ("a", "b"))
    assert result.check("series geometry").status == PASSED


def test_a_fault_that_this_version_does_not_know_fails(tmp_path):
    result = audit(small(tmp_path, faults=["from_the_future", "", "", "", "", ""]), labels_only=True)
    check = result.check("series: from_the_future")
    assert (check.status, check.message) == (FAILED, "a fault this version does not know")


def test_what_no_row_says_and_what_no_column_says_are_two_things(tmp_path):
    silent = audit(small(tmp_path, **{"label.pneumonia": [1, None, 0, -1, None, 0]}), labels_only=True)
    assert silent.check("known labels").status == WARNING
    assert silent.check("known labels").cases == ("c1", "c4")
    none = from_columns({"case_id": ["a"], "image": "a.png"}, root=tmp_path, space=SPACE)
    check = audit(none, labels_only=True).check("known labels")
    assert (check.status, check.message) == (CANNOT, "the manifest has no label column")


def test_studies_without_identifiers_cannot_be_checked_and_patients_stand_in_for_them(tmp_path):
    uids = ["1", "2", "3", "4", "", ""]
    check = audit(small(tmp_path, study_uid=uids), labels_only=True).check("studies across splits")
    assert check.status == PASSED  # c4 and c5 have patient IDs, and a study is of one patient
    patients = ["p0", "p1", "p2", "p3", "p4", ""]
    check = audit(small(tmp_path, study_uid=uids, patient_id=patients), labels_only=True).check("studies across splits")
    assert (check.status, check.cases) == (CANNOT, ("c5",))
    assert "neither a study identifier nor a patient ID" in check.message


def test_a_check_that_does_not_exist_is_a_key_error(tmp_path):
    with pytest.raises(KeyError, match="no such check"):
        audit(small(tmp_path), labels_only=True).check("no such check")


def test_several_processes_find_what_one_finds(folder):
    names = [f"{number % 7}.png" for number in range(ALONE + 5)]  # 6.png is not there
    columns = {"case_id": [f"c{number:03d}" for number in range(len(names))], "image": names}
    many = from_columns(columns, root=folder, space=SPACE)
    found = inspect_files(many, workers=2)
    assert found == inspect_files(many, workers=1)
    assert [one.image for one in found[:7]] == [""] * 6 + ["missing"]


def test_pixel_fingerprints_are_blank_for_what_cannot_be_read(folder):
    (folder / "1.png").write_text("no image")
    save(folder / "2.png", noise(0))
    prints = pixel_fingerprints(small(folder))
    assert prints[1] == ""
    assert prints[0] == prints[2] != prints[3]


def test_the_terminal_says_phantom_and_shows_a_class_that_only_the_source_tells(tmp_path):
    """Positives 2 of 3 in one source and 1 of 3 in the other: V = 1/3, AUC = 2/3, and too few for a baseline."""
    cards = {"a": SourceCard(name="a", phantom=True), "b": SourceCard(name="b")}
    save(tmp_path / "x.png", noise(0))
    manifest = small(tmp_path, source=["a"] * 3 + ["b"] * 3, image="x.png", **{"label.pneumonia": [1, 1, 0, 1, 0, 0]})
    lines = terminal_lines(audit(replace(manifest, cards=cards)))
    assert "PHANTOM: some of these images are drawn by a program and show no patient" in lines
    row = next(line for line in lines if line.split()[:2] == ["pneumonia", "all"])
    assert row.split() == ["pneumonia", "all", "0.333", "0.667", "6"]
