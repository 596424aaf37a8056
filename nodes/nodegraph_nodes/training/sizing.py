"""The sizes that pictures of a data set are brought to."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph import NodeError, node
from nodegraph_nodes.training.data.bucketing import bucket_sizes, bucketed
from nodegraph_nodes.types import Dataset, Fit

Side = Annotated[int, Field(ge=8, le=8192, json_schema_extra={"x-step": 8, "x-unit": "px"})]


@node(category="training/data", output_name="data")
def resize_pictures(data: Dataset, width: Side = 64, height: Side = 64, fit: Fit = "cover") -> Dataset:
    """Bring all pictures to one size as they are read."""
    return replace(data, buckets=((width, height),), fit=fit)


@node(category="training/data", output_name="data")
def bucket_pictures(
    data: Dataset,
    side: Annotated[Side, Field(description="The square of it is about how many pixels each picture has.")] = 512,
    step: Annotated[int, Field(ge=8, le=512, description="Widths and heights are multiples of it.")] = 64,
    longest: Annotated[float, Field(ge=1, le=8, description="How many times longer than wide a picture may be.")] = 2.0,
    fewest: Annotated[int, Field(ge=1, description="Sizes with fewer pictures are left out: a batch has one size.")] = 1,
) -> Dataset:
    """Bring each picture to the size nearest its own shape, all of about one area, so that little is cut off."""
    if not data.entries:
        raise NodeError("The data set has no pictures.", socket="data")
    if step > side:
        raise NodeError("The step is larger than the side.", socket="step", expected=f"up to {side}", got=str(step))
    return bucketed(data, bucket_sizes(side, step, longest), fewest)
