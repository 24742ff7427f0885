import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file
from training.runs import assert_same_run, by_place, read_log
from training.synthetic import changed, write_recipe

from recalib_keras.training import Recipe, TrainingError, find_split, train
from recalib_keras.training.data.examples import Examples, read_scan
from recalib_keras.training.distributed import strategy as distribution
from recalib_keras.training.distributed.strategy import ONE_DEVICE, Distribution, accelerator, over_devices, over_hosts

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of the TensorFlow backend")

SHORT = 'extends = "balls.toml"\n[schedule]\nepochs = 2\nbatch_size = 4\nsteps_per_epoch = 3\naverage = 0.5\n'

# Nothing in it depends on which examples share a batch but the mean of the cross-entropy, and clipping is felt.
LINEAR = """extends = "short.toml"
[network]
arguments = { levels = 1, filters = 4, normalization = "none", dropout = 0.0 }
[loss]
dice = 0.0
[optimizer]
name = "sgd"
learning_rate = 0.5
momentum = 0.9
clip_norm = 0.1
"""

# What JAX says in a process of its own to hosts and devices that are not there.
ASK_IN_VAIN = """
import json, sys
from recalib_keras.training.distributed.strategy import over_devices, over_hosts
port, messages = sys.argv[1], []
hosts = [f"127.0.0.1:{port}", "10.0.0.2:1"]
for ask in (lambda: over_devices(2), lambda: over_devices(0), lambda: over_hosts(hosts, 2),
            lambda: over_hosts(hosts, 0, timeout=1), lambda: over_hosts(hosts, 1, timeout=1)):
    try:
        ask()
    except (ValueError, OSError) as error:
        messages.append(f"{type(error).__name__}: {error}")
print(json.dumps(messages))
"""


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """A folder with the recipes `short.toml`, `linear.toml` and `longer.toml`."""
    folder = tmp_path_factory.mktemp("recipes")
    write_recipe(folder / "balls.toml")
    (folder / "short.toml").write_text(SHORT)
    (folder / "linear.toml").write_text(LINEAR)
    (folder / "longer.toml").write_text('extends = "short.toml"\n[schedule]\nepochs = 8\n')
    return folder


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def start(recipe, folder, data, *arguments, cpu_devices=1):
    """Starts `recalib train` on JAX in another process."""
    pytest.importorskip("jax")
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        # With hardly any optimising, compiling takes less time.
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={cpu_devices} --xla_backend_optimization_level=1",
    }
    recalib = [sys.executable, "-m", "recalib_keras.cli.main"]
    command = [*recalib, "train", recipe, "--data", data, "-o", folder, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def start_hosts(recipe, folder, data, *arguments):
    """Starts the same training on two hosts."""
    hosts = f"127.0.0.1:{free_port()},127.0.0.1"
    return [start(recipe, folder, data, "--hosts", hosts, "--host-index", str(host), *arguments) for host in range(2)]


def finish(*processes):
    """Waits for processes to end well; returns what they printed."""
    said = [process.communicate(timeout=600) for process in processes]
    for process, (_, errors) in zip(processes, said):
        assert process.returncode == 0, errors
    return [printed for printed, _ in said]


@pytest.fixture(scope="module")
def one_jax_device(recipes, data, tmp_path_factory):
    """The folder of a run on one device."""
    folder = tmp_path_factory.mktemp("jax") / "one"
    finish(start(recipes / "short.toml", folder, data))
    return folder


def assert_close_run(folder, other):
    """Asserts that two runs differ by rounding alone, in losses, scores and all of their state."""
    lines, others = read_log(folder), read_log(other)
    assert len(lines) == len(others) > 0
    for line, of_other in zip(lines, others):
        assert line["loss"] == pytest.approx(of_other["loss"], abs=2e-5)  # the log has five digits
        assert line["dice"] == pytest.approx(of_other["dice"], abs=2e-3)  # a voxel may fall to the other side
    ours, theirs = (by_place(load_file(path / "checkpoint.safetensors")) for path in (folder, other))
    assert ours.keys() == theirs.keys()
    for place, tensor in ours.items():
        np.testing.assert_allclose(tensor, theirs[place], atol=1e-4, err_msg=place)


@pytest.mark.slow
def test_two_jax_devices_give_what_one_does(one_jax_device, recipes, data, tmp_path):
    finish(start(recipes / "short.toml", tmp_path, data, "--devices", "2", cpu_devices=2))
    assert_close_run(tmp_path, one_jax_device)


@pytest.mark.slow
def test_two_hosts_give_what_one_does(one_jax_device, recipes, data, tmp_path):
    first, second = finish(*start_hosts(recipes / "short.toml", tmp_path, data))
    assert "epoch 2/2" in first and "preset written to" in first
    assert "epoch" not in second and "preset" not in second
    assert_close_run(tmp_path, one_jax_device)


@pytest.mark.slow
def test_a_host_that_dies_ends_all_and_all_resume(recipes, data, tmp_path):
    finish(*start_hosts(recipes / "longer.toml", tmp_path / "whole", data))
    first, second = start_hosts(recipes / "longer.toml", tmp_path / "broken", data)
    while not (tmp_path / "broken" / "checkpoint.safetensors").exists():
        assert first.poll() is None and second.poll() is None
        time.sleep(0.1)
    second.kill()
    _, errors = first.communicate(timeout=150)
    assert first.returncode in (2, -signal.SIGABRT), errors  # JAX ends the process if it notices first
    second.communicate()
    before = read_log(tmp_path / "broken")
    assert 0 < len(before) < 8
    finish(*start_hosts(recipes / "longer.toml", tmp_path / "broken", data, "--resume"))
    assert read_log(tmp_path / "broken")[: len(before) - 1] == before[:-1]  # the last may be ahead of the checkpoint
    assert_same_run(tmp_path / "broken", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["recipe", "folder", "data"])
def test_hosts_that_differ_end_with_an_error(fault, recipes, data, tmp_path):
    hosts = f"127.0.0.1:{free_port()},127.0.0.1"
    others = [recipes / "short.toml", tmp_path / "run", data]
    place, value, message = {
        "recipe": (0, recipes / "longer.toml", "expected the same recipe and scans on all 2 hosts"),
        "folder": (1, tmp_path / "elsewhere", "expected all hosts to share the folder"),
        "data": (2, tmp_path, "expected all hosts to train together, got an error on host"),
    }[fault]
    others[place] = value
    processes = [
        start(*what, "--hosts", hosts, "--host-index", str(host))
        for host, what in enumerate([(recipes / "short.toml", tmp_path / "run", data), others])
    ]
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2], errors
    assert message in errors[0]
    assert (message if fault != "data" else "expected a folder of scans") in errors[1]
    assert not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.slow
