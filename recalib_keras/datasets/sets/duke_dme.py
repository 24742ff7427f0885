"""Duke DME: retinal OCT of eyes with diabetic macular edema, in MATLAB files."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recalib_keras.datasets.folders import visible_files
from recalib_keras.datasets.problems import Problem, noted
from recalib_keras.datasets.scan import Inspection, LabelledScan
from recalib_keras.datasets.source import Description, Source, Survey
from recalib_keras.volumes import Grid, Volume, VolumeError

NAME = re.compile(r"Subject_\d+\.mat")
# Of the first of the two graders.
IMAGES, LAYERS, FLUID = "images", "manualLayers1", "manualFluid1"
LABELS = dict(
    enumerate(
        (
            "background",
            "nerve fibre layer",
            "ganglion cell and inner plexiform layers",
            "inner nuclear layer",
            "outer plexiform layer",
            "outer nuclear layer and inner segments",
            "inner segment ellipsoid",
            "outer segments and pigment epithelium",
            "fluid",
        )
    )
)
BOUNDARIES, FLUID_LABEL = 8, 8
# Millimetres between A-scans, between pixels in depth and between B-scans: nominal values, in the middle of the ranges
# that the paper gives for its ten eyes. The files do not give each eye's own.
SPACING = (0.01146, 0.00387, 0.123)

LAYOUT = """\
2015_BOE_Chiu.zip from people.duke.edu/~sf59/Chiu_BOE_2014_dataset.htm, unpacked:
  FOLDER/Subject_01.mat ... FOLDER/Subject_10.mat (or in FOLDER/2015_BOE_Chiu), each with
    images         (rows, columns, B-scans)
    manualLayers1  (8, columns, B-scans): row of each boundary between layers, NaN where none was drawn
    manualFluid1   (rows, columns, B-scans): above 0 in fluid
Each B-scan that has boundaries becomes a scan of one slice; all of one eye are one patient. It is cut to the columns
between the first and the last in which all boundaries are drawn; straight lines bridge the gaps within them."""
CITATION = """\
@article{chiu2015kernel,
  title = {Kernel regression based segmentation of optical coherence tomography images with diabetic macular edema},
  author = {Chiu, Stephanie J. and Allingham, Michael J. and Mettu, Priyatham S. and Cousins, Scott W. and
            Izatt, Joseph A. and Farsiu, Sina},
  journal = {Biomedical Optics Express}, volume = {6}, number = {4}, pages = {1172--1194}, year = {2015},
  doi = {10.1364/BOE.6.001172}
}"""


@dataclass(frozen=True)
class BScan(LabelledScan):
    """One annotated B-scan of a MATLAB file; `volume` is its number, counted from 0.

    It is read as `(columns, rows, 1)`: x along the scan line, y from the choroid to the vitreous, z from B-scan to
    B-scan. The files do not say whether it is a left or a right eye.
    """

    def inspect(self) -> Inspection:
        """Reads the B-scan and its layers; see `LabelledScan.inspect`."""
        problems = []
        with noted(problems, self.image):
            images, layers, fluid = (_variable(self.image, name) for name in (IMAGES, LAYERS, FLUID))
            _check_shapes(self.image, images, layers, fluid)
            boundaries = layers[:, :, self.volume]
            columns = drawn_columns(boundaries)
            if columns is None:
                raise VolumeError(file=self.image, expected=f"boundaries in B-scan {self.volume + 1}", received="none")
            grid = _grid(columns, images.shape[0], self.volume)
            pixels = images[:, columns, self.volume].T.astype(np.float32)[:, :, None]
            truth = label_rows(bridged(boundaries[:, columns]), images.shape[0])
            truth[(fluid[:, columns, self.volume] > 0).T] = FLUID_LABEL
            return Inspection(Volume(pixels, grid, None, self.image), Volume(truth[:, :, None], grid), problems)
        return Inspection(None, None, problems)


def drawn_columns(boundaries: np.ndarray) -> slice | None:
    """Returns the columns from the first to the last in which all boundaries are drawn, or None.

    Args:
        boundaries: Row of each boundary in each column, `(boundaries, columns)`; NaN if it was not drawn.
    """
    drawn = np.flatnonzero(np.isfinite(boundaries).all(axis=0))
    return slice(int(drawn[0]), int(drawn[-1]) + 1) if drawn.size else None


def bridged(boundaries: np.ndarray) -> np.ndarray:
    """Returns boundaries with straight lines across the gaps (NaN) between drawn columns.

    Args:
        boundaries: Row of each boundary in each column, `(boundaries, columns)`.
    """
    columns = np.arange(boundaries.shape[1])
    return np.array([np.interp(columns, columns[np.isfinite(row)], row[np.isfinite(row)]) for row in boundaries])


def label_rows(boundaries: np.ndarray, rows: int) -> np.ndarray:
    """Returns the layer of each pixel, uint8 `(columns, rows)`.

    A pixel belongs to the layer below the last boundary at or above it. Above the first boundary, and from the last
    one on, is background.

    Args:
        boundaries: Row of each boundary in each column, `(boundaries, columns)`, counted from 1 as in MATLAB.
        rows: Number of rows.
    """
    passed = (np.arange(1, rows + 1) >= boundaries[:, :, None]).sum(axis=0)
    return np.where(passed == BOUNDARIES, 0, passed).astype(np.uint8)


def find(folder: Path) -> Survey:
    """Returns what is in a folder; reads the boundaries, to see which B-scans have some.

    Args:
        folder: Holds `Subject_01.mat` and so on.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if (folder / "2015_BOE_Chiu").is_dir():
        folder = folder / "2015_BOE_Chiu"
    files = [path for path in visible_files(folder) if NAME.fullmatch(path.name)]
    if not files:
        raise FileNotFoundError(f"expected Subject_01.mat, Subject_02.mat, ... in {folder}, got none of them")
    scans: list[LabelledScan] = []
    problems = []
    for path in files:
        with noted(problems, path):
            layers = _variable(path, LAYERS)
            annotated = [index for index in range(layers.shape[-1]) if drawn_columns(layers[..., index]) is not None]
            if not annotated:
                problems.append(Problem(path, f"boundaries in {LAYERS}", "a file without any", "download it again"))
            scans += [BScan(f"{path.stem}_{index + 1:02}", path, path, path.stem, volume=index) for index in annotated]
    return Survey(scans, LABELS, problems, [])


