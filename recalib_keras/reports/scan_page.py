"""The page of a scan: one HTML file that shows slices with labels, volumes, warnings, and what made them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.files import write_text
from recalib_keras.inference import Segmentation, Segmenter
from recalib_keras.inference.batch.manifest import findings_of, manifest_of, versions
from recalib_keras.reports import page
from recalib_keras.reports.content import ScanContent, content_of
from recalib_keras.reports.page import millilitres, text
from recalib_keras.reports.pictures import planes, png
from recalib_keras.reports.structure_table import notes, structure_table
from recalib_keras.reports.viewer import NIIVUE_VERSION, ViewerScan, niivue, niivue_licence, viewer_scan
from recalib_keras.reports.words import in_plain_words
from recalib_keras.volumes import Volume, read
from recalib_keras.volumes.names import stem

STILL_HEIGHT = 300  # pixels of the picture for print and for browsers without scripts


def scan_page(
    segmentation: Segmentation,
    path: str | os.PathLike,
    scan: Volume | None = None,
    segmenter: Segmenter | None = None,
) -> Path:
    """Writes the page of a scan: a single HTML file that needs neither internet nor a server.

    Args:
        segmentation: The labels of the scan.
        path: The file to create or replace. Missing parent folders are created.
        scan: The scan; None to read it again from its file.
        segmenter: What has made the labels, so that the page can tell networks, weights and licence.

    Returns:
        `path` as a `Path`.

    Raises:
        VolumeError: The scan has no file to be read from, or another shape than the labels.
        WriteError: The file cannot be written.

    Example:
        segmenter = recalib_keras.Segmenter("densenet3d_pe")
        recalib_keras.reports.scan_page(segmenter("scan.nii.gz"), "scan_report.html", segmenter=segmenter)
    """
    source = segmentation.label_map.source
    if scan is None and source is None:
        raise VolumeError(
            expected="a scan that was read from a file", received="one from memory", remedy="give it as `scan`"
        )
    shown = read(source) if scan is None else scan
    name = "scan" if source is None else Path(source).name
    if segmenter is None:
        manifest = {**findings_of(segmentation), "versions": versions()}
    else:
        manifest = manifest_of(segmenter, segmentation, name, segmenter.name, "", {})
    viewed = viewer_scan(shown, segmentation.labels, segmentation.structures)
    return write_text(path, scan_html(content_of(name, segmentation, manifest), viewed))


def scan_html(content: ScanContent, scan: ViewerScan) -> str:
    """Returns the page of a scan.

    Args:
        content: What it tells.
        scan: What it shows.
    """
    return page.fill(
        "scan.html",
        title=text(f"{stem(Path(content.name))} · recalib"),
        name=text(content.name),
        made_by=text(_made_by(content.manifest)),
        style=page.joined("style.css", "scan.css"),
        warnings=warnings_html(content.warnings),
        facts="\n".join(_facts(content)),
        stills=page.data_url("image/png", png(planes(scan, STILL_HEIGHT))),
        alternative=text(f"Sagittal, coronal and axial slice of {content.name} with its labels, the left on the left"),
        structures=structure_table(content.rows),
        notes=notes(content),
        provenance=page.table_rows(_provenance(content.manifest)),
        licences=_licences(content.manifest),
        niivue_version=NIIVUE_VERSION,
        niivue_licence=text_block(niivue_licence()),
        version=text(page.version()),
        data=page.in_script(scan.to_json()),
        niivue=niivue(),
        script=page.joined("plain_view.js", "niivue_view.js", "viewer.js"),
    )


def text_block(lines: str) -> str:
    """Returns a text of several lines as HTML shows it.

    Args:
        lines: The text.
    """
    return "\n".join(text(line) for line in lines.split("\n"))


def warnings_html(warnings: Any) -> str:
    """Returns the warnings with their meaning; nothing without any.

    Args:
        warnings: In sentences.
    """
    found = in_plain_words(warnings)
    if not found:
        return ""
    items = "".join(f"<li><strong>{text(each.sentence)}</strong><br>{text(each.meaning)}</li>" for each in found)
    title = "A warning" if len(found) == 1 else f"{len(found)} warnings"
    heading = f'<h2 id="warn-title">{title}</h2>'
    return f'<section class="warnings" aria-labelledby="warn-title">{heading}<ul>{items}</ul></section>'


def _made_by(manifest: Mapping[str, Any]) -> str:
    when = str(manifest.get("times", {}).get("started", ""))[:16].replace("T", " ")
    by = manifest.get("made_by") or "a network that is not recorded"
    return f"Segmented by {by}{f' on {when} UTC' if when else ''}"


def _facts(content):
    """Yields what matters first: volume, uncertainty and warnings, each beside what is usual."""
    reference = content.reference_range
    unit = f"{millilitres(content.total_ml)} <small>mL</small>"
    if reference is None:
        yield _fact("All structures together", unit, "There is no reference range for these weights.")
    elif not content.is_whole:
        yield _fact("These structures together", unit, "a choice of those that the network knows")
    else:
        least, most = reference.volume_ml
        beside = f"{millilitres(least)} to {millilitres(most)} mL in validation"
        bar = _range(content.total_ml, least, most, 1.3 * max(most, content.total_ml))
        yield _fact("All structures together", unit, beside, content.is_volume_usual, bar)
    if content.entropy is not None:
        has_range = reference is not None and content.is_whole
        words = f"at most {reference.entropy:.3f} in validation" if has_range else "0 is certain, 1 a guess"
        bar = "" if not has_range else _range(content.entropy, 0, reference.entropy,
                                                  1.6 * max(reference.entropy, content.entropy))  # fmt: skip
        yield _fact("Uncertainty (mean entropy)", f"{content.entropy:.3f}", words, content.is_entropy_usual, bar)
    found = sum(volume > 0 for row in content.rows for volume in row.millilitres)
    of = sum(len(row.millilitres) for row in content.rows)
    warned = len(content.warnings)
    words = "no warnings" if not warned else "1 warning, see above" if warned == 1 else f"{warned} warnings, see above"
    yield _fact("Structures found", f"{found} <small>of {of}</small>", words, not warned)


def _fact(name, value, beside, is_usual=True, bar=""):
    kind = "fact card" if is_usual else "fact card unusual"
    return (
        f'<div class="{kind}"><dt>{text(name)}</dt><dd class="value">{value}</dd>'
        f'<dd class="small quiet">{bar}{text(beside)}</dd></div>'
    )


def _range(value, least, most, end):
    """Returns a bar with the usual range, and a mark at the value; for the eye only, since the words say the same."""
    shares = [100 * each / end if end else 0 for each in (least, most - least, value)]
    return (
        f'<div class="range" aria-hidden="true"><span style="left:{shares[0]:.1f}%;width:{shares[1]:.1f}%"></span>'
        f'<i style="left:{shares[2]:.1f}%"></i></div>'
    )


def _provenance(manifest):
    """Yields names and values of what made the labels."""
    yield "scan", manifest.get("scan")
    yield "made by", manifest.get("made_by")
    yield "command", manifest.get("command")
    for network in manifest.get("networks", ()):
        yield "engine", " in ".join(filter(None, (network.get("engine"), network.get("precision"))))
        yield "SHA-256 of weights", network.get("sha256")
    times = manifest.get("times", {})
    yield "begun", str(times.get("started", "")).replace("T", " ")
    yield "took", ", ".join(f"{name.removesuffix('_seconds')} {value:.1f} s" for name, value in times.items()
                            if name.endswith("_seconds"))  # fmt: skip
    yield "versions", ", ".join(f"{name} {number}" for name, number in manifest.get("versions", {}).items())
    hardware = manifest.get("hardware", {})
    yield "machine", ", ".join(filter(None, (hardware.get("processor"), hardware.get("system"))))


def _licences(manifest):
    networks = manifest.get("networks", ())
    if not any(network.get("licence") for network in networks):
        return "<p>It is not recorded with these labels. <code>recalib info PRESET</code> names it.</p>"
    parts = []
    for each in {network["sha256"]: network for network in networks if network.get("licence")}.values():
        licence, colon, credits = each["licence"].partition(":")
        source = f"<br>Trained on {text(each['trained_on'])}." if each["trained_on"] else ""
        title = f"<strong>{text(licence)}</strong>{colon}{text(credits)}, for {text(each['weights'])}."
        parts.append(f'<p>{title}<span class="quiet">{source}</span></p>')
    return "\n".join(parts)
