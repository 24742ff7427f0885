"""Label maps: scaled, fractional, infinite, huge and negative numbers, and maps of other grids."""

from collections.abc import Iterator

import nibabel as nib
import numpy as np

from .cases import Case, shuffled
from .scans import AFFINE, PLACE, SHAPE

LABELS = np.random.default_rng(1).integers(0, 5, SHAPE)


def label_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields label maps of odd types and numbers."""
    yield from shuffled(rng, [*_valid(), *_invalid()])


def _valid():
    for dtype in ("u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"):
        yield _case(f"whole numbers as {dtype}", LABELS.astype(dtype), LABELS, "read")
    yield _case("255 scaled by 1/255", (LABELS * 255).astype("u2"), LABELS, "read", slope=1 / 255)
    yield _case("rounded", LABELS + 4e-4, LABELS, "read")
    for number in (2**31 - 1, 2**31, 2**40, -1, -(2**31)):
        yield _case(f"the label {number}", np.where(LABELS == 4, number, LABELS).astype("i8"), None, None)
    yield _case("one label alone", np.full(SHAPE, 3, "u1"), np.full(SHAPE, 3), "read")


def _invalid():
    for number in (0.5, 1e-2, np.nan, np.inf, -np.inf, 1e300, 3e38):
        yield _case(f"the number {number}", np.where(LABELS == 4, number, LABELS).astype("f8"), None,
                    None if number == 3e38 else "refuse")  # fmt: skip
    yield _case("labels that were interpolated", LABELS * 0.37, None, "refuse")
    yield _case("two volumes", np.stack([LABELS, LABELS], axis=-1).astype("u1"), None, "refuse")
    yield _case("one slice", LABELS[:, :, 0].astype("u1"), None, "refuse")
    yield _case("no voxel", np.zeros((7, 0, 5), "u1"), None, "refuse")


def _case(name, array, values, must, slope=None):
    def write(folder):
        image = nib.Nifti1Image(array, AFFINE, dtype=array.dtype)
        image.header.set_xyzt_units("mm")
        path = folder / "labels.nii.gz"
        if slope is None:
            nib.save(image, path)
            return path
        plain = folder / "labels.nii"
        nib.save(image, plain)
        data = bytearray(plain.read_bytes())
        header = nib.Nifti1Header(bytes(data[:348]), check=False)
        header["scl_slope"], header["scl_inter"] = slope, 0
        data[:348] = header.binaryblock
        plain.write_bytes(data)
        return plain

    return Case(name, write, "labels", places=(PLACE,) if must == "read" else (), values=values, must=must)
