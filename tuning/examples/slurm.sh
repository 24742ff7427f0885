#!/bin/bash
# A study on a SLURM cluster: Dask's scheduler and the search on the first node, a worker in each task.
# `sbatch tuning/examples/slurm.sh`. A study that was stopped continues: submit the job again.
# For many scans, replace the last line by: recalib segment SCANS -o OUT --scheduler-file "$SCHEDULER"
#SBATCH --job-name=recalib-study
#SBATCH --ntasks=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
set -euo pipefail

STUDY=${STUDY:-tuning/studies/sdnet2d_position.toml}
RESULTS=${RESULTS:-runs/sdnet2d_position}
export RECALIB_DATA=${RECALIB_DATA:?the folder of data sets}

# Whoever can connect to a scheduler can run programs in its workers. This key, which only you can read, keeps others out.
umask 077
mkdir -p "$RESULTS"
KEYS=$(mktemp -d "$PWD/.recalib-keys.XXXXXX")
SCHEDULER=$KEYS/scheduler.json
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=recalib \
    -keyout "$KEYS/key.pem" -out "$KEYS/cert.pem" 2>/dev/null
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=true DASK_DISTRIBUTED__COMM__TLS__CA_FILE=$KEYS/cert.pem
for role in SCHEDULER WORKER CLIENT; do
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__CERT=$KEYS/cert.pem" "DASK_DISTRIBUTED__COMM__TLS__${role}__KEY=$KEYS/key.pem"
done

dask scheduler --protocol tls --port 0 --scheduler-file "$SCHEDULER" &
scheduler=$!
# A worker that dies does not end the others. Since SLURM 22.05, srun needs the number of CPUs again.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0 \
    dask worker --protocol tls --scheduler-file "$SCHEDULER" --nthreads 1 --memory-limit 0 \
    --local-directory "${TMPDIR:-/tmp}" &
workers=$!
trap 'kill $workers $scheduler 2>/dev/null; wait; rm -rf "$KEYS"' EXIT
until [ -e "$SCHEDULER" ]; do kill -0 "$scheduler"; sleep 0.2; done
recalib tune "$STUDY" -o "$RESULTS" --scheduler-file "$SCHEDULER"
