# %% [markdown]
# # Segment a cohort
#
# A folder of scans is a cohort: over the cores or GPUs of this machine, over a cluster, or over the jobs of an array.
# You need:
#
#     pip install "recalib-keras[hippocampus,cluster,openvino]"

# %% [markdown]
# ## Scans

# %%
from drawn_scans import draw_scans

draw_scans("my_scans", count=4)

# %% [markdown]
# ## On this machine
#
# `--workers 2` starts two processes, each with a GPU or a share of the cores. `--wide` also writes a table with a row
# for each scan.

# %%
from recalib_keras.cli.main import main as recalib

OPTIONS = ["my_scans/images", "-o", "results", "--preset", "unet3d_pe", "--weights", "hippocampus", "--wide"]

if __name__ == "__main__":  # each worker reads this script again, and must not start workers itself
    recalib(["segment", *OPTIONS, "--workers", "2"])

# %% [markdown]
# In a shell:
#
#     recalib segment my_scans/images -o results --preset unet3d_pe --weights hippocampus --wide --workers 2
#
# A scan that fails, or kills its worker, is reported, and the others continue. Run the command again to resume: label
# maps of the same scan and preset are kept.
#
# ## In the jobs of an array
#
# Each job takes its share of the scans. This needs neither Dask nor a network between the jobs:

# %%
if __name__ == "__main__":
    for job in (1, 2):
        recalib(["segment", *OPTIONS, "--part", f"{job}/2"])

# %% [markdown]
# A job script for SLURM, `sbatch --array=1-20 segment.sh`:
#
#     #!/bin/bash
#     #SBATCH --cpus-per-task=4
#     recalib segment scans -o results --wide --part $SLURM_ARRAY_TASK_ID/20
#
# Jobs that write into one folder share its tables: each job adds its rows.
#
# ## On a Dask cluster
#
#     recalib segment scans -o results --scheduler tls://HOST:8786
#     recalib segment scans -o results --scheduler-file scheduler.json
#
# Start the workers with `dask worker --nthreads 1 --memory-limit 0`, and with the same version of recalib-keras; they
# read the scans at the same path. [Workers](../../tuning/README.md#workers) has examples for SLURM, dask-jobqueue and
# Kubernetes, with keys that keep others out.
#
# ## In Python
#
# `segment_all` does the same, with what became of each scan as a result.

# %%
from recalib_keras.core.spreading.pool import Workers
from recalib_keras.inference import open_segmenter, segment_all


def segmenter():
    return open_segmenter("unet3d_pe", "hippocampus")


if __name__ == "__main__":
    report = segment_all(["my_scans/images"], "results", segmenter, workers=Workers())  # Workers(4) for four processes
    print(len(report.failed), "scans failed")

# %% [markdown]
# ## Data sets in BIDS
#
#     pip install "recalib-keras[bids]"
#     recalib bids BIDS_DIR derivatives participant --participant-label 01 02
#     recalib bids BIDS_DIR derivatives group
#
# The options are those of `recalib segment`: `--report`, `--probabilities`, `--structures` and so on. Label maps are
# called `*_dseg.nii.gz`, probabilities `*_probseg.nii.gz`, each with its JSON file. `.bidsignore` names what has no
# place in BIDS: pages, pictures, tables, and the maps `*_entropy` and `*_mutualinformation`.
#
# The folder `containers` of the repository has this as a BIDS app, for Docker and for Apptainer.
