"""Segment many scans into one folder: label maps, a table of volumes, and pictures."""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recalib_keras import evaluation, volumes
from recalib_keras.core.errors import VolumeError, WriteError
from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference.segmentation import Segmentation
from recalib_keras.inference.segmenter import Segmenter
from recalib_keras.inference.sliding_window.predict import Progress
from recalib_keras.inference.volume_table import Labelled, VolumeTable, relative, warning_of
from recalib_keras.volumes import Channels
from recalib_keras.volumes.channels import case_name, one_per_case
from recalib_keras.volumes.names import LABEL_SUFFIXES, one_per_scan, stem
from recalib_keras.zoo.preprocessing import read_scan

TABLE = "volumes.csv"


@dataclass(frozen=True)
class ScanOutcome:
    """What became of one scan of a batch.

    Args:
        scan: Path of the scan.
        labels: Path of its label map.
        is_new: Whether the labels were made now; otherwise they existed already.
        volumes: The volume of each structure.
        warnings: What is unusual about the segmentation, in sentences.
        error: Why the scan could not be segmented, or None.
    """

    scan: Path
    labels: Path
    is_new: bool = False
    volumes: Sequence[StructureVolume] = ()
    warnings: Sequence[str] = ()
    error: Exception | None = None


@dataclass(frozen=True)
class BatchReport:
    """What became of the scans of a batch.

    Args:
        outcomes: One for each scan, in order.
    """

    outcomes: Sequence[ScanOutcome] = field(default_factory=list)

    @property
    def segmented(self) -> list[ScanOutcome]:
        """The scans whose labels were made now."""
        return [outcome for outcome in self.outcomes if outcome.is_new and outcome.error is None]

    @property
    def found(self) -> list[ScanOutcome]:
        """The scans whose labels existed already."""
        return [outcome for outcome in self.outcomes if not outcome.is_new and outcome.error is None]

    @property
    def failed(self) -> list[ScanOutcome]:
        """The scans that could not be segmented."""
        return [outcome for outcome in self.outcomes if outcome.error is not None]


def segment_all(
    scans: Iterable[str | os.PathLike],
    output: str | os.PathLike,
    segmenter: Segmenter,
    *,
    volume: int | None = None,
    overwrite: bool = False,
    draw_overlays: bool = False,
    on_scan: Callable[[ScanOutcome], object] | None = None,
    progress: Progress | None = None,
) -> BatchReport:
    """Segments scans into a folder. Run it again to resume: scans that have labels already are not segmented again.

    Each label map and the table are written atomically, the rows of a label map just before it. A scan that fails does
    not stop the others.

    Args:
        scans: See `Batch`.
        output: See `Batch`.
        segmenter: Segments the scans.
        volume: See `Batch`.
        overwrite: See `Batch`.
        draw_overlays: See `Batch`.
        on_scan: See `Batch.run`.
        progress: See `Batch.run`.

    Returns:
        What became of each scan.

    Raises:
        ValueError: If two scans have one label map, or labels would replace a scan; see `Batch`.
        WriteError: If the folder cannot be written.

    Example:
        segmenter = recalib_keras.Segmenter("densenet3d_pe")
        report = segment_all(Path("scans").glob("*.nii.gz"), "labels", segmenter)
        for outcome in report.failed:
            print(outcome.scan, outcome.error)
    """
    channels = segmenter.input.num_channels
    batch = Batch(scans, output, volume=volume, overwrite=overwrite, draw_overlays=draw_overlays, channels=channels)
    return batch.run(segmenter, on_scan=on_scan, progress=progress)


