"""The models that are trained here, and the bundled one: a U-Net that is told a prompt (by a MiniLM), a class, or a layout.

Layout of a model folder (see models/starter; training's keep_model writes them):
  starter.json    latent {mean, std}: normalised = (z - mean) / std; optional downscale (pixels per latent position),
                  resolution (native pixels, or [width, height]), text_length (tokens), preview {factors [C][3], bias [3]},
                  prediction and process (NoiseProcess's fields; without them a rectified flow: x_t = (1 - t) x0 + t noise,
                  output = noise - x0, timestep = 1000 t), conditioning, concat_channels, classes (names, by number)
  unet/           diffusers UNet2DConditionModel; its class embedding receives the pooled prompt, or the class's number, of
                  which the one after the last stands for nothing
  vae/            diffusers AutoencoderKL or VQModel
  text_encoder/   BERT and its tokenizer, where it is told a prompt
A folder with an autoencoder alone has no unet/. The weights are plain safetensors or, where `model.int8.safetensors` exists,
int8 with one scale per row. The unconditional prompt is "".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from nodegraph_nodes.diffusion.prompts.chunks import Token
from nodegraph_nodes.types import (
    Autoencoder,
    Conditioning,
    Denoiser,
    NoiseProcess,
    Precision,
    Prediction,
    PreviewFactors,
    ShiftBySize,
    TextEncoder,
    Told,
)

from .assemble import fill, skeleton
from .classes import Classes
from .errors import BrokenModel, NotPrompted
from .family import Family, Recipes
from .held_model import HeldModel
from .ldm_networks import LDMDenoiser
from .networks import KLAutoencoder, UNetDenoiser
from .source import ModelSource, read_header, read_json, read_tensors
from .vq import VQAutoencoder

NAME = "starter"
_CARD = "starter.json"
_UNET_WEIGHTS = ("model.int8.safetensors", "diffusion_pytorch_model.safetensors")
_VAE_WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.int8.safetensors")
_TEXT_WEIGHTS = ("model.int8.safetensors", "model.safetensors")
_DEFAULT_TEXT_LENGTH = 24


def recognise(source: ModelSource) -> bool:
    return source.has(_CARD)


def describe(source: ModelSource, precision: Precision) -> Recipes:
    """Recipes of a starter-layout folder, from its card and configs. Raises BrokenModel."""
    if not source.has("unet/config.json") and source.has("vae/config.json"):
        raise BrokenModel(str(source.path), "it is an autoencoder alone. Load it with diffusion/load_autoencoder.")
    card, unet = source.json(_CARD), source.json("unet/config.json")
    autoencoder = describe_autoencoder_of(source, precision)
    read_header(source.weights("unet", *_UNET_WEIGHTS))
    path, digest, channels, downscale = str(source.path), source.digest, int(unet["out_channels"]), autoencoder.downscale
    try:
        told = _told(card)
        prediction, process = _objective(card)
        native = card.get("resolution", unet["sample_size"] * downscale)
        width, height = (int(side) for side in (native if isinstance(native, list) else (native, native)))
        preview = _preview(card, channels)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenModel(path, f"{_CARD} says what cannot be used ({error!r}).") from error
    if told == "prompt" and not card.get("regions"):
        read_header(source.weights("text_encoder", *_TEXT_WEIGHTS))
    return Recipes(
        Denoiser(
            NAME,
            path,
            digest,
            prediction=prediction,
            process=process,
            latent_channels=channels,
            downscale=downscale,
            size_multiple=downscale * 2 ** (len(unet["block_out_channels"]) - 1),
            native_size=(width, height),
            preview=preview,
            precision=precision,
            concat_channels=int(unet["in_channels"]) - channels,
            conditioning=told,
        ),
        TextEncoder(NAME, path, digest, precision),
        autoencoder,
    )


def describe_autoencoder_of(source: ModelSource, precision: Precision) -> Autoencoder:
    """The autoencoder of a starter-layout folder, which may hold nothing else. Raises BrokenModel."""
    card, vae = source.json(_CARD), source.json("vae/config.json")
    read_header(source.weights("vae", *_VAE_WEIGHTS))
    downscale = int(card.get("downscale", 2 ** (len(vae["block_out_channels"]) - 1)))
    try:
        mean, std = float(card["latent"]["mean"]), float(card["latent"]["std"])
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenModel(str(source.path), f"{_CARD} has no usable latent statistics ({error!r}).") from error
    channels = int(vae["latent_channels"])
    return Autoencoder(
        NAME, str(source.path), source.digest, channels, downscale, shift=mean, scale=1 / std, precision=precision
    )


def _told(card: dict[str, Any]) -> Told:
    told = card.get("conditioning_kind", "prompt")
    if told not in get_args(Told):
        raise ValueError(f"conditioning_kind {told!r}")
    return told  # type: ignore[no-any-return]


def _objective(card: dict[str, Any]) -> tuple[Prediction, NoiseProcess]:
    """What the network predicts of what process: a rectified flow, if the card says nothing."""
    if "process" not in card:
        return "flow", NoiseProcess("rectified_flow")
    prediction = card["prediction"]
    if prediction not in get_args(Prediction):
        raise ValueError(f"prediction {prediction!r}")
    fields = dict(card["process"])
    if (by_size := fields.pop("shift_by_size", None)) is not None:
        fields["shift_by_size"] = ShiftBySize(**by_size)
    fields["trained_betas"] = tuple(fields.get("trained_betas", ()))
    return prediction, NoiseProcess(**fields)


def classes(recipe: Denoiser) -> Classes:
    """What a model that is told a class can be told."""
    card = ModelSource(Path(recipe.path), recipe.digest).json(_CARD)
    names = [str(name) for name in card.get("classes", [])]
    return Classes(len(names), len(names), {name.lower(): number for number, name in enumerate(names)})


def _preview(card: dict[str, Any], channels: int) -> PreviewFactors:
    """The card's factors; without them the first three channels stand for red, green and blue."""
    if "preview" not in card:
        rows = [tuple(0.25 if colour == channel else 0.0 for colour in range(3)) for channel in range(channels)]
        return PreviewFactors(tuple((r, g, b) for r, g, b in rows), (0.5, 0.5, 0.5))
    factors = tuple((float(r), float(g), float(b)) for r, g, b in card["preview"]["factors"])
    red, green, blue = map(float, card["preview"]["bias"])
    if len(factors) != channels:
        raise ValueError(f"{len(factors)} preview factors for {channels} channels")
    return PreviewFactors(factors, (red, green, blue))


