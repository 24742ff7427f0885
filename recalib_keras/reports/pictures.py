"""Pictures without matplotlib: slices of a scan with translucent labels, as PNG files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from recalib_keras.evaluation.figures.slices import VIEWS, View
from recalib_keras.reports.viewer import ViewerScan

OPACITY = 0.5
GAP = 4  # pixels between two planes
WHITE = 235
# Letters of 5 x 7 pixels, a number for each row, whose bits are its pixels.
GLYPHS = {
    "L": (16, 16, 16, 16, 16, 16, 31),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16),
}


def png(pixels: np.ndarray) -> bytes:
    """Returns an image as a PNG file.

    Args:
        pixels: uint8 array `(height, width, 3)`, red, green and blue.

    Reference:
        W3C, "Portable Network Graphics (PNG) Specification", 3rd edition, section 5 (chunks) and 9 (filters).
    """
    height, width, _ = pixels.shape
    # Each row begins with its filter: 2, the difference from the row above, makes smooth pictures smaller.
    differences = np.diff(pixels.reshape(height, -1), axis=0, prepend=np.uint8(0))
    rows = np.insert(differences, 0, 2, axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def planes(scan: ViewerScan, height: int, opacity: float = OPACITY) -> np.ndarray:
    """Returns a sagittal, a coronal and an axial slice side by side, to one scale, with the patient's left on the left.

    Args:
        scan: The scan; the slices go through its `centre`.
        height: Height of the picture in pixels.
        opacity: Opacity of the labels, from 0 to 1.

    Returns:
        uint8 array `(height, width, 3)`.
    """
    sizes = np.array(scan.grid.shape) * scan.grid.spacing
    scale = height / max(sizes[view.shown[1]] for view in VIEWS)
    parts, gap = [], np.zeros((height, GAP, 3), np.uint8)
    for view in VIEWS:
        shown = _plane(scan, view, sizes[[*view.shown]] * scale, opacity)
        parts += [_lettered(_padded(shown, height), *view.ends[:2]), gap]
    return np.concatenate(parts[:-1], axis=1)


def plane(scan: ViewerScan, view: View, height: int, opacity: float = OPACITY) -> np.ndarray:
    """Returns one slice through the scan's `centre` with its labels, the patient's left on the left.

    Args:
        scan: The scan.
        view: One of `VIEWS`.
        height: Height of the picture in pixels.
        opacity: Opacity of the labels, from 0 to 1.

    Returns:
        uint8 array `(height, width, 3)`.
    """
    wide, tall = (scan.grid.shape[axis] * scan.grid.spacing[axis] for axis in view.shown)
    return _plane(scan, view, np.array([wide / tall, 1]) * height, opacity)


def _plane(scan, view, size, opacity):
    """Returns a slice with its labels, of about `size` pixels."""
    size = np.maximum(1, np.round(size))
    at = scan.centre[view.axis]
    grey = _resized(np.take(scan.intensities, at, view.axis).astype(np.float32), size, order=1)
    classes = _resized(np.take(scan.classes, at, view.axis), size, order=0)
    shares = opacity * (classes > 0)[..., None]
    colours = np.array([(0, 0, 0), *scan.colors], np.float32)[classes]
    blended = (1 - shares) * grey[..., None] + shares * colours
    return np.round(blended).astype(np.uint8).transpose(1, 0, 2)[::-1].copy()


def _resized(plane, size, order):
    """Returns a slice of another number of pixels; each takes its value at its centre."""
    places = [(np.arange(new) + 0.5) * old / new - 0.5 for new, old in zip(size.astype(int), plane.shape)]
    if order and min(plane.shape / size) > 1:  # the mean of the voxels that a pixel covers, against aliasing
        plane = ndimage.uniform_filter(plane, [round(ratio) for ratio in plane.shape / size])
    return ndimage.map_coordinates(plane, np.meshgrid(*places, indexing="ij"), order=order, mode="nearest")


def _padded(pixels, height):
    above = (height - pixels.shape[0]) // 2
    return np.pad(pixels, ((above, height - pixels.shape[0] - above), (0, 0), (0, 0)))


def _lettered(pixels, left, right):
    """Writes the side of the patient at the left and the right border, if there is room for both."""
    height, width, _ = pixels.shape
    size = max(1, round(height / 100))
    letters = [np.kron(_glyph(letter), np.ones((size, size), bool)) for letter in (left, right)]
    tall, wide = letters[0].shape
    if width > 4 * wide and height > 2 * tall:
        top = (height - tall) // 2
        for letter, start in zip(letters, (size, width - wide - size)):
            part = pixels[top : top + tall, start : start + wide]
            part[letter] = WHITE
            part[~letter] //= 3  # a dark ground, so that the letter shows on bright tissue
    return pixels


def _glyph(letter):
    """Returns a letter as a boolean array `(9, 7)`, with a border."""
    rows = [[bool(row >> place & 1) for place in range(4, -1, -1)] for row in GLYPHS[letter]]
    return np.pad(np.array(rows), 1)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def thumbnail(scan: ViewerScan, height: int = 120) -> bytes:
    """Returns a small picture of a scan with its labels as a PNG file.

    Args:
        scan: The scan.
        height: In pixels.
    """
    return png(planes(scan, height))


def colour(red_green_blue: Sequence[int]) -> str:
    """Returns a colour as a page writes it.

    Args:
        red_green_blue: From 0 to 255.

    Example:
        >>> colour((255, 200, 0))
        '#ffc800'
    """
    return f"#{bytes(red_green_blue).hex()}"
