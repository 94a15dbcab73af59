"""Comparing with the file before gives the header that parsing gives, whatever the files are."""

import os
import random

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless

from la_medical.dicom.alike import AlikeReader
from la_medical.dicom.headers import read_header
from la_medical.dicom.records import RecordReader
from tests.dicom.made_series import ct_slice, enhanced_ct, implicit, save


def wide_slice(index, **changes):
    """A slice with sequences, private elements, and values of more lengths than one."""
    dataset = ct_slice(index, **changes)
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "113691", "Phantom"
    dataset.ProcedureCodeSequence = Sequence([item, item])
    dataset["ProcedureCodeSequence"].is_undefined_length = True
    varying = Dataset()
    varying.CodeValue = "x" * (index % 7)
    dataset.SourceImageSequence = Sequence([varying])
    dataset["SourceImageSequence"].is_undefined_length = bool(index // 4 % 2)
    block = dataset.private_block(0x0019, "MAKER", create=True)
    block.add_new(1, "LO", "x" * (index % 5))
    block.add_new(2, "UN", bytes(index % 3 * 2))
    dataset.SliceLocation = -100 + 2.5 * index
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{10 ** (index % 4)}.{index}"
    return dataset


def read_in_turn(paths):
    """Headers by one reader in this order, and how many were compared instead of parsed."""
    reader, headers, fitted = AlikeReader(), [], 0
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        headers.append(reader.read(handle))
        fitted += reader.last is not None
        os.close(handle)
    return headers, fitted


def compressed(dataset):
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([b"\xff\x4f" + bytes(20) + b"\xff\xd9"])
    return dataset


@pytest.mark.parametrize(
    "form", [lambda dataset: dataset, implicit, compressed], ids=["explicit", "implicit", "compressed"]
)
def test_a_series_is_read_as_each_file_alone(tmp_path, form):
    paths = [save(form(wide_slice(index)), tmp_path / f"{index}") for index in range(40)]
    headers, fitted = read_in_turn(paths)
    assert headers == [read_header(path) for path in paths]
    assert fitted > 20


def test_series_in_turn_are_told_apart(tmp_path):
    """Interleaved files of series and patients that differ in a shared attribute, an element more, or the VR form."""
    kinds = [
        {}, {"SeriesInstanceUID": "1.2.3.4.77"}, {"PatientID": "PID-2"}, {"BodyPartExamined": "ABDOMEN"},
        {"RescaleSlope": 2}, {"InstanceNumber": None}, {"PatientName": "Other^Name"},
    ]  # fmt: skip
    paths = []
    for index in range(12):
        for number, changes in enumerate(kinds):
            paths.append(save(wide_slice(index, **changes), tmp_path / f"{index}_{number}"))
        paths.append(save(implicit(wide_slice(index)), tmp_path / f"{index}_implicit"))
    for order in (paths, sorted(paths, key=lambda path: path.name.split("_")[1]), random.Random(0).sample(paths, 96)):
        headers, _ = read_in_turn(order)
        assert headers == [read_header(path) for path in order]


def test_records_are_the_same_read_in_turn_or_alone(tmp_path):
    """Shared attributes too: what a layout keeps for a series must not reach a file of another one."""
    paths = [save(wide_slice(index, PatientID=f"P{index // 8 % 3}"), tmp_path / f"{index:03d}") for index in range(48)]
    paths.insert(20, save(enhanced_ct(), tmp_path / "enhanced"))
    reader = RecordReader()
    together = [reader.read(str(path), path.name, 1, 1) for path in paths]
    kept = dict(reader.fresh)
    alone = []
    for path in paths:
        one = RecordReader()
        alone.append(one.read(str(path), path.name, 1, 1))
        assert kept.items() >= one.fresh.items()
    assert together == alone


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_among_whole_ones(tmp_path, seed):
    """Bytes changed, cut, doubled and moved at random: the answer is the one of parsing alone, 60 times a seed."""
    draw = random.Random(seed)
    form = implicit if seed % 2 else (lambda dataset: dataset)
    whole = [save(form(wide_slice(index)), tmp_path / f"w{index}") for index in range(12)]
    paths = []
    for number in range(60):
        content = bytearray(draw.choice(whole).read_bytes())
        for _ in range(draw.choice((1, 1, 2, 5))):
            place = draw.randrange(128, min(len(content), 1600))
            kind = draw.randrange(4)
            if kind == 0:
                content[place] = draw.randrange(256)
            elif kind == 1:
                content = content[: place + draw.randrange(len(content) - place)]
            elif kind == 2:
                content[place:place] = content[place : place + draw.randrange(40)]
            else:
                del content[place : place + draw.randrange(40)]
            if len(content) < 200:
                break
        damaged = tmp_path / f"d{number}"
        damaged.write_bytes(bytes(content))
        paths += [whole[number % 12], whole[(number + 1) % 12], damaged]
    headers, fitted = read_in_turn([*whole, *paths])
    assert headers == [read_header(path) for path in [*whole, *paths]]
    assert fitted > 20


def test_files_that_are_all_different_are_not_compared_for_ever(tmp_path):
    paths = []
    for index in range(200):
        draw = np.random.default_rng(index)
        dataset = ct_slice(0, PatientID=str(index), SeriesInstanceUID=f"1.2.{index}", StudyInstanceUID=f"1.3.{index}")
        dataset.private_block(0x0011, "X", create=True).add_new(int(draw.integers(1, 200)), "LO", "x")
        paths.append(save(dataset, tmp_path / str(index)))
    reader = AlikeReader()
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        reader.read(handle)
        os.close(handle)
    assert reader._paused > 0
    assert reader._layouts == []
