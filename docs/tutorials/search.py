# %% [markdown]
# # Search reduction ratio, aggregation and position
#
# Which block suits your data, with which reduction ratio, at which positions? A study tries mixes of them, trains each
# with the same recipe, and reports what can be told apart. You need:
#
#     pip install "recalib-keras[tune]"

# %% [markdown]
# ## A recipe to vary
#
# Any recipe will do. This one is small, so that the search takes a minute; the scans are drawn by
# [drawn_scans.py](drawn_scans.py).

# %%
from pathlib import Path

from drawn_scans import draw_scans

draw_scans("my_scans", count=4)

RECIPE = """
preset = "sdnet2d_scse"
weights = "lesions"
title = "lesions in drawn scans"
labels = [{ id = 0, name = "background" }, { id = 1, name = "lesion" }]

[network]
architecture = "SDNet"
arguments = { filters = 8, levels = 1, kernel_size = 3, normalization = "batch", recalibration = "scse" }

[input]
window = [24, 28, 1]
orientation = "RAS"
spacing = [1.0, 1.0, 1.2]
normalization = "zscore"

[data]
folder = "my_scans"
dataset = "nifti_folder"
source = "drawn scans"
licence = "none, for our own use"
held_out = ["scan_3"]

[optimizer]
name = "adam"
learning_rate = 0.01

[schedule]
epochs = 2
batch_size = 4
steps_per_epoch = 2
"""
Path("lesions.toml").write_text(RECIPE)

# %% [markdown]
# ## The study
#
# A list is a choice, a table with `min` and `max` a range, a single value is fixed. Arguments are drawn only where
# they mean something: an aggregation for scSE alone. Several seeds for each trial show how much of a difference is
# luck.

# %%
STUDY = """
recipe = "lesions.toml"
algorithm = "random"
trials = 2
seeds = [1]

[space]
recalibration = ["scse", "cse", "none"]
reduction_ratio = [2, 4, 8]
aggregation = ["max", "add", "multiply", "concat"]
positions = ["P1", "P5", ["encoder", "bottleneck"]]
"""
Path("blocks.toml").write_text(STUDY)

# %% [markdown]
# The names `P1` to `P6` are those of the paper: after the encoders, after the decoders, after the bottleneck, after
# the classifier, after encoders and decoders, everywhere.
#
# ## Run it

# %%
from recalib_keras.cli.main import main as recalib

recalib(["tune", "blocks.toml", "--data", "."])

# %% [markdown]
# In a shell: `recalib tune blocks.toml --data .`. With `--workers 2` two trials run at a time, each on a GPU or on
# half of the cores. A study that was stopped continues.
#
# ## Read it

# %%
from recalib_keras import tuning

results = tuning.read_results(tuning.Study.read("blocks.toml"), "runs/blocks")
for trial in results.trials:
    print(trial.values, trial.score)
print(Path("runs/blocks/report.md").read_text()[:600])

# %% [markdown]
# `runs/blocks` has `trials.csv`, `best.toml` (a recipe that `recalib train` takes as it is), and `report.md` with
# figures and with what the scores do and do not show.
#
# [Search for a better recipe](../../tuning/README.md) has all settings, workers on a cluster, and what our own studies
# found.
