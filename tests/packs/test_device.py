"""The torch device adapter: threads that do not get in one another's way."""

from __future__ import annotations

import threading

import torch

from nodegraph_nodes.device import TorchDevice


def test_a_host_thread_computes_on_one_core_whatever_the_device_sets_meanwhile() -> None:
    """Two teams of OpenMP threads at once slow every denoise step down to a third."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    device = TorchDevice()
    seen: list[int] = []

    def host() -> None:
        device.enter_host_thread()
        torch.ones(1 << 20).exp().sum()
        seen.append(torch.get_num_threads())

    try:
        with device.working(torch.device("cpu")):
            assert torch.get_num_threads() == 3
        thread = threading.Thread(target=host)
        thread.start()
        thread.join()
        with device.working(torch.device("cpu")):
            assert torch.get_num_threads() == 3
        assert seen == [1]
    finally:
        torch.set_num_threads(before)
