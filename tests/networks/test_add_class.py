"""A trained network gets a class: old parameters bit-identical, old answers within 1e-6, a configuration to rebuild."""

import pytest
import torch

from la_medical.errors import InputError
from la_medical.networks import classifier, segmenter
from la_medical.networks.add_class import add_class

CONFIG = {
    "network": "densenet",
    "classes": ["mass", "nodule"],
    "options": {"block_config": [1, 1], "growth_rate": 4, "init_features": 8},
    "head_options": {"query_dim": 3, "class_bias": [0.5, -0.5]},
}


def test_old_parameters_and_answers_stay(tmp_path):
    torch.manual_seed(0)
    network = classifier.build(**CONFIG).eval()
    images = torch.randn(3, 1, 32, 32)
    old = {name: value.clone() for name, value in network.state_dict().items()}
    before = network(images).detach()
    config = add_class(network, CONFIG, "hernia", bias=-3.0)
    config = add_class(network, config, "edema", grow=True, bias=-1.0)
    assert config["classes"] == ["mass", "nodule", "hernia", "edema"]
    assert config["head_options"] == {"query_dim": 4, "class_bias": [0.5, -0.5, -3.0, -1.0]}
    rebuilt = classifier.build(**config).eval()
    rebuilt.load_state_dict(network.state_dict())
    torch.testing.assert_close(rebuilt(images), network(images), rtol=0, atol=0)
    torch.testing.assert_close(rebuilt(images)[:, :2], before, rtol=0, atol=1e-6)
    for name, value in rebuilt.state_dict().items():
        kept = value[tuple(slice(0, size) for size in old[name].shape)]
        assert torch.equal(kept, old[name]), name
    assert CONFIG["classes"] == ["mass", "nodule"]


def test_refusals():
    network = classifier.build(**CONFIG)
    with pytest.raises(InputError, match="'mass' is already one of"):
        add_class(network, CONFIG, "mass")
    add_class(network, CONFIG, "hernia")
    with pytest.raises(InputError, match="query rows are taken"):
        add_class(network, CONFIG, "edema")
    linear = classifier.build(**(CONFIG | {"head": "linear", "head_options": {}}))
    with pytest.raises(InputError, match="one class-query head; this one has 0"):
        add_class(linear, CONFIG, "hernia")
    small = {"network": "unet", "classes": ["pdac", "cyst"], "options": {"channels": [4, 8], "strides": [2]}}
    competing = segmenter.build(**small, excludes=[["pdac", "cyst"]])
    with pytest.raises(InputError, match="classes compete"):
        add_class(competing, small, "pannet")
