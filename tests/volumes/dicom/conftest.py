"""A small series, for the tests of `recalib_keras.volumes.dicom`."""

import numpy as np
import pytest


@pytest.fixture
def pixels(rng):
    """Stored values in the order of slices, rows, columns."""
    made = pytest.importorskip("made_series")
    return rng.integers(-1000, 2000, (made.SLICES, made.ROWS, made.COLUMNS)).astype(np.int16)


@pytest.fixture
def series(tmp_path, pixels):
    """Returns a function that writes a series, its file names in no order of the slices, and returns its folder.

    Args of the function: indices to skip; a function that returns the tags of one slice by its index; tags of all.
    """
    made = pytest.importorskip("made_series")

    def make(skip=(), change=None, **tags):
        folder = tmp_path / "series"
        folder.mkdir()
        for index in range(made.SLICES):
            if index not in skip:
                own = change(index) if change else {}
                slice_ = made.dicom_slice(index, **{"pixels": pixels[index], **tags, **own})
                made.write(slice_, folder / f"IM{index * 5 % 7}")
        return folder

    return make
