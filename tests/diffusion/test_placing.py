"""Networks that are larger than their room: which blocks are streamed, that results stay, and that nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import tiny_sd1
from torch import nn

from nodegraph.api.paths import shipped
from nodegraph_nodes.diffusion.families import describe_model, load_autoencoder, load_denoiser
from nodegraph_nodes.diffusion.families.networks import lies_channels_last
from nodegraph_nodes.diffusion.families.placing import _bytes, blocks_to_stream, place, stream, take_off
from nodegraph_nodes.diffusion.families.precision import compute_dtype
from nodegraph_nodes.types import Precision

CPU = torch.device("cpu")


@pytest.fixture
def unet() -> Any:
    return tiny_sd1().unet


def predicted(unet: Any) -> torch.Tensor:
    seeded = torch.Generator().manual_seed(0)
    x, states = torch.randn(1, 4, 8, 8, generator=seeded), torch.randn(1, 77, 32, generator=seeded)
    with torch.no_grad():
        made: torch.Tensor = unet(x, 500, states, return_dict=False)[0]
    return made


def test_nothing_is_streamed_where_everything_fits(unet: Any) -> None:
    assert blocks_to_stream(unet, 2 * _bytes(unet)) == []


def test_the_less_room_the_more_is_streamed_from_the_end(unet: Any) -> None:
    whole = _bytes(unet)
    counts = [len(blocks_to_stream(unet, round(whole * share))) for share in (0.9, 0.5, 0.2, 0)]
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1]
    half = blocks_to_stream(unet, whole // 2)
    assert whole - sum(map(_bytes, half)) <= whole // 2
    assert half[-1] is list(unet.children())[-1]


def test_a_streamed_network_computes_the_same_and_comes_back_whole(unet: Any) -> None:
    before, weights = predicted(unet), {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    streamed = stream(unet, CPU, _bytes(unet) // 3)
    assert streamed
    assert torch.equal(predicted(unet), before)
    network = type("Network", (), {"module": unet, "to": lambda self, device: unet.to(device)})()
    take_off(network)
    assert not [part for part in unet.modules() if part._forward_hooks or part._forward_pre_hooks]
    assert torch.equal(predicted(unet), before)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in unet.state_dict().items())


class Moved:
    """Remembers where it was brought."""

    def __init__(self, nbytes: int) -> None:
        self.module, self.nbytes, self.places = nn.Identity(), nbytes, list[str]()

    def to(self, device: torch.device | str) -> Moved:
        self.places.append(str(device))
        return self

    def streams_on(self, device: torch.device) -> None:
        self.places.append(f"streams on {device}")


def test_a_network_is_streamed_only_where_its_room_is_known_and_too_small() -> None:
    fits, tells_nothing, too_large = Moved(60), Moved(60), Moved(600)
    meta = torch.device("meta")
    place(fits, meta, 100)
    place(tells_nothing, meta, None)
    place(too_large, meta, 100)
    assert [fits.places, tells_nothing.places, too_large.places] == [["meta"], ["meta"], ["streams on meta"]]


@pytest.mark.parametrize(
    ("precision", "amx", "nbytes", "dtype"),
    [
        ("auto", True, 2_000_000_000, torch.bfloat16),
        ("auto", True, 10_000_000, torch.float32),
        ("auto", False, 2_000_000_000, torch.float32),
        ("float16", True, 2_000_000_000, torch.float16),
    ],
)
def test_large_networks_use_the_tiles_of_a_cpu_that_has_them(
    precision: Precision, amx: bool, nbytes: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert compute_dtype(precision, CPU, nbytes) == dtype


def test_large_networks_lie_as_they_are_on_a_cpu_and_small_ones_with_their_channels_last() -> None:
    with torch.device("meta"):
        large, small = nn.Linear(20_000, 20_000), nn.Linear(20, 20)
    assert not lies_channels_last(large, CPU)
    assert lies_channels_last(small, CPU)
    assert lies_channels_last(large, torch.device("cuda"))


def test_a_loaded_network_waits_in_the_hosts_memory_for_its_place() -> None:
    recipes = describe_model(shipped("models") / "starter", "digest", "float32")
    meta = torch.device("meta")
    for network in (
        load_denoiser(recipes.denoiser, meta, placed=False),
        load_autoencoder(recipes.autoencoder, meta, placed=False),
    ):
        assert {parameter.device.type for parameter in network.module.parameters()} == {"cpu"}
        place(network, meta, network.nbytes * 2)
        assert {parameter.device.type for parameter in network.module.parameters()} == {"meta"}


def test_what_is_on_the_device_already_or_cannot_be_moved_stays_as_it_is() -> None:
    there = Moved(600)
    there.module = nn.Linear(4, 4)
    place(there, CPU, 100)
    assert there.places == []
    place(object(), torch.device("meta"), 100)


def test_what_cannot_be_streamed_is_brought_whole(unet: Any) -> None:
    moved: list[Any] = []
    network = type("Whole", (), {"module": unet, "nbytes": 600, "to": lambda self, device: moved.append(device)})()
    place(network, torch.device("meta"), 100)
    assert moved == [torch.device("meta")]
