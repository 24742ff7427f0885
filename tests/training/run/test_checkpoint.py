import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from recalib_keras.training.run.checkpoint import read_fingerprint, restore_checkpoint, save_checkpoint


def compiled_model(units=3, seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dropout(0.5)])
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse")
    return model


def state(model):
    return [keras.ops.convert_to_numpy(variable) for variable in [*model.variables, *model.optimizer.variables]]


def step(model):
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(8, 4)), rng.normal(size=(8, 3)), verbose=0, shuffle=False)


def test_restores_weights_optimizer_and_random_states(tmp_path):
    model, other = compiled_model(), compiled_model(seed=1)
    step(model)
    save_checkpoint(tmp_path / "state.safetensors", model, [{"epoch": 1, "dice": 0.25}])
    assert restore_checkpoint(tmp_path / "state.safetensors", other) == [{"epoch": 1, "dice": 0.25}]
    assert all(np.array_equal(a, b) for a, b in zip(state(model), state(other), strict=True))
    step(model)
    step(other)
    assert all(np.array_equal(a, b) for a, b in zip(state(model), state(other), strict=True))


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    model = compiled_model()
    save_checkpoint(tmp_path / "state.safetensors", model, 1)
    before = (tmp_path / "state.safetensors").read_bytes()
    step(model)

    def fail(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "state.safetensors", model, 2)
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_refuses_other_variables(tmp_path):
    save_checkpoint(tmp_path / "state.safetensors", compiled_model(), 1)
    with pytest.raises(ValueError, match="shape"):
        restore_checkpoint(tmp_path / "state.safetensors", compiled_model(units=5))
    deeper = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(3)])
    deeper.compile("adam", "mse")
    with pytest.raises(ValueError, match="expected 6 variables, those of the network and its optimizer, got 9"):
        restore_checkpoint(tmp_path / "state.safetensors", deeper)


def test_stores_the_fingerprint_of_its_run(tmp_path):
    path, model = tmp_path / "state.safetensors", compiled_model()
    save_checkpoint(path, model, 1, {"recipe": {"seed": 3}})
    assert read_fingerprint(path) == {"recipe": {"seed": 3}}
    save_checkpoint(path, model, 1)
    assert read_fingerprint(path) is None
    save_file({"weight": np.zeros(1)}, path)
    assert read_fingerprint(path) is None


def test_the_keys_of_the_metadata_are_those_of_old_runs(tmp_path):
    save_checkpoint(tmp_path / "state.safetensors", compiled_model(), [{"epoch": 1}], {"recipe": {"seed": 3}})
    with safe_open(tmp_path / "state.safetensors", framework="numpy") as stored:
        assert stored.metadata() == {"progress": '[{"epoch": 1}]', "identity": '{"recipe": {"seed": 3}}'}
