"""Damaged DICOM headers: our error or the volume that pydicom reads, never another crash, bounded memory."""

from __future__ import annotations

import tracemalloc
import warnings
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from la_medical.dicom.elements import walk_meta
from la_medical.dicom.headers import NoHeader, read_header
from la_medical.dicom.records import RecordReader
from la_medical.dicom.series import read_volume
from la_medical.errors import GeometryError
from tests.dicom.made_series import ct_slice, enhanced_ct, implicit, save
from tests.stress.counts import count, report
from tests.stress.mutations import damaged


def content(dataset):
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def seeds():
    """Good files of the shapes that readers meet: explicit, implicit, enhanced, without a preamble."""
    explicit = content(ct_slice(2))
    return [explicit, content(implicit(ct_slice(2))), content(enhanced_ct(3)), explicit[132:]]


OUTCOMES = {
    *("header", "empty", "not_dicom", "truncated_header", "unreadable"),
    *("record image", "record object", "record dicomdir", "record empty", "record not_dicom"),
    *("record truncated_header", "record unreadable"),
}


def read(path, content):
    path.write_bytes(content)
    header = read_header(path)
    yield header.outcome if isinstance(header, NoHeader) else "header"
    yield f"record {RecordReader().read(str(path), 'file', len(content), 0).outcome}"


def test_a_header_is_read_or_has_a_named_outcome(tmp_path):
    good = seeds()
    outcomes = Counter()
    for seed in range(count(1000, 100_000)):
        outcomes.update(read(tmp_path / "file", damaged(good[seed % len(good)], seed)))
    report("dicom_headers", outcomes)
    assert outcomes["header"] > 0 < outcomes["truncated_header"]
    assert set(outcomes) <= OUTCOMES


def test_reading_a_damaged_header_takes_bounded_memory(tmp_path):
    """A damaged length, read through a buffered file, once asked for 4 GiB."""
    good = seeds()
    tracemalloc.start()
    for seed in range(150, 150 + count(200, 10_000)):
        list(read(tmp_path / "file", damaged(good[seed % len(good)], seed)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    report("dicom_header_memory", {"peak MiB": round(peak / 2**20, 1)})
    assert peak < 64 * 2**20


def pydicom_volume(files: list[Path]):
    """The volume as pydicom alone has it: slices by their positions along the normal, HU, (X, Y, Z)."""
    slices = []
    for file in files:
        dataset = pydicom.dcmread(file, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        place = np.array(dataset.ImagePositionPatient, float)
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
        spacing = [float(value) for value in dataset.PixelSpacing]
        slices.append((place @ np.cross(row, column), place, dataset.pixel_array.T * slope + intercept, spacing))
    slices.sort(key=lambda piece: piece[0])
    return np.stack([piece[2] for piece in slices], axis=-1), slices


def check(volume, files):
    """`volume` lies where pydicom says and holds what pydicom reads; raises AssertionError."""
    array, slices = pydicom_volume(files)
    np.testing.assert_allclose(volume.array, array, rtol=1e-6)
    for index, (_, place, _, spacing) in enumerate(slices):
        world = volume.affine @ [0, 0, index, 1]
        allowed = 0.1 + 0.01 * volume.spacing[2]
        np.testing.assert_allclose(world[:3], place * [-1, -1, 1], atol=allowed)
        np.testing.assert_allclose(volume.spacing[:2], spacing[::-1], rtol=1e-3)


def test_a_volume_with_a_damaged_slice_is_refused_or_right(tmp_path):
    files = [save(ct_slice(index), tmp_path / f"{index}") for index in range(4)]
    good = content(ct_slice(2))
    outcomes = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of nearly every damaged value
        for seed in range(count(400, 100_000)):
            files[2].write_bytes(damaged(good, seed, start=132, end=len(good) - 100))
            try:
                volume = read_volume(files)
            except GeometryError:
                outcomes["refused"] += 1
                continue
            outcomes["read"] += 1
            try:
                check(volume, files)
            except Exception:  # pydicom trips over a damaged value representation: then only the true volume will do
                files[2].write_bytes(good)
                check(volume, files)
    report("dicom_volumes", outcomes)
    assert outcomes["refused"] > 0 < outcomes["read"]


@pytest.mark.parametrize(("rows", "columns", "frames"), [(65535, 65535, None), (60000, 60000, 2000)])
def test_a_header_that_claims_a_huge_image_costs_no_memory(tmp_path, rows, columns, frames):
    dataset = ct_slice(0, Rows=rows, Columns=columns)
    if frames:
        dataset.NumberOfFrames = frames
    file = save(dataset, tmp_path / "huge")
    tracemalloc.start()
    with pytest.raises(GeometryError):
        read_volume([file, save(ct_slice(1, Rows=rows, Columns=columns), tmp_path / "other")])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize("undefined", [False, True])
def test_deep_sequences_have_a_named_outcome(tmp_path, undefined):
    """Written by hand: pydicom's own writer recurses."""
    item = b""
    for _ in range(3000):
        length = b"\xff\xff\xff\xff" if undefined else len(item).to_bytes(4, "little")
        end = b"\xfe\xff\x0d\xe0\0\0\0\0" if undefined else b""
        inner = b"\xfe\xff\x00\xe0" + length + item + end
        whole = b"\xff\xff\xff\xff" if undefined else len(inner).to_bytes(4, "little")
        close = b"\xfe\xff\xdd\xe0\0\0\0\0" if undefined else b""
        item = b"\x40\x00\x30\xa7SQ\0\0" + whole + inner + close
    good = content(ct_slice(0))
    at = good.index(b"\xe0\x7f\x10\x00OW")
    path = tmp_path / "deep"
    path.write_bytes(good[:at].replace(b"\x28\x00\x02\x00US", item + b"\x28\x00\x02\x00US", 1) + good[at:])
    header = read_header(path)
    if isinstance(header, NoHeader):
        assert header.outcome == "truncated_header"
    else:
        assert header.pixels is not None


def test_a_deflated_bomb_is_refused_without_being_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("la_medical.dicom.datasets.MAX_INFLATED", 1 << 25)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 24)
    packed = b"".join([deflate.compress(zeros) for _ in range(20)] + [deflate.flush()])
    good = ct_slice(0)
    good.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    head = content(good)
    _, start = walk_meta(head, 132)
    path = tmp_path / "bomb"
    path.write_bytes(head[:start] + packed)
    tracemalloc.start()
    assert read_header(path) == NoHeader("truncated_header")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**24 / 2
