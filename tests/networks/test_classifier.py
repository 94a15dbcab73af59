"""Classifiers on MONAI's backbones: shapes, the features taken, ImageNet weights, and refusals."""

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks import nets
from torch import nn

from la_medical.errors import InputError
from la_medical.networks.classifier import Classifier, build
from la_medical.networks.linear_head import LinearHead

SMALL = {"block_config": (2, 2, 2, 2), "growth_rate": 16}
VIT = {"img_size": 32, "patch_size": 16, "hidden_size": 24, "num_heads": 4, "num_layers": 2, "mlp_dim": 48}
SENET = {"layers": (1, 1, 1, 1)}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("network", "options", "channels"),
    [
        ("densenet", SMALL, 68),
        ("resnet18", {}, 512),
        ("efficientnet-b0", {}, 1280),
        ("seresnet50", SENET, 2048),
        ("vit", VIT, 24),
    ],
)
def test_backbones(network, options, channels):
    built = build(network, num_classes=5, options=options).eval()
    images = torch.randn(2, 1, 32, 32)
    assert built.features(images).shape == (2, channels)
    assert built(images).shape == (2, 5)
    assert built.head.in_channels == channels


def test_the_features_are_what_monai_feeds_its_last_layer():
    whole = nets.DenseNet(2, 1, 3, **SMALL).eval()
    built = build("densenet", num_classes=3, options=SMALL).eval()
    own = {k: v for k, v in whole.state_dict().items() if not k.startswith("class_layers.out")}
    built.backbone.net.load_state_dict(own)
    linear = LinearHead(68, 3)
    linear.fc.load_state_dict(whole.class_layers.out.state_dict())
    images = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(Classifier(built.backbone, linear)(images), whole(images))


def test_densenet121_has_the_published_size():
    # 6,953,856 weights up to the features with RGB (7,978,856 less the 1,025,000 of its classifier), 2 x 3136 fewer
    # with one channel; then K D + (D + 1) C of the head with K = D = 14.
    built = build("densenet121", num_classes=14)
    assert sum(p.numel() for p in built.parameters()) == 6_953_856 - 2 * 3136 + 14 * 14 + 15 * 1024


def test_spatial_features_are_averaged():
    built = Classifier(nn.Conv2d(1, 4, 3), LinearHead(4, 2))
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(built.features(images), built.backbone(images).mean(dim=(2, 3)))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_whole_network_scripts_and_exports():
    built = build("densenet", num_classes=3, options=SMALL).eval()
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected = built(images)
        torch.testing.assert_close(torch.jit.script(built)(images), expected)
        torch.testing.assert_close(torch.export.export(built, (images,)).module()(images), expected)


def test_a_monai_configuration_builds_it():
    parser = ConfigParser(
        {
            "classes": ["mass", "nodule"],
            "network_def": {
                "_target_": "la_medical.networks.classifier.build",
                "network": "densenet",
                "classes": "@classes",
                "options": {"block_config": [2, 2], "growth_rate": 4},
                "head_options": {"query_dim": 8},
            },
        }
    )
    network = parser.get_parsed_content("network_def")
    assert network.head.queries.shape == (2, 8)


def published_weights(channels=3):
    """A state dict with torchvision's names (`denselayer1.norm.1`), made from MONAI's of the same shapes."""
    made = nets.DenseNet(2, channels, 1000, block_config=(2, 2), growth_rate=4).state_dict()
    renamed = {}
    for key, value in made.items():
        for layer in ("norm", "conv"):
            for number in "12":
                key = key.replace(f"layers.{layer}{number}", f"{layer}.{number}")
        renamed[key.replace("class_layers.out", "classifier")] = torch.rand_like(value.float()) + 0.1
    return renamed


def test_imagenet_weights_answer_a_grey_image_as_they_answer_it_in_rgb(tmp_path):
    torch.save(published_weights(), tmp_path / "imagenet.pth")
    options = {"block_config": (2, 2), "growth_rate": 4}
    grey, rgb = (
        build(
            "densenet", num_classes=2, in_channels=c, pretrained=str(tmp_path / "imagenet.pth"), options=options
        ).eval()
        for c in (1, 3)
    )
    image = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(grey.features(image), rgb.features(image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)
    published = published_weights()["features.denseblock1.denselayer2.conv.1.weight"]
    assert rgb.backbone.net.features.denseblock1.denselayer2.layers.conv1.weight.shape == published.shape


def test_weights_that_do_not_fit_are_refused(tmp_path):
    torch.save(published_weights(), tmp_path / "imagenet.pth")
    with pytest.raises(InputError, match="do not fit this network"):
        build("densenet", num_classes=2, pretrained=str(tmp_path / "imagenet.pth"), options=SMALL)
    (tmp_path / "text.pth").write_text("hello")
    for path in ("text.pth", "absent.pth"):
        with pytest.raises(InputError, match=path):
            build("densenet121", num_classes=2, pretrained=str(tmp_path / path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "densnet"}, "'densnet' is not one of densenet, densenet121"),
        ({"options": {"grow_rate": 3}}, "densenet121 refuses its options.*grow_rate"),
        ({"head": "query"}, "head 'query': expected one of class_query"),
        ({"head_options": {"dim": 3}}, "head class_query refuses its options dim .*give head_options of its own"),
        ({"num_classes": None}, "needs classes"),
        ({"classes": ["a", "b", "c"]}, "3 classes are named but num_classes is 2"),
        ({"classes": ["a", "a"], "num_classes": None}, "each once"),
        ({"network": "resnet18", "pretrained": True}, "leave pretrained out"),
        ({"network": "densenet", "pretrained": True}, "no ImageNet weights are published"),
        ({"network": "densenet121", "pretrained": True, "spatial_dims": 3}, "are for 2D"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        build(**({"num_classes": 2} | arguments))
