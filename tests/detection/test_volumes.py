import gzip
import json
import tracemalloc

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from la_medical.detection.volumes import ProbabilityMap, as_probabilities, open_volume, write_prediction
from la_medical.errors import GeometryError, InputError, PredictionError
from la_medical.grid import Grid, resample
from la_medical.nifti import NiftiFile, read_grid

OBLIQUE = np.array([[0.56, -0.54, 0, -80], [0.42, 0.72, 0, 12.5], [0, 0, -2.5, 300], [0, 0, 0, 1]])


@pytest.fixture
def written(tmp_path):
    probabilities = np.random.default_rng(0).random((2, 7, 6, 5))
    probabilities[0, 0, 0, 0], probabilities[1, 1, 1, 1] = 0, 1
    return write_prediction(tmp_path / "case.nii.gz", probabilities, OBLIQUE, ["pdac", "cyst"]), probabilities


def test_what_is_written_is_read_by_nibabel_and_simpleitk_as_probabilities(written):
    path, probabilities = written
    image = nibabel.load(path)
    assert image.get_data_dtype() == np.uint16
    assert np.abs(image.get_fdata() - np.moveaxis(probabilities, 0, -1)).max() <= 0.5 / 65535 + 1e-7
    assert np.allclose(image.affine, OBLIQUE, atol=1e-5)
    itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))  # (class, z, y, x)
    assert np.abs(itk - probabilities.transpose(0, 3, 2, 1)).max() <= 0.5 / 65535 + 1e-6
    assert json.loads((path.parent / "labels.json").read_text()) == {"channels": ["pdac", "cyst"]}


def test_own_reader_gives_exact_levels_one_channel_at_a_time(written):
    path, probabilities = written
    stored = open_volume(path)
    maps = [as_probabilities(raw, stored.grid, stored.scale, "x") for raw in stored.maps]
    assert [one.levels for one in maps] == [65535, 65535]
    for one, wanted in zip(maps, probabilities, strict=True):
        assert (one.raw == np.rint(wanted * 65535)).all()
        assert (one.values(one.raw) == np.rint(wanted * 65535) / 65535).all()
    assert np.allclose(stored.grid.affine, OBLIQUE, atol=1e-5)


@pytest.mark.parametrize("name", ["many.nii.gz", "many.nii"])
def test_writing_copies_one_channel_at_a_time(name, tmp_path):
    stored = np.random.default_rng(0).integers(0, 65536, (16, 48, 40, 32)).astype(np.uint16)
    channels = [f"class_{k}" for k in range(16)]
    write_prediction(tmp_path / name, stored[:, :2, :2, :2], np.eye(4), channels)  # imports are not counted
    tracemalloc.start()
    write_prediction(tmp_path / name, stored, np.eye(4), channels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < stored.nbytes / 2  # all channels at once would be more than stored.nbytes
    np.testing.assert_array_equal(np.moveaxis(nibabel.load(tmp_path / name).dataobj.get_unscaled(), -1, 0), stored)


def test_the_same_prediction_gives_the_same_bytes(tmp_path):
    array = np.random.default_rng(1).random((1, 4, 4, 4))
    a, b = (write_prediction(tmp_path / n / "c.nii.gz", array, np.eye(4), ["pdac"]) for n in "ab")
    assert a.read_bytes() == b.read_bytes()


@given(st.integers(0, 65535), st.sampled_from([-1e-12, 0.0, 1e-12]))
def test_thresholds_are_compared_with_raw_over_65535_exactly(level, off):
    values = ProbabilityMap(np.zeros((1, 1, 1), np.uint16), Grid((1, 1, 1), np.eye(4)), 65535)
    threshold = level / 65535 + off
    if threshold <= 0 or threshold > 1:
        return
    raw = np.arange(65536)
    assert ((raw >= values.raw_threshold(threshold)) == (raw / 65535 >= threshold)).all()


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.2, np.inf])
def test_values_that_are_no_probabilities_are_refused(bad, tmp_path):
    array = np.full((2, 2, 2), 0.5, np.float32)
    array[0, 0, 0] = bad
    with pytest.raises(PredictionError, match=r"0 to 1 are expected"):
        as_probabilities(array, Grid((2, 2, 2), np.eye(4)), (1.0, 0.0), "case")
    with pytest.raises(PredictionError, match="0 to 1"):
        write_prediction(tmp_path / "c.nii.gz", array[None], np.eye(4), ["pdac"])


