#!/bin/bash
# A study on a SLURM cluster: the chief on the first node, a worker in each task. `sbatch tuning/examples/slurm.sh`.
# What is stopped goes on where it was: submit it again.
#SBATCH --job-name=recalib-study
#SBATCH --ntasks=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
set -euo pipefail

export CHIEF=$(hostname)
export STUDY=tuning/studies/sdnet2d_position.toml
export RESULTS=runs/sdnet2d_position
export RECALIB_DATA=${RECALIB_DATA:?the folder of data sets}

recalib tune "$STUDY" -o "$RESULTS" --role chief --oracle "$CHIEF:8765" &
srun recalib tune "$STUDY" -o "$RESULTS" --role worker --oracle "$CHIEF:8765"
wait
