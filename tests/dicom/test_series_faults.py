"""Every way an archive spoils a series has a name, and none gives a wrong volume."""

import json

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RTPlanStorage, RTStructureSetStorage

from la_medical.dicom.scan import files_table_path, scan
from la_medical.dicom.series import read_series_table, read_volume
from la_medical.dicom.table_files import read_rows
from la_medical.errors import GeometryError
from tests.dicom.made_series import COLUMNS, ROWS, ct_series, ct_slice, enhanced_ct, hounsfield, implicit, save


def scanned(root, out):
    about = scan(root, out, workers=1)
    table = read_series_table(out)
    files = read_rows(files_table_path(out), {"file": "text", "outcome": "text"})
    return table, dict(zip(files["file"], files["outcome"], strict=True)), about


@pytest.fixture
def judge(tmp_path):
    """Scan what lies in tmp_path/tree; returns rows, outcomes by file name, counts."""
    return lambda: scanned(tmp_path / "tree", tmp_path / "out.csv")


def test_a_regular_series_is_its_volume(tmp_path, judge):
    files = ct_series(tmp_path / "tree" / "a" / "b")
    table, outcomes, _ = judge()
    row = table.iloc[0]
    assert row["faults"] == ""
    assert (row["readable"], row["slices"], row["missing_slices"], row["duplicate_slices"]) == (1, 5, 0, 0)
    assert json.loads(row["shape"]) == [COLUMNS, ROWS, 5]
    assert json.loads(row["spacing"]) == [0.7, 0.8, 2.5]
    # LPS origin (-10, -20, -100) and axes x, y are RAS (10, 20, -100) and -x, -y; x goes along the columns
    expected = [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, -100], [0, 0, 0, 1]]
    np.testing.assert_allclose(json.loads(row["affine"]), expected)
    assert (row["phase"], row["selected"]) == ("portal_venous", 0)  # fewer than 10 slices
    assert set(outcomes.values()) == {"slice"}
    volume = read_volume(row, root=tmp_path / "tree")
    np.testing.assert_array_equal(volume.array, hounsfield())
    np.testing.assert_allclose(volume.affine, expected)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(read_volume(list(reversed(files))).array, hounsfield())


SPOILED = {
    "mixed_patients": {"PatientID": "PID-2", "PatientName": "Roe^Richard"},
    "mixed_studies": {"StudyInstanceUID": "1.2.9"},
    "mixed_orientations": {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
    "mixed_spacings": {"PixelSpacing": [0.9, 0.7]},
    "mixed_frames_of_reference": {"FrameOfReferenceUID": "1.2.9"},
    "mixed_shapes": {"Rows": COLUMNS, "Columns": ROWS},
    "mixed_pixel_formats": {"PhotometricInterpretation": "MONOCHROME1"},
    "mixed_classes": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"},
    "no_position": {"ImagePositionPatient": None},
    "no_orientation": {"ImageOrientationPatient": None},
    "no_pixel_spacing": {"PixelSpacing": None},
    "no_pixel_data": {"PixelData": None},
    "no_rescale": {"RescaleSlope": None, "RescaleIntercept": None},
    "bad_rescale": {"RescaleSlope": 0},
    "rescale_not_hu": {"RescaleType": "Z_EFF"},
    "truncated_pixels": {"PixelData": bytes(2 * ROWS * COLUMNS - 2)},
    "repeated_positions": {"ImagePositionPatient": [-10.0, -20.0, -97.5]},
    "irregular_step": {"ImagePositionPatient": [-10.0, -20.0, -93.8]},
    "irregular_positions": {"ImagePositionPatient": [-10.5, -20.0, -95.0]},
    "no_frame_geometry": {"NumberOfFrames": 2, "PixelData": bytes(4 * ROWS * COLUMNS)},
    "not_grayscale": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PixelData": bytes(6 * ROWS * COLUMNS)},
}


@pytest.mark.parametrize("fault", SPOILED)
def test_one_spoiled_slice_refuses_the_series(tmp_path, judge, fault):
    files = [save(ct_slice(index), tmp_path / "tree" / str(index)) for index in range(5)]
    save(ct_slice(2, **SPOILED[fault]), files[2])
    table, _, _ = judge()
    assert len(table) == 1
    row = table.iloc[0]
    assert fault in row["faults"].split(";")
    assert (row["readable"], row["affine"]) == (0, "")
    with pytest.raises(GeometryError, match=fault):
        read_volume(row, root=tmp_path / "tree")
    with pytest.raises(GeometryError, match=fault):
        read_volume(files)


def test_missing_slices_are_counted(tmp_path, judge):
    for index in (0, 1, 2, 5, 6, 9):
        save(ct_slice(index), tmp_path / "tree" / str(index))
    row = judge()[0].iloc[0]
    assert (row["faults"], row["missing_slices"], row["step_min"], row["step_max"]) == ("missing_slices", 4, 2.5, 7.5)


def test_a_step_within_1_percent_or_a_tenth_of_a_mm_is_regular(tmp_path, judge):
    for index in range(5):
        shift = 0.09 if index == 2 else 0.0
        save(
            ct_slice(index, ImagePositionPatient=[-10, -20, -100 + 2.5 * index + shift]), tmp_path / "tree" / str(index)
        )
    assert judge()[0].iloc[0]["readable"] == 1


def test_localizer_inside_a_series_is_left_out(tmp_path, judge):
    ct_series(tmp_path / "tree")
    localizer = ct_slice(
        7, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1], Rows=3
    )
    save(localizer, tmp_path / "tree" / "scout")
    table, outcomes, _ = judge()
    row = table.iloc[0]
    assert (row["faults"], row["readable"], row["localizers"], outcomes["scout"]) == (
        "localizers_left_out", 1, 1, "localizer",
    )  # fmt: skip
    np.testing.assert_array_equal(read_volume(row, root=tmp_path / "tree").array, hounsfield())


