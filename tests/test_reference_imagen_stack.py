"""Imagen's decoder in a stack: no prior, the frozen encoder's states, and the unCLIP one's size."""

import json

import pytest
import torch
from cli_fixtures import call
from stack_fixtures import copy_tiny, make_tiny_recipe, train_tiny
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from reference_model import load
from reference_model.decoder import Decoder
from reference_model.imagen import Imagen
from reference_model.manifest import CheckpointError, read_manifest
from reference_model.presets import preset
from reference_model.t5 import read_t5
from reference_model.variants import variants

transformers = pytest.importorskip("transformers")

FAST = {"prior_steps": 2, "prior_candidates": 1, "decoder_steps": 3, "guidance_scale": 1.0}
WORDS = ["<pad>", "</s>", "<unk>", "a", "red", "blue", "circle", "star", "and"]


def write_t5(folder):
    """Write a T5 of random weights in transformers' layout, its tokenizer a list of words."""
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=len(WORDS), d_model=8, d_kv=4, d_ff=16, num_layers=1,
                                   num_decoder_layers=1, num_heads=2)  # fmt: skip
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory):
    return write_t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory, t5_folder):
    folder = tmp_path_factory.mktemp("weights")
    copy_tiny(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_tiny_recipe(monkeypatch)
        train_tiny(folder, "decoder-imagen", "decoder-imagen-noise-power")
        train_tiny(folder, "decoder-imagen-t5", text_encoder=t5_folder)
    return (folder / "tiny").rename(folder / "imagen")


@pytest.fixture(scope="module")
def model(weights):
    return load(weights, device="cpu")


def stages(model, **changes):
    return model.plan_stages(model.resolve_settings({**FAST, **changes}))


def test_it_has_as_many_parameters_as_the_unclip_decoder_within_two_percent():
    """Or a difference between the two would be one of size."""
    with torch.device("meta"):
        ours = Imagen(variants("scenes").decoder_imagen)
        theirs = Decoder(preset("scenes").decoder, ())
    sizes = [sum(p.numel() for p in net.parameters()) for net in (ours, theirs)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


@pytest.mark.parametrize("decoder", ["imagen", "imagen-t5"])
def test_it_draws_what_the_caption_says_whatever_the_batch(model, decoder):
    how = {**FAST, "decoder": decoder, "guidance_scale": 4.0, "threshold": "dynamic"}
    prompts = ["a red circle", "a blue star and a red circle"]
    together = model.generate(prompts, [5, 6], **how).astype(int)
    alone = model.generate(prompts[1:], [6], **how)
    assert abs(together[1] - alone[0]).max() <= 1
    assert alone.tobytes() != model.generate(["a red circle"], [6], **how).tobytes()


def test_there_is_no_prior_and_conditioning_has_no_effect(model):
    usual = stages(model, decoder="imagen")
    assert usual[0].forward_passes == 0
    assert usual[0] == stages(model, conditioning="caption")[0]
    for conditioning in ("text-embedding", "caption"):
        assert stages(model, decoder="imagen", conditioning=conditioning) == usual
    assert stages(model, decoder="imagen", prior_steps=9, prior="eps") == usual


@pytest.mark.parametrize(("decoder", "reads"), [("imagen", "clip"), ("imagen-t5", "text-t5")])
def test_the_address_holds_the_decoder_and_the_encoder_that_it_reads(model, decoder, reads):
    stage, parts = stages(model, decoder=decoder)[1], model.manifest.parts
    assert stage.weights == f"{parts[reads].identity}+{parts[f'decoder-{decoder}'].identity}"
    assert stage.settings["decoder"] == decoder
    assert "decoder" not in stages(model)[1].settings
    assert stages(model) == stages(load("tiny"))


@pytest.mark.parametrize(
    "how",
    [
        {"decoder_sampler": "analytic-dpm"},
        {"decoder_sampler": "heun"},
        {"decoder_eta": 0.5},
        {"clip_guidance_scale": 5.0},
        {"guidance_interval": "200-800", "guidance_rescale": 0.7, "decoder_shift": 3.0},
    ],
)
def test_every_knob_of_the_decoder_is_one_of_this_too(model, how):
    common = {**FAST, "decoder": "imagen", "guidance_scale": 3.0}
    usual = model.generate(["a red circle"], [0], **common)
    assert model.generate(["a red circle"], [0], **common, **how).tobytes() != usual.tobytes()


def test_arms_share_their_noise_with_the_unclip_decoder(model, monkeypatch):
    from reference_model.diffusion import noise

    asked, stream = [], noise._stream
    monkeypatch.setattr(noise, "_stream", lambda *key: asked.append(key) or stream(*key))
    for decoder in ("unclip", "imagen"):
        model.generate(["a red circle"], [3], **FAST, decoder=decoder, conditioning="caption")
    assert asked == [("a red circle", 3, "decoder")] * 2


@pytest.mark.parametrize("decoder", ["imagen", "imagen-t5"])
def test_weights_without_it_are_refused_before_work(decoder):
    with pytest.raises(CheckpointError, match=f"have no part 'decoder-{decoder}'"):
        stages(load("tiny"), decoder=decoder)


SUITE = """\
question: Does a prior help?
model: {{name: {weights}, prior_steps: 2, decoder_steps: 2}}
prompts: {{set: scenes/quick, n: 8}}
samples_per_prompt: 1
sizes: {{all: 64}}
arms:
  unclip: {{}}
  imagen: {{reference: unclip, decoder: imagen}}
  t5: {{reference: imagen, decoder: imagen-t5}}
metrics: [clip_score]
"""


def test_a_suite_holds_it_against_unclip(weights, tmp_path, capsys):
    suite = tmp_path / "imagen.yaml"
    suite.write_text(SUITE.format(weights=weights))
    assert call(capsys, "plan", suite, "--store", tmp_path / "store", "--json").code == 0


def test_a_t5_is_read_whole_and_its_states_are_transformers_own(t5_folder, model):
    encoder = model.network("text-t5")
    theirs = transformers.T5EncoderModel.from_pretrained(t5_folder).eval()
    with torch.no_grad():
        text = encoder.encode_text(["a red circle", "a star"])
        wanted = theirs(torch.tensor([[3, 4, 6, 1]])).last_hidden_state
    assert text.mask.sum(dim=1).tolist() == [4, 3]
    assert torch.allclose(text.states[:1, :4], wanted, atol=2e-2)  # kept in half precision
    assert torch.allclose(text.z_t[0], text.states[0, :4].mean(dim=0), atol=1e-6)


def test_a_long_caption_keeps_its_end_token(t5_folder):
    from reference_model.t5 import T5Text

    config, tensors = read_t5(t5_folder, max_length=5)
    encoder = T5Text(config)
    encoder.load_state_dict(tensors)
    ids = encoder._tokenizer().encode("a red circle and a blue star").ids
    assert ids == [3, 4, 6, 8, 1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is no JSON"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'), "no T5"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no T5 that can be read"),
    ],
)
def test_a_folder_that_is_no_t5_is_named(tmp_path, spoil, message):
    folder = write_t5(tmp_path)
    spoil(folder)
    with pytest.raises(CheckpointError, match=message):
        read_t5(folder)


