"""Valid scans in every orientation, by qform, sform or both, plain and oblique: their grid must be right."""

import itertools
from collections.abc import Iterator

import nibabel as nib
import numpy as np

from .cases import Case, Place, shuffled
from .scans import ARRAY, SHAPE


def orientation_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields scans of the 48 orientations, each by qform, sform and both, straight; then turned, ever others."""
    straight = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
    forms = ("qform", "sform", "both")
    for (order, signs), form in shuffled(rng, list(itertools.product(straight, forms))):
        yield _case(_affine(order, signs, rng, 0.0), form, rng.integers(1, 5), "nii.gz")
    while True:
        order, signs = straight[rng.integers(len(straight))]
        suffix = ("nii", "mgh")[int(rng.integers(2))]
        yield _case(_affine(order, signs, rng, rng.uniform(0, 0.8)), forms[rng.integers(3)], 1, suffix)


def _affine(order, signs, rng, angle):
    affine = np.eye(4)
    spacing = rng.uniform(0.3, 4, 3)
    affine[:3, :3] = np.eye(3)[list(order)].T * signs * spacing
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    affine[:3, :3] = (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross) @ affine[:3, :3]
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    return affine


def _case(affine, form, code, suffix):
    def write(folder):
        path = folder / f"scan.{suffix}"
        if suffix == "mgh":
            nib.save(nib.MGHImage(ARRAY, affine), path)
            return path
        image = nib.Nifti1Image(ARRAY, affine)
        image.header.set_xyzt_units("mm")
        image.set_qform(affine, 0 if form == "sform" else int(code))
        image.set_sform(affine, 0 if form == "qform" else int(code))
        nib.save(image, path)
        return path

    axes = "".join(nib.aff2axcodes(affine))
    return Case(f"{axes} by {form}, code {code}, {suffix}", write, places=(Place(SHAPE, affine),), values=ARRAY,
                must="read")  # fmt: skip
