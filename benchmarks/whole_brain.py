"""Tests a whole-brain preset on the MNI152 template: `python -m benchmarks.whole_brain [--preset NAME]`.

The template (ICBM 2009, T1, brain only, 1 mm) is not a training scan, and its maps of grey and white matter are not
ours. The benchmark reports:

- the Dice of both tissues;
- how well the labels agree with those of the unchanged template (mean Dice of all structures) when the scan is turned,
  resampled, cropped, padded, mirrored, or changed in its intensities;
- how well they agree when the scan is stored on a grid that is tilted by 10 to 45 degrees about each axis;
- which scans get a warning; the template should get none;
- the time and the peak memory of the command `recalib segment`, start-up included, for the template and for a generated
  scan of a whole head: for the first time, when engines are tried, and after that.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from benchmarks import timing
from benchmarks.memory import of_command
from examples.demo import template
from recalib_keras import volumes
from recalib_keras.evaluation import dice
from recalib_keras.inference import Segmenter
from recalib_keras.training import held_out
from recalib_keras.volumes import Grid, Volume

# FreeSurfer's labels of the structures that the template's tissue maps call grey and white matter.
GREY = (3, 42, 8, 47, 10, 49, 11, 50, 12, 51, 17, 53, 18, 54, 26, 58)
WHITE = (2, 41, 7, 46)
MIXED = (16, 28, 60)  # brain-stem and ventral diencephalon contain grey and white matter
SPACINGS = ((0.7, 0.7, 0.7), (1.5, 1.5, 1.5), (2.0, 2.0, 2.0), (3.0, 3.0, 3.0), (1.0, 1.0, 3.0))
GAMMAS, NOISES = (0.7, 1.4), (0.03, 0.06)  # noise as a share of the 99th percentile
CUT = 20  # voxels that are cropped above and below
PADDED = 256  # voxels along each axis of a scan that FreeSurfer conformed
TILTS = (10, 20, 30, 45)  # degrees
COLUMNS = {
    "labels": ("what", "Dice", "warning"),
    "oblique": ("what", "Dice", "seconds"),
    "command": ("what", "seconds", "peak MB"),
}


def main() -> None:
    """Measures, prints a table of each part and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="unet3d")
    parser.add_argument("--weights", default="whole_brain")
    parser.add_argument("--flip", action="store_true", help="average with the mirror image")
    parser.add_argument("--orientations", type=int, default=48, metavar="N", help="how many of the 48 to try")
    parser.add_argument(
        "--part", choices=COLUMNS, help="only the labels or oblique scans, or only the command (on an idle machine)"
    )
    arguments = parser.parse_args()
    for part, measure in {"labels": _labels, "oblique": _oblique, "command": _command}.items():
        if arguments.part in (None, part):
            rows = list(measure(arguments))
            timing.show(rows, COLUMNS[part])
            print("written to", timing.write(f"whole_brain_{arguments.preset}_{part}", rows))


def _labels(arguments):
    """Yields the rows of the labels: of the template, of the changed template, and of scans with warnings."""
    segmenter = Segmenter(arguments.preset, weights=arguments.weights, flips=arguments.flip)
    scan = volumes.read(template())
    labels = segmenter(scan).labels
    for found in (tissues(scan, labels).items(), changes(segmenter, scan, labels, arguments.orientations)):
        yield from ({"what": what, "Dice": value} for what, value in found)
    for what, warning in warnings_of(segmenter, scan):
        yield {"what": what, "warning": warning or "none"}


def _oblique(arguments):
    """Yields the agreement and the seconds for each tilted grid."""
    segmenter = Segmenter(arguments.preset, weights=arguments.weights, flips=arguments.flip)
    for what, agreement, seconds in oblique(segmenter, volumes.read(template())):
        yield {"what": what, "Dice": agreement, "seconds": seconds}


def _command(arguments):
    """Yields the seconds and the peak memory of `recalib segment`: when it tries engines first, and after that."""
    for what, image in {"the template": template(), "a whole head": _head(arguments)}.items():
        if image is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "scan.nii.gz")
            image.to_filename(path)
            command = ["segment", str(path), "-o", folder, "--overwrite"]
            command += ["--preset", arguments.preset, "--weights", arguments.weights, *["--flip"] * arguments.flip]
            for when in (", for the first time", ""):
                peak, seconds = of_command(command, RECALIB_CACHE=folder)
                yield {"what": f"recalib segment, {what}{when}", "seconds": seconds, "peak MB": peak}


def _head(arguments):
    """Returns a generated validation scan of a whole head, or None if its label map is missing."""
    if "RECALIB_DATA" not in os.environ:
        return None
    scan, _ = held_out(arguments.preset, arguments.weights, os.environ["RECALIB_DATA"])[0].read()
    return nib.Nifti1Image(scan.array, scan.grid.affine)


def tissues(scan: Volume, labels: np.ndarray) -> dict[str, float]:
    """Returns the Dice of grey and white matter against the template's own maps.

    Voxels labelled as brain-stem or ventral diencephalon are excluded, or (last score) all count as white matter.
    """
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    grey, white = (
        volumes.read(load(resolution=1)).on(scan.grid).array
        for load in (load_mni152_gm_template, load_mni152_wm_template)
    )
    ground_truth = np.argmax([np.clip(1 - grey - white, 0, None), grey, white], axis=0)
    counts = ~np.isin(labels, MIXED)
    found, most = (
        np.select([np.isin(labels, GREY), np.isin(labels, white)], [1, 2], 0) for white in (WHITE, WHITE + MIXED)
    )
    return {
        "grey matter": dice(found[counts], ground_truth[counts], 1),
        "white matter": dice(found[counts], ground_truth[counts], 2),
        "white matter, with the brain-stem": dice(most, ground_truth, 2),
    }