def test_a_pickle_in_the_folder_is_never_opened(tmp_path):
    folder = write_t5(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="no T5 that can be read"):
        read_t5(folder)


def test_its_training_asks_for_the_t5_and_other_stages_refuse_one(tmp_path, monkeypatch, t5_folder):
    copy_tiny(tmp_path)
    make_tiny_recipe(monkeypatch)
    with pytest.raises(CheckpointError, match="give --text-encoder FOLDER"):
        train_tiny(tmp_path, "decoder-imagen-t5")
    with pytest.raises(ValueError, match="read by the stage decoder-imagen-t5 alone"):
        train_tiny(tmp_path, "decoder-imagen", text_encoder=t5_folder)


def test_describe_shows_the_variants_and_the_setting(capsys):
    facts = json.loads(call(capsys, "describe", "scenes", "--json").out)
    shown = facts["presets"]["variants"]
    assert set(shown["parameters"]) == {
        "prior_ar", "classifier", "decoder_imagen", "upsampler_256_efficient",
    }  # fmt: skip
    assert shown["config"]["decoder_imagen"]["text_encoder"] == "clip"
    assert facts["models"]["settings"]["decoder"]["allowed"] == ["unclip", "imagen", "imagen-t5"]


def test_the_manifest_tells_which_encoder_a_decoder_was_trained_on(weights):
    parts = read_manifest(weights).parts
    assert parts["decoder-imagen"].config["text_encoder"] == "clip"
    assert parts["decoder-imagen-t5"].config["text_encoder"] == "text-t5"
    assert parts["decoder-imagen-t5"].config["text_width"] == 8
