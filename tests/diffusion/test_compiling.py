"""Compiling a network in place: the same numbers, taken off again without a trace, and running on where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nodegraph_nodes.diffusion.families.compiling import attention_by, set_compiled


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(self.linear(x))


def test_a_compiled_network_gives_the_same_and_is_itself_again_afterwards() -> None:
    network, x = Small(), torch.rand(2, 4)
    before = network(x)
    set_compiled(network, "default", backend="eager")
    assert network._compiled_call_impl is not None
    torch.testing.assert_close(network(x), before)
    set_compiled(network, "off")
    assert network._compiled_call_impl is None
    assert torch.equal(network(x), before)


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    network, x = Small(), torch.rand(2, 4)
    before = network(x)
    torch._dynamo.reset()
    set_compiled(network, "default", backend=broken)  # type: ignore[arg-type]
    assert torch.equal(network(x), before)
    assert "no compiler here" in caplog.text
    assert network._compiled_call_impl is None


def test_attention_by_another_kernel_is_the_same_attention() -> None:
    q = torch.rand(1, 2, 8, 4)
    attention = torch.nn.functional.scaled_dot_product_attention
    with attention_by("math"):
        made = attention(q, q, q)
    torch.testing.assert_close(made, attention(q, q, q))
