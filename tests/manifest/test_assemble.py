import ntpath
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns, read_manifest, write_manifest
from la_medical.manifest import assemble as assembling
from la_medical.manifest.assemble import (
    ORIGINAL_ID,
    assemble,
    assembly_lines,
    common_root,
    derived_sources,
    read_for_assembly,
)

SPACE = LabelSpace.load("chest_xray")


def part(source, root, *, ids=("a", "b"), card=None, **labels):
    columns = {"case_id": list(ids), "source": source, "image": [f"{name}.png" for name in ids]}
    columns |= {f"label.{name}": values for name, values in labels.items()}
    cards = {source: card or SourceCard(name=source)}
    return from_columns(columns, root=root, space=SPACE, cards=cards)


def test_what_a_source_does_not_say_is_unknown_and_uncertain_stays_uncertain(tmp_path):
    joined = assemble(
        [
            part("one", tmp_path, ids=("a", "b"), pneumonia=[1, -1]),
            part("two", tmp_path, ids=("c", "d"), effusion=[0, None]),
        ],
        SPACE,
    )
    assert joined.classes == tuple(name for name in SPACE.names if name in ("pneumonia", "effusion"))
    np.testing.assert_array_equal(
        joined.states(["pneumonia", "effusion"]), [[1, np.nan], [-1, np.nan], [np.nan, 0], [np.nan, np.nan]]
    )


def test_spellings_become_the_classes_of_the_space(tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("case_id,image,source,label.Pleural Effusion,label.NORMAL\na,a.png,x,1,0\n")
    joined = assemble([read_for_assembly(table, SPACE)], SPACE)
    assert joined.table[["label.effusion", "label.no_finding"]].to_numpy().tolist() == [[1, 0]]


def test_paths_are_below_the_folder_that_all_roots_share(tmp_path):
    joined = assemble(
        [part("one", tmp_path / "x" / "deep", ids=("a",)), part("two", tmp_path / "y", ids=("b",))], SPACE
    )
    assert joined.root == tmp_path
    assert joined.table["image"].tolist() == ["x/deep/a.png", "y/b.png"]
    assert joined.table["mask"].tolist() == ["", ""]


def test_an_id_that_two_sources_use_gets_its_source_in_front(tmp_path):
    one, two = part("one", tmp_path, ids=("007", "a")), part("two", tmp_path, ids=("007", "b"))
    for order in ([one, two], [two, one]):
        joined = assemble(order, SPACE)
        assert joined.table["case_id"].tolist() == ["a", "b", "one-007", "two-007"]
        assert joined.table[ORIGINAL_ID].tolist() == ["", "", "007", "007"]


def test_an_id_that_stays_double_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="one-a"):
        assemble([part("one", tmp_path, ids=("a", "b")), part("two", tmp_path, ids=("a", "one-a"))], SPACE)


def test_a_source_given_twice_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="source 'one'"):
        assemble([part("one", tmp_path), part("one", tmp_path, ids=("c", "d"))], SPACE)


