"""The presets as a table that is filtered by name, task, licence, network, block and evidence, best scores first."""

from __future__ import annotations

import dataclasses
import fnmatch
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from recalib_keras.core.messages import did_you_mean, listed
from recalib_keras.models.architecture import BLOCKS
from recalib_keras.zoo import licences
from recalib_keras.zoo.network import NETWORKS
from recalib_keras.zoo.pages import evidence
from recalib_keras.zoo.pages.table import NO_BREAK, aligned, html_table, marked, mean_dice, report
from recalib_keras.zoo.preset import Preset

if TYPE_CHECKING:
    from recalib_keras.evaluation import Difference

PLAIN = "plain"
DEFAULT_RULE = """\
* the default, which a preset's name alone stands for: the first weights in its preset.json, or the ensemble
  that they are part of; in this zoo the whole brain, wherever a preset has weights for it"""
MISSING = "MB is empty where the weights are not installed; the error of `zoo.load` has the command that installs them"
NO_PRESET = "no preset matches"


@dataclass(frozen=True)
class Entry:
    """A weight set or an ensemble of a preset, as `recalib_keras.zoo.list` shows it.

    Args:
        name: The preset.
        weights: Name of the weight set or ensemble; `zoo.load(name, weights)` loads it.
        is_default: Whether it is what the preset's name alone stands for.
        task: What it is for: the name of the weight set, or of the ensemble that it is part of.
        dice: Mean Dice on its validation scans, or None. Scores of different tasks cannot be compared.
        parameters: Number of weights, of all members together.
        megabytes: Size of its files, or None if they are not on this machine.
        licences: The licence of each member, in words.
        architecture: Its network, such as `"DenseNet"`.
        block: Its recalibration block, such as `"pe"`, or `"plain"` for none.
        title: What it segments.
        evidence: With `better_than`: how it differs from that preset, by a paired test; else None.
    """

    name: str
    weights: str
    is_default: bool
    task: str
    dice: float | None
    parameters: int
    megabytes: float | None
    licences: tuple[str, ...]
    architecture: str
    block: str
    title: str
    evidence: Difference | None = None

    @property
    def licence(self) -> str:
        """The licences of its members, in words."""
        return "; ".join(self.licences)

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON takes; the evidence as mean difference and corrected p-value."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        tested = plain.pop("evidence")
        del plain["licences"]
        plain["licence"] = self.licence
        if tested is not None:
            plain["evidence"] = {"better_than": tested.first, "mean": tested.mean, "p_holm": tested.p_holm}
        return plain


class PresetTable(Sequence[Entry]):
    """Entries in order, which print as a table; a slice is a table, too.

    Args:
        entries: The entries.
        nothing: What it prints if there are none.
    """

    def __init__(self, entries: Iterable[Entry], nothing: str = NO_PRESET):
        self._entries, self._nothing = tuple(entries), nothing

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> PresetTable: ...

    def __getitem__(self, index: int | slice) -> Entry | PresetTable:
        found = self._entries[index]
        return PresetTable(found) if isinstance(found, tuple) else found

    def __repr__(self) -> str:
        if not self._entries:
            return self._nothing
        return "\n".join([*aligned(self._rows()), "", *self._notes()]).replace(NO_BREAK, " ")

    def _repr_html_(self) -> str:
        if not self._entries:
            return f"<p>{html.escape(self._nothing)}</p>"
        return html_table(self._rows()) + "".join(f"<p>{html.escape(note)}</p>" for note in self._notes())

    def _notes(self):
        """Returns what a reader of the table must know."""
        missing = any(entry.megabytes is None for entry in self._entries)
        return [DEFAULT_RULE, *([MISSING] if missing else [])]

    def _rows(self):
        """Returns the names of the columns, then the cells of each entry."""
        is_tested = any(entry.evidence is not None for entry in self._entries)
        columns = ("preset", "weights", "task", "Dice", "parameters", "MB", "licence")
        rows = [columns + ("difference", "p") * is_tested]
        for entry in self._entries:
            cells = (
                entry.name,
                marked(entry.weights, entry.is_default),
                entry.task,
                "" if entry.dice is None else f"{entry.dice:.4f}",
                f"{entry.parameters:,}",
                "" if entry.megabytes is None else f"{entry.megabytes:.1f}",
                "; ".join(map(licences.title, entry.licences)),
            )
            tested = entry.evidence
            rows.append(cells + (() if tested is None else (f"{tested.mean:+.4f}", f"{tested.p_holm:.3g}")))
        return rows


