# %% [markdown]
# # Fine-tune on your own labels with a recipe
#
# A recipe is one TOML file that decides everything about a training: scans, network, augmentation, schedule. The run
# can be stopped at any time and continues to the same weights. You need:
#
#     pip install "recalib-keras[hippocampus]"

# %% [markdown]
# ## Scans and label maps
#
# As in [the tutorial of `fit`](fine_tune.py): images and label maps of the same names in two folders.

# %%
from drawn_scans import draw_scans
from recalib_keras.cli.main import main as recalib

scan = draw_scans("my_scans", count=6)
recalib(["datasets", "nifti_folder", "my_scans"])

# %% [markdown]
# `recalib datasets nifti_folder my_scans` checks a folder and lists every file with a problem.
#
# ## The recipe
#
# It extends a recipe of the zoo, so it says only what differs: here that of a 2-D network, which trains in seconds
# even without a GPU (in 3-D, `unet3d_pe` has the best score). `init` and `[fine_tuning]` start from pretrained
# weights. [Recipes](../recipes.md) explains every key.

# %%
from pathlib import Path

RECIPE = """
extends = "zoo:hippocampus/unet2d_scse"
preset = "unet2d_scse"
init = "unet2d_scse"
weights = "lesions"
title = "lesions in T1 MRI"
labels = [{ id = 0, name = "background" }, { id = 1, name = "lesion" }]

[fine_tuning]
weights = "hippocampus"
freeze_encoder = true

[data]
folder = "my_scans"
dataset = "nifti_folder"
source = "drawn scans"
licence = "none, for our own use"
held_out = ["scan_4", "scan_5"]

[schedule]
epochs = 2
steps_per_epoch = 2
"""
Path("lesions.toml").write_text(RECIPE)

# %% [markdown]
# `recalib plan my_scans -o my.toml --minutes 60` writes a recipe for you: it looks at the scans and at this machine,
# chooses spacing, window, network, sampling, augmentation and epochs, and writes a reason above each key.
#
# ## Training

# %%
recalib(["train", "lesions.toml", "--data", ".", "--publish", "presets"])

# %% [markdown]
# In a shell: `recalib train lesions.toml --data . --publish presets`. Stop it at any time, even with `kill -9`; the
# same command with `--resume` continues. The run's folder holds the best weights, the checkpoint, `log.jsonl`,
# `log.csv` and `tensorboard/`. Take away the two lines of `[schedule]` for a real training.
#
# ## A score
#
# The held-out scans chose the best epoch, so their score is optimistic. Measure on scans that the training has not
# seen:

# %%
draw_scans("test_scans", count=2)
options = ["--preset", "presets/unet2d_scse", "--weights", "lesions", "--dataset", "nifti_folder", "test_scans"]
recalib(["evaluate", *options, "-o", "report"])

# %% [markdown]
# [Measure and compare](../how_to/evaluate.md) explains the report. [Train](../how_to/training.md) has what else a
# training can do: folds, several GPUs, trackers.
