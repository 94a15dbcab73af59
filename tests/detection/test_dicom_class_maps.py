"""Segments of DICOM files as maps of classes, with the readers of files replaced by hand-made answers."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from la_medical.detection.dicom_masks import dicom_files, read_class_maps, read_segments, reference_masks, series_grid
from la_medical.errors import GeometryError, PredictionError
from la_medical.grid import Grid
from la_medical.labels import LabelSpace

SHAPE = (3, 2, 2)
GRID = Grid(SHAPE, np.eye(4))
SPACE = LabelSpace.load("pancreatic_ct")


def filled(*values, dtype=np.float32):
    array = np.zeros(SHAPE, dtype)
    array[: len(values), 0, 0] = values
    return array


def segmentation(classes, affine=None, notes=(), shape=SHAPE):
    """`classes`: name to map, numbered from 1."""
    numbers = dict(enumerate(classes, start=1))
    maps = dict(enumerate(classes.values(), start=1))
    return SimpleNamespace(
        grid=SimpleNamespace(shape=shape), affine=np.eye(4) if affine is None else affine, notes=list(notes), maps=maps,
        classes=lambda space: {n: name for n, name in numbers.items() if name in space.names},
    )  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files by name; what is asked of the reader is kept."""
    asked = []

    def of(**answers):
        for name in answers:
            (tmp_path / f"{name}.dcm").write_text(name)

        def read(file, onto=None):
            asked.append((file.name, onto if onto is None else (onto.shape, onto.affine.tolist())))
            answer = answers[file.stem]
            if callable(answer):
                answer = answer(onto)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("la_medical.dicom.segmentation.read_segmentation", read)
        return tmp_path

    of.asked = asked
    return of


def test_maps_of_classes_of_one_file(files):
    folder = files(a=segmentation({"pdac": filled(1), "bone": filled(1, 1)}, notes=["odd"]))
    grid, maps, digests, notes = read_class_maps(folder / "a.dcm", SPACE, None)
    assert grid.difference(GRID) is None
    assert {name: one.tolist() for name, one in maps.items()} == {"pdac": filled(1).tolist()}
    assert (list(digests), notes) == (["a.dcm"], ["a.dcm: odd"])
    assert files.asked == [("a.dcm", None)]


def test_the_largest_of_several_files_and_all_their_notes(files):
    folder = files(
        a=segmentation({"pdac": filled(0.25, 1, 0.5)}, notes=["one", "two"]),
        b=segmentation({"cyst": filled(0.75), "pdac": filled(0.5, 0, 0.25)}, notes=["three"]),
    )
    _, maps, digests, notes = read_class_maps(folder, SPACE, None)
    assert maps["pdac"][:, 0, 0].tolist() == [0.5, 1, 0.5]
    assert maps["cyst"][:, 0, 0].tolist() == [0.75, 0, 0]
    assert (list(digests), notes) == (["a.dcm", "b.dcm"], ["a.dcm: one", "a.dcm: two", "b.dcm: three"])
    assert len(set(digests.values())) == 2


MOVED = np.diag([1.0, 1.0, 2.0, 1.0])


def test_files_of_different_geometry_are_refused(files):
    folder = files(a=segmentation({"pdac": filled(1)}), b=segmentation({"cyst": filled(1)}, affine=MOVED))
    with pytest.raises(GeometryError) as caught:
        read_class_maps(folder, SPACE, None)
    difference = GRID.difference(Grid(SHAPE, MOVED))
    said = f"{folder / 'b.dcm'}: another geometry than the segmentations beside it: {difference}"
    assert str(caught.value) == said


def test_a_file_without_classes_has_no_geometry_that_counts(files):
    folder = files(a=segmentation({"bone": filled(1)}), b=segmentation({"cyst": filled(1)}, affine=MOVED))
    grid, maps, _, _ = read_class_maps(folder, SPACE, None)
    assert (grid.difference(Grid(SHAPE, MOVED)), list(maps)) == (None, ["cyst"])


def test_segments_are_read_onto_the_image_where_they_can_be(files):
    folder = files(a=segmentation({"pdac": filled(1)}))
    read_class_maps(folder, SPACE, GRID)
    assert files.asked == [("a.dcm", (SHAPE, np.eye(4).tolist()))]


def test_segments_of_another_grid_stay_in_their_own(files):
    def read(onto):
        return GeometryError("does not fit") if onto else segmentation({"pdac": filled(1)}, affine=MOVED)

    grid, _, _, _ = read_class_maps(files(a=read), SPACE, GRID)
    assert grid.difference(Grid(SHAPE, MOVED)) is None
    assert [onto is None for _, onto in files.asked] == [False, True]


