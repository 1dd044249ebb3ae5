"""The loss of each part besides the main line: a function of the part, the data and the rows."""

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
from reference_model.training.embeddings import EmbeddedCaptions
from reference_model.training.rows import Rows
from reference_model.training.stages import generator, noised, weighted_loss

NO_CLASS = -100  # what `cross_entropy` leaves out


def prior_ar_loss(
    prior: AutoregressivePrior, clip: Clip, data: EmbeddedCaptions, *, rows: Rows
) -> Tensor:
    """Return the autoregressive prior's loss on cached embeddings; the text is dropped 10%."""
    source = generator(rows.step, 8)
    chosen = rows.of(torch.randint(0, len(data.z_i), (rows.batch_size,), generator=source))
    with torch.no_grad():
        z_t, states, mask = clip.encode_tokens(data.tokens[chosen])
    known = rows.rand(source) >= prior.config.text_dropout
    text = (z_t.float(), states.float(), mask)
    return prior.loss(data.z_i[chosen], text, known.to(z_t.device))


def classifier_step_loss(
    classifier: NoisyClassifier,
    schedule: Schedule,
    data: CaptionedImages,
    *,
    rows: Rows,
    image_size: int,
    noise_shift: float = 1.0,
) -> Tensor:
    """Return the classifier's cross-entropy on the noised pictures of a step's rows.

    Pictures whose caption names no class, or several, are left out; the mean is over those of the
    whole batch that are left, however they lie in its passes.

    Raises:
        ValueError: none is left of the batch.
    """
    batch = data.batch(rows.start, rows.batch_size, image_size, rows=rows.range)
    found = [class_of(caption, classifier.config.classes) for caption in batch.captions]
    num_kept = sum(label is not None for label in found)
    if not num_kept:
        raise ValueError(f"no caption of step {rows.step} names one class: {batch.captions[0]!r}")
    device = next(classifier.parameters()).device
    x0 = to_model_range(batch.images, device)
    x_t, t, _, _ = noised(x0, schedule, generator(rows.step, 9), noise_shift, rows)
    labels = torch.tensor([NO_CLASS if label is None else label for label in found])
    logits = classifier(x_t, t).float()
    wanted = rows.of(labels).to(device)
    total = functional.cross_entropy(logits, wanted, ignore_index=NO_CLASS, reduction="sum")
    return total / num_kept / rows.share


def imagen_loss(
    model: Imagen,
    encoder: Clip | T5Text,
    data: CaptionedImages,
    *,
    rows: Rows,
    noise_shift: float = 1.0,
) -> Tensor:
    """Return Imagen's loss of a step's rows; the frozen encoder's text is dropped 10%."""
    config, source = model.config, generator(rows.step, 10)
    device = model.states_norm.weight.device
    batch = data.batch(rows.start, rows.batch_size, config.image_size, rows=rows.range)
    with torch.no_grad():
        text = _encoded(encoder, batch.captions, rows)
    known = rows.rand(source) >= config.text_dropout
    x0 = to_model_range(batch.images, device)
    x_t, t, _, alpha_bar = noised(x0, model.schedule, source, noise_shift, rows)
    output = model(x_t, t, *model.condition(text, known.to(device)))
    return weighted_loss(config.target, output, x0, x_t, alpha_bar)


def _encoded(encoder: Clip | T5Text, captions: list[str], rows: Rows) -> TextEncoding:
    """Encode the rows' captions in float32; CLIP's are spelled at random, as its training's."""
    if isinstance(encoder, T5Text):
        text = encoder.encode_text(captions[rows.first : rows.last])
    else:
        tokens = encoder.tokenizer(captions, spell_probability=0.15, seed=rows.step)
        text = encoder.encode_tokens(rows.of(tokens).to(encoder.device))
    return TextEncoding(text.z_t.float(), text.states.float(), text.mask)
