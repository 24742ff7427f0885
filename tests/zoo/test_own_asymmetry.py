import dataclasses
import json

import pytest

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError
from recalib_keras.zoo import OwnAsymmetry
from recalib_keras.zoo.own_asymmetry import own_asymmetry_of
from recalib_keras.zoo.preset import Preset

OWN = OwnAsymmetry("phantom", 3, {"left cube": (1.0, 0.5)})


def test_mean_and_standard_deviation_of_the_versions():
    measured = [{"left cube": 1.0, "left ball": 5.0}, {"left cube": 2.0}, {"left cube": 6.0}]
    own = own_asymmetry_of("phantom", measured)
    assert own.versions == 3
    assert own.percent == {"left cube": (3.0, 2.65)}  # the sample's: √((4 + 1 + 9) / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"versions": 0}, "versions"),
        ({"percent": {"left cube": (201.0, 1.0)}}, "percent.left cube"),
        ({"percent": {"left cube": (1.0, -1.0)}}, "percent.left cube"),
        ({"template": ""}, "template"),
    ],
)
def test_values_out_of_range(changes, message):
    with pytest.raises(RecordError, match=message):
        dataclasses.replace(OWN, **changes)


def test_a_preset_keeps_it(bright_preset, tmp_path):
    described = zoo.info(bright_preset)
    weight_set = dataclasses.replace(described.weight_sets["bright"], asymmetry=OWN)
    text = Preset("bright", {"bright": weight_set}).to_json()
    (tmp_path / "preset.json").write_text(text, encoding="utf-8")
    assert zoo.info(tmp_path).weight_sets["bright"].asymmetry == OWN
    assert "asymmetry" not in json.loads(described.to_json())["weight_sets"]["bright"]


@pytest.mark.parametrize("preset", ["densenet3d_pe", "unet3d", "unet3d_pe"])
def test_whole_brain_presets_know_theirs(preset):
    weight_set = zoo.weight_set(preset, "whole_brain")
    pairs = {label.name for label in weight_set.labels if label.mirror and label.name.startswith("left ")}
    assert set(weight_set.asymmetry.percent) == pairs
