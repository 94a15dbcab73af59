"""labels.json and nnU-Net's dataset.json: which classes the files beside them hold."""

import json

import pytest

from la_medical.detection.channel_names import names_in, nnunet_labels
from la_medical.errors import PredictionError


def named(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_a_folder_without_either_names_nothing(tmp_path):
    assert names_in(tmp_path) == ((), {})


def test_channels_of_labels_json(tmp_path):
    assert names_in(named(tmp_path, labels={"channels": ["pdac", "cyst"]})) == (("pdac", "cyst"), {})


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        ({"0": "background", "2": "cyst", "1": "pdac"}, {1: "pdac", 2: "cyst"}),
        ({"background": 0, "cyst": 3, "pdac": 1}, {1: "pdac", 3: "cyst"}),
        ({"background": 0, "pdac": "1"}, {1: "pdac"}),
    ],
)
@pytest.mark.parametrize("file", ["labels", "dataset"])
def test_values_of_a_label_map(tmp_path, file, labels, values):
    channels, found = names_in(named(tmp_path, **{file: {"labels": labels}}))
    assert (channels, list(found.items())) == ((), list(values.items()))


def test_labels_json_comes_first_and_channels_of_a_dataset_json_are_no_classes(tmp_path):
    dataset = {"channel_names": {"0": "CT"}, "channels": ["CT"], "labels": {"background": 0, "net": 1}}
    assert names_in(named(tmp_path, dataset=dataset)) == ((), {1: "net"})
    assert names_in(named(tmp_path, labels={"channels": ["pdac"]}, dataset=dataset)) == (("pdac",), {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"labels": {"pdac": 1, "cyst": 1}}, "one value has two names"),
        ({"labels": {"background": 0}}, "no value from 1 has a name"),
        ({"labels": {"pdac": -1, "cyst": 1}}, "no value from 1 has a name"),
        ({"labels": {"all": [1, 2]}}, "int() argument must be"),
        ({"channels": ["pdac", "pdac"]}, "channels are ['pdac', 'pdac'], expected a list of different names"),
        ({"channels": []}, "channels are [], expected a list of different names"),
        ({"channels": "pdac"}, "channels are 'pdac', expected a list of different names"),
        ({}, "'labels'"),
        (["pdac"], "list indices must be integers or slices, not str"),
    ],
)
def test_what_names_no_classes(tmp_path, content, said):
    named(tmp_path, labels=content)
    with pytest.raises(PredictionError) as caught:
        names_in(tmp_path)
    expected = '{"channels": [...]} or {"labels": {name: value}}'
    assert str(caught.value).startswith(f"{tmp_path / 'labels.json'}: expected {expected} ({said}")


def test_names_of_nnunets_channels(tmp_path):
    with pytest.raises(PredictionError, match=r"no dataset\.json that names their channels"):
        nnunet_labels(tmp_path)
    for content in ({"labels": ["pdac"]}, {}, ["labels"]):
        named(tmp_path, dataset=content)
        with pytest.raises(PredictionError, match=r"dataset\.json: expected nnU-Net's"):
            nnunet_labels(tmp_path)
    named(tmp_path, dataset={"labels": {"background": 0, "pdac": [1, 2]}})
    assert nnunet_labels(tmp_path) == {"background": 0, "pdac": [1, 2]}
