"""First-party socket types survive their way through bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load
from torch import Tensor

from nodegraph import Artifact, Codec, SocketType
from nodegraph.sdk.socket import socket_of
from nodegraph.store.record import Record, pack, unpack
from nodegraph_nodes import types as t
from nodegraph_nodes.tensors import _DTYPE_NAMES, generation, map_tensors, nbytes, tensors_in, to_host

CODEC = t.CODEC
PROCESS = t.NoiseProcess("variance_preserving", trained_betas=(0.1, 0.2))
FEATURES = t.FeatureNetwork("inception_v3", "/f", "d", "pool3", 299, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PREVIEW = t.PreviewFactors(((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), (0.0, 0.5, 1.0))


def rand(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


HISTORY = t.History(MappingProxyType({"loss": ((1, 0.5), (2, 0.25))}))
WEIGHTS = MappingProxyType({"conv_in.weight": rand(2, 8), "conv_in.bias": rand(2, dtype=torch.bfloat16)})
CONDITIONING = t.Conditioning(rand(7, 3), "sd1", rand(3))
VALUES: dict[str, tuple[SocketType | None, Any]] = {
    "image": (get_args(t.Image)[1], rand(4, 5, 3)),
    "image with alpha": (get_args(t.Image)[1], rand(4, 5, 4)),
    "image, not contiguous": (get_args(t.Image)[1], rand(5, 4, 3).transpose(0, 1)),
    "mask": (get_args(t.Mask)[1], rand(4, 5)),
    "latent": (socket_of(t.Latent), t.Latent(rand(4, 8, 8), "sd1")),
    "latent with a mask": (socket_of(t.Latent), t.Latent(rand(4, 8, 8), "sd1", rand(8, 8))),
    "conditioning": (socket_of(t.Conditioning), CONDITIONING),
    "conditioning in half precision": (socket_of(t.Conditioning), t.Conditioning(rand(7, 3, dtype=torch.bfloat16), "sd1")),
    "guidance": (socket_of(t.Guidance), t.Guidance(CONDITIONING, t.Conditioning(rand(2, 3), "sd1"), 7.5, 0.2, 0.1, 0.9)),
    "guidance with one prompt twice": (socket_of(t.Guidance), t.Guidance(CONDITIONING, CONDITIONING, 4.0)),
    "guidance without a negative": (socket_of(t.Guidance), t.Guidance(CONDITIONING, None, 1.0)),
    "guidance with everything": (
        socket_of(t.Guidance),
        t.Guidance(
            t.Conditioning(
                rand(7, 3),
                "sdxl",
                rand(3),
                MappingProxyType({"time_ids": rand(6)}),
                weight=0.5,
                end=0.4,
                mask=rand(4, 5),
                attend=True,
                others=(CONDITIONING,),
            ),
            CONDITIONING,
            7.5,
            method="perpendicular",
            threshold=0.995,
            controls=(t.Control(t.ControlNet("sd1", "/c", "d"), rand(4, 5, 3), 0.5, mask=rand(4, 5)),),
            image_prompts=(t.ImagePrompt(t.ImageAdapter("sd1", "/i", "d"), rand(2, 1, 4), rand(2, 1, 4)),),
            concat=rand(5, 8, 8),
        ),
    ),
    "schedule": (
        socket_of(t.Schedule),
        t.Schedule("karras", "sd1", *(rand(5, dtype=torch.float64) for _ in range(3))),
    ),
    "schedule that knows its process": (
        socket_of(t.Schedule),
        t.Schedule("beta", "sd1", *(rand(5, dtype=torch.float64) for _ in range(3)), t.NoiseProcess("variance_preserving")),
    ),
    "guidance with a third prompt and a curve": (
        socket_of(t.Guidance),
        t.Guidance(
            CONDITIONING,
            CONDITIONING,
            7.0,
            method="perpendicular",
            empty=CONDITIONING,
            negative_scale=0.5,
            curve=((0.0, 1.0), (1.0, 0.2)),
        ),
    ),
    "denoise state": (
        socket_of(t.DenoiseState),
        t.DenoiseState(rand(4, 8, 8), 3, 2**32 - 1, "sd1", rand(4, 8, 8), MappingProxyType({"old": rand(4, 8, 8)})),
    ),
    "denoise state with a mask": (
        socket_of(t.DenoiseState),
        t.DenoiseState(rand(4, 8, 8), 3, 7, "sd1", repaint=t.Repaint(rand(4, 8, 8), rand(8, 8), rand(4, 8, 8))),
    ),
    "denoise state at the start": (socket_of(t.DenoiseState), t.DenoiseState(rand(4, 8, 8), 0, 0, "sd1")),
    "denoiser": (
        socket_of(t.Denoiser),
        t.Denoiser("sd1", "/m", "d", "epsilon", PROCESS, 4, 8, 64, (512, 512), PREVIEW, patches=(t.Lora("a", "/a", "d", 0.5),)),
    ),
    "text encoder": (socket_of(t.TextEncoder), t.TextEncoder("sd1", "/m", "d", "bfloat16")),
    "autoencoder": (socket_of(t.Autoencoder), t.Autoencoder("sd1", "/m", "d", 4, 8, 0.0, 0.18215, tiles=t.Tiles(256, 256, 32))),
    "controlnet": (socket_of(t.ControlNet), t.ControlNet("sd1", "/c", "d", "t2i_adapter")),
    "image encoder": (socket_of(t.ImageEncoder), t.ImageEncoder("/i", "d")),
    "image adapter": (socket_of(t.ImageAdapter), t.ImageAdapter("sd1", "/i", "d", fine=True)),
    "image embedding": (socket_of(t.ImageEmbedding), t.ImageEmbedding(rand(4), rand(5, 6), rand(5, 6))),
    "dataset": (
        socket_of(t.Dataset),
        t.Dataset(
            (t.PictureSource("/p", "d", "folder"),),
            (t.Entry(0, "a.png", 4, 5, ("a", "b"), tags=("c",)), t.Entry(0, "b.png", 4, 5, label=1)),
            ("cat", "dog"),
            augmentations=(t.Augmentation("flip", 0.5, (("names", ("a", "b")), ("share", 0.1))),),
            buckets=((64, 64),),
            skipped=(t.Skipped("c.png", "the file is empty"),),
        ),
    ),
    "feature network": (socket_of(t.FeatureNetwork), FEATURES),
    "features": (socket_of(t.Features), t.Features(rand(5, 8), FEATURES)),
    "joint encoder": (socket_of(t.JointEncoder), t.JointEncoder("/j", "d")),
    "trained classifier": (
        socket_of(t.TrainedClassifier),
        t.TrainedClassifier(
            MappingProxyType({"answer.weight": rand(2, 8)}),
            ("cat", "dog"),
            FEATURES,
            0,
            HISTORY,
            '{"steps": 2}',
        ),
    ),
    "training plan": (socket_of(t.TrainingPlan), t.TrainingPlan(steps=7, learning_rate=3e-4, schedule="linear", compiled=True)),
    "trained autoencoder": (
        socket_of(t.TrainedAutoencoder),
        t.TrainedAutoencoder("{}", WEIGHTS, 4, 8, 0.1, 1.5, HISTORY, '{"steps": 2}', PREVIEW),
    ),
    "trained denoiser": (
        socket_of(t.TrainedDenoiser),
        t.TrainedDenoiser(
            "{}", WEIGHTS, "v", PROCESS, "class", 4, (64, 96), HISTORY, PREVIEW, 5, ("cat", "dog"), ("sky", "sea"), "{}"
        ),
    ),
    "trained LoRA": (socket_of(t.TrainedLora), t.TrainedLora(WEIGHTS, "starter", 8, HISTORY, "{}")),
    "trained upscaler": (socket_of(t.TrainedUpscaler), t.TrainedUpscaler(WEIGHTS, "Compact", 2, HISTORY)),
    "lora": (socket_of(t.Lora), t.Lora("a", "/a.safetensors", "d", 0.5)),
    "upscaler": (socket_of(t.Upscaler), t.Upscaler("/u", "d", "ESRGAN", 4)),
}


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if is_dataclass(a) and not isinstance(a, type):
        return type(a) is type(b) and all(equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


KEY = "0" * 40


def through_bytes(codec: Codec, value: Any) -> Any:
    """The value as it comes back from a record."""
    found = unpack(pack(Record(KEY, "result", *codec.encode(value))), KEY)
    return codec.decode(found.data, found.buffers)


def as_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("name", VALUES)
def test_a_value_survives_its_way_through_a_record(name: str) -> None:
    socket, value = VALUES[name]
    assert socket is not None
    assert socket.codec is not None
    assert equal(through_bytes(socket.codec, value), value)


def test_every_socket_type_has_a_case() -> None:
    declared = {found.name for item in vars(t).values() if (found := socket_of(item))} | {"Image", "Mask"}
    assert declared - {"Artifact"} == {socket.name for socket, _ in VALUES.values() if socket}


def test_tensors_in_tuples_are_found_and_moved() -> None:
    """A guidance's controls and image prompts and a prompt's other parts go to the device with it."""
    guidance = VALUES["guidance with everything"][1]
    found = {id(tensor) for tensor in tensors_in(guidance)}
    inside = [guidance.controls[0].image, guidance.image_prompts[0].embeds, guidance.positive.others[0].states]
    assert all(id(tensor) in found for tensor in inside)
    moved = map_tensors(guidance, lambda tensor: tensor + 1)
    assert torch.equal(moved.controls[0].image, guidance.controls[0].image + 1)
    assert torch.equal(moved.positive.others[0].states, guidance.positive.others[0].states + 1)
    assert map_tensors(guidance, lambda tensor: tensor) is guidance


def test_an_artifact_survives_its_codec() -> None:
    codec = socket_of(Artifact).codec  # type: ignore[union-attr]
    assert codec is not None
    artifact = Artifact(b"\x00\xff", "image/png", "{seed}", "none")
    assert through_bytes(codec, artifact) == artifact


TENSORS = {
    "no dimensions": torch.tensor(1.5),
    "empty": torch.empty(0),
    "empty, with a shape": torch.empty(3, 0, 2),
    "not contiguous": rand(5, 4, 3).transpose(0, 2),
    "expanded": rand(1, 3).expand(4, 3),
    "a part of another": rand(10)[3:7],
    "that needs a gradient": rand(3).requires_grad_(),
    "not a number": torch.tensor([float("nan"), float("inf"), -0.0]),
    **{str(dtype): rand(3, 5).mul(100).to(dtype) for dtype in _DTYPE_NAMES},
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_survives_to_the_bit(name: str) -> None:
    tensor = TENSORS[name]
    found = through_bytes(CODEC, tensor)
    assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
    assert as_bytes(found) == as_bytes(tensor)


def test_safetensors_reads_the_tensors_of_a_value() -> None:
    data, buffers = CODEC.encode(VALUES["conditioning in half precision"][1])
    found = load(pack(Record(KEY, "result", data, buffers)))
    assert torch.equal(found["value.states"], rand(7, 3, dtype=torch.bfloat16))


def test_encoding_copies_no_tensor_that_lies_ready() -> None:
    tensor = rand(1000)
    _, buffers = CODEC.encode(tensor)
    tensor[0] = 7.0
    assert torch.frombuffer(bytearray(buffers["value"].data), dtype=torch.float32)[0] == 7.0


def test_a_decoded_value_has_memory_of_its_own() -> None:
    data, buffers = CODEC.encode(rand(1000))
    frozen = {name: buffer._replace(data=bytes(buffer.data)) for name, buffer in buffers.items()}
    first, second = CODEC.decode(data, frozen), CODEC.decode(data, frozen)
    first.add_(1)
    assert torch.equal(second, rand(1000))
    assert second.data_ptr() % 64 == 0
    assert second.untyped_storage().nbytes() == 4000


def test_a_tensor_in_two_places_stays_one() -> None:
    guidance = through_bytes(CODEC, VALUES["guidance with one prompt twice"][1])
    assert guidance.positive.states is guidance.negative.states


@dataclass(frozen=True)
class Latent:
    """Has the name of one of the codec's classes."""

    samples: Tensor


class Word(str):
    """A str that would come back as a plain one."""


@pytest.mark.parametrize(
    "value", [Latent(rand(3)), (t.Point(1.0, 2.0, 3.0),), [Word("a")], {"a": {1, 2}}, torch.zeros(2, dtype=torch.complex128)]
)
def test_what_would_come_back_as_something_else_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        CODEC.encode(value)


def test_a_value_costs_the_bytes_of_its_tensors() -> None:
    assert nbytes(VALUES["denoise state"][1]) == 3 * 4 * 8 * 8 * 4


@pytest.mark.parametrize("name", ["image", "latent with a mask", "guidance", "denoise state", "denoise state with a mask"])
def test_writing_into_any_tensor_of_a_value_shows(name: str) -> None:
    value = map_tensors(VALUES[name][1], torch.clone)
    for tensor in tensors_in(value):
        before = generation(value)
        tensor.add_(1)
        assert generation(value) > before


@pytest.mark.parametrize("name", VALUES)
def test_a_value_on_the_host_is_left_as_it_is(name: str) -> None:
    value = VALUES[name][1]
    assert to_host(value) is value
