"""The decisions of a plan: keys of a recipe with their values, each with the reason in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recalib_keras.training.planning.duration import Budget, duration
from recalib_keras.training.planning.facts import ORIENTATION, Facts
from recalib_keras.training.planning.geometry import Geometry, geometry, kernel_sizes
from recalib_keras.training.planning.machine import GIB, Machine
from recalib_keras.zoo.preset import Input, WeightSet

# Voxels of a batch, for the first width below: on a CPU a step then takes about a second; on a GPU nnU-Net's 2 windows
# of 128 x 128 x 128 voxels need 8 to 10 GB.
CPU_VOXELS, GPU_VOXELS_PER_GIB = 2**19, 2**22 // 10
CPU_BYTES_PER_VOXEL = 4096
CPU_FILTERS, GPU_FILTERS = 16, 32
MOST_FILTERS = {CPU_FILTERS: 128, GPU_FILTERS: 320}
CPU_BATCH, GPU_BATCH = 2, 16
PLANAR_BATCH = 16
FOREGROUND = 0.33  # nnU-Net's
WHOLE = 0.75  # of a scan in a window: nothing is left to choose
FEW_PATIENTS = 10
ENOUGH_STEPS = 1000  # for a moving average of the weights
SIDES_OF_AXES = ("RL", "AP", "SI")
SIDES = re.compile(r"(?<![a-z])(left|right|l|r)(?![a-z])")


class Decision(NamedTuple):
    """A key of a recipe.

    Args:
        key: Its name.
        value: Its value.
        why: The reason, in words.
    """

    key: str
    value: Any
    why: str


def plan_geometry(facts: Facts, machine: Machine) -> Geometry:
    """Returns the grid, the window and the pooling.

    Args:
        facts: The scans.
        machine: Where the training runs.
    """
    return geometry(facts.shapes, facts.spacings, voxels_per_batch(machine) // 2 or 1)


def geometry_of(facts: Facts, expects: Input) -> Geometry:
    """Returns the geometry of a network that is there already.

    Args:
        facts: The scans.
        expects: What the network expects to see.
    """
    axes = [next(axis for axis, side in enumerate(SIDES_OF_AXES) if letter in side) for letter in expects.orientation]
    lengths = (facts.shapes * facts.spacings)[:, axes]
    spacing = expects.spacing or tuple(np.median(facts.spacings, axis=0)[axes].tolist())
    shape = np.maximum(np.median(lengths / spacing, axis=0).round(), 1).astype(int)
    return Geometry(spacing, 1.0, tuple(shape.tolist()), expects.window, ())


def voxels_per_batch(machine: Machine) -> int:
    """Returns how many voxels a batch may have.

    Args:
        machine: Where the training runs.
    """
    if machine.device is not None:
        return max(2**16, int(machine.memory / GIB * GPU_VOXELS_PER_GIB))
    return max(2**16, min(CPU_VOXELS, machine.memory // CPU_BYTES_PER_VOXEL))


def input_table(facts: Facts, found: Geometry) -> list[Decision]:
    """Returns the decisions of the table `[input]`.

    Args:
        facts: The scans.
        found: The geometry.
    """
    coarser = (
        f"Times {found.coarsening:.2g}: at the full resolution a window would show too little of a scan."
        if found.coarsening > 1
        else "Not coarser, since a window shows enough of a scan."
    )
    sees = "One slice after the other, since scans have few. " if found.is_planar else ""
    return [
        Decision("orientation", ORIENTATION, "Scans are turned this way, however they are stored."),
        Decision(
            "spacing",
            list(found.spacing),
            f"mm: the median of the scans ({span(facts.spacings)}); if one axis is 3 times as coarse as another, its "
            f"10th percentile. {coarser}",
        ),
        Decision(
            "window",
            list(found.window),
            f"Voxels: {sees}equally long in mm along each axis and no longer than the median scan "
            f"({_times(found.shape)}), as far as the budget of voxels allows, and divisible by the pooling. It covers "
            f"{found.coverage:.0%} of {'a slice of ' if found.is_planar else ''}that scan.",
        ),
        *channel_decisions(facts),
    ]


def channel_decisions(facts: Facts) -> list[Decision]:
    """Returns the decisions about the channels of scans and how each is normalised.

    Args:
        facts: The scans.
    """
    found = [_normalization(modality) for modality in facts.modalities]
    if len(found) == 1:
        return found
    methods, names = [one.value for one in found], [modality.name for modality in facts.modalities]
    why = " ".join(f"{name}: {one.why}" for name, one in zip(names, found))
    return [
        Decision("channels", names, "All channels of a scan, in this order; take out what new scans will lack."),
        Decision("normalization", methods, f"Of each channel. {why}"),
    ]


def network_table(facts: Facts, found: Geometry, machine: Machine) -> list[Decision]:
    """Returns the decisions of the table `[network.arguments]`.

    Args:
        facts: The scans.
        found: The geometry.
        machine: Where the training runs.
    """
    base = CPU_FILTERS if machine.device is None else GPU_FILTERS
    device = machine.device or "CPU"
    widths = [min(base * 2**level, MOST_FILTERS[base]) for level in range(len(found.pools) + 1)]
    decisions = [
        Decision("levels", len(found.pools), "An axis is halved while it has 4 voxels left."),
        Decision(
            "filters",
            widths,
            f"Doubled from level to level; {base} at first for a {device}.",
        ),
        Decision("normalization", "instance", "Each scan by its own statistics: batches of few windows have none."),
        Decision("recalibration", "scse", "Channel and spatial squeeze & excitation, the block for 2-D networks.")
        if found.is_planar
        else Decision("recalibration", "pe", "Project & Excite, the block for 3-D networks."),
    ]
    if any(set(pool) != {2} for pool in found.pools):
        pools = [list(pool) for pool in found.pools]
        why = "By axis: coarse axes are halved later, when voxels are about as long along each axis, and short ones "
        why += "less often."
        decisions.insert(1, Decision("pool_sizes", pools, why))
    sizes = kernel_sizes(found.pools, [length for length, size in zip(found.spacing, found.window) if size > 1])
    if any(1 in size for size in sizes):
        why = "By axis, for each level and the bottleneck: a kernel sees across slices only where voxels are about as "
        why += "long along each axis."
        decisions.insert(2, Decision("kernel_size", [list(size) for size in sizes], why))
    return [*decisions, *classifier_decisions(facts)]


def classifier_decisions(facts: Facts) -> list[Decision]:
    """Returns the decision about the classifier of a network, if it is not the usual one.

    Args:
        facts: The scans.
    """
    why = "A probability for each structure on its own, since some include others."
    return [Decision("classifier_activation", "sigmoid", why)] if facts.includes else []


def augmentation_table(facts: Facts, found: Geometry, labels: Sequence[Mapping[str, Any]]) -> list[Decision]:
    """Returns the decisions of the table `[augmentation]`.

    Args:
        facts: The scans.
        found: The geometry.
        labels: The labels as from `label_tables`.
    """
    sided = [label for label in labels if SIDES.search(_words(label["name"]))]
    flip = 0.5 if sided and all("mirror" in label for label in sided) else 0.0
    why_flip = (
        "Left and right labels change places with the image."
        if flip
        else "None: a label of one side has no counterpart."
        if sided
        else "None: no label has a side, so scans may show one side only; set 0.5 if they show both sides of the body."
    )
    return [
        Decision("flip", flip, f"Left-right mirror images. {why_flip}"),
        Decision("rotation", 8.0, "Degrees, in mm: flat voxels stay flat."),
        Decision("scaling", 0.08, "Structures differ in size from patient to patient."),
        Decision("translation", 1.0, "Voxels; the place of a window is random as well."),
        Decision(
            "elastic",
            round(min(found.window) / 4 / 20, 2),
            "Voxels: a twentieth of the distance between the nodes, far from folding.",
        ),
        Decision("gamma", 0.15, "Contrast differs from scanner to scanner."),
        Decision("contrast", 0.08, "As gamma."),
        Decision("brightness", 0.08, "As gamma."),
        Decision("noise", 0.05 if not facts.is_ct else 0.03, "In units of the normalised image."),
    ]


def data_table(facts: Facts, folder: str) -> list[Decision]:
    """Returns the decisions of the table `[data]`.

    Args:
        facts: The scans.
        folder: How the recipe names their folder.
    """
    every = _every(facts)
    if every == 0:
        why = "A single patient: nothing can be held out, so the weights have no score."
    else:
        why = f"One of {every} patients validates: {held_out(facts)} of {facts.patients}."
        if facts.patients <= FEW_PATIENTS:
            why += " So few say little: `recalib train --folds N` measures on all of them."
    decisions = [
        Decision("folder", folder, "Below the folder that --data names, or an absolute path."),
        Decision("dataset", facts.dataset, "How the folder is laid out: see `recalib datasets`."),
        Decision("source", facts.source, "For the card of the weights: correct it before you share them."),
        Decision("licence", facts.licence or "not stated", "For the card too. It decides who may use the weights."),
        Decision("validate_every", every, why),
    ]
    if facts.volume is not None:
        decisions.insert(2, Decision("volume", facts.volume, "Which volume of the 4-D scans, from 0."))
    return decisions


def held_out(facts: Facts) -> int:
    """Returns about how many scans validate.

    Args:
        facts: The scans.
    """
    return -(-facts.scans // _every(facts)) if _every(facts) else 0


def schedule_table(facts: Facts, found: Geometry, machine: Machine, budget: Budget) -> list[Decision]:
    """Returns the decisions of the table `[schedule]`.

    Args:
        facts: The scans.
        found: The geometry.
        machine: Where the training runs.
        budget: How long it may take.
    """
    most = PLANAR_BATCH if found.is_planar else CPU_BATCH if machine.device is None else GPU_BATCH
    batch = max(1, min(most, voxels_per_batch(machine) // math.prod(found.window)))
    length = duration(budget, found, batch, held_out(facts))
    is_whole = found.coverage >= WHOLE
    decisions = [
        Decision("epochs", length.epochs, length.why),
        Decision("steps_per_epoch", length.steps, "An epoch is a line of the log and a checkpoint."),
        Decision("batch_size", batch, "Windows: two at least where memory allows, more on a GPU."),
        Decision(
            "foreground",
            0.0 if is_whole else FOREGROUND,
            "A window shows nearly a whole scan, so it need not be centred on a structure."
            if is_whole
            else f"A third of the windows is centred on a structure; these take {facts.foreground:.1%} of the voxels.",
        ),
    ]
    if not is_whole:
        why = "A structure is chosen first, then one of its voxels, so that small ones are seen as often as large ones."
        decisions.append(Decision("sampling", "class", f"{why} Median volumes: {_volumes(facts)}."))
    return [
        *decisions,
        Decision("validate_every", length.validate_every, "Epochs: validations take a quarter of the time at most."),
        Decision(
            "average",
            0.99 if length.epochs * length.steps >= ENOUGH_STEPS else 0.0,
            "A moving average of the weights is validated and kept; it needs 1,000 steps or so.",
        ),
        Decision(
            "precision",
            "mixed_bfloat16" if machine.has_bfloat16 else "float32",
            "This machine computes in bfloat16." if machine.has_bfloat16 else "This machine has no fast bfloat16.",
        ),
    ]


def label_tables(facts: Facts) -> list[dict[str, Any]]:
    """Returns the labels as a recipe has them: the background, then all that occur, with their counterparts.

    Args:
        facts: The scans.
    """
    mirrors = _mirrors(facts.labels)
    return [{"id": 0, "name": "background"}] + [
        {"id": number, "name": name}
        | ({"mirror": mirrors[number]} if number in mirrors else {})
        | ({"includes": list(facts.includes[number])} if number in facts.includes else {})
        for number, name in facts.labels.items()
    ]


def starting_from(described: WeightSet, name: str, weights: str) -> list[Decision]:
    """Returns the decisions of the table `[fine_tuning]`.

    Args:
        described: The weight set to start from.
        name: Its preset.
        weights: Its name.
    """
    return [
        Decision(
            "weights",
            weights,
            f"{name} segments {described.title}. Structures of the same name keep their classifier; the others start "
            "anew.",
        ),
        Decision("body_rate", 0.3, "The pretrained body learns more slowly than a new classifier."),
    ]


def span(sizes: np.ndarray) -> str:
    """Returns the smallest and the largest sizes of scans in words.

    Args:
        sizes: Three of each scan, `(scans, 3)`.
    """
    low, high = sizes.min(axis=0), sizes.max(axis=0)
    return _times(low) if (low == high).all() else f"from {_times(low)} to {_times(high)}"


def _normalization(modality):
    low, high = (round(value) for value in modality.intensities)
    if modality.is_ct and high > low:
        return Decision(
            "normalization",
            f"ct:{low}:{high}",
            f"CT ({modality.why}): Hounsfield units between the percentiles 0.5 and 99.5 of the structures; values "
            "beyond are clipped. The same for all scans, since the units mean something.",
        )
    why = f"No CT ({modality.why}): each scan to mean 0 and deviation 1, since its units are arbitrary."
    return Decision("normalization", "zscore", why)


def _every(facts):
    """Returns of how many patients one validates: one of up to three, two of up to ten, a fifth of more; 0 for none."""
    few = facts.patients if facts.patients < 4 else -(-facts.patients // 2)
    return 0 if facts.patients < 2 else min(5, few)


def _mirrors(names):
    """Returns for each label with a side the number of the label of the other side."""
    by_name = {_words(name): number for number, name in names.items()}
    other = {"left": "right", "right": "left", "l": "r", "r": "l"}
    found = {}
    for words, number in by_name.items():
        swapped = SIDES.sub(lambda match: other[match[1]], words)
        if swapped != words and swapped in by_name:
            found[number] = by_name[swapped]
    return found


def _words(name):
    """Returns a name in lower case, its words apart: `RightParotid` as `right parotid`."""
    return re.sub(r"[\s_-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip().lower()


def _volumes(facts):
    rarest = sorted(facts.volumes.items(), key=lambda item: item[1])
    return ", ".join(f"{facts.labels[number]} {volume:.3g} ml" for number, volume in rarest[:4]) + (
        f", and {len(rarest) - 4} larger ones" if len(rarest) > 4 else ""
    )


def _times(sizes):
    return " x ".join(f"{size:.3g}" for size in sizes)
