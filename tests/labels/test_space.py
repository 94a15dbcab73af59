import pytest
from hypothesis import given
from hypothesis import strategies as st

from la_medical.errors import LabelError
from la_medical.labels import LabelClass, LabelSpace, packaged_label_spaces
from la_medical.labels.space import spelling_key

CHEST = LabelSpace.load("chest_xray")
PANCREAS = LabelSpace.load("pancreatic_ct")

SPELLINGS = {
    "ChestX-ray14": [
        "Atelectasis",
        "Cardiomegaly",
        "Effusion",
        "Infiltration",
        "Mass",
        "Nodule",
        "Pneumonia",
        "Pneumothorax",
        "Consolidation",
        "Edema",
        "Emphysema",
        "Fibrosis",
        "Pleural_Thickening",
        "Hernia",
        "No_Finding",
    ],
    "CheXpert": [
        "No Finding",
        "Enlarged Cardiomediastinum",
        "Cardiomegaly",
        "Lung Opacity",
        "Lung Lesion",
        "Edema",
        "Consolidation",
        "Pneumonia",
        "Atelectasis",
        "Pneumothorax",
        "Pleural Effusion",
        "Pleural Other",
        "Fracture",
        "Support Devices",
    ],
    "MIMIC-CXR, NegBio": ["Airspace Opacity"],
    "VinDr-CXR": [
        "Aortic enlargement",
        "Atelectasis",
        "Calcification",
        "Cardiomegaly",
        "Clavicle fracture",
        "Consolidation",
        "Edema",
        "Emphysema",
        "Enlarged PA",
        "ILD",
        "Infiltration",
        "Lung Opacity",
        "Lung cavity",
        "Lung cyst",
        "Mediastinal shift",
        "Nodule/Mass",
        "Pleural effusion",
        "Pleural thickening",
        "Pneumothorax",
        "Pulmonary fibrosis",
        "Rib fracture",
        "Other lesion",
        "COPD",
        "Lung tumor",
        "Pneumonia",
        "Tuberculosis",
        "Other diseases",
        "Other disease",
        "No finding",
    ],
    "COVIDx": ["COVID-19", "pneumonia", "normal"],
    "RSNA": ["Lung Opacity", "Normal"],
    "Kermany": ["NORMAL", "PNEUMONIA", "bacteria", "virus"],
}


@pytest.mark.parametrize(("source", "spelling"), [(s, name) for s, names in SPELLINGS.items() for name in names])
def test_every_spelling_of_the_public_sets_is_a_class(source, spelling):
    assert CHEST.resolve(spelling) in CHEST


def test_spellings_that_differ_between_sources_are_one_class():
    assert (
        CHEST.resolve("Pleural Effusion")
        == CHEST.resolve("Effusion")
        == CHEST.resolve("Pleural effusion")
        == "effusion"
    )
    assert CHEST.resolve("Pleural_Thickening") == CHEST.resolve("Pleural thickening") == "pleural_thickening"
    assert CHEST.resolve("Pulmonary fibrosis") == "fibrosis"
    assert CHEST.resolve("NORMAL") == CHEST.resolve("No Finding") == "no_finding"


def test_opacity_and_support_devices_are_no_part_of_no_finding_by_mistake():
    assert "support_devices" not in CHEST["no_finding"].excludes  # CheXpert's No Finding allows them
    assert "covid19" not in CHEST["no_finding"].excludes  # a patient with COVID-19 may have a normal radiograph
    assert "fracture" not in CHEST["no_finding"].excludes  # NIH's No Finding is about its 14 findings only
    assert CHEST["lung_opacity"].union_of == ()


def test_pancreatic_lesions_exclude_each_other_and_make_up_tumour():
    assert PANCREAS["tumour"].union_of == ("pdac", "cyst", "pannet")
    pairs = {(c.name, other) for c in PANCREAS.classes for other in c.excludes}
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in (("pdac", "cyst"), ("pdac", "pannet"), ("cyst", "pannet"))
    }
    assert PANCREAS.resolve("IPMN") == "cyst"
    assert PANCREAS.excludes_hold == "voxel"
    assert PANCREAS["pdac"].codes["type"][1] == "SCT"


