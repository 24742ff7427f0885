"""What a preset is: a name, and a description of each of its weight sets."""

from __future__ import annotations

import dataclasses
import html
import json
import os
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from recalib_keras.core.checks import MOST_IN_TITLE, check_name, check_range, check_text, numbers_in, shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import listed, one_line
from recalib_keras.core.records import from_mapping, read_mapping, to_mapping
from recalib_keras.zoo import weights as weight_files
from recalib_keras.zoo.labels import Label, check_labels, with_colors
from recalib_keras.zoo.network import Input, Network
from recalib_keras.zoo.own_asymmetry import OwnAsymmetry
from recalib_keras.zoo.pages.table import aligned, html_table, rows, table
from recalib_keras.zoo.places import installed

FILE_NAME = "preset.json"
MOST_PARAMETERS = 10**11
WIDTH = 100  # of the lines that a description prints
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ReferenceRange:
    """What the network's own segmentations of the scans that training held out were like.

    A scan whose segmentation differs is unlike those the network was trained on: see
    `recalib_keras.inference.quality_warnings`.

    Args:
        entropy: the largest mean entropy of a scan's structures, from 0 (sure) to 1 (no idea), as
            `recalib_keras.inference.Uncertainty` has it.
        volume_ml: the smallest and the largest volume of all structures of a scan together, in ml.
        at_edge: the largest share, from 0 to 1, of the structures' surface that lay on the edge of a scan.
        found: the share of the scans in which each structure was found, by its name.
        structures_ml: the smallest and the largest volume of each structure, by its name, in ml; empty if that was
            never measured.
        scans: how many scans there were, or None if that was not recorded.
    """

    entropy: float
    volume_ml: tuple[float, float]
    at_edge: float
    found: dict[str, float]
    structures_ml: dict[str, tuple[float, float]] = field(default_factory=dict)
    scans: int | None = None

    def __post_init__(self):
        check_range(self.entropy, "entropy", 0, 1)
        check_range(self.at_edge, "at_edge", 0, 1)
        for name, share in self.found.items():
            check_range(share, f"found.{name}", 0, 1)
        for name, (least, most) in {"": self.volume_ml, **self.structures_ml}.items():
            key = f"structures_ml.{name}" if name else "volume_ml"
            check_range(least, key, 0)
            check_range(most, key, 0)
            if least > most:
                raise RecordError(expected=f"{key} as smallest and largest volume", received=f"{(least, most)}")
        if self.scans is not None:
            check_range(self.scans, "scans", 1)

    def is_of(self, structures: Iterable[str]) -> bool:
        """Returns whether volumes of structures together can be compared: whether none that was sought is missing.

        Args:
            structures: Their names.
        """
        return self.found.keys() <= set(structures)


