"""Networks in memory: one for all recipes with one base, made what each says, and thrown away where that failed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from engine.conftest import PretendedDevice
from nodegraph import loader
from nodegraph.engine.arbiter import Arbiter
from nodegraph.sdk.errors import PackError
from nodegraph.sdk.pack import Loader, Pack


@dataclass(frozen=True)
class Recipe:
    path: str
    patches: tuple[str, ...] = ()


@dataclass
class Network:
    path: str
    patches: tuple[str, ...] = ()
    nbytes: int = 1
    told: list[tuple[str, ...]] = field(default_factory=list)


def adapt(network: Network, recipe: Recipe) -> None:
    network.patches = recipe.patches
    network.told.append(recipe.patches)
    if "bad" in recipe.patches:
        raise ValueError("a bad patch")


def arbiter_of(loaded: list[Recipe], budget_bytes: int | None = None) -> Arbiter:
    def load(recipe: Recipe, device: Any) -> Network:
        loaded.append(recipe)
        return Network(recipe.path)

    found = Loader(load, lambda recipe: replace(recipe, patches=()), adapt)
    return Arbiter(PretendedDevice(), "device:0", lambda recipe: found, budget_bytes)


def test_patches_come_and_go_without_loading_again() -> None:
    loaded: list[Recipe] = []
    arbiter = arbiter_of(loaded)
    plain = arbiter.resident(Recipe("a"))
    patched = arbiter.resident(Recipe("a", ("x",)))
    again = arbiter.resident(Recipe("a"))
    assert plain is patched is again
    assert loaded == [Recipe("a")]
    assert plain.told == [("x",), ()]
    arbiter.resident(Recipe("a"))
    assert plain.told == [("x",), ()]


def test_a_first_request_with_patches_loads_the_base_and_then_tells_it() -> None:
    loaded: list[Recipe] = []
    network = arbiter_of(loaded).resident(Recipe("a", ("x",)))
    assert loaded == [Recipe("a")]
    assert network.patches == ("x",)


def test_a_network_whose_patch_failed_is_thrown_away() -> None:
    loaded: list[Recipe] = []
    arbiter = arbiter_of(loaded)
    first = arbiter.resident(Recipe("a"))
    with pytest.raises(ValueError, match="a bad patch"):
        arbiter.resident(Recipe("a", ("bad",)))
    assert arbiter.resident(Recipe("a")) is not first
    assert arbiter.used_bytes == 1


def test_what_is_in_use_stays_whichever_recipe_it_was_asked_by() -> None:
    arbiter = arbiter_of([], budget_bytes=1)
    first = arbiter.resident(Recipe("a", ("x",)))
    arbiter.resident(Recipe("b"))
    assert arbiter.resident(Recipe("a", ("x",))) is first
    arbiter.unpin()
    arbiter.resident(Recipe("c"))
    assert arbiter.sizes == (("Recipe", 1),)


def test_a_loader_has_a_base_and_an_adapt_or_neither() -> None:
    with pytest.raises(PackError, match="not both"):
        loader(Recipe, adapt=adapt)

    @loader(Recipe, base=lambda recipe: recipe, adapt=adapt)
    def load(recipe: Recipe, device: Any) -> Network:
        return Network(recipe.path)

    assert Pack.of("p", [load]).loaders[Recipe].adapt is adapt


def test_what_leaves_the_device_waits_in_the_hosts_memory_and_comes_back_without_loading() -> None:
    loaded: list[Recipe] = []
    arbiter = arbiter_of(loaded, budget_bytes=1)
    device: Any = arbiter._adapter
    device.aside = 2
    first = arbiter.resident(Recipe("a", ("x",)))
    arbiter.unpin()
    arbiter.resident(Recipe("b"))
    arbiter.unpin()
    assert arbiter.resident(Recipe("a")) is first
    assert [recipe.path for recipe in loaded] == ["a", "b"]
    assert device.placed.count(first) == 2
    assert first.patches == ()


def test_the_hosts_memory_has_a_budget_too() -> None:
    loaded: list[Recipe] = []
    arbiter = arbiter_of(loaded, budget_bytes=1)
    arbiter._adapter.aside = 1  # type: ignore[attr-defined]
    for path in ("a", "b", "c", "a"):
        arbiter.resident(Recipe(path))
        arbiter.unpin()
    assert [recipe.path for recipe in loaded] == ["a", "b", "c", "a"], "only the latest that left is kept"
    assert arbiter.forget_aside() == 1


def test_unused_networks_leave_before_one_comes_for_which_there_is_no_room() -> None:
    arbiter = arbiter_of([])
    arbiter.resident(Recipe("a"))
    arbiter.unpin()
    device: Any = arbiter._adapter
    device.room = 0
    arbiter.resident(Recipe("b"))
    assert arbiter.sizes == (("Recipe", 1),)
    assert device.released == 1
