"""What the pixels of DICOM slices mean: stored numbers to intensities, bright is bright, padding is dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.memory import memory_for
from recalib_keras.volumes.dicom.bits import pixels_of
from recalib_keras.volumes.dicom.files import DEFLATED, PLAIN_SYNTAXES, import_pydicom, read_whole
from recalib_keras.volumes.dicom.frames import VALUES, Frame
from recalib_keras.volumes.dicom.tags import tag_bytes, tag_items, tag_value

# Rescale slopes and intercepts beyond this are damage; float32 holds the product with any stored number.
MOST = 1e15
# What fills the image outside the scanned field, by the tag that holds the pixels: the tags of the first number and the
# last, and their type.
PADDING = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit", int),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit", float),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit", float),
}
# Decoders for pip, by the name of the transfer syntax; RLE needs none.
DECODERS = {"JPEG 2000": "pylibjpeg pylibjpeg-openjpeg", "HTJ2K": "pylibjpeg pylibjpeg-openjpeg", "JPEG-LS": "pyjpegls"}
DEFAULT_DECODER = "pylibjpeg pylibjpeg-libjpeg"
EXPORT_AGAIN = "export it again"
# Deflate cannot compress further than this (RFC 1951: at most 258 bytes from 2 bits).
DEFLATE_MOST = 1032
NEED_LESS = "check Rows, Columns and NumberOfFrames in the header, or use a machine with more memory"


def intensities(frames: Sequence[Frame], path: Path) -> np.ndarray:
    """Returns the intensities of slices, float32 `(columns, rows, slices)`.

    1. The modality LUT, or rescale slope and intercept, of each slice is applied (CT: Hounsfield units).
    2. If low values are bright (PhotometricInterpretation MONOCHROME1, or PresentationLUTShape INVERSE, or both, which
       say the same), the grey scale is inverted: a value v becomes lowest + highest − v, with the lowest and highest
       value of the whole series. Their range stays, but they are no longer values of the modality.
    3. Pixels that fill the image outside the scanned field (PixelPaddingValue, up to PixelPaddingRangeLimit, or those
       of floating-point pixels, compared with the stored numbers) get the lowest intensity of all other pixels.

    Args:
        frames: In order, of one shape.
        path: The folder or file, for messages.

    Raises:
        VolumeError: The pixels cannot be decoded, a file is truncated, or there is too little memory.
    """
    _check_decoders(frames)
    for frame in {frame.file: frame for frame in frames}.values():
        _check_length(frame)
    rows, columns = frames[0].shape
    needed = rows * columns * len(frames) * np.dtype(np.float32).itemsize + max(_decoded_bytes(one) for one in frames)
    with memory_for(needed, f"{rows * columns * len(frames):,} voxels", NEED_LESS, path, VolumeError):
        array = np.empty((columns, rows, len(frames)), np.float32, order="F")
        lowest, highest, padded = math.inf, -math.inf, {}
        for index, (frame, stored, padding) in enumerate(_stored(frames)):
            # Pixel rows run along y: transposed, the first array axis is x.
            array[:, :, index] = _rescaled(stored, frame).T
            is_real = True
            if padding.any():
                padded[index] = np.packbits(padding.T)
                is_real = ~padding.T
            lowest = min(lowest, float(array[:, :, index].min(where=is_real, initial=np.inf)))
            highest = max(highest, float(array[:, :, index].max(where=is_real, initial=-np.inf)))
    if frames[0].is_inverted and math.isfinite(highest - lowest):
        np.subtract(np.float32(lowest + highest), array, out=array)
    if lowest <= highest:
        for index, packed in padded.items():
            is_padding = np.unpackbits(packed, count=rows * columns).reshape(columns, rows).astype(bool)
            array[:, :, index][is_padding] = lowest
    return array


def _decoded_bytes(frame):
    count = tag_value(frame.header, "NumberOfFrames", int, frame.file, default=1) or 1
    bits = tag_value(frame.header, "BitsAllocated", int, frame.file, default=16, bounds=(1, 64))
    return math.prod(frame.shape) * count * bits // 8


def _stored(frames):
    """Yields each frame, its stored numbers and where they are padding. A multi-frame file is decoded once."""
    decoded = {}
    files = [frame.file for frame in frames]
    for index, frame in enumerate(frames):
        if frame.file not in decoded:
            decoded[frame.file] = _decoded(frame)
        values = decoded[frame.file]
        if frame.number is not None and values.ndim == 3:
            values = values[frame.number]
        if values.shape != frame.shape:
            raise _undecodable(frame, f"{values.shape} pixels, not {frame.shape}", EXPORT_AGAIN)
        yield frame, values, _is_padding(values, frame)
        if frame.file not in files[index + 1 :]:
            del decoded[frame.file]


def _decoded(frame):
    dataset = read_whole(frame.file)
    for tag in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "NumberOfFrames"):
        tag_value(dataset, tag, int, frame.file, default=None)
    if not is_compressed(frame):
        _check_surplus(dataset, frame)
    try:
        return dataset.pixel_array if is_compressed(frame) else pixels_of(dataset, frame.file)
    except VolumeError:
        raise
    except Exception as error:  # missing or truncated pixel data: pydicom raises many kinds
        remedy = "export it again, or store it without compression" if is_compressed(frame) else EXPORT_AGAIN
        raise _undecodable(frame, error, remedy) from error


def _check_surplus(dataset, frame):
    """Refuses more pixels than the header says; up to a row of zeros, or one byte, may fill up the end."""
    stored, needed = tag_bytes(dataset, "PixelData", frame.file), _decoded_bytes(frame)
    surplus = stored[needed:]
    if len(surplus) > 1 and (any(surplus) or len(surplus) > needed // frame.shape[0]):
        reason = f"{len(stored):,} bytes, where Rows, Columns and BitsAllocated make {needed:,}"
        raise _undecodable(frame, reason, EXPORT_AGAIN)


def _check_length(frame):
    """Refuses a size that the file cannot hold, before memory is allocated for it."""
    if is_compressed(frame):
        return
    held = frame.file.stat().st_size * (DEFLATE_MOST if _syntax(frame) == DEFLATED else 1)
    if _decoded_bytes(frame) > held:
        reason = f"Rows, Columns and BitsAllocated make {_decoded_bytes(frame):,} bytes, the file has {held:,}"
        raise _undecodable(frame, reason, EXPORT_AGAIN)


def is_compressed(frame: Frame) -> bool:
    """Returns whether the pixels of a frame need a decoder.

    Args:
        frame: Any frame.
    """
    syntax = _syntax(frame)
    return syntax is not None and syntax not in (*PLAIN_SYNTAXES.values(), DEFLATED)


def _syntax(frame):
    """Returns the transfer syntax of a frame's file; None if the file does not say."""
    syntax = tag_value(frame.header.file_meta, "TransferSyntaxUID", str, frame.file, default=None)
    return None if syntax is None else import_pydicom().uid.UID(syntax)


