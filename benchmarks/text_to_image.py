"""The starter model end to end on this machine, beside the same work done with bare diffusers and transformers.

Cold: a whole process, from start to the saved picture (`nodegraph run` against `--bare`, this file's loop). Warm: seconds per
denoise step of 20 Euler steps with guidance, new noise each time, ours and bare in turn on one thread. The bare loop keeps its
networks in diffusers' own memory layout (`bare`) or in ours, channels last (`bare_channels_last`).
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
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "starter"
WORKFLOW = ROOT / "workflows" / "text_to_image.json"
PROMPT, STEPS, SCALE = "a red apple", 20, 4.0


class Bare(NamedTuple):
    """The starter model as a reader of its RECIPE would load it."""

    unet: Any
    vae: Any
    text: Any
    tokenizer: Any
    card: dict[str, Any]


def load_bare(channels_last: bool = False) -> Bare:
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, BertConfig, BertModel

    def weights(file: Path) -> dict[str, torch.Tensor]:
        tensors = load_file(file)
        scales = {name.removesuffix(".scale"): value.float() for name, value in tensors.items() if name.endswith(".scale")}
        plain = {name: value.float() for name, value in tensors.items() if not name.endswith(".scale")}
        return {k: v * scales[k].view(-1, *[1] * (v.ndim - 1)) if k in scales else v for k, v in plain.items()}

    unet = UNet2DConditionModel.from_config(json.loads((MODEL / "unet/config.json").read_text()))
    unet.load_state_dict(weights(MODEL / "unet/model.int8.safetensors"))
    vae = AutoencoderKL.from_config(json.loads((MODEL / "vae/config.json").read_text()))
    vae.load_state_dict(weights(MODEL / "vae/model.int8.safetensors"))
    text = BertModel(BertConfig.from_pretrained(MODEL / "text_encoder"), add_pooling_layer=False)
    text.load_state_dict(weights(MODEL / "text_encoder/model.int8.safetensors"), strict=False)
    if channels_last:
        unet.to(memory_format=torch.channels_last)
    tokenizer = AutoTokenizer.from_pretrained(MODEL / "text_encoder")
    return Bare(unet.eval(), vae.eval(), text.eval(), tokenizer, json.loads((MODEL / "starter.json").read_text()))


def encode_bare(bare: Bare, prompt: str) -> tuple[Any, Any]:
    import torch

    with torch.no_grad():
        tokens = bare.tokenizer(["", prompt], padding="max_length", truncation=True, max_length=24, return_tensors="pt")
        mask = tokens["attention_mask"][..., None].float()
        states = bare.text(**tokens).last_hidden_state * mask
        pooled = torch.nn.functional.normalize(states.sum(1) / mask.sum(1), dim=-1) * states.shape[-1] ** 0.5
    return states, pooled


def denoise_bare(bare: Bare, states: Any, pooled: Any, seed: int) -> Any:
    """The denoising loop, as in train_starter's `sample`."""
    import torch

    with torch.no_grad():
        x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(seed))
        times = torch.linspace(1, 0, STEPS + 1).tolist()
        for now, after in pairwise(times):
            timestep = torch.full((2,), now * 1000)
            v = bare.unet(torch.cat([x, x]), timestep, states, class_labels=pooled, return_dict=False)[0]
            negative, positive = v.chunk(2)
            x = x + (after - now) * (negative + SCALE * (positive - negative))
    return x


