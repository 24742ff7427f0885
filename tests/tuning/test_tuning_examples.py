"""The examples for clusters run the same two commands, and the studies fit their recipes."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from study_processes import LONGEST, ended, free_address, hold, release, wait_for

from recalib_keras import tuning
from recalib_keras.tuning import Study
from recalib_keras.tuning.dimensions import SHORT_NAMES
from recalib_keras.tuning.oracles import make_oracle
from recalib_keras.tuning.plan import Plan

ROOM = Path(tuning.__file__).parent
COMMAND = re.compile(r'recalib tune "\$STUDY".*--role (?:chief|worker).*:8765"')
STUDIES = sorted((ROOM / "studies").glob("*.toml"))
TRIALS = {
    "densenet3d_pe_identity_start": 2,
    "densenet3d_pe_position": 7,
    "densenet3d_pe_reduction_ratio": 4,
    "sdnet2d_aggregation": 4,
    "sdnet2d_position": 7,
    "sdnet2d_reduction_ratio": 4,
}


def commands_of(name):
    return COMMAND.findall((ROOM / "examples" / name).read_text())


def test_slurm_and_kubernetes_run_the_same():
    assert commands_of("slurm.sh") == commands_of("kubernetes.yaml")
    assert len(commands_of("slurm.sh")) == 2


def test_commands_of_the_examples(study_path, control, tmp_path):
    program = tmp_path / "bin" / "recalib"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "recalib.py"} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    host, port = free_address().split(":")
    chief, worker = (command.replace(":8765", f":{port}") for command in commands_of("slurm.sh"))
    hold(control, "0000", 2)  # until the other worker has done all else, so that neither comes too late
    script = f"set -e; {chief} & a=$!; {worker} & b=$!; {worker} & c=$!; wait $a; wait $b; wait $c"
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "CHIEF": host,
        "STUDY": str(study_path),
        "RESULTS": str(tmp_path / "out"),
        "RECALIB_DATA": str(control),
    }
    pipe = subprocess.PIPE
    with subprocess.Popen(["bash", "-c", script], env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        wait_for(lambda: len(ended(tmp_path / "out")) == 5, "the trials that are not held")
        release(control)
        printed, errors = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, errors
    assert len(ended(tmp_path / "out")) == 6
    assert printed.count("the study is complete") == 2


STUBS = {
    "srun": 'echo "$@" > "$SEEN"; while [[ $1 == --* ]]; do shift; done; "$@"',
    "recalib": '[[ "$*" == *"--role chief"* ]] && exec $CHIEF_DOES; exit "$WORKERS_END_WITH"',
    "sleep": "exec /bin/sleep 0.01",
    "fails": "exit 3",
}


@pytest.mark.parametrize(
    ("chief_does", "workers_end_with", "expected"),
    [
        ("/bin/sleep 0.3", 0, 0),
        ("/bin/sleep 0.3", 137, 0),  # the others have ended the study
        ("fails", 0, 3),
        ("/bin/sleep 60", 137, 143),  # nobody is left
    ],
)
def test_slurm_script_ends_as_its_chief(chief_does, workers_end_with, expected, tmp_path):
    for name, text in STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "RECALIB_DATA": "data",
        "SLURM_CPUS_PER_TASK": "4",
        "SEEN": str(tmp_path / "seen"),
        "CHIEF_DOES": chief_does,
        "WORKERS_END_WITH": str(workers_end_with),
    }
    command = ["bash", ROOM / "examples" / "slurm.sh"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode == expected, done.stderr
    assert ("a worker failed" in done.stderr) == (workers_end_with != 0)
    assert (tmp_path / "seen").read_text().startswith("--cpus-per-task=4 --kill-on-bad-exit=0 recalib tune ")


def test_kubernetes_file():
    yaml = pytest.importorskip("yaml")
    service, config, *jobs = yaml.safe_load_all((ROOM / "examples" / "kubernetes.yaml").read_text())
    assert [one["kind"] for one in (service, config, *jobs)] == ["Service", "ConfigMap", "Job", "Job"]
    assert service["metadata"]["name"] == config["data"]["CHIEF"]
    assert service["spec"]["selector"] == jobs[0]["spec"]["template"]["metadata"]["labels"]
    assert (ROOM.parent / config["data"]["STUDY"]).exists()
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        (container,), (volume,) = pod["containers"], pod["volumes"]
        assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
        assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]


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
    text = (ROOM / "README.md").read_text()
    assert all(f"`{name}`" in text for name in SHORT_NAMES)
