"""What `recalib segment` says while it waits, and the device that it uses."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from recalib_keras.cli import progress
from recalib_keras.cli.messages import shown_steps
from recalib_keras.cli.progress import Lines
from recalib_keras.core.messages import STEPS
from recalib_keras.core.spreading import devices
from recalib_keras.inference.engines import keras_engine

pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")  # not on Windows

SCANS = [Path("a.nii.gz"), Path("b.nii.gz"), Path("c.nii.gz")]


class Clock:
    """A clock that advances by this many seconds whenever it is read."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def test_without_a_terminal_a_line_from_time_to_time(capsys):
    progress = Lines("segment", SCANS, Clock(10.0))
    assert list(progress.windows(range(8))) == list(range(8))
    progress.finished()
    list(progress.windows(range(8)))
    lines = capsys.readouterr().err.splitlines()
    assert 3 < len(lines) < 8  # every 30 s, of 80 s each
    assert lines[0].startswith("recalib segment: a.nii.gz: ") and " of 8 windows, about " in lines[0]
    assert lines[-1].startswith("recalib segment: b.nii.gz: ") and lines[-1].endswith(" left")


def test_scans_are_counted_with_the_time_that_is_left(capsys):
    clock = Clock(0.0)
    lines = Lines("segment", SCANS, clock)
    for _ in SCANS:
        clock.now += 60
        lines.finished()
    assert capsys.readouterr().err.splitlines() == [
        "recalib segment: 1 of 3 scans, about 2 min left",
        "recalib segment: 2 of 3 scans, about 60 s left",
    ]


def test_short_work_needs_no_lines(capsys):
    lines = Lines("segment", SCANS, Clock(0.01))
    list(lines.windows(range(100)))
    lines.finished()
    lines.close()
    assert capsys.readouterr().err == ""


def on_terminal(code, columns):
    """Returns what a program prints on a terminal of this many columns."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24 if columns else 0, columns))
    written = bytearray()

    def read():
        try:
            while part := os.read(master, 4096):
                written.extend(part)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run([sys.executable, "-c", code], stderr=slave, env=environment, check=True)
    os.close(slave)
    reader.join(timeout=20)
    os.close(master)
    assert done.returncode == 0
    return written.decode()


CODE = """
import time
from pathlib import Path
from recalib_keras.cli import progress
progress.LINE_SECONDS = 0.05
shown = progress.open_progress("segment", [Path("a"), Path("b")], with_windows=True)
for _ in range(2):
    for window in shown.windows(range(4)):
        time.sleep(0.12)
    shown.write("recalib segment: a warning")
    shown.finished()
shown.close()
"""


@pytest.mark.parametrize("columns", [80, 0])
def test_terminals_with_a_size_get_bars_and_others_lines(columns):
    shown = on_terminal(CODE, columns)
    assert shown.count("recalib segment: a warning") == 2
    if columns:
        assert " windows" in shown and "2/2" not in shown.split("a warning")[0] and "/4 " in shown
    else:
        assert "recalib segment: a: 2 of 4 windows, about " in shown and "\x1b" not in shown


def test_steps_of_the_library_become_lines():
    lines, level = [], STEPS.level
    with shown_steps("segment", lines.append):
        STEPS.info("trying %s %s (once for this machine)", "openvino", "bfloat16")
    STEPS.info("this is not shown")
    assert lines == ["recalib segment: trying openvino bfloat16 (once for this machine)"]
    assert STEPS.level == level and [type(one) for one in STEPS.handlers].count(logging.NullHandler) == len(
        STEPS.handlers
    )


@pytest.fixture
def environment(monkeypatch):
    """Lets a test change which devices are seen, with two GPUs to see."""
    monkeypatch.setenv(devices.GPUS, "GPU-a,GPU-b")
    monkeypatch.setenv("JAX_PLATFORMS", "")
    return monkeypatch


def test_one_device_alone_is_seen(environment):
    devices.use_device("gpu:1")
    assert os.environ[devices.GPUS] == "GPU-b" and devices.find_gpus() == ["GPU-b"]
    devices.use_device("cpu")
    assert devices.find_gpus() == [] and devices.are_gpus_hidden() and not keras_engine.may_have_gpu()
    assert os.environ["JAX_PLATFORMS"] == "cpu"


@pytest.mark.parametrize("name", ["gpu:2", "gpu", "tpu:0", "gpu:x", "CPU0", ""])
def test_a_device_that_is_not_there(environment, name):
    with pytest.raises(
        ValueError, match=f"--device: expected a device of this machine, got '{name}'; .* cpu, gpu:0, gpu:1"
    ):
        devices.use_device(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "gpu:7"), "got 'gpu:7'; use one of: cpu, gpu:0, gpu:1"),
        (("--device", "gpu:0", "--engine", "openvino"), "expected cpu for the engine openvino"),
        (("--device", "cpu", "--scheduler", "tcp://x:1"), "start each worker with its own device"),
    ],
)
def test_a_device_that_cannot_be_used(recalib, scan, tmp_path, capsys, environment, arguments, message):
    assert recalib("segment", scan, "-o", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_without_a_gpu_the_message_says_so(environment):
    environment.setenv(devices.GPUS, "-1")
    with pytest.raises(ValueError, match=r"use one of: cpu \(nvidia-smi lists no GPU here\)"):
        devices.use_device("gpu:0")
    assert progress.LINE_SECONDS > 1
