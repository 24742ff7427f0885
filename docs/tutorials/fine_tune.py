# %% [markdown]
# # Fine-tune on your own labels with `fit`
#
# A pretrained network, a new classifier for your structures, and plain Keras. What comes out is a preset like those of
# the zoo. You need:
#
#     pip install "recalib-keras[hippocampus]"

# %% [markdown]
# ## Scans and label maps
#
# The scans lie in `my_scans/images`, their label maps under the same names in `my_scans/labels`, with 0 for the
# background and 1 for a lesion; `my_scans/labels.json` names the label. Here they are drawn, by the helper
# [drawn_scans.py](drawn_scans.py); put your own there instead.

# %%
from drawn_scans import draw_scans

scan = draw_scans("my_scans", count=4)

# %% [markdown]
# ## The network
#
# `zoo.load` keeps the pretrained body and makes a new classifier for your classes. `zoo.freeze` keeps what is already
# good, so that a few scans are enough.

# %%
from recalib_keras import zoo
from recalib_keras.training import DiceCrossEntropy

names = ["background", "lesion"]
model = zoo.load("unet3d_pe", weights="hippocampus", num_classes=len(names))
zoo.freeze(model, "encoder")
model.compile("adam", DiceCrossEntropy())

# %% [markdown]
# - `zoo.freeze(model, part)` takes `"encoder"`, `"bottleneck"`, `"decoder"`, `"classifier"`, `"body"` (all but the
#   classifier), `"blocks"`, a stage such as `"encoder_1"`, a layer, a pattern, or a list of these; `zoo.unfreeze`
#   undoes it. Compile afterwards.
# - `DiceCrossEntropy` takes classes with or without a last axis, and `sample_weight` for each example or each voxel. A
#   network of one output (`num_classes=1`) needs no further argument; several outputs with a sigmoid need
#   `activation="sigmoid"`, logits (`classifier_activation=None`) need `from_logits=True`.
#
# ## Training
#
# `model.preprocess` shows a scan as the network expects it: oriented, resampled, normalised, cut into windows.

# %%
from pathlib import Path

import numpy as np

images, truths = [], []
for path in sorted(Path("my_scans/images").iterdir()):
    seen = model.preprocess(path, labels=names)
    images.append(seen.windows)  # (windows, 40, 56, 40, 1)
    truths.append(seen.classes(f"my_scans/labels/{path.name}"))  # (windows, 40, 56, 40)

history = model.fit(np.concatenate(images), np.concatenate(truths), batch_size=2, epochs=3, verbose=2)

# %% [markdown]
# Three epochs show that it runs; take 20 or more for real labels. `model.save("half.keras")` keeps the frozen layers
# and the state of the optimizer, so that `fit` continues after `keras.saving.load_model` (import `recalib_keras`
# before) as if nothing had happened.
#
# ## A preset of your own

# %%
import recalib_keras

zoo.save(model, "presets/lesions", like="unet3d_pe", weights="hippocampus", labels=names)
labels = recalib_keras.segment(scan, preset="presets/lesions", engine="keras", precision="float32")
labels.to_filename("labels.nii.gz")

# %% [markdown]
# (Without `engine` and `precision`, the first call also finds the fastest engine.)
#
# `recalib segment scan.nii.gz -o results --preset presets/lesions` does the same in a shell, and `recalib evaluate
# --preset presets/lesions --dataset nifti_folder test_scans` measures it on scans that it has not seen. The card in
# the folder has the command. [Where weights come from](../weights.md) says how to share it.
#
# Next: the same [by a recipe](fine_tune_by_recipe.py), with augmentation, validation and a score.
