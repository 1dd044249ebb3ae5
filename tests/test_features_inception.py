"""Our Inception is the one behind published FIDs: equal to torch-fidelity's, pool by pool."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from image_files import picture

from dalle2eval.features.inception_network import BLOCKS, InceptionV3
from dalle2eval.features.resizing import resize, resize_to_uint8


def _random_state():
    """Return weights of plausible scale, with running statistics that are not the identity."""
    state = {}
    generator = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in InceptionV3().state_dict().items()}
    shapes |= {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
        elif len(shape) == 4:
            scale = (2 / torch.Size(shape[1:]).numel()) ** 0.5
            state[name] = torch.randn(shape, generator=generator) * scale
        else:
            centre = 1.0 if name.endswith(("bn.weight", "running_var")) else 0.0
            state[name] = centre + torch.rand(shape, generator=generator) / 5
    return state


def test_same_weights_give_torch_fidelitys_features(tmp_path):
    peer = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    state = _random_state()
    torch.save(state, tmp_path / "random.pth")
    theirs = peer.FeatureExtractorInceptionV3("peer", ["2048"], str(tmp_path / "random.pth"))
    ours = InceptionV3().eval()
    ours.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
    images = torch.randint(0, 256, (2, 3, 299, 299), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = theirs(images.to(torch.uint8))[0]
        found = ours(images.float())
    assert found.shape == (2, 2048)
    assert expected.std() > 1e-3
    assert (found - expected).norm() / expected.norm() < 1e-5


def test_every_block_has_the_published_width():
    with torch.device("meta"):
        network = InceptionV3()
    widths = [block.width for block in network.children() if hasattr(block, "width")]
    assert len(BLOCKS) == len(widths)
    assert widths == [256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048]


@pytest.mark.parametrize("shape", [(256, 256), (64, 64), (512, 300), (37, 1023), (299, 299)])
def test_resizing_is_clean_fids_to_a_ten_thousandth_of_a_grey_level(shape):
    make_resizer = pytest.importorskip("cleanfid.resize").make_resizer
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = make_resizer("PIL", False, "bicubic", (299, 299))(image)
    found = resize([image], 299)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() < 1e-4


def test_images_of_mixed_sizes_keep_their_order():
    images = [picture(1, 40, 40), picture(2, 50, 40), picture(3, 40, 40)]
    together = resize(images, 32)
    for image, found in zip(images, together, strict=True):
        torch.testing.assert_close(resize([image], 32)[0], found)


def test_rounding_is_to_the_nearest_and_not_down():
    image = np.full((8, 8, 3), 255, dtype=np.uint8)
    image[:, 4:] = 254
    assert set(np.unique(resize_to_uint8([image], 4))) <= {254, 255}
    mean = resize_to_uint8([picture(0, 64, 64)], 16).mean()
    assert abs(mean - picture(0, 64, 64).mean()) < 0.1
