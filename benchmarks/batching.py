"""Pictures per second of N text-to-image runs at once, beside the same runs one after the other, in one process.

Every run has its own prompt and seed. At once: N runs of one engine that share batches (`exact=False`); one after the other:
exact runs, as `nodegraph run` does them. Without a GPU the starter model; `--sd1` adds a random model of Stable Diffusion 1.5's
shape at 512 x 512 (bfloat16 on a GPU), made in a temporary folder. `--svg FILE` draws the table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from nodegraph import Session, Workflow, load

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / "workflows" / "text_to_image.json"
PROMPTS = ("a red apple", "a blue cat", "a panda", "a green car", "a yellow flower", "a house", "a fish", "a tree")


def at_once(workflow: Workflow, count: int, first_seed: int, exact: bool, **inputs: Any) -> tuple[float, list[Any]]:
    """Seconds for `count` runs, and their results: together, or one after the other."""
    wanted = [{"prompt": PROMPTS[i % len(PROMPTS)], "seed": first_seed + i, **inputs} for i in range(count)]

    async def together() -> list[Any]:
        return list(
            await asyncio.gather(*(workflow.run_async(wanted=["decode.image"], exact=False, **each) for each in wanted))
        )

    start = time.perf_counter()
    results = [workflow.run(wanted=["decode.image"], **each) for each in wanted] if exact else asyncio.run(together())
    return time.perf_counter() - start, [result["decode.image"] for result in results]


def measure(name: str, workflow: Workflow, counts: list[int], rounds: int, **inputs: Any) -> list[dict[str, Any]]:
    """A row per count: the median of the rounds, the two ways in turn, and how far their pictures are apart."""
    at_once(workflow, 2, 1, True, **inputs)  # networks are loaded
    seed = 1000
    for _ in range(2):  # and the batch sizes learned
        at_once(workflow, max(counts), seed, False, **inputs)
        seed += max(counts)
    rows = []
    for count in counts:
        times: dict[bool, list[float]] = {True: [], False: []}
        apart = 0.0
        for _ in range(rounds):
            pictures = {}
            for exact in (True, False):
                seconds, pictures[exact] = at_once(workflow, count, seed, exact, **inputs)
                times[exact].append(seconds)
            apart = max(apart, *((a - b).abs().max().item() for a, b in zip(pictures[True], pictures[False], strict=True)))
            seed += count
        one_by_one, together = (count / statistics.median(times[exact]) for exact in (True, False))
        rows.append(
            {
                "model": name,
                "runs": count,
                "one_by_one_per_s": round(one_by_one, 3),
                "at_once_per_s": round(together, 3),
                "gain": round(together / one_by_one, 3),
                "largest_difference": apart,
            }
        )
    return rows


def random_sd1(folder: Path) -> Path:
    """A model folder of Stable Diffusion 1.5's shape with random weights in float16, and a tokenizer of bytes."""
    import sys

    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    sys.path.insert(0, str(ROOT / "tests"))
    from tiny_models import BETAS, byte_tokenizer

    torch.manual_seed(0)
    channels = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4, "sample_size": 512}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    text = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(**channels, **blocks, scaling_factor=0.18215),
        text_encoder=CLIPTextModel(text),
        tokenizer=byte_tokenizer(),
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        scheduler=DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    return folder


def svg(rows: list[dict[str, Any]]) -> str:
    """Pictures per second against runs at once, two bars each."""
    width, height, left, bottom = 90, 220, 50, 40
    most = max(max(row["one_by_one_per_s"], row["at_once_per_s"]) for row in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width * len(rows) + 20} {height + bottom + 50}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{left}" y="20">pictures per second: <tspan fill="#8d99ae">■ one after the other</tspan> '
        '<tspan fill="#4f9df7">■ at once</tspan></text>',
    ]
    for i, row in enumerate(rows):
        for j, (key, colour) in enumerate((("one_by_one_per_s", "#8d99ae"), ("at_once_per_s", "#4f9df7"))):
            size = row[key] / most * (height - 20)
            x, y = left + i * width + j * 32, 40 + height - size
            parts.append(f'<rect x="{x}" y="{y:.1f}" width="28" height="{size:.1f}" fill="{colour}"/>')
            parts.append(f'<text x="{x + 14}" y="{y - 4:.1f}" text-anchor="middle" font-size="10">{row[key]:.2f}</text>')
        parts.append(f'<text x="{left + i * width + 30}" y="{height + 58}" text-anchor="middle">{row["runs"]}</text>')
        parts.append(
            f'<text x="{left + i * width + 30}" y="{height + 74}" text-anchor="middle" font-size="10" fill="#666">'
            f"x {row['gain']:.2f}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="few steps, one round, up to two runs")
    parser.add_argument("--sd1", action="store_true", help="also a random model of Stable Diffusion 1.5's shape")
    parser.add_argument("--size", type=int, default=512, help="width and height of its pictures")
    parser.add_argument("--svg", type=Path, help="draw the starter's rows here")
    arguments = parser.parse_args()
    counts, rounds = ([1, 2], 1) if arguments.quick else ([1, 2, 4, 8, 16], 3)
    steps = 4 if arguments.quick else 20
    with tempfile.TemporaryDirectory() as folder:
        with Session(Path(folder) / "data", disk_bytes=0) as session:
            rows = measure("starter, 64 px", load(WORKFLOW, session), counts, rounds, steps=steps)
        if arguments.sd1:
            random_sd1(Path(folder) / "models" / "random-sd1")
            with Session(Path(folder) / "data", models=[Path(folder) / "models"], disk_bytes=0) as session:
                workflow = load(WORKFLOW, session).with_values({"model.model": "random-sd1"})
                name, size = f"SD 1.5 shape, {arguments.size} px", arguments.size
                rows += measure(name, workflow, counts, rounds, steps=steps, width=size, height=size)
    if arguments.svg:
        arguments.svg.write_text(svg([row for row in rows if row["model"].startswith("starter")]), "utf-8")
    if arguments.json:
        print(json.dumps({"cases": rows}, indent=2))
        return
    print(f"{'model':24} {'runs':>5} {'one by one /s':>14} {'at once /s':>11} {'gain':>6} {'differ by':>10}")
    for row in rows:
        print(
            f"{row['model']:24} {row['runs']:5} {row['one_by_one_per_s']:14.2f} {row['at_once_per_s']:11.2f} "
            f"{row['gain']:6.2f} {row['largest_difference']:10.1e}"
        )


if __name__ == "__main__":
    main()
