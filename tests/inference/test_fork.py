"""Processes that are forked after a segmentation; each test forks a fresh process, as users do."""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

SCRIPT = """
import multiprocessing, threading, time
import nibabel as nib
import numpy as np
import recalib_keras
from recalib_keras.inference import segmenter as module

image = nib.Nifti1Image(np.random.default_rng(0).normal(size=(8, 8, 8)).astype("float32"), np.eye(4))
def voxels(preset):
    start = time.perf_counter()
    try:
        labels = recalib_keras.segment(image, preset, engine=ENGINE, precision="float32")
        return int((np.asarray(labels.dataobj) == 7).sum())
    except recalib_keras.inference.EngineError as error:
        return time.perf_counter() - start < 1, str(error)
"""


def run(body, preset, engine="keras"):
    """Runs the script with a body in a process of its own; returns what it prints, in lines."""
    code = SCRIPT.replace("ENGINE", repr(engine)) + textwrap.dedent(body).replace("PRESET", repr(str(preset)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def test_keras_names_the_remedy_at_once_instead_of_hanging(bright_preset):
    """Also if the forked process loads the network itself; and the error reaches the parent, with its parts."""
    body = """
    def fails(preset):
        recalib_keras.segment(image, preset, engine="keras", precision="float32")

    print(voxels(PRESET) > 0, flush=True)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(*pool.apply_async(voxels, [PRESET]).get(timeout=20))
        try:
            pool.apply_async(fails, [PRESET]).get(timeout=20)
        except recalib_keras.inference.EngineError as error:
            print(error.remedy)
    module._cached_segmenter.cache_clear()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(*pool.apply_async(voxels, [PRESET]).get(timeout=20))
    """
    remedy = "start processes with multiprocessing.get_context(\"spawn\"), or use the engine 'openvino'"
    before, again, reached, loaded = run(body, bright_preset)
    assert before == "True" and reached == remedy
    for line in (again, loaded):
        assert line.startswith("True expected the process ") and line.endswith(remedy)


@pytest.mark.slow
def test_a_process_that_was_forked_before_computes(bright_preset):
    """Even if another thread of its parent was segmenting."""
    body = """
    module._one_at_a_time.acquire()  # as a thread does that segments
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply_async(voxels, [PRESET]).get(timeout=100) > 0)
    """
    assert run(body, bright_preset) == ["True"]


@pytest.mark.slow
def test_openvino_computes_after_a_fork(openvino, bright_preset):
    body = """
    voxels(PRESET)
    module._cached_segmenter.cache_clear()
    own = voxels(PRESET)  # by the network that was compiled before
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply_async(voxels, [PRESET]).get(timeout=20) == own)
    """
    assert run(body, bright_preset, "openvino") == ["True"]
