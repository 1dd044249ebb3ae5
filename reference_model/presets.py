"""Named architectures (presets) of the reference DALL·E 2.

scenes: the small stack whose trained weights lie in `reference_model/weights/`; tiny: for tests;
base: for a single GPU.

paper: Ramesh et al. 2022 (arXiv 2204.06125), Table 3 and App. C; where the table is silent the
comment says what was chosen and why. Parameter counts stand beside each size and are checked by a
test on the meta device (no memory is taken).
"""

from __future__ import annotations

from reference_model.config import (
    ClipConfig,
    DecoderConfig,
    PriorConfig,
    StackConfig,
    TextEncoderConfig,
    UnetConfig,
    UpsamplerConfig,
)
from reference_model.spelling import nearest

PAPER_CONTEXT = 256  # Table 3, text encoder context


def scenes() -> StackConfig:
    """Return the embedded default: trained on procedural scenes, quick on two CPU cores."""
    return StackConfig(
        name="scenes",
        clip=ClipConfig(
            embed_dim=128,
            image_size=64,
            vision={"image_size": 64, "patch_size": 8, "width": 160, "layers": 4, "head_width": 40},
            text={"context_length": 24, "width": 128, "heads": 4, "layers": 3},
        ),
        prior=PriorConfig(
            z_dim=128,
            text_width=128,
            context_length=24,
            width=128,
            depth=3,
            heads=4,
            noise_skip=True,
        ),
        decoder=DecoderConfig(
            image_size=64,
            z_dim=128,
            unet=UnetConfig(
                patch=4,
                channels=64,
                multipliers=(1, 2),
                depth=2,
                attention_levels=(1,),
                context_width=128,
                vector_width=128,
                embedding_multiplier=2,
            ),
            text=TextEncoderConfig(context_length=24, width=128, depth=2, heads=4, neighbours=3),
            pooled_text=True,
        ),
        upsampler_256=UpsamplerConfig(
            low_size=64,
            residual=True,
            high_size=256,
            unet=UnetConfig(
                patch=4, channels=32, multipliers=(1, 2), depth=1, condition_channels=3
            ),
        ),
        upsampler_1024=UpsamplerConfig(
            low_size=256,
            residual=True,
            high_size=1024,
            unet=UnetConfig(
                patch=4,
                channels=24,
                multipliers=(1, 2),
                depth=1,
                condition_channels=3,
                embedding_multiplier=2,
            ),
            schedule="linear",
        ),
        expected_parameters={
            "clip": 1_979_969,
            "prior": 698_241,
            "decoder": 5_068_080,
            "upsampler_256": 787_248,
            "upsampler_1024": 404_112,
        },
    )


