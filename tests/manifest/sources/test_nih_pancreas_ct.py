"""NIH Pancreas-CT: label files without a position are turned onto their images, or refused."""

import nibabel
import numpy as np
import pytest

from la_medical.errors import GeometryError, ManifestError
from la_medical.manifest.audit import audit
from la_medical.manifest.audit.pictures import read_picture
from la_medical.manifest.sources import read_source
from tests.dicom.made_series import COLUMNS, ROWS, ct_slice, save
from tests.manifest.sources.layouts import column, states, volume


def nih_scan(folder, *, rows_to_front=True, numbered_down=True, count=5):
    """A series as TCIA publishes it, rows to the front and slices numbered to the feet (or as any other scanner does).

    Returns the (X, Y, Z) label array in the order of its pixels: column, row, slice by InstanceNumber. The organ is
    part of one row of one slice at 80 HU in air, so that any other turn of the mask lies on air.
    """
    organ = np.zeros((COLUMNS, ROWS, count), np.uint8)
    for index in range(count):
        pixels = np.full((ROWS, COLUMNS), 24, np.uint16)  # -1000 HU
        number = count - index if numbered_down else index + 1
        if index == 1:
            pixels[1, :3] = 1104  # 80 HU
            organ[:3, 1, number - 1] = 1
        orientation = [1, 0, 0, 0, -1 if rows_to_front else 1, 0]
        dataset = ct_slice(index, InstanceNumber=number, ImageOrientationPatient=orientation)
        dataset.PixelData = pixels.tobytes()
        save(dataset, folder / f"{(7 * index) % 11:06d}.dcm")
    return organ