class Batch:
    """Scans to segment into one folder, with all that can be checked before the first one.

    Scans with the same name, such as `*/mri/orig.mgz`, keep the folders that they lie in below the one common to all.

    Args:
        scans: Paths of scans: files, or folders with one DICOM series each.
        output: Path of a folder; for a single scan, also that of its label map.
        volume: Index of the volume to take from 4-D scans.
        overwrite: Whether to segment again where labels exist already.
        draw_overlays: Whether to draw a picture of each scan with its labels too.
        channels: Number of channels of a scan. If there are several, nnU-Net's files `x_0000.nii.gz`, `x_0001.nii.gz`
            and so on are one scan `x`, of which any may be given.

    Attributes:
        targets: Pairs of a scan and its label map, both paths.
        table: The table of volumes.

    Raises:
        ValueError: If two scans have one label map, several scans a single file, or labels would replace a scan.
        WriteError: If the folder cannot be written.
        RecordError: If the folder has another kind of `volumes.csv`.
        ImportError: If overlays are wanted and matplotlib is not installed.
    """

    def __init__(
        self,
        scans: Iterable[str | os.PathLike],
        output: str | os.PathLike,
        *,
        volume: int | None = None,
        overwrite: bool = False,
        draw_overlays: bool = False,
        channels: int = 1,
    ):
        find, name = (one_per_case, case_name) if channels > 1 else (one_per_scan, stem)
        self.targets, folder = _label_files(find([Path(scan) for scan in scans]), Path(output), name)
        self.table = VolumeTable(folder / TABLE)
        self.volume, self.overwrite, self.draw_overlays = volume, overwrite, draw_overlays
        if draw_overlays:
            import matplotlib  # noqa: F401  (if it is missing, the batch stops before the first scan)

    def run(
        self,
        segmenter: Segmenter,
        on_scan: Callable[[ScanOutcome], object] | None = None,
        progress: Progress | None = None,
    ) -> BatchReport:
        """Segments all scans, one after the other.

        Args:
            segmenter: Segments the scans.
            on_scan: Called with the outcome of each scan when it is finished, or None.
            progress: Function that wraps the sequence of windows of each scan, such as a progress bar, or None.
        """
        outcomes = []
        for scan, labels in self.targets:
            try:
                outcome = self._finish(segmenter, scan, labels, progress)
            except Exception as error:  # one scan must not stop the others, whatever happens
                outcome = ScanOutcome(scan, labels, error=error)
            outcomes.append(outcome)
            if on_scan is not None:
                on_scan(outcome)
        return BatchReport(outcomes)

    def _finish(self, segmenter, scan, labels, progress):
        """Makes the label map of a scan, its rows in the table and its picture, as far as they are missing."""
        made_by = segmenter.name + ("" if self.volume is None else f", volume {self.volume}")
        made_by += ", averaged with the mirror image" * segmenter.flips
        labelled = Labelled(os.path.abspath(scan), relative(labels, self.table.path.parent), made_by)
        if not labels.exists() or self.overwrite:
            return self._segmented(segmenter, scan, labelled, labels, progress)
        segmentation, warning = self._existing(segmenter, scan, labels, labelled)
        self.table.replace(labelled, segmentation.volumes, {}, warning)
        return ScanOutcome(scan, labels, False, segmentation.volumes, (warning,) * bool(warning))

    def _segmented(self, segmenter, path, labelled, labels, progress):
        """Segments a scan and writes its rows and its label map, and its picture if that is wanted."""
        scan = read_scan(path, segmenter.input, self.volume)
        segmentation = segmenter(scan, progress=progress)
        scan = scan if self.draw_overlays else None  # a large scan need not stay in memory beside its labels
        entropies = {} if segmentation.uncertainty is None else segmentation.uncertainty.by_structure
        # The rows first: a batch that is killed before the label map is in place segments the scan again. The other
        # way round, the label map would be kept, and what only the segmentation knows would be lost.
        self.table.replace(labelled, segmentation.volumes, entropies, "; ".join(segmentation.warnings))
        try:
            volumes.save(segmentation.image(), labels)
        except Exception:
            self.table.replace(labelled, (), {}, "")
            raise
        if self.draw_overlays:
            self._draw(scan, segmentation, labels)
        return ScanOutcome(path, labels, True, segmentation.volumes, segmentation.warnings)

    def _existing(self, segmenter, path, labels, labelled):
        """Returns the segmentation that exists already and its warning; draws its picture if that is missing."""
        rows = self.table.rows_of(labelled)
        segmentation = Segmentation(
            volumes.read_labels(labels), segmenter.labels, reference_range=segmenter.reference_range
        )
        has_picture = not self.draw_overlays or _picture(labels).exists()
        if not rows or not has_picture:
            scan = read_scan(path, segmenter.input, self.volume)
            if not segmentation.grid.coincides(scan.grid):
                raise VolumeError(
                    file=labels,
                    expected=f"labels on the grid of {path}",
                    received="another grid",
                    remedy="choose another output folder (-o), or overwrite them (--overwrite)",
                )
        if not has_picture:
            self._draw(scan, segmentation, labels)
        warning = warning_of(rows, segmentation.volumes)
        return segmentation, "; ".join(segmentation.warnings) if warning is None else warning

    def _draw(self, scan, segmentation, labels):
        scan = scan.first if isinstance(scan, Channels) else scan
        evaluation.overlay(scan, segmentation.labels, segmentation.structures, _picture(labels))


def _picture(labels):
    return labels.with_name(f"{stem(labels).removesuffix('_labels')}_overlay.png")


def _label_files(scans, output, name_of):
    """Returns each scan with the path of its label map, and the folder of all, which is created."""
    if output.name.endswith(LABEL_SUFFIXES) and not output.is_dir():
        if len(scans) > 1:
            raise ValueError(f"expected a folder for {len(scans)} scans, got the file {output}; give -o a folder")
        targets, folder = [(scan, output) for scan in scans], output.parent
    else:
        targets, folder = [(scan, output / name) for scan, name in zip(scans, _names(scans, name_of))], output
    _check_different(targets)
    _check_no_scan(targets)
    _check_writable(folder)
    return targets, folder


def _names(scans, name_of):
    """Returns the path of each scan's label map, relative to the folder of all."""
    scans = [Path(os.path.abspath(scan)) for scan in scans]
    names = [Path(f"{name_of(scan)}_labels.nii.gz") for scan in scans]
    if len(set(names)) == len(names):
        return names
    common = os.path.commonpath([scan.parent for scan in scans])
    return [scan.parent.relative_to(common) / name for scan, name in zip(scans, names)]


def _check_different(targets):
    by_label_map = {}
    for scan, labels in targets:
        if labels in by_label_map:
            raise ValueError(
                f"expected a label map of its own for each scan, got {labels} for both {by_label_map[labels]} and "
                f"{scan}; segment them into two folders"
            )
        by_label_map[labels] = scan


def _check_no_scan(targets):
    scans = {scan.resolve() for scan, _ in targets}
    for scan, labels in targets:
        if labels.resolve() in scans:
            raise ValueError(
                f"expected label maps that replace no scan, got {labels} for {scan}, which is given as a scan; "
                f"choose another output folder (-o), or leave {labels.name} out"
            )


def _check_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise WriteError(
            file=folder,
            expected="a folder to write to",
            received=f"{error.strerror!r}",
            remedy="choose another output folder (-o), or change its permissions",
        ) from None
