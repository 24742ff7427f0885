"""Good recipes and a good preset, which have every key between them."""

import copy
import tomllib

RECIPE = tomllib.loads("""
preset = "tiny3d"
weights = "balls"
title = "balls"
seed = 3
default = true
storage = "float16"
labels = [{ id = 0, name = "background" }, { id = 17, name = "shell", color = [1, 2, 3] }]

[network]
architecture = "UNet"

[network.arguments]
levels = 1
filters = 4
dropout = 0.1
kernel_size = 3
patch_size = 1
head_filters = 0
normalization = "batch"
recalibration = "cse"
positions = ["encoder"]
recalibration_args = { reduction_ratio = 2 }

[input]
window = [12, 12, 12]
orientation = "RAS"
spacing = [1.0, 1.0, 1.0]
normalization = "zscore"
context = 0

[data]
folder = "balls"
source = "made up"
licence = "CC0"
dataset = "msd"
volume = 0
validate_every = 3
held_out = ["ball_1"]
training_scans = 3
merge = { 2 = 17 }

[augmentation]
rotation = 10.0
scaling = 0.1
translation = 1.0
elastic = 1.0
elastic_nodes = 5
gamma = 0.1
contrast = 0.1
brightness = 0.1
noise = 0.1
blur = 0.1
bias_field = 0.1
low_resolution = 2.0

[loss]
dice = 1.0
cross_entropy = 1.0
class_weights = "none"

[optimizer]
name = "sgd"
learning_rate = 0.06
momentum = 0.9
weight_decay = 0.1
clip_norm = 1.0
decay = "step"
warmup_epochs = 1.0
decay_factor = 0.1
decay_epochs = 1

[schedule]
epochs = 5
batch_size = 2
steps_per_epoch = 3
examples_per_scan = 6
foreground = 0.5
validate_every = 1
patience = 1
precision = "float32"
average = 0.9

[fine_tuning]
weights = "default"
freeze_encoder = false
body_rate = 1.0

[ensemble]
name = "all"
share = 1.0
""")
PRESET = {
    "name": "tiny",
    "weight_sets": {
        "balls": {
            "title": "balls",
            "network": {"architecture": "UNet", "arguments": {"levels": 1, "filters": 4, "dropout": 0.1}},
            "input": {"window": [8, 8, 8], "orientation": "RAS", "spacing": [1, 1, 1], "normalization": "zscore",
                      "context": 0},
            "labels": [{"id": 0, "name": "background", "color": [0, 0, 0]}, {"id": 1, "name": "ball", "mirror": 1}],
            "file": "balls.safetensors",
            "sha256": "",
            "parameters": 100,
            "data": {"source": "made up", "licence": "CC0"},
            "score": {"dice": 0.9, "scans": "3 scans", "dice_by_structure": {"ball": 0.9}},
            "asymmetry": {"template": "a head", "versions": 8, "percent": {"ball": [1.5, 0.4]}},
            "typical": {"entropy": 0.1, "volume_ml": [1, 2], "at_edge": 0.1, "found": {"ball": 1.0},
                        "structures_ml": {"ball": [1, 2]}, "scans": 3},
            "held_out": ["a"],
        }
    },
    "ensembles": {"all": {"balls": 1.0}},
}  # fmt: skip


def _generated():
    """A recipe whose scans are generated, fine-tuned from another preset, with callbacks and all about the schedule."""
    recipe = copy.deepcopy(RECIPE)
    del recipe["augmentation"]
    recipe["init"] = "unet3d"
    recipe["synthesis"] = {
        "flip": 0.5, "rotation": 12.0, "scaling": 0.1, "shearing": 0.02, "translation": 8.0, "elastic": 4.0,
        "elastic_nodes": 10, "anywhere": 0.1, "within_brain": 0.1, "random_contrast": 0.5, "asymmetry": 0.1,
        "prior_spread": 1.0, "texture": 1.0, "texture_scale": 2.0, "mean_range": [0.0, 255.0],
        "deviation_range": [0.0, 35.0], "partial_volume": 4, "skull_stripping": 0.3, "partial_skull": 0.2,
        "constant_background": 0.3, "background_value": 60.0, "blur": 1.5, "thick_slices": 0.3, "slice_thickness": 6.0,
        "noise": 15.0, "bias_field": 0.4, "gamma": 0.3, "crop": 0.1, "crop_depth": 30.0,
    }  # fmt: skip
    recipe["synthesis_start"] = {"rotation": 1.0, "partial_volume": 1}
    recipe["schedule"] |= {"variety_epochs": 3, "sampling": "class", "class_shares": {"17": 2.0}}
    recipe["callbacks"] = [
        {"name": "keras.callbacks.CSVLogger", "arguments": {"filename": "{run}/log.csv"}},
        {"name": "wandb", "arguments": {"project": "p", "tags": ["a"], "config": {"b": 1}}},
    ]
    recipe["data"] = {"folder": "heads", "source": "made up", "licence": "CC0", "dataset": "label_maps",
                      "validate_every": 0, "score_from": "0.9 on 3 scans"}  # fmt: skip
    return recipe


def _of_channels():
    """A recipe for scans of several channels and structures inside others, cross-validated."""
    recipe = copy.deepcopy(RECIPE)
    recipe["labels"] = [
        {"id": 0, "name": "background"},
        {"id": 1, "name": "whole", "includes": [2]},
        {"id": 2, "name": "left core", "mirror": 3},
        {"id": 3, "name": "right core", "mirror": 2},
    ]
    recipe["network"]["arguments"] = {
        "levels": 2, "filters": 4, "classifier_activation": "sigmoid", "pool_sizes": [[1, 2, 2], [2, 2, 2]],
        "skip": "raw", "upsampling": "unpool", "data_format": "channels_last", "convention": "paper",
    }  # fmt: skip
    recipe["input"] |= {"channels": ["FLAIR", "T1w"], "normalization": ["zscore", "ct:-160:240"]}
    recipe["data"] = {"folder": "tumours", "source": "made up", "licence": "CC0", "folds": 5, "fold": 1,
                      "ignore_label": 9}  # fmt: skip
    recipe["augmentation"]["flip"] = 0.5
    recipe["loss"]["deep_supervision"] = True
    return recipe


def _mixed():
    """A recipe whose scans are partly generated."""
    recipe = _generated()
    recipe["augmentation"] = copy.deepcopy(RECIPE["augmentation"])
    recipe["data"] = copy.deepcopy(RECIPE["data"])
    recipe["mixture"] = {"folder": "heads", "share": 0.25, "merge": {"4": 17}}
    return recipe


RECIPES = {"plain": RECIPE, "generated": _generated(), "channels": _of_channels(), "mixed": _mixed()}
