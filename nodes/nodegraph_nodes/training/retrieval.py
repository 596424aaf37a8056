"""Whether pictures show what their prompts name, to a classifier that no training of a model has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Context, NodeError, Table, node
from nodegraph_nodes.image.labels import contact_sheet
from nodegraph_nodes.training.clip_agreement import paired
from nodegraph_nodes.training.evaluate import Names, ranks, similarity, top
from nodegraph_nodes.training.features import Classifier
from nodegraph_nodes.training.load_feature_network import one_size, seeing
from nodegraph_nodes.types import Image, TextEncoder, TrainedClassifier

_ANSWERS = 5
_SHOWN = 120  # pictures of a sheet
Batch = Annotated[int, Field(ge=1, le=4096)]


class Retrieval(NamedTuple):
    top_1: Annotated[float, Field(description="Share of the pictures whose first answer is right.")]
    top_5: Annotated[float, Field(description="Share of those with a right answer among the first five.")]
    misses: Annotated[Table, Field(description="The others: what was sought, its place, and what was answered.")]
    sheet: Annotated[Image, Field(description="The pictures with their prompts and first answers.")]


@node(category="training/evaluate", lane="gpu")
def prompt_retrieval(
    context: Context,
    classifier: TrainedClassifier,
    images: list[Image],
    captions: Annotated[list[str], Field(description="The prompt of each picture: it names classes by their words.")],
    several: Annotated[
        Literal["all", "any"], Field(description="What has to be seen where a prompt names several classes.")
    ] = "all",
    encoder: Annotated[
        TextEncoder | None, Field(description="For prompts that name no class: it says which classes are nearest in meaning.")
    ] = None,
    tolerance: Annotated[
        float, Field(ge=0, le=1, description="How much less similar than the nearest class another may be that counts, too.")
    ] = 0.05,
    batch: Batch = 64,
) -> Retrieval:
    """Let a classifier say what pictures show, and compare that with what their prompts name."""
    paired(images, captions)
    wanted = _classes(context, classifier.classes, captions, encoder, tolerance)
    answers = _answers(context, classifier, images, batch)
    places = []
    for number, (classes, by_name) in enumerate(wanted):
        found = ranks(answers[[number] * len(classes)], classes)
        # among several that have to be seen, the others of them are not in each other's way
        places.append(max(found) - len(found) + 1 if by_name and several == "all" else min(found))
    names = classifier.classes
    sought = [_listed([names[i] for i in classes]) for classes, _ in wanted]
    return _result(images, captions, sought, places, _first(answers, names), "class")


@node(category="training/evaluate", lane="gpu")
def caption_retrieval(
    context: Context,
    classifier: TrainedClassifier,
    encoder: Annotated[TextEncoder, Field(description="Compares the classifier's words with captions, by their meaning.")],
    images: list[Image],
    captions: Annotated[list[str], Field(description="The prompt of each picture. All of them are what it could have been.")],
    batch: Batch = 64,
) -> Retrieval:
    """Find each picture's caption among all, by what a classifier says that it shows: for captions that name no class."""
    paired(images, captions)
    choices = list(dict.fromkeys(captions))
    if len(choices) < 2:
        raise NodeError("There is one caption only.", socket="captions", expected="two different ones", got=choices[0])
    said = _texts(context, encoder, classifier.classes)
    answers = _answers(context, classifier, images, batch)
    scores = similarity(answers @ said, _texts(context, encoder, choices))
    places = ranks(scores, [choices.index(caption) for caption in captions])
    return _result(images, captions, captions, places, _first(answers, classifier.classes), "caption")


def _classes(
    context: Context, classes: Sequence[str], captions: Sequence[str], encoder: TextEncoder | None, tolerance: float
) -> list[tuple[list[int], bool]]:
    """For each caption the classes that are right, and whether it names them. Raises NodeError where there are none."""
    names = Names(classes)
    found = [(named, True) for named in map(names.named, captions)]
    nameless = [number for number, (named, _) in enumerate(found) if not named]
    if not nameless:
        return found
    if encoder is None:
        raise NodeError(
            f"{len(nameless)} of {len(captions)} captions name no class.",
            socket="captions",
            expected=", ".join(classes[:4]) + (" ..." if len(classes) > 4 else ""),
            got=_listed([captions[number] for number in nameless]),
            hint="Link a text encoder to find classes by meaning, or use training/caption_retrieval.",
        )
    alike = similarity(_texts(context, encoder, [captions[i] for i in nameless]), _texts(context, encoder, classes))
    for number, row in zip(nameless, alike, strict=True):
        near = (row >= row.max() - tolerance).nonzero()[:, 0].tolist()
        found[number] = (sorted(near, key=lambda place: -row[place].item()), False)
    return found


def _answers(context: Context, classifier: TrainedClassifier, images: list[Image], batch: int) -> Tensor:
    """Shares [N, classes]."""
    judge = seeing(context, classifier)
    assert isinstance(judge, Classifier)
    parts = []
    for first in range(0, len(images), batch):
        context.check_cancelled()
        group = images[first : first + batch]
        one_size(group, classifier.trunk.size, "images")
        parts.append(judge.answers(group))
        context.progress(min(first + batch, len(images)), len(images))
    return torch.cat(parts)


def _texts(context: Context, encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Texts as vectors [N, D]."""
    network = context.resident(encoder)
    pooled = [each.pooled for first in range(0, len(texts), 64) for each in network.encode(texts[first : first + 64])]
    if pooled[0] is None:
        raise NodeError("This text encoder has no vector for a text as a whole.", socket="encoder", got=encoder.family)
    return torch.stack([each.float().cpu() for each in pooled])


def _first(answers: Tensor, names: Sequence[str]) -> list[list[str]]:
    return [[names[i] for i in row] for row in answers.topk(min(_ANSWERS, len(names))).indices.tolist()]


def _result(
    images: list[Image], captions: Sequence[str], sought: Sequence[str], places: list[int], answers: list[list[str]], what: str
) -> Retrieval:
    rows: list[list[bool | int | float | str | None]] = [
        [number, captions[number], sought[number], place, ", ".join(answers[number])]
        for number, place in sorted(enumerate(places), key=lambda item: -item[1])
        if place > 1
    ]
    said = [f"{caption}: {answer[0]} ({place})" for caption, answer, place in zip(captions, answers, places, strict=True)]
    sheet = contact_sheet(images[:_SHOWN], said[:_SHOWN], cell=128)
    table = Table(columns=["picture", "caption", what, "place", "answers"], rows=rows)
    return Retrieval(top(places, 1), top(places, 5), table, sheet)


def _listed(texts: Sequence[str], most: int = 5) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
