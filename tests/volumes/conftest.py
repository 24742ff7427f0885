"""Small scans and grids for the tests of `recalib_keras.volumes`."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def intensities(rng):
    return rng.uniform(0, 100, (6, 5, 4)).astype(np.float32)


@pytest.fixture
def scan_path(tmp_path, intensities, oblique_affine):
    """A good scan on disk."""
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(intensities, oblique_affine), path)
    return path


@pytest.fixture(scope="session")
def nibabel_data():
    """nibabel's own test images."""
    folder = Path(nib.__file__).parent / "tests" / "data"
    if not folder.is_dir():
        pytest.skip("this nibabel was installed without its test images")
    return folder
