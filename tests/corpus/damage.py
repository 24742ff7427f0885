"""Files cut short, with flipped bits, of other content, and gzip streams that are damaged or unpack without end."""

import gzip
import zlib
from collections.abc import Iterator

import nibabel as nib
import numpy as np

from .cases import Case, shuffled
from .scans import AFFINE, ARRAY, PLACE, compressed, mgh, nifti

SUFFIXES = ("nii", "nii.gz", "mgh", "mgz", "img", "hdr")


def good(folder, suffix):
    """Returns the path of a good scan with this ending."""
    if suffix in ("mgh", "mgz"):
        return mgh(folder / f"scan.{suffix}")
    if suffix in ("img", "hdr"):
        nib.save(nib.Nifti1Pair(ARRAY, AFFINE), folder / "scan.img")
        return folder / f"scan.{suffix}"
    path = nifti(folder / "scan.nii")
    return compressed(path) if suffix == "nii.gz" else path


def damage_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields files cut short, with flipped bits, overwritten in part, and longer than they should be, without end."""
    while True:
        suffix = SUFFIXES[rng.integers(len(SUFFIXES))]
        kind = ("cut", "flip", "flip", "flip", "zero", "noise", "longer")[rng.integers(7)]
        yield Case(f"{kind} {suffix}", _write(suffix, kind, int(rng.integers(2**32))))


def _write(suffix, kind, seed):
    def write(folder):
        path, rng = good(folder, suffix), np.random.default_rng(seed)
        data = bytearray(path.read_bytes())
        start = int(rng.integers(len(data)))
        if kind == "cut":
            del data[start:]
        elif kind == "flip":
            for place in rng.integers(0, min(len(data), 400), int(rng.integers(1, 5))):
                data[place] ^= 1 << int(rng.integers(8))
        elif kind == "longer":
            data += rng.bytes(int(rng.integers(1, 5000)))
        else:
            length = int(rng.integers(1, 64))
            data[start : start + length] = rng.bytes(length) if kind == "noise" else bytes(length)
        path.write_bytes(data)
        return path

    return write


def gzip_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields gzip files: bombs, several members, other endings, damage at every place that gzip checks."""
    named = [
        *(Case(f"bomb of {size:,} bytes as {name}", _bomb(size, name), must="refuse")
          for size in (10**6, 10**8, 3 * 10**8) for name in ("scan.nii.gz", "scan.mgz")),
        *(Case(f"header that claims {shape}", _claims(shape), must="refuse")
          for shape in ((32767, 32767, 32767), (1, 1, 32767), (32767, 1, 1), (3000, 3000, 3000))),
        Case("two members", _members, places=(PLACE,), values=ARRAY, must="read"),
        Case("compressed twice", lambda folder: _as(folder, lambda data: gzip.compress(gzip.compress(data))),
             must="refuse"),
        Case("empty", lambda folder: _content(folder, b""), must="refuse"),
        Case("magic alone", lambda folder: _content(folder, b"\x1f\x8b"), must="refuse"),
        Case("plain data named .gz", lambda folder: _as(folder, lambda data: data), must="refuse"),
        Case("gzip named .nii", _named_plain, must="refuse"),
        Case("upper case", _upper_case, places=(PLACE,), values=ARRAY, must="read"),
        Case("zlib instead of gzip", lambda folder: _as(folder, zlib.compress), must="refuse"),
        Case("voxels far behind a bomb", _far_voxels, must="refuse"),
    ]  # fmt: skip
    yield from shuffled(rng, named)
    for _ in range(400):
        place, bit = int(rng.integers(-12, 2**20)), int(rng.integers(8))
        yield Case(f"bit {bit} of byte {place} flipped", _flipped(place, bit))


def _content(folder, data, name="scan.nii.gz"):
    (folder / name).write_bytes(data)
    return folder / name


def _as(folder, change):
    return _content(folder, change(nifti(folder / "scan.nii").read_bytes()))


def _bomb(size, name):
    def write(folder):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        path = good(folder, name.partition(".")[2])
        head = gzip.decompress(path.read_bytes())
        with path.open("wb") as file:
            file.write(packer.compress(head))
            for _ in range(0, size, 2**22):
                file.write(packer.compress(bytes(2**22)))
            file.write(packer.flush())
        return path

    return write if size > 2**25 else _small_bomb(size, name)


def _small_bomb(size, name):
    """A bomb below what a footer may have is cut in the middle, so that it is damaged instead."""

    def write(folder):
        path = good(folder, name.partition(".")[2])
        data = gzip.compress(gzip.decompress(path.read_bytes()) + bytes(size))
        path.write_bytes(data[: len(data) // 2])
        return path

    return write


def _claims(shape):
    def write(folder):
        fields = {f"dim_{axis + 1}": size for axis, size in enumerate(shape)}
        return compressed(nifti(folder / "scan.nii", **fields))

    return write


def _members(folder):
    data = nifti(folder / "scan.nii").read_bytes()
    return _content(folder, gzip.compress(data[:500]) + gzip.compress(data[500:]))


def _named_plain(folder):
    path = compressed(nifti(folder / "scan.nii"))
    return path.rename(folder / "scan.nii")


def _upper_case(folder):
    return compressed(nifti(folder / "scan.nii")).rename(folder / "scan.Nii.GZ")


def _far_voxels(folder):
    return compressed(nifti(folder / "scan.nii", vox_offset=3e9))


def _flipped(place, bit):
    def write(folder):
        path = compressed(nifti(folder / "scan.nii"))
        data = bytearray(path.read_bytes())
        data[place if place < 0 else place % len(data)] ^= 1 << bit
        path.write_bytes(data)
        return path

    return write
