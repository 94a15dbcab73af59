"""The fast header parser against pydicom: on pydicom's own odd files, on synthetic ones, on mutated ones."""

import random
import warnings
from io import BytesIO
from pathlib import Path

import hypothesis.strategies as st
import pydicom
import pytest
from hypothesis import given, settings
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from la_medical.dicom import headers
from la_medical.dicom.headers import Header, NoHeader, read_header
from la_medical.dicom.tags import CODE, COMMON, NUMBERS, PRESENCE, SHORT, TEXT, WANTED
from la_medical.dicom.values import common_raw, common_values, per_file_raw, per_file_values
from tests.dicom.made_series import ct_slice, implicit, save

ODD_FILES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))


def of_pydicom(path):
    """Wanted values of a file through pydicom's whole reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        found = {}
        for tag, (name, kind) in WANTED.items():
            value = dataset[tag].value if tag in dataset else None
            many = value if isinstance(value, pydicom.multival.MultiValue) else [value]
            if kind == PRESENCE:
                found[name] = "1" if tag in dataset else ""
            elif kind == SHORT:
                found[name] = None if value is None else int(many[0])
            elif kind == NUMBERS:
                found[name] = numbers_or_none([] if value in (None, "") else many)
            elif kind in (CODE, TEXT):
                found[name] = "" if value is None else "\\".join(str(part).strip(" \0") for part in many)
        if not found["sop_class_uid"]:
            found["sop_class_uid"] = str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    return found


def numbers_or_none(parts):
    try:
        return tuple(float(part) for part in parts) or None
    except ValueError:
        return None


def ours(header):
    return {**common_values(common_raw(header)), **per_file_values(per_file_raw(header))}


@pytest.mark.parametrize("path", ODD_FILES, ids=lambda path: path.name)
def test_equals_pydicom_on_its_own_odd_files(path):
    header = read_header(path)
    if isinstance(header, NoHeader):
        assert path.name in {"rtplan_truncated.dcm", "no_meta.dcm"}, header.outcome  # the latter has no SOP class
        return
    assert ours(header) == of_pydicom(path)


@pytest.mark.data
def test_equals_pydicom_on_real_slices(data_folder):
    files = sorted((data_folder / "abdomen_ct" / "dicom").iterdir())
    files += sorted((data_folder / "sarcoma_ct_dicom").rglob("*.dcm"))
    assert len(files) > 60
    for path in files:
        assert ours(read_header(path)) == of_pydicom(path), path


CHARACTER_SETS = [
    ("ISO_IR 100", "Müller^Jürgen"),
    ("ISO_IR 192", "山田^太郎 Ωß"),
    ("ISO_IR 144", "Люкceмбypг"),
    (["", "ISO 2022 IR 87"], "山田"),
    ("GB18030", "王^小东"),
]


@pytest.mark.parametrize(("character_set", "words"), CHARACTER_SETS)
@pytest.mark.parametrize("as_implicit", [False, True])
def test_character_sets(tmp_path, character_set, words, as_implicit):
    dataset = ct_slice(0, SpecificCharacterSet=character_set, SeriesDescription=words, PatientID=words)
    path = save(implicit(dataset) if as_implicit else dataset, tmp_path / "a")
    header = read_header(path)
    assert ours(header)["series_description"] == words
    assert ours(header) == of_pydicom(path)


@pytest.mark.parametrize("as_implicit", [False, True])
@pytest.mark.parametrize("undefined", [False, True])
def test_steps_over_nested_sequences_and_private_tags(tmp_path, as_implicit, undefined):
    """Attributes inside sequences and private blocks are not the file's own, whatever their lengths are written as."""
    inner = ct_slice(3, SeriesDescription="inside", PatientID="inside")
    del inner.PixelData
    middle = Dataset()
    middle.PatientID = "middle"
    middle.ReferencedImageSequence = Sequence([inner, inner])
    middle["ReferencedImageSequence"].is_undefined_length = undefined
    dataset = ct_slice(0, ReferencedStudySequence=Sequence([middle]))
    dataset["ReferencedStudySequence"].is_undefined_length = undefined
    middle.is_undefined_length_sequence_item = undefined
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "OB", b"\x10\x00\x20\x00LO\x04\x00fake")
    block.add_new(0x02, "SQ", Sequence([inner]))
    path = save(implicit(dataset) if as_implicit else dataset, tmp_path / "a")
    values = ours(read_header(path))
    assert values["patient_id"] == "PID-1"
    assert values == of_pydicom(path)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_unusual_syntaxes_go_through_pydicom(tmp_path, syntax):
    dataset = ct_slice(0)
    dataset.file_meta.TransferSyntaxUID = syntax
    path = save(dataset, tmp_path / "a")
    header = read_header(path)
    assert header.syntax == syntax
    assert ours(header) == of_pydicom(path)
    assert ours(header)["rows"] == 6
    assert header.pixels is not None


