"""Captioned pictures: found in folders and archives, decoded, varied as they are read, and dealt out to a training's steps.

`Reader` gives examples, `BatchPlan` says which ones a step sees; both are pure functions of the data set and a seed.
"""

from .decoding import UnreadablePicture
from .plan import PLAIN, BatchPlan, Pick, bucket_of, held_out, sizes
from .reader import Example, Reader

__all__ = ["PLAIN", "BatchPlan", "Example", "Pick", "Reader", "UnreadablePicture", "bucket_of", "held_out", "sizes"]
