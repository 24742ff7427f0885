"""Tell from a segmentation whether the scan is one that the network can have learnt to segment."""

from dataclasses import dataclass

from recalib_keras.evaluation.volumetry import StructureVolume, share_at_edge, structure_volumes
from recalib_keras.zoo import Typical

# How far a scan may go beyond all validation scans. By chance alone one more scan of their kind exceeds the most
# uncertain of n with a probability of 1 / (n + 1), though not by much.
ENTROPY_MARGIN = 1.3
# Structures of adults differ by half from the mean, and shrink and grow with age and disease.
VOLUME_MARGIN = 1.5
# Share of the structures' surface; what is not cut touches the edge with single voxels at most.
EDGE_MARGIN = 0.02
# Missing structures are named up to this many.
MOST_NAMES = 3


class UnfamiliarScanWarning(UserWarning):
    """A scan looks unlike those that the network was trained on, so that its labels may be wrong."""


@dataclass(frozen=True)
class Traits:
    """What a segmentation is like, in numbers that tell familiar scans from others.

    Args:
        volumes: `recalib_keras.evaluation.StructureVolume` of each structure.
        at_edge: share of the structures' surface that lies on the edge of the scan.
        entropy: mean entropy of the structures' voxels, or None where it is unknown or there are none.
    """

    volumes: tuple[StructureVolume, ...]
    at_edge: float
    entropy: float | None = None

    @property
    def volume_ml(self):
        """The volume of all structures together."""
        return sum(structure.cubic_millimetres for structure in self.volumes) / 1000

    @property
    def found(self):
        """Whether each structure has any voxel, by its name."""
        return {structure.name: structure.voxels > 0 for structure in self.volumes}


def traits(labels, grid, structures, confidence=None):
    """Returns the `Traits` of a segmentation.

    Args:
        labels: integer array of label numbers.
        grid: `recalib_keras.volumes.Grid` of the array.
        structures: sequence of `recalib_keras.zoo.Label`, without the background.
        confidence: `Confidence` that was collected with the labels, or None.
    """
    volumes = tuple(structure_volumes(labels, grid, structures))
    return Traits(volumes, share_at_edge(labels, grid, structures), confidence and confidence.foreground)


def typical_of(seen):
    """Returns what the segmentations of familiar scans are like, a `recalib_keras.zoo.Typical`.

    Args:
        seen: sequence of `Traits`, one for each scan.

    Returns:
        None if nothing was found in any scan, or nothing is known of how certain it was.
    """
    entropies = [scan.entropy for scan in seen if scan.entropy is not None]
    if not entropies:
        return None
    volumes = [scan.volume_ml for scan in seen]
    return Typical(
        entropy=round(max(entropies), 4),
        volume_ml=(round(min(volumes), 3), round(max(volumes), 3)),
        at_edge=round(max(scan.at_edge for scan in seen), 4),
        found={name: round(sum(scan.found[name] for scan in seen) / len(seen), 4) for name in seen[0].found},
    )


def unfamiliar(scan, typical):
    """Returns what is unusual about a segmentation, a list of sentences; empty for one that looks right.

    Args:
        scan: `Traits` of the segmentation.
        typical: `recalib_keras.zoo.Typical` of the network, or None: then only that nothing is found is unusual.
    """
    if not any(scan.found.values()):
        is_usual = typical is not None and typical.volume_ml[0] == 0
        return [] if is_usual else [f"nothing found: 0 of {_counted(len(scan.found))}"]
    if typical is None:
        return []
    checks = (_entropy, _volume, _missing, _edge)
    return [sentence for check in checks if (sentence := check(scan, typical))]


def _entropy(scan, typical):
    # Not `>`, so that entropies that are no number, of outputs that are none, do not pass.
    if scan.entropy is None or scan.entropy <= ENTROPY_MARGIN * typical.entropy:
        return None
    return (
        "the scan looks unlike those the network was trained on: "
        f"mean entropy {scan.entropy:.2g}, at most {typical.entropy:.2g} in validation"
    )


def _volume(scan, typical):
    least, most = typical.volume_ml
    if least / VOLUME_MARGIN <= scan.volume_ml <= most * VOLUME_MARGIN:
        return None
    return f"the structures have {_ml(scan.volume_ml)} together, {_ml(least)} to {_ml(most)} in validation"


def _missing(scan, typical):
    missing = [name for name, found in scan.found.items() if not found and typical.found.get(name) == 1]
    if not missing:
        return None
    named = ", ".join(missing[:MOST_NAMES]) + (f" and {len(missing) - MOST_NAMES} more" * (len(missing) > MOST_NAMES))
    return (
        f"{sum(scan.found.values())} of {_counted(len(scan.found))} found; in validation every scan showed those "
        f"missing here: {named}"
    )


def _edge(scan, typical):
    if scan.at_edge <= typical.at_edge + EDGE_MARGIN:
        return None
    return (
        f"the scan ends inside the structures: {scan.at_edge:.0%} of their surface lies on its edge, at most "
        f"{typical.at_edge:.0%} in validation"
    )


def _ml(volume):
    return f"{volume:.0f} ml" if volume >= 100 else f"{volume:.3g} ml"


def _counted(count):
    return f"{count} structure" if count == 1 else f"{count} structures"
