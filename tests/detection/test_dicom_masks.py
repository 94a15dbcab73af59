"""DICOM SEG as reference and as a vendor's prediction, on a CT series written here."""

import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from la_medical.detection.plan import detect_manifest
from la_medical.detection.tables import read_candidates
from la_medical.dicom.segmentation import write_seg
from la_medical.errors import PredictionError
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
