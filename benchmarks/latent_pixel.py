"""Why diffusion works on latents: one U-Net on pixels, and on latents of 4 and 8 pixels a side, in the same run.

Each row is a fresh process: seconds of a denoising step and of a training step (forward, backward, AdamW), FLOPs of a
denoising step as torch counts them, and the most memory that a training step takes beyond what lay there before. What a
picture of N steps costs in all is told with its decoding. Without a GPU the network is the starter model's, at 64 pixels;
`--size 256 --channels 128 256 512 512` is nearer Stable Diffusion's.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

TOKENS, WIDTH, LATENT_CHANNELS = 24, 384, 4


def unet(side: int, channels: int, widths: list[int]) -> Any:
    """The starter's U-Net: cross-attention in all levels but the first."""
    from diffusers import UNet2DConditionModel

    deep = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * deep,
        up_block_types=("CrossAttnUpBlock2D",) * deep + ("UpBlock2D",),
        block_out_channels=widths,
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4 if widths[0] <= 96 else 8,
        norm_num_groups=16,
    )


def decoder(downscale: int, widths: list[int]) -> Any:
    from diffusers import AutoencoderKL

    levels = downscale.bit_length()
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=[min(widths[-1], widths[0] // 2 * 2**level) for level in range(levels)],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=16,
    )


def seconds(work: Any, device: torch.device, rounds: int) -> float:
    """The median of some rounds, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def memory(device: torch.device) -> int:
    """The most bytes so far: a GPU's, or the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(size: int, downscale: int, batch: int, widths: list[int], rounds: int) -> dict[str, Any]:
    """One row. downscale 1: pixels."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    channels, side = (3, size) if downscale == 1 else (LATENT_CHANNELS, size // downscale)
    network = unet(side, channels, widths).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters())
    x = torch.randn(batch, channels, side, side, device=device).contiguous(memory_format=torch.channels_last)
    states = torch.randn(batch, TOKENS, WIDTH, device=device)
    timestep = torch.full((batch,), 500, device=device)

    def predict() -> Tensor:
        out: Tensor = network(x, timestep, states).sample
        return out

    def train() -> None:
        predict().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    before = memory(device)
    train()
    taken = memory(device) - before
    training = seconds(train, device, rounds)
    with torch.no_grad():
        step = seconds(predict, device, rounds)
        with FlopCounterMode(display=False) as counter:
            predict()
        row = {
            "size": size,
            "downscale": downscale,
            "positions": side * side,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "step_seconds": step / batch,
            "training_seconds": training / batch,
            "step_flops": counter.get_total_flops() / batch,
            "training_bytes": taken,
            "decode_seconds": 0.0,
            "decode_flops": 0.0,
        }
        if downscale > 1:
            coder = decoder(downscale, widths).to(device, memory_format=torch.channels_last)
            row["decode_seconds"] = seconds(lambda: coder.decode(x), device, rounds) / batch
            with FlopCounterMode(display=False) as counter:
                coder.decode(x)
            row["decode_flops"] = counter.get_total_flops() / batch
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[64], help="pixels a side")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, nargs="+", default=[64, 96, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of a picture")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.row:
        print(json.dumps(measure(*options.row, options.batch, options.channels, options.rounds)))
        return
    rows = []
    for size in options.size:
        for downscale in (1, 4, 8):
            command = [sys.executable, __file__, *sys.argv[1:], "--row", str(size), str(downscale)]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for row in rows:
        row["picture_seconds"] = options.steps * row["step_seconds"] + row["decode_seconds"]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{rows[0]['parameters'] / 1e6:.1f}M parameters, batch {options.batch}; seconds and GFLOPs are for one picture")
    heads = ("positions", "step, ms", "training, ms", "GFLOPs", "MiB", f"{options.steps} steps and decoding, s")
    print("{:>16} {:>9} {:>9} {:>12} {:>8} {:>7} {:>24}".format("", *heads))
    for row in rows:
        name = f"{row['size']} px, " + ("pixels" if row["downscale"] == 1 else f"f = {row['downscale']}")
        print(
            f"{name:>16} {row['positions']:>9} {row['step_seconds'] * 1e3:>9.2f} {row['training_seconds'] * 1e3:>12.1f} "
            f"{row['step_flops'] / 1e9:>8.3f} {row['training_bytes'] / 2**20:>7.0f} {row['picture_seconds']:>24.3f}"
        )


if __name__ == "__main__":
    main()