def test_copies_are_left_out_but_conflicting_ones_refuse(tmp_path, judge):
    ct_series(tmp_path / "tree")
    save(ct_slice(1), tmp_path / "tree" / "zz-again")
    table, outcomes, _ = judge()
    row = table.iloc[0]
    assert (row["faults"], row["copies"], row["slices"], outcomes["zz-again"]) == ("copies_left_out", 1, 5, "copy")
    np.testing.assert_array_equal(read_volume(row, root=tmp_path / "tree").array, hounsfield())
    save(ct_slice(1, PixelSpacing=[1, 1]), tmp_path / "tree" / "zz-again")
    assert "conflicting_instances" in judge()[0].iloc[0]["faults"]


def test_single_slice_has_no_step(tmp_path, judge):
    save(ct_slice(0), tmp_path / "tree" / "a")
    assert judge()[0].iloc[0]["faults"] == "single_slice"


def test_gantry_tilt_shears_the_affine(tmp_path, judge):
    for index in range(5):
        position = [-10.0, -20.0 + 0.5 * index, -100 + 2.5 * index]
        save(ct_slice(index, ImagePositionPatient=position), tmp_path / "tree" / str(index))
    row = judge()[0].iloc[0]
    assert (row["faults"], row["readable"]) == ("gantry_tilt", 1)
    assert row["gantry_tilt_deg"] == pytest.approx(np.degrees(np.arctan2(0.5, 2.5)), abs=1e-4)
    affine = read_volume(row, root=tmp_path / "tree").affine
    np.testing.assert_allclose(affine @ [0, 0, 4, 1], [10, 18, -90, 1])


def test_flipped_and_oblique_slices_keep_their_place_in_the_world(tmp_path):
    """A voxel's world position is the same whatever the direction of rows, columns and stack."""
    turn = np.array([[0.6, -0.8, 0.0], [0.0, 0.0, -1.0]])  # rows oblique, columns downwards
    normal = np.cross(*turn)
    for index in range(4):
        position = (np.array([5.0, -7.0, 30.0]) - 2.5 * index * normal).tolist()
        changes = {"ImagePositionPatient": position, "ImageOrientationPatient": turn.ravel().tolist()}
        save(ct_slice(index, **changes), tmp_path / str(index))
    volume = read_volume(sorted(tmp_path.iterdir()))
    x, y, index = 3, 4, 1  # this voxel's LPS position by PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1
    lps = np.array([5.0, -7.0, 30.0]) - 2.5 * index * normal + turn[0] * 0.7 * x + turn[1] * 0.8 * y
    voxel = np.linalg.inv(volume.affine) @ [-lps[0], -lps[1], lps[2], 1]
    i, j, k = np.rint(voxel[:3]).astype(int)
    np.testing.assert_allclose(voxel[:3], [i, j, k], atol=1e-9)
    assert volume.array[i, j, k] == y * COLUMNS + x + 100 * index - 1024


def test_monochrome1_ct_keeps_its_hounsfield_units_and_says_so(tmp_path, judge):
    ct_series(tmp_path / "tree", PhotometricInterpretation="MONOCHROME1", BurnedInAnnotation="YES")
    row = judge()[0].iloc[0]
    assert (row["faults"], row["readable"], row["burned_in"]) == ("burned_in;monochrome1", 1, "YES")
    np.testing.assert_array_equal(read_volume(row, root=tmp_path / "tree").array, hounsfield())


def test_rescale_may_vary_by_slice(tmp_path, judge):
    for index in range(4):
        save(ct_slice(index, RescaleSlope=0.5 + index, RescaleIntercept=-index), tmp_path / "tree" / str(index))
    row = judge()[0].iloc[0]
    assert (row["faults"], row["rescale_uniform"]) == ("rescale_varies", 0)
    array = read_volume(row, root=tmp_path / "tree").array
    assert array.dtype == np.float32
    assert array[3, 2, 2] == (2 * COLUMNS + 3 + 200) * 2.5 - 2