def nih_label(path, organ, directions="LAI"):
    """The label file: its array in the order of the pixels, axes to the left, front and feet, no position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signs = [1 if code in "RAS" else -1 for code in directions]
    nibabel.save(nibabel.Nifti1Image(organ, np.diag([*np.multiply(signs, (0.7, 0.8, 2.5)), 1.0])), path)


def under(manifest, case):
    """Image values (HU) where the mask of one case is, both read through the manifest, and both affines."""
    row = list(manifest.table["case_id"]).index(case)
    image, mask = (read_picture(manifest.file_paths(name)[row]) for name in ("image", "mask"))
    return image.array[mask.array != 0], image.affine, mask.affine


def test_nih_labels_lie_on_their_dicom_series(tmp_path):
    """DICOM folders as published, labels in their own archive and in the order of DICOM pixels; 0025 withdrawn."""
    labels = tmp_path / "TCIA_pancreas_labels-02-05-2017"
    for number in ("0001", "0025"):
        folder = tmp_path / f"Pancreas-CT/PANCREAS_{number}/11-24-2015-x/Pancreas-1"
        nih_label(labels / f"label{number}.nii.gz", nih_scan(folder))
    manifest = read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "turned")
    assert column(manifest, "image") == {"nih_pancreas_0001": "Pancreas-CT/PANCREAS_0001/11-24-2015-x/Pancreas-1"}
    assert column(manifest, "mask_grid") == {"nih_pancreas_0001": "turned onto the image's grid"}
    assert column(manifest, "label_file") == {"nih_pancreas_0001": f"{labels.name}/label0001.nii.gz"}
    assert states(manifest, "nih_pancreas_0001", "pdac", "pannet", "pancreas") == (0, 0, 1)
    assert "cyst" not in manifest.classes
    values, image_affine, mask_affine = under(manifest, "nih_pancreas_0001")
    assert values.tolist() == [80, 80, 80]
    np.testing.assert_allclose(mask_affine, image_affine)
    assert audit(manifest, with_shortcuts=False).check("mask geometry").status == "passed"
    before = (tmp_path / "turned/nih_pancreas_0001.nii.gz").stat().st_mtime_ns
    assert read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "turned").table.equals(manifest.table)
    assert (tmp_path / "turned/nih_pancreas_0001.nii.gz").stat().st_mtime_ns == before


@pytest.mark.parametrize("header", ["LAI", "RAS", "LPS"])
@pytest.mark.parametrize("numbered_down", [True, False])
@pytest.mark.parametrize("rows_to_front", [True, False])
def test_the_image_decides_where_header_and_pixel_order_disagree(tmp_path, rows_to_front, numbered_down, header):
    organ = nih_scan(tmp_path / "PANCREAS_0001", rows_to_front=rows_to_front, numbered_down=numbered_down)
    nih_label(tmp_path / "label0001.nii.gz", organ, header)
    manifest = read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "turned")
    assert under(manifest, "nih_pancreas_0001")[0].tolist() == [80, 80, 80]


@pytest.mark.parametrize("turn", ["LPS", "LAS", "RAS", "LAI"])
def test_nih_labels_lie_on_nifti_images_of_any_turn(tmp_path, turn):
    """Converters write LAS, LPS or RAS; the voxels are the same ones."""
    organ = nih_scan(tmp_path / "dicom")
    volume_ = read_picture(tmp_path / "dicom")
    image = nibabel.Nifti1Image(volume_.array, volume_.affine)
    wanted = nibabel.orientations.axcodes2ornt(turn)
    turned = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted))
    (tmp_path / "set").mkdir()
    nibabel.save(turned, tmp_path / "set/PANCREAS_0002.nii.gz")
    nih_label(tmp_path / "set/label0002.nii.gz", organ)
    manifest = read_source("nih_pancreas_ct", tmp_path / "set", masks_out=tmp_path / "turned")
    values, image_affine, mask_affine = under(manifest, "nih_pancreas_0002")
    assert values.tolist() == [80, 80, 80]
    np.testing.assert_allclose(mask_affine, image_affine)


def test_nih_labels_that_cannot_be_placed_are_refused(tmp_path):
    organ = nih_scan(tmp_path / "PANCREAS_0001")
    nih_label(tmp_path / "label0001.nii.gz", organ[:, :, :4])
    with pytest.raises(GeometryError, match=r"expected those of its scan"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    nih_label(tmp_path / "label0001.nii.gz", organ[:, ::-1])
    with pytest.raises(GeometryError, match=r"median of -1000 HU.*does not lie on its organ"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    both = organ | organ[:, ::-1, ::-1]  # lies half on tissue however it is turned
    nih_label(tmp_path / "label0001.nii.gz", both, "LPS")
    with pytest.raises(GeometryError, match=r"disagree, and the image cannot decide|does not lie on its organ"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    nih_label(tmp_path / "label0001.nii.gz", organ)
    with pytest.raises(ManifestError, match="--masks-out"):
        read_source("nih_pancreas_ct", tmp_path)
    save(ct_slice(0, InstanceNumber=9), tmp_path / "PANCREAS_0001/000000.dcm")
    with pytest.raises(GeometryError, match="mixed_orientations"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    numbered = ct_slice(0, InstanceNumber=9, ImageOrientationPatient=[1, 0, 0, 0, -1, 0])
    save(numbered, tmp_path / "PANCREAS_0001/000000.dcm")
    save(
        ct_slice(1, InstanceNumber=12, ImageOrientationPatient=[1, 0, 0, 0, -1, 0]),
        tmp_path / "PANCREAS_0001/000007.dcm",
    )
    with pytest.raises(GeometryError, match="InstanceNumber does not follow the position"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    alone = read_source("nih_pancreas_ct", tmp_path, check_files=False)
    assert states(alone, "nih_pancreas_0001", "pdac", "pancreas") == (0, 1)


@pytest.mark.parametrize(
    ("values", "said"), [((1, 1), "80 HU or 80 HU"), ((), "nothing or nothing")], ids=["organ", "empty mask"]
)
def test_an_image_that_is_alike_everywhere_cannot_decide(tmp_path, values, said):
    """The published order of voxels (to the left, front, feet) is not what this header says."""
    volume(tmp_path / "PANCREAS_0003.nii.gz", [80] * 64, dtype=np.int16)
    volume(tmp_path / "label0003.nii.gz", values, affine=np.diag([-1.0, -1, 1, 1]))
    with pytest.raises(GeometryError, match=rf"disagree, and the image cannot decide \({said}\)"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")


def test_an_image_whose_axes_are_in_another_order_is_refused(tmp_path):
    volume(tmp_path / "PANCREAS_0003.nii.gz", (80,), affine=np.eye(4)[[2, 0, 1, 3]])
    volume(tmp_path / "label0003.nii.gz", (1,))
    with pytest.raises(GeometryError, match=r"PANCREAS_0003\.nii\.gz: axes run A, S, R; expected an axial volume"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")


def test_files_that_are_no_nifti_are_refused(tmp_path):
    volume(tmp_path / "label0003.nii.gz", (1,))
    (tmp_path / "PANCREAS_0003.nii.gz").write_bytes(b"damaged")
    with pytest.raises(ManifestError, match=r"PANCREAS_0003\.nii\.gz: cannot be read as NIfTI"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    volume(tmp_path / "PANCREAS_0003.nii.gz", (80,))
    (tmp_path / "label0003.nii.gz").rename(tmp_path / "label0003.nrrd")
    with pytest.raises(ManifestError, match=r"label0003\.nrrd: cannot be read as NIfTI"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")


def test_scans_that_are_not_one_series_are_refused(tmp_path):
    scan = tmp_path / "PANCREAS_0001"
    scan.mkdir()
    nih_label(tmp_path / "label0001.nii.gz", nih_scan(tmp_path / "elsewhere"))
    with pytest.raises(ManifestError, match="PANCREAS_0001: no files; expected those of one DICOM series"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    for part in ("a", "b"):
        nih_scan(scan / part)
    with pytest.raises(ManifestError, match="PANCREAS_0001: 2 folders of slices; expected one series a patient"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")


def test_labels_of_withdrawn_scans_alone_are_refused(tmp_path):
    volume(tmp_path / "label0025.nii.gz", (1,))
    with pytest.raises(ManifestError, match=r"no label0001\.nii\.gz \.\.\. there"):
        read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")


def test_nih_labels_that_lie_there_already_are_used_as_they_are(tmp_path):
    affine = np.diag([-0.7, -0.8, 2.5, 1.0])
    volume(tmp_path / "PANCREAS_0003.nii.gz", (80,), affine=affine)
    volume(tmp_path / "label0003.nii.gz", (1,), affine=affine)
    manifest = read_source("nih_pancreas_ct", tmp_path, masks_out=tmp_path / "out")
    assert column(manifest, "mask") == {"nih_pancreas_0003": "label0003.nii.gz"}
    assert column(manifest, "mask_grid") == {"nih_pancreas_0003": "on the image's grid"}
    assert not (tmp_path / "out").exists()
