"""Stable Diffusion 1.5's full shape on a CPU: seconds per step and peak memory, beside a bare diffusers loop.

A random checkpoint with the published configs (U-Net 860 M parameters) is written as a diffusers folder in float16, as such
models are handed out. Then whole processes, one after the other: the bare loop in float32 and in bfloat16, and ours with "auto"
and with bfloat16. Each makes a picture with guidance (a batch of two); the first step warms up and is left out. What is drawn
is noise: the cost is that of the real model.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "nodes/nodegraph_nodes/diffusion/families/sd1_config"
WORKFLOW = ROOT / "workflows" / "text_to_image.json"
NAME, PROMPT, SCALE = "random-sd15", "a photograph of an astronaut riding a horse", 7.5
WAYS = {"bare float32": ("bare", "float32"), "bare bfloat16": ("bare", "bfloat16")} | {
    "nodegraph auto": ("ours", "auto"),
    "nodegraph bfloat16": ("ours", "bfloat16"),
}


def write_model(folder: Path, small: bool) -> None:
    """A random model in a diffusers folder, float16. small: a tenth of the width, to see that the benchmark runs."""
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from nodegraph_nodes.diffusion.families.clip_tokenizer import clip_tokenizer

    def config(name: str) -> dict[str, Any]:
        return dict(json.loads((CONFIGS / f"{name}.json").read_text()))

    unet, vae = config("unet/config"), config("vae/config")
    if small:
        unet["block_out_channels"], vae["block_out_channels"] = [32, 64, 64, 64], [32, 32, 32, 32]
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_config(vae),
        text_encoder=CLIPTextModel(CLIPTextConfig(**config("text_encoder/config"))),
        tokenizer=clip_tokenizer(),
        unet=UNet2DConditionModel.from_config(unet),
        scheduler=EulerDiscreteScheduler.from_config(config("scheduler/scheduler_config"), timestep_spacing="linspace"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder)


def bare(folder: Path, precision: str, pixels: int, steps: int) -> list[float]:
    """Seconds of each step of diffusers' own pipeline."""
    import torch
    from diffusers import StableDiffusionPipeline

    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    marks: list[float] = []

    def mark(pipeline: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        marks.append(time.perf_counter())
        return values

    pipeline(
        PROMPT,
        height=pixels,
        width=pixels,
        num_inference_steps=steps,
        guidance_scale=SCALE,
        generator=torch.Generator().manual_seed(7),
        callback_on_step_end=mark,
    )
    return [after - before for before, after in pairwise(marks)]


def ours(folder: Path, precision: str, pixels: int, steps: int) -> list[float]:
    """Seconds of each step of the text-to-image workflow, as events tell them."""
    from nodegraph import Session, load
    from nodegraph.engine import NodeFinished

    took: list[float] = []

    def see(event: Any) -> None:
        if isinstance(event, NodeFinished) and event.node.startswith("denoise/step_"):
            took.append(event.ms / 1000)

    with tempfile.TemporaryDirectory() as data, Session(Path(data), models=[folder.parent]) as session:
        workflow = load(WORKFLOW, session).with_values({"model.model": folder.name, "model.precision": precision})
        workflow.run(
            prompt=PROMPT,
            seed=7,
            steps=steps,
            guidance_scale=SCALE,
            width=pixels,
            height=pixels,
            model=folder.name,
            listener=see,
        )
    return took[1:]


def child(folder: Path, way: str, pixels: int, steps: int) -> dict[str, Any]:
    """A way in a process of its own: median seconds of a step, and the process's peak of resident memory."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--child", way, "--model", str(folder), "--pixels", str(pixels), "--steps", str(steps)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{way} failed with {status}")
    seconds = json.loads(told)
    return {
        "seconds_per_step": round(statistics.median(seconds), 3),
        "fastest_step": round(min(seconds), 3),
        "peak_rss_gb": round(usage.ru_maxrss / 2**20, 2),
        "process_seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="a narrow network at 64 pixels: only to see that it runs")
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2, help="how often each way is run, in turn")
    parser.add_argument("--model", type=Path, help="where the random model is, or is to be kept (1.9 GB)")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if arguments.write:
        return write_model(arguments.model, arguments.quick)
    if arguments.child:
        kind, precision = WAYS[arguments.child]
        run = bare if kind == "bare" else ours
        return print(json.dumps(run(arguments.model, precision, arguments.pixels, arguments.steps)))
    if arguments.quick:
        arguments.pixels, arguments.steps, arguments.rounds = 64, 3, 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.model or Path(temporary) / NAME
        if not (folder / "model_index.json").is_file():
            quick = ["--quick"] if arguments.quick else []
            subprocess.run([sys.executable, __file__, "--write", "--model", str(folder), *quick], check=True)
        runs = [{way: child(folder, way, arguments.pixels, arguments.steps) for way in WAYS} for _ in range(arguments.rounds)]
    rows = {way: {figure: statistics.median(run[way][figure] for run in runs) for figure in runs[0][way]} for way in WAYS}
    result = {"pixels": arguments.pixels, "steps": arguments.steps, "rounds": arguments.rounds, "ways": rows}
    if arguments.json:
        return print(json.dumps(result, indent=2))
    print(f"{arguments.pixels} x {arguments.pixels}, batch 2, medians of {arguments.rounds} rounds of {arguments.steps} steps")
    print(f"{'way':20} {'s/step':>8} {'fastest':>8} {'peak RSS GB':>12} {'process s':>10}")
    for way, row in rows.items():
        print(f"{way:20} " + " ".join(f"{value:>{width}}" for value, width in zip(row.values(), (8, 8, 12, 10), strict=True)))


if __name__ == "__main__":
    main()
