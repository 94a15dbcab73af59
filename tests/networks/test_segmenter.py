"""Segmenters on MONAI's backbones: one feature vector a voxel, one product for all classes."""

import pytest
import torch
from monai.networks import nets

from la_medical.errors import InputError
from la_medical.losses.deep_supervision import DeepSupervisionLoss
from la_medical.losses.voxel_assemble import VoxelAssembleLoss
from la_medical.networks.linear_head import LinearHead
from la_medical.networks.segmenter import Segmenter, build

DYNUNET = {"kernel_size": [3] * 3, "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 16]}
UNETR = {"img_size": 32, "hidden_size": 24, "mlp_dim": 32, "num_heads": 4, "feature_size": 4}
NETWORKS = [
    ("segresnet", {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}, 8),
    ("segresnetds", {"init_filters": 8, "blocks_down": (1, 1)}, 8),
    ("dynunet", DYNUNET, 4),
    ("unetr", UNETR, 4),
    ("basicunet", {"features": (4, 4, 8, 8, 8, 6)}, 6),
    ("mednext", {"init_filters": 4, "blocks_down": (1, 1), "blocks_up": (1, 1), "blocks_bottleneck": 1}, 4),
    ("unet", {"channels": (4, 8), "strides": (2,)}, 16),
    ("attentionunet", {"channels": (4, 8), "strides": (2,)}, 16),
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("network", "options", "channels"), NETWORKS, ids=[row[0] for row in NETWORKS])
def test_backbones_give_full_resolution(network, options, channels):
    built = build(network, num_classes=5, options=options).eval()
    with torch.no_grad():
        logits = built(torch.randn(1, 1, 32, 32, 32))
    assert logits.shape == (1, 5, 32, 32, 32)
    assert built.head.in_channels == channels


def test_swinunetr():
    built = build("swinunetr", num_classes=3, options={"feature_size": 12}).eval()
    with torch.no_grad():
        assert built(torch.randn(1, 1, 64, 64, 64)).shape == (1, 3, 64, 64, 64)


def test_the_features_are_what_monai_feeds_its_last_convolution():
    whole = nets.SegResNet(out_channels=3, init_filters=8, blocks_down=(1, 1), blocks_up=(1,)).eval()
    built = build("segresnet", num_classes=3, options=NETWORKS[0][1]).eval()
    own = {k: v for k, v in whole.state_dict().items() if not k.startswith("conv_final.2")}
    built.backbone.net.load_state_dict(own)
    linear = LinearHead(8, 3)
    last = whole.conv_final[2].conv
    linear.fc.load_state_dict({"weight": last.weight.flatten(1), "bias": last.bias})
    images = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(Segmenter(built.backbone, linear)(images), whole(images))


@pytest.mark.parametrize(("network", "options"), [("dynunet", DYNUNET), ("segresnetds", {"init_filters": 8})])
def test_deep_supervision_asks_the_same_queries_at_every_level(network, options):
    built = build(network, num_classes=2, options=options, deep_supervision=1)
    images = torch.randn(1, 1, 16, 16, 16)
    levels = built(images)
    assert [tuple(level.shape) for level in levels] == [(1, 2, 16, 16, 16), (1, 2, 8, 8, 8)]
    targets = torch.zeros(1, 2, 16, 16, 16)
    targets[:, 0, 4:9] = 1
    targets[:, 1] = float("nan")
    loss = DeepSupervisionLoss(VoxelAssembleLoss())
    loss.total(loss(levels, built(images), targets, 1)).backward()
    unused = [name for name, p in built.named_parameters() if p.grad is None]
    assert unused == []  # DistributedDataParallel would stop at one
    assert built.eval()(images).shape == (1, 2, 16, 16, 16)


def test_deep_and_plain_dynunet_are_the_same_in_eval_mode():
    deep = build("dynunet", num_classes=2, options=DYNUNET, deep_supervision=1).eval()
    plain = build("dynunet", num_classes=2, options=DYNUNET).eval()
    plain.load_state_dict({k: v for k, v in deep.state_dict().items() if k in plain.state_dict()})
    images = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(deep(images), plain(images))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_whole_network_scripts_and_exports():
    built = build("segresnet", classes=["pdac", "cyst"], options=NETWORKS[0][1]).eval()
    images = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        expected = built(images)
        torch.testing.assert_close(torch.jit.script(built)(images), expected)
        torch.testing.assert_close(torch.export.export(built, (images,)).module()(images), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "segnet"}, "'segnet' is not one of segresnet"),
        ({"network": "unet", "deep_supervision": 1}, "offers no deep supervision"),
        ({"network": "segresnetds", "deep_supervision": 9}, "at most 2, not 9"),
        ({"deep_supervision": -1, "network": "dynunet"}, "deep_supervision is -1"),
        ({"options": {"filters": 3}}, "segresnet refuses its options"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        build(**({"num_classes": 2} | arguments))
