"""A judge for generated pictures: a classifier that is trained on real ones, then frozen."""

from __future__ import annotations

import json
from typing import Annotated, NamedTuple

import torch
from pydantic import Field

from nodegraph import Context, NodeError, Plot, Table, node
from nodegraph_nodes.training.evaluate import top
from nodegraph_nodes.training.features import Extractor, Head
from nodegraph_nodes.training.loop import plot_of, train
from nodegraph_nodes.training.tasks.classifier import CLASSIFIER, ClassifierTask, classes_of, views_of
from nodegraph_nodes.types import Dataset, FeatureNetwork, TrainedClassifier, TrainingPlan

_PLAN = TrainingPlan(
    steps=1000, batch=256, learning_rate=3e-3, warmup=50, weight_decay=0.02, average=0.99, save_every=250, show_every=250
)
_SHOWN = 200  # rows of the table of misses


class ClassifierTraining(NamedTuple):
    classifier: TrainedClassifier
    top_1: Annotated[float, Field(description="Share of views that it was not trained on that it names rightly.")]
    top_5: Annotated[float, Field(description="Share of them whose name is among its first five answers.")]
    misses: Annotated[Table, Field(description="Pictures whose name was not among the first five, the worst first.")]
    curves: Plot


@node(category="training/evaluate", lane="gpu")
def train_classifier(
    context: Context,
    data: Annotated[Dataset, Field(description="Pictures with classes or subjects, one thing each: no pairs or halves.")],
    network: Annotated[FeatureNetwork, Field(description="What looks at the pictures; it stays as it is.")],
    plan: Annotated[TrainingPlan | None, Field(description="None: 1000 steps of 256 views.")] = None,
    views: Annotated[int, Field(ge=1, le=100, description="Of each picture: turned, moved, blurred, noisy, augmented.")] = 5,
    width: Annotated[int, Field(ge=0, le=8192, description="Of the hidden layer; 0: none.")] = 256,
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.2,
) -> ClassifierTraining:
    """Train a classifier that says what a picture shows, and measure it on further views. Training models never see it."""
    classes, labels = classes_of(data)
    plan = plan or _PLAN
    trunk: Extractor = context.resident(network)
    _check_sizes(data, network)

    def progress(done: int, total: int) -> None:
        context.check_cancelled()
        context.progress(done, total)

    vectors = views_of(data, trunk, views + 1, plan.seed, context.scratch, progress)
    torch.manual_seed(plan.seed)
    head = Head(vectors.shape[-1], width, len(classes), dropout)
    device = torch.device(context.device)
    task = ClassifierTask(vectors, torch.tensor(labels), head, batch=plan.batch, seed=plan.seed, device=device)
    trained = train(task, plan, context, device)
    places = task.places(trained.networks)
    facts = {
        **trained.facts(CLASSIFIER, len(labels)),
        "classes": len(set(labels)),
        "views": views,
        "top 1": round(top(places, 1), 4),
        "top 5": round(top(places, 5), 4),
    }
    missed = sorted((place, index) for index, place in enumerate(places) if place > 5)[::-1]
    rows: list[list[bool | int | float | str | None]] = [
        [data.entries[index].file, classes[labels[index]], place] for place, index in missed[:_SHOWN]
    ]
    return ClassifierTraining(
        TrainedClassifier(trained.weights(CLASSIFIER), classes, network, width, trained.history, json.dumps(facts)),
        top(places, 1),
        top(places, 5),
        Table(columns=["file", "class", "place"], rows=rows),
        plot_of(trained.figures, title="Classifier"),
    )


def _check_sizes(data: Dataset, network: FeatureNetwork) -> None:
    """Where the network takes pictures as they are, they must be of one size. Raises NodeError."""
    if network.size == 0 and len(set(data.buckets) or {(entry.width, entry.height) for entry in data.entries}) > 1:
        raise NodeError(
            "The pictures have several sizes, and this network takes them as they are.",
            socket="network",
            hint="Give the network a size, or put training/resize_pictures before.",
        )
