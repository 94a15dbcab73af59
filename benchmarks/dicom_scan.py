"""Reading DICOM headers: CPU seconds and memory of the scan, pydicom and SimpleITK on the same tree, in one run.

Writes 3,000 CT slices (ten series of 300), nested and flat, with the attributes and private blocks that scanners
write, then prints CPU seconds and ratios, like for like: the scan (headers, journal, judging, tables) against pydicom's
bare reading in this process, and both again in a process of their own with its start. Says whether the tables agree,
and the peak memory of scans of 3,000 and 30,000 files. `python benchmarks/dicom_scan.py [--files N] [--skip-memory]`
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from la_medical.dicom.headers import read_header
from la_medical.dicom.tags import NUMBERS, PRESENCE, SHORT, WANTED
from la_medical.dicom.values import common_raw, common_values, per_file_raw, per_file_values

SLICES_A_SERIES = 300
SIDE = 64


def make_slice(series: int, index: int) -> Dataset:
    """A CT slice with 90 elements, three sequences and two private blocks."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if series % 2 else ImplicitVRLittleEndian
    d.SpecificCharacterSet = "ISO_IR 100"
    d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, f"1.2.826.0.1.3680043.9.1.{series}.{index}"
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(d, f"{name}Date", "20200131")
        setattr(d, f"{name}Time", f"1012{index % 60:02d}.123000")
    d.AccessionNumber, d.Modality, d.Manufacturer = "A123456", "CT", "SIEMENS"
    d.InstitutionName, d.ReferringPhysicianName, d.StationName = "Hospital", "", "CT01"
    d.StudyDescription, d.SeriesDescription = "Abdomen CT", "Abdomen portal venous 1.0 Br40"
    d.ManufacturerModelName, d.PatientName, d.PatientID = "Scanner 64", f"Patient^{series}", f"P{series:05d}"
    d.PatientBirthDate, d.PatientSex, d.PatientAge, d.PatientWeight = "19570101", "F", "063Y", 70
    d.ContrastBolusAgent, d.BodyPartExamined, d.ScanOptions = "Iomeprol", "ABDOMEN", "HELICAL"
    d.SliceThickness, d.KVP, d.DataCollectionDiameter, d.DeviceSerialNumber = 1, 120, 500, "1234"
    d.SoftwareVersions, d.ProtocolName, d.ReconstructionDiameter = "VG80B", "Abdomen_PV", 400
    d.DistanceSourceToDetector, d.DistanceSourceToPatient, d.GantryDetectorTilt = 1085.6, 595, 0
    d.TableHeight, d.RotationDirection, d.ExposureTime, d.XRayTubeCurrent = 150, "CW", 500, 200 + index
    d.Exposure, d.FilterType, d.GeneratorPower, d.FocalSpots = 100, "FLAT", 50, 1.2
    d.ConvolutionKernel, d.PatientPosition, d.ContrastBolusStartTime = ["Br40", "3"], "HFS", "101100.0"
    d.SingleCollimationWidth, d.TotalCollimationWidth, d.SpiralPitchFactor, d.CTDIvol = 0.6, 38.4, 0.8, 10.5
    d.StudyInstanceUID = f"1.2.826.0.1.3680043.9.2.{series}"
    d.SeriesInstanceUID = f"1.2.826.0.1.3680043.9.3.{series}"
    d.StudyID, d.SeriesNumber, d.AcquisitionNumber, d.InstanceNumber = "1", 3, 1, index + 1
    d.ImagePositionPatient, d.ImageOrientationPatient = [-200, -200, -300 + index], [1, 0, 0, 0, 1, 0]
    d.FrameOfReferenceUID, d.SliceLocation = f"1.2.826.0.1.3680043.9.4.{series}", -300 + index
    d.SamplesPerPixel, d.PhotometricInterpretation, d.Rows, d.Columns = 1, "MONOCHROME2", SIDE, SIDE
    d.PixelSpacing, d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = [0.8, 0.8], 16, 12, 11, 0
    d.WindowCenter, d.WindowWidth, d.RescaleIntercept, d.RescaleSlope, d.RescaleType = 40, 400, -1024, 1, "HU"
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113691", "DCM", "IEC Body Dosimetry Phantom"
    for name in ("ProcedureCodeSequence", "CTDIPhantomTypeCodeSequence", "RequestAttributesSequence"):
        setattr(d, name, Sequence([item]))
    for group in (0x0019, 0x0029):
        block = d.private_block(group, "MAKER PRIVATE", create=True)
        for element in range(6):
            block.add_new(element, "LO", f"value {element}")
    d.PixelData = np.full((SIDE, SIDE), index % 4096, np.uint16).tobytes()
    d["PixelData"].VR = "OW"
    return d


def write_tree(root: Path, files: int, *, nested: bool) -> list[str]:
    """Write `files` slices; returns their paths."""
    paths = []
    for number in range(files):
        series, index = divmod(number, SLICES_A_SERIES)
        folder = root / f"patient{series % 7}" / f"study{series}" / "ct" if nested else root
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{series:03d}_{index:04d}.dcm"
        make_slice(series, index).save_as(path, enforce_file_format=True)
        paths.append(str(path))
    return paths


