"""Whether seeds make a difference."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field

from nodegraph import Context, NodeError, Table, node
from nodegraph_nodes.training.clip_agreement import paired
from nodegraph_nodes.training.evaluate import by_caption, mean_pairwise_distance, mean_pairwise_error
from nodegraph_nodes.training.load_feature_network import seeing
from nodegraph_nodes.types import FeatureNetwork, Image, TrainedClassifier


class Variety(NamedTuple):
    distance: Annotated[float, Field(description="Mean of 1 - cosine of the vectors of a caption's pictures; 0: all alike.")]
    error: Annotated[float, Field(description="Mean absolute difference of their pixels, 0..1.")]
    among_captions: Annotated[float, Field(description="The same distance between pictures of all captions, to compare with.")]
    table: Annotated[Table, Field(description="Each caption's, the least varied first.")]


@node(category="training/evaluate", lane="gpu")
def seed_variety(
    context: Context,
    network: FeatureNetwork | TrainedClassifier,
    images: Annotated[list[Image], Field(description="Several of each caption, by different seeds, all of one size.")],
    captions: Annotated[list[str], Field(description="One for each picture.")],
    batch: Annotated[int, Field(ge=1, le=4096)] = 32,
) -> Variety:
    """Measure how different the pictures are that a model makes of one caption by different seeds."""
    paired(images, captions)
    if len({tuple(image.shape[:2]) for image in images}) > 1:
        raise NodeError("The pictures have several sizes.", socket="images", hint="Bring them to one with image/resize_image.")
    groups = {caption: places for caption, places in by_caption(captions).items() if len(places) > 1}
    if not groups:
        raise NodeError("No caption has two pictures.", socket="captions", hint="Make several of each, by different seeds.")
    eye = seeing(context, network)
    parts = []
    for first in range(0, len(images), batch):
        context.check_cancelled()
        parts.append(eye.features(images[first : first + batch]))
        context.progress(min(first + batch, len(images)), len(images))
    vectors = torch.cat(parts)
    rows: list[list[bool | int | float | str | None]] = []
    for caption, places in groups.items():
        apart = mean_pairwise_distance(vectors[places])
        rows.append([caption, len(places), apart, mean_pairwise_error([images[i][..., :3] for i in places])])
    rows.sort(key=lambda row: row[2])  # type: ignore[arg-type, return-value]
    distance, error = (sum(float(row[column] or 0) for row in rows) / len(rows) for column in (2, 3))
    table = Table(columns=["caption", "pictures", "distance", "error"], rows=rows)
    return Variety(distance, error, mean_pairwise_distance(vectors), table)