def _variable(path, name):
    """Returns one array of a MATLAB file."""
    return _load(path, name, path.stat().st_mtime_ns)


# The B-scans of a file are read one after the other: its three arrays are kept until the next file's come.
@functools.lru_cache(maxsize=3)
def _load(path, name, modified):
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=[name])
    except NotImplementedError as error:  # HDF5 inside
        raise VolumeError(
            file=path, expected="a MATLAB file of version 7 or older", received="7.3", remedy="save it with '-v7'"
        ) from error
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise VolumeError(
            file=path, expected="a MATLAB file", received=f"a damaged file, or one of another format ({error})"
        ) from error
    if name not in content:
        raise VolumeError(file=path, expected=f"the variable {name}", received="a file without it")
    array = content[name]
    if array.ndim != 3 or array.dtype.kind not in "biuf":
        raise VolumeError(
            file=path, expected=f"{name} to have three axes of numbers", received=f"{array.dtype} {array.shape}"
        )
    return array


def _check_shapes(path, images, layers, fluid):
    rows, columns, number = images.shape
    for name, array, expected in (
        (LAYERS, layers, (BOUNDARIES, columns, number)),
        (FLUID, fluid, (rows, columns, number)),
    ):
        if array.shape != expected:
            raise VolumeError(file=path, expected=f"{name} of shape {expected}", received=f"{array.shape}")


def _grid(columns, rows, index):
    across, down, between = SPACING
    affine = np.diag([across, -down, between, 1.0])
    affine[:3, 3] = columns.start * across, 0, index * between
    return Grid((columns.stop - columns.start, rows, 1), affine)


DESCRIPTION = Description(
    "duke_dme",
    "Duke retinal OCT with diabetic macular edema: 7 layers, fluid",
    LABELS,
    LAYOUT,
    "as stated on the homepage: free for research with citation",
    CITATION,
    "https://people.duke.edu/~sf59/Chiu_BOE_2014_dataset.htm",
)
SOURCES = (Source(DESCRIPTION, find),)