def write_copies(root: Path, paths: list[str], times: int) -> None:
    """Copies of every file below `root`, each round with study, series, frame and instance UIDs of its own."""
    for path in paths:
        content = Path(path).read_bytes()
        for round_ in range(times):
            folder = root / f"copy{round_}" / Path(path).parent.name
            folder.mkdir(parents=True, exist_ok=True)
            changed = content.replace(b"1.2.826.0.1.3680043.9.", b"1.2.826.0.1.368004%d.9." % round_)
            (folder / Path(path).name).write_bytes(changed)


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of `work`, user and system, best of two (the first warms the page cache), and its answer."""
    best, answer = float("inf"), None
    for _ in range(2):
        started = time.process_time()
        answer = work()
        best = min(best, time.process_time() - started)
    return best, answer


def with_us(paths: list[str]) -> list[dict[str, Any]]:
    found = []
    known: dict[Any, dict[str, Any]] = {}
    for path in paths:
        header = read_header(path)
        raw = common_raw(header)  # type: ignore[arg-type]
        common = known.get(raw)
        if common is None:
            common = known[raw] = common_values(raw)
        found.append({**common, **per_file_values(per_file_raw(header))})  # type: ignore[arg-type]
    return found


def with_pydicom(paths: list[str]) -> list[Dataset]:
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]


def as_values(dataset: Dataset) -> dict[str, Any]:
    """The same table row from pydicom's data set."""
    row: dict[str, Any] = {}
    for tag, (name, kind) in WANTED.items():
        value = dataset[tag].value if tag in dataset else None
        many = list(value) if isinstance(value, pydicom.multival.MultiValue) else [value]
        if kind == PRESENCE:
            row[name] = "1" if tag in dataset else ""
        elif kind == SHORT:
            row[name] = None if value is None else int(value)
        elif kind == NUMBERS:
            row[name] = None if value is None else tuple(float(part) for part in many)
        else:
            row[name] = "" if value is None else "\\".join(str(part) for part in many)
    return row


def with_simpleitk(paths: list[str]) -> int:
    """GDCM's series finder on every folder, then the names of each series: what SimpleITK users call."""
    import SimpleITK

    count = 0
    for folder in sorted({str(Path(path).parent) for path in paths}):
        for uid in SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(folder):
            count += len(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(folder, uid))
    return count


def in_process(code: str) -> dict[str, float]:
    """CPU seconds and peak memory (MiB) of a Python process that runs `code`, its start included; the better of two."""
    told = (
        "import resource, json; u = resource.getrusage(resource.RUSAGE_SELF);"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'));"  # ru_maxrss is inherited
        "print(json.dumps({'cpu': u.ru_utime + u.ru_stime, 'mib': int(peak.split()[1]) / 1024}))"
    )
    found = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", f"{code};{told}"], check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return min(found, key=lambda one: one["cpu"])


def scan_command(root: Path, folder: Path) -> str:
    """Code of `la-medical scan` of `root` with one process, each time to a new place below `folder`."""
    out = f"{str(folder)!r} + '/' + str(os.getpid()) + '/s.csv'"
    arguments = f"['scan', {str(root)!r}, '--out', {out}, '--workers', '1']"
    return f"import os; from la_medical.cli.main import main; main({arguments})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--skip-memory", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for nested in (True, False):
            root = folder / ("nested" if nested else "flat")
            paths = write_tree(root, arguments.files, nested=nested)
            small = report(root, paths, folder)
        if not arguments.skip_memory:
            large = folder / "large"
            write_copies(large, paths, 10)
            grown = in_process(scan_command(large, folder / "grown"))
            print(
                f"peak memory: {small['mib']:.0f} MiB at {arguments.files} files, {grown['mib']:.0f} MiB at ten times; "
                f"scan with start at ten times {grown['cpu']:.3f} CPU s"
            )


def report(root: Path, paths: list[str], folder: Path) -> dict[str, float]:
    """Measure one tree, print, and return what the command took."""
    from la_medical.dicom.scan import scan

    ours, rows = cpu_seconds(lambda: with_us(paths))
    theirs, datasets = cpu_seconds(lambda: with_pydicom(paths))
    itk, found = cpu_seconds(lambda: with_simpleitk(paths))
    same = [as_values(dataset) for dataset in datasets] == rows
    places = iter(folder / f"{root.name}-{number}" / "s.csv" for number in range(2))
    scanned, _ = cpu_seconds(lambda: scan(root, next(places), workers=1))
    command = in_process(scan_command(root, folder / f"{root.name}-command"))
    reading = in_process(
        f"import pathlib, pydicom; [pydicom.dcmread(p, stop_before_pixels=True) "
        f"for p in pathlib.Path({str(root)!r}).rglob('*.dcm')]"
    )
    count = len(paths)
    print(f"{root.name}, {count} files, CPU seconds:")
    print(f"  pydicom stop_before_pixels        {theirs:7.3f}   {1e6 * theirs / count:6.1f} us a file")
    print(f"  headers and values alone          {ours:7.3f}   pydicom {theirs / ours:5.1f} times as much; same: {same}")
    print(f"  the scan, tables written          {scanned:7.3f}   pydicom {theirs / scanned:5.1f} times as much")
    print(f"  SimpleITK series finder           {itk:7.3f}   {itk / scanned:5.1f} times the scan; {found} files found")
    print(
        f"  with start of Python: scan {command['cpu']:.3f}, pydicom {reading['cpu']:.3f}, "
        f"{reading['cpu'] / command['cpu']:.1f} times as much"
    )
    return command


if __name__ == "__main__":
    main()
