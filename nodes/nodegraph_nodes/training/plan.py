"""How a training goes: one node for what all trainings share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nodegraph import Seed, node
from nodegraph_nodes.types import RateSchedule, TrainingPlan, TrainingPrecision


@node(category="training")
def plan_training(
    steps: Annotated[int, Field(ge=1, le=10_000_000, description="Steps of the optimiser.")] = 10_000,
    batch: Annotated[int, Field(ge=1, le=65536, description="Pictures that the device sees at once.")] = 16,
    learning_rate: Annotated[float, Field(gt=0, le=1, description="At its highest.")] = 1e-4,
    warmup: Annotated[int, Field(ge=0, le=1_000_000, description="Steps in which the learning rate rises.")] = 200,
    schedule: Annotated[RateSchedule, Field(description="How the learning rate falls after that.")] = "cosine",
    final_rate: Annotated[
        float, Field(ge=0, le=1, description="The share of the learning rate that is left at the end.")
    ] = 0.02,
    average: Annotated[
        float,
        Field(ge=0, lt=1, description="Decay of the moving average of the weights, which is what is kept; 0: no average."),
    ] = 0.999,
    accumulate: Annotated[int, Field(ge=1, le=4096, description="Batches per step: larger batches in the same memory.")] = 1,
    precision: Annotated[
        TrainingPrecision,
        Field(
            description="What networks compute in; weights stay float32. auto: bfloat16 on GPUs and CPUs that are quick in it."
        ),
    ] = "auto",
    gradient_checkpointing: Annotated[
        bool, Field(description="Compute parts twice instead of remembering them: less memory, a third more time.")
    ] = False,
    compiled: Annotated[
        bool, Field(description="Let torch compile the networks first: minutes at the start, quicker steps.")
    ] = False,
    weight_decay: Annotated[float, Field(ge=0, le=1, description="AdamW's.")] = 0.01,
    beta1: Annotated[float, Field(ge=0, lt=1, description="AdamW's decay of the gradient's mean.")] = 0.9,
    beta2: Annotated[float, Field(ge=0, lt=1, description="AdamW's decay of its square.")] = 0.99,
    clip: Annotated[float, Field(ge=0, le=1000, description="The largest norm of the gradients; 0: any.")] = 1.0,
    save_every: Annotated[
        int,
        Field(
            ge=1, le=1_000_000, description="Steps between checkpoints; a training that was interrupted goes on from the last."
        ),
    ] = 500,
    show_every: Annotated[
        int, Field(ge=1, le=1_000_000, description="Steps between looks at pictures that it never saw: figures and a preview.")
    ] = 500,
    workers: Annotated[
        int, Field(ge=0, le=64, description="Processes that read pictures; 0: the training reads them itself.")
    ] = 0,
    processes: Annotated[
        int, Field(ge=1, le=64, description="GPUs that train together, each on batches of its own (started by torchrun).")
    ] = 1,
    spread: Annotated[
        bool,
        Field(
            description="Spread weights, gradients and the optimiser's state over the processes (FSDP) instead of copying them:"
            " for denoisers too large to be trained on one GPU."
        ),
    ] = False,
    seed: Seed = 0,
) -> TrainingPlan:
    """Say how a training goes: how long, in what steps, and how often it is saved and shown."""
    return TrainingPlan(
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        warmup=min(warmup, steps // 2),
        schedule=schedule,
        final_rate=final_rate,
        weight_decay=weight_decay,
        beta1=beta1,
        beta2=beta2,
        clip=clip,
        average=average,
        accumulate=accumulate,
        precision=precision,
        gradient_checkpointing=gradient_checkpointing,
        compiled=compiled,
        save_every=save_every,
        show_every=show_every,
        workers=workers,
        processes=processes,
        spread=spread,
        seed=seed,
    )
