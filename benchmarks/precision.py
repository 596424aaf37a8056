"""What precision pays on this device: one U-Net pass of batch 2 (guidance) in float32, bfloat16 and float16, random weights.

The rule in `families/precision.py` rests on this. Sizes: the starter's U-Net at 64 pixels, and Stable Diffusion 1's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.utils import logging

ROOT = Path(__file__).resolve().parent.parent
SD1_CONFIG = ROOT / "nodes/nodegraph_nodes/diffusion/families/sd1_config/unet/config.json"
STARTER_CONFIG = ROOT / "models/starter/unet/config.json"


def seconds(unet: Any, size: int, device: torch.device, repeat: int) -> float:
    """Median seconds of one pass at a latent size."""
    place = next(unet.parameters())
    tokens = torch.randn(2, 77, unet.config.cross_attention_dim).to(place)
    pooled = (
        torch.randn(2, unet.config.projection_class_embeddings_input_dim).to(place) if unet.config.class_embed_type else None
    )
    x = torch.randn(2, 4, size, size).to(place)
    times = []
    with torch.no_grad():
        for _ in range(repeat + 1):
            start = time.perf_counter()
            unet(x, torch.tensor(500.0), tokens, class_labels=pooled, return_dict=False)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--pixels", type=int, nargs="*", default=[256], help="picture sizes for Stable Diffusion 1")
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cases = [("starter", STARTER_CONFIG, 16, 20), *(("sd1", SD1_CONFIG, pixels // 8, 3) for pixels in arguments.pixels)]
    rows = []
    for name, config, size, repeat in cases:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            unet = UNet2DConditionModel.from_config(json.loads(config.read_text())).eval()
            unet.to(device, dtype).to(memory_format=torch.channels_last)
            taken = seconds(unet, size, device, repeat)
            rows.append({"unet": name, "latent": size, "dtype": str(dtype)[6:], "ms": round(taken * 1e3, 1)})
            del unet
    if arguments.json:
        print(json.dumps({"device": str(device), "cases": rows}, indent=2))
        return
    for row in rows:
        print(f"{row['unet']:8} latent {row['latent']:3}  {row['dtype']:9} {row['ms']:9.1f} ms")


if __name__ == "__main__":
    main()
