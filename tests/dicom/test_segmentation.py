"""SEG and RTSTRUCT: what is written is read back, in its place in the world."""

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage
from scipy.ndimage import affine_transform

from la_medical.dicom.segmentation import Grid, read_segmentation, write_seg
from la_medical.dicom.series import read_volume
from la_medical.errors import GeometryError, LabelError
from la_medical.labels import LabelClass, LabelSpace
from tests.dicom.made_series import ct_slice, enhanced_ct, save

SHAPE = (16, 12, 6)  # x, y, z
LESION = ("363418001", "SCT", "Malignant tumor of pancreas")
CYST = ("367643001", "SCT", "Cyst")
SPACE = LabelSpace(
    "lesions",
    (
        LabelClass("pdac", "Adenocarcinoma", codes={"type": LESION}),
        LabelClass("cyst", "Pancreatic cyst", codes={"type": CYST}),
        LabelClass("uncoded"),
    ),
)


@pytest.fixture
def source(tmp_path):
    size = {"Rows": SHAPE[1], "Columns": SHAPE[0], "PixelData": bytes(2 * SHAPE[0] * SHAPE[1])}
    return [save(ct_slice(index, **size), tmp_path / "ct" / f"{7 * index % 6}") for index in range(SHAPE[2])]


def probabilities(seed=0):
    draw = np.random.default_rng(seed).random(SHAPE, dtype=np.float32)
    draw[:, :, 0] = 0  # an empty slice is not stored
    return draw


@pytest.mark.parametrize("kind", ["binary", "fractional"])
def test_what_is_written_is_read_back(tmp_path, source, kind):
    maps = {"cyst": probabilities(1), "pdac": probabilities(2)}
    path = write_seg(tmp_path / "seg.dcm", maps, source=source, space=SPACE, kind=kind)
    found = read_segmentation(path, read_volume(source))
    assert found.classes(SPACE) == {1: "pdac", 2: "cyst"}
    assert [segment.type for segment in found.segments] == [LESION, CYST]
    for number, name in found.classes(SPACE).items():
        if kind == "binary":
            np.testing.assert_array_equal(found.maps[number], maps[name] >= 0.5)
        else:
            np.testing.assert_allclose(found.maps[number], maps[name], atol=0.5 / 255 + 1e-6)