def changes(segmenter: Any, scan: Volume, labels: np.ndarray, orientations: int) -> Iterator[tuple[str, float]]:
    """Yields the name of each change, and the mean Dice of all structures between the labels after and before it."""
    reference = Volume(labels, scan.grid)

    def same(changed, truth=reference):
        return _mean_dice(segmenter, segmenter(changed).labels, truth.on(changed.grid, order=0).array)

    letters = itertools.permutations(("RL", "AP", "SI"))
    codes = ["".join(code) for axes in letters for code in itertools.product(*axes)][:orientations]
    agreements = [same(scan.conform(code)) for code in codes]
    yield f"turned to {len(codes)} orientations, the least", min(agreements)
    for spacing in SPACINGS:
        yield f"resampled to {' × '.join(f'{size:g}' for size in spacing)} mm", same(scan.conform("RAS", spacing))
    low, high = scan.array.min(), np.percentile(scan.array, 99)
    for gamma in GAMMAS:
        array = low + (high - low) * (np.clip(scan.array - low, 0, None) / (high - low)) ** gamma
        yield f"gamma {gamma}", same(Volume(array.astype("float32"), scan.grid))
    for noise in NOISES:
        added = np.random.default_rng(0).normal(0, noise * (high - low), scan.array.shape)
        yield f"noise {noise:.0%}", same(Volume((scan.array + added).astype("float32"), scan.grid))
    inner = (*(slice(0, size) for size in scan.grid.shape[:2]), slice(CUT, scan.grid.shape[2] - CUT))
    yield f"without {CUT} mm above and below", same(*(_cropped(volume, inner) for volume in (scan, reference)))
    wide = [_padded(volume) for volume in (scan, reference)]
    yield f"padded to {PADDED} voxels along each axis", same(*wide)
    found = segmenter(Volume(np.ascontiguousarray(scan.array[::-1]), scan.grid)).labels[::-1]
    yield "left and right exchanged", _mean_dice(segmenter, _other_side(segmenter, found), labels)


def oblique(
    segmenter: Any, scan: Volume, tilts: Sequence[float] = TILTS, axes: Sequence[int] = (0, 1, 2)
) -> Iterator[tuple[str, float, float]]:
    """Yields the name of each tilted grid, the mean Dice of the scan stored there with the straight one, and seconds.

    The labels of the straight scan are resampled to the tilted grid, nearest voxel.
    """
    reference = Volume(segmenter(scan).labels, scan.grid)
    for axis, degrees in itertools.product(axes, tilts):
        stored = scan.on(tilted(scan.grid, degrees, axis))
        start = time.perf_counter()
        labels = segmenter(stored).labels
        seconds = time.perf_counter() - start
        agreement = _mean_dice(segmenter, labels, reference.on(stored.grid, order=0).array)
        yield f"stored at {degrees}° about {'xyz'[axis]}", agreement, seconds


def tilted(grid: Grid, degrees: float, axis: int) -> Grid:
    """Returns a grid of 1 mm that is turned about an axis of the world and holds all of another one."""
    one, two = (other for other in range(3) if other != axis)
    angle, affine = np.deg2rad(degrees), np.eye(4)
    affine[one, one] = affine[two, two] = np.cos(angle)
    affine[one, two], affine[two, one] = -np.sin(angle), np.sin(angle)
    shape = np.ceil(np.abs(np.linalg.solve(affine[:3, :3], grid.affine[:3, :3])) @ grid.shape)
    centre = grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1]
    affine[:3, 3] = centre[:3] - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(shape, affine)


def warnings_of(segmenter: Any, scan: Volume) -> Iterator[tuple[str, str]]:
    """Yields names of scans and the warnings of `recalib segment`; the first two scans should have none."""
    low, high = scan.array.min(), scan.array.max()
    half = tuple(slice(size // 2 if axis == 2 else 0, size) for axis, size in enumerate(scan.grid.shape))
    upper = Volume(scan.array[half], scan.grid.cropped(half))
    noise = np.random.default_rng(0).normal(0, 1, scan.array.shape).astype("float32")
    scans = {
        "the template": scan,
        "the template, padded": _padded(scan),
        "its upper half": upper,
        "its upper half, padded": _padded(upper),
        "its negative": Volume(high + low - scan.array, scan.grid),
        "nothing but noise": Volume(noise, scan.grid),
    }
    computed_tomography = Path(os.environ.get("RECALIB_DATA", "."), "ct_example", "example_ct_sm.nii.gz")
    if computed_tomography.exists():
        scans["CT of the trunk"] = volumes.read(computed_tomography)
    for name, other in scans.items():
        yield name, "; ".join(segmenter(other).warnings)


def _padded(volume):
    """Returns the volume in the middle of a larger one of zeros."""
    before = [(PADDED - size) // 2 for size in volume.grid.shape]
    pairs = [(start, PADDED - size - start) for start, size in zip(before, volume.grid.shape)]
    affine = volume.grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ before
    return Volume(np.pad(volume.array, pairs), Grid((PADDED,) * 3, affine))


def _mean_dice(segmenter, found, ground_truth):
    return float(np.nanmean([dice(found, ground_truth, label.id) for label in segmenter.labels[1:]]))


def _cropped(volume, box):
    return Volume(volume.array[box], volume.grid.cropped(box))


def _other_side(segmenter, labels):
    """Returns the labels with each label replaced by that of the same structure on the other side."""
    exchanged = np.arange(1 + max(label.id for label in segmenter.labels))
    for label in segmenter.labels:
        exchanged[label.id] = label.id if label.mirror is None else label.mirror
    return exchanged[labels]


if __name__ == "__main__":
    main()
