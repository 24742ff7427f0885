import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import own_asymmetry
from recalib_keras import zoo
from recalib_keras.evaluation import StructureVolume
from recalib_keras.volumes import Grid, Volume


@pytest.fixture
def head():
    """A symmetric head whose middle is the plane x = 0."""
    half = np.random.default_rng(0).uniform(50, 100, (10, 24, 20)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, 3] = (-9.5, -12, -10)
    return Volume(np.concatenate([half, half[::-1]]), Grid((20, 24, 20), affine))


def test_versions_are_symmetric_about_the_middle_of_the_world(head):
    found = list(own_asymmetry.versions(own_asymmetry.symmetric(head)))
    assert len(found) == 8
    for place, version in enumerate(found):
        across = version.on(head.grid).array
        tolerance = 30 if place == 3 else 1e-3  # the noise is not symmetric
        assert np.abs(across - across[::-1]).max() < tolerance, place
    assert all(np.isfinite(version.array).all() for version in found)
    assert len({version.array.tobytes() for version in found}) == 8


def test_a_template_that_is_not_symmetric_is_refused(head):
    changed = head.array.copy()
    changed[0] *= 2
    with pytest.raises(ValueError, match="expected a symmetric template"):
        own_asymmetry.symmetric(Volume(changed, head.grid))
    moved = Grid(head.grid.shape, head.grid.affine @ own_asymmetry.translation(3))
    with pytest.raises(ValueError, match="whose middle lies at x = 3 mm"):
        own_asymmetry.symmetric(Volume(head.array, moved))


def test_the_asymmetries_of_all_versions_count(head, monkeypatch):
    monkeypatch.setattr(own_asymmetry, "template", lambda: head)
    monkeypatch.setattr(own_asymmetry.volumes, "read", lambda image: image)
    asymmetries = iter(range(8))

    def segmenter(scan, measure_uncertainty):
        value = float(next(asymmetries))
        pair = [StructureVolume(f"{side} cube", 1, 1, 1.0, 1.0, value) for side in ("left", "right")]
        return SimpleNamespace(volumes=[*pair, StructureVolume("stem", 2, 1, 1.0, 1.0)])

    own = own_asymmetry.measured(segmenter)
    assert own.percent == {"left cube": (3.5, 2.45)} and own.versions == 8


def test_the_result_becomes_part_of_the_preset(bright_preset, tmp_path):
    folder = shutil.copytree(bright_preset, tmp_path / "bright")
    own = zoo.OwnAsymmetry("phantom", 8, {"left cube": (1.0, 0.5)})
    own_asymmetry.write(str(folder), "bright", own)
    assert zoo.weight_set(folder, "bright").asymmetry == own
    written = json.loads((folder / "preset.json").read_text())["weight_sets"]["bright"]["asymmetry"]
    assert written == {"template": "phantom", "versions": 8, "percent": {"left cube": [1.0, 0.5]}}
