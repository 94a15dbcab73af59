"""Every form that predictions come in: how it is told, what is read of a case, and what is refused."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest

from la_medical.artifacts import sha256_of
from la_medical.detection import dicom_masks, prediction_files
from la_medical.detection.prediction_files import Predictions, open_predictions
from la_medical.detection.volumes import ProbabilityMap, open_volume, write_prediction
from la_medical.errors import PredictionError
from la_medical.grid import Grid
from la_medical.labels import LabelClass, LabelSpace

SHAPE = (4, 3, 2)
AFFINE = np.diag([0.5, 1.0, 2.0, 1.0])
GRID = Grid(SHAPE, AFFINE)
SPACE = LabelSpace(
    "own",
    (
        LabelClass("pdac", synonyms=("PDAC", "cancer")),
        LabelClass("cyst"),
        LabelClass("net", synonyms=("PNET",)),
        LabelClass("tumour", union_of=("pdac", "cyst")),
    ),
)
TUMOUR = {"tumour": ("pdac", "cyst")}


def save(path, values, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(values, dtype), AFFINE), path)
    return path


def filled(*values, dtype=np.uint8):
    """A volume whose first voxels hold these values."""
    array = np.zeros(SHAPE, dtype, order="F")
    array.ravel(order="K")[: len(values)] = values
    return array


def read(predictions, case, wanted, onto=None):
    digests = {}
    maps = dict(predictions.maps(case, wanted, digests, space=SPACE, onto=onto))
    return {name: one.probabilities().ravel(order="F")[:4].tolist() for name, one in maps.items()}, digests, maps


def refusal(call, *arguments, **options):
    with pytest.raises(PredictionError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_a_table_of_scores(tmp_path):
    frame = pd.DataFrame({"case_id": ["a"], "prob.PDAC": [0.5], "prob.cyst": [0.75]})
    frame.to_parquet(tmp_path / "s.parquet")
    frame.to_csv(tmp_path / "s.csv", index=False)
    for name in ("s.csv", "s.parquet"):
        found = open_predictions(str(tmp_path / name), single=True)
        assert found == Predictions(tmp_path / name, "scores", ("PDAC", "cyst"), {}, {"a": {"PDAC": 0.5, "cyst": 0.75}})
        assert found.source("a") == tmp_path / name
        assert found.source("b") is None
        spelled = found.spelled(SPACE)
        assert spelled.table == {"a": {"pdac": 0.5, "cyst": 0.75, "tumour": 0.75}}
        assert (spelled.channels, spelled.unions, spelled.offered) == (
            ("pdac", "cyst"), TUMOUR, ("pdac", "cyst", "tumour"),
        )  # fmt: skip


@pytest.mark.parametrize("single", [False, True])
def test_files_with_a_channel_a_class(tmp_path, single):
    probabilities = np.zeros((3, *SHAPE))
    probabilities[0, 0, 0, 0], probabilities[1, 1, 0, 0], probabilities[2, 2, 0, 0] = 0.2, 0.4, 1.0
    write_prediction(tmp_path / "a.nii.gz", probabilities, AFFINE, ["PNET", "cancer", "cyst"])
    found = open_predictions(tmp_path, single=single)
    assert found == Predictions(tmp_path, "channels", ("PNET", "cancer", "cyst"), {}, {}, single)
    assert (found.source("a"), found.source("b")) == (tmp_path / "a.nii.gz", None)
    spelled = found.spelled(SPACE)
    assert spelled == Predictions(tmp_path, "channels", ("net", "pdac", "cyst"), {}, {}, single, TUMOUR)
    values, digests, maps = read(spelled, "a", ["tumour", "pdac"])
    kind = np.float32 if single else np.float64
    low, high = float(kind(np.rint(0.4 * 65535) / 65535)), 1.0
    assert values == {"pdac": [0, low, 0, 0], "tumour": [0, low, high, 0]}
    assert digests == {"a.nii.gz": sha256_of(tmp_path / "a.nii.gz")}
    assert (maps["pdac"].levels, maps["pdac"].single, maps["pdac"].grid.shape) == (65535, single, SHAPE)
    assert maps["pdac"].grid.difference(GRID) is None
    assert refusal(read, spelled, "b", ["pdac"]) == f"b: no prediction in {tmp_path}"


def test_later_channels_are_not_read(tmp_path, monkeypatch):
    write_prediction(tmp_path / "a.nii", np.zeros((3, *SHAPE)), AFFINE, ["pdac", "cyst", "net"])
    asked = []

    def opened(path, *, count):
        asked.append(count)
        return open_volume(path, count=count)

    monkeypatch.setattr(prediction_files, "open_volume", opened)
    for wanted in (["pdac"], ["cyst", "pdac"], ["net"]):
        assert list(read(open_predictions(tmp_path), "a", wanted)[0]) == sorted(wanted, reverse=True)
    assert asked == [1, 2, 3]


def test_channels_must_be_as_many_as_are_named(tmp_path):
    write_prediction(tmp_path / "a.nii.gz", np.zeros((2, *SHAPE)), AFFINE, ["pdac", "cyst"])
    (tmp_path / "labels.json").write_text('{"channels": ["pdac", "cyst", "net"]}')
    assert refusal(read, open_predictions(tmp_path), "a", ["pdac"]) == (
        f"{tmp_path / 'a.nii.gz'}: 2 channels, labels.json names 3 (pdac, cyst, net); they must agree"
    )
    save(tmp_path / "b.nii.gz", filled(1))
    assert "b.nii.gz: 1 channels, labels.json names 3" in refusal(read, open_predictions(tmp_path), "b", ["pdac"])


def test_a_3d_file_of_the_one_channel_that_is_named(tmp_path):
    save(tmp_path / "a.nii.gz", filled(0, 0.25, dtype=np.float32), np.float32)
    (tmp_path / "labels.json").write_text('{"channels": ["pdac"]}')
    assert read(open_predictions(tmp_path), "a", ["pdac"])[0] == {"pdac": [0, 0.25, 0, 0]}


def test_values_of_a_channel_that_are_no_probabilities_name_file_and_class(tmp_path):
    save(tmp_path / "a.nii.gz", filled(3.0, dtype=np.float32), np.float32)
    (tmp_path / "labels.json").write_text('{"channels": ["pdac"]}')
    said = refusal(read, open_predictions(tmp_path), "a", ["pdac"])
    assert said.startswith(f"{tmp_path / 'a.nii.gz'} (pdac): values from 0 to 3 where probabilities 0 to 1")


@pytest.mark.parametrize("single", [False, True])
def test_a_folder_a_case_with_a_map_a_class(tmp_path, single):
    save(tmp_path / "a" / "pdac.nii.gz", filled(0, 0.25, dtype=np.float32), np.float32)
    save(tmp_path / "a" / "cyst.nii", filled(1))
    save(tmp_path / "b" / "net.nii.gz", filled(1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "notes.txt").touch()
    found = open_predictions(tmp_path, single=single)
    assert found == Predictions(tmp_path, "per_class", ("cyst", "net", "pdac"), {}, {}, single)
    assert [found.source(case) for case in ("a", "empty", "none")] == [tmp_path / "a", None, None]
    spelled = found.spelled(SPACE)
    assert spelled == Predictions(tmp_path, "per_class", ("cyst", "net", "pdac"), {}, {}, single, TUMOUR)
    values, digests, maps = read(spelled, "a", ["pdac", "cyst"])
    assert values == {"pdac": [0, 0.25, 0, 0], "cyst": [1, 0, 0, 0]}
    assert digests == {f"a/{name}": sha256_of(tmp_path / "a" / name) for name in ("pdac.nii.gz", "cyst.nii")}
    assert (maps["cyst"].single, maps["pdac"].single) == (single, single)
    assert maps["pdac"].grid.difference(GRID) is None
    assert read(spelled, "a", ["tumour"])[0] == {"tumour": [1, 0.25, 0, 0]}
    assert refusal(read, spelled, "b", ["pdac"]) == f"{tmp_path / 'b'}: no map of class 'pdac'; expected pdac.nii.gz"


def test_names_of_files_are_kept_as_they_are(tmp_path):
    """They are looked for under these names."""
    found = Predictions(tmp_path, "per_class", ("PDAC", "cancer", "cyst"), {}, {}).spelled(SPACE)
    assert (found.channels, found.unions) == (("PDAC", "cancer", "cyst"), {})


def test_a_map_of_one_class_is_3d_and_holds_probabilities(tmp_path):
    write_prediction(tmp_path / "a" / "pdac.nii.gz", np.zeros((2, *SHAPE)), AFFINE, ["x", "y"])
    (tmp_path / "a" / "labels.json").unlink()
    found = open_predictions(tmp_path)
    path = tmp_path / "a" / "pdac.nii.gz"
    assert refusal(read, found, "a", ["pdac"]) == f"{path}: 2 channels; expected the 3D map of one class"
    save(path, filled(2.0, dtype=np.float32), np.float32)
    assert refusal(read, found, "a", ["pdac"]).startswith(f"{path}: values from 0 to 2 where probabilities 0 to 1")


def test_names_of_maps_come_from_the_first_200_folders(tmp_path):
    for number in range(201):
        (tmp_path / f"c{number:03}").mkdir()
        (tmp_path / f"c{number:03}" / f"{'late' if number == 200 else 'pdac'}.nii.gz").touch()
    assert open_predictions(tmp_path).channels == ("pdac",)
    (tmp_path / "c199" / "cyst.mha").touch()
    assert open_predictions(tmp_path).channels == ("cyst", "pdac")


LABELS = {"labels": {"background": 0, "cancer": 1, "cyst": 2, "PDAC": 5}}


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_label_maps(tmp_path, dtype, single):
    save(tmp_path / "a.nii.gz", filled(1, 2, 5, dtype=dtype), dtype)
    (tmp_path / "dataset.json").write_text(json.dumps(LABELS))
    found = open_predictions(tmp_path, single=single)
    values = {1: "cancer", 2: "cyst", 5: "PDAC"}
    assert found == Predictions(tmp_path, "label_map", ("cancer", "cyst", "PDAC"), values, {}, single)
    spelled = found.spelled(SPACE)
    assert spelled.values == {1: "pdac", 2: "cyst", 5: "pdac"}
    assert (spelled.channels, spelled.unions) == (("pdac", "cyst", "pdac"), TUMOUR)
    found, digests, maps = read(spelled, "a", ["pdac", "cyst", "tumour"])
    assert found == {"pdac": [1, 0, 1, 0], "cyst": [0, 1, 0, 0], "tumour": [1, 1, 1, 0]}
    assert digests == {"a.nii.gz": sha256_of(tmp_path / "a.nii.gz")}
    for one in maps.values():
        assert (one.levels, one.single, one.raw.dtype, one.grid.difference(GRID)) == (1, single, np.uint8, None)


def test_values_that_are_given_come_before_what_a_folder_says(tmp_path):
    save(tmp_path / "a.nii.gz", filled(7, 8, 9))
    (tmp_path / "labels.json").write_text('{"channels": ["pdac"]}')
    found = open_predictions(tmp_path, values={7: "pdac", 8: "cyst", 9: "pdac"}, single=True)
    values = {7: "pdac", 8: "cyst", 9: "pdac"}
    assert found == Predictions(tmp_path, "label_map", ("pdac", "cyst"), values, {}, True)
    assert read(found, "a", ["pdac"])[0] == {"pdac": [1, 0, 1, 0]}


@pytest.mark.parametrize(
    ("values", "dtype", "strange"),
    [((1, 4, 3), np.uint8, "3"), ((1, -2), np.int16, "-2"), ((1, 0.5), np.float32, "0.5"),
     ((0.25, -1), np.float32, "-1"), ((float("nan"),), np.float32, "nan"), ((1e-40,), np.float32, "9.99995e-41"),
     ((2, 1, 65535), np.uint16, "65535")],
)  # fmt: skip
def test_a_value_without_a_name(tmp_path, values, dtype, strange):
    path = save(tmp_path / "a.nii.gz", filled(*values, dtype=dtype), dtype)
    found = open_predictions(tmp_path, values={1: "pdac", 2: "cyst"})
    assert refusal(read, found, "a", ["pdac"]) == (
        f"{path}: value {strange} in a label map whose values are 0 and [1, 2]; a probability map of one class needs "
        "labels.json with its channel"
    )


def test_the_value_1_may_have_no_name_either(tmp_path):
    path = save(tmp_path / "a.nii.gz", filled(1))
    found = open_predictions(tmp_path, values={2: "pdac"})
    assert refusal(read, found, "a", ["pdac"]).startswith(f"{path}: value 1 in a label map whose values are 0 and [2]")


def test_a_label_map_of_nothing_and_one_of_four_axes(tmp_path):
    save(tmp_path / "a.nii.gz", filled())
    found = open_predictions(tmp_path, values={1: "pdac"})
    assert read(found, "a", ["pdac"])[0] == {"pdac": [0, 0, 0, 0]}
    write_prediction(tmp_path / "b.nii.gz", np.zeros((2, *SHAPE)), AFFINE, ["x", "y"])
    assert refusal(read, found, "b", ["pdac"]) == f"{tmp_path / 'b.nii.gz'}: 2 channels; a label map is 3D"


@pytest.mark.parametrize("single", [False, True])
def test_dicom_segmentations(tmp_path, single, monkeypatch):
    (tmp_path / "a.dcm").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.dcm").touch()
    found = open_predictions(tmp_path, classes=["pdac"], single=single)
    assert found == Predictions(tmp_path, "dicom_seg", ("pdac",), {}, {}, single)
    assert [found.source(case) for case in "abc"] == [tmp_path / "a.dcm", tmp_path / "b", None]
    spelled = found.spelled(SPACE)
    assert spelled.unions == {"tumour": ("pdac", "cyst", "tumour")}
    told = []

    def read_segments(*arguments):
        told.append(arguments)
        yield "pdac", ProbabilityMap(filled(1), GRID, 1)

    monkeypatch.setattr(dicom_masks, "read_segments", read_segments)
    values, digests, _ = read(spelled, "a", ["tumour", "pdac"], onto=GRID)
    assert values == {"pdac": [1, 0, 0, 0], "tumour": [1, 0, 0, 0]}
    assert told == [(tmp_path / "a.dcm", ["pdac", "cyst", "tumour"], SPACE, GRID, digests)]
    assert told[0][4] is not None
    (tmp_path / "a.dcm").unlink()
    assert open_predictions(tmp_path) == Predictions(tmp_path, "dicom_seg", (), {}, {}, False)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("labels", "regions"), [({"background": 0, "pdac": 1}, False),
                                                 ({"background": 0, "cyst": [1], "pdac": [1, 2]}, True)])  # fmt: skip
def test_probabilities_of_nnunet(tmp_path, monkeypatch, labels, regions, single):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    (tmp_path / "a.npz").touch()
    save(tmp_path / "a.nii.gz", filled(1))
    found = open_predictions(tmp_path, single=single)
    names = ("cyst", "pdac") if regions else ("background", "pdac")
    assert found == Predictions(tmp_path, "nnunet", names, {}, {}, single, regions=regions)
    assert [found.source(case) for case in "ab"] == [tmp_path / "a.npz", None]
    told = []

    def read_probabilities(*arguments, **options):
        told.append((arguments, options))
        yield "pdac", ProbabilityMap(filled(1), GRID, 1)

    monkeypatch.setattr(prediction_files, "read_probabilities", read_probabilities)
    values, digests, _ = read(found, "a", ["pdac"], onto=GRID)
    assert values == {"pdac": [1, 0, 0, 0]}
    ((arguments, options),) = told
    assert arguments[1] == prediction_files.Channels(names, regions)
    assert arguments[:1] + arguments[2:] == (tmp_path / "a.npz", ["pdac"], GRID, digests)
    assert options == {"single": single}
    assert arguments[4] is digests


def test_labels_that_nnunet_does_not_know_either(tmp_path):
    (tmp_path / "a.npz").touch()
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "pdac": 2}}')
    said = refusal(open_predictions, tmp_path)
    assert said == f"{tmp_path / 'dataset.json'}: labels have the values [[0], [2]], expected 0, 1, 2, ..."


@pytest.mark.parametrize("single", [False, True])
def test_files_without_names_are_of_the_one_class_that_is_wanted(tmp_path, single):
    save(tmp_path / "a.nii.gz", filled(1))
    found = open_predictions(tmp_path, classes=["pdac"], single=single)
    assert found == Predictions(tmp_path, "channels", ("pdac",), {}, {}, single)
    for classes in (None, [], ["pdac", "cyst"]):
        assert refusal(open_predictions, tmp_path, classes=classes) == (
            f'{tmp_path}: no labels.json says which classes the files hold; write {{"channels": [...]}} or '
            '{"labels": {"1": ...}} there, or give --prediction-values 1=...'
        )


def test_no_predictions(tmp_path):
    assert refusal(open_predictions, tmp_path, classes=["pdac"]) == (
        f"{tmp_path}: no prediction files; expected <case_id>.nii.gz or <case_id>/<class>.nii.gz"
    )
    assert refusal(open_predictions, tmp_path / "none") == (
        f"{tmp_path / 'none'}: no such folder of predictions (a table of scores ends in .csv or .parquet)"
    )


@pytest.mark.parametrize("form", ["channels", "scores"])
def test_two_channels_of_one_class_are_refused(tmp_path, form):
    found = Predictions(tmp_path, form, ("PDAC", "cancer"), {}, {})
    said = f"{tmp_path}: channels PDAC, cancer are not different classes of label space own"
    assert refusal(found.spelled, SPACE) == said
    kept = Predictions(tmp_path, form, ("PDAC", "liver"), {}, {}).spelled(SPACE)
    assert (kept.channels, kept.unions) == (("pdac", "liver"), {})


def test_a_union_with_a_channel_of_its_own_is_not_made(tmp_path):
    whole = Predictions(tmp_path, "channels", ("pdac", "cyst", "tumour"), {}, {}).spelled(SPACE)
    assert (whole.unions, whole.offered) == ({}, ("pdac", "cyst", "tumour"))


def test_a_packaged_space_has_its_unions_back(tmp_path):
    """A manifest's own space of a packaged name has lost the unions whose members it does not label."""
    packaged = LabelSpace.load("pancreatic_ct")
    less = LabelSpace(
        "pancreatic_ct", tuple(one for one in packaged.classes if not one.union_of), excludes_hold="voxel"
    )
    for form in ("channels", "per_class"):
        found = Predictions(tmp_path, form, ("pdac", "cyst", "pannet"), {}, {}).spelled(less)
        assert found.unions == {"tumour": ("pdac", "cyst", "pannet")}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"])
def test_files_of_a_case_by_suffix(tmp_path, suffix):
    (tmp_path / f"a{suffix}").touch()
    found = Predictions(tmp_path, "channels", ("pdac",), {}, {})
    assert found.source("a") == tmp_path / f"a{suffix}"
    (tmp_path / f"b{suffix}").mkdir()
    assert found.source("b") is None