@dataclass(frozen=True, repr=False)
class WeightSet:
    """Everything about one set of weights that training and use must agree on.

    Args:
        title: What it segments, in words.
        network: The network that the weights belong to.
        input: What the network expects to see.
        labels: The label of each class; the first is the background.
        file: Name of the safetensors file beside `preset.json`.
        sha256: Of that file, 64 hexadecimal digits; empty while there is no file yet.
        parameters: Number of weights.
        data: The source of what it was trained on, its licence, whether it is synthetic, if it is, and which preset
            or folder the training started from, if it did.
        score: What it reached, and on what: free keys and finite numbers; a Dice lies between 0 and 1.
        typical: What its segmentations of validation scans are like, or None if that was never measured.
        asymmetry: The asymmetry that it finds in a symmetric template, or None if that was never measured.
        held_out: Names of the patients that validated, so that they are known when the data has grown since; empty
            if they were not recorded.

    Attributes:
        folder: The preset's folder, if the description was read from one; else None.

    Raises:
        RecordError: A value is outside its range.
    """

    title: str
    network: Network
    input: Input
    labels: tuple[Label, ...]
    file: str
    sha256: str
    parameters: int
    data: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] = field(default_factory=dict)
    typical: ReferenceRange | None = None
    asymmetry: OwnAsymmetry | None = None
    held_out: tuple[str, ...] = ()
    folder: Path | None = field(default=None, init=False, compare=False)

    def __post_init__(self):
        if self.title:
            check_text(self.title, "title", MOST_IN_TITLE)
        if Path(self.file).name != self.file or Path(self.file).suffix != weight_files.SUFFIX:
            raise RecordError(
                expected=f"file to name a .safetensors file beside {FILE_NAME}", received=shown(self.file)
            )
        check_name(Path(self.file).stem, "file without its ending")
        if self.sha256 and not SHA256.fullmatch(self.sha256):
            raise RecordError(expected="sha256 of 64 hexadecimal digits", received=shown(self.sha256))
        check_range(self.parameters, "parameters", 0, MOST_PARAMETERS)
        check_labels(self.labels)
        self.network.num_classes(self.labels)
        self.network.check_values(self.input)
        object.__setattr__(self, "labels", with_colors(self.labels))
        _check_score(self.score)
        for key in ("source", "licence"):
            if not isinstance(self.data.get(key, ""), str):
                raise RecordError(expected=f"data.{key} to be a text", received=shown(self.data[key]))

    @property
    def licence(self) -> str:
        """The licence that the weights come under: that of the data they were trained on, in one line."""
        return one_line(self.data.get("licence", "")) or "not stated"

    @property
    def path(self) -> Path:
        """The file of the weights, beside the description or in a package of data; see `zoo.places.installed`.

        Raises:
            WeightsError: The preset is one from the internet, and its weights cannot be fetched.
            ValueError: The description was not read from a preset's folder.
        """
        self._in_folder(self.file)
        return installed.weights_file(self.folder, self.file, self.sha256)

    @property
    def recipe_path(self) -> Path:
        """The recipe that the weights were trained by, a file beside theirs.

        Raises:
            ValueError: The description was not read from a preset's folder.
        """
        return self._in_folder(f"{Path(self.file).stem}.toml")

    def read_weights(self) -> dict[str, np.ndarray]:
        """Returns the weights by the paths of their variables.

        Raises:
            WeightsError: The file is missing, is not the described one, or is not a safetensors file.
            ValueError: The description was not read from a preset's folder.
        """
        path = self.path
        return weight_files.read(path, self.sha256, remedy=installed.remedy(path.parent, path.name))

    def build(
        self, num_classes: int | None = None, input_shape: tuple[int | None, ...] | None = None, dtype: Any = None
    ) -> Any:
        """Returns the network, a `keras.Model`, with fresh weights.

        Args:
            num_classes: See `recalib_keras.models.EncoderDecoder`; None for as many as the labels need.
            input_shape: `(*spatial, channels)`; None for that of `input`.
            dtype: dtype policy; None for Keras's global one.

        Raises:
            ValueError: See `Network.build`.
        """
        num_classes = self.network.num_classes(self.labels) if num_classes is None else num_classes
        return self.network.build(input_shape or self.input.shape, num_classes, dtype)

    def placed(self, folder: str | os.PathLike) -> Self:
        """Returns this description with the folder that its files lie in.

        Args:
            folder: The preset's folder.
        """
        placed = dataclasses.replace(self)
        object.__setattr__(placed, "folder", Path(folder))  # no field of the file, so no argument
        return placed

    def _in_folder(self, name):
        if self.folder is None:
            raise ValueError(
                f"expected weights in a preset's folder, got a description alone ({self.title!r}); read it by zoo.info"
            )
        return self.folder / name

    def __repr__(self):
        lines = aligned(self._rows())
        indent = len("trained on") + 4
        wrapped = (textwrap.wrap(f"  {line}", WIDTH, subsequent_indent=" " * indent) for line in lines)
        return "\n".join([self.title or self.file, *(line for each in wrapped for line in each)])

    def _repr_html_(self):
        return html_table([(self.title or self.file, ""), *self._rows()])

    def _rows(self):
        """Returns what people want to know, as names and values."""
        spacing = "of any size" if self.input.spacing is None else "of " + _times(self.input.spacing) + " mm"
        arguments = ", ".join(f"{key}={value}" for key, value in self.network.arguments.items())
        names = listed((label.name for label in self.labels), most=4)
        score = {key: value for key, value in self.score.items() if not isinstance(value, dict)}
        return [
            ("network", f"{self.network.architecture}({arguments})"),
            ("input", f"{_times(self.input.window)} voxels {spacing}, {self.input.orientation}, "
                      f"{', '.join(dict.fromkeys(self.input.normalizations))}"),
            *([("channels", ", ".join(self.input.channels))] if self.input.channels else []),
            ("labels", f"{len(self.labels)}: {names}"),
            ("trained on", one_line(self.data.get("source", "not stated"))),
            ("licence", self.licence),
            ("score", one_line(", ".join(f"{key} {value}" for key, value in score.items())) or "none"),
            ("weights", f"{self.file}, {self.parameters:,} parameters"),
        ]  # fmt: skip