def scenes_judge() -> ClipConfig:
    """Return the CLIP that judges: a ResNet where the generator's is a ViT, 64 dimensions."""
    return ClipConfig(
        embed_dim=64,
        image_size=64,
        vision={"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 32},
        text={"context_length": 24, "width": 96, "heads": 3, "layers": 2},
    )


def tiny() -> StackConfig:
    """Return a stack of random weights for tests: 16 to 32 to 64 pixels, milliseconds.

    As small as the stages can be and still have every kind of layer: its files take 62 kB, half of
    it the tensors' names, because all bundled weights together may take 24 MB.
    """
    unet = UnetConfig(
        patch=2,
        channels=4,
        multipliers=(1, 1),
        depth=0,
        attention_levels=(1,),
        head_channels=2,
        context_width=4,
        vector_width=4,
        embedding_multiplier=2,
    )
    upsampling = UnetConfig(
        patch=2,
        channels=4,
        multipliers=(1,),
        depth=0,
        condition_channels=3,
        embedding_multiplier=2,
    )
    return StackConfig(
        name="tiny",
        clip=ClipConfig(
            embed_dim=8,
            image_size=16,
            vision={"image_size": 16, "patch_size": 4, "width": 4, "layers": 1, "head_width": 2},
            text={"context_length": 24, "width": 4, "heads": 2, "layers": 1},
        ),
        prior=PriorConfig(z_dim=8, text_width=4, context_length=24, width=4, depth=1, heads=2),
        decoder=DecoderConfig(
            image_size=16,
            z_dim=8,
            unet=unet,
            text=TextEncoderConfig(context_length=24, width=4, depth=1, heads=2),
        ),
        upsampler_256=UpsamplerConfig(low_size=16, high_size=32, unet=upsampling),
        upsampler_1024=UpsamplerConfig(
            low_size=32, high_size=64, unet=upsampling, schedule="linear"
        ),
        expected_parameters={
            "clip": 2_997,
            "prior": 548,
            "decoder": 6_592,
            "upsampler_256": 2_448,
            "upsampler_1024": 2_448,
        },
    )


def paper() -> StackConfig:
    """Return the published sizes: prior 1B, decoder 3.5B, upsamplers 700M and 300M.

    CLIP is ViT-H/16 at 256 px (App. C). Its text context is not stated; it is 256 here, because
    this prior reads CLIP's own text states and the table gives the prior a context of 256.
    """
    return StackConfig(
        name="paper",
        clip=ClipConfig(
            embed_dim=1024,
            image_size=256,
            vision={
                "image_size": 256,
                "patch_size": 16,
                "width": 1280,
                "layers": 32,
                "head_width": 80,
            },
            text={"context_length": PAPER_CONTEXT, "width": 1024, "heads": 16, "layers": 24},
        ),
        prior=PriorConfig(
            z_dim=1024,
            text_width=1024,
            context_length=PAPER_CONTEXT,
            width=2048,
            depth=24,
            heads=32,
            embedding_scale="paper-17.2",
        ),
        decoder=_paper_decoder(),
        upsampler_256=UpsamplerConfig(
            low_size=64,
            high_size=256,
            target="eps",
            unet=_convolutional(320, (1, 2, 3, 4), depth=3),
        ),
        upsampler_1024=UpsamplerConfig(
            low_size=256,
            high_size=1024,
            target="eps",
            schedule="linear",
            unet=_convolutional(192, (1, 1, 2, 2, 4, 4), depth=2),
        ),
        expected_parameters={
            "clip": 936_456_705,
            "prior": 1_225_929_728,
            "decoder": 3_467_235_846,
            "upsampler_256": 691_579_523,
            "upsampler_1024": 267_146_691,
        },
    )


def _paper_decoder() -> DecoderConfig:
    """Return GLIDE's 3.5B network: eps, learned variance, a text encoder of its own."""
    return DecoderConfig(
        image_size=64,
        z_dim=1024,
        target="eps",
        unet=UnetConfig(
            patch=1,
            channels=512,
            multipliers=(1, 2, 3, 4),
            depth=3,
            attention_levels=(1, 2, 3),  # 32, 16 and 8 px
            head_channels=64,
            context_width=2048,
            vector_width=2048,
            project_vector=False,
            learned_variance=True,
        ),
        text=TextEncoderConfig(context_length=PAPER_CONTEXT, width=2048, depth=24, heads=32),
        pooled_text=True,
    )


def _convolutional(channels: int, multipliers: tuple[int, ...], *, depth: int) -> UnetConfig:
    """Return an upsampler's network: no attention, the timestep added.

    AddGN gives the published 700M and 300M (691.6M, 267.1M); AdaGN would give 729.7M and 282.1M.
    """
    return UnetConfig(
        patch=1,
        channels=channels,
        multipliers=multipliers,
        depth=depth,
        condition_channels=3,
        scale_shift=False,
    )


def base() -> StackConfig:
    """Return a stack for one GPU of 24 GB: the paper's shapes at about a tenth of their size.

    The largest stage holds 266M parameters: weights, gradients, Adam and the moving average in
    float32 take 20 bytes each, 5.3 GB, which leaves the rest to activations.
    """
    return StackConfig(
        name="base",
        clip=ClipConfig(
            embed_dim=512,
            image_size=128,
            vision={
                "image_size": 128,
                "patch_size": 16,
                "width": 512,
                "layers": 12,
                "head_width": 64,
            },
            text={"context_length": 77, "width": 512, "heads": 8, "layers": 8},
        ),
        prior=PriorConfig(
            z_dim=512, text_width=512, context_length=77, width=1024, depth=12, heads=16
        ),
        decoder=DecoderConfig(
            image_size=64,
            z_dim=512,
            target="eps",
            unet=UnetConfig(
                patch=1,
                channels=192,
                multipliers=(1, 2, 3, 4),
                depth=2,
                attention_levels=(1, 2, 3),
                head_channels=64,
                context_width=512,
                vector_width=768,
                project_vector=False,
                learned_variance=True,
            ),
            text=TextEncoderConfig(context_length=77, width=512, depth=8, heads=8),
            pooled_text=True,
        ),
        upsampler_256=UpsamplerConfig(
            low_size=64,
            high_size=256,
            target="eps",
            unet=_convolutional(128, (1, 2, 3, 4), depth=2),
        ),
        upsampler_1024=UpsamplerConfig(
            low_size=256,
            high_size=1024,
            target="eps",
            schedule="linear",
            unet=_convolutional(64, (1, 1, 2, 2, 4, 4), depth=2),
        ),
        expected_parameters={
            "clip": 64_305_153,
            "prior": 155_442_688,
            "decoder": 265_927_878,
            "upsampler_256": 86_285_315,
            "upsampler_1024": 29_722_435,
        },
    )


PRESETS = {"scenes": scenes, "tiny": tiny, "base": base, "paper": paper}


def preset(name: str) -> StackConfig:
    """Return a preset of any size by name.

    Raises:
        ValueError: no preset has this name; the message lists near matches.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}{nearest(name, PRESETS)}")
    return PRESETS[name]()