def test_what_jax_says_to_devices_and_hosts_that_are_not_there():
    pytest.importorskip("jax")
    command = [sys.executable, "-c", ASK_IN_VAIN, str(free_port())]
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    too_few, none, no_such, no_peer, no_first = json.loads(done.stdout)
    assert too_few == "ValueError: expected 2 devices, got 1 (cpu:0); use fewer"
    assert none == "ValueError: expected `devices` to be at least 1, got 0"
    assert no_such == "ValueError: expected a host index from 0 to 1, got 2"
    assert no_peer.startswith("TimeoutError: expected 2 hosts within 1 s, got no report of host 1 (10.0.0.2:1); start")
    assert no_first.startswith("TimeoutError: expected host 0 at 127.0.0.1:")


@pytest.fixture(scope="module")
def mirrored(recipes, data, tmp_path_factory):
    """A folder with two runs over two TensorFlow devices, `linear` and `short`."""
    folder = tmp_path_factory.mktemp("mirrored")
    runs = [path for name in ("linear", "short") for path in (recipes / f"{name}.toml", folder / name)]
    command = [sys.executable, Path(__file__).with_name("mirrored.py"), data, *runs]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@on_tensorflow
def test_two_tensorflow_devices_give_the_cross_entropy_of_one(mirrored, recipes, data, tmp_path):
    train(Recipe.read(recipes / "linear.toml"), tmp_path, data)
    assert_close_run(mirrored / "linear", tmp_path)


