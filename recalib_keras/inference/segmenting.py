"""Segment a scan with a preset, in one call."""

import functools
import os
import threading
import warnings

from recalib_keras import volumes, zoo
from recalib_keras.inference.ensemble import Ensemble
from recalib_keras.inference.quality_control import UnfamiliarScanWarning, traits, unfamiliar
from recalib_keras.inference.segmenter import Segmenter
from recalib_keras.inference.uncertainty import Confidence


def load_segmenter(preset, weights="default", engine="auto", precision="auto", flips=False, threads=None):
    """Returns a `Segmenter` for a weight set of a preset, or an `Ensemble` for several.

    Args:
        preset: one of `recalib_keras.zoo.names()`, or the path of a folder that holds a `preset.json`.
        weights: name of one of the preset's weight sets or ensembles; or several weight sets, whose probabilities are
            averaged: a sequence of names, or a dict from names to shares such as
            `{"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}`. Defaults to the preset's first weight set, or to the
            ensemble that it is part of.
        engine, precision, threads: see `recalib_keras.inference.open_engine`.
        flips: as in `Segmenter`.

    Raises:
        ValueError, ImportError: as `recalib_keras.inference.open_engine`, `Segmenter` and `Ensemble`.
    """
    shares = zoo.info(preset).shares(weights)
    members = [
        (Segmenter.from_preset(preset, name, engine, precision, flips, threads), share)
        for name, share in shares.items()
    ]
    return members[0][0] if isinstance(weights, str) and len(members) == 1 else Ensemble(members)


# Engines write over what they gave before: scans are segmented one after the other, whatever thread asks.
_ONE_AT_A_TIME = threading.Lock()


@functools.lru_cache(maxsize=1)
def _cached_segmenter(preset, weights, description, **settings):
    """Keeps the last network between calls; the description tells when a preset in a folder has been written anew."""
    return load_segmenter(preset, weights if isinstance(weights, str) else dict(weights), **settings)


def segment(scan, preset, weights="default", volume=None, engine="auto", precision="auto", flips=False):
    """Returns the labels of a scan, on its own grid.

    Args:
        scan: path of a NIfTI, MGZ or Analyze file or of a folder with one DICOM series, or a nibabel image.
        preset: one of `recalib_keras.zoo.names()`, or the path of a folder that holds a `preset.json`.
        weights: name of one of the preset's weight sets or ensembles, or several weight sets to be averaged: see
            `recalib_keras.inference.load_segmenter`. Defaults to its first weight set, or to the ensemble that it is
            part of.
        volume: index of the volume to take from a 4-D file.
        engine: `"keras"`, `"openvino"` or `"auto"`: whichever is faster on this machine for the same labels.
        precision: `"float32"`, `"bfloat16"` or `"auto"`, as for the engine.
        flips: whether to average with the prediction of the left-right mirror image.

    Returns:
        `nibabel` image of label numbers in the smallest integer type, with the scan's affine, codes and voxel sizes.

    Raises:
        ValueError: for a scan that cannot be read (`recalib_keras.volumes.VolumeError`), for an unknown preset or
            engine, and as `recalib_keras.inference.load_segmenter`.

    Warns:
        UnfamiliarScanWarning: if nothing is found, or the scan looks unlike those the network was trained on; it says
            why, see `recalib_keras.inference.unfamiliar`.

    Example:
        image = recalib_keras.segment("scan.nii.gz", preset="densenet3d_pe")
        image.to_filename("labels.nii.gz")
    """
    described = zoo.info(preset)
    key = weights if isinstance(weights, str) else tuple(described.shares(weights).items())
    source, scan = scan, volumes.read(scan, volume=volume, keep_integers=True)
    with _ONE_AT_A_TIME:
        segmenter = _cached_segmenter(
            str(preset), key, described.to_json(), engine=engine, precision=precision, flips=flips
        )
        confidence = None if segmenter.typical is None else Confidence()
        labels = segmenter(scan, confidence=confidence)
    unusual = unfamiliar(traits(labels, scan.grid, segmenter.labels[1:], confidence), segmenter.typical)
    if unusual:
        name = f"{source}: " if isinstance(source, (str, os.PathLike)) else ""
        warnings.warn(name + "; ".join(unusual), UnfamiliarScanWarning, stacklevel=2)
    return volumes.label_image(labels, scan)
