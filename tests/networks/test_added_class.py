"""A checkpoint gets classes: old parameters bit-identical, old answers within 1e-6, and a network to hold them."""

import pytest
import torch

from la_medical.errors import InputError
from la_medical.labels import LabelClass, LabelSpace
from la_medical.networks import classifier
from la_medical.networks.added_class import with_added_class
from la_medical.networks.checkpoint import Checkpoint
from la_medical.networks.query_similarity import query_similarity

CONFIG = {
    "network": "densenet",
    "options": {"block_config": [1, 1], "growth_rate": 4, "init_features": 8},
    "head_options": {"query_dim": 3, "class_bias": [0.5, -0.5]},
}


def trained():
    torch.manual_seed(0)
    network = classifier.build(num_classes=2, **CONFIG).eval()
    with torch.no_grad():
        network.head.queries += 0.1 * torch.randn(2, 3)
    space = LabelSpace(name="own", classes=(LabelClass("mass"), LabelClass("nodule")))
    return network, Checkpoint(network.state_dict(), space, CONFIG)


def test_old_parameters_and_answers_stay():
    network, before = trained()
    images = torch.randn(3, 1, 32, 32)
    answers = network(images).detach()
    after = with_added_class(with_added_class(before, "hernia"), "edema", grow=True)
    assert after.classes == ("mass", "nodule", "hernia", "edema")
    rebuilt = classifier.build(num_classes=4, **after.network_config).eval()
    rebuilt.load_state_dict(after.state_dict)
    torch.testing.assert_close(rebuilt(images)[:, :2], answers, rtol=0, atol=1e-6)
    for name, old in before.state_dict.items():
        kept = after.state_dict[name][tuple(slice(0, size) for size in old.shape)]
        assert torch.equal(kept, old), name
    assert CONFIG["head_options"] == {"query_dim": 3, "class_bias": [0.5, -0.5]}


def test_the_head_itself_adds_the_same():
    network, before = trained()
    after = with_added_class(before, "hernia")
    network.head.add_class()
    for name, value in network.state_dict().items():
        assert torch.equal(value, after.state_dict[name]), name


def test_refusals():
    _, before = trained()
    with pytest.raises(InputError, match="'Mass' is in the checkpoint already"):
        with_added_class(before, "Mass")
    with pytest.raises(InputError, match="all 3 query rows are taken"):
        with_added_class(with_added_class(before, "hernia"), "edema")


def test_similarity_of_queries_by_hand():
    _, before = trained()
    state = {**before.state_dict, "head.queries": torch.tensor([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0]])}
    table = query_similarity(Checkpoint(state, before.label_space, CONFIG))
    assert list(table.index) == list(table.columns) == ["mass", "nodule"]
    assert table.to_numpy().round(6).tolist() == [[1.0, 0.6], [0.6, 1.0]]
    with pytest.raises(InputError, match="no class queries"):
        query_similarity(Checkpoint({}, before.label_space, {"head": "linear"}))
