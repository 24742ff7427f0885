"""The corpus of bad and odd input, and that it notices what it should; see `tests/corpus`."""

import collections
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
import typing
from pathlib import Path

import numpy as np
import pytest
from corpus import readers
from corpus.bases import PRESET, RECIPES
from corpus.cases import KINDS, Case, Place, cases_of, choose
from corpus.runner import run

from recalib_keras.models.architecture import ARGUMENTS
from recalib_keras.training import Recipe
from recalib_keras.zoo.preset import WeightSet

ROOT = Path(__file__).resolve().parents[1]


def outcome(*functions, **keys):
    """Returns what the runner says of a case that a function of the path reads."""
    cases = [("nifti", Case(f.__name__, lambda folder: folder / "x.nii", f.__name__, **keys)) for f in functions]
    for function in functions:
        readers.READERS[function.__name__] = function
    return [(found.status, found.why) for found in run(cases, workers=1)]


def hangs(path):
    time.sleep(100)


def dies(path):
    os.kill(os.getpid(), signal.SIGKILL)


def raises(path):
    raise KeyError("x")


def takes_memory(path):
    np.ones(2**29)


def refuses_badly(path):
    raise readers.RecalibError("no")


def warns(path):
    np.float64(1) / np.float64(0)


def test_faults_are_noticed_and_the_other_cases_run(monkeypatch):
    monkeypatch.setattr("corpus.runner.SECONDS", 0.5)
    monkeypatch.setattr("corpus.runner.PATIENCE", 4)
    found = outcome(hangs, dies, raises, takes_memory, refuses_badly, warns)
    assert [status for status, _ in found] == ["failed"] * 6
    expected = ("hangs", "ended by itself", "KeyError: 'x'", "Memory", "without what was expected", "RuntimeWarning")
    for (_, why), words in zip(found, expected, strict=True):
        assert words in why


def test_a_wrong_grid_is_noticed():
    (_, good), *_ = choose(1, 0, ["orientation"])
    wrong = Case("moved", good.write, places=(Place(good.places[0].shape, good.places[0].affine + 0.1),))
    assert [one.status for one in run([("orientation", good), ("orientation", wrong)], workers=1)] == ["read", "failed"]


@pytest.mark.parametrize("kind", KINDS)
def test_cases_are_the_same_for_a_seed(kind):
    first, second = ([case.name for _, case in choose(5, 3, [kind])] for _ in range(2))
    assert first == second and len(set(first)) == 5
    assert next(cases_of(kind, 3)).name == first[0]


def test_the_good_files_have_every_key():
    """Each key is then given every absurd value."""
    keys = collections.defaultdict(set)
    for record, tables in ((Recipe, RECIPES.values()), (WeightSet, PRESET["weight_sets"].values())):
        for table in tables:
            _collect(record, table, keys)
    assert {record: found for record, found in keys.items() if found != _keys_of(record)} == {}


def _keys_of(record):
    return {field.name for field in dataclasses.fields(record) if field.init}


def _collect(record, table, keys):
    """Adds the keys of a table, and those of the tables in it, to the keys of their kind of record."""
    keys[record] |= table.keys()
    for name, hint in typing.get_type_hints(record).items():
        for kind in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(kind) and name in table:
                for below in table[name] if isinstance(table[name], list) else [table[name]]:
                    _collect(kind, below, keys)


def test_the_good_networks_have_every_argument():
    tables = [recipe["network"]["arguments"] for recipe in RECIPES.values()]
    assert {key for table in tables for key in table} == {*ARGUMENTS}


def _run(*arguments):
    command = [sys.executable, "-m", "tests.corpus", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    return done.returncode, done.stdout, done.stderr


def test_some_cases_of_each_kind():
    code, said, errors = _run("--count", 75, "--seed", 5)
    assert code == 0, said + errors
    assert re.search(r"^all +75 +\d+ +\d+ +0 ", said, flags=re.MULTILINE)


@pytest.mark.slow
def test_the_whole_corpus():
    code, said, errors = _run("--count", 2000)
    assert code == 0, said + errors
