"""Data sets in the Brain Imaging Data Structure: which scans there are, and where what is made of them belongs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import recalib_keras
from recalib_keras.core.errors import RecordError, missing_package
from recalib_keras.core.files import read_file, write_json, write_text
from recalib_keras.core.messages import listed
from recalib_keras.core.tables import read_csv, write_tsv
from recalib_keras.inference.batch.outputs import MAPS_IN_BIDS
from recalib_keras.inference.maps import PROBABILITIES

if TYPE_CHECKING:
    from recalib_keras.zoo import Label

DESCRIPTION = "dataset_description.json"
BIDS_VERSION = "1.9.0"  # that the derivatives follow
SCANS = (".nii.gz", ".nii")
# What the structure has no place for.
IGNORED = (
    *("volumes.csv", ".volumes.csv.lock", "group", "cohort.html", "*_report.html", "*_thumbnail.png", "*_overlay.*"),
    *(f"*_{suffix}.*" for name, suffix in MAPS_IN_BIDS.items() if name != PROBABILITIES),
)
MEASURES = ("mm3", "percent_of_total", "asymmetry_percent", "mean_entropy")
README = """Label maps by recalib-keras, preset {preset}. `*_dseg.json` beside each says what made it.
`*_probseg.nii.gz`, where they were asked for, hold the probability of each structure.
`volumes.csv` has the volumes of all structures. Names and colours of the labels are in `desc-*_dseg.tsv`.
"""
ENTITY = re.compile(r"(?:^|_)(sub|ses|acq|ce|rec|run|echo|part)-([0-9A-Za-z+]+)")
# The validator from the package index, which is installed with the extra `bids`; and the older one, from npm.
VALIDATOR, OLDER_VALIDATOR = "bids-validator-deno", "bids-validator"


@dataclass(frozen=True)
class BidsScan:
    """A T1-weighted scan of a data set.

    Args:
        path: Its file.
        subject: Label of the participant, without `sub-`.
        session: Label of the session, or None.
    """

    path: Path
    subject: str
    session: str | None = None

    def sidecar(self, folder: str | os.PathLike) -> dict[str, Any]:
        """Returns what BIDS wants to know of its label map: from which scan, and on whose grid.

        Args:
            folder: The data set.
        """
        source = f"bids:raw:{self.path.relative_to(Path(folder)).as_posix()}"
        return {"Sources": [source], "SpatialReference": source}

    def derivative(self, description: str) -> Path:
        """Returns the path of its label map, relative to the folder of the derivatives.

        Args:
            description: What has made it: letters and digits.

        Example:
            >>> BidsScan(Path("sub-1_run-2_T1w.nii.gz"), "1").derivative("unet").as_posix()
            'sub-1/anat/sub-1_run-2_space-orig_desc-unet_dseg.nii.gz'
        """
        name = self.path.name.removesuffix(".gz").removesuffix(".nii").removesuffix("_T1w")
        session = () if self.session is None else (f"ses-{self.session}",)
        return Path(f"sub-{self.subject}", *session, "anat", f"{name}_space-orig_desc-{description}_dseg.nii.gz")


def find_scans(
    folder: str | os.PathLike, participants: Sequence[str] = (), sessions: Sequence[str] = ()
) -> list[BidsScan]:
    """Returns the T1-weighted scans of a data set, in order.

    Args:
        folder: The data set.
        participants: Labels of participants, with or without `sub-`; empty for all.
        sessions: Labels of sessions, with or without `ses-`; empty for all.

    Raises:
        ImportError: bids2table is not installed.
        RecordError: The folder is not a data set, a label is unknown, or no scan is left.
    """
    check_dataset(folder)
    try:
        import bids2table
    except ImportError as error:
        command = 'pip install "recalib-keras[bids]"'
        raise missing_package("reading a data set in BIDS", "bids2table", command) from error
    rows = bids2table.index_dataset(Path(folder)).to_pylist()
    rows = [row for row in rows if row["suffix"] == "T1w" and row["datatype"] == "anat" and row["ext"] in SCANS]
    found = [BidsScan(Path(folder, row["path"]), row["sub"], row["ses"]) for row in rows]
    found = _chosen(found, "subject", "sub-", participants, folder)
    found = _chosen(found, "session", "ses-", sessions, folder)
    if not found:
        raise RecordError(
            file=folder,
            expected="scans such as sub-01/anat/sub-01_T1w.nii.gz",
            received="none",
            remedy="check the names, or use `recalib segment`",
        )
    return sorted(found, key=lambda scan: str(scan.path))


def _chosen(scans, key, prefix, labels, folder):
    wanted = {label.removeprefix(prefix) for label in labels}
    known = {getattr(scan, key) for scan in scans} - {None}
    if wanted - known:
        raise RecordError(
            file=folder,
            expected=f"T1-weighted scans of {prefix}{min(wanted - known)}",
            received=f"those of {listed(prefix + label for label in sorted(known)) or 'none'}",
            remedy="check the label",
        )
    return [scan for scan in scans if not wanted or getattr(scan, key) in wanted]


def check_dataset(folder: str | os.PathLike) -> None:
    """Checks that a folder has the description of a data set.

    Args:
        folder: The folder.

    Raises:
        RecordError: It has none, or one that is not JSON.
    """
    path = Path(folder) / DESCRIPTION
    content = read_file(path, "the description of a BIDS data set", RecordError, "give the folder of the data set")
    try:
        json.loads(content)
    except ValueError as error:
        raise RecordError(
            file=path, expected="JSON", received=f"a file that is not JSON ({error})", remedy="correct it"
        ) from None


def validate(folder: str | os.PathLike) -> bool:
    """Runs the BIDS validator, if it is installed; returns whether it was.

    Args:
        folder: The data set.

    Raises:
        RecordError: The data set is not valid.
    """
    beside = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    program = shutil.which(VALIDATOR, path=beside) or shutil.which(OLDER_VALIDATOR)
    if program is None:
        return False
    name = Path(program).name
    options = ["--format", "json"] if name == VALIDATOR else []
    done = subprocess.run([program, *options, os.fspath(folder)], capture_output=True, text=True)
    if done.returncode:
        errors = _errors(done.stdout) if name == VALIDATOR else re.findall(r"^.*\[ERR\].*$", done.stdout, re.MULTILINE)
        raise RecordError(
            file=folder,
            expected="a valid BIDS data set",
            received=listed(map(str.strip, errors), most=3, separator="; ") or f"exit code {done.returncode} of {name}",
            remedy=f"see what {name} says of it, or use --skip-bids-validation",
        )
    return True


def _errors(report):
    """Returns the errors in the validator's report, each with its file; none if the report is not its JSON."""
    try:
        issues = json.loads(report)["issues"]["issues"]
        wrong = [issue for issue in issues if issue["severity"] == "error"]
        return [f"{issue['code']} ({issue.get('location', 'the data set')})" for issue in wrong]
    except (ValueError, KeyError, TypeError):
        return []


