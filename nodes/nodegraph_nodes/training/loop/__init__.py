"""One loop for all trainings: checkpoints that outlive a crash, averages, curves, several processes. It knows no nodes."""

from .board import Figures, draw_board, plot_of
from .checkpoint import readable, write_tensors
from .several import run_training
from .sharing import Share, bare
from .task import Moment, Networks, Part, Run, Task
from .train import Trained, computes_in_bfloat16, train

__all__ = [
    "Figures",
    "Moment",
    "Networks",
    "Part",
    "Run",
    "Share",
    "Task",
    "Trained",
    "bare",
    "computes_in_bfloat16",
    "draw_board",
    "plot_of",
    "readable",
    "run_training",
    "train",
    "write_tensors",
]
