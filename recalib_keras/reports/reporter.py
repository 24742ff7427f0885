"""Pages of scans in a batch: beside each label map its page, and a thumbnail for the page of the cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recalib_keras.core.files import write_bytes, write_text
from recalib_keras.inference import Segmentation
from recalib_keras.inference.batch.manifest import findings_of, read_manifest
from recalib_keras.inference.batch.outputs import beside
from recalib_keras.reports.content import content_of
from recalib_keras.reports.pictures import thumbnail
from recalib_keras.reports.scan_page import scan_html
from recalib_keras.reports.viewer import viewer_scan
from recalib_keras.volumes import Volume


@dataclass(frozen=True)
class ScanReporter:
    """Makes the page of each scan of a batch; `recalib_keras.inference.Batch` takes it, and so do its workers.

    Example:
        report = segment_all(["scans"], "labels", segmenter, reporter=ScanReporter())
        cohort_page("labels")
    """

    def is_missing(self, labels: Path) -> bool:
        """Returns whether a label map has no page, or no thumbnail.

        Args:
            labels: The label map.
        """
        return not (page_path(labels).exists() and thumbnail_path(labels).exists())

    def write(
        self,
        scan: Volume,
        segmentation: Segmentation,
        labels: Path,
        manifest: Mapping[str, Any] | None = None,
    ) -> Path:
        """Writes the page of a scan, and its thumbnail.

        Args:
            scan: The scan.
            segmentation: Its labels.
            labels: Their label map.
            manifest: What made them; None to read it from the file beside the label map.

        Returns:
            The path of the page.

        Raises:
            VolumeError: The scan has another shape than the labels.
            WriteError: A file cannot be written.
        """
        manifest = {**findings_of(segmentation), **(read_manifest(labels) if manifest is None else manifest)}
        name = Path(manifest.get("scan") or labels.name).name
        viewed = viewer_scan(scan, segmentation.labels, segmentation.structures)
        write_bytes(thumbnail_path(labels), thumbnail(viewed))
        return write_text(page_path(labels), scan_html(content_of(name, segmentation, manifest), viewed))


def page_path(labels: Path) -> Path:
    """Returns the path of the page of a label map.

    Args:
        labels: The label map.

    Example:
        >>> page_path(Path("out/head_labels.nii.gz")).name, page_path(Path("out/sub-1_dseg.nii.gz")).name
        ('head_report.html', 'sub-1_dseg_report.html')
    """
    return beside(labels, "_report.html")


def thumbnail_path(labels: Path) -> Path:
    """Returns the path of the small picture of a label map.

    Args:
        labels: The label map.
    """
    return beside(labels, "_thumbnail.png")
