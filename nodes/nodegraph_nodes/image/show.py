"""Showing pictures without saving them: previews, comparisons and animations.

Previews carry no workflow and lie in a folder of their own, apart from what a person wanted to keep.
"""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Annotated, NamedTuple

from PIL import Image as Pillow
from pydantic import Field

from nodegraph import Artifact, NodeError, node
from nodegraph_nodes.pictures import MEDIA_TYPES, encode, to_pillow
from nodegraph_nodes.types import Image

PREVIEW = "previews/{node}-{digest}"
_MOST_FRAMES = 1000
_LARGEST_WEBP = 16383  # pixels a side


class Compared(NamedTuple):
    before: Annotated[Artifact, Field(description="The first picture.")]
    after: Annotated[Artifact, Field(description="The second picture.")]


@node(category="image/show", output=True, view="image", output_name="preview")
def show_image(image: Image) -> Artifact:
    """Show a picture on the node, without saving it among the results."""
    return preview(image)


@node(category="image/show", output=True, view="images", output_name="previews")
def show_images(images: list[Image]) -> list[Artifact]:
    """Show a list of pictures beside one another, without saving them among the results."""
    return [preview(image) for image in images]


@node(category="image/show", output=True, view="compare")
def compare_images(before: Image, after: Image) -> Compared:
    """Show two pictures over one another, to see what changed."""
    return Compared(preview(before), preview(after))


@node(category="image/show", output=True, view="video", output_name="file")
def animate(
    images: list[Image],
    fps: Annotated[float, Field(ge=0.1, le=60, description="Pictures per second.")] = 8.0,
    quality: Annotated[int, Field(ge=1, le=100, description="100 keeps every pixel.")] = 85,
    loop: Annotated[bool, Field(description="Begin again at the end.")] = True,
    name: Annotated[str, Field(description="File name without ending, as in image/save_image.")] = "{workflow}-{digest}",
) -> Artifact:
    """Make a list of pictures of one size into a moving one (an animated WebP)."""
    if not images:
        raise NodeError("There are no pictures to show.", socket="images", expected="at least one picture", got="an empty list")
    if len(images) > _MOST_FRAMES:
        raise NodeError(
            "These are too many pictures.", socket="images", expected=f"at most {_MOST_FRAMES}", got=str(len(images))
        )
    height, width = images[0].shape[:2]
    for number, image in enumerate(images[1:], 2):
        if image.shape[:2] != (height, width):
            raise NodeError(
                f"Picture {number} has another size than the first.",
                socket="images",
                expected=f"{width} x {height}",
                got=f"{image.shape[1]} x {image.shape[0]}",
                hint="Bring them to one size with image/resize_image.",
            )
    if max(height, width) > _LARGEST_WEBP:
        raise NodeError(
            "The pictures are too large for WebP.", socket="images", expected=f"at most {_LARGEST_WEBP} pixels a side"
        )
    return Artifact(_animated([to_pillow(image) for image in images], fps, quality, loop), MEDIA_TYPES["webp"], name)


def preview(image: Image) -> Artifact:
    """A picture as a file that is shown, not kept."""
    return Artifact(encode(image), MEDIA_TYPES["png"], PREVIEW, embed="none")


def _animated(frames: list[Pillow.Image], fps: float, quality: int, loop: bool) -> bytes:
    """Frames as an animated WebP. A frame stands for whole milliseconds; their sum keeps to the rate."""
    mode = "RGBA" if any(frame.mode == "RGBA" for frame in frames) else "RGB"
    first, *rest = [frame if frame.mode == mode else frame.convert(mode) for frame in frames]
    ends = [round(1000 * i / fps) for i in range(len(frames) + 1)]
    buffer = io.BytesIO()
    first.save(
        buffer,
        "webp",
        save_all=True,
        append_images=rest,
        duration=[end - start for start, end in pairwise(ends)],
        loop=0 if loop else 1,
        quality=quality,
        lossless=quality == 100,
        exact=quality == 100,
        method=4,
    )
    return buffer.getvalue()