@pytest.mark.parametrize("name", packaged_label_spaces())
def test_a_packaged_space_survives_its_dictionary(name):
    space = LabelSpace.load(name)
    assert LabelSpace.from_dict(space.to_dict()) == space


@given(st.sampled_from([spelling for c in CHEST.classes for spelling in (c.name, *c.synonyms)]), st.data())
def test_case_and_separators_do_not_matter(spelling, data):
    changed = "".join(data.draw(st.sampled_from([" ", "_", "-", "  "])) if c in " _-" else c for c in spelling)
    changed = data.draw(st.sampled_from([str.upper, str.lower, str.title]))(changed)
    assert CHEST.resolve(f" {changed} ") == CHEST.resolve(spelling)


@given(st.text(max_size=30))
def test_a_key_is_its_own_key(text):
    key = spelling_key(text)
    assert spelling_key(key) == key


@given(st.lists(st.sampled_from(CHEST.names), unique=True, min_size=1))
def test_a_part_keeps_the_order_and_only_relations_inside_it(names):
    part = CHEST.subset(names)
    assert part.names == tuple(name for name in CHEST.names if name in names)
    for label in part.classes:
        assert set(label.excludes) <= set(names)
        assert label.union_of in ((), CHEST[label.name].union_of)


def test_an_unknown_spelling_names_the_nearest():
    with pytest.raises(LabelError, match="did you mean 'cardiomegaly'"):
        CHEST.resolve("Cardiomegally")
    with pytest.raises(LabelError, match="its classes are"):
        CHEST.resolve("zzz")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((LabelClass("Mass"),), "lower snake case"),
        ((LabelClass("mass"), LabelClass("mass")), "listed twice"),
        ((LabelClass("mass", synonyms=("Lump",)), LabelClass("nodule", synonyms=("lump",))), "spells both"),
        ((LabelClass("mass", excludes=("nodule",)),), "not a class of it"),
        ((LabelClass("mass", union_of=("nodule",)),), "not a class of it"),
    ],
)
def test_a_space_that_contradicts_itself_is_refused(classes, message):
    with pytest.raises(LabelError, match=message):
        LabelSpace(name="bad", classes=classes)


@pytest.mark.parametrize(
    "content",
    [[], {}, {"name": "x"}, {"name": "x", "classes": 3}, {"name": "x", "classes": [{"name": "a", "synonym": []}]},
     {"name": "x", "classes": ["a"], "excludes_hold": "image"}],
)  # fmt: skip
def test_what_is_no_label_space_is_refused(content):
    with pytest.raises(LabelError):
        LabelSpace.from_dict(content)


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(LabelError, match="chest_xray"):
        LabelSpace.load("chest")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(LabelError, match="not YAML"):
        LabelSpace.load(broken)


def test_one_synonym_without_a_list_is_one_name_and_not_its_letters():
    space = LabelSpace.from_dict({"name": "own", "classes": [{"name": "mass", "synonyms": "lump"}]})
    assert space.classes[0].synonyms == ("lump",)


def test_anatomy_is_what_its_code_says():
    space = LabelSpace.load("pancreatic_ct")
    anatomy = {label.name for label in space.classes if label.is_anatomy}
    assert {"pancreas", "kidney", "aorta"} <= anatomy
    assert not anatomy & {"pdac", "cyst", "pannet", "tumour"}
    other = LabelClass("kidney", codes={"category": ("91723000", "XYZ", "Anatomical Structure")})
    assert not other.is_anatomy  # the same number in another scheme
    assert not LabelClass("kidney").is_anatomy


def test_a_space_without_classes_is_refused():
    with pytest.raises(LabelError, match="no class"):
        LabelSpace.from_dict({"name": "own", "classes": []})
