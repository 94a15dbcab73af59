import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from la_medical.errors import InputError, LabelError, ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns, read_manifest, write_manifest

SPACE = LabelSpace.load("chest_xray")
ODD_IDS = ["NA", "007", "1e5", "true", "nan", "None", "0x1F", "1_000", "-1", "1.0", "inf"]


def manifest(root, **columns):
    columns = {"case_id": ["b", "a"], "image": ["b.png", "a.png"], "label.mass": [1, None]} | columns
    return from_columns(columns, root=root, space=SPACE, cards={"s": SourceCard(name="s", licence="CC0")})


def written(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_rows_are_sorted_and_classes_stand_in_the_order_of_the_space(tmp_path):
    made = manifest(tmp_path, **{"label.Edema": [0, -1], "age": ["5", "6"], "source": ["s", "s"]})
    path = write_manifest(made, tmp_path / "m.csv", command="test")
    assert path.read_text() == (
        "case_id,patient_id,source,split,image,mask,age,label.mass,label.edema\n"
        "a,,s,,a.png,,6,,-1\nb,,s,,b.png,,5,1,0\n"
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_written_is_read_and_the_same_bytes_again(tmp_path, suffix):
    made = manifest(tmp_path, patient_id=["007", "NA"], site=['with, "quotes"', "ä\nb"])
    one = write_manifest(made, tmp_path / f"one.{suffix}", command="c")
    two = write_manifest(read_manifest(one), tmp_path / f"two.{suffix}", command="c")
    assert one.read_bytes() == two.read_bytes()
    assert one.with_suffix(".json").read_bytes() == two.with_suffix(".json").read_bytes()
    assert read_manifest(one).table["patient_id"].tolist() == ["NA", "007"]
    assert read_manifest(one).cards["s"].licence == "CC0"


def test_csv_and_parquet_hold_the_same_table(tmp_path):
    made = manifest(tmp_path, patient_id=["1e5", "true"], split=["train", ""])
    tables = [read_manifest(write_manifest(made, tmp_path / f"m.{s}", command="c")).table for s in ("csv", "parquet")]
    pd.testing.assert_frame_equal(*tables)


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@settings(deadline=None, max_examples=40)  # it writes files; a busy machine takes its time
@given(st.lists(st.tuples(FIELDS, st.sampled_from([1, 0, -1, None])), min_size=1, max_size=5))
def test_any_text_survives_the_way_through_a_csv(tmp_path_factory, rows):
    """Including quotes, commas, line ends and words that look like numbers or missing values."""
    folder = tmp_path_factory.mktemp("m")
    notes, labels = zip(*rows, strict=True)
    cases = [f"c{k}" for k in range(len(rows))]
    made = manifest(folder, case_id=cases, image=cases, note=list(notes), **{"label.mass": list(labels)})
    back = read_manifest(write_manifest(made, folder / "m.csv", command="c"))
    assert back.table["note"].tolist() == list(notes)
    np.testing.assert_array_equal(back.states(["mass"])[:, 0], [np.nan if v is None else v for v in labels])


def test_plain_csv_is_what_pandas_would_write(tmp_path):
    """The fast writer is an independent way to the same bytes."""
    made = manifest(tmp_path, patient_id=ODD_IDS[:2])
    path = write_manifest(made, tmp_path / "m.csv", command="c")
    again = made.table.sort_values("case_id").to_csv(index=False, lineterminator="\n")
    assert path.read_text() == again


@pytest.mark.parametrize("odd", ODD_IDS)
def test_ids_stay_themselves(tmp_path, odd):
    path = written(tmp_path / "m.csv", f"case_id,patient_id,image,label.mass\n{odd},{odd},{odd}.png,\n")
    row = read_manifest(path).table.iloc[0]
    assert (row["case_id"], row["patient_id"], row["image"]) == (odd, odd, f"{odd}.png")
    assert pd.isna(row["label.mass"])


def test_a_table_by_hand_with_a_bom_and_windows_line_ends(tmp_path):
    path = written(
        tmp_path / "m.csv", "\ufeffcase_id,image,label.Pleural Effusion\r\na,x/a.png, 1\r\n\r\nb,x/b.png,-1.0\r\n"
    )
    read = read_manifest(path)
    assert read.classes == ("effusion",)
    np.testing.assert_array_equal(read.states()[:, 0], [1, -1])
    assert read.root == tmp_path
    assert read.space.name == "chest_xray"


def test_a_table_of_unknown_classes_makes_its_own_space(tmp_path):
    path = written(tmp_path / "pets.csv", "case_id,image,label.Zebra\na,a.png,1\n")
    assert read_manifest(path).classes == ("zebra",)


def test_for_inference_two_columns_are_enough(tmp_path):
    read = read_manifest(written(tmp_path / "m.csv", "case_id,image\na,a.png\n"))
    assert read.classes == ()
    assert read.states().shape == (1, 0)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("case_id,image\na,1.png\na,2.png\n", ManifestError, r"duplicate case_id 'a' \(1 repeated"),
        ("case_id,image\na b,1.png\n", ManifestError, "case_id 'a b' in row 1 cannot become a file name"),
        ("case_id,image\n..,1.png\n", ManifestError, "cannot become a file name"),
        ("case_id,image\n,1.png\n", ManifestError, "case_id '' in row 1"),
        ("image\n1.png\n", ManifestError, "no column 'case_id'"),
        ("case_id\na\n", ManifestError, "no column 'image'"),
        ("case_id,image\n", ManifestError, "no rows"),
        ("", ManifestError, "cannot be read as csv"),
        ("case_id,image\na,1.png,extra\n", ManifestError, "cannot be read as csv"),
        ("case_id,image,image\na,1.png,2.png\n", ManifestError, "two columns are called 'image'"),
        ("case_id,image,split\na,1.png,training\n", ManifestError, "split 'training' in row 1"),
        ("case_id,image\na,/etc/passwd\n", ManifestError, "leaves the manifest's root"),
        ("case_id,image\na,../x.png\n", ManifestError, "leaves the manifest's root"),
        ("case_id,image,mask\na,a.png,x/../../m.nii\n", ManifestError, "mask 'x/../../m.nii' in row 1 leaves"),
        ("case_id,image\na,C:\\x.png\n", ManifestError, "leaves the manifest's root"),
        ("case_id,image\na,..\\x.png\n", ManifestError, "leaves the manifest's root"),
        ("case_id,image,label.mass\na,a.png,2\n", LabelError, "label.mass holds '2' in row 1; expected 1, 0, -1"),
        ("case_id,image,label.mass\na,a.png,yes\n", LabelError, "holds 'yes'"),
        ("case_id,image,label.mass\na,a.png,0.5\n", LabelError, "holds '0.5'"),
        (
            "case_id,image,label.mass,label.Cardiomegally\na,a.png,1,1\n",
            LabelError,
            r"did you mean label\.cardiomegaly",
        ),
        (
            "case_id,image,label.Effusion,label.Pleural Effusion\na,a.png,1,1\n",
            LabelError,
            "two columns hold the class",
        ),
        ("case_id,image,label.\na,a.png,1\n", LabelError, r"column label\. names no class; expected a name"),
        ("case_id,image,label.2nd\na,a.png,1\n", LabelError, r"column label\.2nd names no class; expected a name"),
        (
            "case_id,image,label.Zebra,label.zebra\na,a.png,1,1\n",
            LabelError,
            r"column label\.zebra and label\.Zebra hold the same class 'zebra'; keep one",
        ),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, text, error, message):
    path = written(tmp_path / "m.csv", text)
    with pytest.raises(error, match=message) as caught:
        read_manifest(path)
    assert "m.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_with_dots_that_stay_inside_are_accepted(tmp_path):
    path = written(tmp_path / "m.csv", "case_id,image\na,x..y/a..png\n")
    assert read_manifest(path).table["image"][0] == "x..y/a..png"


def test_a_table_changed_after_its_json_is_refused(tmp_path):
    path = write_manifest(manifest(tmp_path), tmp_path / "m.csv", command="la-medical assemble x")
    path.write_text(path.read_text().replace("b.png", "c.png"))
    with pytest.raises(ManifestError, match="changed after it was written; make it again with `la-medical assemble x`"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "not the JSON of a manifest"), ("{}", "not the JSON of a manifest")],
)
def test_a_json_that_is_none_is_refused(tmp_path, content, message):
    path = write_manifest(manifest(tmp_path), tmp_path / "m.csv", command="c")
    path.with_suffix(".json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_manifest(path)


def test_csv_and_parquet_of_one_name_share_a_json(tmp_path):
    made = manifest(tmp_path)
    csv = write_manifest(made, tmp_path / "m.csv", command="c")
    parquet = write_manifest(made, tmp_path / "m.parquet", command="c")
    assert read_manifest(csv).table.equals(read_manifest(parquet).table)
    csv.write_text(csv.read_text().replace("b.png", "c.png"))
    with pytest.raises(ManifestError, match=r"does not belong to m\.csv"):
        read_manifest(csv)
    read_manifest(parquet)
    write_manifest(manifest(tmp_path, source=["s", "s"]), tmp_path / "m.parquet", command="other")
    with pytest.raises(ManifestError, match=r"does not belong to m\.csv"):
        read_manifest(csv)


def test_another_schema_version_is_refused(tmp_path):
    path = write_manifest(manifest(tmp_path), tmp_path / "m.csv", command="c")
    about = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(about | {"schema_version": 99}))
    with pytest.raises(ManifestError, match="schema version 99, expected 1"):
        read_manifest(path)


