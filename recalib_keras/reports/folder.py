"""Pages over an output folder that exists already: those of its scans, as far as they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recalib_keras import volumes
from recalib_keras.core.colors import distinct_color
from recalib_keras.core.errors import RecordError, VolumeError
from recalib_keras.core.records import from_mapping
from recalib_keras.core.spreading.pool import Workers, open_pool
from recalib_keras.evaluation.structures import without_side
from recalib_keras.inference import Segmentation
from recalib_keras.inference.batch.manifest import manifest_path
from recalib_keras.reports.cohort import CohortScan, read_cohort
from recalib_keras.reports.reporter import ScanReporter
from recalib_keras.zoo import Label, OwnAsymmetry, ReferenceRange


class PageOutcome(NamedTuple):
    """What became of the page of a scan.

    Args:
        scan: The scan.
        error: Why there is no page, or None.
    """

    scan: CohortScan
    error: Exception | None = None


def write_pages(
    folder: str | os.PathLike,
    overwrite: bool = False,
    workers: Workers | None = None,
    on_page: Callable[[PageOutcome], object] | None = None,
) -> list[PageOutcome]:
    """Writes the pages of an output folder's scans. Scans and label maps are only read.

    Args:
        folder: Where `recalib segment` or `recalib bids` has written.
        overwrite: Whether to write pages that exist already, too.
        workers: Where the pages are made; None for this process.
        on_page: Called with each outcome, or None.

    Returns:
        One outcome for each page that was to be made.

    Raises:
        RecordError: The folder has no table of volumes.
    """
    reporter = ScanReporter()
    wanted = [scan for scan in read_cohort(folder) if overwrite or reporter.is_missing(scan.label_map)]
    outcomes = []
    with open_pool(workers or Workers()) as pool:
        for done in pool.spread(_write_page, wanted):
            outcome = PageOutcome(done.item, done.error or done.result)
            outcomes.append(outcome)
            if on_page is not None:
                on_page(outcome)
    return outcomes


def _write_page(scan: CohortScan, report: object) -> Exception | None:
    """Writes a page; what a worker runs. Returns the error, if there was any, since a scan must not stop the others."""
    try:
        manifest = scan.manifest()
        labels = volumes.read_labels(scan.label_map)
        image = _read(os.path.normpath(scan.folder / scan.scan), manifest.get("volume"))
        if not labels.grid.coincides(image.grid):
            raise VolumeError(
                file=scan.label_map, expected=f"labels on the grid of {scan.scan}", received="another grid",
                remedy="segment the scan again",
            )  # fmt: skip
        ScanReporter().write(image, segmentation_of(labels, manifest, scan.label_map), scan.label_map, manifest)
        return None
    except Exception as error:
        return error


def segmentation_of(labels: volumes.Volume, manifest: dict[str, Any], label_map: Path) -> Segmentation:
    """Returns a segmentation as its manifest describes it.

    Args:
        labels: The label map.
        manifest: What made it.
        label_map: Its path, for messages.

    Raises:
        RecordError: The manifest does not describe a segmentation.
    """
    where = str(manifest_path(label_map))
    try:
        structures = _structures(manifest["structures"], where)
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            file=where, expected="a run manifest", received=f"one without {error}", remedy="segment the scan again"
        ) from None
    reference, own = manifest.get("reference_range"), manifest.get("own_asymmetry")
    return Segmentation(
        labels,
        (Label(0, "background"), *structures),
        None,
        None if reference is None else from_mapping(ReferenceRange, reference, where),
        None if own is None else from_mapping(OwnAsymmetry, own, where),
    )


def _structures(found: Sequence[dict[str, Any]], where: str) -> list[Label]:
    """Returns the structures of a manifest; older ones lack colours and pairs."""
    by_name = {without_side(one["name"]): place for place, one in enumerate(found)}
    return [
        from_mapping(
            Label,
            {
                "id": one["label"],
                "name": one["name"],
                "color": one.get("color") or distinct_color(by_name[without_side(one["name"])]),
                "mirror": one.get("mirror", _counterpart(one, found)),
                "includes": one.get("includes") or None,
            },
            where,
        )
        for one in found
    ]


def _counterpart(one, found):
    pair = without_side(one["name"])
    others = [each["label"] for each in found if each is not one and without_side(each["name"]) == pair]
    return others[0] if len(others) == 1 else None


def _read(path, volume):
    """Returns what a page shows of a scan: of several channels in one file the first."""
    try:
        return volumes.read(path, volume=volume, keep_integers=True)
    except VolumeError:
        if volume is not None:
            raise
        return volumes.read(path, volume=0, keep_integers=True)
