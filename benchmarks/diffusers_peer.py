"""The peer of benchmarks/sampling.py and training.py: diffusers' own unCLIP networks and its loop.

The networks are Karlo's, built by diffusers with random weights at smaller widths, and converted by
our importer (reference_model/karlo), so both sides compute the same function of the same weights.
The loop is that of diffusers' UnCLIPPipeline, stage by stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from diffusers import PriorTransformer, UnCLIPScheduler, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel
from torch import Tensor, nn
from torch.nn import functional

from reference_model.clip import TextEncoding
from reference_model.karlo.decoder import KarloDecoder
from reference_model.karlo.importing import convert_decoder, convert_prior, convert_upsampler
from reference_model.karlo.names import Source
from reference_model.karlo.prior import KarloPrior
from reference_model.karlo.text import TextPair
from reference_model.karlo.upsampler import KarloUpsampler

HEAD = 64  # width of every attention head, as in Karlo
SCALES = {"prior": 4.0, "decoder": 8.0}  # the pipeline's default guidance
STEPS = {"prior": 25, "decoder": 25, "upsampler": 7}  # the pipeline's defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Widths of the networks; Karlo's in brackets.

    Attributes:
        z_dim: of CLIP (768).
        context: text tokens (77).
        prior_width, prior_depth: (2048, 20).
        channels: of the decoder's finest level, times 1, 2, 3, 4 (320).
        cross: width of the decoder's context (1536).
        upsampler_channels: (320).
        depth: residual blocks a level (3).
        sizes: of decoder and upsampler (64, 256).
    """

    z_dim: int = 768
    context: int = 77
    prior_width: int = 512
    prior_depth: int = 8
    channels: int = 128
    cross: int = 512
    upsampler_channels: int = 64
    depth: int = 1
    sizes: tuple[int, int] = (64, 256)


class Side(NamedTuple):
    """One side's networks, by stage."""

    prior: nn.Module
    decoder: nn.Module
    upsampler: nn.Module | tuple[nn.Module, nn.Module]
    projections: nn.Module | None = None


def their_prior(shape: Shape) -> PriorTransformer:
    """Build diffusers' prior; what it initialises to zero is drawn at random."""
    net = PriorTransformer(
        num_attention_heads=shape.prior_width // HEAD,
        attention_head_dim=HEAD,
        num_layers=shape.prior_depth,
        embedding_dim=shape.z_dim,
        num_embeddings=shape.context,
        additional_embeddings=4,
    )
    for parameter in (net.positional_embedding, net.prd_embedding, net.clip_mean):
        nn.init.normal_(parameter, std=0.5)
    nn.init.uniform_(net.clip_std, 0.5, 1.5)
    return net


def their_decoder(shape: Shape) -> tuple[UNet2DConditionModel, UnCLIPTextProjModel]:
    """Build diffusers' decoder and the projections before it."""
    c, attention = shape.channels, 3
    net = UNet2DConditionModel(
        sample_size=shape.sizes[0],
        in_channels=3,
        out_channels=6,
        block_out_channels=(c, 2 * c, 3 * c, 4 * c),
        down_block_types=("ResnetDownsampleBlock2D",) + ("SimpleCrossAttnDownBlock2D",) * attention,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D",) * attention + ("ResnetUpsampleBlock2D",),
        layers_per_block=shape.depth,
        attention_head_dim=HEAD,
        norm_num_groups=32,
        cross_attention_dim=shape.cross,
        class_embed_type="identity",
        resnet_time_scale_shift="scale_shift",
    )
    projections = UnCLIPTextProjModel(
        clip_embeddings_dim=shape.z_dim, time_embed_dim=4 * c, cross_attention_dim=shape.cross
    )
    nn.init.normal_(projections.learned_classifier_free_guidance_embeddings)
    return net, projections


def their_upsampler(shape: Shape) -> UNet2DModel:
    """Build one of diffusers' two upsampling networks."""
    c = shape.upsampler_channels
    return UNet2DModel(
        sample_size=shape.sizes[1],
        in_channels=6,
        out_channels=3,
        block_out_channels=(c, 2 * c, 3 * c, 4 * c),
        down_block_types=("ResnetDownsampleBlock2D",) * 4,
        up_block_types=("ResnetUpsampleBlock2D",) * 4,
        layers_per_block=shape.depth,
        norm_num_groups=32,
        norm_eps=1e-5,
        add_attention=False,
        resnet_time_scale_shift="default",
    )


def both_sides(shape: Shape, seed: int = 0) -> tuple[Side, Side]:
    """Return (diffusers', ours): equal weights, ready for inference."""
    torch.manual_seed(seed)
    prior, (decoder, projections) = their_prior(shape), their_decoder(shape)
    first, last = their_upsampler(shape), their_upsampler(shape)
    for net in (prior, decoder, projections, first, last):
        net.eval().requires_grad_(requires_grad=False)
    theirs = Side(prior, decoder, (first, last), projections)
    return theirs, Side(
        converted_prior(prior), converted_decoder(decoder, projections), _upsampler(first, last)
    )


