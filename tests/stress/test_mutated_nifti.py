"""Damaged NIfTI files, through each of the three readers: our error or the volume that nibabel reads."""

from __future__ import annotations

import gzip
import tracemalloc
import warnings
from collections import Counter
from contextlib import suppress

import nibabel
import numpy as np
import pytest

from la_medical.errors import InputError
from la_medical.manifest.audit.pictures import read_picture
from la_medical.nifti import NiftiFile
from la_medical.training.volumes import read_image
from tests.stress.counts import count, report
from tests.stress.mutations import damaged

SHAPE = (7, 6, 5)


def volume():
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 30


AFFINE = np.array([[0, -0.8, 0.1, 5], [0.7, 0, 0, -9], [0, 0.1, 2.5, 30], [0, 0, 0, 1]])


def stored():
    return nibabel.Nifti1Image(volume(), AFFINE).to_bytes()


def through_detection(path):
    file = NiftiFile(path)
    (array,) = file.volumes()
    return array * file.slope + file.inter, file.grid.affine


def through_training(path):
    image = read_image(path)
    return image.array, image.grid.affine


def through_audit(path):
    picture = read_picture(path)
    return picture.array, picture.affine


READERS = {"detection": through_detection, "training": through_training, "audit": through_audit}


def truth(path):
    """What nibabel reads of the unpacked bytes; the undamaged volume where they cannot be unpacked or read."""
    content = path.read_bytes()
    try:
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(content) if path.suffix == ".gz" else content)
        array = np.asarray(image.dataobj)
    except Exception:  # neither gzip nor nibabel promises a kind of error for damaged bytes
        return volume(), AFFINE
    return array.reshape(array.shape[:3]) if array.ndim > 3 and set(array.shape[3:]) == {1} else array, image.affine


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_refused_or_right(tmp_path, reader, suffix):
    good = stored()
    path = tmp_path / f"case{suffix}"
    outcomes = Counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for seed in range(count(150, 10_000)):
            if seed % 3 and suffix.endswith("gz"):
                path.write_bytes(damaged(gzip.compress(good, 1, mtime=0), seed))
            else:
                content = damaged(good, seed, end=352 if seed % 4 else None)
                path.write_bytes(gzip.compress(content, 1, mtime=0) if suffix.endswith("gz") else content)
            try:
                array, affine = READERS[reader](path)
            except InputError:
                outcomes["refused"] += 1
                continue
            outcomes["read"] += 1
            expected, placed = truth(path)
            np.testing.assert_allclose(array, expected, rtol=1e-6, err_msg=f"seed {seed}")
            np.testing.assert_allclose(affine, placed, rtol=1e-6, err_msg=f"seed {seed}")
    report(f"nifti_{reader}{suffix.replace('.', '_')}", outcomes)
    assert outcomes["refused"] > 0 < outcomes["read"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("shape", [(30000, 30000, 2), (2000, 2000, 2000)])
def test_a_small_file_that_claims_a_huge_volume_costs_no_memory(tmp_path, reader, shape):
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_sform(np.eye(4), 1)
    header["vox_offset"] = 352
    path = tmp_path / "huge.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(10_000)))
    tracemalloc.start()
    with pytest.raises(InputError):
        READERS[reader](path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize("reader", READERS)
def test_a_gzip_bomb_behind_a_small_header_is_not_unpacked(tmp_path, reader):
    """The header claims 210 voxels; 200 MiB of zeros follow."""
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(stored() + bytes(200 * 2**20), 9))
    tracemalloc.start()
    with suppress(InputError):
        READERS[reader](path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20
