"""torch.compile, put on and taken off a network in place, and the choice of attention kernel.

What was compiled is kept from one process to the next in a cache of torch's own, in the user's cache folder.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from platformdirs import user_cache_path
from torch import nn

from nodegraph_nodes.types import Attention, Compiled

_LOG = logging.getLogger(__name__)
_MODE = "_nodegraph_compiled"


def set_compiled(module: nn.Module, mode: Compiled, backend: str = "inductor") -> None:
    """Let torch compile a network with its next call, or no longer. Where it cannot be compiled, it runs as it is."""
    if module.__dict__.get(_MODE, "off") == mode:
        return
    module.__dict__[_MODE] = mode
    module._compiled_call_impl = None
    if mode == "off":
        return
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("nodegraph") / "compiled"))
    module.compile(backend=backend, **({} if mode == "default" else {"mode": mode}))
    compiled = module._compiled_call_impl
    assert compiled is not None
    module._compiled_call_impl = _guarded(module, compiled)


def _guarded(module: nn.Module, compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Calls what was compiled; where compiling fails (there is no compiler), the network itself from then on."""

    def call(*arguments: Any, **more: Any) -> Any:
        from torch._dynamo import config
        from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException
        from torch._inductor.exc import InductorError

        try:
            # a LoRA on packed weights adds to layers' outputs by hooks; otherwise torch would go on without noticing them
            with config.patch(skip_nnmodule_hook_guards=False):
                return compiled(*arguments, **more)
        except (BackendCompilerFailed, TorchDynamoException, InductorError) as error:
            reason = " ".join(str(error).strip().split("\n")[:2])
            _LOG.warning("The network cannot be compiled and runs as it is: %s", reason)
            module._compiled_call_impl = None
            return module(*arguments, **more)

    return call


@contextmanager
def attention_by(kernel: Attention) -> Iterator[None]:
    """Compute attention with one of torch's kernels. Raises RuntimeError inside, where it cannot do what is asked of it."""
    if kernel == "auto":
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kernels = {
        "flash": SDPBackend.FLASH_ATTENTION,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
        "cudnn": SDPBackend.CUDNN_ATTENTION,
        "math": SDPBackend.MATH,
    }
    with sdpa_kernel(kernels[kernel]):
        yield
