import itertools
import os
import signal
import subprocess
import sys
import time

import pytest
from study_processes import LONGEST, is_alive, wait_for

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.crew import Crew, worker_command

IGNORE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
WAIT = "import time; print('up', flush=True); time.sleep(600)"
PARENT = """
import sys, time
from recalib_keras.tuning.crew import Crew
child = "import time; from recalib_keras.tuning.crew import end_with_parent; end_with_parent(); time.sleep(600)"
crew = Crew(lambda name, threads: [sys.executable, "-c", child], 1, sys.argv[1])
crew.start()
print(crew.members[0].process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def make_crew(tmp_path, monkeypatch):
    """Makes a crew whose members run a piece of Python; all end with the test."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    crews = []

    def make(script, workers=1):
        folder = tmp_path / f"logs-{len(crews)}"
        crews.append(Crew(lambda name, threads: [sys.executable, "-c", script], workers, folder, threads=1))
        crews[-1].start()
        return crews[-1]

    yield make
    for crew in crews:
        crew.stop(grace=0.0, at_once=True)


def wait_until_up(crew):
    for member in crew.members:
        wait_for(lambda member=member: "up" in member.log.read_text(), member.name)


def wait_until_dead(crew):
    wait_for(lambda: all(member.process.poll() is not None for member in crew.members), "the end of the crew")


def replace(crew, progress=0):
    dead = []
    crew.replace_dead(dead.append, lambda: progress)
    return dead


def test_members_have_a_share_a_log_and_a_session(make_crew):
    crew = make_crew("import os; print(os.environ['OMP_NUM_THREADS'], os.getsid(0) == os.getpid())", workers=2)
    wait_until_dead(crew)
    assert [member.name for member in crew.members] == ["worker-1", "worker-2"]
    assert [member.last_words() for member in crew.members] == ["1 True"] * 2
    assert replace(crew) == []  # they have been sent home


def test_replaces_the_dead_up_to_a_limit(make_crew):
    crew = make_crew("import os, signal; print('ouch', flush=True); os.kill(os.getpid(), signal.SIGKILL)")
    for _ in range(2):
        wait_until_dead(crew)
        first = crew.members[0].process.pid
        assert replace(crew) == ["worker-1"]
        assert crew.members[0].process.pid != first
    wait_until_dead(crew)
    with pytest.raises(
        StudyError,
        match=r"expected worker-1 to run, got 3 deaths in a row while no trial ended .killed by SIGKILL.*: ouch; see",
    ):
        replace(crew)


def test_progress_resets_the_limit(make_crew):
    crew = make_crew("raise SystemExit(1)")
    for progress in range(5):
        wait_until_dead(crew)
        assert replace(crew, progress) == ["worker-1"]


def test_worker_with_bad_input_ends_the_study(make_crew):
    crew = make_crew("print('recalib tune: No space left on device'); raise SystemExit(2)")
    wait_until_dead(crew)
    with pytest.raises(
        StudyError, match="expected worker-1 to run, got its error: recalib tune: No space left on device"
    ):
        replace(crew)


def test_stop_waits_then_asks_then_kills(make_crew):
    crew = make_crew("print('up', flush=True)")
    crew.stop()
    assert crew.members[0].process.returncode == 0
    crew = make_crew(WAIT)
    wait_until_up(crew)
    crew.stop(grace=5.0, at_once=True)
    assert crew.members[0].process.returncode == -signal.SIGTERM
    crew = make_crew(IGNORE)
    wait_until_up(crew)
    start = time.monotonic()
    crew.stop(grace=0.2, at_once=True)
    assert crew.members[0].process.returncode == -signal.SIGKILL
    assert time.monotonic() - start < 5


def test_members_end_with_their_parent(tmp_path):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, env=environment)
    child = int(parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait(LONGEST)
    parent.stdout.close()
    wait_for(lambda: not is_alive(child), "the end of the child")


def test_worker_command(tmp_path):
    command = worker_command(tmp_path / "study.toml", tmp_path / "out", tmp_path, "127.0.0.1:1234", 60.0)
    words = command("worker-1", 2)
    assert words[:4] == [sys.executable, "-m", "recalib_keras.cli.main", "tune"]
    for option in (("--role", "worker"), ("--oracle", "127.0.0.1:1234"), ("--name", "worker-1"), ("--threads", "2")):
        assert option in itertools.pairwise(words)
    assert "--ends-with-parent" in words and "--threads" not in command("worker-1", None)