def load_denoiser(recipe: Denoiser, device: torch.device, dtype: torch.dtype) -> UNetDenoiser | LDMDenoiser:
    from diffusers import UNet2DConditionModel

    unet = _load(UNet2DConditionModel, recipe, "unet", _UNET_WEIGHTS, dtype)
    return UNetDenoiser(recipe, unet) if recipe.conditioning == "prompt" else LDMDenoiser(recipe, unet, attends=True)


def load_autoencoder(recipe: Autoencoder, device: torch.device, dtype: torch.dtype) -> KLAutoencoder | VQAutoencoder:
    from diffusers import AutoencoderKL, VQModel

    config = ModelSource(Path(recipe.path), recipe.digest).json("vae/config.json")
    if config.get("_class_name") == "VQModel":
        return VQAutoencoder(recipe, _load(VQModel, recipe, "vae", _VAE_WEIGHTS, dtype))
    return KLAutoencoder(recipe, _load(AutoencoderKL, recipe, "vae", _VAE_WEIGHTS, dtype))


def _load(network: Any, recipe: Denoiser | Autoencoder, folder: str, names: tuple[str, ...], dtype: torch.dtype) -> Any:
    """A diffusers network from its folder in the model."""
    source = ModelSource(Path(recipe.path), recipe.digest)
    config = source.json(f"{folder}/config.json")
    tensors = read_tensors(source.weights(folder, *names))
    return fill(skeleton(lambda: network.from_config(config)), tensors, recipe.path, folder, dtype, channels_last=True)


