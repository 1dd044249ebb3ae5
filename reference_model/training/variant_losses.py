"""The loss of each part besides the main line: a function of the part, the data and the step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reference_model.ar_prior import AutoregressivePrior
from reference_model.classes import class_of
from reference_model.classifier import NoisyClassifier
from reference_model.clip import Clip, TextEncoding, to_model_range
from reference_model.diffusion.schedule import Schedule
from reference_model.imagen import Imagen
from reference_model.t5 import T5Text
from reference_model.training.data import CaptionedImages
from reference_model.training.stages import EmbeddedCaptions, generator, noised, weighted_loss


def prior_ar_loss(
    prior: AutoregressivePrior, clip: Clip, data: EmbeddedCaptions, *, batch_size: int, step: int
) -> Tensor:
    """Return the autoregressive prior's loss on cached embeddings; the text is dropped 10%."""
    source = generator(step, 8)
    rows = torch.randint(0, len(data.z_i), (batch_size,), generator=source)
    with torch.no_grad():
        z_t, states, mask = clip.encode_tokens(data.tokens[rows])
    known = torch.rand(batch_size, generator=source) >= prior.config.text_dropout
    text = (z_t.float(), states.float(), mask)
    return prior.loss(data.z_i[rows], text, known.to(z_t.device))


def classifier_step_loss(
    classifier: NoisyClassifier,
    schedule: Schedule,
    data: CaptionedImages,
    *,
    batch_size: int,
    image_size: int,
    step: int,
    noise_shift: float = 1.0,
) -> Tensor:
    """Return the classifier's cross-entropy on one step's noised pictures.

    Pictures whose caption names no class, or several, are left out.

    Raises:
        ValueError: that are all of the batch.
    """
    batch = data.batch(step * batch_size, batch_size, image_size)
    labels = [class_of(caption, classifier.config.classes) for caption in batch.captions]
    kept = [row for row, label in enumerate(labels) if label is not None]
    if not kept:
        raise ValueError(f"no caption of step {step} names one class: {batch.captions[0]!r}")
    device = next(classifier.parameters()).device
    x0 = to_model_range(batch.images[kept], device)
    x_t, t, _, _ = noised(x0, schedule, generator(step, 9), noise_shift)
    wanted = torch.tensor([labels[row] for row in kept], device=device)
    return functional.cross_entropy(classifier(x_t, t).float(), wanted)


def imagen_loss(
    model: Imagen,
    encoder: Clip | T5Text,
    data: CaptionedImages,
    *,
    batch_size: int,
    step: int,
    noise_shift: float = 1.0,
) -> Tensor:
    """Return Imagen's loss of one step; the frozen encoder's text is dropped 10%."""
    config, source = model.config, generator(step, 10)
    device = model.states_norm.weight.device
    batch = data.batch(step * batch_size, batch_size, config.image_size)
    with torch.no_grad():
        text = _encoded(encoder, batch.captions, step)
    known = torch.rand(batch_size, generator=source) >= config.text_dropout
    x0 = to_model_range(batch.images, device)
    x_t, t, _, alpha_bar = noised(x0, model.schedule, source, noise_shift)
    output = model(x_t, t, *model.condition(text, known.to(device)))
    return weighted_loss(config.target, output, x0, x_t, alpha_bar)


def _encoded(encoder: Clip | T5Text, captions: list[str], step: int) -> TextEncoding:
    """Encode captions, in float32; CLIP's are spelled at random, as its own training was."""
    if isinstance(encoder, T5Text):
        text = encoder.encode_text(captions)
    else:
        tokens = encoder.tokenizer(captions, spell_probability=0.15, seed=step)
        text = encoder.encode_tokens(tokens.to(encoder.device))
    return TextEncoding(text.z_t.float(), text.states.float(), text.mask)
