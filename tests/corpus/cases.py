"""What a case is, and how the cases of a run are chosen among all that the kinds can make."""

import importlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# The kinds, each with the module that makes its cases, and how many of every hundred it gets at most.
KINDS = {
    "nifti": ("headers", 24),
    "mgh": ("headers", 8),
    "dtype": ("headers", 5),
    "orientation": ("orientations", 14),
    "damage": ("damage", 14),
    "gzip": ("damage", 4),
    "path": ("paths", 4),
    "label": ("label_maps", 3),
    "dicom": ("series", 10),
    "recipe": ("records", 14),
    "preset": ("records", 8),
    "study": ("studies", 7),
    "state": ("studies", 5),
    "table": ("tables", 5),
}


@dataclass(frozen=True)
class Place:
    """The grid that a valid scan has.

    Args:
        shape: Voxels along each axis.
        affine: From voxel indices to mm.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray


@dataclass(frozen=True)
class Case:
    """A bad or odd input.

    Args:
        name: What is odd about it.
        write: Writes the input into a folder that it is given, and returns its path.
        reader: Which function of `readers` reads it.
        places: If it is read, its grid must be one of these; none to not check it.
        values: If it is read, its array must have these values; None to not check them.
        must: `"read"` or `"refuse"`, if only that is right.
        names_file: Whether a refusal has to name the file.
    """

    name: str
    write: Callable[[Path], Path]
    reader: str = "scan"
    places: tuple[Place, ...] = ()
    values: np.ndarray | None = None
    must: str | None = None
    names_file: bool = True


def cases_of(kind: str, seed: int) -> Iterator[Case]:
    """Returns the cases of a kind, in the order that the seed gives; endless for some kinds.

    Args:
        kind: One of `KINDS`.
        seed: Any integer from 0.
    """
    module = importlib.import_module(f"{__package__}.{KINDS[kind][0]}")
    return getattr(module, f"{kind}_cases")(np.random.default_rng([seed, *map(ord, kind)]))


def choose(count: int, seed: int, kinds: list[str]) -> list[tuple[str, Case]]:
    """Returns cases of several kinds; kinds with too few leave their share to the others.

    Args:
        count: How many.
        seed: See `cases_of`.
        kinds: Some of `KINDS`.
    """
    shares = sum(KINDS[kind][1] for kind in kinds)
    sources = {kind: cases_of(kind, seed) for kind in kinds}
    chosen = []
    for kind in kinds:
        share = -(-count * KINDS[kind][1] // shares)
        chosen += [(kind, case) for case in itertools.islice(sources[kind], share)]
    while len(chosen) < count and sources:
        for kind in list(sources):
            case = next(sources[kind], None)
            if case is None:
                del sources[kind]
            elif len(chosen) < count:
                chosen.append((kind, case))
    return chosen[:count]


def shuffled(rng: np.random.Generator, items: list) -> list:
    """Returns the items in a random order.

    Args:
        rng: Source of random numbers.
        items: The items.
    """
    return [items[index] for index in rng.permutation(len(items))]
