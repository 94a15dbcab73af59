import pytest

from la_medical.errors import ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, load_card
from la_medical.manifest.sources import SOURCES
from la_medical.resources import cards_folder

PACKAGED = sorted(path.stem for path in cards_folder().glob("*.yaml"))


def test_every_source_has_a_card():
    assert set(SOURCES) <= set(PACKAGED)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_card_says_what_it_must(name):
    card = load_card(name)
    assert card.name == name
    assert card.title
    assert card.licence
    assert card.blank_means
    assert card.patient_id
    if card.label_space:
        space = LabelSpace.load(card.label_space)
        assert all(label in space.names for label in card.classes)
        assert all(label in card.classes for names in card.mask_values.values() for label in names)
    generic = {"class_folders", "image_table", "phantom", "nnunet", "image_mask_pairs", "hospital_dicom"}
    assert name in generic or (card.citation and card.url.startswith("http"))


@pytest.mark.parametrize("name", PACKAGED)
def test_a_card_survives_its_dictionary(name):
    card = load_card(name)
    assert SourceCard.from_dict(name, card.to_dict()) == card


def test_what_is_known_to_be_inside_what():
    inside = {name: set(load_card(name).derived_from) for name in PACKAGED}
    assert "chestxray14" in inside["rsna_pneumonia"]
    assert "rsna_pneumonia" in inside["covidx"]
    for name in ("panorama", "pants", "abdomen_atlas"):
        assert {"msd_pancreas", "nih_pancreas_ct"} <= inside[name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("licence: [", "not YAML"),
        ("just text", "a card is a mapping"),
        ("license: CC0", "unknown key 'license'"),
        ("mask_values: {one: [pdac]}", "docs/reference/cards.md"),
        ("mask_values: [1]", "docs/reference/cards.md"),
        ("classes: 3", "docs/reference/cards.md"),
        ("mask_values: {.inf: pdac}", "mask value inf; expected a whole number"),
        ("mask_values: {1.7: pdac}", r"mask value 1\.7; expected a whole number"),
        ("mask_values: {yes: pdac}", "mask value True; expected a whole number"),
        ("mask_values: {1: pdac, 01: cyst}", "1 stands twice"),
        ("mask_values: {1: pdac, '01': cyst}", "a value of mask_values stands twice"),
        ("name: [ward]", r"name: expected a text, this is \['ward'\]"),
        ("licence: [CC0]", "expected a text, this is"),
    ],
)
def test_what_is_no_card_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        load_card(path)


def test_a_card_of_ones_own(tmp_path):
    path = tmp_path / "ward.yaml"
    path.write_text("classes: [pdac]\nmask_values: {1: pdac, 2: []}\nderived_from: {msd_pancreas: some}\n")
    card = load_card(path)
    assert card.name == "ward"
    assert card.mask_values == {1: ("pdac",), 2: ()}
    with pytest.raises(ManifestError, match=r"there are: .*chestxray14"):
        load_card("ward")


def test_a_card_that_is_a_word_is_refused():
    with pytest.raises(ManifestError, match=r"card of ward: str; expected keys such as classes and licence"):
        SourceCard.from_dict("ward", "CC0")


@pytest.mark.parametrize(("text", "name"), [("name: own\n", "own"), ("name:\n", "ward"), ("name: ''\n", "ward")])
def test_a_card_without_a_name_takes_that_of_its_file(tmp_path, text, name):
    path = tmp_path / "ward.yaml"
    path.write_text(text + "licence: CC0\n")
    assert load_card(path).name == name
