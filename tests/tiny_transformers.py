"""Tiny random SD 3 and FLUX.1 pipelines from configs alone, and their weights in the original single-file layouts.

Everything is in eval mode: a network built from a config trains, and T5 then drops a tenth of its activations at random.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from safetensors.torch import save_file
from tiny_models import byte_tokenizer
from tiny_models.ldm import vae_to_ldm
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel, T5Tokenizer

SIZE = 64  # pixels; 8 x 8 latent positions
LATENT_SHAPE = (16, 8, 8)


def tiny_sd3(*, seed: int = 0, shift: float = 3.0, newer: bool = False) -> StableDiffusion3Pipeline:
    """newer: with what SD 3.5 brought, normalised queries and keys, and a second attention in the first layer."""
    torch.manual_seed(seed)
    words = t5_tokenizer()
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=96,
        pooled_projection_dim=80,
        pos_embed_max_size=8,
        dual_attention_layers=(0,) if newer else (),
        qk_norm="rms_norm" if newer else None,
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        vae=_vae(0.0609, 1.5305),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        text_encoder=CLIPTextModelWithProjection(_clip(32, "quick_gelu")),
        tokenizer=byte_tokenizer(),
        text_encoder_2=CLIPTextModelWithProjection(_clip(48, "gelu")),
        tokenizer_2=byte_tokenizer(),
        text_encoder_3=_t5(len(words), 96),
        tokenizer_3=words,
    )
    return _ready(pipeline)


def tiny_flux(*, seed: int = 0, dev: bool = True) -> FluxPipeline:
    """dev: told a guidance scale, and with a shift that depends on the picture's size; else like schnell."""
    torch.manual_seed(seed)
    words = t5_tokenizer()
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=40,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 6, 6),
        guidance_embeds=dev,
    )
    scheduler: dict[str, Any] = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "shift": 3.0}
    pipeline = FluxPipeline(
        transformer=transformer,
        vae=_vae(0.1159, 0.3611),
        scheduler=FlowMatchEulerDiscreteScheduler(**(scheduler if dev else {"shift": 1.0})),
        text_encoder=CLIPTextModel(_clip(32, "quick_gelu")),
        tokenizer=byte_tokenizer(),
        text_encoder_2=_t5(len(words), 40),
        tokenizer_2=words,
    )
    return _ready(pipeline)


