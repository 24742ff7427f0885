"""What is done with one scan of a batch, by whichever worker has it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from recalib_keras import evaluation, volumes
from recalib_keras.core.errors import RecordError, VolumeError
from recalib_keras.core.messages import one_line
from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference.batch.manifest import manifest_of, manifest_path, read_manifest, write_manifest
from recalib_keras.inference.batch.outputs import DICOM_SEG, LABELS_ALONE, Outputs, beside, dicom_path, write_map
from recalib_keras.inference.batch.volume_table import Labelled, relative, warning_of
from recalib_keras.inference.dicom_seg import check_series, write_dicom_seg
from recalib_keras.inference.engines import named
from recalib_keras.inference.segmentation import Segmentation
from recalib_keras.inference.segmenter import Segmenter
from recalib_keras.inference.sliding_window.predict import Progress
from recalib_keras.zoo.licences import is_non_commercial
from recalib_keras.zoo.preprocessing import read_scan


class Reporter(Protocol):
    """Makes the page of a scan beside its label map, on whichever worker has the scan."""

    def is_missing(self, labels: Path) -> bool:
        """Returns whether a label map has no page yet."""

    def write(self, scan: volumes.Volume, segmentation: Segmentation, labels: Path) -> object:
        """Writes the page of a scan, its labels, and the manifest beside their label map."""


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
        made_by: Preset, weights, and all else that changes the labels, in words.
        engines: The engine of each network and its precision, in words.
        entropies: Mean entropies by label number, as far as they are known.
    """

    scan: Path
    labels: Path
    is_new: bool = False
    volumes: Sequence[StructureVolume] = ()
    warnings: Sequence[str] = ()
    error: Exception | None = None
    made_by: str = ""
    engines: Sequence[str] = ()
    entropies: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ScanOptions:
    """What is made of each scan of a batch.

    Args:
        volume: Index of the volume to take from a 4-D scan.
        overwrite: Whether to segment again if labels exist already.
        draw_overlays: How to draw a picture too, or None.
        outputs: What is made beside the label map.
        reporter: Makes the page of the scan; None for no page.
    """

    volume: int | None = None
    overwrite: bool = False
    draw_overlays: evaluation.OverlayStyle | None = None
    outputs: Outputs = LABELS_ALONE
    reporter: Reporter | None = None


