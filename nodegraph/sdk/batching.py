"""Batches: how several calls of one node run at once.

A node's author says which calls fit together (`key`) and how to run them; the engine decides which calls those are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


class Inputs(SimpleNamespace):
    """The inputs of one call by name, as the node's function receives them, and `context`, that call's own Context."""

    context: Any

    @staticmethod
    def of(arguments: Mapping[str, Any], context: Any = None) -> Inputs:
        return Inputs(**{**arguments, "context": context})


@dataclass(frozen=True, slots=True)
class Batched:
    """`run` takes several calls' inputs and gives a result for each, in order; an exception in a result's place fails that
    call alone. `key` says which calls fit together (equal keys do; None fits nothing); `limit` is the most at once.
    """

    run: Callable[[Sequence[Inputs]], Sequence[Any]]
    key: Callable[[Inputs], Hashable]
    limit: int = 64
