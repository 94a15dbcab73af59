"""nnU-Net's .npz made by hand: 10 x 10 x 10 voxels of different content everywhere, axes (class, z, y, x)."""

import io
import zipfile

import nibabel
import numpy as np
import pytest

from la_medical.artifacts import sha256_of
from la_medical.detection.nnunet_probabilities import MEMBER, Channels, channels_of, read_probabilities
from la_medical.errors import GeometryError, PredictionError
from la_medical.grid import Grid

SHAPE = (10, 10, 10)
GRID = Grid(SHAPE, np.diag([0.5, 1.0, 2.0, 1.0]))
SOFTMAX = Channels(("background", "pdac", "cyst"), regions=False)
REGIONS = Channels(("tumour", "pdac"), regions=True)


def packed(path, array, version=None, name=MEMBER):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, stream.getvalue())
    return path


def classes(seed=0):
    """A class of each voxel, (x, y, z)."""
    return np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)


def maps_of(labels):
    """(class, x, y, z): 0.6 for the class of a voxel, 0.2 for the two others."""
    return np.stack([np.where(labels == number, 0.6, 0.2) for number in range(3)]).astype(np.float32)


def written(folder, maps, labels=None, **options):
    if labels is not None:
        nibabel.save(nibabel.Nifti1Image(labels, GRID.affine), folder / "a.nii.gz")
    return packed(folder / "a.npz", maps.transpose(0, 3, 2, 1), **options)


def read(path, channels=SOFTMAX, wanted=("pdac", "cyst"), onto=None, **options):
    digests = {}
    return dict(read_probabilities(path, channels, list(wanted), onto, digests, **options)), digests


def test_the_wanted_channels_on_the_grid_of_the_segmentation(tmp_path):
    labels = classes()
    path = written(tmp_path, maps_of(labels), labels)
    found, digests = read(path, wanted=["cyst"], onto=Grid((2, 2, 2), np.eye(4)))
    assert list(found) == ["cyst"]
    np.testing.assert_array_equal(found["cyst"].raw, maps_of(labels)[2])
    assert found["cyst"].grid.difference(GRID) is None
    assert digests == {"a.npz": sha256_of(path), "a.nii.gz": sha256_of(tmp_path / "a.nii.gz")}