@dataclass(frozen=True)
class ScanTask:
    """One scan of a batch, with all that a worker needs to know of it.

    Args:
        scan: Path of the scan.
        labels: Path of its label map.
        folder: Folder of the table of volumes.
        options: What is made of it.
        rows: What the table says about the label map.
        command: The command that was typed, for the manifest.
        sidecar: Further keys of the manifest.
        progress: Wraps the sequence of windows, such as a progress bar; only in this process.
    """

    scan: Path
    labels: Path
    folder: Path
    options: ScanOptions
    rows: Sequence[Mapping[str, str]] = ()
    command: str = ""
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None

    def finish(self, segmenter: Segmenter) -> ScanOutcome:
        """Makes the label map, its manifest, its maps, its picture and its page, as far as they are missing.

        Args:
            segmenter: Segments the scan.

        Raises:
            VolumeError: The scan cannot be read, or the labels are on another grid.
            RecordError: The labels were made from another scan, or in another way.
            WriteError: The labels cannot be written.
        """
        made_by = segmenter.name + ("" if self.options.volume is None else f", volume {self.options.volume}")
        made_by += ", averaged with the mirror image" * segmenter.flips
        made_by += self.options.outputs.in_words(segmenter.labels) + _terms(segmenter)
        if not self.labels.exists() or self.options.overwrite:
            return self._segmented(segmenter, made_by)
        self._check_made_by(made_by)
        if self.options.outputs.are_missing(self.labels, self._manifest_by(made_by), segmenter.predictions):
            return self._segmented(segmenter, made_by)
        return self._found(segmenter, made_by)

    def labelled(self, made_by: str) -> Labelled:
        """Returns the scan and its label map as the table names them."""
        return Labelled(relative(self.scan, self.folder), relative(self.labels, self.folder), made_by)

    def _segmented(self, segmenter, made_by):
        """Segments the scan and writes all that is wanted of it."""
        if self.options.outputs.dicom_seg:
            check_series(self.scan, self.options.volume)
        times: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
        scan = self._timed(times, "read", lambda: self._read(segmenter))
        segmentation = self._timed(times, "segment", lambda: self._segment(segmenter, scan))
        if not (self.options.draw_overlays or self.options.reporter):
            scan = None  # a large scan need not stay in memory beside its labels
        manifest = manifest_of(
            segmenter,
            segmentation,
            relative(self.scan, self.labels.parent),
            made_by,
            self.command,
            times,
            self.options.volume,
        )
        # The label map last, and the manifest just before it: it holds what only the segmentation knows, and says which
        # maps belong to these labels. A batch that is killed before the label map is in place segments the scan again.
        maps = segmentation.maps.items()
        manifest["maps"] = {name: write_map(self.labels, one, self.sidecar) for name, one in maps}
        if self.options.outputs.dicom_seg:
            manifest[DICOM_SEG] = self._write_dicom(segmentation, made_by)
        write_manifest(self.labels, {**self.sidecar, **manifest})
        try:
            volumes.save(segmentation.image(), self.labels)
        except Exception:
            manifest_path(self.labels).unlink(missing_ok=True)
            raise
        if self.options.draw_overlays:
            self._draw(scan, segmentation)
        if self.options.reporter:
            self.options.reporter.write(_shown(scan), segmentation, self.labels)
        entropies = {} if segmentation.uncertainty is None else dict(segmentation.uncertainty.by_structure)
        engines = sorted({" in ".join(filter(None, named(engine))) for engine in segmenter.engines})
        return self._outcome(
            segmentation,
            made_by,
            is_new=True,
            warnings=tuple(segmentation.warnings),
            engines=engines,
            entropies=entropies,
        )

    def _outcome(self, segmentation, made_by, **known):
        return ScanOutcome(self.scan, self.labels, volumes=segmentation.volumes, made_by=made_by, **known)

    def _segment(self, segmenter, scan):
        outputs = self.options.outputs
        return segmenter(
            scan,
            progress=self.progress,
            structures=outputs.structures,
            probabilities=outputs.probabilities,
            uncertainty_maps=outputs.uncertainty,
            largest_component=outputs.largest_component,
            scratch=self.labels.parent,
        )

    def _write_dicom(self, segmentation, made_by):
        path, structures = dicom_path(self.labels), segmentation.structures
        return write_dicom_seg(path, segmentation.labels, structures, self.scan, self.options.volume, made_by).name

    def _manifest_by(self, made_by):
        """Returns the manifest of the label map; an empty one, if something else has made it."""
        manifest = read_manifest(self.labels)
        return manifest if manifest.get("made_by") == made_by else {}

    def _timed(self, times, name, step):
        start = time.perf_counter()
        result = step()
        times[f"{name}_seconds"] = round(time.perf_counter() - start, 3)
        return result

    def _read(self, segmenter):
        return read_scan(self.scan, segmenter.input, self.options.volume)

    def _check_made_by(self, made_by):
        for row in self.rows:
            of = os.path.abspath(self.folder / row["scan"])
            if (of, row["made_by"]) != (os.path.abspath(self.scan), made_by):
                raise RecordError(
                    expected=f"{row['labels']} to be the labels of {self.scan} by {made_by}",
                    received=f"those of {of} by {row['made_by']} according to the table of volumes in {self.folder}",
                    remedy="choose another output folder (-o), or overwrite them (--overwrite)",
                )

    def _found(self, segmenter, made_by):
        """Returns the labels that exist already, with what is known of them; makes picture and page if missing."""
        segmentation = Segmentation(
            volumes.read_labels(self.labels),
            (segmenter.labels[0], *self.options.outputs.chosen(segmenter.labels)),
            reference_range=segmenter.reference_range,
            own_asymmetry=segmenter.own_asymmetry,
        )
        has_picture = not self.options.draw_overlays or picture(self.labels, self.options.draw_overlays.format).exists()
        has_page = self.options.reporter is None or not self.options.reporter.is_missing(self.labels)
        if not self.rows or not has_picture or not has_page:
            scan = self._read(segmenter)
            if not segmentation.grid.coincides(scan.grid):
                raise VolumeError(
                    file=self.labels,
                    expected=f"labels on the grid of {self.scan}",
                    received="another grid",
                    remedy="choose another output folder (-o), or overwrite them (--overwrite)",
                )
        if not has_picture:
            self._draw(scan, segmentation)
        manifest = self._manifest_by(made_by)
        if self.options.outputs.dicom_seg and not (DICOM_SEG in manifest and dicom_path(self.labels).exists()):
            written = {DICOM_SEG: self._write_dicom(segmentation, made_by)}
            if manifest:
                write_manifest(self.labels, {**manifest, **written})
        if not has_page:
            self.options.reporter.write(_shown(scan), segmentation, self.labels)
        warnings, entropies = self._remembered(segmentation, made_by)
        return self._outcome(segmentation, made_by, warnings=warnings, entropies=entropies)

    def _remembered(self, segmentation, made_by):
        """Returns warnings and entropies of labels that exist: those of the table or manifest, if they are the same."""
        warning = warning_of(self.rows, segmentation.volumes)
        if warning is not None:
            return (warning,) * bool(warning), {}
        manifest = self._manifest_by(made_by)
        counts = {found.label: found.voxels for found in segmentation.volumes}
        known = {one["label"]: one for one in manifest.get("structures", ())}
        if not manifest or {label: one["voxels"] for label, one in known.items()} != counts:
            warnings = tuple(segmentation.warnings)
            return ("; ".join(warnings),) * bool(warnings), {}
        entropies = {label: one["mean_entropy"] for label, one in known.items() if one["mean_entropy"] is not None}
        return tuple(manifest["warnings"]), entropies

    def _draw(self, scan, segmentation):
        path = picture(self.labels, self.options.draw_overlays.format)
        evaluation.overlay(scan, segmentation.labels, segmentation.structures, path, self.options.draw_overlays.slices)


def _terms(segmenter):
    """Returns the licences, with their credits, of weights that may not be used commercially."""
    licences = dict.fromkeys(predictor.weight_set.licence for predictor, _ in segmenter.members)
    return "".join(f"; {one_line(licence)}" for licence in licences if is_non_commercial(licence))


def _shown(scan):
    """Returns what a page shows of a scan: of several channels the first."""
    return scan.first if isinstance(scan, volumes.Channels) else scan


def picture(labels: Path, format: str = "png") -> Path:
    """Returns the path of the picture of a label map.

    Args:
        labels: The label map.
        format: Format of the picture: png, svg or pdf.
    """
    return beside(labels, f"_overlay.{format}")


def segment_scan(item: tuple[Segmenter | Callable[[], Segmenter], ScanTask], report: object) -> ScanOutcome:
    """Does a task; what a worker runs.

    Args:
        item: The segmenter, or what opens it here; and the task.
        report: Not used: a scan takes seconds.

    Returns:
        The outcome; one with an error, if there was any, since a scan must not stop the others.
    """
    opener, task = item
    try:
        return task.finish(opener if isinstance(opener, Segmenter) else opener())
    except Exception as error:
        return ScanOutcome(task.scan, task.labels, error=error)
