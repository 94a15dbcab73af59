"""Class maps: exact parts of the logits, checked against a head applied by hand, and the files of `maps`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from la_medical.cli.main import main
from la_medical.errors import InputError
from la_medical.inference.attention_maps import class_maps
from la_medical.labels.space import LabelSpace
from la_medical.networks.checkpoint import save_checkpoint
from la_medical.networks.classifier import build

SMALL = {"init_features": 8, "growth_rate": 4, "block_config": [2, 2]}


def _config(**more):
    return {"network": "densenet", "options": SMALL, "head": "class_query", **more}


@pytest.mark.parametrize(
    ("name", "options"), [("densenet", SMALL), ("resnet10", {}), ("seresnet50", {}), ("efficientnet-b0", {})]
)
@pytest.mark.parametrize("head", ["class_query", "linear"])
def test_the_mean_of_a_map_is_the_logit(name, options, head):
    torch.manual_seed(0)
    network = build(name, num_classes=3, options=options, head=head).eval()
    images = torch.randn(2, 1, 64, 48)
    maps, logits = class_maps(network, images)
    with torch.no_grad():
        torch.testing.assert_close(maps.mean(dim=(2, 3)), network(images), atol=1e-4, rtol=1e-4)
    assert maps.shape[:2] == logits.shape == (2, 3)


def test_a_map_is_the_class_weight_times_the_features_of_the_place():
    torch.manual_seed(1)
    network = build("densenet", num_classes=2, options=SMALL, head="class_query").eval()
    images = torch.randn(1, 1, 64, 64)
    maps, _ = class_maps(network, images)
    with torch.no_grad():
        features = torch.relu(network.backbone.net.features(images))[0]
        head = network.head
        weights = head.queries @ head.fc.weight.T + head.fc.bias
        by_hand = sum(weights[1, c] * features[c] for c in range(len(features)))
    torch.testing.assert_close(maps[0, 1], by_hand, atol=1e-5, rtol=1e-4)


def test_a_network_without_places_is_refused():
    network = build("vit", num_classes=2, options={
        "img_size": (32, 32), "patch_size": (16, 16), "hidden_size": 12, "mlp_dim": 12, "num_layers": 1, "num_heads": 2,
    }).eval()  # fmt: skip
    with pytest.raises(InputError, match="does not average features"):
        class_maps(network, torch.zeros(1, 1, 32, 32))


@pytest.fixture
def hospital(tmp_path):
    rows = ["case_id,image,split,label.mass,label.nodule"]
    rng = np.random.default_rng(0)
    for n in range(3):
        Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)).save(tmp_path / f"c{n}.png")
        rows.append(f"c{n},c{n}.png,{'test' if n else 'train'},1,0")
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    torch.manual_seed(0)
    space = LabelSpace.from_dict({"name": "two", "classes": [{"name": "mass"}, {"name": "nodule"}]})
    save_checkpoint(
        tmp_path / "model.pt", network=build(num_classes=2, **_config()), label_space=space,
        network_config={"kind": "classifier", **_config(pretrained=True)},
        provenance={"settings": {"image_size": 64}},
    )  # fmt: skip
    return tmp_path


def test_the_command_writes_one_picture_a_case_and_class(hospital, capsys):
    out = hospital / "maps"
    assert main(["maps", str(hospital / "model.pt"), "--manifest", str(hospital / "m.csv"), "--out", str(out)]) == 0
    assert "2 cases, 2 classes" in capsys.readouterr().out
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    assert files == ["c1/mass.png", "c1/nodule.png", "c2/mass.png", "c2/nodule.png"]
    largest = json.loads((out / "maps.json").read_text())["largest"]
    for name in files:
        picture = np.asarray(Image.open(out / name))
        case, label = name.removesuffix(".png").split("/")
        assert picture.dtype == np.uint8
        assert picture.max() == (0 if largest[case][label] is None else 255)


def test_the_limit_and_what_is_refused(hospital, capsys):
    given = ["maps", str(hospital / "model.pt"), "--manifest", str(hospital / "m.csv"), "--out", str(hospital / "o")]
    assert main([*given, "--limit", "1", "--split", "all"]) == 0
    assert [path.name for path in (hospital / "o").iterdir() if path.is_dir()] == ["c0"]
    assert main([*given, "--limit", "0"]) == 2
    (hospital / "c1.png").unlink()
    assert main(given) == 2
    assert "c1.png: no such image" in capsys.readouterr().err
