"""Measures the asymmetry that a whole-brain network itself adds: `python -m benchmarks.own_asymmetry [PRESET …]`.

The MNI152 template (ICBM 2009a, symmetric) is the same on the left and on the right, so any asymmetry of its structures
is the network's. Eight versions of it, which differ as scans do (contrast, noise, resolution, position), tell how much
that varies. The result becomes `asymmetry` of the weight set in `preset.json`.
"""

import argparse
import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from examples.demo import template
from recalib_keras import volumes, zoo
from recalib_keras.core.files import write_text
from recalib_keras.evaluation.structures import side
from recalib_keras.inference import Segmenter
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo.own_asymmetry import OwnAsymmetry, own_asymmetry_of

NAME = "MNI152 template (ICBM 2009a, symmetric, T1, 1 mm)"
GAMMAS, NOISE, SPACINGS = (0.7, 1.4), 0.03, ((1.5, 1.5, 1.5), (1.0, 1.0, 2.0))
SHIFT, TURN = 7, 8  # voxels to one side, which windows do not divide; degrees of a nod


def main() -> None:
    """Measures each preset, prints the result and writes it to the preset's description."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", default=["densenet3d_pe", "unet3d", "unet3d_pe"], metavar="PRESET")
    parser.add_argument("--weights", default="whole_brain", metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.presets:
        own = measured(Segmenter(name, weights=arguments.weights))
        print(f"{name}, {own.versions} versions of the {own.template}: mean and standard deviation (%)")
        for structure, (mean, sd) in own.percent.items():
            print(f"  {structure:<34}{mean:8.2f}{sd:8.2f}")
        write(name, arguments.weights, own)


def measured(segmenter: Segmenter) -> OwnAsymmetry:
    """Returns the asymmetry that a segmenter finds in the template.

    Args:
        segmenter: Segments T1 scans of the brain.
    """
    found = []
    for version in versions(symmetric(volumes.read(template()))):
        segmentation = segmenter(version, measure_uncertainty=False)
        found.append(
            {
                volume.name: volume.asymmetry_percent
                for volume in segmentation.volumes
                if volume.asymmetry_percent is not None and side(volume.name) == "left"
            }
        )
    return own_asymmetry_of(NAME, found)


def symmetric(scan: Volume) -> Volume:
    """Returns the template after a check that it equals its mirror image.

    Args:
        scan: The template.

    Raises:
        ValueError: It does not.
    """
    mirrored = scan.array[::-1]
    # Its middle is the plane x = 0, which may lie between the first and the last voxel of the grid or beside them.
    middle = (scan.grid.affine @ [(scan.grid.shape[0] - 1) / 2, 0, 0, 1])[0]
    if abs(middle) > 1e-3 or np.abs(scan.array - mirrored).max() > 0.01 * np.abs(scan.array).max():
        raise ValueError(f"expected a symmetric template, got one whose middle lies at x = {middle:g} mm")
    return scan


def versions(scan: Volume) -> Iterator[Volume]:
    """Yields the template, and versions of it that are as symmetric.

    Args:
        scan: The template.
    """
    yield scan
    peak = float(np.percentile(scan.array, 99))
    for gamma in GAMMAS:
        yield Volume(np.clip(scan.array / peak, 0, None) ** gamma * peak, scan.grid)
    noise = np.random.default_rng(0).normal(0, NOISE * peak, scan.array.shape)
    yield Volume(scan.array + noise, scan.grid)
    for spacing in SPACINGS:
        yield scan.conform("RAS", spacing=spacing)
    shifted = np.pad(scan.array, ((SHIFT, 0), (0, 0), (0, 0)), mode="edge")
    yield Volume(shifted, Grid(shifted.shape, scan.grid.affine @ translation(-SHIFT)))
    yield Volume(ndimage.rotate(scan.array, TURN, axes=(1, 2), reshape=False, order=1), scan.grid)


def translation(voxels: int) -> np.ndarray:
    """Returns the affine `(4, 4)` that moves the first voxel along the first axis.

    Args:
        voxels: How far.
    """
    matrix = np.eye(4)
    matrix[0, 3] = voxels
    return matrix


def write(preset: str, weights: str, own: OwnAsymmetry) -> None:
    """Writes the result to the description of a preset.

    Args:
        preset: Name of the preset.
        weights: Name of its weight set.
        own: The result.
    """
    described = zoo.info(preset)
    weight_set = dataclasses.replace(described.weight_sets[weights], asymmetry=own)
    described = dataclasses.replace(described, weight_sets={**described.weight_sets, weights: weight_set})
    write_text(described.folder / "preset.json", described.to_json())


if __name__ == "__main__":
    main()
