"""Distances between two sets of pictures: how far what a model makes is from what it was trained on."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph import NodeError, Seed, node
from nodegraph_nodes.training import evaluate
from nodegraph_nodes.types import Features


class Frechet(NamedTuple):
    distance: Annotated[float, Field(description="0: equal means and covariances. Published figures are by Inception v3.")]
    note: Annotated[str, Field(description="What is to be said of this figure; empty: nothing.")]


class Kernel(NamedTuple):
    distance: Annotated[float, Field(description="Mean over subsets; about 0 for equal sets, and it may be below.")]
    deviation: Annotated[float, Field(description="Over subsets; 0 where there is one alone.")]
    note: Annotated[str, Field(description="What is to be said of this figure; empty: nothing.")]


@node(title="Fréchet distance (FID)", category="training/evaluate")
def frechet_distance(reference: Features, features: Features) -> Frechet:
    """FID (Heusel et al. 2017): the distance between two sets of pictures, each taken for a Gaussian in a network's vectors."""
    _comparable(reference, features)
    fewest, width = min(len(reference), len(features)), features.vectors.shape[1]
    note = ""
    if fewest <= width:
        note = (
            f"{fewest} pictures span no more than {fewest - 1} of the vectors' {width} dimensions: a covariance is singular, "
            "and the distance too large. Compare it only with figures of as many pictures, or use kernel_distance."
        )
    return Frechet(evaluate.frechet_distance(reference.vectors, features.vectors), note)


@node(title="Kernel distance (KID)", category="training/evaluate")
def kernel_distance(
    reference: Features,
    features: Features,
    subsets: Annotated[int, Field(ge=1, le=10_000)] = 100,
    subset: Annotated[int, Field(ge=2, le=100_000, description="Pictures of each set in a subset.")] = 1000,
    seed: Seed = 0,
) -> Kernel:
    """KID (Bińkowski et al. 2018): unlike Fréchet's, its estimate is right on average for few pictures too."""
    _comparable(reference, features)
    found = evaluate.kernel_distance(reference.vectors, features.vectors, subsets=subsets, subset=subset, seed=seed)
    note = ""
    if found.subset < subset:
        note = f"Subsets have {found.subset} pictures, for there are no more; figures by other sizes vary otherwise."
    if found.subset == len(reference) == len(features):
        note = f"{note} All of them are the whole sets, so the deviation says nothing; a smaller subset makes it speak.".strip()
    return Kernel(found.mean, found.deviation, note)


def _comparable(reference: Features, features: Features) -> None:
    """Raises NodeError for sets that no distance can be told of."""
    if reference.network != features.network:
        raise NodeError(
            "The two sets are vectors of different networks.",
            socket="features",
            expected=_named(reference),
            got=_named(features),
            hint="Link both picture_features to one load_feature_network.",
        )
    for socket, each in (("reference", reference), ("features", features)):
        if len(each) < 2:
            raise NodeError("A set needs two pictures at least.", socket=socket, expected="2 or more", got=str(len(each)))
        if not bool(each.vectors.isfinite().all()):
            raise NodeError("Some of the vectors are no numbers.", socket=socket, hint="Use float32, and look at the pictures.")


def _named(features: Features) -> str:
    """A set's network in a few words."""
    network = features.network
    return f"{network.kind} {network.digest[:8]}, {network.layer!r}, {network.size} px, {network.precision}"
