"""Reading a table for an audit: what is a finding there, and what still stops it."""

import hashlib
import json

import pandas as pd
import pytest

from la_medical.errors import InputError, LabelError, ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import from_columns, write_manifest
from la_medical.manifest.audit import FAILED, PASSED
from la_medical.manifest.audit.reading import read_for_audit

TWICE = "case_id,image,label.mass\na,1.png,1\na,2.png,0\nb,3.png,0\n"


def table(folder, text, **about):
    """A table, and with `about` a JSON beside it that belongs to it."""
    path = folder / "m.csv"
    path.write_text(text)
    if about:
        content = {
            "schema_version": 1,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "label_space": {"name": "ward", "classes": ["mass"]},
        }
        path.with_suffix(".json").write_text(json.dumps(content | about))
    return path


def test_a_good_manifest_has_two_passed_checks(tmp_path):
    made = from_columns(
        {"case_id": ["a"], "image": ["a.png"], "label.mass": [1]}, root=tmp_path, space=LabelSpace.load("chest_xray")
    )
    read, checks = read_for_audit(write_manifest(made, tmp_path / "m.csv", command="c"))
    assert len(read) == 1
    assert [(check.name, check.status) for check in checks] == [
        ("unique case_id", PASSED), ("class spellings", PASSED),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_of_cases_with_one_id_the_first_is_audited(tmp_path, suffix):
    path = table(tmp_path, TWICE)
    if suffix == "parquet":
        pd.read_csv(path).to_parquet(path := tmp_path / "other.parquet")
    read, (unique, spelled) = read_for_audit(path)
    assert (unique.status, unique.count, unique.cases) == (FAILED, 1, ("a",))
    assert spelled.status == PASSED
    assert read.table["image"].tolist() == ["1.png", "3.png"]
    assert read.path == path


def test_a_column_of_no_class_is_left_out_with_the_nearest_class(tmp_path):
    read, (unique, spelled) = read_for_audit(table(tmp_path, "case_id,image,label.mas,label.edema\na,a.png,1,0\n"))
    assert unique.status == PASSED
    assert (spelled.status, spelled.count) == (FAILED, 1)
    assert "label.mas (did you mean label.mass?)" in spelled.message
    assert read.classes == ("edema",)


def test_classes_of_ones_own_are_no_misspelling(tmp_path):
    read, (unique, spelled) = read_for_audit(table(tmp_path, TWICE.replace("mass", "Zebra")))
    assert (unique.status, spelled.status) == (FAILED, PASSED)
    assert read.classes == ("zebra",)


def test_the_json_of_a_table_is_used_for_its_findings(tmp_path):
    (tmp_path / "images").mkdir()
    text = TWICE.replace("1.png", "/data/1.png").replace("mass", "mass,label.masss").replace(",0\n", ",0,\n")
    path = table(
        tmp_path, text.replace(",1\n", ",1,\n"), root="images", absolute_paths=True,
        sources={"x": {"title": "Ward", "classes": ["mass"]}},
    )  # fmt: skip
    read, (unique, spelled) = read_for_audit(path)
    assert unique.cases == ("a",)
    assert spelled.message == "columns that are no class of ward: label.masss (did you mean label.mass?)"
    assert read.root == tmp_path / "images"
    assert read.cards["x"].title == "Ward"
    assert read.table["image"][0] == "/data/1.png"
    assert read_for_audit(path, root=tmp_path)[0].root == tmp_path


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"sha256": "0"}, r"m\.json does not belong to m\.csv: the table changed"),
        ({"sha256": "0", "also": ["m.csv"]}, "not the JSON of a manifest"),
        ({"sources": []}, "not the JSON of a manifest"),
        ({"label_space": "chest_xray"}, "not the JSON of a manifest"),
        ({"schema_version": 99}, "schema version 99, expected 1"),
    ],
)
def test_a_json_that_does_not_fit_is_no_finding_but_refused(tmp_path, about, message):
    with pytest.raises(ManifestError, match=message):
        read_for_audit(table(tmp_path, TWICE, **about))


@pytest.mark.parametrize(("content", "message"), [("[]", "not the JSON of a manifest"), ("{", "not JSON")])
def test_a_json_that_is_none_is_refused(tmp_path, content, message):
    path = table(tmp_path, TWICE)
    path.with_suffix(".json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_for_audit(path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("image,label.mass\na.png,1\n", ManifestError, "no column 'case_id'"),
        ("image,label.mas\na.png,1\n", LabelError, r"label\.mas is no class of label space chest_xray"),
        ("case_id,image,label.mass\na,a.png,2\n", LabelError, "holds '2'"),
        ("case_id,image,label.mass,label.mass\na,a.png,1,1\n", ManifestError, "two columns are called 'label.mass'"),
        ("case_id,image\na,a.png,extra\na,b.png,extra\n", ManifestError, "cannot be read as csv"),
        ("case_id,image,split\na,a.png,dev\na,b.png,\n", ManifestError, "split 'dev' in row 1"),
    ],
)
def test_anything_else_stops_the_audit_with_the_name_of_the_file(tmp_path, text, error, message):
    with pytest.raises(error, match=message) as caught:
        read_for_audit(table(tmp_path, text))
    assert "m.csv" in str(caught.value)
