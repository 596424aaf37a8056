"""How good the bundled model is, by a classifier that it never met: known captions, new combinations, seeds; its autoencoder.

    python benchmarks/starter.py --data DIR --classifier FILE [--model starter] [--captions 200] [--grid FILE] [--json]

DIR holds images_128_rgba_webp.zip, starter.jsonl and (for the autoencoder) held_out.jsonl: pictures that it did not train on.
The classifier is made by train_classifier and kept by keep_classifier; its own share of right answers is told in its file.
Pictures are made by workflows/text_to_image.json: 20 Euler steps, guidance 4, one after the other. Combinations are those that
the recipe keeps apart. The judge learned single things, so it is also asked about the data's own pictures, put together alike.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow

import nodegraph
from nodegraph import Context, ModelFile
from nodegraph.api.paths import shipped
from nodegraph_nodes.diffusion.families import describe_model, load_autoencoder
from nodegraph_nodes.image.sheet import image_grid
from nodegraph_nodes.pictures import from_pillow, to_pillow
from nodegraph_nodes.training import (
    augment_colours,
    augment_halves,
    augment_pairs,
    feature_network,
    load_classifier,
    load_pictures,
    measure_reconstruction,
    prompt_retrieval,
    resize_pictures,
    seed_variety,
)
from nodegraph_nodes.training.data import Pick, Reader
from nodegraph_nodes.training.data.captions import with_article
from nodegraph_nodes.types import Autoencoder

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
SEEDS, VARIED = 4, 24


def loaded(recipe: Any) -> Any:
    device = torch.device("cpu")
    return load_autoencoder(recipe, device) if isinstance(recipe, Autoencoder) else feature_network(recipe, device)


class Painter:
    """Makes pictures of prompts. seconds: of each."""

    def __init__(self, model: str, models: Path) -> None:
        self._session = nodegraph.Session(models=[models], disk_bytes=0)
        self._workflow = nodegraph.load(shipped("workflows") / "text_to_image.json", self._session)
        self._model, self.seconds = model, list[float]()

    def paint(self, prompt: str, seed: int) -> torch.Tensor:
        begun = time.perf_counter()
        made = self._workflow.run(prompt=prompt, seed=seed, model=self._model)["image"]
        self.seconds.append(time.perf_counter() - begun)
        return from_pillow(Pillow.open(io.BytesIO(made.data)))


def judged(painter: Painter, context: Context, classifier: Any, prompts: Sequence[str], several: str) -> dict[str, Any]:
    """Shares of right answers, and the pictures with what was answered."""
    pictures = [painter.paint(prompt, 100 + number) for number, prompt in enumerate(prompts)]
    found = prompt_retrieval(context, classifier, pictures, list(prompts), several=several)
    misses = [row[:2] for row in found.misses.rows]
    return {"prompts": len(prompts), "top_1": found.top_1, "top_5": found.top_5, "misses": misses, "sheet": found.sheet}


def real(folder: Path, subjects: str, context: Context, classifier: Any) -> dict[str, Any]:
    """Among five: the judge's share of right answers about the data's own pictures, coloured and put together."""
    read = load_pictures(Context(), folder / "images_128_rgba_webp.zip", folder / subjects, subject_field="label", check=False)
    data, found = resize_pictures(read, 64, 64), dict[str, Any]()
    chosen = random.Random(1)
    entries = [chosen.randrange(len(data.entries)) for _ in range(200)]
    varied = {"coloured": augment_colours(data, 1.0, ", ".join(COLOURS)), "pairs": augment_pairs(data, 1.0)}
    for name, kind in {**varied, "halves": augment_halves(data, 1.0)}.items():
        with Reader(kind, seed=7) as reader:
            examples = [reader.read(Pick(entry, draw, 0)) for draw, entry in enumerate(entries)]
        told = [each for each in examples if not set(_things(each.caption)) - set(classifier.classes)]
        pictures, captions = [each.pixels.float() / 255 for each in told], [each.caption for each in told]
        found[name] = prompt_retrieval(context, classifier, pictures, captions, several="any").top_5
    return found


def _things(caption: str) -> list[str]:
    """What a caption of a varied picture names."""
    parts = caption.removeprefix("half ").split(" half ") if caption.startswith("half ") else caption.split(" and ")
    return [re.sub(f"^(an? )?(({'|'.join(COLOURS)}) )?", "", part) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--subjects", default="starter.jsonl", help="what the model was trained on, in DIR")
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--models", type=Path, default=shipped("models"))
    parser.add_argument("--captions", type=int, default=200)
    parser.add_argument("--grid", type=Path, help="a folder for sheets to look at")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    context = Context(load=loaded)
    classifier = load_classifier(ModelFile("classifier", given.classifier, "-"), None)
    rows = [json.loads(line) for line in (given.data / given.subjects).read_text("utf-8").splitlines()]
    known = [name for name in dict.fromkeys(row["label"] for row in rows) if name in classifier.classes]
    random.Random(0).shuffle(known)
    painter = Painter(given.model, given.models)
    result: dict[str, Any] = {"model": given.model, "concepts": len(known), "classifier": json.loads(classifier.facts)}

    captions = [with_article(name) for name in known[: given.captions]]
    result["known captions"] = judged(painter, context, classifier, captions, "all")
    coloured = [f"a {COLOURS[number % 7]} {name}" for number, name in enumerate(known[:50]) if not name.startswith(COLOURS)]
    result["in another colour"] = judged(painter, context, classifier, coloured, "any")
    first, second = known[:30], known[30:60]
    pairs = [f"{with_article(a)} and {with_article(b)}" for a, b in zip(first, second, strict=True)]
    result["two side by side"] = judged(painter, context, classifier, pairs, "any")
    halves = [f"half {a} half {b}" for a, b in zip(first, second, strict=True)]
    result["two halves"] = judged(painter, context, classifier, halves, "any")

    result["real pictures"] = real(given.data, given.subjects, context, classifier)

    told = [with_article(name) for name in known[:VARIED] for _ in range(SEEDS)]
    pictures = [painter.paint(caption, 500 + number % SEEDS) for number, caption in enumerate(told)]
    variety = seed_variety(context, classifier, pictures, told)
    result["seeds"] = {"distance": variety.distance, "error": variety.error, "among captions": variety.among_captions}
    painted = sorted(painter.seconds)
    result["seconds a picture"] = {"median": painted[len(painted) // 2], "pictures": len(painted)}

    if (given.data / "held_out.jsonl").is_file():
        width, height = describe_model(given.models / given.model, "-").denoiser.native_size
        archive = given.data / "images_128_rgba_webp.zip"
        data = load_pictures(Context(), archive, given.data / "held_out.jsonl", subject_field="label", check=False)
        coder = describe_model(given.models / given.model, "-").autoencoder
        kept = measure_reconstruction(context, coder, resize_pictures(data, width, height), len(data.entries))
        ratio = width * height * 3 / (coder.latent_channels * width * height / coder.downscale**2)
        result["autoencoder"] = {"held-out pictures": len(data.entries), "psnr": kept.psnr, "ssim": kept.ssim, "ratio": ratio}

    sheets = {name: row.pop("sheet") for name, row in result.items() if isinstance(row, dict) and "sheet" in row}
    if given.grid:
        given.grid.mkdir(parents=True, exist_ok=True)
        sheets["seeds"] = image_grid(pictures, SEEDS * 4, 2)
        for name, sheet in sheets.items():
            to_pillow(sheet).save(given.grid / f"{name.replace(' ', '_')}.png")
    if given.json:
        print(json.dumps(result, indent=2))
        return
    for name, row in result.items():
        shown = {key: value for key, value in row.items() if key != "misses"} if isinstance(row, dict) else row
        print(f"{name:<20}{shown}")


if __name__ == "__main__":
    main()
