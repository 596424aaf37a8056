"""Writing what was trained into the folder of models: files and folders, whole or not at all, nothing replaced unasked."""

from .card import card_of, curves_of, write_card
from .files import FileName, Replace, keep_tensors
from .folders import Weights, digest_of, place_model, write_network
from .naming import file_is_named, folder_is_named

__all__ = [
    "FileName",
    "Replace",
    "Weights",
    "card_of",
    "curves_of",
    "digest_of",
    "file_is_named",
    "folder_is_named",
    "keep_tensors",
    "place_model",
    "write_card",
    "write_network",
]
