"""Writing what was trained into the folder of models: files and folders, whole or not at all, nothing replaced unasked."""

from .card import card_of, curves_of, write_card
from .files import FileName, Replace, keep_tensors
from .folders import Weights, digest_of, place_model, write_network

__all__ = [
    "FileName",
    "Replace",
    "Weights",
    "card_of",
    "curves_of",
    "digest_of",
    "keep_tensors",
    "place_model",
    "write_card",
    "write_network",
]
