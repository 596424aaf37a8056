"""What ComfyUI's mask and inpainting nodes become, and that the result runs and keeps what ComfyUI keeps."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pillow

import nodegraph
from importing.comfy import catalog, document, imported, node, picture, row, ui
from nodegraph.graph import save_document, validate

LOAD = node(40, "LoadImage", ["a.png", "image"])


def with_latent(*more: dict[str, Any], latent: tuple[int, int], size: tuple[int, ...] = (3, 1)) -> list[dict[str, Any]]:
    """The default workflow with another latent to begin with."""
    settings = (7, "fixed", size[0], 4.0, "euler", "normal", float(size[1]))
    nodes = [n for n in picture(sampler=settings) if n["id"] != 5]
    nodes[3]["inputs"][3]["link"] = latent
    return deepcopy([*nodes, LOAD, *more])


ENCODE = node(41, "VAEEncode", None, {"pixels": (40, 0), "vae": (4, 2)})
SET_MASK = node(42, "SetLatentNoiseMask", None, {"samples": (41, 0), "mask": (40, 1)})
FOR_INPAINT = node(42, "VAEEncodeForInpaint", [6], {"pixels": (40, 0), "vae": (4, 2), "mask": (40, 1)})


def inpaint_model(noise_mask: bool = True) -> list[dict[str, Any]]:
    links = {"positive": (6, 0), "negative": (7, 0), "vae": (4, 2), "pixels": (40, 0), "mask": (40, 1)}
    nodes = with_latent(node(43, "InpaintModelConditioning", [noise_mask], links), latent=(43, 2))
    nodes[3]["inputs"][1]["link"], nodes[3]["inputs"][2]["link"] = (43, 0), (43, 1)
    return nodes


def test_a_pictures_mask_is_turned_round_only_where_it_is_used() -> None:
    used = document(LOAD, node(41, "MaskToImage", None, {"mask": (40, 1)}), node(9, "SaveImage", ["x"], {"images": (41, 0)}))
    assert used.nodes["mask"].type == "mask/invert_mask"
    assert used.nodes["mask"].links == {"mask": "image.mask"}
    assert used.nodes["mask_image"].links == {"mask": "mask.mask"}
    assert validate(used, catalog()) == []
    assert "mask" not in document(LOAD, node(9, "SaveImage", ["x"], {"images": (40, 0)})).nodes


def test_masks_are_made_and_changed_as_asked() -> None:
    found = imported(
        ui(
            LOAD,
            node(1, "ImageToMask", ["green"], {"image": (40, 0)}),
            node(2, "LoadImageMask", ["b.png", "alpha", "image"]),
            node(3, "MaskComposite", [0, 0, "subtract"], {"destination": (1, 0), "source": (2, 0)}),
            node(4, "GrowMask", [-5, True], {"mask": (3, 0)}),
            node(5, "InvertMask", None, {"mask": (4, 0)}),
            node(6, "ImageCompositeMasked", [0, 0, True], {"destination": (40, 0), "source": (40, 0), "mask": (5, 0)}),
            node(9, "SaveImage", ["x"], {"images": (6, 0)}),
        )
    )
    nodes = found.document.nodes
    assert not found.report.placeholders
    assert validate(found.document, catalog()) == []
    assert (nodes["mask"].inputs["channel"], nodes["mask_2"].inputs["channel"]) == ("alpha", "green")
    assert nodes["masks"].inputs["operation"] == "difference"
    assert nodes["masks"].links == {"a": "mask_2.mask", "b": "inverted.mask"}
    assert nodes["grown"].inputs["pixels"] == -5
    assert nodes["composite"].links == {"image": "image.image", "over": "resized.image", "mask": "inverted_2.mask"}
    assert "round brush" in row(found, 4).notes[0]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (node(1, "MaskComposite", [3, 0, "add"], {"destination": (40, 1), "source": (40, 1)}), "upper left corner"),
        (node(1, "MaskComposite", [0, 0, "xor"], {"destination": (40, 1), "source": (40, 1)}), "'xor'"),
        (node(1, "ImageCompositeMasked", [0, 0, False], {"destination": (40, 0), "source": (40, 0)}), "no mask"),
        (node(1, "FeatherMask", [8, 8, 8, 8], {"mask": (40, 1)}), "borders"),
        (node(1, "DifferentialDiffusion", [0.5], {"model": (40, 0)}), "strength is 0.5"),
    ],
)
def test_what_has_no_counterpart_says_why(entry: dict[str, Any], reason: str) -> None:
    found = row(imported(ui(LOAD, entry)), 1)
    assert found.fate == "placeholder"
    assert reason in found.reason


def test_a_canvas_for_outpainting_is_grey_and_has_the_same_seam() -> None:
    pad = node(42, "ImagePadForOutpaint", [8, 0, 16, 24, 40], {"image": (40, 0)})
    found = document(LOAD, pad, node(9, "SaveImage", ["x"], {"images": (42, 0)}))
    wanted = {"left": 8, "top": 0, "right": 16, "bottom": 24, "feather": 40, "infill": "color", "color": "#808080"}
    assert found.nodes["canvas"].inputs == wanted
    assert validate(found, catalog()) == []


def test_a_masked_latent_is_sampled_with_its_mask() -> None:
    found = document(*with_latent(ENCODE, SET_MASK, latent=(42, 0)))
    assert found.nodes["masked"].links == {"latent": "encode.latent", "mask": "mask.mask"}
    assert found.nodes["begin"].links["latent"] == "masked.latent"
    assert found.nodes["noise"].links["width"] == "size.width"
    assert validate(found, catalog()) == []


def test_encoding_for_inpainting_hides_a_hard_mask_and_repaints_a_grown_one() -> None:
    found = document(*with_latent(FOR_INPAINT, latent=(42, 0)))
    assert found.nodes["grey"].links == {"image": "image.image", "mask": "hard_mask.mask"}
    assert found.nodes["encode"].links["image"] == "grey.image"
    assert found.nodes["grown"].inputs["pixels"] == 3
    assert found.nodes["masked"].links == {"latent": "encode.latent", "mask": "grown.mask"}
    assert validate(found, catalog()) == []
    bare = node(42, "VAEEncodeForInpaint", [0], {"pixels": (40, 0), "vae": (4, 2), "mask": (40, 1)})
    assert document(*with_latent(bare, latent=(42, 0))).nodes["masked"].links["mask"] == "hard_mask.mask"


def test_an_inpainting_model_is_told_its_mask_by_the_guidance() -> None:
    found = imported(ui(*inpaint_model()))
    nodes = found.document.nodes
    assert not found.report.placeholders
    assert validate(found.document, catalog()) == []
    assert nodes["guidance"].links == {"positive": "positive.conditioning", "negative": "negative.conditioning"}
    told = {"guidance": "guidance.guidance", "autoencoder": "model.autoencoder", "image": "image.image", "mask": "mask.mask"}
    assert nodes["inpaint"].links == told
    assert nodes["denoise"].links["guidance"] == "inpaint.guidance"
    assert nodes["begin"].links["latent"] == "masked.latent"
    assert document(*inpaint_model(noise_mask=False)).nodes["begin"].links["latent"] == "encode.latent"


@pytest.mark.slow
@pytest.mark.parametrize("latent", [(ENCODE, SET_MASK), (FOR_INPAINT,)], ids=["SetLatentNoiseMask", "VAEEncodeForInpaint"])
def test_an_imported_inpainting_repaints_what_is_transparent_and_keeps_the_rest_of_the_latent(
    tmp_path: Path, latent: tuple[dict[str, Any], ...]
) -> None:
    made = Pillow.new("RGBA", (64, 64), (255, 160, 0, 255))
    made.paste((255, 160, 0, 0), (32, 0, 64, 64))
    made.save(tmp_path / "a.png")
    save_document(document(*with_latent(*latent, latent=(42, 0))), tmp_path / "imported.json")
    with nodegraph.Session(files=[tmp_path]) as session:
        workflow = nodegraph.load(tmp_path / "imported.json", session, trust=True)
        result = workflow.run(wanted=["denoise.latent", "encode.latent", "masked.latent"])
    after, before, mask = result["denoise.latent"].samples, result["encode.latent"].samples, result["masked.latent"].mask
    assert mask[:, -8:].min() == 1
    assert mask[:, :6].max() == 0
    torch.testing.assert_close(after[:, mask == 0], before[:, mask == 0], atol=1e-5, rtol=1e-5)
    assert (after - before)[:, mask == 1].abs().mean() > 0.3
