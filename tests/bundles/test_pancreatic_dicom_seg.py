"""DICOM in, DICOM SEG out, through the bundle's command: valid by dciodvfy, and read by highdicom and SimpleITK."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pandas as pd
import pytest
import SimpleITK

from la_medical.phantoms.hospital import write_hospital
from tests.bundles.pancreatic_runs import run_bundle, write_data

pytestmark = [pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning"), pytest.mark.slow]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained checkpoint's answers to two DICOM series: `fractional` and `binary` folders, and `series`."""
    folder = tmp_path_factory.mktemp("dicom")
    write_hospital(folder / "hospital", patients=2, seed=3, segmented=0.0, spacing=(4, 4, 6), prevalence={"pdac": 1.0})
    series = sorted({path.parent for path in (folder / "hospital").rglob("IM*")})
    table = pd.DataFrame({"case_id": ["a", "b"], "image": [str(path.relative_to(folder)) for path in series]})
    table.to_csv(folder / "archive.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        assert run_bundle(patch, ["train"], write_data(folder / "data"), folder / "run") == 0
        for form, more in (("fractional", []), ("binary", ["--seg_threshold=0.5"])):
            more += [f"--checkpoint={folder / 'run' / 'model.pt'}", "--prediction_form=dicom_seg"]
            assert run_bundle(patch, ["inference"], folder / "archive.csv", folder / form, *more) == 0
    return {form: folder / form / "predictions" for form in ("fractional", "binary")} | {"series": series[0]}


@pytest.mark.parametrize("form", ["fractional", "binary"])
def test_dciodvfy_finds_no_error(answered: dict[str, Path], form: str) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy here: apt-get install dicom3tools")
    files = sorted(answered[form].glob("*.dcm"))
    assert [file.name for file in files] == ["a.dcm", "b.dcm"]
    for file in files:
        said = subprocess.run([program, file], capture_output=True, text=True, check=False).stderr
        assert said.split("\n")[0] == "Segmentation"
        assert "Error" not in said, said


def test_highdicom_reads_segments_with_their_coded_terms(answered: dict[str, Path]) -> None:
    found = highdicom.seg.segread(answered["fractional"] / "a.dcm")
    kinds = {item.segmented_property_type.value for item in found.SegmentSequence}
    assert kinds == {"700423003", "108369006", "15776009"}  # pdac, tumour, pancreas in SNOMED CT
    assert found.segmentation_type == highdicom.seg.SegmentationTypeValues.FRACTIONAL
    sources = {item.ReferencedSOPInstanceUID for part in found.ReferencedSeriesSequence for item in
               part.ReferencedInstanceSequence}  # fmt: skip
    assert len(sources) == len(list(answered["series"].iterdir()))


def test_simpleitk_sees_frames_of_the_series_slices(answered: dict[str, Path]) -> None:
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(answered["series"]))
    image = SimpleITK.ReadImage(names)
    frames = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(answered["fractional"] / "a.dcm")))
    assert frames.shape[1:] == SimpleITK.GetArrayFromImage(image).shape[1:]
    assert np.issubdtype(frames.dtype, np.unsignedinteger)
    assert 0 < frames.max() <= 255
