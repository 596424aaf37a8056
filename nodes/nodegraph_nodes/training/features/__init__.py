"""Networks that turn pictures into vectors: a packaged one, those of files, classifiers trained here.

All look the same from outside (`Extractor`); a recipe says which network, where inside it, and what it is shown.
"""

from .classifier import Classifier, Head, recipe_of
from .extractor import Extractor, squares
from .packaged import EFFICIENTNET_LAYERS, INSTALL, MissingPackage, efficientnet_lite0, packaged_digest
from .recipes import clip_recipe, efficientnet_recipe, inception_recipe, load_extractor

__all__ = [
    "EFFICIENTNET_LAYERS",
    "INSTALL",
    "Classifier",
    "Extractor",
    "Head",
    "MissingPackage",
    "clip_recipe",
    "efficientnet_lite0",
    "efficientnet_recipe",
    "inception_recipe",
    "load_extractor",
    "packaged_digest",
    "recipe_of",
    "squares",
]