def test_a_class_outside_the_space_is_refused_with_the_nearest_or_dropped(tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("case_id,image,source,label.pneumonai,label.pneumothorax\na,a.png,x,1,0\n")
    read = read_for_assembly(table, SPACE)
    with pytest.raises(LabelError, match=r"pneumonai.*did you mean 'pneumonia'"):
        assemble([read], SPACE)
    assert assemble([read], SPACE, drop_unknown=True).classes == ("pneumothorax",)


def test_two_columns_of_one_class_are_refused(tmp_path):
    own = LabelSpace.from_dict({"name": "own", "classes": ["effusion", "pleural_effusion"]})
    manifest = from_columns(
        {"case_id": ["a"], "image": "a.png", "source": "x", "label.effusion": [1], "label.pleural_effusion": [0]},
        root=tmp_path,
        space=own,
    )
    with pytest.raises(LabelError, match="two columns hold the class 'effusion'"):
        assemble([manifest], SPACE)


def test_rows_without_a_source_take_the_name_of_their_file(tmp_path):
    table = tmp_path / "clinic.csv"
    table.write_text("case_id,image,label.pneumonia\na,a.png,1\n")
    assert assemble([read_for_assembly(table, SPACE)], SPACE).table["source"].tolist() == ["clinic"]


def test_cards_come_along_in_the_words_of_the_space(tmp_path):
    card = SourceCard(name="ct", classes=("PDAC",), mask_values={1: ("PDAC",), 4: ("spleen",)})
    space = LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst"])
    manifest = from_columns({"case_id": ["a"], "image": "a.nii.gz", "source": "ct", "label.pdac": [1]},
                            root=tmp_path, space=space, cards={"ct": card})  # fmt: skip
    found = assemble([manifest], space).cards["ct"]
    assert found.classes == ("pdac",)
    assert found.mask_values == {1: ("pdac",), 4: ()}


def test_sources_that_hold_the_same_images_are_named(tmp_path):
    cards = [
        SourceCard(name="rsna", derived_from={"nih": "its images are NIH's"}),
        SourceCard(name="nih"),
        SourceCard(name="atlas", derived_from={"msd": ""}),
        SourceCard(name="pants", derived_from={"msd": ""}),
    ]
    parts = [part(card.name, tmp_path, ids=(card.name,), card=card) for card in cards]
    assert derived_sources(assemble(parts, SPACE)) == [
        ("atlas", "pants", "both hold images of msd"),
        ("rsna", "nih", "its images are NIH's"),
    ]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_same_input_gives_the_same_bytes(tmp_path, suffix):
    parts = [part("one", tmp_path, pneumonia=[1, 0]), part("two", tmp_path, ids=("c", "d"), effusion=[1, None])]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_manifest(assemble(parts, SPACE), tmp_path / name / f"all.{suffix}", command="x")
    first, second = ((tmp_path / name / f"all.{suffix}").read_bytes() for name in ("first", "second"))
    assert first == second
    read = read_manifest(tmp_path / "first" / f"all.{suffix}")
    np.testing.assert_array_equal(read.states(["pneumonia"])[:, 0], [1, 0, np.nan, np.nan])


def test_nothing_to_assemble_is_refused():
    with pytest.raises(ManifestError, match="no manifest to assemble; give one or more"):
        assemble([], SPACE)


def test_rows_without_a_source_and_without_a_file_are_refused(tmp_path):
    made = from_columns({"case_id": ["a", "b"], "image": "x.png", "source": ["one", ""]}, root=tmp_path, space=SPACE)
    with pytest.raises(ManifestError, match="1 rows name no source; fill the column source"):
        assemble([made], SPACE)


def test_what_is_printed_says_cases_classes_renamed_cases_and_related_sources(tmp_path):
    parts = [
        part("nih", tmp_path, ids=("007", "a"), pneumonia=[1, 0], effusion=[None, 1]),
        part("rsna", tmp_path, ids=("007",), card=SourceCard(name="rsna", derived_from={"nih": ""}), pneumonia=[1]),
        part("ward", tmp_path, ids=("w",)),
    ]
    known = ", ".join(name for name in SPACE.names if name in ("pneumonia", "effusion"))
    assert assembly_lines(assemble(parts, SPACE)) == [
        f"nih: 2 cases, knows {known}",
        "rsna: 1 cases, knows pneumonia",
        "ward: 1 cases, knows no class",
        "2 cases whose case_id two sources use got their source in front, see original_case_id",
        "warning: rsna and nih may hold the same images (derived from it); split with --pixels and audit",
    ]
    assert assembly_lines(assemble(parts[2:], SPACE)) == ["ward: 1 cases, knows no class"]


def test_two_drives_have_no_root_in_common(monkeypatch):
    monkeypatch.setattr(assembling, "os", SimpleNamespace(path=ntpath))
    with pytest.raises(ManifestError, match="no folder in common"):
        common_root([Path("C:/one"), Path("D:/two")])


def test_a_manifest_with_its_json_is_read_in_its_own_label_space(tmp_path):
    own = LabelSpace.from_dict({"name": "ward", "classes": ["zebra"]})
    made = from_columns({"case_id": ["a"], "image": "a.png", "label.zebra": [1]}, root=tmp_path, space=own)
    path = write_manifest(made, tmp_path / "m.csv", command="c")
    assert read_for_assembly(path, SPACE).space.name == "ward"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_that_the_space_does_not_know_survive_reading(tmp_path, suffix):
    table = pd.DataFrame({"case_id": ["a"], "image": ["a.png"], "label.NORMAL": ["0"], "label.My Zebra": ["1"]})
    path = tmp_path / f"own.{suffix}"
    (table.to_parquet if suffix == "parquet" else table.to_csv)(path, index=False)
    read = read_for_assembly(path, SPACE)
    assert read.classes == ("no_finding", "my_zebra")
    assert read.states().tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("gone.csv", None, ManifestError, "no such manifest"),
        ("m.txt", b"case_id", ManifestError, r"ends in \.csv or \.parquet, this ends in '\.txt'"),
        ("m.csv", b"", ManifestError, "cannot be read as csv"),
        ("m.csv", "case_id,image,label.Ödem\n".encode("latin-1"), ManifestError, "cannot be read as csv"),
        ("m.parquet", b"PAR1 not", ManifestError, "cannot be read as parquet"),
        ("m.csv", b"case_id,image,label.\na,a.png,1\n", LabelError, r"column label\. names no class"),
        ("m.csv", b"case_id,image,label.My Own,label.my_own\na,a.png,1,1\n", LabelError, "the same class 'my_own'"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, name, content, error, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message) as caught:
        read_for_assembly(path, SPACE)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