def description_of(preset: str) -> str:
    """Returns a preset's name as BIDS allows it in file names: letters and digits.

    Args:
        preset: Name or folder of the preset.

    Example:
        >>> description_of("densenet3d_pe")
        'densenet3dpe'
    """
    return re.sub("[^0-9A-Za-z]", "", Path(preset).name)


def write_description(
    output: str | os.PathLike, source: str | os.PathLike, preset: str, labels: Iterable[Label]
) -> None:
    """Writes what a folder of derivatives needs beside the label maps: its description, and names and colours.

    Args:
        output: Folder of the derivatives.
        source: The data set that they are made of.
        preset: Name of the preset.
        labels: The labels that it gives.
    """
    output = Path(output)
    generator = {"Name": "recalib-keras", "Version": recalib_keras.__version__, "Description": f"preset {preset}"}
    write_json(
        output / DESCRIPTION,
        {
            "Name": f"Segmentations of {Path(source).resolve().name} by recalib-keras",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [generator],
            "DatasetLinks": {"raw": Path(source).resolve().as_uri()},
            "SourceDatasets": [{"URL": Path(source).resolve().as_uri()}],
        },
    )
    write_text(output / "README", README.format(preset=preset))
    write_text(output / ".bidsignore", "".join(f"{name}\n" for name in IGNORED))
    rows = ((label.id, label.name, f"#{bytes(label.color).hex()}") for label in labels)
    write_tsv(output / f"desc-{description_of(preset)}_dseg.tsv", ("index", "name", "color"), rows)


def write_group(output: str | os.PathLike) -> list[Path]:
    """Writes a table for each measure: a row for each scan of the derivatives, a column for each structure.

    Args:
        output: Folder of the derivatives.

    Returns:
        The paths of the tables.

    Raises:
        RecordError: There are no derivatives.
    """
    output = Path(output)
    rows = read_csv(
        output / "volumes.csv", ("labels", "structure", *MEASURES), "the volumes of a `participant` run"
    ).rows
    scans: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        scans.setdefault(row["labels"], []).append(row)
    structures = list(dict.fromkeys(row["structure"] for row in rows))
    written = []
    for measure in MEASURES:
        table: list[Sequence[str]] = []
        for labels, own in sorted(scans.items()):
            values = {row["structure"]: row[measure] for row in own}
            table.append((*_names(labels), labels, *(values.get(name) or "n/a" for name in structures)))
        columns = ("participant_id", "session_id", "labels", *structures)
        written.append(write_tsv(output / "group" / f"{measure}.tsv", columns, table))
    return written


def _names(labels):
    """Returns participant and session of a label map, as BIDS writes them."""
    entities = dict(ENTITY.findall(Path(labels).name))
    return tuple(f"{key}-{entities[key]}" if key in entities else "n/a" for key in ("sub", "ses"))
