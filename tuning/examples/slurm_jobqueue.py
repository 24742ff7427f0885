"""A study on a SLURM cluster through dask-jobqueue: a job for each worker, as many as are free.

pip install "recalib-keras[cluster]" dask-jobqueue, and on the login node: python slurm_jobqueue.py STUDY.toml DATA
"""

import sys
from typing import Any

from dask_jobqueue import SLURMCluster

from recalib_keras.tuning import Study, Workers, search

if __name__ == "__main__":
    study = Study.read(sys.argv[1])
    options: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": "16GB",
        "walltime": "04:00:00",
        "protocol": "tls://",
    }
    with SLURMCluster(**options, security=True, shared_temp_directory=".", job_cpu=4) as cluster:
        cluster.scale(jobs=4)
        results = search(study, f"runs/{study.name}", sys.argv[2], Workers(scheduler=cluster))
    print(results.best)
