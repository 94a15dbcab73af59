"""Every kind of image file that a manifest may name, read whole or refused with a reason."""

import struct
import zlib

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from la_medical.manifest.audit.inspection import geometry_difference, inspect_case
from la_medical.manifest.audit.pictures import Picture, UnreadableError, canonical, read_mask, read_picture
from la_medical.manifest.audit.trivial_statistics import gray_of, trivial_statistics
from tests.dicom import made_series


def itk(path, array, *, vector=False):
    image = SimpleITK.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        image.SetSpacing((0.5, 0.75, 2.0))
        image.SetOrigin((10.0, 20.0, 30.0))
    SimpleITK.WriteImage(image, str(path))
    return path


def huge_png(path, side):
    """A PNG of some bytes that claims `side` x `side` palette pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 3, 0, 0, 0)
    chunks = (chunk(b"IHDR", head), chunk(b"PLTE", bytes(6)), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
def test_an_itk_volume_has_axes_x_y_z_and_lies_in_ras(tmp_path, suffix):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # z, y, x
    read = read_picture(itk(tmp_path / f"v.{suffix}", array))
    assert read.is_volume
    np.testing.assert_array_equal(read.array, array.transpose(2, 1, 0))
    # ITK's LPS becomes RAS: x and y change their sign, the origin's too
    np.testing.assert_allclose(read.affine, [[-0.5, 0, 0, -10], [0, -0.75, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])
    np.testing.assert_array_equal(canonical(read), read.array[::-1, ::-1])


@pytest.mark.parametrize(("shape", "vector"), [((4, 5), False), ((4, 5, 3), True)])
def test_a_flat_itk_image_is_a_plain_image(tmp_path, shape, vector):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    read = read_picture(itk(tmp_path / "flat.mha", array, vector=vector))
    assert read.affine is None
    np.testing.assert_array_equal(read.array, array)


@pytest.mark.parametrize("vector", [True, False], ids=["of vectors", "of times"])
def test_an_itk_file_of_four_axes_is_refused(tmp_path, vector):
    path = itk(tmp_path / "v.mha", np.zeros((2, 3, 4, 5), np.int16), vector=vector)
    with pytest.raises(UnreadableError, match="4 axes; expected one gray volume with three"):
        read_picture(path)


def test_a_dicom_image_has_the_faults_that_its_header_gives_reason_for(tmp_path):
    plain = made_series.save(made_series.ct_slice(0), tmp_path / "plain.dcm")
    told = {"PhotometricInterpretation": "MONOCHROME1", "BurnedInAnnotation": "YES", "LossyImageCompression": "01"}
    spacing = {"PixelSpacing": None, "ImagerPixelSpacing": [0.14, 0.14]}
    full = made_series.save(made_series.ct_slice(0, **told, **spacing), tmp_path / "full.dcm")
    assert read_picture(plain).faults == ()
    np.testing.assert_array_equal(read_picture(plain).array, made_series.stored_values(0))
    assert read_picture(full).faults == ("monochrome1", "burned_in", "lossy", "imager_pixel_spacing")


def test_a_dicom_file_of_many_frames_is_refused(tmp_path):
    path = made_series.save(made_series.enhanced_ct(5), tmp_path / "frames.dcm")
    with pytest.raises(UnreadableError, match="5 frames; expected one image, or a folder that holds one series"):
        read_picture(path)


@pytest.mark.parametrize("reader", [read_picture, read_mask])
@pytest.mark.parametrize("name", ["x.png", "x.nii.gz", "x.mha", "x.dcm"])
def test_what_is_no_image_is_unreadable_in_one_line(tmp_path, reader, name):
    path = tmp_path / name
    path.write_text("no image\nat all\n")
    with pytest.raises(UnreadableError) as caught:
        reader(path)
    assert "\n" not in str(caught.value)
    assert inspect_case((None, path)).mask.startswith("unreadable: ")


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_an_image_that_claims_too_many_pixels_is_unreadable_as_image_and_as_mask(tmp_path, side):
    path = huge_png(tmp_path / "huge.png", side)
    found = inspect_case((path, path))
    assert found.image.startswith("unreadable: ")
    assert found.mask.startswith("unreadable: ")


def test_a_palette_image_is_colours_as_an_image_and_indices_as_a_mask(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png").array, np.ones((2, 3)))
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").array, np.full((2, 3, 3), (255, 0, 0)))


def test_the_gray_picture_of_colours_is_their_mean_and_of_a_volume_the_mean_along_z():
    colours = np.full((2, 2, 3), (30, 60, 90), np.uint8)
    np.testing.assert_array_equal(gray_of(Picture(colours)), np.full((2, 2), 60))
    volume = np.zeros((2, 2, 4))
    volume[..., 0] = 8
    np.testing.assert_array_equal(gray_of(Picture(volume, np.eye(4))), np.full((2, 2), 2))


@pytest.mark.parametrize(
    ("pixels", "sharpness", "edges"),
    [
        ([[7]], 0, 0),  # no neighbour at all
        ([[0, 4], [0, 4]], 0, 4),  # steps of 4 to the right, of 0 down; no inner pixel
        ([[0, 0, 0], [0, 8, 0], [0, 0, 0]], 0, 16 / 6 * 2),  # 16 over 6 steps each way; one inner pixel varies by 0
    ],
)
def test_statistics_of_pictures_too_small_for_a_laplacian(pixels, sharpness, edges):
    array = np.array(pixels, dtype=np.float32)
    found = trivial_statistics(Picture(array), array, size_bytes=1024)
    assert found["sharpness"] == sharpness
    assert found["edges"] == pytest.approx(edges)
    assert found["file_kib"] == 1
    assert (found["size_0"], found["size_1"]) == array.shape


def test_a_plain_mask_on_a_plain_image_needs_the_same_shape_only():
    image, mask = Picture(np.zeros((4, 5, 3))), Picture(np.zeros((4, 5)))
    assert geometry_difference(image, mask) == ""
    assert geometry_difference(image, Picture(np.zeros((5, 4)))) == "mask 5x4 on image 4x5"
