"""Stored numbers as probabilities: which steps they have, what is cut, what is refused, and what a file holds."""

import gzip
import hashlib

import nibabel
import numpy as np
import pytest
import SimpleITK

from la_medical.detection.volumes import ProbabilityMap, as_probabilities, encode, open_volume, write_prediction
from la_medical.errors import PredictionError
from la_medical.grid import Grid

SHAPE = (3, 2, 2)
GRID = Grid(SHAPE, np.eye(4))


def volume(*values, dtype=np.float64):
    array = np.zeros(SHAPE, dtype, order="F")
    array.ravel(order="K")[: len(values)] = values
    return array


def of(*values, dtype=np.float64, scale=(1.0, 0.0), **options):
    return as_probabilities(volume(*values, dtype=dtype), GRID, scale, "file (pdac)", **options)


def first(one, count=3):
    return one.probabilities().ravel(order="F")[:count].tolist()


@pytest.mark.parametrize(
    ("dtype", "slope", "levels"),
    [
        (np.uint8, 1 / 255, 255), (np.int16, 1 / 255, 255), (np.uint16, 1 / 65535, 65535), (np.uint16, 1 / 255, 255),
        (np.int32, 1 / 65535, 65535), (np.uint16, float(np.float32(1 / 65535)), 65535),
        (np.uint16, (1 + 5e-7) / 65535, 65535),
    ],
)  # fmt: skip
def test_steps_of_a_slope(dtype, slope, levels):
    one = of(0, 51, 255, dtype=dtype, scale=(slope, 0.0))
    assert (one.levels, one.raw.dtype) == (levels, dtype)
    assert first(one) == [0, 51 / levels, 255 / levels]


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [
        (np.uint16, (1 + 1.005e-6) / 65535, 0.0), (np.uint16, (1 + 5e-6) / 65535, 0.0), (np.uint8, 1 / 65535, 0.0),
        (np.uint16, 2 / 65535, 0.0), (np.uint16, 1 / 256, 0.0), (np.uint8, 1 / 510, 0.5), (np.uint8, 1 / 255, 0.0001),
        (np.float32, 1 / 255, 0.0), (np.uint8, 1 / 200, 0.0),
    ],
)  # fmt: skip
def test_any_other_scale_is_computed(dtype, slope, inter):
    one = of(0, 100, dtype=dtype, scale=(slope, inter))
    assert one.levels is None
    assert first(one, 2) == pytest.approx([inter, 100 * slope + inter], rel=1e-6)


def test_a_scale_that_leaves_0_to_1_is_refused():
    with pytest.raises(PredictionError, match=r"^file \(pdac\): values from 0\.25 to 1\.25 where"):
        of(0, 1, dtype=np.uint8, scale=(1.0, 0.25))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint16])
def test_integers_without_a_slope_are_hard_masks(dtype):
    one = of(0, 1, dtype=dtype)
    assert (one.levels, one.raw.dtype, first(one, 2)) == (1, dtype, [0, 1])
    with pytest.raises(PredictionError) as caught:
        of(0, 2, dtype=dtype)
    assert str(caught.value) == (
        "file (pdac): values from 0 to 2 where probabilities 0 to 1 are expected; a label map needs its values named "
        "(labels.json, dataset.json or --prediction-values)"
    )


@pytest.mark.parametrize("dtype", [np.int16, np.int8])
def test_negative_integers_are_refused(dtype):
    with pytest.raises(PredictionError, match="values from -1 to 1 where"):
        of(-1, 1, dtype=dtype)


def test_more_than_the_steps_are_refused():
    with pytest.raises(PredictionError, match="values from 0 to 300 where"):
        of(300, dtype=np.uint16, scale=(1 / 255, 0.0))


