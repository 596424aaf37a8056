"""The image pack: pictures in, pictures out, sizes and sheets."""

from nodegraph_nodes.image.files import load_image, save_image
from nodegraph_nodes.image.sheet import image_grid
from nodegraph_nodes.image.size import image_size, resize_image

__all__ = ["image_grid", "image_size", "load_image", "resize_image", "save_image"]