class MiniLMTextEncoder(HeldModel):
    """A BERT encoder and its tokenizer.

    states: last hidden states, padding zeroed; pooled: their mean over the text, scaled to length sqrt(D). words: the vectors
    [n, D] of learned words by name, set by `adapt`.
    """

    family = NAME

    def __init__(self, model: Any, tokenizer: Any, text_length: int) -> None:
        super().__init__(model)
        self._tokenizer, self._text_length = tokenizer, text_length
        self.words: Mapping[str, Tensor] = {}
        self.max_tokens = text_length - tokenizer.num_special_tokens_to_add()

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text: states [text_length, D], pooled [D]."""
        batch = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._text_length, return_tensors="pt"
        ).to(self.model.device)
        mask = batch["attention_mask"][..., None].float()
        states: Tensor = self.model(**batch).last_hidden_state.float() * mask  # [B, L, D]
        pooled = _pooled(states, mask)
        return [Conditioning(s.clone(), NAME, p.clone()) for s, p in zip(states, pooled, strict=True)]

    @property
    def width(self) -> int:
        """D, of its states and of its token vectors."""
        return int(self.model.config.hidden_size)

    def token_ids(self, text: str) -> list[int]:
        """The text's tokens without marks, however many there are."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    @torch.no_grad()
    def encode_tokens(self, tokens: Sequence[Token], weights: Literal["comfy", "a1111"]) -> Conditioning:
        """One conditioning from tokens with weights; those beyond `max_tokens` are left out.

        The states' mean is near zero here, so A1111's weights multiply them without restoring it ("no norm").
        """
        tokens = tokens[: self.max_tokens]
        ids = torch.tensor([self._marked([token.id for token in tokens]), self._marked([])]).to(self.model.device)
        vectors = self.model.embeddings.word_embeddings(ids).clone()
        for place, token in enumerate(tokens, 1):  # after the start mark
            if token.word:
                vectors[0, place] = self.words[token.word][token.vector].to(vectors)
        mask = torch.zeros(ids.shape, device=ids.device, dtype=torch.long)
        mask[0, : len(tokens) + 2], mask[1, :2] = 1, 1
        output = self.model(inputs_embeds=vectors, attention_mask=mask, token_type_ids=torch.zeros_like(ids))
        states, empty = (output.last_hidden_state.float() * mask[..., None]).split(1)  # [1, L, D]
        factors = torch.ones(1, self._text_length, 1, device=ids.device)
        factors[0, 1 : len(tokens) + 1, 0] = torch.tensor([token.weight for token in tokens])
        weighed = empty + factors * (states - empty) if weights == "comfy" else factors * states
        states = states.where(factors == 1, weighed) * mask[:1, :, None]
        return Conditioning(states[0].clone(), NAME, _pooled(states, mask[:1, :, None].float())[0].clone())

    def _marked(self, ids: list[int]) -> list[int]:
        """Tokens between the marks, filled up to the text length."""
        marked = [self._tokenizer.cls_token_id, *ids, self._tokenizer.sep_token_id]
        return marked + [self._tokenizer.pad_token_id] * (self._text_length - len(marked))


def _pooled(states: Tensor, mask: Tensor) -> Tensor:
    """The mean of states [B, L, D] over the text, scaled to length sqrt(D): [B, D]. mask: [B, L, 1]."""
    mean = states.sum(1) / mask.sum(1)
    pooled: Tensor = torch.nn.functional.normalize(mean, dim=-1) * states.shape[-1] ** 0.5
    return pooled


def load_text_encoder(recipe: TextEncoder, device: torch.device, dtype: torch.dtype) -> MiniLMTextEncoder:
    from transformers import AutoTokenizer, BertConfig, BertModel

    source = ModelSource(Path(recipe.path), recipe.digest)
    if not source.has("text_encoder/config.json"):
        card = source.json(_CARD)
        raise NotPrompted(
            recipe.path, "a class" if _told(card) == "class" else "a layout" if card.get("regions") else "nothing"
        )
    folder = source.path / "text_encoder"
    config = BertConfig(**read_json(folder / "config.json"))
    tensors = read_tensors(source.weights("text_encoder", *_TEXT_WEIGHTS))
    model = skeleton(lambda: BertModel(config, add_pooling_layer=False))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    length = int(source.json(_CARD).get("text_length", _DEFAULT_TEXT_LENGTH))
    return MiniLMTextEncoder(fill(model, tensors, recipe.path, "text_encoder", dtype), tokenizer, length)


STARTER = Family(
    name=NAME,
    sought=f"a folder with {_CARD} (the starter family)",
    recognise=recognise,
    describe=describe,
    load_denoiser=load_denoiser,
    load_text_encoder=load_text_encoder,
    load_autoencoder=load_autoencoder,
    classes=classes,
)
