"""The header of a card: the YAML that the Hugging Face Hub reads, so that a preset can be found and compared there."""

from __future__ import annotations

import json
import re

from recalib_keras.core.messages import one_line
from recalib_keras.zoo.preset import Preset, WeightSet

# Licences that the Hub knows by these identifiers; it shows the names of others.
LICENCES = (
    *("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    *("cc-by-3.0", "cc-by-sa-3.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "odbl", "unlicense"),
)
TASK = "image-segmentation"


def header(preset: Preset) -> str:
    """Returns the header of a preset's card, with the lines `---` around it and a blank line after it.

    Args:
        preset: The preset.
    """
    network = next(iter(preset.weight_sets.values())).network
    block = network.arguments.get("recalibration")
    tags = ["recalib-keras", "medical-imaging", network.architecture.lower(), *([str(block)] if block else [])]
    lines = [
        "library_name: keras",
        *_licence(preset),
        f"pipeline_tag: {TASK}",
        "tags:",
        *(f"- {_text(tag)}" for tag in tags),
        "metrics:",
        "- dice",
        *_results(preset),
    ]
    return "\n".join(["---", *lines, "---", "", ""])


def without_header(card: str) -> str:
    r"""Returns a card without its header, as people read it in a terminal.

    Args:
        card: The card.

    Example:
        >>> without_header("---\ntags:\n- a\n---\n\n# unet3d\n")
        '# unet3d\n'
    """
    return re.sub(r"\A---\n.*?\n---\n+", "", card, flags=re.DOTALL)


def _licence(preset):
    names = list(dict.fromkeys(one.licence for one in preset.weight_sets.values()))
    identifier = names[0].lower().replace(" ", "-")
    if len(names) == 1 and identifier in LICENCES:
        return [f"license: {identifier}"]
    return ["license: other", f"license_name: {_text('; '.join(names))}"]


def _results(preset):
    """Returns the scores, one for each weight set that has one."""
    scored = {name: one for name, one in preset.weight_sets.items() if isinstance(one.score.get("dice"), (int, float))}
    if not scored:
        return []
    results = [line for name, one in scored.items() for line in _result(name, one)]
    return ["model-index:", f"- name: {_text(preset.name)}", "  results:", *results]


def _result(name: str, weight_set: WeightSet) -> list[str]:
    scans = weight_set.score.get("scans", "validation scans")
    return [
        "  - task:",
        f"      type: {TASK}",
        f"      name: {_text(one_line(weight_set.title) or name)}",
        "    dataset:",
        f"      type: {_text(name)}",
        f"      name: {_text(one_line(weight_set.data.get('source', 'not stated')))}",
        "    metrics:",
        "    - type: dice",
        f"      name: {_text(one_line(f'mean Dice on {scans}'))}",
        f"      value: {float(weight_set.score['dice']):.4f}",
    ]


def _text(text):
    """Returns a text as YAML: as it is where that is plain, else in quotes, as JSON has them."""
    return text if re.fullmatch(r"[a-z][a-z0-9_.-]*", text) else json.dumps(text, ensure_ascii=False)
