#!/bin/bash
# A study on a SLURM cluster: the chief on the first node, a worker in each task. `sbatch tuning/examples/slurm.sh`.
# A study that was stopped continues: submit the job again.
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
# A worker that dies does not end the others, and the chief's exit code is that of the study. Since SLURM 22.05, srun
# needs the number of CPUs again.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0 \
    recalib tune "$STUDY" -o "$RESULTS" --role worker --oracle "$CHIEF:8765" || echo "a worker failed" >&2
# Once all workers are gone, a chief that has not ended after two minutes will never end.
for _ in {1..120}; do kill -0 "$chief" 2>/dev/null && sleep 1; done
kill "$chief" 2>/dev/null || true
wait "$chief"