def test_a_header_longer_than_the_first_read(tmp_path):
    dataset = ct_slice(0)
    dataset.private_block(0x0009, "MAKER", create=True).add_new(0x01, "OB", bytes(5 * headers.FIRST_BYTES))
    path = save(dataset, tmp_path / "a")
    assert ours(read_header(path)) == of_pydicom(path)


def test_without_preamble_and_meta(tmp_path):
    path = save(ct_slice(0), tmp_path / "a")
    whole = path.read_bytes()
    path.write_bytes(whole[132:])
    header = read_header(path)
    assert not header.preamble
    assert ours(header) == of_pydicom(path)


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b"", "empty"),
        (b"hello", "not_dicom"),
        (b"\x89PNG\r\n" + bytes(500), "not_dicom"),
        (bytes(128) + b"DICM", "truncated_header"),
        (b"\x08\x00" + bytes(400), "not_dicom"),
    ],
)
def test_files_without_a_header_have_a_named_outcome(tmp_path, content, outcome):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert read_header(path) == NoHeader(outcome)


def test_cut_anywhere_in_the_header_is_truncated(tmp_path):
    """However much of a header is left, it is never taken for a whole one, unless the cut is between two elements."""
    path = save(ct_slice(0), tmp_path / "a")
    whole = path.read_bytes()
    end = read_header(path).pixels[1]
    for cut in range(133, end - 12, 7):
        path.write_bytes(whole[:cut])
        found = read_header(path)
        if isinstance(found, Header):
            assert found.pixels is None
        else:
            assert found.outcome == "truncated_header"


def test_missing_file_is_unreadable(tmp_path):
    assert read_header(tmp_path / "none") == NoHeader("unreadable")


text = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters=" ^-"), max_size=12)
numbers = st.floats(-500, 500, allow_nan=False).map(lambda value: round(value, 4))


@settings(max_examples=60, deadline=None)
@given(
    description=text,
    patient=text,
    position=st.lists(numbers, min_size=3, max_size=3),
    rows=st.integers(1, 60000),
    as_implicit=st.booleans(),
    depth=st.integers(0, 5),
    undefined=st.booleans(),
    binary=st.binary(max_size=40),
)
def test_equals_pydicom_on_drawn_headers(
    tmp_path_factory, description, patient, position, rows, as_implicit, depth, undefined, binary
):
    inner = Dataset()
    inner.PatientID = "inside"
    inner.add_new(0x00091001, "OB", binary + b"\0" * (len(binary) % 2))
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([inner, inner])
        outer["ReferencedStudySequence"].is_undefined_length = undefined
        inner = outer
    dataset = ct_slice(0, SeriesDescription=description, PatientID=patient, ImagePositionPatient=position, Rows=rows)
    dataset.ReferencedStudySequence = Sequence([inner])
    path = tmp_path_factory.mktemp("drawn") / "a"
    save(implicit(dataset) if as_implicit else dataset, path)
    assert ours(read_header(path)) == of_pydicom(path)


def test_mutated_headers_never_raise(tmp_path):
    """Bytes flipped, cut and doubled: an answer each time, never an exception, and soon."""
    whole = bytearray()
    buffer = BytesIO()
    ct_slice(0).save_as(buffer, enforce_file_format=True)
    whole[:] = buffer.getvalue()
    draw = random.Random(0)
    path = tmp_path / "a"
    kinds = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(400):
            mutated = bytearray(whole)
            for _ in range(draw.randint(1, 6)):
                mutated[draw.randrange(len(mutated))] = draw.randrange(256)
            if draw.random() < 0.3:
                del mutated[draw.randrange(len(mutated)) :]
            path.write_bytes(mutated)
            found = read_header(path)
            kinds.add(type(found))
            if isinstance(found, Header):
                ours(found)
    assert kinds == {Header, NoHeader}


def test_common_and_per_file_names_are_distinct():
    names = [name for name, _ in WANTED.values()]
    assert len(names) == len(set(names)) > len(COMMON)
