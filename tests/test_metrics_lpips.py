"""LPIPS as one vector an image: parity, and the answer where the backbone is missing."""

import numpy as np
import pytest
import torch

from dalle2eval.features.lpips import (
    Lpips,
    empty_alexnet,
    linear_heads,
    load_lpips,
    lpips_features,
    lpips_within_prompt,
)
from dalle2eval.records import InputError


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Lpips(layers=empty_alexnet(), heads=linear_heads())


def test_squared_distance_equals_torchmetrics_with_the_same_random_backbone(images, network):
    from torchmetrics.functional.image.lpips import _LPIPS

    theirs = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
    slices = [getattr(theirs.net, f"slice{k}") for k in range(1, 6)]
    loaded = [layer for part in slices for layer in part]
    for own, other in zip(network.layers, loaded, strict=True):
        other.load_state_dict(own.state_dict())
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    expected = theirs(tensors[:1], tensors[1:2]).item()
    features = lpips_features(images[:2], network).astype(np.float64)
    assert ((features[0] - features[1]) ** 2).sum() == pytest.approx(expected, rel=1e-5)


def test_the_mean_over_a_prompt_is_the_mean_over_its_pairs(images, network):
    features = lpips_features(images, network).astype(np.float64)
    pairs = [((features[a] - features[b]) ** 2).sum() for a, b in ((0, 1), (0, 2), (1, 2))]
    found = lpips_within_prompt([("p", images), ("single", images[:1])], network)
    assert found == {"p": pytest.approx(np.mean(pairs), rel=1e-5)}
    assert lpips_within_prompt([("p", images[[0, 0]])], network)["p"] == pytest.approx(0, abs=1e-9)


def test_a_missing_or_other_backbone_is_named(tmp_path):
    path = tmp_path / "alexnet.pth"
    with pytest.raises(InputError, match=r"LPIPS needs alexnet-owt-7be5be79\.pth .*from https"):
        load_lpips(path)
    path.write_bytes(b"another file")
    with pytest.raises(InputError, match="its sha256 starts with"):
        load_lpips(path)