@pytest.mark.parametrize(
    ("values", "cut"),
    [((-1e-6, 0.5), (0, 0.5)), ((0.5, 1 + 1e-6), (0.5, 1)), ((-1e-7, 1 + 1e-7), (0, 1)), ((0.25, 1.0), (0.25, 1.0))],
)
def test_rounding_is_cut(values, cut):
    one = of(*values)
    assert (first(one, 2), one.levels) == (list(cut), None)
    assert one.raw.min() >= 0
    assert one.raw.max() <= 1


@pytest.mark.parametrize(
    ("values", "said"),
    [((-1.1e-6, 0.5), "values from -1.1e-06 to 0.5"), ((0.5, 1 + 1.1e-6), "values from 0 to 1.000001"),
     ((-2, 3), "values from -2 to 3"), ((np.nan, 0.5), "NaN"), ((0.5, np.inf), "values from 0 to inf"),
     ((-np.inf, 0.5), "values from -inf to 0.5")],
)  # fmt: skip
def test_what_is_no_probability(values, said):
    with pytest.raises(PredictionError) as caught:
        of(*values)
    assert str(caught.value).startswith(f"file (pdac): {said} where probabilities 0 to 1 are expected; a label map")


@pytest.mark.parametrize(
    ("dtype", "single", "kept"),
    [(np.float16, False, np.float32), (np.float16, True, np.float32), (np.float32, False, np.float32),
     (np.float64, False, np.float64), (np.float64, True, np.float32), (np.uint8, True, np.uint8)],
)  # fmt: skip
def test_precision(dtype, single, kept):
    one = of(1, dtype=dtype, single=single)
    assert (one.raw.dtype, one.single) == (kept, single)
    steps = of(51, dtype=np.uint8, scale=(1 / 255, 0.0), single=single)
    assert steps.values(51).dtype == (np.float32 if single else np.float64)
    assert steps.values(51) == (np.float32(0.2) if single else 0.2)


def test_thresholds_in_steps_are_the_smallest_that_reach_them():
    steps = ProbabilityMap(volume(dtype=np.uint8), GRID, 255)
    assert [steps.raw_threshold(value) for value in (0, 0.2, np.nextafter(0.2, 1), 1)] == [0, 51, 52, 255]
    floats = ProbabilityMap(volume(dtype=np.float32), GRID)
    assert floats.raw_threshold(0.2) == np.float32(0.2)
    assert floats.raw_threshold(0.2).dtype == np.float32


def test_what_is_written_is_the_nearest_step():
    stored = encode(np.array([0.0, 0.4 / 65535, 0.6 / 65535, 0.5, 1.0], np.float32))
    assert (stored.dtype, stored.tolist()) == (np.uint16, [0, 0, 1, 32768, 65535])
    assert encode(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [([0.5, 2.0], "probabilities from 0.5 to 2"), ([-0.25, 0.5], "probabilities from -0.25 to 0.5"),
     ([np.nan, 0.5], "probabilities from nan to nan")],
)  # fmt: skip
def test_what_cannot_be_written(values, said):
    with pytest.raises(PredictionError) as caught:
        encode(np.array(values))
    assert str(caught.value) == f"{said}; expected 0 to 1 (apply the sigmoid first)"


@pytest.mark.parametrize("shape", [(3, 2, 2), (2, 3, 2, 2, 2), (3, 4, 4, 4)])
def test_a_prediction_has_a_volume_a_class(tmp_path, shape):
    channels = ["a", "b", "c"][: 3 if len(shape) == 3 else 2]
    with pytest.raises(PredictionError) as caught:
        write_prediction(tmp_path / "a.nii.gz", np.zeros(shape), np.eye(4), channels)
    assert str(caught.value) == f"prediction of shape {shape}; expected ({len(channels)} classes, x, y, z)"


