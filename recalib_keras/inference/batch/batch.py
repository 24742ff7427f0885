"""A batch: scans to segment into one folder, here or on workers, from where an earlier run was stopped."""

import dataclasses
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recalib_keras.core.spreading.pool import Workers, open_pool
from recalib_keras.evaluation import OverlayStyle
from recalib_keras.evaluation.figures.canvas import import_matplotlib
from recalib_keras.inference.batch.label_files import find_scans, label_files, part_of
from recalib_keras.inference.batch.outputs import LABELS_ALONE, Outputs
from recalib_keras.inference.batch.scan_task import Reporter, ScanOptions, ScanOutcome, ScanTask, segment_scan
from recalib_keras.inference.batch.volume_table import VolumeTable
from recalib_keras.inference.segmenter import Segmenter
from recalib_keras.inference.sliding_window.predict import Progress

TABLE, WIDE = "volumes.csv", "volumes_wide.csv"
SECONDS = 1.0  # between two writings of the table while scans are finished faster than that


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
    segmenter: Segmenter | Callable[[], Segmenter],
    *,
    volume: int | None = None,
    overwrite: bool = False,
    draw_overlays: bool | OverlayStyle = False,
    outputs: Outputs = LABELS_ALONE,
    reporter: Reporter | None = None,
    channels: int | None = None,
    part: tuple[int, int] | None = None,
    workers: Workers | None = None,
    on_scan: Callable[[ScanOutcome], object] | None = None,
    progress: Progress | None = None,
) -> BatchReport:
    """Segments scans into a folder. Run it again to resume: scans that have labels already are not segmented again.

    Each label map, its manifest and the table are written atomically. A scan that fails, or kills its worker, does not
    stop the others.

    Args:
        scans: See `Batch`.
        output: See `Batch`.
        segmenter: See `Batch.run`.
        volume: See `Batch`.
        overwrite: See `Batch`.
        draw_overlays: See `Batch`.
        outputs: See `Batch`.
        reporter: See `Batch`.
        channels: See `Batch`; None for those of the segmenter, or for 1 with what opens it.
        part: See `Batch`.
        workers: See `Batch.run`.
        on_scan: See `Batch.run`.
        progress: See `Batch.run`.

    Returns:
        What became of each scan.

    Raises:
        ValueError: If two scans have one label map, or labels would replace a scan; see `Batch`.
        WriteError: If the folder cannot be written.

    Example:
        segmenter = recalib_keras.Segmenter("densenet3d_pe")
        report = segment_all(["scans"], "labels", segmenter, workers=Workers(2))
        for outcome in report.failed:
            print(outcome.scan, outcome.error)
    """
    if channels is None:
        channels = segmenter.input.num_channels if isinstance(segmenter, Segmenter) else 1
    batch = Batch(
        scans,
        output,
        volume=volume,
        overwrite=overwrite,
        draw_overlays=draw_overlays,
        outputs=outputs,
        reporter=reporter,
        channels=channels,
        part=part,
    )
    return batch.run(segmenter, on_scan=on_scan, progress=progress, workers=workers)


