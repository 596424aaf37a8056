"""The image pack: pictures in, pictures out, sizes, tones, sheets, and what shows them."""

from nodegraph_nodes.image.color import flatten
from nodegraph_nodes.image.curve import adjust_curve
from nodegraph_nodes.image.files import load_image, save_image
from nodegraph_nodes.image.labels import contact_sheet, labelled_grid
from nodegraph_nodes.image.measure import compare_metadata, image_difference, image_histogram, measure_images
from nodegraph_nodes.image.pad import fit_to_multiple, pad_image
from nodegraph_nodes.image.repeat import repeat_image, roll_image
from nodegraph_nodes.image.sheet import image_grid
from nodegraph_nodes.image.show import animate, compare_images, show_image, show_images
from nodegraph_nodes.image.size import image_size, resize_image

__all__ = [
    "adjust_curve",
    "animate",
    "compare_images",
    "compare_metadata",
    "contact_sheet",
    "fit_to_multiple",
    "flatten",
    "image_difference",
    "image_grid",
    "image_histogram",
    "image_size",
    "labelled_grid",
    "load_image",
    "measure_images",
    "pad_image",
    "repeat_image",
    "resize_image",
    "roll_image",
    "save_image",
    "show_image",
    "show_images",
]