def test_the_file_that_is_written(tmp_path):
    """gzip of level 1 without name and time; millimetres; steps as they are."""
    steps = np.arange(48, dtype=np.uint16).reshape(2, 4, 3, 2)
    affine = np.diag([2, 3, 4, 1])
    path = write_prediction(str(tmp_path / "a.nii.gz"), steps, affine, ["pdac", "cyst"])
    assert path.read_bytes()[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
    image = nibabel.load(path)
    assert image.header.get_xyzt_units() == ("mm", "unknown")
    assert np.frombuffer(gzip.decompress(path.read_bytes())[108:112], "<f4") == 352  # where the voxels begin
    np.testing.assert_array_equal(image.affine, affine)
    np.testing.assert_array_equal(image.dataobj.get_unscaled(), np.moveaxis(steps, 0, -1))
    plain = write_prediction(tmp_path / "plain" / "a.nii", steps, affine, ["pdac", "cyst"])
    assert gzip.decompress(path.read_bytes()) == plain.read_bytes()


def test_what_is_opened_of_a_file(tmp_path):
    steps = np.arange(36, dtype=np.uint16).reshape(3, 3, 2, 2)
    path = write_prediction(tmp_path / "a.nii.gz", steps, np.diag([2, 3, 4, 1]), ["a", "b", "c"])
    stored = open_volume(str(path), count=2)
    assert (stored.channels, stored.grid.shape) == (3, (3, 2, 2))
    assert stored.scale == (float(np.float32(1 / 65535)), 0.0)
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    maps = list(stored.maps)
    assert [(one == wanted).all() for one, wanted in zip(maps, steps[:2], strict=True)] == [True, True]
    assert len(list(open_volume(path).maps)) == 3


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_metaimage_and_nrrd_with_a_channel_a_class(tmp_path, suffix):
    array = np.random.default_rng(0).random((2, 3, 4, 5)).astype(np.float32)  # z, y, x, class
    image = SimpleITK.GetImageFromArray(array, isVector=True)
    image.SetSpacing((0.5, 0.6, 2.0))
    image.SetOrigin((10, 20, -30))
    path = tmp_path / f"v{suffix}"
    SimpleITK.WriteImage(image, str(path))
    stored = open_volume(path)
    assert (stored.channels, stored.grid.shape, stored.scale) == (5, (4, 3, 2), (1.0, 0.0))
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    maps = list(stored.maps)
    assert len(maps) == 5
    for number, one in enumerate(maps):
        np.testing.assert_array_equal(one, array[..., number].transpose(2, 1, 0))


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_metaimage_and_nrrd_of_one_class(tmp_path, suffix):
    array = np.random.default_rng(1).random((2, 3, 4)).astype(np.float32)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.6, 2.0))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, 1))  # array x runs along the patient's y
    image.SetOrigin((10, 20, -30))
    SimpleITK.WriteImage(image, str(tmp_path / f"v{suffix}"))
    stored = open_volume(tmp_path / f"v{suffix}")
    assert (stored.channels, stored.grid.shape, stored.scale) == (None, (4, 3, 2), (1.0, 0.0))
    np.testing.assert_array_equal(next(stored.maps), array.T)
    expected = [[0, -0.6, 0, -10], [-0.5, 0, 0, -20], [0, 0, 2, -30], [0, 0, 0, 1]]
    np.testing.assert_allclose(stored.grid.affine, expected, atol=1e-12)


def test_files_that_are_no_volume(tmp_path):
    flat = SimpleITK.GetImageFromArray(np.zeros((3, 4), np.uint8))
    SimpleITK.WriteImage(flat, str(tmp_path / "flat.mha"))
    with pytest.raises(PredictionError) as caught:
        open_volume(tmp_path / "flat.mha")
    assert str(caught.value) == f"{tmp_path / 'flat.mha'}: 2 axes; expected 3"
    (tmp_path / "bad.nrrd").write_text("no image")
    with pytest.raises(PredictionError, match=r"bad\.nrrd: cannot be read as nrrd \("):
        open_volume(tmp_path / "bad.nrrd")
    with pytest.raises(PredictionError) as caught:
        open_volume(tmp_path / "a.png")
    said = f"{tmp_path / 'a.png'}: expected a name that ends in one of .nii.gz, .nii, .mha, .mhd, .nrrd"
    assert str(caught.value) == said
