"""Losses, as functions and small networks: how far pictures lie apart, and whether a patch looks real."""

from .adversarial import PatchDiscriminator, adaptive_weight, hinge_loss
from .perceptual import Perceptual, PerceptualDistance, load_efficientnet, load_lpips, perceptual_distance
from .pixels import gradient_distance, pixel_distance

__all__ = [
    "PatchDiscriminator",
    "Perceptual",
    "PerceptualDistance",
    "adaptive_weight",
    "gradient_distance",
    "hinge_loss",
    "load_efficientnet",
    "load_lpips",
    "perceptual_distance",
    "pixel_distance",
]