@pytest.mark.slow
@on_tensorflow
def test_two_tensorflow_devices_learn_with_dice_and_batch_normalization(mirrored, recipes, data, tmp_path):
    """A device's share of the Dice and of the batch's statistics is not the whole's, but near it."""
    train(Recipe.read(recipes / "short.toml"), tmp_path, data)
    for line, of_one in zip(read_log(mirrored / "short"), read_log(tmp_path)):
        assert line["loss"] == pytest.approx(of_one["loss"], abs=0.1) and line["loss"] != of_one["loss"]
    best = load_file(mirrored / "short" / "best.safetensors")
    averages = [
        value for name, value in load_file(mirrored / "short" / "checkpoint.safetensors").items() if "average" in name
    ]
    assert any(np.array_equal(best["classifier/kernel"], average) for average in averages)


@on_tensorflow
def test_too_few_tensorflow_devices():
    with pytest.raises(ValueError, match=r"expected 64 devices, got \d+ \(.*:0.*\); use fewer"):
        over_devices(64)
    with pytest.raises(ValueError, match="expected `devices` to be at least 1, got 0"):
        over_devices(0)


def test_pytorch_has_no_data_parallelism(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="got 'torch', for which Keras has no data parallelism; set KERAS_BACKEND to"):
        over_devices(2)


def test_a_cpu_is_no_accelerator():
    assert accelerator() is None


def test_hosts_are_for_jax(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ValueError, match="JAX backend for several hosts, got 'tensorflow'; set KERAS_BACKEND=jax"):
        over_hosts(["a:1", "b:1"], 0)


def test_one_device_is_what_keras_does_by_itself():
    assert over_devices(1) is ONE_DEVICE and ONE_DEVICE.is_first
    assert ONE_DEVICE.share(7) == slice(0, 7)
    ONE_DEVICE.agree("thing", object())
    ONE_DEVICE.check_shared(Path("nowhere"))
    ONE_DEVICE.wait()


def test_each_host_prepares_its_part_of_a_batch():
    shares = [Distribution(devices=4, hosts=2, host=host).share(8) for host in range(2)]
    assert [list(range(8))[share] for share in shares] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_the_parts_of_a_batch_make_up_the_batch(recipe, data):
    everything = {"flip": 0.5, "scaling": 0.1, "elastic": 1.0, "gamma": 0.2, "contrast": 0.2, "brightness": 0.1}
    everything |= {"blur": 1.0, "bias_field": 0.2, "low_resolution": 2.0}
    recipe = changed(recipe, schedule={"batch_size": 4}, augmentation=everything)
    scans = [read_scan(scan, recipe.input, recipe.labels) for scan in find_split(recipe, data).training]
    whole, first, second = (
        [keras.ops.convert_to_numpy(array) for array in Examples(scans, recipe, 1, share)[2]]
        for share in (slice(None), slice(0, 2), slice(2, 4))
    )
    for array, *parts in zip(whole, first, second):
        assert array.shape == (4, 12, 12, 12, 1)
        np.testing.assert_allclose(array, np.concatenate(parts), atol=1e-5)


def test_a_batch_that_cannot_be_shared(recipes, data, tmp_path):
    recipe = Recipe.read(recipes / "short.toml")
    with pytest.raises(
        ValueError, match="a batch_size that 3 devices can share evenly, got 4; change it in the recipe"
    ):
        train(recipe, tmp_path / "run", data, distribution=Distribution(devices=3))
    assert not (tmp_path / "run").exists()


class Two(Distribution):
    """Host 0 of two, the other of which says something else."""

    def _gathered(self, array):
        return np.stack([array, array + 1])


def test_hosts_that_disagree():
    with pytest.raises(ValueError, match="expected the same recipe on all 2 hosts, got others than host 0's on host 1"):
        Two(devices=2, hosts=2).agree("recipe", "mine")


def test_a_host_that_is_lost():
    jax = pytest.importorskip("jax")
    for error in (jax.errors.JaxRuntimeError("socket closed"), ValueError("Gloo AllReduce failed")):
        expected = rf"expected all hosts to train together, got an error on host 1 \({error}\); .*--resume"
        with pytest.raises(TrainingError, match=expected), distribution._together(1):
            raise error
    with pytest.raises(ValueError, match=r"^of the user$"), distribution._together(1):
        raise ValueError("of the user")
