"""Tables and lists of names: `volumes.csv`, reports, `scans.csv`, colour tables, `dataset.json`, label tables."""

import json
from collections.abc import Iterator

import numpy as np

from .cases import Case, shuffled

VOLUMES = "scan,structure,label,voxels,mm3,percent_of_total,total_mm3,asymmetry_percent,mean_entropy,warning,labels," \
    "made_by,mine\n/data/a.nii,liver,6,24,48.0,100.0,48.0,,0.01,,a_labels.nii.gz,tiny,note\n"  # fmt: skip
REPORT = (
    "scan,structure,label,found_in,dice,jaccard,sensitivity,precision,hd,hd95,assd,surface_dice,truth_mm3,"
    "prediction_mm3\na,liver,6,both,0.5,0.3,0.5,0.5,1,1,1,0.5,10,10\n"
)
SCANS = "name,patient,part\nball_0,P1,train\n"
COLORS = "0 background 0 0 0 0\n17 Left-Hippocampus 220 216 20 0\n"
DATASET = json.dumps({"labels": {"0": "background", "1": "liver"}})
CELLS = ("", "nan", "inf", "-1", "1e999", "7", "=1+1", "@x", "abc", "9" * 400, "\0", "x" * 200_000, '"', '"open', "é",
         "\x1b", "a\rb", "1,2", "-", "'", "\ufeff")  # fmt: skip
FILES = {
    "table": ("volumes.csv", VOLUMES),
    "report": ("dice.csv", REPORT),
    "scans": ("scans.csv", SCANS),
    "names": ("names.txt", COLORS),
    "json_names": ("dataset.json", DATASET),
    "generation": ("generation.json", "{}"),
}


def table_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields tables in other encodings, cut short, and with one odd cell, name of a column, or number of cells."""
    cases = [_case(reader, what, content) for reader in FILES for what, content in _contents(FILES[reader][1]).items()]
    for reader in ("table", "report", "scans"):
        lines = FILES[reader][1].splitlines()
        cases += [
            _case(reader, f"row {row}, cell {column}: {cell[:20]!r}", _with_cell(lines, row, column, cell))
            for row in (0, 1)
            for column in range(lines[0].count(",") + 1)
            for cell in CELLS
        ]
    yield from shuffled(rng, cases)


def _contents(text):
    data = text.encode()
    return {
        "Latin-1": text.replace("i", "ï").encode("latin-1"),
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without a mark": text.encode("utf-16-le"),
        "UTF-8 with a mark": b"\xef\xbb\xbf" + data,
        "zero bytes": data[:10] + bytes(3) + data[10:],
        "empty": b"",
        "half": data[: len(data) // 2],
        "lines of Windows": data.replace(b"\n", b"\r\n"),
        "lines of old Macs": data.replace(b"\n", b"\r"),
        "semicolons": data.replace(b",", b";"),
        "twice": data * 2,
        "a long line": b"x" * 10**6,
        "200,000 quotes": b'"' * 200_001,
        "binary": bytes(range(256)) * 10,
        "deep": b"[" * 100_000,
        "a number": b"7",
        "digits": b"9" * 10_000,
        "deep labels": b'{"labels": ' + b"[" * 50_000,
        "labels null": b'{"labels": null}',
        "labels of lists": b'{"labels": {"1": ["a"]}}',
    }


def _with_cell(lines, row, column, cell):
    cells = [line.split(",") for line in lines]
    cells[row][column] = cell
    return "\n".join(",".join(line) for line in cells).encode() + b"\n"


def _case(reader, what, content):
    def write(folder):
        (folder / FILES[reader][0]).write_bytes(content)
        return folder / FILES[reader][0]

    return Case(f"{FILES[reader][0]}: {what}", write, reader)
