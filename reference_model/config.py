"""The shapes of every part of the reference DALL·E 2, as frozen data, and their JSON.

The named architectures that use them stand in `presets`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args, get_type_hints

Target = Literal["x0", "eps", "v"]
ScheduleName = Literal["cosine", "linear"]
EmbeddingScale = Literal["per-dimension", "sqrt-d", "paper-17.2"]
TokenizerName = Literal["bpe", "bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipConfig:
    """CLIP (Radford et al. 2021) built from open_clip's model classes.

    Attributes:
        vision: open_clip ``vision_cfg`` (a ViT, or a ResNet when ``layers`` is a list).
        text: open_clip ``text_cfg`` without ``vocab_size``, which the vocabulary decides.
    """

    embed_dim: int
    image_size: int
    vision: dict[str, Any]
    text: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorConfig:
    """Diffusion prior (paper §2.2): a causal transformer that predicts z_i from text.

    Attributes:
        target: what the network is trained to output.
        embedding_scale: how unit-length z_i is brought to the scale of diffusion: ``per-dimension``
            mean and deviation (Karlo), ``sqrt-d`` (DALLE2-pytorch) or the constant 17.2 (paper,
            App. C).
        text_dropout: probability of replacing the text by the null condition in training (paper:
            10%).
        noise_skip: whether x_t is added to the output through a gate for each timestep
            (not in the paper). A narrow transformer cannot carry all entries of the noise through
            its LayerNorms, so without it eps-prediction fails for a reason that is not its own.
    """

    z_dim: int
    text_width: int
    context_length: int
    width: int
    depth: int
    heads: int
    target: Target = "x0"
    schedule: ScheduleName = "cosine"
    num_timesteps: int = 1000
    embedding_scale: EmbeddingScale = "per-dimension"
    text_dropout: float = 0.1
    noise_skip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnetConfig:
    """ADM-style U-Net (Dhariwal & Nichol 2021, arXiv 2105.05233).

    Attributes:
        patch: side of the pixel-unshuffle before the stem (1 = none, as in the paper).
        attention_levels: which levels have attention, counted from the finest (0).
        context_width: width of the tokens that attention also looks at; 0 for none.
        condition_channels: channels of the low-resolution picture, given on the stem's grid.
        vector_width: width of the vector that is added to the timestep embedding; 0 for none.
        embedding_multiplier: width of the timestep embedding over ``channels`` (ADM: 4).
        project_vector: False where the vector already has the timestep embedding's width.
        scale_shift: whether the timestep scales and shifts (ADM's AdaGN) or is only added (AddGN).
        learned_variance: whether the output holds the variance's place between its bounds too.
        norm_groups: of every GroupNorm; 0 = ADM's 32, fewer where channels are few.
        depths: residual blocks of each level, the finest first; empty = ``depth`` at each.
        efficient: Imagen's Efficient U-Net (arXiv 2205.11487, App. B) in place of ADM's.
    """

    patch: int
    channels: int
    multipliers: tuple[int, ...]
    depth: int
    attention_levels: tuple[int, ...] = ()
    head_channels: int = 32
    context_width: int = 0
    condition_channels: int = 0
    vector_width: int = 0
    embedding_multiplier: int = 4
    project_vector: bool = True
    scale_shift: bool = True
    learned_variance: bool = False
    norm_groups: int = 0
    depths: tuple[int, ...] = ()
    efficient: bool = False

    def __post_init__(self) -> None:
        """Refuse depths that do not say one number a level, or that ADM's U-Net would not read."""
        if self.depths and len(self.depths) != len(self.multipliers):
            raise ValueError(f"{len(self.depths)} depths for {len(self.multipliers)} levels")
        if self.depths and not self.efficient:
            raise ValueError("depths are of the efficient U-Net; ADM's has one depth")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoderConfig:
    """The decoder's own text encoder (GLIDE): looks both ways, learned padding.

    Attributes:
        tokenizer: ``bpe`` hides the spelling of known words (paper §7), ``bytes`` shows it.
        neighbours: width of a convolution over the token embeddings, odd; 0 for none (as in the
            paper). To draw "a red square and a blue circle" the encoder has to join neighbours and
            the U-Net to look up what was joined; either is useless alone, so both are learned late.
            The convolution gives the first from the start (docs/notebook.md).
    """

    context_length: int
    width: int
    depth: int
    heads: int
    tokenizer: TokenizerName = "bpe"
    neighbours: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """Decoder to 64 px (paper §2.1): z_i in the timestep embedding and as extra context tokens.

    Attributes:
        z_dropout: probability of the null z_i in training (paper: 10%).
        text_dropout: probability of the empty caption, independent of it (paper: 50%).
        pooled_text: whether the state of the caption's end token is also added to the timestep
            embedding, as in GLIDE.
    """

    image_size: int
    z_dim: int
    unet: UnetConfig
    text: TextEncoderConfig
    target: Target = "x0"
    schedule: ScheduleName = "cosine"
    num_timesteps: int = 1000
    num_z_tokens: int = 4
    z_dropout: float = 0.1
    text_dropout: float = 0.5
    pooled_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsamplerConfig:
    """Upsampler (paper §2.1): convolutional, no attention, no text, trained on crops.

    Attributes:
        blur_sigma: gaussian blur (kernel 3) of the conditioning in training (paper: 0.6).
        noise_std: largest deviation of the gaussian noise on it, in units of [-1, 1].
        residual: whether the network's output is added to the enlarged low-resolution picture (only
            with target x0; the paper's predicts eps and has none). Flat areas are then right from
            the first step, which few DDIM steps of a small network are not otherwise.
    """

    low_size: int
    high_size: int
    unet: UnetConfig
    target: Target = "x0"
    schedule: ScheduleName = "cosine"
    num_timesteps: int = 1000
    blur_sigma: float = 0.6
    noise_std: float = 0.1
    residual: bool = False

    def __post_init__(self) -> None:
        """Refuse a residual of anything but x0."""
        if self.residual and self.target != "x0":
            raise ValueError(f"an upsampler with residual predicts x0, not {self.target}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePowerConfig:
    """What a measured noise power belongs to (Analytic-DPM).

    Attributes:
        of: identity of the part whose eps_hat was measured; no other part may be sampled with it.
        num_timesteps: of that part.
        num_samples: training samples that the mean at each timestep is over.
    """

    of: str
    num_timesteps: int
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingPcaConfig:
    """What measured principal components belong to (paper §4.1).

    Attributes:
        of: identity of the CLIP whose z_i they are; no other CLIP's may be rebuilt from them.
        z_dim: entries of z_i, and components.
        num_samples: training pictures that they were fitted on.
    """

    of: str
    z_dim: int
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """All stages of one preset.

    Attributes:
        expected_parameters: of every stage, without the rows of its vocabulary; checked by a test.
    """

    name: str
    clip: ClipConfig
    prior: PriorConfig
    decoder: DecoderConfig
    upsampler_256: UpsamplerConfig
    upsampler_1024: UpsamplerConfig
    expected_parameters: dict[str, int] = field(default_factory=dict)


def to_json(config: Any) -> dict[str, Any]:
    """Return a config as plain JSON data."""
    return asdict(config)


def from_json(kind: type, data: dict[str, Any]) -> Any:
    """Rebuild a config dataclass from `to_json`, checking names and literal values.

    Raises:
        ValueError: a field is unknown, missing, or outside its allowed values.
    """
    hints = get_type_hints(kind)
    unknown = set(data) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    try:
        return kind(**{name: _value(hints[name], value, name) for name, value in data.items()})
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from None


def _value(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return from_json(hint, value)
    allowed = get_args(hint)
    if allowed and all(isinstance(a, str) for a in allowed) and value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    return tuple(value) if isinstance(value, list) and "tuple" in str(hint) else value