def t5_tokenizer() -> Any:
    """T5's kind of tokenizer with single characters as pieces."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)] + [(chr(c), -5.0) for c in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def _ready(pipeline: Any) -> Any:
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    with torch.no_grad():
        for name, parameter in pipeline.transformer.named_parameters():
            # At first a transformer's modulations are nearly off, and what it reads with them.
            if parameter.ndim == 2 and ("norm" in name or "embedder" in name):
                parameter.mul_(4)
        pipeline.transformer.proj_out.weight.mul_(3)
        pipeline.vae.decoder.conv_out.weight.mul_(2)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _clip(width: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def _t5(words: int, width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=words,
            d_model=width,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        )
    )


def _vae(shift: float, scale: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=32,
        sample_size=SIZE,
        shift_factor=shift,
        scaling_factor=scale,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


# ---- the original layouts, fused from diffusers' side -------------------------------------------------------------------


def sd3_to_original(pipeline: StableDiffusion3Pipeline) -> dict[str, Tensor]:
    """The transformer's weights under Stability's names."""
    weights, out, last = dict(pipeline.transformer.state_dict()), {}, pipeline.transformer.config.num_layers - 1
    top = {
        "pos_embed.proj": "x_embedder.proj",
        "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
        "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
        "context_embedder": "context_embedder",
        "proj_out": "final_layer.linear",
    }
    out["pos_embed"] = weights.pop("pos_embed.pos_embed")
    for leaf in ("weight", "bias"):
        for ours, theirs in top.items():
            out[f"{theirs}.{leaf}"] = weights.pop(f"{ours}.{leaf}")
        out[f"final_layer.adaLN_modulation.1.{leaf}"] = _swapped(weights.pop(f"norm_out.linear.{leaf}"))
        for index in range(last + 1):
            block, stored = f"transformer_blocks.{index}.", f"joint_blocks.{index}."
            fused = {"attn.to_{}": "x_block.attn", "attn.add_{}_proj": "context_block.attn", "attn2.to_{}": "x_block.attn2"}
            for pattern, place in fused.items():
                names = [f"{block}{pattern.format(letter)}.{leaf}" for letter in "qkv"]
                if names[0] in weights:
                    out[f"{stored}{place}.qkv.{leaf}"] = torch.cat([weights.pop(name) for name in names])
            parts = {
                "attn.to_out.0": "x_block.attn.proj",
                "attn.to_add_out": "context_block.attn.proj",
                "attn2.to_out.0": "x_block.attn2.proj",
                "attn.norm_q": "x_block.attn.ln_q",
                "attn.norm_k": "x_block.attn.ln_k",
                "attn.norm_added_q": "context_block.attn.ln_q",
                "attn.norm_added_k": "context_block.attn.ln_k",
                "attn2.norm_q": "x_block.attn2.ln_q",
                "attn2.norm_k": "x_block.attn2.ln_k",
                "norm1.linear": "x_block.adaLN_modulation.1",
                "norm1_context.linear": "context_block.adaLN_modulation.1",
                "ff.net.0.proj": "x_block.mlp.fc1",
                "ff.net.2": "x_block.mlp.fc2",
                "ff_context.net.0.proj": "context_block.mlp.fc1",
                "ff_context.net.2": "context_block.mlp.fc2",
            }
            for ours, theirs in parts.items():
                if f"{block}{ours}.{leaf}" in weights:
                    tensor = weights.pop(f"{block}{ours}.{leaf}")
                    swap = index == last and ours == "norm1_context.linear"
                    out[f"{stored}{theirs}.{leaf}"] = _swapped(tensor) if swap else tensor
    assert not weights, list(weights)
    return out


def flux_to_original(pipeline: FluxPipeline) -> dict[str, Tensor]:
    """The transformer's weights under Black Forest Labs' names."""
    weights, out = dict(pipeline.transformer.state_dict()), {}
    top = {
        "time_text_embed.timestep_embedder": "time_in",
        "time_text_embed.text_embedder": "vector_in",
        "time_text_embed.guidance_embedder": "guidance_in",
    }
    double = {
        "norm1.linear": "img_mod.lin",
        "norm1_context.linear": "txt_mod.lin",
        "attn.to_out.0": "img_attn.proj",
        "attn.to_add_out": "txt_attn.proj",
        "ff.net.0.proj": "img_mlp.0",
        "ff.net.2": "img_mlp.2",
        "ff_context.net.0.proj": "txt_mlp.0",
        "ff_context.net.2": "txt_mlp.2",
    }
    config = pipeline.transformer.config
    for leaf in ("weight", "bias"):
        for ours, theirs in top.items():
            if f"{ours}.linear_1.{leaf}" in weights:
                out[f"{theirs}.in_layer.{leaf}"] = weights.pop(f"{ours}.linear_1.{leaf}")
                out[f"{theirs}.out_layer.{leaf}"] = weights.pop(f"{ours}.linear_2.{leaf}")
        for ours, theirs in (("context_embedder", "txt_in"), ("x_embedder", "img_in"), ("proj_out", "final_layer.linear")):
            out[f"{theirs}.{leaf}"] = weights.pop(f"{ours}.{leaf}")
        out[f"final_layer.adaLN_modulation.1.{leaf}"] = _swapped(weights.pop(f"norm_out.linear.{leaf}"))
        for index in range(config.num_layers):
            block, stored = f"transformer_blocks.{index}.", f"double_blocks.{index}."
            for ours, theirs in double.items():
                out[f"{stored}{theirs}.{leaf}"] = weights.pop(f"{block}{ours}.{leaf}")
            for pattern, stream in (("attn.to_{}", "img"), ("attn.add_{}_proj", "txt")):
                names = [f"{block}{pattern.format(letter)}.{leaf}" for letter in "qkv"]
                out[f"{stored}{stream}_attn.qkv.{leaf}"] = torch.cat([weights.pop(name) for name in names])
        for index in range(config.num_single_layers):
            block, stored = f"single_transformer_blocks.{index}.", f"single_blocks.{index}."
            names = [f"{block}{part}.{leaf}" for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
            out[f"{stored}linear1.{leaf}"] = torch.cat([weights.pop(name) for name in names])
            out[f"{stored}linear2.{leaf}"] = weights.pop(f"{block}proj_out.{leaf}")
            out[f"{stored}modulation.lin.{leaf}"] = weights.pop(f"{block}norm.linear.{leaf}")
    for name in list(weights):
        kind, index, _, part, _ = name.split(".")
        stored = f"single_blocks.{index}.norm" if kind.startswith("single") else f"double_blocks.{index}.img_attn.norm"
        stored = stored.replace("img", "txt") if "added" in part else stored
        out[f"{stored}.{'query' if part.endswith('q') else 'key'}_norm.scale"] = weights.pop(name)
    return out


def save_original(pipeline: Any, path: Path, *, vae: str = "first_stage_model.", text: bool = True, t5: bool = True) -> Path:
    """One file in the original layout with the configs and vocabularies beside it; text, t5: with these networks in it.

    The transformer's names have the prefix that full checkpoints give them.
    """
    is_flux = isinstance(pipeline, FluxPipeline)
    transformer = flux_to_original(pipeline) if is_flux else sd3_to_original(pipeline)
    tensors = {f"model.diffusion_model.{name}": tensor for name, tensor in transformer.items()}
    tensors |= vae_to_ldm(pipeline.vae, vae)
    numbers = {"clip_l": "", "t5xxl": "_2"} if is_flux else {"clip_l": "", "clip_g": "_2", "t5xxl": "_3"}
    sidecar = path.with_suffix(".config")
    for encoder, number in numbers.items():
        model = getattr(pipeline, f"text_encoder{number}")
        if model is None or not (t5 if encoder == "t5xxl" else text):
            continue
        for name, tensor in model.state_dict().items():
            inner = "text_model." if encoder != "t5xxl" and name[:4] not in ("text",) else ""
            tensors[f"text_encoders.{encoder}.transformer.{inner}{name}"] = tensor
        model.config.save_pretrained(sidecar / f"text_encoder{number}")
        getattr(pipeline, f"tokenizer{number}").save_pretrained(sidecar / f"tokenizer{number}")
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path)
    pipeline.transformer.save_config(sidecar / "transformer")
    pipeline.vae.save_config(sidecar / "vae")
    pipeline.scheduler.save_config(sidecar / "scheduler")
    return path


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _swapped(tensor: Tensor) -> Tensor:
    return torch.cat(tensor.chunk(2)[::-1])
