"""Compressed transfer syntaxes decode to the same volume, and cut ones are refused."""

import base64
import json

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from la_medical.dicom.scan import scan
from la_medical.dicom.series import read_projection, read_series_table, read_volume
from la_medical.errors import GeometryError
from tests.dicom.made_series import ct_slice, enhanced_ct, save

NAMES = {JPEG2000Lossless: "j2k-lossless", JPEGLSLossless: "jpeg-ls-lossless", RLELossless: "rle-lossless"}


SHAPE = (40, 48)  # rows, columns: OpenJPEG wants 32 or more of each


def values(index):
    return (np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) + 7 * index).astype(np.uint16)


def large_slice(index, **changes):
    return ct_slice(index, Rows=SHAPE[0], Columns=SHAPE[1], PixelData=values(index).tobytes(), **changes)


def large_enhanced(count=5):
    dataset = enhanced_ct(count)
    dataset.Rows, dataset.Columns = SHAPE
    dataset.PixelData = b"".join(values(index).tobytes() for index in reversed(range(count)))
    return dataset


def expected(count=5):
    return np.stack([values(index).T.astype(int) - 1024 for index in range(count)], axis=-1)


def compressed(dataset, syntax):
    dataset.compress(syntax, generate_instance_uid=False)
    return dataset


@pytest.mark.parametrize("syntax", NAMES)
def test_lossless_series_is_the_same_volume(tmp_path, syntax):
    for index in range(5):
        save(compressed(large_slice(index), syntax), tmp_path / "tree" / str(index))
    scan(tmp_path / "tree", tmp_path / "out.csv", workers=1)
    row = read_series_table(tmp_path / "out.csv").iloc[0]
    assert (row["transfer_syntax"], row["faults"], row["lossy"]) == (NAMES[syntax], "", 0)
    np.testing.assert_array_equal(read_volume(row, root=tmp_path / "tree").array, expected())


@pytest.mark.parametrize("syntax", NAMES)
def test_enhanced_multiframe_compressed(tmp_path, syntax):
    path = save(compressed(large_enhanced(), syntax), tmp_path / "enhanced")
    np.testing.assert_array_equal(read_volume([path]).array, expected())


@pytest.mark.parametrize("syntax", NAMES)
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
def test_cut_compressed_pixels_are_refused(tmp_path, syntax, kept):
    files = [save(compressed(large_slice(index), syntax), tmp_path / str(index)) for index in range(3)]
    whole = files[1].read_bytes()
    start = whole.index(b"\xe0\x7f\x10\x00")
    files[1].write_bytes(whole[: start + int((len(whole) - start) * kept)])
    with pytest.raises(GeometryError, match="truncated_pixels"):
        read_volume(files)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_codestream_cut_inside_whole_fragments_is_refused(tmp_path, syntax):
    """Here the DICOM structure is right, and only the codestream lacks its end: decoders would fill it in."""
    files = []
    for index in range(3):
        dataset = compressed(large_slice(index), syntax)
        if index == 1:
            item = dataset.PixelData.index(b"\xfe\xff\x00\xe0", 8)
            codestream = dataset.PixelData[item + 8 : -8].rstrip(b"\0")
            dataset.PixelData = encapsulate([codestream[: len(codestream) - 12]])
        files.append(save(dataset, tmp_path / str(index)))
    with pytest.raises(GeometryError, match="truncated_pixels"):
        read_volume(files)


def test_htj2k(tmp_path):
    """One codestream of OpenJPH 0.14, reversible, of 8 x 8 values 37 n + 5; pydicom has no encoder for it."""
    codestream = base64.b64decode(
        "/0//UQApQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABDwEB/1AACAACAAAADP9SAAwAAgABAAUEBEAB/1wAEyCQmJigmJigmJig"
        "mJiYkJCY/2QAFwABT3BlbkpQSCBWZXIgMC4xNC4wLv+QAAoAAAAAAFoAAf+TwAATAAP6BQd0AAAAwAAJYAAEwFABh3QAjPoDB3QAwAAJoAAE4CTS"
        "AQJ0ADKV6QCjVADAABUQAAVYCIIgqnCCdQBOOnHi5MBCAey2AP/Z"
    )
    files = []
    for index in range(3):
        dataset = ct_slice(index, Rows=8, Columns=8, BitsStored=16, HighBit=15, PixelData=encapsulate([codestream]))
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
        dataset["PixelData"].is_undefined_length = True
        files.append(save(dataset, tmp_path / "tree" / str(index)))
    scan(tmp_path / "tree", tmp_path / "out.csv", workers=1)
    row = read_series_table(tmp_path / "out.csv").iloc[0]
    assert (row["transfer_syntax"], row["faults"]) == ("htj2k-lossless", "")
    array = read_volume(files).array
    np.testing.assert_array_equal(array[:, :, 1], (np.arange(64) * 37 + 5 - 1024).reshape(8, 8).T)


def test_an_unknown_syntax_is_named(tmp_path):
    for index in range(3):
        dataset = compressed(large_slice(index), RLELossless)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG-2
        dataset.PixelData = encapsulate([b"\x00\x01\xff\xd9"])
        save(dataset, tmp_path / "tree" / str(index))
    scan(tmp_path / "tree", tmp_path / "out.csv", workers=1)
    row = read_series_table(tmp_path / "out.csv").iloc[0]
    assert row["faults"] == "unsupported_syntax"
    with pytest.raises(GeometryError, match="unsupported_syntax"):
        read_volume(row, root=tmp_path / "tree")


def test_garbage_in_whole_fragments_is_no_volume(tmp_path):
    files = []
    for index in range(3):
        dataset = compressed(large_slice(index), JPEG2000Lossless)
        dataset.PixelData = encapsulate([b"\x12\x34" * 40 + b"\xff\xd9"])
        files.append(save(dataset, tmp_path / str(index)))
    with pytest.raises(GeometryError, match="cannot be decoded"):
        read_volume(files)


def xray(**changes):
    changes = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "Modality": "CR", "ImagerPixelSpacing": [0.2, 0.3],
        "PixelSpacing": None, "ImagePositionPatient": None, "ImageOrientationPatient": None, "RescaleSlope": None,
        "RescaleIntercept": None, **changes,
    }  # fmt: skip
    return ct_slice(0, **changes)


def test_projection_monochrome1_is_turned_so_that_bright_is_dense(tmp_path):
    plain = read_projection(save(xray(), tmp_path / "tree" / "a"))
    inverted = read_projection(save(xray(PhotometricInterpretation="MONOCHROME1"), tmp_path / "tree" / "a"))
    np.testing.assert_array_equal(inverted.array, 4095 - plain.array)  # 12 bits stored
    assert (plain.spacing, plain.spacing_source) == ((0.2, 0.3), "ImagerPixelSpacing")
    scan(tmp_path / "tree", tmp_path / "out.csv", workers=1)
    row = read_series_table(tmp_path / "out.csv").iloc[0]
    assert (row["kind"], row["faults"]) == ("projection", "imager_pixel_spacing;monochrome1;not_a_volume")
    assert json.loads(row["spacing"]) == [0.3, 0.2, None]


def test_cut_projection_is_refused(tmp_path):
    path = save(xray(), tmp_path / "a")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(GeometryError, match="truncated_pixels"):
        read_projection(path)
