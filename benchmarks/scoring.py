"""One pass over a folder of images, beside the libraries that people run one after the other.

    uv run --extra benchmarks python benchmarks/scoring.py [--n 2000] [--side 256]

Ours: FID features, CLIP score, KID and PRDC in one pass. The others in a row, as their own commands
do it: clean-fid for FID and again for KID, torch-fidelity for FID, KID, precision and recall,
torchmetrics for FID and for KID, and the CLIP score by open_clip as torchmetrics computes it. All
use the same random Inception-v3 and the same random ViT-B/32; reference features are given to
everybody. Writes benchmarks/results/scoring.json: seconds of each step, the ratio, and the share
of our time inside the networks' forward passes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from machine import machine_facts
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dalle2eval import metrics
from dalle2eval.features.inception_network import InceptionV3, to_graph_range
from dalle2eval.features.networks import NetworkExtractor
from dalle2eval.features.one_pass import extract
from dalle2eval.features.weight_files import STATE_DICT_INCEPTION, Found
from dalle2eval.images import open_collection
from dalle2eval.scenes.training_data import SceneSource

RESULT = Path(__file__).parent / "results" / "scoring.json"
BATCH, CLIP_SIDE, FIRST_CLASSES = 32, 224, 1008
Table = NDArray[np.float32]


@dataclass
class Stopwatch:
    """Seconds inside something that is called many times."""

    seconds: float = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the call, timed."""

        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            answer = call(*arguments)
            self.seconds += time.perf_counter() - started
            return answer

        return timed


@dataclass
class Networks:
    """The same random networks for everybody, and the file that torch-fidelity reads."""

    inception: InceptionV3
    clip: Any
    state_file: Path
    forward: Stopwatch = field(default_factory=Stopwatch)

    def inception_features(self, images: Tensor) -> Tensor:
        """Return features [n, 2048] of [0, 255] images [n, 3, 299, 299]."""
        with torch.inference_mode():
            return self.inception(to_graph_range(images))

    def clip_features(self, images: Tensor) -> Tensor:
        """Return features [n, 512] of prepared images [n, 3, 224, 224]."""
        with torch.inference_mode():
            return self.clip.encode_image(images)


def random_networks(folder: Path) -> Networks:
    """Return networks with random weights, written where torch-fidelity wants a file."""
    torch.manual_seed(0)
    inception = InceptionV3().eval()
    clip = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    state = inception.state_dict()
    state |= {"fc.weight": torch.zeros(FIRST_CLASSES, 2048), "fc.bias": torch.zeros(FIRST_CLASSES)}
    path = folder / "inception.pth"
    torch.save(state, path)
    return Networks(inception=inception, clip=clip, state_file=path)


def write_images(folder: Path, n: int, side: int) -> list[str]:
    """Write n pictures of the procedural world and return their captions."""
    captions = []
    for start in range(0, n, BATCH):
        batch = SceneSource(stream=1001).batch(start, min(BATCH, n - start), side)
        captions += batch.captions
        for k, image in enumerate(batch.images):
            Image.fromarray(image).save(folder / f"{start + k:06d}.png")
    return captions


