"""DICOM SEG as reference and as a vendor's prediction, on a CT series written here."""

import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from la_medical.detection.plan import detect_manifest
from la_medical.detection.tables import read_candidates
from la_medical.dicom.segmentation import write_seg
from la_medical.errors import GeometryError, PredictionError
from la_medical.labels import LabelSpace

SHAPE = (16, 14, 8)
LESION = np.s_[3:9, 4:10, 2:5]
MANIFEST = "case_id,image,mask,split,label.pdac,label.cyst\n"


@pytest.fixture
def series(tmp_path):
    """One CT series, 0.8 x 0.8 x 2.5 mm; returns its files in order of position."""
    study, series_uid, frame = generate_uid(), generate_uid(), generate_uid()
    (tmp_path / "ct").mkdir()
    files = []
    for number in range(SHAPE[2]):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series_uid, frame
        dataset.Modality, dataset.PatientID, dataset.PatientName = "CT", "p1", "x"
        dataset.StudyDate = dataset.StudyTime = dataset.PatientBirthDate = dataset.PatientSex = ""
        dataset.AccessionNumber = dataset.StudyID = dataset.ReferringPhysicianName = dataset.Manufacturer = ""
        dataset.SeriesNumber, dataset.InstanceNumber = 1, number + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.Rows, dataset.Columns = SHAPE[1], SHAPE[0]
        dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.8], 2.5
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-10, -20, 30 + 2.5 * number]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = np.zeros((SHAPE[1], SHAPE[0]), np.int16).tobytes()
        path = tmp_path / "ct" / f"{number:02d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


def write(path, files, **maps):
    """A SEG of boxes of the given values."""
    volumes = {}
    for name, value in maps.items():
        volumes[name] = np.zeros(SHAPE, np.float32)
        volumes[name][LESION] = value
    path.parent.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom warns of the empty names of this series
        write_seg(path, volumes, source=files, space=LabelSpace.load("pancreatic_ct"))


def test_a_vendors_seg_against_a_drawn_seg(series, tmp_path):
    write(tmp_path / "seg" / "ref.dcm", series, pdac=1.0)
    write(tmp_path / "pred" / "c1.dcm", series, pdac=0.8)
    (tmp_path / "m.csv").write_text(MANIFEST + "c1,ct,seg/ref.dcm,test,1,0\n")
    detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "out", workers=1)
    folder = read_candidates(tmp_path / "out")
    (lesion,) = folder.lesions.to_dict("records")
    assert (lesion["found"], lesion["iou"]) == (True, 1)
    assert lesion["volume_mm3"] == pytest.approx(6 * 6 * 3 * 0.8 * 0.8 * 2.5)
    assert lesion["confidence"] == pytest.approx(0.8, abs=1 / 255)
    # centre of voxels 3..8, 4..9, 2..4 in LPS: -10 + 0.8 x 5.5, -20 + 0.8 x 6.5, 30 + 2.5 x 3; world is RAS
    assert (lesion["x"], lesion["y"], lesion["z"]) == pytest.approx((5.6, 14.8, 37.5))
    assert folder.patients["score.cyst"].tolist() == [0]  # a class without a segment is nowhere


def test_a_pathology_table_alone_is_patient_level_only(series, tmp_path):
    write(tmp_path / "pred" / "c1.dcm", series, pdac=0.8)
    (tmp_path / "m.csv").write_text(MANIFEST + "c1,ct,,test,1,0\n")
    detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "out", workers=1)
    folder = read_candidates(tmp_path / "out")
    assert folder.patients["score.pdac"].iloc[0] == pytest.approx(0.8, abs=1 / 255)
    assert folder.lesions.empty
    assert folder.candidates["outcome"].tolist() == [""]


def test_a_seg_of_other_things_is_no_prediction(series, tmp_path):
    other = tmp_path / "pred" / "c1.dcm"
    write(other, series, liver=1.0)
    dataset = pydicom.dcmread(other)
    dataset.SegmentSequence[0].SegmentLabel = "knee"
    del dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    dataset.save_as(other)
    (tmp_path / "m.csv").write_text(MANIFEST + "c1,ct,,test,1,0\n")
    with pytest.raises(PredictionError, match="none of its segments"):
        detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "out", workers=1)


