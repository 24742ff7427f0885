import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from recalib_keras.inference.engines import Candidate, EngineError, Undecided, base, openvino_engine
from recalib_keras.inference.engines.base import agreement, seconds_of
from recalib_keras.inference.engines.openvino_engine import fastest_first
from recalib_keras.inference.engines.reference_run import ReferenceRun

KERAS, KERAS_16 = Candidate("keras", "float32"), Candidate("keras", "bfloat16")
OPENVINO = Candidate("openvino", "bfloat16")
SECONDS = {KERAS: 4.0, KERAS_16: 2.0}


class Engine:
    """Calls positive voxels 1, but for a share of them, and advances a clock by what it takes."""

    def __init__(self, candidate, clock, seconds, wrong=0.0):
        self.name, self.precision = candidate
        self.clock, self.seconds, self.wrong = clock, seconds, wrong

    def __call__(self, windows):
        self.clock.time += self.seconds
        labels = windows[..., 0] > 0
        positive = np.flatnonzero(labels)
        labels.flat[positive[: round(self.wrong * len(positive))]] = False
        return np.eye(2, dtype="float32")[labels.astype(int)]


class Clock:
    time = 0.0

    def perf_counter(self):
        return self.time


class FakeFactory:
    """Opens engines of 4 and 2 seconds for Keras, and of the given seconds for OpenVINO; notes what it opened."""

    def __init__(self, clock, seconds, wrong):
        self.clock, self.seconds, self.wrong = clock, SECONDS | {OPENVINO: seconds}, wrong
        self.cache, self.remembered, self.opened = self, [], []

    def keras(self, precision):
        return Engine(Candidate("keras", precision), self.clock, self.seconds[Candidate("keras", precision)])

    def reference_run(self, windows, candidates):
        self.run = ReferenceRun(self.keras("float32")(windows).argmax(axis=-1), {}, None)
        return self.run

    def open(self, candidate, run):
        assert run is self.run
        self.opened.append(candidate)
        return Engine(candidate, self.clock, self.seconds[candidate], self.wrong if candidate == OPENVINO else 0)

    def write_choice(self, candidates, selected):
        self.remembered.append((tuple(candidates), selected))


@pytest.fixture
def decide(monkeypatch):
    """Selects between Keras, of 4 and 2 seconds, and OpenVINO; returns what was selected, remembered, and opened."""

    def run(windows, seconds, wrong=0.0, choices=(KERAS, KERAS_16, OPENVINO)):
        clock = Clock()
        monkeypatch.setattr(base, "time", clock)
        factory = FakeFactory(clock, seconds, wrong)
        engine = Undecided(factory, list(choices))
        assert (engine.name, engine.precision) == KERAS
        assert np.array_equal(engine(windows), factory.keras("float32")(windows))
        decided = engine.decided(windows)
        assert all(among == choices for among, _ in factory.remembered)
        if decided is engine:
            return decided, factory.remembered, factory.opened
        selected = Candidate(decided.name, decided.precision)
        return selected, [each for _, each in factory.remembered], factory.opened

    return run


@pytest.mark.parametrize("seconds", [1.0, 9.0])
def test_openvino_is_taken_where_it_agrees_and_keras_is_not_tried(seconds, decide, windows):
    assert decide(windows, seconds) == (OPENVINO, [OPENVINO], [OPENVINO])


def test_keras_is_tried_where_openvino_does_not_agree(decide, windows):
    assert decide(windows, 1.0, wrong=0.5) == (KERAS_16, [KERAS_16], [OPENVINO, KERAS, KERAS_16])


def test_without_openvino_the_fastest_precision_is_taken(decide, windows):
    assert decide(windows, 0, choices=(KERAS, KERAS_16)) == (KERAS_16, [KERAS_16], [KERAS, KERAS_16])


def test_openvino_that_is_asked_for_is_taken_though_it_is_slower(decide, windows):
    assert decide(windows, 9.0, choices=(OPENVINO,))[0] == OPENVINO


@pytest.mark.parametrize(("wrong", "expected"), [(0.008, OPENVINO), (0.03, KERAS_16)])
def test_only_where_the_labels_agree(wrong, expected, decide, windows):
    """Half of the voxels are positive: 0.8 % of them wrong are 0.4 % of all, 3 % of them 1.5 %."""
    assert decide(windows, 1.0, wrong)[0] == expected