def test_files_that_are_no_table(tmp_path):
    with pytest.raises(ManifestError, match="no such manifest"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(ManifestError, match=r"ends in \.csv or \.parquet"):
        read_manifest(tmp_path / "m.xlsx")
    (tmp_path / "m.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(ManifestError, match="cannot be read as parquet"):
        read_manifest(tmp_path / "m.parquet")
    (tmp_path / "m.csv").write_bytes(b"case_id,image\n\xff\xfe,a.png\n")
    with pytest.raises(ManifestError, match="cannot be read as csv"):
        read_manifest(tmp_path / "m.csv")


def test_nothing_half_written_is_left(tmp_path):
    with pytest.raises(ManifestError):
        write_manifest(manifest(tmp_path), tmp_path / "m.txt", command="c")
    assert list(tmp_path.iterdir()) == []


def test_the_root_is_relative_where_both_can_be_moved(tmp_path):
    (tmp_path / "data").mkdir()
    made = manifest(tmp_path / "data")
    write_manifest(made, tmp_path / "m.csv", command="c")
    (tmp_path / "m.csv").rename(moved := tmp_path / "other.csv")
    (tmp_path / "m.json").rename(tmp_path / "other.json")
    assert read_manifest(moved).file_paths()[0] == tmp_path / "data" / "a.png"


def test_rows_of_a_split(tmp_path):
    made = manifest(tmp_path, split=["train", ""])
    assert made.rows("train").table["case_id"].tolist() == ["b"]
    assert made.rows(["train", "val"]).table["case_id"].tolist() == ["b"]
    assert len(made.rows()) == 2
    with pytest.raises(ManifestError, match="no row has split test"):
        made.rows("test")


def test_ids_that_a_spreadsheet_would_run_stay_themselves(tmp_path):
    ids = ["=1+1", "+7", "-7", "@SUM(A1)", '=HYPERLINK("http://x")', "\tx", "007", "a\rb", "a\0b"]
    columns = {"case_id": [f"c{n}" for n in range(len(ids))], "image": "i.png", "patient_id": ids, "note": ids}
    manifest = from_columns({**columns, "label.pneumonia": 1}, root=tmp_path, space=LabelSpace.load("chest_xray"))
    for name in ("a.csv", "b.parquet"):
        write_manifest(manifest, tmp_path / name, command="test")
        table = read_manifest(tmp_path / name).table
        assert table["patient_id"].tolist() == ids
        assert table["note"].tolist() == ids


def test_columns_between_the_fixed_ones_and_the_labels_are_metadata(tmp_path):
    assert manifest(tmp_path, age=["5", "6"], site=["x", "y"]).metadata == ["age", "site"]


def test_a_column_that_the_given_label_space_does_not_know_is_refused(tmp_path):
    path = written(tmp_path / "m.csv", "case_id,image,label.pdac\na,a.png,1\n")
    with pytest.raises(LabelError, match=r"m\.csv: 'pdac' is no class of label space chest_xray"):
        read_manifest(path, space=SPACE)


def test_absolute_paths_are_kept_where_they_are_allowed_and_read_again_without_asking(tmp_path):
    names = ["/data/b.png", "../a.png"]
    made = from_columns({"case_id": ["b", "a"], "image": names}, root=tmp_path, space=SPACE, allow_absolute=True)
    path = write_manifest(made, tmp_path / "m.csv", command="c")
    assert json.loads(path.with_suffix(".json").read_text())["absolute_paths"] is True
    assert read_manifest(path).table["image"].tolist() == ["../a.png", "/data/b.png"]
    path.with_suffix(".json").unlink()
    with pytest.raises(ManifestError, match="leaves the manifest's root"):
        read_manifest(path)
    assert len(read_manifest(path, allow_absolute=True)) == 2


def test_a_parquet_changed_by_hand_is_not_vouched_for_when_its_csv_is_written_again(tmp_path):
    made = manifest(tmp_path)
    write_manifest(made, tmp_path / "m.csv", command="c")
    parquet = write_manifest(made, tmp_path / "m.parquet", command="c")
    pd.read_parquet(parquet).assign(image="other.png").to_parquet(parquet)
    csv = write_manifest(made, tmp_path / "m.csv", command="c")
    assert len(read_manifest(csv)) == 2
    with pytest.raises(ManifestError, match=r"does not belong to m\.parquet"):
        read_manifest(parquet)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_manifest_without_label_columns_is_read_as_it_was_written(tmp_path, suffix):
    made = from_columns({"case_id": ["a"], "image": ["a.png"]}, root=tmp_path, space=SPACE)
    path = write_manifest(made, tmp_path / f"m.{suffix}", command="c")
    read = read_manifest(path)
    assert read.classes == ()
    assert read.space.name == "chest_xray"
    assert read.states().shape == (1, 0)