def test_a_fractional_seg_answers_for_the_union_and_a_reference_too(series, tmp_path):
    """Fractions of PDAC beside segments that are not there, and a reference that outlines PDAC, not "tumour"."""
    write(tmp_path / "seg" / "ref.dcm", series, pdac=1.0)
    write(tmp_path / "pred" / "c1.dcm", series, pdac=0.8)
    head = "case_id,image,mask,split,label.pdac,label.cyst,label.tumour\n"
    (tmp_path / "m.csv").write_text(head + "c1,ct,seg/ref.dcm,test,1,0,1\n")
    detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "out", workers=1)
    folder = read_candidates(tmp_path / "out")
    assert folder.protocol["reference_problems"] == {}
    found = folder.lesions.set_index("class")
    assert found["found"].to_dict() == {"pdac": True, "tumour": True}
    assert found["confidence"].tolist() == pytest.approx([0.8, 0.8], abs=1 / 255)


def test_a_binary_seg_is_a_hard_mask(series, tmp_path):
    write(tmp_path / "seg" / "ref.dcm", series, pdac=1.0)
    volume = np.zeros(SHAPE, np.float32)
    volume[LESION] = 0.8
    (tmp_path / "pred").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_seg(tmp_path / "pred" / "c1.dcm", {"pdac": volume}, source=series, kind="binary",
                  space=LabelSpace.load("pancreatic_ct"))  # fmt: skip
    (tmp_path / "m.csv").write_text(MANIFEST + "c1,ct,seg/ref.dcm,test,1,0\n")
    detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "out", workers=1)
    folder = read_candidates(tmp_path / "out")
    assert folder.candidates["confidence"].tolist() == [1]
    assert folder.lesions["iou"].tolist() == [1]


def structure_set(path, contours):
    """An RTSTRUCT whose region `PDAC` has these contours, each a list of LPS points in mm."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = RTStructureSetStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid()
    region, drawn = pydicom.Dataset(), pydicom.Dataset()
    region.ROINumber, region.ROIName, drawn.ReferencedROINumber = 1, "PDAC", 1
    items = []
    for points in contours:
        contour = pydicom.Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
        contour.ContourData = [float(value) for point in points for value in point]
        items.append(contour)
    drawn.ContourSequence = items
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [region], [drawn]
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def outline(z):
    """Half a voxel around columns 3..8 and rows 4..9 of `LESION`, in LPS mm."""
    corners = [(2.5, 3.5), (8.5, 3.5), (8.5, 9.5), (2.5, 9.5)]
    return [(-10 + 0.8 * i, -20 + 0.8 * j, z) for i, j in corners]


def test_a_reference_of_contours(series, tmp_path):
    """RTSTRUCT: contours on slices 2..4 are the lesion; one outside the series is told, not lost."""
    structure_set(tmp_path / "rt" / "c1.dcm", [outline(30 + 2.5 * number) for number in (2, 3, 4)] + [outline(500)])
    write(tmp_path / "pred" / "c1.dcm", series, pdac=0.8)
    (tmp_path / "m.csv").write_text(MANIFEST + "c1,ct,rt/c1.dcm,test,1,0\n")
    detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "out", workers=1)
    folder = read_candidates(tmp_path / "out")
    (lesion,) = folder.lesions.to_dict("records")
    assert (lesion["voxels"], lesion["iou"], lesion["found"]) == (6 * 6 * 3, 1, True)
    assert lesion["volume_mm3"] == pytest.approx(6 * 6 * 3 * 0.8 * 0.8 * 2.5)
    assert (lesion["x"], lesion["y"], lesion["z"]) == pytest.approx((5.6, 14.8, 37.5))
    assert "1 contours lie outside the volume" in folder.protocol["reference_problems"]["c1"]


def test_contours_of_another_patient_are_an_error_that_says_so(series, tmp_path):
    structure_set(tmp_path / "rt" / "c1.dcm", [outline(500)])
    write(tmp_path / "pred" / "c1.dcm", series, pdac=0.8)
    (tmp_path / "m.csv").write_text(MANIFEST + "c1,ct,rt/c1.dcm,test,1,0\n")
    with pytest.raises(GeometryError, match="outside the reference"):
        detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "out", workers=1)
