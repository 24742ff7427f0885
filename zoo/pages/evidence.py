"""Whether a preset is better than another one: paired tests on the reports of the scans that all of them have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recalib_keras.evaluation import Difference, Report


def against_plain(reports: Mapping[str, Report]) -> dict[str, Difference]:
    """Returns how presets with a block differ from the same network without one, in the mean Dice of each scan.

    Args:
        reports: A report of the same scans for each preset, by the presets' names, such as `"unet3d"` and
            `"unet3d_pe"`.

    Returns:
        The difference by the name of the preset, for those with such a rival. Its `p_holm` is corrected over the blocks
        of a network.
    """
    found = {}
    for plain in (name for name in reports if "_" not in name):
        found |= against(reports, plain, [name for name in reports if name.startswith(f"{plain}_")])
    return found


def against(reports: Mapping[str, Report], reference: str, rivals: Iterable[str]) -> dict[str, Difference]:
    """Returns how presets differ from one of them, in the mean Dice of each scan.

    Args:
        reports: A report of the same scans for each preset, by the presets' names.
        reference: Name of the preset that the others are compared with.
        rivals: Names of the others.

    Returns:
        `rival - reference` by the name of the rival, with `p` from Wilcoxon's signed-rank test and `p_holm` corrected
        over the rivals.
    """
    from recalib_keras.evaluation import compare
    from recalib_keras.evaluation.paired_statistics import holm

    found = {}
    for rival in rivals:
        both = {name: reports[name] for name in (reference, rival)}
        (found[rival],) = compare(both, resamples=0, by_structure=False)
    corrected = holm([difference.p for difference in found.values()])
    return {name: dataclasses.replace(difference, p_holm=p) for (name, difference), p in zip(found.items(), corrected)}
