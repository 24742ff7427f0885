"""The recipe of a plan as a TOML file: each key below a comment that says why it has its value."""

from __future__ import annotations

import dataclasses
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from recalib_keras import zoo
from recalib_keras.core.checks import MOST_IN_NAME
from recalib_keras.core.messages import listed
from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.training.planning import decisions
from recalib_keras.training.planning.decisions import Decision, span
from recalib_keras.training.planning.duration import Budget
from recalib_keras.training.planning.facts import Facts
from recalib_keras.training.planning.geometry import Geometry
from recalib_keras.training.planning.machine import Machine
from recalib_keras.training.recipe import Recipe

WIDTH = 120
LEARNING_RATE, FINE_TUNING_RATE = 0.004, 0.001
PRESET, PLANAR_PRESET = "unet3d_pe", "unet2d_scse"
Measure = Callable[[Recipe, tuple[int, int, int]], float]


def plan(
    facts: Facts,
    machine: Machine,
    budget: Budget,
    measure: Measure,
    data_root: str | os.PathLike = ".",
    like: str | None = None,
    like_weights: str = "default",
) -> str:
    """Returns the text of a recipe for a set of scans, which trains as it stands.

    Args:
        facts: The scans.
        machine: Where the training runs.
        budget: How long it may take.
        measure: Returns the seconds of a step of a recipe, for scans of a shape; see `machine.seconds_per_step`. It is
            called if the budget has no `step` and no `epochs`.
        data_root: Folder that the recipe names the scans' folder relative to, if it lies inside.
        like: A preset to start from: the recipe takes its network and its input.
        like_weights: Which of its weight sets.

    Raises:
        ValueError: The preset or its weight set is unknown.
        RecordError: The preset's network cannot learn from such scans.
    """
    if like is not None:
        like_weights = next(iter(zoo.info(like).shares(like_weights)))
    geometry = decisions.plan_geometry(facts, machine)
    described = None if like is None else zoo.weight_set(like, like_weights)
    if described is not None:
        geometry = decisions.geometry_of(facts, described.input)
    if budget.step is None and budget.epochs is None:
        short = _text(facts, geometry, machine, Budget(0, epochs=1), data_root, like, like_weights, described)
        budget = dataclasses.replace(budget, step=measure(_recipe(short), geometry.shape))
    text = _text(facts, geometry, machine, budget, data_root, like, like_weights, described)
    _recipe(text)
    return text


def _recipe(text):
    return from_mapping(Recipe, tomllib.loads(text), "the plan")


def _text(
    facts: Facts,
    geometry: Geometry,
    machine: Machine,
    budget: Budget,
    data_root: Any,
    like: str | None,
    like_weights: str,
    described: Any,
) -> str:
    labels = decisions.label_tables(facts)
    parts = [_head(facts), _table(None, _names(facts, geometry, like)), _labels(facts, labels)]
    if described is None:
        parts += [
            _table("network", [Decision("architecture", "UNet", "As fast as any, and among the best of the zoo.")]),
            _table("network.arguments", decisions.network_table(facts, geometry, machine)),
            _table("input", decisions.input_table(facts, geometry)),
        ]
    else:
        parts += [f"# As {like} has them, so that its weights fit.\n{_as_toml(described, facts)}"]
        parts += [_table("fine_tuning", decisions.starting_from(described, str(like), like_weights))]
    rate = LEARNING_RATE if described is None else FINE_TUNING_RATE
    why = "For Adam: it rises in the first epoch and falls to 0 as a cosine"
    why += "." if like is None else ", and is low, since the weights are pretrained."
    return "\n".join(
        [
            *parts,
            _table("data", decisions.data_table(facts, _folder(facts.folder, data_root))),
            _table("augmentation", decisions.augmentation_table(facts, geometry, labels)),
            _table("optimizer", [Decision("learning_rate", rate, why)]),
            _table("schedule", decisions.schedule_table(facts, geometry, machine, budget)),
        ]
    )


def _head(facts):
    return _comment(
        f"Planned by `recalib plan` for {facts.scans} scans of {facts.patients} patients, {span(facts.shapes)} voxels. "
        "It trains as it stands by `recalib train`, and every line can be changed: docs/recipes.md explains all keys."
    )


def _names(facts, geometry, like):
    network = PLANAR_PRESET if geometry.is_planar else PRESET
    structures = listed(facts.labels.values(), 3)
    folder = re.sub(r"[^\w-]+", "_", facts.folder.resolve().name).strip("_") or "scans"
    decided = [
        Decision("preset", network if like is None else zoo.info(like).name, "The network, in the names of the zoo."),
        Decision("weights", folder[:MOST_IN_NAME], "The name of the weights in the preset."),
        Decision("title", f"{structures} in {'CT' if facts.is_ct else 'MRI or similar scans'}"[:200], "For the card."),
    ]
    return decided if like is None else [*decided, Decision("init", like, "Start from these weights.")]


def _labels(facts, labels):
    counts = ((name, facts.scans_with[number], facts.looked_for[number]) for number, name in facts.labels.items())
    why = "All labels that occur, and in how many scans: " + listed(
        (f"{name} {has}" + (f" of {known}" if known < facts.scans else "") for name, has, known in counts), 40
    )
    if any(known < facts.scans for known in facts.looked_for.values()):
        why += ". `N of M`: the label was looked for in M scans, and N have it; in the other scans it is unknown"
    rows = ",\n".join(f"    {_inline(label)}" for label in labels)
    mirror = " `mirror` names the label of the other side." if any("mirror" in label for label in labels) else ""
    return f"{_comment(f'{why}.{mirror}')}labels = [\n{rows},\n]\n"


def _as_toml(described, facts):
    """Returns network and input of a preset; one of a single channel sees all channels of the scans."""
    expects = to_mapping(described.input)
    if described.input.num_channels == 1 and len(facts.modalities) > 1:
        expects |= {one.key: one.value for one in decisions.channel_decisions(facts)}
    network = to_mapping(described.network)
    network["arguments"] |= {one.key: one.value for one in decisions.classifier_decisions(facts)}
    return tomli_w.dumps({"network": network, "input": expects})


def _table(name, decided: Sequence[Decision]):
    lines = [] if name is None else [f"[{name}]\n"]
    for one in decided:
        lines.append(_comment(one.why) + f"{one.key} = {_value(one.value)}\n")
    return "".join(lines)


def _comment(text):
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ") + "\n"


def _inline(mapping):
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in mapping.items()) + " }"


def _value(value):
    """Returns a value as TOML has it, in one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return tomli_w.dumps({"_": value}).split(" = ", 1)[1].rstrip("\n")


def _folder(folder: Path, data_root: str | os.PathLike) -> str:
    """Returns the folder relative to the data root if it lies inside, else absolute."""
    whole, root = folder.resolve(), Path(data_root).resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) and whole != root else str(whole)