def test_the_grid_of_the_image_serves_without_a_segmentation(tmp_path):
    path = written(tmp_path, maps_of(classes()))
    found, digests = read(path, onto=GRID)
    assert list(found) == ["pdac", "cyst"]
    assert found["pdac"].grid is GRID
    assert list(digests) == ["a.npz"]
    with pytest.raises(GeometryError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: no geometry; keep the segmentation that nnU-Net writes beside it"


@pytest.mark.parametrize(("dtype", "single", "kept"), [(np.float64, False, np.float64), (np.float64, True, np.float32),
                                                       (np.float16, False, np.float32)])  # fmt: skip
def test_precision(tmp_path, dtype, single, kept):
    path = written(tmp_path, maps_of(classes()).astype(dtype))
    options = {"single": True} if single else {}
    one = read(path, onto=GRID, **options)[0]["pdac"]
    assert (one.raw.dtype, one.single) == (kept, single)


@pytest.mark.parametrize(("wrong", "accepted"), [(1, True), (2, False)])
def test_one_voxel_in_a_thousand_may_have_another_class(tmp_path, wrong, accepted):
    """All 1000 voxels are drawn."""
    labels = np.ones(SHAPE, np.uint8)
    labels[::2] = 2
    maps = maps_of(labels)
    labels.ravel()[:wrong] = 3 - labels.ravel()[:wrong]
    path = written(tmp_path, maps, labels)
    if accepted:
        assert read(path)[0]
        return
    with pytest.raises(PredictionError) as caught:
        read(path)
    assert str(caught.value) == (
        f"{path}: at 0.2% of the voxels of the segmentation beside it another class is more probable: another case, or "
        "turned by nnU-Net's reader NibabelIOWithReorient; predict with SimpleITKIO or NibabelIO"
    )


@pytest.mark.parametrize("turn", [lambda maps: maps[:, ::-1], lambda maps: maps.transpose(0, 2, 1, 3),
                                  lambda maps: maps.transpose(0, 3, 2, 1)])  # fmt: skip
def test_a_turned_array_is_noticed(tmp_path, turn):
    labels = classes()
    with pytest.raises(PredictionError, match="another class is more probable"):
        read(written(tmp_path, turn(maps_of(labels)), labels))


def test_regions_hold_where_any_is_above_one_half(tmp_path):
    """Only drawn voxels count; the largest of their regions must lie above 1/2."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:6, 2, 7] = 1, 2, 2
    maps = np.zeros((2, *SHAPE), np.float32)
    maps[0, 3:6, 2, 7] = 0.9, 0.6, 0.2
    maps[1, 3:6, 2, 7] = 0.1, 0.3, 0.7
    path = written(tmp_path, maps, labels)
    found, _ = read(path, REGIONS, ["tumour", "pdac"])
    np.testing.assert_array_equal(found["pdac"].raw, maps[1])
    maps[0, 4, 2, 7] = 0.5
    with pytest.raises(PredictionError, match=r"at 33\.3% of the voxels"):
        read(written(tmp_path, maps, labels), REGIONS, ["pdac"])


def test_an_empty_segmentation_agrees_with_anything(tmp_path):
    path = written(tmp_path, maps_of(classes()), np.zeros(SHAPE, np.uint8))
    assert list(read(path)[0]) == ["pdac", "cyst"]


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_versions_of_the_array_format(tmp_path, version):
    path = written(tmp_path, maps_of(classes()), version=version)
    assert list(read(path, onto=GRID)[0]) == ["pdac", "cyst"]


def failure(path, kind=PredictionError, **options):
    with pytest.raises(kind) as caught:
        read(path, onto=GRID, **options)
    return str(caught.value)


def test_what_is_no_file_of_probabilities(tmp_path):
    maps = maps_of(classes())
    shape = (3, 10, 10, 10)
    path = written(tmp_path, maps.astype(np.int16))
    assert failure(path, GeometryError) == f"{path}: int16 of shape {shape}; expected floats {shape}: class, z, y, x"
    path = written(tmp_path, maps[:2])
    said = f"{path}: float32 of shape (2, 10, 10, 10); expected floats {shape}: class, z, y, x"
    assert failure(path, GeometryError) == said
    path = packed(tmp_path / "a.npz", np.asfortranarray(maps.transpose(0, 3, 2, 1)))
    said = f"{path}: the array is stored with its first axis fastest; nnU-Net's is not"
    assert failure(path) == said
    path = packed(tmp_path / "a.npz", maps, name="softmax.npy")
    assert failure(path) == f"{path}: holds no array `probabilities`; expected what nnU-Net writes"
    path.write_bytes(b"no zip")
    assert failure(path).startswith(f"{path}: cannot be read as .npz (")
    whole = written(tmp_path, maps)
    with zipfile.ZipFile(whole) as archive:
        data = archive.read(MEMBER)
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(MEMBER, data[:-1])
    assert failure(whole) == f"{whole}: the file ends early; write it again"


def test_archives_of_other_kinds(tmp_path):
    """Encrypted, packed in an unknown way, damaged LZMA, and a header that is one long text."""
    path = tmp_path / "a.npz"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(MEMBER, b"x" * 4000)
        content = bytearray(path.read_bytes())
        if method == zipfile.ZIP_LZMA:
            content[60:70] = b"\xff" * 10
            path.write_bytes(content)
            assert failure(path).startswith(f"{path}: cannot be read as .npz (")
            continue
        central = content.index(b"PK\x01\x02")
        for offset, value, said in ((8, 1, "is encrypted"), (10, 77, "compression method is not supported")):
            changed = bytearray(content)
            changed[central + offset] = changed[offset - 2] = value
            path.write_bytes(changed)
            assert failure(path).startswith(f"{path}: cannot be read as .npz (")
            assert said in failure(path)
    header = repr({"descr": "x" * 9000, "fortran_order": False, "shape": (3, 10, 10, 10)}).encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert len(failure(path)) == len(f"{path}: cannot be read as .npz (); write it again") + 300


def test_values_that_are_no_probabilities_name_the_class(tmp_path):
    path = written(tmp_path, maps_of(classes()) * 3)
    assert failure(path).startswith(f"{path} (pdac): values from 0.6 to 1.8 where probabilities 0 to 1")


def test_channels_by_the_labels():
    assert channels_of({"cyst": 2, "background": 0, "pdac": 1, "ignore": 3}) == SOFTMAX
    assert channels_of({"background": [0], "pdac": [1], "cyst": 2}) == SOFTMAX
    assert channels_of({"background": 0, "tumour": [1, 2], "pdac": [1]}) == REGIONS
    assert channels_of({"tumour": [1, 2], "background": [0], "pdac": 1}) == REGIONS
    assert channels_of({"background": "0", "pdac": "1"}).names == ("background", "pdac")


@pytest.mark.parametrize(
    ("labels", "values"),
    [({"background": 0, "pdac": 2}, "[[0], [2]]"), ({"pdac": 1}, "[[1]]"),
     ({"background": 0, "a": 1, "b": 1}, "[[0], [1], [1]]")],
)  # fmt: skip
def test_labels_that_are_no_row_of_numbers(labels, values):
    with pytest.raises(ValueError) as caught:
        channels_of(labels)
    assert str(caught.value) == f"labels have the values {values}, expected 0, 1, 2, ..."
