"""The page of a cohort: every scan a row, to be sorted, filtered, and paged through."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core.files import write_text
from recalib_keras.core.messages import listed, printable
from recalib_keras.inference.batch.volume_table import relative
from recalib_keras.reports import page
from recalib_keras.reports.cohort import CohortScan, read_cohort
from recalib_keras.reports.outliers import FEWEST, LIMIT, robust_z
from recalib_keras.reports.page import millilitres, number, text
from recalib_keras.reports.reporter import page_path, thumbnail_path
from recalib_keras.reports.words import kinds

NAME = "cohort.html"
ALL = "All structures"
MOST_OUTLIERS = 3  # that a row names
METHOD = (
    "A robust z-score is 0.6745·(x − median) / MAD over the scans of this page, for the volume of each structure; MAD "
    f"is the median distance from the median. Beyond ±{LIMIT} (●) a volume counts as an outlier (Iglewicz and Hoaglin, "
    f"1993). It needs {FEWEST} scans or more. An outlier may be a person as they are; look at the scan."
)
KEYS = (
    "Keys: <kbd>j</kbd> and <kbd>k</kbd> go to the next and the previous scan, <kbd>Enter</kbd> opens its page, "
    "<kbd>Esc</kbd> closes it, <kbd>/</kbd> begins a search."
)


def cohort_page(folder: str | os.PathLike) -> Path:
    """Writes `cohort.html` into an output folder: one page of all scans of its table of volumes.

    Args:
        folder: Where `recalib segment` or `recalib bids` has written. Pages of scans that lie there are linked.

    Returns:
        The path of the page.

    Raises:
        RecordError: The folder has no table of volumes.
        WriteError: The page cannot be written.
    """
    folder = Path(folder)
    return write_text(folder / NAME, cohort_html(read_cohort(folder), os.path.basename(os.path.abspath(folder))))


def cohort_html(scans: Sequence[CohortScan], name: str) -> str:
    """Returns the page of a cohort.

    Args:
        scans: One or more.
        name: What the cohort is called.
    """
    structures = list(dict.fromkeys(row["structure"] for scan in scans for row in scan.rows))
    volumes = np.array([_volumes(scan, structures) for scan in scans])
    scores = robust_z(volumes)
    facts = [_facts(*each) for each in zip(scans, _names(scans), volumes, scores)]
    names = [ALL, *structures]
    return page.fill(
        "cohort.html",
        title=text(f"{name} · recalib"),
        name=text(name),
        made_by=text(_made_by(scans)),
        style=page.joined("style.css", "cohort.css"),
        summary=_summary(facts),
        filters=_filters(facts),
        structures=_options((str(place), each) for place, each in enumerate(names)),
        rows="\n".join(_row(each, names) for each in facts),
        notes=f"<p>{text(METHOD)}</p><p class='screen'>{KEYS}</p>",
        version=text(page.version()),
        data=page.in_script({"names": [printable(each) for each in names], "scans": facts, "limit": LIMIT}),
        script=page.joined("cohort.js"),
    )


def _volumes(scan, structures):
    """Returns the volume (mL) of all structures together, then of each; NaN where it is unknown."""
    known = scan.volumes_ml()
    return [scan.total_ml, *(known.get(name, math.nan) for name in structures)]


def _names(scans):
    """Returns what each scan is called: its file, or the path of its labels where two files have the same name."""
    names = [Path(scan.scan).name for scan in scans]
    counts = Counter(names)
    return [name if counts[name] == 1 else scan.labels for name, scan in zip(names, scans)]


def _facts(scan: CohortScan, name: str, volumes: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Returns what the page knows of a scan, as its script reads it."""
    return {
        "name": printable(name),
        "labels": printable(scan.labels),
        "by": printable(scan.made_by),
        "page": _link(scan, page_path(scan.label_map)),
        "picture": _link(scan, thumbnail_path(scan.label_map)),
        "warning": printable(scan.warning),
        "kinds": kinds(scan.warning),
        "entropy": _rounded(scan.entropy, 4),
        "ml": [_rounded(value, 3) for value in volumes],
        "z": [_rounded(value, 2) for value in scores],
    }


def _link(scan, path):
    return page.link(relative(path, scan.folder)) if path.exists() else None


def _rounded(value, digits):
    return round(float(value), digits) if math.isfinite(value) else None


def _made_by(scans):
    made_by = list(dict.fromkeys(scan.made_by for scan in scans if scan.made_by))
    by = listed(made_by, most=3, separator="; ") or "networks that are not recorded"
    return f"Segmented by {by}"


def _is_out(score):
    return score is not None and abs(score) > LIMIT


def _summary(facts):
    """Returns how many scans there are, and how many deserve a look."""
    warned = sum(bool(each["kinds"]) for each in facts)
    outlying = sum(any(map(_is_out, each["z"])) for each in facts)
    return "\n".join(
        f"<div{' class=unusual' if unusual else ''}><dt>{words}</dt><dd>{count:,}</dd></div>"
        for count, words, unusual in (
            (len(facts), "scan" if len(facts) == 1 else "scans", False),
            (warned, "with warnings", bool(warned)),
            (outlying, "with outliers", bool(outlying)),
        )
    )


def _filters(facts):
    found = dict.fromkeys(kind for each in facts for kind in each["kinds"])
    return _options(
        [
            ("all", "all scans"),
            ("warned", "with any warning"),
            ("unwarned", "without warnings"),
            ("outliers", "with outliers"),
            *((kind, f"warning: {kind}") for kind in found),
        ]
    )


def _options(pairs):
    return "\n".join(f'<option value="{text(value)}">{text(words)}</option>' for value, words in pairs)


def _row(facts, names):
    """Returns the row of a scan; it stands as it is where scripts are off, and in print."""
    name, score = text(facts["name"]), facts["z"][0]
    title = f'<a href="{facts["page"]}">{name}</a>' if facts["page"] else name
    volume = "–" if facts["ml"][0] is None else millilitres(facts["ml"][0])
    is_out = _is_out(score)
    return (
        f'<tr><td class="picture">{_picture(facts, name)}</td><th scope="row">{title}</th>'
        f'<td class="number">{volume}</td>'
        f'<td class="number{" out" if is_out else ""}">{number(score, 1, sign=True)}{" ●" * is_out}</td>'
        f'<td class="number">{number(facts["entropy"], 3)}</td>'
        f"<td>{_outliers(facts, names)}</td><td>{_warnings(facts)}</td></tr>"
    )


def _picture(facts, name):
    if facts["picture"] is None:
        return '<span class="none">no picture</span>'
    size = 'width="160" height="60" loading="lazy" decoding="async"'
    return f'<img {size} src="{facts["picture"]}" alt="Slices of {name} with labels">'


def _outliers(facts, names):
    found = [(score, name) for score, name in zip(facts["z"], names) if _is_out(score)]
    found.sort(key=lambda pair: -abs(pair[0]))
    words = listed((f"{text(name)} {number(score, 1, sign=True)}" for score, name in found), MOST_OUTLIERS, "<br>")
    return f'<span class="small">{words}</span>'


def _warnings(facts):
    chips = "".join(f'<span class="chip">{text(kind)}</span>' for kind in facts["kinds"])
    return f'{chips}<span class="small quiet sentence">{text(facts["warning"])}</span>' if chips else ""
