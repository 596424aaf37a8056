"""The mask pack: which parts of a picture count. Masks are float, 0..1, from the file to the last step: nothing rounds them."""

from nodegraph_nodes.mask.bounds import bounding_box, fill_holes, outline
from nodegraph_nodes.mask.composite import composite, mask_to_image
from nodegraph_nodes.mask.crop import crop_to_mask, stitch
from nodegraph_nodes.mask.edge import feather_mask, grow_mask, threshold_mask
from nodegraph_nodes.mask.files import load_mask
from nodegraph_nodes.mask.infill import infill
from nodegraph_nodes.mask.noise import noise_mask
from nodegraph_nodes.mask.picture import mask_from_alpha, mask_from_channel, mask_from_color, mask_from_range
from nodegraph_nodes.mask.regions import find_colors, regions_from_sketch
from nodegraph_nodes.mask.sets import blend_masks, combine_masks, invert_mask
from nodegraph_nodes.mask.shapes import ellipse_mask, gradient_mask, polygon_mask, rectangle_mask
from nodegraph_nodes.mask.show import show_mask
from nodegraph_nodes.mask.size import resize_mask

__all__ = [
    "blend_masks",
    "bounding_box",
    "combine_masks",
    "composite",
    "crop_to_mask",
    "ellipse_mask",
    "feather_mask",
    "fill_holes",
    "find_colors",
    "gradient_mask",
    "grow_mask",
    "infill",
    "invert_mask",
    "load_mask",
    "mask_from_alpha",
    "mask_from_channel",
    "mask_from_color",
    "mask_from_range",
    "mask_to_image",
    "noise_mask",
    "outline",
    "polygon_mask",
    "rectangle_mask",
    "regions_from_sketch",
    "resize_mask",
    "show_mask",
    "stitch",
    "threshold_mask",
]
