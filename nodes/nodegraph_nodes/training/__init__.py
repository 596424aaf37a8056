"""The training pack: data sets, autoencoders, denoisers and what shows how good they are.

`data` reads and varies pictures, `loop` trains whatever it is given, `tasks` are the kinds of training; they know no nodes.
"""

from nodegraph_nodes.training.augment import (
    augment_backgrounds,
    augment_colours,
    augment_crops,
    augment_halves,
    augment_light,
    augment_mirrored,
    augment_names,
    augment_pairs,
    augment_styles,
    augment_tags,
)
from nodegraph_nodes.training.choosing import join_data, repeat_data, split_data, take_pictures
from nodegraph_nodes.training.clip_agreement import clip_score, joint_encoder_network, load_joint_encoder
from nodegraph_nodes.training.compare_sets import frechet_distance, kernel_distance
from nodegraph_nodes.training.describing import data_figures, data_sheet
from nodegraph_nodes.training.keep import keep_autoencoder, keep_model
from nodegraph_nodes.training.keep_classifier import keep_classifier, load_classifier
from nodegraph_nodes.training.keep_lora import apply_trained_lora, keep_lora
from nodegraph_nodes.training.keep_upscaler import keep_upscaler
from nodegraph_nodes.training.load_feature_network import feature_network, load_feature_network, picture_features
from nodegraph_nodes.training.load_pictures import load_pictures
from nodegraph_nodes.training.measure_reconstruction import measure_reconstruction
from nodegraph_nodes.training.plan import plan_training
from nodegraph_nodes.training.retrieval import caption_retrieval, prompt_retrieval
from nodegraph_nodes.training.seed_variety import seed_variety
from nodegraph_nodes.training.sizing import bucket_pictures, resize_pictures
from nodegraph_nodes.training.train_autoencoder import train_autoencoder
from nodegraph_nodes.training.train_classifier import train_classifier
from nodegraph_nodes.training.train_denoiser import train_denoiser
from nodegraph_nodes.training.train_lora import train_lora
from nodegraph_nodes.training.train_upscaler import train_upscaler

__all__ = [
    "apply_trained_lora",
    "augment_backgrounds",
    "augment_colours",
    "augment_crops",
    "augment_halves",
    "augment_light",
    "augment_mirrored",
    "augment_names",
    "augment_pairs",
    "augment_styles",
    "augment_tags",
    "bucket_pictures",
    "caption_retrieval",
    "clip_score",
    "data_figures",
    "data_sheet",
    "feature_network",
    "frechet_distance",
    "join_data",
    "joint_encoder_network",
    "keep_autoencoder",
    "keep_classifier",
    "keep_lora",
    "keep_model",
    "keep_upscaler",
    "kernel_distance",
    "load_classifier",
    "load_feature_network",
    "load_joint_encoder",
    "load_pictures",
    "measure_reconstruction",
    "picture_features",
    "plan_training",
    "prompt_retrieval",
    "repeat_data",
    "resize_pictures",
    "seed_variety",
    "split_data",
    "take_pictures",
    "train_autoencoder",
    "train_classifier",
    "train_denoiser",
    "train_lora",
    "train_upscaler",
]
