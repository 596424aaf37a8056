"""The mask pack: which parts of a picture count. Masks are float, 0..1, from the file to the last step: nothing rounds them."""

from nodegraph_nodes.mask.composite import composite, mask_to_image
from nodegraph_nodes.mask.edge import feather_mask, grow_mask, threshold_mask
from nodegraph_nodes.mask.files import load_mask
from nodegraph_nodes.mask.picture import mask_from_alpha, mask_from_color
from nodegraph_nodes.mask.sets import combine_masks, invert_mask
from nodegraph_nodes.mask.size import resize_mask

__all__ = [
    "combine_masks",
    "composite",
    "feather_mask",
    "grow_mask",
    "invert_mask",
    "load_mask",
    "mask_from_alpha",
    "mask_from_color",
    "mask_to_image",
    "resize_mask",
    "threshold_mask",
]
