"""How the learning rate goes over a training."""

import math

from nodegraph_nodes.types import TrainingPlan


def rate_at(plan: TrainingPlan, step: int) -> float:
    """The learning rate of a step: a straight rise over the warm-up, then down to final_rate of it by the last step.

    cosine: half a period (Loshchilov and Hutter 2017, equation 5, without restarts).
    """
    if step < plan.warmup:
        return plan.learning_rate * (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    left = {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 + 0.5 * math.cos(math.pi * done)}[plan.schedule]
    floor = 0.0 if plan.schedule == "constant" else plan.final_rate
    return plan.learning_rate * (floor + (1 - floor) * left)
