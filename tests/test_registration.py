"""`keras.saving.load_model` finds the classes of this package, and importing the package loads no Keras."""

import importlib
import pkgutil
import subprocess
import sys

import keras
import pytest

import recalib_keras
from recalib_keras import layers, models, registration
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy
from recalib_keras.training.optimizers import RecipeMuon

LOAD = """
import sys
{imports}
for name in ("plain", "compiled"):
    model = keras.saving.load_model(f"{{sys.argv[1]}}/{{name}}.keras")
    print(type(model).__name__, type(model.get_layer("encoder_1_recalibration")).__name__)
    print(*(type(getattr(model, part, None)).__name__ for part in ("optimizer", "loss")))
    print("recalib_keras.training" in sys.modules)
"""


def run(code, *arguments):
    """Returns what a fresh process prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param("import recalib_keras, keras", id="ours_first"),
        pytest.param("import keras, recalib_keras", id="keras_first", marks=pytest.mark.slow),
    ],
)
def test_a_fresh_process_loads_networks_with_their_loss_and_optimizer(imports, tmp_path):
    block = {"recalibration": layers.CBAM, "recalibration_args": {"reduction_ratio": 2}}
    model = models.SDNet((8, 8, 1), 3, levels=1, filters=4, **block)
    model.save(tmp_path / "plain.keras")
    model.compile(RecipeMuon(0.01), DiceCrossEntropy())
    model.save(tmp_path / "compiled.keras")
    plain, compiled = ["SDNet", "CBAM", "NoneType", "NoneType", "False"], ["SDNet", "CBAM", "RecipeMuon"]
    assert run(LOAD.format(imports=imports), tmp_path) == [*plain, *compiled, "DiceCrossEntropy", "True"]


def test_a_fresh_process_finds_every_class():
    """Each is asked for by its registered name before anything is imported; a mere look for Keras changes nothing."""
    code = (
        "import importlib.util, sys, recalib_keras\n"
        "assert importlib.util.find_spec('keras').name == 'keras' and 'keras' not in sys.modules\n"
        "import keras\n"
        "assert not [one for one in sys.meta_path if type(one).__module__ == 'recalib_keras.registration']\n"
        "from recalib_keras.registration import CLASSES\n"
        "registry = keras.saving.get_custom_objects()\n"
        "for name in CLASSES:\n"
        "    found = registry[f'recalib_keras>{name}']\n"
        "    found = found if isinstance(found, type) else found.load()\n"
        "    assert isinstance(found, type) and found.__name__ == name, (name, found)\n"
        "    assert registry[f'recalib_keras>{name}'] is found\n"
        "print(len(CLASSES))"
    )
    assert run(code) == [str(len(registration.CLASSES))]


@pytest.mark.parametrize(
    "code",
    [
        "import recalib_keras",
        "from recalib_keras.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from recalib_keras import zoo\nzoo.info('densenet3d_pe')",
    ],
    ids=["package", "help", "presets"],
)
def test_neither_the_package_nor_the_command_loads_keras(code):
    loaded = "{'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)"
    assert run(f"import sys\n{code}\nprint('loaded', sorted({loaded}))")[-2:] == ["loaded", "[]"]


def test_every_part_loads_on_first_use():
    assert run("import recalib_keras\nprint(recalib_keras.reports.__name__)") == ["recalib_keras.reports"]


def test_all_registered_classes_have_a_place():
    for module in pkgutil.walk_packages(recalib_keras.__path__, "recalib_keras."):
        if module.name.split(".")[1] in ("layers", "models", "synthesis", "training"):
            importlib.import_module(module.name)
    registry = keras.saving.get_custom_objects()
    ours = {name.partition(">")[2]: found for name, found in registry.items() if name.startswith("recalib_keras>")}
    assert {name: found.__module__ for name, found in ours.items()} == {
        name: f"recalib_keras.{module}" for name, module in registration.CLASSES.items()
    }
    assert {getattr(layers, name).__name__ for name in layers.__all__} - {"Recalibration"} <= ours.keys()


@pytest.mark.parametrize(("chosen", "expected"), [(None, "1"), ("0", "0")])
def test_tensorflow_uses_onednn_unless_the_environment_says_otherwise(chosen, expected, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if chosen:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", chosen)
    assert run("import os, recalib_keras; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])") == [expected]
