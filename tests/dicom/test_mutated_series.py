"""Damaged bytes anywhere in a file: our error or a right volume, never another crash."""

import random
from io import BytesIO

import numpy as np
import pytest

from la_medical.dicom.scan import scan
from la_medical.dicom.series import read_volume
from la_medical.errors import GeometryError
from tests.dicom.made_series import ct_slice, hounsfield, save


def mutated(content, draw):
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(132, len(changed) - 96)] = draw.choice([0, 0x31, 0x2D, 0x5C, 0xFF, draw.randrange(256)])
    if draw.random() < 0.2:
        del changed[draw.randrange(132, len(changed)) :]
    return bytes(changed)


def saved(index):
    buffer = BytesIO()
    ct_slice(index).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:Invalid value for VR")
def test_one_damaged_slice_gives_our_error_or_the_stored_values(tmp_path):
    draw = random.Random(7)
    files = [save(ct_slice(index), tmp_path / str(index)) for index in range(4)]
    good = saved(2)
    refused = 0
    for _ in range(250):
        files[2].write_bytes(mutated(good, draw))
        try:
            volume = read_volume(files)
        except GeometryError:
            refused += 1
            continue
        others = np.delete(volume.array, 2, axis=2)
        if volume.array.shape == (8, 6, 4):
            np.testing.assert_array_equal(others, np.delete(hounsfield(4), 2, axis=2))
    assert 50 < refused < 250


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:Invalid value for VR")
def test_a_tree_of_damaged_files_is_scanned_whole(tmp_path):
    draw = random.Random(8)
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"{number}").write_bytes(mutated(saved(number % 4), draw))
    about = scan(tree, tmp_path / "out.csv", workers=1)
    assert about["counts"]["files"] == 300
    assert sum(about["counts"]["outcomes"].values()) == 300
