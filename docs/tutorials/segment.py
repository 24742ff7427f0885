# %% [markdown]
# # Segment a scan, and look at the result
#
# A preset is a trained network by name. Here one of them finds the left hippocampus in a small scan; the same lines
# segment a whole brain, or a folder of scans. You need:
#
#     pip install "recalib-keras[hippocampus,demo]"

# %% [markdown]
# ## A scan
#
# Any NIfTI or MGZ file will do, or a folder of DICOM files. This one is the MNI152 template, which comes with nilearn,
# cropped around the left hippocampus, since that is what the weights `hippocampus` have learned from.

# %%
from nilearn.datasets import load_mni152_template

template = load_mni152_template(resolution=1)
crop = template.slicer[55:92, 88:136, 37:82]
crop.to_filename("scan.nii.gz")

# %% [markdown]
# ## Labels
#
# The `Segmenter` loads the network once, for as many scans as you like. It orients, resamples and normalises a scan as
# the network has learned it, and puts the labels back on the scan's own grid.

# %%
import recalib_keras

segmenter = recalib_keras.Segmenter("unet3d_pe", weights="hippocampus")
segmentation = segmenter("scan.nii.gz")
segmentation.image().to_filename("labels.nii.gz")

# %% [markdown]
# The first scan on a machine takes longer: the segmenter tries its engines and keeps a fast one that gives the same
# labels. `Segmenter(…, engine="keras", precision="float32")` leaves that out.
#
# ## Volumes, uncertainty, warnings

# %%
for structure in segmentation.volumes:
    print(f"{structure.name}: {structure.cubic_millimetres / 1000:.2f} cm³")

print(segmentation.warnings)

# %% [markdown]
# `warnings` says in sentences what is unusual about a segmentation, such as a structure that is missing or much larger
# than in the validation scans. An empty tuple says that nothing is. The same numbers, the asymmetry of the two sides
# and the mean uncertainty of each structure are columns of `volumes.csv`, which the command below writes.
#
# ## A picture

# %%
from recalib_keras import evaluation, volumes

scan = volumes.read("scan.nii.gz")
evaluation.overlay(scan, segmentation.labels, segmentation.structures, "overlay.png")

# %% [markdown]
# ![The scan, and the two parts of the hippocampus in colour, in three planes](../pictures/tutorial_segment.png)
#
# (The MNI152 template, see [credits](../pictures/credits.md).)
#
# Always look at some segmentations before you use their numbers. For 3-D views, open `scan.nii.gz` and `labels.nii.gz`
# together in FSLeyes, ITK-SNAP or 3D Slicer: both lie on the same grid.
#
# ## The same as a command
#
# The command does all of this for one scan or for thousands. Run it again, and it resumes where it stopped.

# %%
from recalib_keras.cli.main import main as recalib

recalib(["segment", "scan.nii.gz", "-o", "results", "--preset", "unet3d_pe", "--weights", "hippocampus", "--overlay"])

# %% [markdown]
# In a shell: `recalib segment scan.nii.gz -o results --preset unet3d_pe --weights hippocampus --overlay`. Beside each
# label map lies a run manifest (`.json`) with the preset, its weights and their SHA-256, versions, hardware and times.
#
# For a whole head in T1 MRI, leave out the weights and take the preset with the best score:
#
#     recalib segment head.nii.gz -o results --preset densenet3d_pe --overlay
#
# Options that are good to know:
#
# - `--report` writes [a page to look at](../reports.md), with slices to scroll through, volumes and warnings;
# - `--probabilities` and `--uncertainty` write [maps](../maps_and_dicom.md), `--structures hippocampus,amygdala` keeps
#   these structures alone;
# - `--flip` averages with the prediction of the mirror image;
# - `--weights NAME:0.6,NAME:0.4` averages several weight sets of a preset. An average may have a name of its own, such
#   as `--weights whole_brain` of `densenet2d_scse`, which is that of three views;
# - `--engine keras --precision float32` gives the labels that were scored.
#
# Next: [a cohort](cohort.py), [your own labels](fine_tune.py), [all presets](../gallery.md).
