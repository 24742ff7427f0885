"""The command in this process, and a scan for the tiny preset."""

import pytest
from bright import write_scan

from recalib_keras.cli.main import main


@pytest.fixture
def scan(tmp_path):
    """The path of a 10 × 9 × 8 scan with a bright box of 2 × 3 × 4 voxels of 1 × 1 × 2 mm."""
    return write_scan(tmp_path / "scans" / "head.nii.gz")


@pytest.fixture
def recalib(bright_preset):
    """Runs a command in this process; `segment` gets the tiny preset."""

    def run(command, *arguments):
        preset = ["--preset", str(bright_preset)] if command == "segment" and "--preset" not in arguments else []
        return main([command, *map(str, arguments), *preset])

    return run
