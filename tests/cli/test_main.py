import os
import resource
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from recalib_keras.cli import compare
from recalib_keras.cli.main import COMMANDS, main
from recalib_keras.cli.messages import is_out_of_memory
from recalib_keras.core.errors import RecalibError


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "recalib_keras.cli.main", *map(str, arguments)], capture_output=True, text=True
    )


def test_help_is_quick():
    script = (
        "import sys; from recalib_keras.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'keras', 'tensorflow', 'numpy', 'nibabel', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"recalib {command}" in capsys.readouterr().out


def test_unknown_command(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["sgment"])
    assert "segment" in capsys.readouterr().err


def test_stderr_holds_nothing_but_the_error(tmp_path, bright_preset):
    done = _run("segment", tmp_path / "none.nii.gz", "-o", tmp_path, "--preset", bright_preset, "--threads", 1)
    assert done.returncode == 2
    assert done.stderr.startswith("recalib segment: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_success_in_a_pipe_says_only_what_is_done_once_for_a_machine(scan, tmp_path, bright_preset):
    done = _run("segment", scan, "-o", tmp_path / "out", "--preset", bright_preset, "--threads", 1, "--engine", "keras")
    assert done.returncode == 0 and "starting" not in done.stderr
    assert all("once for this machine" in line or "this machine remembers" in line for line in done.stderr.splitlines())
    assert done.stdout.count("\n") == 1


def test_a_missing_backend():
    script = (
        "import sys; sys.modules['jax'] = None; from recalib_keras.cli.main import main; sys.exit(main(['train', 'a']))"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "recalib train: Keras's backend 'jax' is not installed; run: pip install jax, or name another" in done.stderr


def test_a_reader_that_stops_reading():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "recalib_keras.cli.main", "presets"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RecalibError("expected a, got b"), "recalib compare: expected a, got b"),
        (ValueError("two\nlines"), "recalib compare: two lines"),
        (MemoryError(), "recalib compare: memory ran out; use fewer --resamples"),
        (
            MemoryError("Unable to allocate 9 GiB"),
            "recalib compare: memory ran out: Unable to allocate 9 GiB; use fewer",
        ),
        (RuntimeError("std::bad_alloc"), "recalib compare: memory ran out: std::bad_alloc; use fewer --resamples"),
    ],
)
def test_errors_become_one_line(monkeypatch, capsys, error, line):
    def fail(arguments):
        raise error

    monkeypatch.setattr(compare, "run", fail)
    assert main(["compare", "a.csv", "b.csv"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(line) and message.count("\n") == 1


def test_an_error_of_several_lines(monkeypatch, capsys):
    class ManyError(RecalibError):
        lines = ("a.nii: damaged", "and 3 more")

    def fail(arguments):
        raise ManyError("a.nii: damaged and 3 more")

    monkeypatch.setattr(compare, "run", fail)
    assert main(["compare", "a.csv", "b.csv"]) == 2
    assert capsys.readouterr().err == "recalib compare: a.nii: damaged\nrecalib compare: and 3 more\n"


def test_bugs_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(compare, "run", lambda arguments: {}["key"])
    with pytest.raises(KeyError):
        main(["compare", "a.csv", "b.csv"])


def test_memory_of_any_engine_runs_out():
    classes = [type(name, (Exception,), {}) for name in ("ResourceExhaustedError", "OutOfMemoryError")]
    errors = [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), *(kind("x") for kind in classes)]
    assert all(map(is_out_of_memory, [*errors, OSError(12, "Cannot allocate memory")]))
    assert not any(map(is_out_of_memory, [ValueError("bad_alloc"), RuntimeError("no device"), OSError(2, "no file")]))


def test_label_maps_larger_than_memory(tmp_path):
    """Label maps of 27 GB, sparse on disk, in a process that may take 4 GB."""
    image = nib.Nifti1Image(np.zeros((1, 1, 1), "uint8"), np.eye(4))
    image.header.set_data_shape((3000, 3000, 3000))
    for name in ("a.nii", "b.nii"):
        with (tmp_path / name).open("wb") as file:
            image.header.write_to(file)
            file.truncate(352 + 3000**3)
    command = [sys.executable, "-m", "recalib_keras.cli.main", "evaluate", tmp_path / "a.nii", tmp_path / "b.nii"]

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("recalib evaluate: ") and "memory" in done.stderr
