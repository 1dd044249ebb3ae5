"""A tiny Karlo in diffusers' own networks, and its folder in both layouts on disk."""

import json

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel
from safetensors.torch import save_file

from reference_model.karlo import decoder_names, prior_names, unet_names
from reference_model.karlo.names import Source
from reference_model.karlo.text import NUM_BPE

D, CONTEXT, CROSS = 64, 12, 32
CHANNELS = (64, 128)


def tiny_prior():
    torch.manual_seed(0)
    net = PriorTransformer(
        num_attention_heads=2, attention_head_dim=64, num_layers=2, embedding_dim=D,
        num_embeddings=CONTEXT, additional_embeddings=4,
    )  # fmt: skip
    for parameter in (net.positional_embedding, net.prd_embedding):
        torch.nn.init.normal_(parameter, std=0.5)
    torch.nn.init.normal_(net.clip_mean)
    torch.nn.init.uniform_(net.clip_std, 0.5, 1.5)
    return net.eval().requires_grad_(False)


def tiny_decoder():
    torch.manual_seed(1)
    net = UNet2DConditionModel(
        sample_size=16, in_channels=3, out_channels=6, block_out_channels=CHANNELS,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        layers_per_block=1, attention_head_dim=64, norm_num_groups=32, cross_attention_dim=CROSS,
        class_embed_type="identity", resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    projections = UnCLIPTextProjModel(
        clip_embeddings_dim=D, time_embed_dim=4 * CHANNELS[0], cross_attention_dim=CROSS
    )
    torch.nn.init.normal_(projections.learned_classifier_free_guidance_embeddings)
    return net.eval().requires_grad_(False), projections.eval().requires_grad_(False)


def tiny_upsampler(seed):
    torch.manual_seed(seed)
    net = UNet2DModel(
        sample_size=64, in_channels=6, out_channels=3, block_out_channels=CHANNELS,
        down_block_types=("ResnetDownsampleBlock2D",) * 2,
        up_block_types=("ResnetUpsampleBlock2D",) * 2,
        layers_per_block=1, norm_num_groups=32, norm_eps=1e-5, add_attention=False,
        resnet_time_scale_shift="default",
    )  # fmt: skip
    return net.eval().requires_grad_(False)


def tiny_text():
    """CLIP's text tower in transformers' naming, random."""
    source = torch.Generator().manual_seed(4)

    def layer(name, *shape):
        return {
            f"{name}.weight": 0.2 * torch.randn(*shape, generator=source),
            f"{name}.bias": 0.1 * torch.randn(shape[0], generator=source),
        }

    root, block = "text_model.embeddings", "text_model.encoder.layers.0"
    tensors = {
        f"{root}.token_embedding.weight": torch.randn(NUM_BPE, D, generator=source),
        f"{root}.position_embedding.weight": torch.randn(CONTEXT, D, generator=source),
        "text_projection.weight": torch.randn(D, D, generator=source),
        **layer("text_model.final_layer_norm", D),
    }
    for name in ("layer_norm1", "layer_norm2"):
        tensors |= layer(f"{block}.{name}", D)
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        tensors |= layer(f"{block}.self_attn.{name}", D, D)
    return {**tensors, **layer(f"{block}.mlp.fc1", 4 * D, D), **layer(f"{block}.mlp.fc2", D, 4 * D)}


def write_component(folder, tensors, config):
    folder.mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def write_diffusers_folder(root):
    decoder, projections = tiny_decoder()
    nets = {
        "prior": tiny_prior(), "decoder": decoder, "text_proj": projections,
        "super_res_first": tiny_upsampler(2), "super_res_last": tiny_upsampler(3),
    }  # fmt: skip
    for name, net in nets.items():
        write_component(root / name, net.state_dict(), dict(net.config))
    write_component(
        root / "text_encoder",
        tiny_text(),
        {"num_attention_heads": 1, "hidden_act": "quick_gelu"},
    )
    (root / "prior_scheduler").mkdir()
    (root / "prior_scheduler" / "scheduler_config.json").write_text('{"clip_sample_range": 5.0}')
    return root


def head_major(rows, heads, parts):
    """The inverse of ours: head 0's q, k, v, then head 1's."""
    return rows.view(parts, heads, -1, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)


def original_unet(net, heads_of):
    """guided-diffusion's state dict of a diffusers U-Net."""
    theirs = Source(net.state_dict(), "net")
    config = unet_names.unet_config(theirs, head_channels=64, norm_groups=32)
    made = {}
    for names in unet_names.EDGES.values():
        made |= dict(theirs.layer(names[1], names[0]))
    walks = [
        [*unet_names._down(config, theirs=t), *unet_names._middle(config, theirs=t),
         *unet_names._up(config, theirs=t)]
        for t in (True, False)
    ]  # fmt: skip
    for here, there in zip(*walks, strict=True):
        for a, b in zip(unet_names.DIFFUSERS, unet_names.KARLO, strict=True):
            if f"{here.block}.{a}.weight" in theirs:
                made |= dict(theirs.layer(f"{there.block}.{b}", f"{here.block}.{a}"))
        if here.attention:
            made |= original_attention(theirs, here.attention, there.attention)
    return made


def original_attention(theirs, name, other):
    made = dict(theirs.layer(f"{other}.norm", f"{name}.group_norm"))
    for part in ("weight", "bias"):
        fused = {
            "qkv": [theirs.take(f"{name}.to_{x}.{part}") for x in "qkv"],
            "encoder_kv": [theirs.take(f"{name}.add_{x}_proj.{part}") for x in "kv"],
            "proj_out": [theirs.take(f"{name}.to_out.0.{part}")],
        }
        for layer, parts in fused.items():
            rows = torch.cat(parts)
            if len(parts) > 1:
                rows = head_major(rows, len(parts[0]) // 64, len(parts))
            made[f"{other}.{layer}.{part}"] = rows[..., None] if part == "weight" else rows
    return made


def original_prior(net):
    theirs, made = Source(net.state_dict(), "prior"), {}
    for _, a, b in [*prior_names.PRIOR, ("", "embedding_proj", "text_emb_proj")]:
        made |= dict(theirs.layer(b, a))
    for k in range(2):
        for _, a, b in prior_names.BLOCK:
            made |= dict(
                theirs.layer(f"transformer.resblocks.{k}.{b}", f"transformer_blocks.{k}.{a}")
            )
        for part in ("weight", "bias"):
            rows = torch.cat(
                [theirs.take(f"transformer_blocks.{k}.attn1.to_{x}.{part}") for x in "qkv"]
            )
            made[f"transformer.resblocks.{k}.attn.c_qkv.{part}"] = head_major(rows, 2, 3)
    made["positional_embedding"] = net.positional_embedding.data
    made["prd_emb"] = net.prd_embedding.data
    return made


def write_original_folder(root):
    root.mkdir()
    prior, (decoder, projections) = tiny_prior(), tiny_decoder()
    around, made = Source(projections.state_dict(), "proj"), original_unet(decoder, 64)
    made["cf_param"] = around.take(decoder_names.NULL_Z[0])
    for a, b in [*(row[1:] for row in decoder_names.PROJECTIONS), decoder_names.Z_TOKENS]:
        made |= dict(around.layer(b, a))

    def write(name, tensors, prefix):
        torch.save({"state_dict": {prefix + k: v for k, v in tensors.items()}}, root / name)

    write("prior-ckpt-step=1.ckpt", original_prior(prior), "model.")
    write("decoder-ckpt-step=1.ckpt", made, "model.")
    first, last = (original_unet(tiny_upsampler(seed), 64) for seed in (2, 3))
    both = {f"model_first_steps.{k}": v for k, v in first.items()}
    both |= {f"model_last_step.{k}": v for k, v in last.items()}
    write("improved-sr-ckpt-step=1.ckpt", both, "")
    torch.save((prior.clip_mean.data[0], prior.clip_std.data[0]), root / "ViT-L-14_stats.th")
    write_component(
        root / "text_encoder", tiny_text(), {"num_attention_heads": 1, "hidden_act": "quick_gelu"}
    )
    return root