def test_enhanced_multiframe(tmp_path, judge):
    path = save(enhanced_ct(), tmp_path / "tree" / "enhanced")
    row = judge()[0].iloc[0]
    assert (row["faults"], row["slices"], row["sop_class"]) == ("", 5, "enhanced-ct")
    volume = read_volume(row, root=tmp_path / "tree")
    np.testing.assert_array_equal(volume.array, hounsfield())
    np.testing.assert_allclose(volume.affine[:3, 3], [10, 20, -100])
    save(enhanced_ct(drop_position=True), path)
    assert "no_position" in judge()[0].iloc[0]["faults"]
    broken = enhanced_ct()
    broken.NumberOfFrames = 4
    save(broken, path)
    assert "frame_count" in judge()[0].iloc[0]["faults"]


def test_blank_series_uid_goes_by_folder(tmp_path, judge):
    for folder in ("one", "two"):
        ct_series(tmp_path / "tree" / folder, SeriesInstanceUID="", SOPInstanceUID="")
    table, _, _ = judge()
    assert table["faults"].tolist() == ["series_uid_missing"] * 2
    assert table["folder"].tolist() == ["one", "two"]
    np.testing.assert_array_equal(read_volume(table.iloc[1], root=tmp_path / "tree").array, hounsfield())


def test_two_series_in_one_folder_stay_two(tmp_path, judge):
    ct_series(tmp_path / "tree")
    for index in range(3):
        changes = {"SeriesInstanceUID": "1.2.3.4.11", "SOPInstanceUID": f"1.2.3.4.11.{index}"}
        save(ct_slice(index, **changes), tmp_path / "tree" / f"other{index}")
    table, _, _ = judge()
    assert table["slices"].tolist() == [5, 3]
    assert table["readable"].tolist() == [1, 1]
    with pytest.raises(GeometryError, match="several series"):
        read_volume(sorted((tmp_path / "tree").iterdir()))


def test_what_is_no_image_is_named(tmp_path, judge):
    tree = tmp_path / "tree"
    ct_series(tree)
    (tree / "empty.dcm").write_bytes(b"")
    (tree / "note.txt").write_text("hello")
    whole = save(ct_slice(3), tree / "whole").read_bytes()
    (tree / "whole").unlink()
    (tree / "cut.dcm").write_bytes(whole[:400])
    (tree / "broken-link").symlink_to(tree / "nowhere")
    (tree / "link").symlink_to(tree)
    plan = ct_slice(0, SOPClassUID=RTPlanStorage, Modality="RTPLAN", SeriesInstanceUID="1.2.3.4.30", PixelData=None)
    for name in ("Rows", "Columns"):
        delattr(plan, name)
    save(plan, tree / "plan")
    structures = Dataset()
    structures.update(plan)
    structures.file_meta = plan.file_meta
    structures.SOPClassUID, structures.Modality = RTStructureSetStorage, "RTSTRUCT"
    structures.SeriesInstanceUID, structures.SOPInstanceUID = "1.2.3.4.31", "1.2.3.4.31.1"
    reference, study, series = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = "1.2.3.4.10"
    study.RTReferencedSeriesSequence = [series]
    reference.RTReferencedStudySequence = [study]
    structures.ReferencedFrameOfReferenceSequence = [reference]
    save(structures, tree / "structures")
    table, outcomes, about = judge()
    assert {name: outcomes[name] for name in outcomes if not name.startswith("IM")} == {
        "empty.dcm": "empty",
        "note.txt": "not_dicom",
        "cut.dcm": "truncated_header",
        "broken-link": "unreadable",
        "link": "linked_folder",
        "plan": "object",
        "structures": "object",
    }
    assert table["kind"].tolist() == ["volume", "other", "structure_set"]
    assert table["referenced_series_uid"].tolist() == ["", "", "1.2.3.4.10"]
    assert about["counts"]["files"] == len(outcomes) == 12


def test_without_preamble_is_read_and_said(tmp_path, judge):
    for path in ct_series(tmp_path / "tree"):
        path.write_bytes(path.read_bytes()[132:])
    row = judge()[0].iloc[0]
    assert (row["faults"], row["readable"]) == ("no_preamble", 1)
    np.testing.assert_array_equal(read_volume(row, root=tmp_path / "tree").array, hounsfield())


def test_implicit_vr(tmp_path, judge):
    for index in range(5):
        save(implicit(ct_slice(index)), tmp_path / "tree" / str(index))
    row = judge()[0].iloc[0]
    assert row["transfer_syntax"] == "implicit-le"
    np.testing.assert_array_equal(read_volume(row, root=tmp_path / "tree").array, hounsfield())


def test_a_header_that_claims_huge_pixels_is_refused_without_memory(tmp_path, judge):
    for index in range(3):
        save(ct_slice(index, Rows=65535, Columns=65535), tmp_path / "tree" / str(index))
    assert "truncated_pixels" in judge()[0].iloc[0]["faults"]
