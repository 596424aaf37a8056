"""Noise schedules: which noise levels a run visits.

`make_process(denoiser.process)` gives a model's noise process; `make_schedule("karras", process, 20, family)` its
points.
"""

from .levels import Shape
from .process import Process, RectifiedFlow, VariancePreserving, make_process, shift_at
from .spacing import SCHEDULES, Spacing, custom_schedule, make_schedule

__all__ = [
    "SCHEDULES",
    "Process",
    "RectifiedFlow",
    "Shape",
    "Spacing",
    "VariancePreserving",
    "custom_schedule",
    "make_process",
    "make_schedule",
    "shift_at",
]
