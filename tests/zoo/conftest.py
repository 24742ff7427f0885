"""A preset folder as training writes it, with two weight sets, and the recipe it came from."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from training.synthetic import changed, write_recipe, write_scans

from recalib_keras.training import publish, train
from recalib_keras.zoo import weights


@pytest.fixture(scope="session")
def preset_folder(tmp_path_factory):
    """The folder of `tiny3d`: weights `balls`, trained for an epoch, and `doubled`, the same times two."""
    root = tmp_path_factory.mktemp("zoo")
    write_scans(root, count=3)
    recipe = write_recipe(root / "balls.toml")
    arguments = {"levels": 1, "filters": 4, "normalization": "batch", "recalibration": "cse"}
    recipe = changed(recipe, schedule={"epochs": 1}, network={"arguments": arguments})
    weight_set = train(recipe, root / "run", root)
    publish(recipe, root / "balls.toml", weight_set, root / "run", root)

    best = root / "run" / "best.safetensors"
    save_file({name: np.float32(2) * tensor for name, tensor in load_file(best).items()}, best)
    doubled = dataclasses.replace(weight_set, file="doubled.safetensors", sha256=weights.sha256(best.read_bytes()))
    return publish(dataclasses.replace(recipe, weights="doubled"), root / "balls.toml", doubled, root / "run", root)
