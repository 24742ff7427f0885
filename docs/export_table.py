"""Writes how well exports agree with Keras to docs/export.md: `python -m docs.export_table [PRESET:WEIGHTS …]`."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from recalib_keras.export import ExportError, export
from recalib_keras.export.formats import FORMATS

PAGE = Path(__file__).with_name("export.md")
START, END = "<!-- agreement: made by `python -m docs.export_table` -->\n", "<!-- end of agreement -->"
# Every architecture, rank and block at least once, every task, and an ensemble.
PRESETS = (
    *("unet2d_sse:hippocampus", "sdnet2d_cse:hippocampus", "densenet2d_scse:hippocampus"),
    *("unet3d_scse:hippocampus", "sdnet3d_pe:hippocampus", "densenet3d:hippocampus", "unet3d_pe:whole_brain"),
    *("densenet3d_pe:malc", "densenet2d_scse:whole_brain"),
)


def table(presets: Iterable[str]) -> str:
    """Returns the Markdown table: presets in rows, formats in columns, the largest difference in the cells."""
    lines = [f"| weights | {' | '.join(FORMATS)} |", "|---" * (1 + len(FORMATS)) + "|"]
    for preset in presets:
        name, _, weights = preset.partition(":")
        cells = [_measured(name, weights or "default", format) for format in FORMATS]
        lines.append(f"| `{name}` {weights} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _measured(name, weights, format):
    with tempfile.TemporaryDirectory() as folder:
        try:
            agreement = export(name, Path(folder, name + FORMATS[format].suffix), format, weights).agreement
        except ExportError as error:
            return f"no: {error}"
    return f"{agreement.largest_difference:.0e}, {agreement.same_labels:.2%}"


def with_table(page: str, presets: Iterable[str]) -> str:
    """Returns the page's text with a new table between the two marks."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return before + START + table(presets) + END + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), sys.argv[1:] or PRESETS), encoding="utf-8")