@dataclass(frozen=True, repr=False)
class Preset:
    """A named network and its weight sets; the first is the default.

    Args:
        name: Of the preset.
        weight_sets: Each by its name.
        ensembles: What several weight sets segment together, such as 2-D networks of three views: by the name of the
            whole, the share of each in the average of their probabilities.
        scores: Of ensembles that were cross-validated, by their names: each scan is measured on the weights whose
            training held it out. See `WeightSet`.
        folder: Holds `preset.json`.

    Raises:
        RecordError: A name is not allowed, or an ensemble is not of the preset's weight sets.
    """

    name: str
    weight_sets: dict[str, WeightSet]
    ensembles: dict[str, dict[str, float]] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    folder: Path = field(default=Path(), compare=False)

    def __post_init__(self):
        check_name(self.name, "name")
        for name in (*self.weight_sets, *self.ensembles):
            check_name(name, "the name of each weight set and ensemble")
        for name, shares in self.ensembles.items():
            if name in self.weight_sets or not set(shares) <= set(self.weight_sets):
                raise RecordError(
                    expected=f"an ensemble of the weight sets {', '.join(self.weight_sets)} under another name",
                    received=f"{name!r} of {listed(shares)}",
                )
            if not shares or not all(0 < share <= 1e6 for share in shares.values()):
                raise RecordError(
                    expected=f"shares above 0 in the ensemble {name!r}, at most 1,000,000", received=shown(shares)
                )

        for name, score in self.scores.items():
            if name not in self.ensembles:
                raise RecordError(
                    expected="scores of ensembles", received=f"a score of {name!r}, which is not an ensemble"
                )
            _check_score(score)

    def shares(self, weights: str | Sequence[str] | Mapping[str, float] = "default") -> dict[str, float]:
        """Returns the share of each weight set, by its name, in what a name stands for.

        Args:
            weights: Name of a weight set or an ensemble; `"default"` for the first weight set, or the ensemble that it
                is part of; or several weight sets: a sequence of names with equal shares, or a mapping from names to
                shares.
        """
        if isinstance(weights, Mapping):
            return dict(weights)
        if not isinstance(weights, str):
            return dict.fromkeys(weights, 1.0)
        if weights == "default":
            first = next(iter(self.weight_sets))
            return next((shares for shares in self.ensembles.values() if first in shares), {first: 1.0})
        return self.ensembles.get(weights, {weights: 1.0})

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Self:
        """Returns the preset that a folder's `preset.json` describes.

        Args:
            folder: The preset's folder.

        Raises:
            RecordError: The file is not a valid description; the message names the key.
        """
        folder = Path(folder)
        path = folder / FILE_NAME
        preset = from_mapping(cls, _without_folder(read_mapping(path, "preset", "JSON"), path), str(path))
        if not preset.weight_sets:
            raise RecordError(file=path, expected="a weight set or more", received="none")
        weight_sets = {name: weight_set.placed(folder) for name, weight_set in preset.weight_sets.items()}
        return dataclasses.replace(preset, weight_sets=weight_sets, folder=folder)

    def to_json(self) -> str:
        """Returns the content of `preset.json`."""
        mapping = to_mapping(dataclasses.replace(self, folder=None))
        for weight_set in mapping["weight_sets"].values():
            weight_set.pop("folder", None)
        for key in ("ensembles", "scores"):
            if not mapping[key]:
                del mapping[key]
        return json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"

    def __repr__(self):
        return table(self)

    def _repr_html_(self):
        return f"<p><b>{html.escape(self.name)}</b></p>{html_table(rows(self))}"


def _without_folder(mapping, path):
    """Returns a preset's mapping; its folder is where the file lies, so the file cannot name one."""
    if isinstance(mapping, dict) and "folder" in mapping:
        raise RecordError(file=path, expected="known keys", received="the unknown key 'folder'")
    return mapping


def _check_score(score):
    for key, value in score.items():
        for number in numbers_in(value):
            if key.startswith("dice"):
                check_range(number, f"score.{key}", 0, 1)
            else:
                check_range(number, f"score.{key}", -1e12, 1e12)


def _times(sizes):
    return " x ".join(f"{size:g}" for size in sizes)
