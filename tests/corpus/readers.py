"""Reads a case as the commands do, and judges what came of it."""

import warnings
from pathlib import Path

import numpy as np

from recalib_keras import volumes
from recalib_keras.core.errors import RecalibError, ScanWarning
from recalib_keras.datasets.folders import label_names, read_json
from recalib_keras.datasets.problems import DatasetError
from recalib_keras.datasets.source import Survey
from recalib_keras.datasets.splitting import with_patients
from recalib_keras.evaluation import Report, read_structures
from recalib_keras.inference.batch.volume_table import VolumeTable
from recalib_keras.synthesis import LabelTable
from recalib_keras.training import Recipe
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.study import Study
from recalib_keras.tuning.trials import state
from recalib_keras.zoo.preset import Preset

from .cases import Case

# A place may differ by the rounding of float32 and of quaternions (mm).
NEAR = 5e-3


def _scan(path):
    scan = volumes.read(path)
    scan.conform("RAS", (2, 2, 2))
    return scan


def _recipe(path):
    recipe = Recipe.read(path)
    recipe.to_toml()
    return recipe


def _preset(path):
    preset = Preset.read(path)
    preset.to_json(), repr(preset)
    return preset


def _names(path):
    content, problems = read_json(path)
    found, more = label_names(content.get("labels"), path)
    if problems + more:
        raise DatasetError(problems + more)
    return found


def _scans(path):
    survey = with_patients(Survey([], None, [], []), path.parent)
    if survey.problems:
        raise DatasetError(survey.problems)


READERS = {
    "scan": _scan,
    "labels": volumes.read_labels,
    "recipe": _recipe,
    "preset": _preset,
    "study": lambda path: Plan(Study.read(path)),
    "state": lambda path: state.read(path),
    "table": lambda path: VolumeTable(path),
    "report": Report.read,
    "scans": _scans,
    "names": read_structures,
    "json_names": _names,
    "generation": LabelTable.read,
}


def read(case: Case, path: Path) -> tuple[str, str]:
    """Returns what came of a case, `"read"`, `"refused"` or `"failed"`, and why, in words.

    Args:
        case: The case.
        path: What it wrote.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = READERS[case.reader](path)
        except RecalibError as error:
            return _judge_refusal(case, error, path)
        except OSError as error:
            return "failed", f"a bare {type(error).__name__}: {error}"
        except Exception as error:  # what a user would see as a traceback
            return "failed", f"{type(error).__name__}: {str(error)[:300]}"
    strange = [one for one in caught if not issubclass(one.category, (ScanWarning, ResourceWarning))]
    if strange:
        return "failed", f"a warning of another kind: {strange[0].category.__name__}: {strange[0].message}"
    return _judge_result(case, result)


def _judge_result(case, result):
    if case.must == "refuse":
        return "failed", f"read, but should be refused: {str(result)[:100]}"
    if case.places and not any(_is_at(result.grid, place) for place in case.places):
        return "failed", f"silently on a wrong grid: {result.grid}, {result.grid.affine.tolist()}"
    if case.values is not None and not np.allclose(result.array, case.values, rtol=1e-5, atol=1e-4):
        return "failed", "silently with wrong values"
    return "read", ""


def _is_at(grid, place):
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in place.shape])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    return grid.shape == place.shape and bool(np.all(abs((grid.affine - place.affine) @ corners) < NEAR))


def _judge_refusal(case, error, path):
    lines = getattr(error, "lines", [str(error)])
    for line in lines:
        if "\n" in line or len(line) > 2000:
            return "failed", f"a message of several lines, or too long: {line[:200]!r}"
        if " expected " not in f" {line}" or " got " not in line:
            return "failed", f"a message without what was expected and found: {line}"
        if case.names_file and path.name[:40] not in line:
            return "failed", f"a message that does not name the file: {line}"
        if ";" not in line.rpartition(" got ")[2]:
            return "failed", f"a message without a remedy: {line}"
    if case.must == "read":
        return "failed", f"refused, but should be read: {lines[0]}"
    return "refused", lines[0]