class Shelf:
    """All presets, and the entries that they have.

    Args:
        presets: The presets.
    """

    def __init__(self, presets: Iterable[Preset]):
        self.presets = {preset.name: preset for preset in presets}

    @cached_property
    def entries(self) -> list[Entry]:
        """An entry for each weight set and each ensemble, the best scores first, those without a score last."""
        found = [entry for preset in self.presets.values() for entry in _entries(preset)]
        return sorted(found, key=lambda entry: -1.0 if entry.dice is None else entry.dice, reverse=True)

    def select(
        self,
        pattern: str = "*",
        task: str | None = None,
        licence: str | None = None,
        architecture: str | None = None,
        block: str | None = None,
        better_than: str | None = None,
        alpha: float = 0.05,
    ) -> PresetTable:
        """Returns the entries that pass all filters; see `recalib_keras.zoo.list`.

        Args:
            pattern: See there.
            task: See there.
            licence: See there.
            architecture: See there.
            block: See there.
            better_than: See there.
            alpha: See there.

        Raises:
            ValueError: See there.
        """
        network = None if architecture is None else _network(architecture)
        chosen_block = None if block is None else _block(block)
        found = [
            entry
            for entry in self.entries
            if fnmatch.fnmatchcase(entry.name.lower(), pattern.lower())
            and (task is None or fnmatch.fnmatchcase(_simple(entry.task), _simple(task)))
            and (licence is None or all(licences.matches(one, licence) for one in entry.licences))
            and network in (None, entry.architecture)
            and chosen_block in (None, entry.block)
        ]
        if better_than is not None:
            found = list(self._better(found, better_than, alpha))
        nothing = self._nothing(pattern, task, licence)
        if better_than is not None:
            nothing += f"; better_than {better_than!r} with p < {alpha:g}"
        return PresetTable(found, nothing)

    def _better(self, entries: Iterable[Entry], better_than: str, alpha: float) -> Iterator[Entry]:
        """Yields the entries that are significantly better, with the test that says so."""
        if not 0 < alpha < 1:
            raise ValueError(f"expected `alpha` between 0 and 1, got {alpha!r}; 0.05 is usual")
        if better_than not in (PLAIN, *self.presets):
            hint = did_you_mean(better_than, [PLAIN, *self.presets], otherwise=f"known: {PLAIN}, a preset's name")
            raise ValueError(f"expected `better_than` to be {PLAIN!r} or a preset, got {better_than!r}; {hint}")
        tests: dict[str, Mapping[str, Difference]] = {}
        for entry in entries:
            if entry.weights not in tests:
                tests[entry.weights] = self._tests(entry.weights, better_than)
            tested = tests[entry.weights].get(entry.name)
            if tested is not None and tested.mean > 0 and tested.p_holm < alpha:
                yield dataclasses.replace(entry, evidence=tested)

    def _tests(self, weights: str, better_than: str) -> Mapping[str, Difference]:
        """Returns the test of each preset's weights of this name, over all presets, whatever is filtered."""
        reports = {name: found for name in self.presets if (found := report(self.presets[name], weights)) is not None}
        if better_than == PLAIN:
            return evidence.against_plain(reports)
        if better_than not in reports:
            return {}
        return evidence.against(reports, better_than, [name for name in reports if name != better_than])

    def _nothing(self, pattern, task, licence):
        """Returns the message for an empty table: it names the filters that match nothing, if any."""
        names = list(self.presets)
        if not any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in names):
            hint = did_you_mean(pattern, names, otherwise=f"names are such as {listed(names, most=3)}")
            return f"{NO_PRESET} {pattern!r}; {hint}"
        known = {
            "task": (task, dict.fromkeys(entry.task for entry in self.entries)),
            "licence": (licence, dict.fromkeys(licences.short_name(one) for e in self.entries for one in e.licences)),
        }
        remarks = [f"{key} {value!r} (there are {listed(there)})" for key, (value, there) in known.items() if value]
        return f"{NO_PRESET} these filters" + (f": {'; '.join(remarks)}" if remarks else "")


def _entries(preset: Preset) -> Iterator[Entry]:
    default = preset.shares()
    tasks = {member: name for name, shares in preset.ensembles.items() for member in shares}
    for name in (*preset.weight_sets, *preset.ensembles):
        shares = preset.shares(name)
        members = [preset.weight_sets[member] for member in shares]
        network = members[0].network
        yield Entry(
            name=preset.name,
            weights=name,
            is_default=shares == default,
            task=tasks.get(name, name),
            dice=mean_dice(preset, name),
            parameters=sum(member.parameters for member in members),
            megabytes=_megabytes(members),
            licences=tuple(dict.fromkeys(member.licence for member in members)),
            architecture=network.architecture,
            block=network.arguments.get("recalibration") or PLAIN,
            title=members[0].title if len(members) == 1 else f"average of {listed(shares)}",
        )


def _megabytes(members):
    try:
        return sum(member.path.stat().st_size for member in members) / 1e6
    except (OSError, ValueError):  # the weights are not here, or the description was not read from a folder
        return None


def _network(architecture):
    simple = {_simple(name): name for name in NETWORKS}
    if _simple(architecture) not in simple:
        hint = did_you_mean(architecture, NETWORKS, otherwise="choose one of them")
        raise ValueError(f"expected `architecture` to be one of {', '.join(NETWORKS)}, got {architecture!r}; {hint}")
    return simple[_simple(architecture)]


def _block(block):
    known = (*BLOCKS, PLAIN)
    if block.lower() not in known:
        hint = did_you_mean(block, known, otherwise="choose one of them")
        raise ValueError(f"expected `block` to be one of {', '.join(known)}, got {block!r}; {hint}")
    return block.lower()


def _simple(text):
    """Returns a text without case, blanks, `_` and `-`."""
    return re.sub(r"[\s_-]", "", text.lower())
