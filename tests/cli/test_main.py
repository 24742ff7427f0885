import os
import subprocess
import sys

import pytest

from recalib_keras.cli.main import COMMANDS, main


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "recalib_keras.cli.main", *map(str, arguments)], capture_output=True, text=True
    )


def test_help_names_all_commands_and_imports_nothing_heavy():
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


def test_unknown_command_is_bad_input(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["sgment"])
    assert "segment" in capsys.readouterr().err


def test_stderr_holds_nothing_but_the_error(tmp_path, bright_preset):
    done = _run("segment", tmp_path / "none.nii.gz", "-o", tmp_path, "--preset", bright_preset, "--threads", 1)
    assert done.returncode == 2
    assert done.stderr.startswith("recalib segment: ")
    assert done.stderr.count("\n") == 1


def test_success_is_quiet_and_has_no_progress_bar_in_a_pipe(scan, tmp_path, bright_preset):
    done = _run("segment", scan, "-o", tmp_path / "out", "--preset", bright_preset, "--threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def test_a_backend_that_is_not_installed():
    script = (
        "import sys; sys.modules['jax'] = None; from recalib_keras.cli.main import main; sys.exit(main(['train', 'a']))"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "recalib train: Keras's backend 'jax' is not installed; run: pip install jax, or name another" in done.stderr


def test_a_reader_that_leaves_gets_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "recalib_keras.cli.main", "presets"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
