# %% [markdown]
# # Train without scans
#
# Label maps of heads are enough: scans of random shape, contrast and quality are generated from them while the network
# trains. So were all weights `whole_brain` of the zoo. You need:
#
#     pip install "recalib-keras[figures]"

# %% [markdown]
# ## Label maps
#
# They must label everything in the head, not the brain alone, since all of it shows in a scan. The zoo uses those of
# the [SynthSeg](https://github.com/BBillot/SynthSeg) repository. Here three small heads are drawn: skin, bone, two
# halves of a brain and its stem.

# %%
from pathlib import Path

import nibabel as nib
import numpy as np

Path("heads").mkdir(exist_ok=True)
for index, size in enumerate((0.40, 0.42, 0.44)):
    x, y, z = np.indices((32, 32, 32)) - 15.5
    radius = np.sqrt(x**2 + (0.9 * y) ** 2 + z**2) / 32
    labels = np.zeros((32, 32, 32), "uint8")
    labels[radius < size] = 200  # skin
    labels[radius < size - 0.05] = 201  # bone
    labels[(radius < size - 0.1) & (x < 0)] = 2  # left cerebral white matter
    labels[(radius < size - 0.1) & (x > 0)] = 41  # right cerebral white matter
    labels[(np.hypot(x, y) < 4) & (z < 0) & (radius < size - 0.1)] = 16  # brain-stem
    nib.save(nib.Nifti1Image(labels, np.diag([5.0, 5.0, 5.0, 1.0])), f"heads/head_{index}.nii.gz")

# %% [markdown]
# ## What the numbers mean
#
# `generation.json` says which structure each number is segmented as, and how bright the tissues are in T1 scans.
# Labels with the target 0, such as skin and bone, are drawn but not segmented.

# %%
import json

LABELS = [  # number, number and name of the structure, class in random contrasts, class in T1 scans
    (0, 0, "background", 0, 0),
    (2, 2, "left cerebral white matter", 1, 1),
    (41, 41, "right cerebral white matter", 1, 1),
    (16, 16, "brain-stem", 2, 2),
    (200, 0, "background", 3, 3),
    (201, 0, "background", 4, 4),
]
KEYS = ("label", "target", "target_name", "class_random_contrast", "class_t1")
table = {
    "labels": [dict(zip(KEYS, entry)) for entry in LABELS],
    "t1_prior": {
        "mean_mu": [7, 150, 110, 120, 40],
        "mean_sigma": [1, 15, 12, 12, 4],
        "std_mu": [4, 8, 8, 15, 9],
        "std_sigma": [1, 2, 2, 4, 2],
    },
}
Path("heads/generation.json").write_text(json.dumps(table, indent=2))

# %% [markdown]
# ## The recipe
#
# The table `[synthesis]` says how far scans vary; each key is explained in [Recipes](../recipes.md).

# %%
RECIPE = """
preset = "unet3d_pe"
weights = "small_heads"
title = "the brain in scans generated from drawn heads"
labels = [
    { id = 0, name = "background" },
    { id = 2, name = "left cerebral white matter", mirror = 41 },
    { id = 16, name = "brain-stem" },
    { id = 41, name = "right cerebral white matter", mirror = 2 },
]

[network]
architecture = "UNet"
arguments = { filters = 4, levels = 1, recalibration = "pe", normalization = "instance" }

[input]
window = [32, 32, 32]
orientation = "RAS"
spacing = [5.0, 5.0, 5.0]
normalization = "percentile"

[data]
folder = "heads"
source = "drawn heads"
licence = "none, for our own use"
held_out = ["head_2"]

[synthesis]
flip = 0.5
rotation = 10.0
scaling = 0.1
random_contrast = 0.1
prior_spread = 1.0
texture = 0.5
noise = 8.0
bias_field = 0.2

[optimizer]
name = "adam"
learning_rate = 0.01

[schedule]
epochs = 1
batch_size = 1
steps_per_epoch = 2
"""
Path("heads.toml").write_text(RECIPE)

# %% [markdown]
# ## See what the network will see

# %%
from recalib_keras.cli.main import main as recalib

recalib(["synthesize", "heads", "-o", "scans.png", "--settings", "heads.toml", "--samples", "2", "--spacing", "5"])

# %% [markdown]
# ![Generated scans of one head in three planes, each with another contrast](../pictures/tutorial_synthesis.png)
#
# ## Train

# %%
recalib(["train", "heads.toml", "--data", ".", "--publish", "presets"])

# %% [markdown]
# In a shell: `recalib train heads.toml --data . --publish presets`. The held-out label maps give validation scans, so
# the score is one of generated scans: look at real ones before you rely on it.
#
# The recipe of the zoo's whole brain is [whole_brain](../../zoo/recipes); extend it by `extends =
# "zoo:whole_brain/densenet3d_pe"`. `recalib_keras.synthesis.RandomScan` is the layer that generates the scans, for a
# training of your own.
