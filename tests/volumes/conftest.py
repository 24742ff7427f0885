"""Small scans and grids for the tests of `recalib_keras.volumes`."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def oblique_affine():
    """An affine of unequal spacing (1, 1.5 and 2 mm), rotated by 0.3 rad about z, as scanners make them."""
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, 1.5, 2.0])
    affine[:3, 3] = (40, -30, 12)
    return affine.astype(np.float32).astype(np.float64)


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