def bare_process(out: Path) -> None:
    """The whole of it, once: what the cold comparison starts as a process."""
    import torch
    from PIL import Image

    bare = load_bare()
    x = denoise_bare(bare, *encode_bare(bare, PROMPT), seed=7)
    with torch.no_grad():
        latent = x * bare.card["latent"]["std"] + bare.card["latent"]["mean"]
        pixels = (bare.vae.decode(latent).sample[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1)
    Image.fromarray((pixels * 255).round().byte().numpy()).save(out / "bare.png")


def process(command: list[str]) -> dict[str, float]:
    """Wall seconds and peak resident bytes of a whole process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{command} failed: {child.stderr.read().decode() if child.stderr else status}")
    return {"seconds": round(seconds, 3), "peak_rss_mb": round(usage.ru_maxrss / 1024, 1)}


def cold(repeat: int) -> dict[str, Any]:
    """Whole processes, in turn; medians."""
    with tempfile.TemporaryDirectory() as folder:
        nodegraph = [sys.executable, "-m", "nodegraph.cli"]
        commands = {
            "help": [*nodegraph, "--help"],
            "nodegraph": [*nodegraph, "run", str(WORKFLOW), "--prompt", PROMPT, "--out", folder],
            "bare": [sys.executable, __file__, "--bare", folder],
        }
        for command in commands.values():
            process(command)  # files in the page cache, bytecode compiled, catalog described
        runs = {name: [process(command) for _ in range(repeat)] for name, command in commands.items()}
    return {
        name: {figure: statistics.median(run[figure] for run in rows) for figure in ("seconds", "peak_rss_mb")}
        for name, rows in runs.items()
    }


def warm(rounds: int) -> dict[str, Any]:
    """Seconds per step in one process, ours and bare in turn, and the ratio round by round.

    The bare loops run on the engine's own device thread: a second thread with a team of OpenMP threads would slow down all.
    """
    from nodegraph import Session, load

    with Session() as session:
        workflow = load(WORKFLOW, session)

        def ours(seed: int, wanted: list[str] | None = None) -> None:
            workflow.run(wanted=wanted, prompt=PROMPT, seed=seed, steps=STEPS, guidance_scale=SCALE)

        ours(0)
        assert session._engine is not None
        thread = session._engine._devices.lanes[0]._pool
        bares = {"bare": thread.submit(load_bare).result(), "bare_channels_last": thread.submit(load_bare, True).result()}
        prompts = {name: thread.submit(encode_bare, bare, PROMPT).result() for name, bare in bares.items()}
        ways: dict[str, Callable[[int], Any]] = {"nodegraph": lambda seed: ours(seed, ["denoise"])}
        for name, bare in bares.items():
            ways[name] = lambda seed, name=name, bare=bare: thread.submit(denoise_bare, bare, *prompts[name], seed).result()
        times: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(rounds + 2):
            for name, way in ways.items():
                seconds = timed(lambda way=way, seed=1000 + round_: way(seed)) / STEPS  # type: ignore[misc]
                if round_ >= 2:
                    times[name].append(seconds)
        pictures = [timed(lambda seed=seed: ours(seed)) for seed in range(5000, 5000 + rounds)]  # type: ignore[misc]
        cached = [timed(lambda: ours(5000)) for _ in range(rounds)]
    ratios = {way: [a / b for a, b in zip(times["nodegraph"], times[way], strict=True)] for way in bares}
    return {
        "seconds_per_step": {way: round(statistics.median(rows), 5) for way, rows in times.items()},
        "ratio_to": {way: round(statistics.median(rows), 4) for way, rows in ratios.items()},
        "ratio_quartiles": {way: [round(q, 4) for q in statistics.quantiles(rows, n=4)[::2]] for way, rows in ratios.items()},
        "seconds_per_picture": round(statistics.median(pictures), 4),
        "seconds_cached": round(statistics.median(cached), 5),
    }


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    parser.add_argument("--bare", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        bare_process(arguments.bare)
        return
    figures = {"cold": cold(1 if arguments.quick else 5), "warm": warm(4 if arguments.quick else 40)}
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, row in figures["cold"].items():
        print(f"cold  {name:20} {row['seconds']:8.2f} s   peak {row['peak_rss_mb']:7.0f} MB")
    for name, seconds in figures["warm"]["seconds_per_step"].items():
        ratio = figures["warm"]["ratio_to"].get(name)
        print(f"warm  {name:20} {seconds * 1e3:8.2f} ms a step" + (f"   nodegraph takes {ratio:.3f} of it" if ratio else ""))
    print(f"warm  a whole picture      {figures['warm']['seconds_per_picture']:8.3f} s")
    print(f"warm  nothing changed      {figures['warm']['seconds_cached'] * 1e3:8.2f} ms")


if __name__ == "__main__":
    main()
