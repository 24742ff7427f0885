"""The examples for clusters run, and the studies fit their recipes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from study_processes import LONGEST, ended

from recalib_keras import tuning
from recalib_keras.tuning import Study
from recalib_keras.tuning.algorithms.oracles import make_oracle
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.space.dimensions import SHORT_NAMES

FOLDER = Path(tuning.__file__).parent
STUDIES = sorted((FOLDER / "studies").glob("*.toml"))
TRIALS = {
    "densenet3d_pe_identity_start": 2,
    "densenet3d_pe_position": 7,
    "densenet3d_pe_reduction_ratio": 4,
    "sdnet2d_aggregation": 4,
    "sdnet2d_position": 7,
    "sdnet2d_reduction_ratio": 4,
}


# Stand-ins: `srun` starts two tasks, `sbatch` starts a job at once, which `scancel` ends; `recalib` and `dask worker`
# have fake trainings.
SCRIPTS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; "$@" & "$@" & trap "kill $(jobs -p | xargs)" TERM; wait',
    "sbatch": 'setsid bash "$1" > "$BATCH.$$" 2>&1 < /dev/null & echo "Submitted batch job $!"; echo "$!" >> "$BATCH"',
    "scancel": 'kill -- -"$1"',
    "recalib": 'exec "$PYTHON" "$FAKE" "$@"',
    "dask": 'exec "$PYTHON" -m dask "$@" $([[ $1 == worker ]] && echo --preload "$FAKE")',
}


@pytest.fixture
def path_of_stand_ins(tmp_path):
    for name, text in SCRIPTS.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


@pytest.mark.slow
def test_slurm_script(study_path, control, tmp_path, path_of_stand_ins):
    environment = {
        **os.environ,
        "PATH": path_of_stand_ins,
        "PYTHON": sys.executable,
        "FAKE": str(Path(__file__).parent / "recalib.py"),
        "STUDY": str(study_path),
        "RESULTS": str(tmp_path / "out"),
        "RECALIB_DATA": str(control),
        "SLURM_CPUS_PER_TASK": "1",
    }
    command = ["bash", FOLDER / "examples" / "slurm.sh"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LONGEST, cwd=tmp_path, start_new_session=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(ended(tmp_path / "out")) == 6
    assert "not encrypted" not in done.stderr
    assert not list(tmp_path.glob(".recalib-keys*"))


@pytest.mark.slow
def test_jobqueue_script(study_path, control, tmp_path, path_of_stand_ins):
    """Four jobs of SLURM work on the study, and are cancelled at its end."""
    pytest.importorskip("dask_jobqueue")
    environment = {
        **os.environ,
        "PATH": path_of_stand_ins,
        "BATCH": str(tmp_path / "jobs"),
        "DASK_DISTRIBUTED__WORKER__PRELOAD": f"['{Path(__file__).parent / 'recalib.py'}']",
    }
    command = [sys.executable, FOLDER / "examples" / "slurm_jobqueue.py", study_path, control]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(ended(tmp_path / "runs" / "rates")) == 6
    jobs = [int(job) for job in (tmp_path / "jobs").read_text().split()]
    assert len(jobs) == 4 and not any(Path(f"/proc/{job}").exists() for job in jobs)


def test_kubernetes_file():
    yaml = pytest.importorskip("yaml")
    service, config, scheduler, workers, job = yaml.safe_load_all((FOLDER / "examples" / "kubernetes.yaml").read_text())
    kinds = [one["kind"] for one in (service, config, scheduler, workers, job)]
    assert kinds == ["Service", "ConfigMap", "Deployment", "Deployment", "Job"]
    assert config["data"]["SCHEDULER"] == f"tls://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert service["spec"]["selector"] == scheduler["spec"]["template"]["metadata"]["labels"]
    assert (FOLDER.parent / config["data"]["STUDY"]).exists()
    for one in (scheduler, workers):
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    for one in (scheduler, workers, job):
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
        assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"] for volume in pod["volumes"]]


def test_kubernetes_pods_find_their_keys():
    """Dask reads its TLS configuration from the names in the file."""
    yaml, config = pytest.importorskip("yaml"), pytest.importorskip("dask.config")
    data = list(yaml.safe_load_all((FOLDER / "examples" / "kubernetes.yaml").read_text()))[1]["data"]
    tls = config.collect_env(data)["distributed"]["comm"]
    assert tls["require_encryption"] is True and tls["tls"]["ca_file"] == "/tls/tls.crt"
    assert all(set(tls["tls"][role]) == {"cert", "key"} for role in ("scheduler", "worker", "client"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_fit_their_recipes(path):
    study = Study.read(path)
    plan = Plan(study)
    oracle = make_oracle(study, plan.space, plan.epochs)
    assert len(plan.seeds) == 5 and study.title and study.baseline
    assert oracle.number_of_trials() == TRIALS[path.stem]


def test_there_are_six_studies():
    assert [path.stem for path in STUDIES] == [*TRIALS]


def test_readme_names_every_short_name():
    text = (FOLDER / "README.md").read_text()
    assert all(f"`{name}`" in text for name in SHORT_NAMES)