def _undecodable(frame, reason, remedy):
    return VolumeError(
        file=frame.file,
        expected="readable pixels",
        received=f"{_coding(frame)} data that cannot be decoded ({reason})",
        remedy=remedy,
    )


def _coding(frame):
    return getattr(_syntax(frame), "name", "unknown transfer syntax")


def _check_decoders(frames):
    for frame in {_coding(frame): frame for frame in frames}.values():
        if is_compressed(frame) and not has_decoder(_syntax(frame)):
            coding = _coding(frame)
            packages = next((names for start, names in DECODERS.items() if start in coding), DEFAULT_DECODER)
            raise _undecodable(frame, "no decoder is installed", f"install a decoder: pip install {packages}")


def has_decoder(syntax: str) -> bool:
    """Returns whether pydicom finds a library that decodes a transfer syntax.

    Args:
        syntax: Its UID, as pydicom reads it.
    """
    pydicom = import_pydicom()
    try:
        from pydicom.pixels import get_decoder
    except ImportError:  # pydicom 2
        handlers = pydicom.config.pixel_data_handlers
        return any(one.is_available() and one.supports_transfer_syntax(syntax) for one in handlers)
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:  # a private syntax, or one of videos
        return False


def _is_padding(stored, frame):
    """Returns where stored numbers are padding; decided before they are rescaled."""
    *tags, kind = PADDING[{"f4": "FloatPixelData", "f8": "DoubleFloatPixelData"}.get(stored.dtype.str[1:], "PixelData")]
    first, last = (tag_value(frame.header, tag, kind, frame.file, default=None) for tag in tags)
    if first is None:
        return np.zeros(stored.shape, bool)
    last = first if last is None else last
    if kind is int:
        first, last = _as_stored(first, frame), _as_stored(last, frame)
    return (min(first, last) <= stored) & (stored <= max(first, last))


def _as_stored(value, frame):
    """Returns a number as a pixel holds it: programs write −2000 for signed pixels as 63536."""
    bits = tag_value(frame.header, "BitsStored", int, frame.file, default=16, bounds=(1, 64))
    is_signed = tag_value(frame.header, "PixelRepresentation", int, frame.file, default=0) == 1
    value %= 2**bits
    return value - 2**bits if is_signed and value >= 2 ** (bits - 1) else value


def _rescaled(stored, frame):
    part = frame.part(VALUES)
    if tag_items(part, "ModalityLUTSequence", frame.file):
        return _looked_up(stored, part, frame)
    slope = tag_value(part, "RescaleSlope", float, frame.file, default=1.0, bounds=(-MOST, MOST))
    intercept = tag_value(part, "RescaleIntercept", float, frame.file, default=0.0, bounds=(-MOST, MOST))
    if slope == 0:
        raise VolumeError(
            file=frame.file,
            part="RescaleSlope",
            expected="a number other than 0",
            received="0, which makes all pixels equal",
            remedy="export the scan again, or correct this tag",
        )
    return stored * slope + intercept


def _looked_up(stored, part, frame):
    import_pydicom()
    try:
        from pydicom.pixels import apply_modality_lut
    except ImportError:  # pydicom 2
        from pydicom.pixel_data_handlers.util import apply_modality_lut
    try:
        return np.asarray(apply_modality_lut(stored, part), dtype=np.float64)
    except Exception as error:
        raise VolumeError(
            file=frame.file,
            part="ModalityLUTSequence",
            expected="a table that turns stored numbers into intensities",
            received=f"a damaged one ({error})",
            remedy="export the scan again",
        ) from error
