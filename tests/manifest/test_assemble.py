import numpy as np
import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns, read_manifest, write_manifest
from la_medical.manifest.assemble import ORIGINAL_ID, assemble, derived_sources, read_for_assembly

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
