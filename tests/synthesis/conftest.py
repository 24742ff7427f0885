"""A phantom's label map, and the label maps of real heads."""

import numpy as np
import pytest
from synthesis.heads import head

from recalib_keras.synthesis import LabelMaps, LabelTable


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(scope="session")
def phantom():
    """The label map of a tiny head, `(24, 24, 24)`."""
    return head()


@pytest.fixture(scope="session")
def brain_labels(data_root):
    """The folder of real label maps."""
    folder = data_root / "brain_labels"
    if not folder.is_dir():
        pytest.skip(f"needs the label maps of heads: {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def brain_table(brain_labels):
    """The table of the real label maps."""
    return LabelTable.read(brain_labels)


@pytest.fixture(scope="session")
def brains(brain_labels, brain_table):
    """Two real label maps, one of them stored as float."""
    return LabelMaps.read([brain_labels / f"training_seg_{number}.nii.gz" for number in ("01", "02")], brain_table)