def test_agreement_on_background_does_not_count_for_structures(decide, windows):
    windows = np.where(np.arange(8).reshape(8, 1, 1, 1) == 0, windows, -1)  # a sixteenth is positive
    assert decide(windows, 1.0, wrong=0.03)[0] == KERAS_16


def test_windows_without_structures_decide_nothing(decide, windows):
    decided, remembered, _ = decide(-np.abs(windows), 1.0)
    assert isinstance(decided, Undecided) and remembered == []


def test_no_choice_agrees(decide, windows):
    with pytest.raises(EngineError, match=r"got this share of them: openvino-bfloat16 7.*%; use the engine 'keras'"):
        decide(windows, 1.0, wrong=0.5, choices=(OPENVINO,))


@pytest.mark.parametrize(("is_native", "first"), [(True, "bfloat16"), (False, "float32")])
def test_what_the_processor_computes_in_is_tried_first_and_alone(is_native, first, windows, monkeypatch):
    """Labels that agree end the search: nothing else is compiled, nor timed."""
    pytest.importorskip("openvino")
    capabilities = ["FP32", "BF16"] if is_native else ["FP32"]
    core = SimpleNamespace(get_property=lambda device, name: capabilities)
    monkeypatch.setattr(openvino_engine, "import_openvino", lambda: SimpleNamespace(Core=lambda: core))
    both, asked = [Candidate("openvino", "float32"), OPENVINO], []

    class Factory(FakeFactory):
        def reference_run(self, windows, candidates):
            asked.extend(candidates)
            return super().reference_run(windows, candidates)

    factory = Factory(Clock(), 1.0, 0.0)
    factory.seconds[both[0]] = 1.0
    decided = Undecided(factory, [KERAS, *both]).decided(windows)
    assert decided.precision == first and asked == factory.opened == [Candidate("openvino", first)]
    assert [choice.precision for choice in fastest_first(both)] == sorted(
        ["float32", "bfloat16"], reverse=not is_native
    )
    assert fastest_first([]) == []


@pytest.mark.parametrize(("unit", "rounds"), [(0.01, base.ROUNDS), (1.0, 1), (0.1, 2)])
def test_the_best_of_several_rounds_counts_where_they_are_short(unit, rounds, monkeypatch, windows):
    """The first call takes 12, 6, 4, 3 … units longer than the other, which takes 4."""
    clock, calls = Clock(), []
    monkeypatch.setattr(base, "time", clock)
    monkeypatch.setattr(base, "MOST_SECONDS", 1.5)
    engine = Engine(KERAS, clock, 4.0 * unit)

    def slow_at_first(batch):
        calls.append(None)
        clock.time += 12 * unit / len(calls)
        return engine(batch)

    slow_at_first(windows)
    assert seconds_of(lambda: slow_at_first(windows)) == pytest.approx((4 + 12 / (1 + rounds)) * unit)
    assert seconds_of(lambda: engine(windows)) == pytest.approx(4 * unit)
    labels = engine(windows).argmax(-1)
    assert agreement(engine, windows, labels) == (1, 1)


def test_one_engine_is_open_at_a_time(windows, monkeypatch):
    """Those of large windows take gigabytes each."""
    opened, clock = [], Clock()
    monkeypatch.setattr(base, "time", clock)

    class Factory(FakeFactory):
        def open(self, candidate, run):
            assert not any(engine() for engine in opened if candidate == KERAS)
            engine = super().open(candidate, run)
            opened.append(weakref.ref(engine))
            return engine

    choices = [KERAS, KERAS_16, OPENVINO]
    decided = Undecided(Factory(clock, 9.0, 0.5), choices).decided(windows)
    assert len(opened) == 3 and opened[-1]() is decided


def test_without_a_counterpart_in_openvino_keras_is_left(windows):
    class Refused(FakeFactory):
        def reference_run(self, windows, candidates):
            self.run = super().reference_run(windows, candidates)._replace(refusal="no such layer")
            return self.run

    refused = Refused(Clock(), 1.0, 0.0)
    assert Undecided(refused, [KERAS, OPENVINO]).decided(windows).name == "keras"
    assert OPENVINO not in refused.opened
    with pytest.raises(EngineError, match="no such layer"):
        Undecided(refused, [OPENVINO]).decided(windows)