class Batch:
    """Scans to segment into one folder, with all that can be checked before the first one.

    Scans with the same name, such as `*/mri/orig.mgz`, keep the folders that they lie in below the one common to all.

    Args:
        scans: Paths of scans: files, folders of NIfTI or MGZ files, or folders with one DICOM series each.
        output: Path of a folder; for a single scan, also that of its label map.
        volume: Index of the volume to take from 4-D scans.
        overwrite: Whether to segment again where labels exist already.
        draw_overlays: Whether to draw a picture of each scan with its labels too; or how.
        outputs: What else is made of each scan: maps, a DICOM Segmentation object, or labels of some structures alone.
        reporter: Makes the page of each scan, such as a `recalib_keras.reports.ScanReporter`; None for no pages.
        channels: Number of channels of a scan. If there are several, nnU-Net's files `x_0000.nii.gz`, `x_0001.nii.gz`
            and so on are one scan `x`, of which any may be given.
        part: `(I, N)` to do only every N-th scan from the I-th on, I from 1: the share of one of N jobs.
        names: For each scan, a file, the path of its label map in the folder; None to name it after the scan.
        sidecars: For each scan, further keys of its manifest; None for none.

    Attributes:
        targets: Pairs of a scan and its label map, both paths.
        options: What is made of each scan.
        table: The table of volumes.

    Raises:
        ValueError: If two scans have one label map, several scans a single file, or labels would replace a scan.
        WriteError: If the folder cannot be written.
        RecordError: If the folder has another kind of `volumes.csv`.
        ImportError: If overlays are wanted and matplotlib is not installed, or DICOM and highdicom is not.
        VolumeError: If a DICOM Segmentation object is wanted of a scan that is not DICOM.
    """

    def __init__(
        self,
        scans: Iterable[str | os.PathLike],
        output: str | os.PathLike,
        *,
        volume: int | None = None,
        overwrite: bool = False,
        draw_overlays: bool | OverlayStyle = False,
        outputs: Outputs = LABELS_ALONE,
        reporter: Reporter | None = None,
        channels: int = 1,
        part: tuple[int, int] | None = None,
        names: Sequence[Path] | None = None,
        sidecars: Sequence[Mapping[str, Any]] | None = None,
    ):
        found = find_scans(scans, channels) if names is None else [Path(scan) for scan in scans]
        outputs.check(found)
        targets, folder = label_files(found, Path(output), names, channels)
        self.targets = part_of(targets, part)
        self._sidecars = {} if sidecars is None else {labels: own for (_, labels), own in zip(targets, sidecars)}
        self.table = VolumeTable(folder / TABLE)
        style = OverlayStyle() if draw_overlays is True else (draw_overlays or None)
        if style is not None:
            import_matplotlib()  # if it is missing, the batch stops before the first scan
        self.options = ScanOptions(volume, overwrite, style, outputs, reporter)

    def run(
        self,
        segmenter: Segmenter | Callable[[], Segmenter],
        on_scan: Callable[[ScanOutcome], object] | None = None,
        progress: Progress | None = None,
        workers: Workers | None = None,
    ) -> BatchReport:
        """Segments all scans. This process alone writes the table.

        Args:
            segmenter: Segments the scans; or opens what does, on the workers only, such as
                `functools.partial(open_segmenter, "densenet3d_pe")`.
            on_scan: Called with the outcome of each scan when it is finished, or None.
            progress: Function that wraps the sequence of windows of each scan, such as a progress bar, or None. Not
                with workers.
            workers: Where the scans are segmented; None for this process, one after the other.

        Raises:
            RecordError: The segmenter has no structure of a name that is asked for.
            TypeError: Workers cannot open the segmenter, since it is not that of a preset.
            ClusterError: The cluster cannot be reached.
            ImportError: Workers are asked for, and Dask is not installed.
        """
        if isinstance(segmenter, Segmenter):
            self.options.outputs.chosen(segmenter.labels)
        workers, outcomes, fresh, written = workers or Workers(), {}, [], time.monotonic()
        items = ((segmenter, task) for task in self._tasks(progress if workers.is_here else None))
        with open_pool(workers) as pool:
            try:
                for done in pool.spread(segment_scan, items):
                    task = done.item[1]
                    outcome = done.result or ScanOutcome(task.scan, task.labels, error=done.error)
                    outcomes[task.labels] = outcome
                    fresh += [(task, outcome)] * (outcome.error is None)
                    if time.monotonic() - written > SECONDS:
                        fresh, written = self._write(fresh), time.monotonic()
                    if on_scan is not None:
                        on_scan(outcome)
            finally:
                self._write(fresh)
        return BatchReport([outcomes[labels] for _, labels in self.targets])

    def write_wide_table(self) -> Path:
        """Writes `volumes_wide.csv`: a row for each scan of the table of volumes, and a column for each structure.

        Returns:
            Its path.
        """
        return self.table.write_wide(self.table.path.with_name(WIDE))

    def _tasks(self, progress) -> Iterator[ScanTask]:
        folder = Path(os.path.abspath(self.table.path.parent))
        known = self.table.rows_by_label_map()
        for scan, labels in self.targets:
            sidecar = self._sidecars.get(labels, {})
            command = shlex.join(sys.argv)
            task = ScanTask(scan, labels, folder, self.options, command=command, sidecar=sidecar, progress=progress)
            yield dataclasses.replace(task, rows=known.get(task.labelled("").labels, ()))

    def _write(self, finished):
        """Writes the rows of scans that are finished; returns an empty list."""
        if finished:
            self.table.replace_all(
                (task.labelled(outcome.made_by), outcome.volumes, outcome.entropies, "; ".join(outcome.warnings))
                for task, outcome in finished
            )
        return []
