"""Classifiers as files: one .safetensors with the head's weights; what else is to be known stands in its metadata."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nodegraph import Context, ModelFile, NodeError, node
from nodegraph_nodes.diffusion.families.errors import ModelError
from nodegraph_nodes.diffusion.families.source import read_metadata, read_tensors
from nodegraph_nodes.training.keeping import FileName, Replace, file_is_named, keep_tensors
from nodegraph_nodes.training.load_feature_network import packaged
from nodegraph_nodes.types import FeatureNetwork, History, TrainedClassifier

_FORMAT = "nodegraph classifier 1"


@node(category="training/evaluate", cache="never", output=True, output_name="file", check=file_is_named)
def keep_classifier(
    context: Context,
    classifier: TrainedClassifier,
    name: FileName = "classifier",
    replace: Replace = False,
) -> str:
    """Write a classifier to the folder of models, for other workflows to judge by."""
    return keep_tensors(context, name, classifier.tensors, said_of(classifier), replace).name


@node(category="training/evaluate")
def load_classifier(
    model: Annotated[ModelFile[Literal["classifier"]], Field(description="What keep_classifier wrote.")],
    network: Annotated[
        FeatureNetwork | None,
        Field(description="The network in front of it, as it was trained with; none: the packaged one."),
    ] = None,
) -> TrainedClassifier:
    """Read a classifier."""
    try:
        found = read_classifier(model.path)
    except ModelError as error:
        raise NodeError(f"{model.name} cannot be used: {error.problem}", socket="model") from None
    trunk = network or found.trunk
    if network is None and found.trunk.kind == "efficientnet_lite0":
        trunk = packaged(found.trunk.layer, found.trunk.size, found.trunk.precision)
    if dataclasses.replace(trunk, path="") != dataclasses.replace(found.trunk, path=""):
        raise NodeError(
            "This classifier was trained with another network in front of it.",
            socket="network",
            expected=f"{found.trunk.kind} {found.trunk.digest[:8]}, {found.trunk.layer!r}, {found.trunk.size} px",
            got="none" if network is None else f"{trunk.kind} {trunk.digest[:8]}, {trunk.layer!r}, {trunk.size} px",
            hint="Link training/load_feature_network with these settings.",
        )
    return dataclasses.replace(found, trunk=trunk)


def said_of(classifier: TrainedClassifier) -> dict[str, str]:
    """What a classifier's file says beside its weights."""
    return {
        "format": _FORMAT,
        "classes": json.dumps(classifier.classes),
        "trunk": json.dumps(asdict(dataclasses.replace(classifier.trunk, path=""))),  # elsewhere it lies elsewhere
        "width": str(classifier.width),
        "facts": classifier.facts,
        "curves": json.dumps(dict(classifier.history.columns)),
    }


def read_classifier(file: Path) -> TrainedClassifier:
    """A classifier from its file; where the network in front of it lies it does not say. Raises ModelError."""
    metadata = read_metadata(file)
    if metadata.get("format") != _FORMAT:
        raise ModelError(str(file), "it is no classifier that keep_classifier wrote.")
    try:
        trunk: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(metadata["trunk"]).items()
        }
        recipe = FeatureNetwork(**trunk)
        curves = {
            str(name): tuple((int(step), float(value)) for step, value in rows)
            for name, rows in json.loads(metadata["curves"]).items()
        }
        classes = tuple(map(str, json.loads(metadata["classes"])))
        tensors = {name: tensor.clone() for name, tensor in read_tensors(file).items()}
        needed = {"mean", "std", "answer.weight", "answer.bias"}
        if not needed <= tensors.keys() or len(tensors["answer.bias"]) != len(classes):
            raise ValueError("its tensors do not fit its classes")
        return TrainedClassifier(tensors, classes, recipe, int(metadata["width"]), History(curves), metadata["facts"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(str(file), f"its metadata is damaged ({error}).") from None