def converted_prior(prior: PriorTransformer) -> KarloPrior:
    """Return diffusers' prior as ours."""
    source = Source(prior.state_dict(), "prior")
    statistics = (source.take("clip_mean")[0], source.take("clip_std")[0])
    heads = prior.config.num_attention_heads
    return _loaded(KarloPrior, convert_prior(source, statistics, heads=heads, clip_range=5.0))


def converted_decoder(
    decoder: UNet2DConditionModel, projections: UnCLIPTextProjModel
) -> KarloDecoder:
    """Return diffusers' decoder with its projections as ours."""
    sources = [Source(net.state_dict(), "decoder") for net in (decoder, projections)]
    return _loaded(KarloDecoder, convert_decoder(*sources, image_size=decoder.config.sample_size))


def _upsampler(first: UNet2DModel, last: UNet2DModel) -> KarloUpsampler:
    sources = [Source(net.state_dict(), "upsampler") for net in (first, last)]
    size = first.config.sample_size
    return _loaded(KarloUpsampler, convert_upsampler(*sources, sizes=(size // 4, size)))


def _loaded(build: Callable[[Any], nn.Module], converted: Any) -> Any:
    network = build(converted.config)
    network.load_state_dict(converted.tensors)
    return network.eval().requires_grad_(requires_grad=False)


def random_text(shape: Shape, n: int) -> TextPair:
    """Return encodings of n captions of 12 tokens and of n empty ones."""
    source = torch.Generator().manual_seed(1)

    def encode(length: int) -> TextEncoding:
        mask = (torch.arange(shape.context) < length).expand(n, -1)
        states = torch.randn(n, shape.context, shape.z_dim, generator=source)
        return TextEncoding(torch.randn(n, shape.z_dim, generator=source), states, mask)

    return TextPair(encode(12), encode(2))


# --- their loop, as in UnCLIPPipeline.__call__ ------------------------------------------------


def _loop(
    scheduler: UnCLIPScheduler, stage: str, x: Tensor, predict: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    scheduler.set_timesteps(STEPS[stage])
    source = torch.Generator().manual_seed(2)
    following = [*scheduler.timesteps[1:], None]
    for t, t_next in zip(scheduler.timesteps, following, strict=True):
        x = scheduler.step(predict(x, t), t, x, prev_timestep=t_next, generator=source).prev_sample
    return x


def _guided(output: Tensor, channels: int, scale: float) -> Tensor:
    null, given = output.chunk(2)
    mean = null[:, :channels] + scale * (given[:, :channels] - null[:, :channels])
    return torch.cat([mean, given[:, channels:]], dim=1)


@torch.no_grad()
def draw_prior(side: Side, text: TextPair) -> Tensor:
    """Run their prior's loop to z_i [n, d]."""
    z, states, mask = (torch.cat([b, a]) for a, b in zip(*text, strict=True))

    def predict(x: Tensor, t: Tensor) -> Tensor:
        output = side.prior(torch.cat([x] * 2), t, z, states, mask).predicted_image_embedding
        return _guided(output, x.shape[1], SCALES["prior"])

    scheduler = UnCLIPScheduler(prediction_type="sample", clip_sample_range=5.0)
    x = torch.randn(text.given.z_t.shape, generator=torch.Generator().manual_seed(3))
    return side.prior.post_process_latents(_loop(scheduler, "prior", x, predict))


@torch.no_grad()
def draw_decoder(side: Side, text: TextPair, z_i: Tensor) -> Tensor:
    """Run their decoder's loop to pictures [n, 3, size, size]."""
    z, states, mask = (torch.cat([b, a]) for a, b in zip(*text, strict=True))
    context, added = side.projections(
        image_embeddings=z_i,
        prompt_embeds=z,
        text_encoder_hidden_states=states,
        do_classifier_free_guidance=True,
    )
    wide = functional.pad(mask, (4, 0), value=True)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        output = side.decoder(
            torch.cat([x] * 2), t, context, class_labels=added, attention_mask=wide
        ).sample
        return _guided(output, x.shape[1], SCALES["decoder"])

    scheduler = UnCLIPScheduler(variance_type="learned_range", prediction_type="epsilon")
    size = side.decoder.config.sample_size
    x = torch.randn(len(z_i), 3, size, size, generator=torch.Generator().manual_seed(4))
    return _loop(scheduler, "decoder", x, predict).clamp(-1, 1)


@torch.no_grad()
def draw_upsampler(side: Side, low: Tensor) -> Tensor:
    """Run their upsampler's loop to pictures four times as large."""
    first, last = side.upsampler
    size = first.config.sample_size
    large = functional.interpolate(
        low, size=[size, size], mode="bicubic", align_corners=False, antialias=True
    )

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return (last if t == 0 else first)(torch.cat([x, large], dim=1), t).sample

    scheduler = UnCLIPScheduler(prediction_type="epsilon")
    x = torch.randn(len(low), 3, size, size, generator=torch.Generator().manual_seed(5))
    return _loop(scheduler, "upsampler", x, predict)
