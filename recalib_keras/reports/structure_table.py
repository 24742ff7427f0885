"""The table of structures in the page of a scan: volumes, asymmetry with the network's own, and uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

from recalib_keras.reports.content import BEYOND, ScanContent, StructureRow
from recalib_keras.reports.page import in_script, millilitres, number, text
from recalib_keras.reports.pictures import colour

FULL_AT = 0.25  # mean entropy that fills the little bar; few structures reach it
ABOVE, BELOW = (
    f' <span class="outside" aria-hidden="true">{arrow}</span><span class="unseen">, {word} the range</span>'
    for arrow, word in (("↑", "above"), ("↓", "below"))
)
MORE = ' <span aria-hidden="true">●</span><span class="unseen">, more than the network’s own</span>'


def structure_table(rows: Sequence[StructureRow]) -> str:
    """Returns the table; its boxes and names drive the viewer.

    Args:
        rows: The structures.
    """
    has_pairs, has_own = any(len(row.places) == 2 for row in rows), any(row.own for row in rows)
    lines = "\n".join(_row(row, has_pairs, has_own) for row in rows)
    return (
        '<table class="structures"><caption class="unseen">Volumes, asymmetry and uncertainty</caption>'
        f"<thead><tr>{_head(has_pairs, has_own)}</tr></thead><tbody>\n{lines}\n</tbody></table>"
    )


def notes(content: ScanContent) -> str:
    """Returns what the columns mean, in sentences.

    Args:
        content: What the page tells.
    """
    sentences, own = [], content.manifest.get("own_asymmetry")
    if any(row.asymmetry is not None for row in content.rows):
        sentences.append("Asymmetry is 100·(L − R) / ((L + R) / 2): above 0, the left is larger.")
        sentences.append(_about_own(own) if own else "What the network itself adds to it was not measured, so small "
                         "asymmetries say nothing.")  # fmt: skip
    sentences.append("Mean entropy says how unsure the network is of a structure’s voxels: 0 is certain, 1 a guess.")
    reference = content.reference_range
    if reference is not None and reference.structures_ml:
        sentences.append(_about_range(reference.scans))
    elif reference is not None:
        sentences.append("There is a reference range for all structures together, and none for single ones.")
    return "\n".join(f"<p>{text(sentence)}</p>" for sentence in sentences)


def _about_range(scans):
    """Returns what a range is, and how often chance leaves it: the new one of n + 1 alike is an extreme in 2 / (n + 1).

    That is more often if several of the n scans are of one head.
    """
    known, often = "", "now and then"
    if scans is not None:
        known, often = f"{scans} ", f"with a probability of {min(1, 2 / (scans + 1)):.0%} or more"
    return (
        f"Small numbers below a volume are the smallest and largest in segmentations of the {known}validation scans "
        "by this network. They are not a norm of health, age or sex. ↑ and ↓ mark what lies outside; by chance alone, "
        f"each volume of a scan like those does so {often}."
    )


def _about_own(own):
    return (
        "The network’s own is what it finds where there is none: mean ± standard deviation in "
        f"{own['versions']} versions of the {own['template']}. ● marks an asymmetry that lies more than {BEYOND} of "
        "these standard deviations from that mean; any other may be the network’s."
    )


def _head(has_pairs, has_own):
    numbers = ["Left<br>mL", "Right<br>mL", "Asymmetry<br>%"] if has_pairs else ["mL"]
    numbers += ["The network’s<br>own, %"] * has_own + ["Mean<br>entropy"]
    cells = ['<th scope="col"><span class="unseen">Shown</span></th><th scope="col">Structure</th>']
    return "".join(cells + [f'<th scope="col" class="number">{title}</th>' for title in numbers])


def _row(row, has_pairs, has_own):
    name, places = text(row.name), in_script(list(row.places))
    box = f'<input type="checkbox" checked data-classes="{places}" aria-label="Show {name}">'
    swatch = f'<span class="swatch" style="background:{colour(row.color)}"></span>'
    button = f'<button type="button" class="linklike" data-go="{places}" title="Go there">{name}</button>'
    cells = [
        f'<td>{box}</td><th scope="row"><span class="named">{swatch}{button}</span></th>',
        _volumes(row, has_pairs),
    ]
    if has_pairs:
        cells.append(f'<td class="number{" beyond" * bool(row.is_beyond_own)}">{_asymmetry(row)}</td>')
    if has_own:
        own = "" if row.own is None else f"{number(row.own.mean, 1, sign=True)} ± {row.own.sd:.1f}"
        cells.append(f'<td class="number quiet">{own}</td>')
    return f'<tr>{"".join(cells)}<td class="number">{_entropy(row.entropies)}</td></tr>'


def _volumes(row, has_pairs):
    volumes = [_volume(*each) for each in zip(row.millilitres, row.usual or (None, None))]
    if has_pairs and len(volumes) == 1:
        return f'<td class="number both" colspan="2">{volumes[0]}</td>'
    return "".join(f'<td class="number">{volume}</td>' for volume in volumes)


def _volume(volume, usual):
    """Returns a volume, with its range and a mark if it lies outside of it."""
    if usual is None:
        return millilitres(volume)
    shown, least, most = map(millilitres, (volume, *usual))
    mark = BELOW if volume < usual[0] else ABOVE if volume > usual[1] else ""
    mark = "" if shown in (least, most) else mark  # a difference that is not seen is none
    ends = f'<span class="unseen"> in validation</span> {least}–{most}'
    return f'{shown}{mark}<span class="usual">{ends}</span>'


def _asymmetry(row):
    if row.asymmetry is None:
        return "" if len(row.places) == 1 else "–"
    return number(row.asymmetry, 1, sign=True) + MORE * bool(row.is_beyond_own)


def _entropy(entropies):
    known = [each for each in entropies if each is not None]
    if not known:
        return "–"
    mean = sum(known) / len(known)
    width = min(100, 100 * mean / FULL_AT)
    return f'{mean:.3f}<span class="meter" aria-hidden="true"><span style="width:{width:.0f}%"></span></span>'