def test_contours_that_fit_no_grid_say_what_was_wrong_with_the_first(files):
    def read(onto):
        return GeometryError("does not fit" if onto else "has no grid")

    with pytest.raises(GeometryError, match=r"^does not fit$"):
        read_class_maps(files(a=read), SPACE, GRID)


def test_an_empty_folder_has_the_grid_of_the_image_or_none(tmp_path):
    grid, maps, digests, notes = read_class_maps(tmp_path, SPACE, GRID)
    assert grid is GRID
    assert (maps, digests, notes) == ({}, {}, [])
    with pytest.raises(GeometryError) as caught:
        read_class_maps(tmp_path, SPACE, None)
    assert str(caught.value) == f"{tmp_path}: no segmentation in it"


def test_predicted_segments(files):
    digests = {}
    folder = files(a=segmentation({"pdac": filled(0.25), "bone": filled(1)}))
    found = dict(read_segments(folder, ["cyst", "pdac"], SPACE, GRID, digests))
    assert list(found) == ["cyst", "pdac"]
    assert found["pdac"].probabilities()[:, 0, 0].tolist() == [0.25, 0, 0]
    assert (found["cyst"].raw.dtype, found["cyst"].levels, found["cyst"].raw.any()) == (np.uint8, 1, np.False_)
    for one in found.values():
        assert one.raw.flags.f_contiguous
        assert one.grid.difference(GRID) is None
    assert list(digests) == ["a.dcm"]


def test_predicted_segments_that_are_of_no_use(files):
    folder = files(a=segmentation({"bone": filled(1)}))
    with pytest.raises(PredictionError) as caught:
        list(read_segments(folder, ["pdac"], SPACE, None, {}))
    assert str(caught.value) == f"{folder}: none of its segments is a class of label space pancreatic_ct"
    folder = files(a=segmentation({"pdac": filled(2.0)}))
    with pytest.raises(PredictionError, match=rf"^{folder} \(pdac\): values from 0 to 2 where"):
        list(read_segments(folder, ["pdac"], SPACE, None, {}))


def test_masks_of_references_hold_half_and_more_and_members_of_unions():
    maps = {"pdac": filled(0.5, 0.49, 0), "cyst": filled(0, 0, 1), "tumour": filled(0, 0.75, 0)}
    unions = {"tumour": ("pdac", "cyst"), "kidney": ("kidney_left",)}
    found = reference_masks(maps, ["pdac", "tumour", "kidney", "liver"], unions)
    assert {name: mask[:, 0, 0].tolist() for name, mask in found.items()} == {
        "pdac": [True, False, False], "tumour": [True, True, True],
    }  # fmt: skip
    assert all(mask.flags.f_contiguous and mask.dtype == bool for mask in found.values())


def test_files_of_a_folder_in_order_of_name(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).touch()
    (tmp_path / "0").mkdir()
    assert dicom_files(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert dicom_files(tmp_path / "b") == [tmp_path / "b"]


def stack(*, readable=True, geometry="affine", slices=1, faults=()):
    made = {"affine": SimpleNamespace(affine=np.eye(4)), "none": SimpleNamespace(affine=None)}.get(geometry)
    common = {"columns": 5.0, "rows": 4.0}
    return SimpleNamespace(
        readable=readable, geometry=made, faults=list(faults), kind="localiser",
        slices=[SimpleNamespace(common=common)] * slices,
    )  # fmt: skip


def test_grid_of_a_series(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("la_medical.dicom.volume.series_stack", lambda files: asked.append(files) or stack(slices=3))
    (tmp_path / "1.dcm").touch()
    grid = series_grid(tmp_path)
    assert (grid.shape, grid.affine.tolist()) == ((5, 4, 3), np.eye(4).tolist())
    assert asked == [[tmp_path / "1.dcm"]]
    monkeypatch.setattr("la_medical.dicom.volume.series_stack", lambda files: stack())
    assert series_grid(tmp_path).shape == (5, 4, 1)


@pytest.mark.parametrize("wrong", [{"readable": False}, {"geometry": "no"}, {"geometry": "none"}])
def test_a_series_without_a_volume(tmp_path, monkeypatch, wrong):
    monkeypatch.setattr("la_medical.dicom.volume.series_stack", lambda files: stack(**wrong))
    with pytest.raises(GeometryError) as caught:
        series_grid(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no volume can be made of this series (localiser)"
    monkeypatch.setattr("la_medical.dicom.faults.explain", lambda faults: "a gap")
    with pytest.raises(GeometryError, match=r"\(a gap\)$"):
        series_grid(tmp_path)


def test_warnings_of_readers_are_not_passed_on(tmp_path, monkeypatch):
    def warn(files):
        warnings.warn("odd value", stacklevel=1)
        return stack()

    monkeypatch.setattr("la_medical.dicom.volume.series_stack", warn)
    assert series_grid(tmp_path).shape == (5, 4, 1)