def test_single_class_and_same_bytes(tmp_path, source):
    paths = [
        write_seg(tmp_path / name, {"pdac": probabilities()}, source=files, space=SPACE, kind="binary")
        for name, files in (("a", source), ("b", source[::-1]))
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    found = read_segmentation(paths[0], read_volume(source))
    np.testing.assert_array_equal(found.maps[1], probabilities() >= 0.5)


def test_highdicom_reads_the_same(tmp_path, source):
    path = write_seg(tmp_path / "seg.dcm", {"pdac": probabilities()}, source=source, space=SPACE, kind="binary")
    theirs = hd.seg.segread(path)
    positions = [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in theirs.PerFrameFunctionalGroupsSequence]
    ours = read_segmentation(path)
    for frame, z in zip(theirs.pixel_array, positions, strict=True):
        index = round((np.linalg.inv(ours.affine) @ [0, 0, z, 1])[2])
        np.testing.assert_array_equal(ours.maps[1][:, :, index].T, frame)


def test_an_enhanced_source(tmp_path):
    dataset = enhanced_ct()
    dataset.Rows, dataset.Columns = SHAPE[1], SHAPE[0]
    dataset.PixelData = bytes(2 * SHAPE[0] * SHAPE[1] * 5)
    source = [save(dataset, tmp_path / "enhanced")]
    mask = (probabilities()[:, :, :5] > 0.5).astype(np.uint8)
    path = write_seg(tmp_path / "seg.dcm", {"pdac": mask}, source=source, space=SPACE, kind="binary")
    np.testing.assert_array_equal(read_segmentation(path, read_volume(source)).maps[1], mask)


@pytest.mark.parametrize("flip", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_reference_that_is_flipped_or_larger_holds_the_same_world(tmp_path, source, flip):
    path = write_seg(tmp_path / "seg.dcm", {"pdac": probabilities()}, source=source, space=SPACE)
    straight = read_segmentation(path, read_volume(source))
    affine = straight.affine.copy()
    for axis in flip:
        affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
        affine[:3, axis] *= -1
    affine[:3, 3] -= affine[:3, 0] * 2  # two voxels more before the first column
    larger = (SHAPE[0] + 5, SHAPE[1], SHAPE[2])
    found = read_segmentation(path, Grid(larger, affine)).maps[1]
    expected = np.zeros(larger, np.float32)
    expected[2 : 2 + SHAPE[0]] = np.flip(straight.maps[1], flip)
    np.testing.assert_array_equal(found, expected)


def test_other_grids_are_refused_or_resampled(tmp_path, source):
    block = np.zeros(SHAPE, np.float32)
    block[4:12, 2:10, 1:5] = 1
    path = write_seg(tmp_path / "seg.dcm", {"pdac": block}, source=source, space=SPACE, kind="binary")
    volume = read_volume(source)
    finer = volume.affine @ np.diag([0.5, 0.5, 1, 1])
    grid = Grid((32, 24, 6), finer)
    with pytest.raises(GeometryError, match="resampling"):
        read_segmentation(path, grid)
    assert read_segmentation(path, grid, resample=True).maps[1].sum() == pytest.approx(4 * block.sum(), rel=0.15)
    with pytest.raises(GeometryError, match="outside"):
        read_segmentation(path, Grid((8, 12, 6), volume.affine))


def test_bad_maps_are_refused(tmp_path, source):
    out, good = tmp_path / "seg.dcm", probabilities()
    with pytest.raises(GeometryError, match="shape"):
        write_seg(out, {"pdac": good[1:]}, source=source, space=SPACE)
    with pytest.raises(LabelError, match=r"outside 0\.\.1"):
        write_seg(out, {"pdac": good * np.nan}, source=source, space=SPACE)
    with pytest.raises(LabelError, match="coded"):
        write_seg(out, {"uncoded": good}, source=source, space=SPACE)
    with pytest.raises(LabelError, match="at least one"):
        write_seg(out, {}, source=source, space=SPACE)
    with pytest.raises(GeometryError, match="SegmentationType"):
        read_segmentation(source[0])
    assert not out.exists()


def structure_set(path, contours):
    """An RTSTRUCT of one region with contours of LPS mm points."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = RTStructureSetStorage, "1.2.7.1", "RTSTRUCT"
    dataset.SeriesInstanceUID = "1.2.7"
    region, drawn = Dataset(), Dataset()
    region.ROINumber, region.ROIName = 1, "tumour"
    drawn.ReferencedROINumber = 1
    items = []
    for points in contours:
        contour = Dataset()
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = len(points)
        contour.ContourData = [float(value) for point in points for value in point]
        items.append(contour)
    drawn.ContourSequence = items
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [region], [drawn]
    return save(dataset, path)


def square(low, high, z):
    """Corners in LPS mm of voxel columns and rows low..high (spacing 0.7 and 0.8, origin -10, -20)."""
    edges = [(low, low), (high, low), (high, high), (low, high)]
    return [(-10 + 0.7 * i, -20 + 0.8 * j, z) for i, j in edges]


def test_rtstruct_with_a_hole(tmp_path, source):
    contours = [square(1.5, 9.5, -97.5), square(3.5, 6.5, -97.5)]  # voxels 2..9 without 4..6
    path = structure_set(tmp_path / "rs", contours)
    found = read_segmentation(path, read_volume(source))
    expected = np.zeros(SHAPE, np.uint8)
    expected[2:10, 2:10, 1] = 1
    expected[4:7, 4:7, 1] = 0
    np.testing.assert_array_equal(found.maps[1], expected)
    assert found.segments[0].label == "tumour"


def test_rtstruct_says_what_it_leaves_out(tmp_path, source):
    path = structure_set(tmp_path / "rs", [square(1.5, 9.5, -97.5), square(1.5, 9.5, 50)])
    found = read_segmentation(path, read_volume(source))
    assert found.notes == ("region 1: 1 contours lie outside the volume; left out",)
    with pytest.raises(GeometryError, match="outside the reference"):
        read_segmentation(structure_set(tmp_path / "rs2", [square(1.5, 9.5, 50)]), read_volume(source))
    with pytest.raises(GeometryError, match="no grid of its own"):
        read_segmentation(path)


@pytest.mark.data
def test_real_rtstruct_agrees_with_its_published_mask(data_folder):
    """The contours of STS_002 drawn on its CT at 0.98 mm agree with the mask published on 2 mm voxels."""
    import nibabel

    folder = data_folder / "sarcoma_ct_dicom" / "STS_002" / "CT"
    volume = read_volume(sorted((folder / "image").iterdir()))
    found = read_segmentation(folder / "mask" / "RS.dcm", volume)
    published = nibabel.load(data_folder / "sarcoma_ct" / "STS_002" / "tumour.nii.gz")
    to_voxel = np.linalg.inv(volume.affine) @ published.affine
    drawn = found.maps[1].astype(float)
    coarse = affine_transform(drawn, to_voxel[:3, :3], to_voxel[:3, 3], output_shape=published.shape, order=1) >= 0.5
    reference = np.asarray(published.dataobj) > 0
    dice = 2 * (coarse & reference).sum() / (coarse.sum() + reference.sum())
    assert dice > 0.98
