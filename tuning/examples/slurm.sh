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
chief=$!
# A worker that dies does not end the others, and it is the chief that says how the study went. Since SLURM 22.05, srun
# has to be told the CPUs again.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0 \
    recalib tune "$STUDY" -o "$RESULTS" --role worker --oracle "$CHIEF:8765" || echo "a worker failed" >&2
# With all workers gone, a chief that has not ended after two minutes waits in vain.
for _ in {1..120}; do kill -0 "$chief" 2>/dev/null && sleep 1; done
kill "$chief" 2>/dev/null || true
wait "$chief"