def ours(folder: Path, networks: Networks, texts: Tensor, reference: Table, store: Path) -> dict:
    """Score the folder in one pass; returns seconds."""
    mean, std = (
        torch.tensor(row)[:, None, None]
        for row in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    timed_inception = networks.forward.around(networks.inception_features)
    timed_clip = networks.forward.around(networks.clip_features)
    calls = {
        "inception": (299, lambda images: timed_inception(images)),
        "clip": (CLIP_SIDE, lambda images: timed_clip((images / 255 - mean) / std)),
    }
    found = Found(file=STATE_DICT_INCEPTION, path=networks.state_file)
    extractors = [
        NetworkExtractor(name, found, side=side, build=lambda *_, call=call: call, device="cpu")
        for name, (side, call) in calls.items()
    ]
    collection = open_collection(folder)
    result = extract(collection, collection.names, extractors, store=store)
    passed = time.perf_counter()
    tables = {name: measured.table for name, measured in result.measured.items()}
    numbers(tables["inception"], reference)
    metrics.clip_score(tables["clip"], texts.numpy())
    return {"metrics": time.perf_counter() - passed}


def numbers(generated: Table, reference: Table) -> None:
    """Compute FID (of few images by the cross-Gram), KID and PRDC."""
    metrics.frechet_distance(generated, reference)
    metrics.kernel_distance(generated, reference)
    metrics.overlap(generated, reference)


def clean_fid(folder: Path, networks: Networks, reference: Table) -> None:
    """Run FID and KID of clean-fid: each reads, resizes and embeds the folder."""
    from cleanfid import fid

    def features() -> Table:
        return fid.get_folder_features(
            str(folder), networks.inception_features, num_workers=0, batch_size=BATCH,
            device=torch.device("cpu"), mode="clean", verbose=False,
        )  # fmt: skip

    moments = metrics.moments(reference)
    table = features()
    fid.frechet_distance(
        table.mean(axis=0), np.cov(table, rowvar=False), moments.mean, moments.covariance
    )
    fid.kernel_distance(features(), reference)


def torch_fidelity(folder: Path, networks: Networks, reference: Table) -> None:
    """Run FID, KID, precision and recall of torch-fidelity over one extraction."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric
    from torch_fidelity.utils import (
        create_feature_extractor,
        extract_featuresdict_from_input_id_cached,
    )

    options = {
        "input1": str(folder), "cuda": False, "batch_size": BATCH, "cache": False,
        "feature_extractor_weights_path": str(networks.state_file), "verbose": False,
        "save_cpu_ram": True, "kid_subset_size": min(1000, len(reference)),
    }  # fmt: skip
    network = create_feature_extractor("inception-v3-compat", ["2048"], **options)
    table = extract_featuresdict_from_input_id_cached(1, network, **options)["2048"]
    known = torch.from_numpy(reference)
    sides = [fid_features_to_statistics(side) for side in (table, known)]
    fid_statistics_to_metric(*sides, verbose=False)
    options["kid_subset_size"] = min(1000, len(table), len(known))
    kid_features_to_metric(table, known, **options)
    prc_features_to_metric(table, known, **options)


def torchmetrics(folder: Path, networks: Networks, reference: Table) -> None:
    """Run FID and KID of torchmetrics: each object embeds the batches."""
    from torchmetrics.image import FrechetInceptionDistance, KernelInceptionDistance

    class Resized(torch.nn.Module):
        num_features = 2048

        def forward(self, images: Tensor) -> Tensor:
            sized = torch.nn.functional.interpolate(
                images.float(), size=(299, 299), mode="bilinear", antialias=True
            )
            return networks.inception_features(sized)

    shared = Resized()
    size = min(1000, len(reference), len(list(folder.iterdir())))
    for metric in (
        FrechetInceptionDistance(feature=shared),
        KernelInceptionDistance(feature=shared, subset_size=size),
    ):
        given = torch.from_numpy(reference)
        if isinstance(metric, FrechetInceptionDistance):
            metric.real_features_sum += given.double().sum(dim=0)
            metric.real_features_cov_sum += given.double().T @ given.double()
            metric.real_features_num_samples += len(given)
        else:
            metric.real_features.append(given)
        for batch in _pillow_batches(sorted(folder.iterdir())):
            metric.update(batch, real=False)
        metric.compute()


def clip_by_hand(folder: Path, networks: Networks, texts: Tensor) -> None:
    """Run the CLIP score as torchmetrics does, with open_clip's own preprocessing."""
    preprocess = open_clip.image_transform(CLIP_SIDE, is_train=False)
    paths = sorted(folder.iterdir())
    for start in range(0, len(paths), BATCH):
        batch = torch.stack([preprocess(Image.open(p)) for p in paths[start : start + BATCH]])
        features = networks.clip_features(batch)
        features = features / features.norm(dim=1, keepdim=True)
        (100 * (features * texts[start : start + BATCH]).sum(dim=1)).mean()


def _pillow_batches(paths: Sequence[Path]) -> Any:
    for start in range(0, len(paths), BATCH):
        images = [np.asarray(Image.open(path)) for path in paths[start : start + BATCH]]
        yield torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def seconds(call: Callable[[], Any]) -> float:
    """Return the wall time of a call."""
    started = time.perf_counter()
    call()
    taken = time.perf_counter() - started
    sys.stderr.write(f"{taken:8.1f} s\n")
    return taken


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        folder = root / "images"
        folder.mkdir()
        networks = random_networks(root)
        texts = write_images(folder, options.n, options.side)
        with torch.inference_mode():
            tokens = open_clip.get_tokenizer("ViT-B-32")(texts)
            embedded = torch.cat(
                [networks.clip.encode_text(part, normalize=True) for part in tokens.split(BATCH)]
            )
        rng = np.random.default_rng(0)
        reference = rng.random((options.n, 2048), dtype=np.float32)
        detail: dict[str, float] = {}
        mine = seconds(
            lambda: detail.update(ours(folder, networks, embedded, reference, root / "store"))
        )
        others = {
            "clean-fid (FID, KID)": lambda: clean_fid(folder, networks, reference),
            "torch-fidelity (FID, KID, PR)": lambda: torch_fidelity(folder, networks, reference),
            "torchmetrics (FID, KID)": lambda: torchmetrics(folder, networks, reference),
            "CLIP score": lambda: clip_by_hand(folder, networks, embedded),
        }
        peers = {name: round(seconds(call), 2) for name, call in others.items()}
    result = {
        "machine": machine_facts(),
        "images": options.n,
        "side": options.side,
        "threads": torch.get_num_threads(),
        "ours_s": round(mine, 2),
        "metrics_s": round(detail["metrics"], 2),
        "forward_share": round(networks.forward.seconds / mine, 3),
        "peers_s": peers,
        "ratio": round(sum(peers.values()) / mine, 2),
    }
    options.out.write_text(json.dumps(result, indent=1))
    sys.stderr.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