def test_channels_of_one_folder_must_agree(written):
    path, _ = written
    with pytest.raises(PredictionError, match="names other channels"):
        write_prediction(path.with_name("other.nii.gz"), np.zeros((1, 2, 2, 2)), np.eye(4), ["cyst"])


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("dtype", [">i2", "<u1", "<f4", "<f8", "<i4"])
def test_every_common_storage_is_read_as_nibabel_reads_it(kind, dtype, tmp_path):
    array = (np.random.default_rng(2).random((5, 4, 3)) * 100).astype(dtype)
    for suffix in (".nii", ".nii.gz"):
        nibabel.save(kind(array, OBLIQUE), tmp_path / f"v{suffix}")
        file = NiftiFile(tmp_path / f"v{suffix}")
        assert (next(file.volumes()) == array).all()
        assert file.channels is None
        assert np.allclose(file.grid.affine, OBLIQUE, atol=1e-5)
        assert read_grid(tmp_path / f"v{suffix}").difference(file.grid) is None


def test_gzip_of_several_members_is_read_whole(written, tmp_path):
    path, _ = written
    plain = gzip.decompress(path.read_bytes())
    (tmp_path / "m.nii.gz").write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))
    one, other = (list(NiftiFile(p).volumes()) for p in (path, tmp_path / "m.nii.gz"))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("damage", ["cut", "flip", "header", "empty"])
def test_damaged_files_are_named_and_refused(damage, written, tmp_path):
    data = bytearray(written[0].read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 2] ^= 0xFF
    elif damage == "header":
        data = bytearray(gzip.compress(b"not a header" * 100))
    else:
        data = bytearray()
    (tmp_path / "bad.nii.gz").write_bytes(data)
    with pytest.raises((InputError, GeometryError), match=r"bad\.nii\.gz"):
        list(NiftiFile(tmp_path / "bad.nii.gz").volumes())


def test_a_header_that_claims_a_huge_volume_is_refused_before_reading(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header.set_data_dtype(np.uint8)
    header["vox_offset"] = 352
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(5000)))
    with pytest.raises(GeometryError, match="more than a file"):
        NiftiFile(tmp_path / "bomb.nii.gz")


def test_metaimage_is_read_in_ras(tmp_path):
    array = np.random.default_rng(3).random((3, 4, 5)).astype(np.float32)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.6, 2.0))
    image.SetOrigin((10, 20, -30))
    SimpleITK.WriteImage(image, str(tmp_path / "v.mha"))
    stored = open_volume(tmp_path / "v.mha")
    assert (next(stored.maps) == array.T).all()
    assert np.allclose(stored.grid.affine, [[-0.5, 0, 0, -10], [0, -0.6, 0, -20], [0, 0, 2, -30], [0, 0, 0, 1]])


def test_grids_differ_in_words():
    grid = Grid((4, 5, 6), np.diag([1, 1, 2.0, 1]))

    def moved(**changes):
        affine = grid.affine.copy()
        affine[0, 3] += changes.get("shift", 0)
        affine[2, 2] *= changes.get("stretch", 1)
        affine[1, 1] *= changes.get("flip", 1)
        return Grid(changes.get("shape", grid.shape), affine)

    assert grid.difference(moved(shift=1e-4)) is None
    for words, other in (
        ("shape 4x5x6 against 4x5x7", moved(shape=(4, 5, 7))),
        ("spacing", moved(stretch=1.1)),
        ("direction", moved(flip=-1)),
        ("origin", moved(shift=1)),
    ):
        assert words in grid.difference(other)


def test_resampling_onto_a_flipped_grid_gives_the_same_numbers_back():
    array = np.random.default_rng(4).random((4, 5, 6))
    grid = Grid((4, 5, 6), np.diag([1, 1, 2.0, 1]))
    flipped = grid.affine @ np.array([[-1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    back = resample(array, grid, Grid((4, 5, 6), flipped), order=1)
    assert np.allclose(back, array[::-1], atol=1e-12)
