"""Studies with absurd values and ranges, and damaged states of a study."""

import copy
import json
from collections.abc import Iterator

import numpy as np
import tomli_w

from .bases import RECIPE
from .cases import Case, shuffled
from .records import ABSURD, changed, places

STUDY = {
    "recipe": "recipe.toml",
    "title": "rates",
    "algorithm": "grid",
    "trials": 4,
    "seeds": [1, 2],
    "epochs": 3,
    "objective": "dice",
    "patience": 1,
    "factor": 3,
    "seed": 0,
    "baseline": {"learning_rate": 0.01},
    "space": {"learning_rate": [0.01, 0.02], "augmentation.rotation": {"min": 0.0, "max": 10.0, "step": 5.0}},
}
INFINITE, NAN = float("inf"), float("nan")
SPACES = [
    {"learning_rate": {"min": low, "max": high, **more}}
    for low, high in ((0, 1), (1e-3, 1e-2), (1, 0), (0, INFINITE), (NAN, 1), (-1, 1), (0, 10**400), (1e-320, 1e308))
    for more in ({}, {"step": 1e-12}, {"step": 0}, {"step": -1}, {"step": NAN}, {"scale": "log"}, {"scale": "x"},
                 {"count": 10**9})
] + [
    {"filters": {"min": 1, "max": 10**9}},
    {"filters": list(range(1, 3000))},
    {"levels": [1, 10**6]},
    {name: [1, 2] for name in ("levels", "filters", "patch_size")},
    {f"augmentation.{name}": {"min": 0.0, "max": 1.0, "step": 1e-3} for name in ("gamma", "noise", "blur")},
    {},
    {"learning_rate": []},
    {"no such": [1]},
    {"window": [[12, 12, 12], [10**9] * 3]},
    {"seed": [1, 2]},
    {"schedule.epochs": [1, 10**9]},
]  # fmt: skip
STATE = {
    "format": 1,
    "study": "x",
    "question": {},
    "base_recipe": {},
    "recipe": "y",
    "exhausted": False,
    "workers": ["w"],
    "trials": [{"id": "0000", "values": {"learning_rate": 0.01}, "epochs": 3, "status": "completed", "attempt": 1,
                "executions": [{"seed": 1, "score": 0.5, "best_epoch": 1, "epochs": 3}]}],
    "oracle": {"ongoing_trials": {}},
    "drawn": [{"trial_id": "0000", "score": 0.5}],
}  # fmt: skip


def study_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields studies with one absurd value, or an absurd space."""
    yield Case("study: good", lambda folder: _study(folder, STUDY), "study", must="read")
    cases = [_case(place, value) for place in places(STUDY) for value in ABSURD]
    cases += [_space(space, algorithm) for space in SPACES for algorithm in ("grid", "random", "hyperband", "bayesian")]
    yield from shuffled(rng, cases)


def _case(place, value):
    return Case(
        f"study: {'.'.join(map(str, place))} = {str(value)[:40]!r}",
        lambda folder: _study(folder, changed(STUDY, place, value)),
        "study",
    )


def _space(space, algorithm):
    study = {**STUDY, "space": space, "algorithm": algorithm, "baseline": {}}
    return Case(f"study: {algorithm} over {str(space)[:60]}", lambda folder: _study(folder, study), "study")


def _study(folder, study):
    (folder / "recipe.toml").write_text(tomli_w.dumps(RECIPE), encoding="utf-8")
    (folder / "study.toml").write_text(tomli_w.dumps(study), encoding="utf-8")
    return folder / "study.toml"


def state_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields states with one absurd value, cut short, and of other content."""
    yield Case("state: good", lambda folder: _state(folder, STATE), "state", must="read")
    text = json.dumps(STATE)
    texts = {"a list": "[]", "null": "null", "a number": "1e999", "empty": "", "deep": "[" * 100_000,
             "binary": b"\xff\xfe\0", "zeros": bytes(100), "NaN": "NaN", "5,000 digits": "9" * 5000}  # fmt: skip
    texts |= {f"cut at {end}": text[:end] for end in range(1, len(text), len(text) // 8)}
    cases = [_text(name, content) for name, content in texts.items()]
    cases += [
        Case(
            f"state: {'.'.join(map(str, place))} = {str(value)[:40]!r}",
            lambda folder, place=place, value=value: _state(folder, changed(STATE, place, value)),
            "state",
        )
        for place in places(STATE)
        for value in ABSURD
    ]
    doubled = copy.deepcopy(STATE)
    doubled["trials"] *= 2
    cases.append(Case("state: two of one id", lambda folder: _state(folder, doubled), "state", must="refuse"))
    yield from shuffled(rng, cases)


def _state(folder, state):
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def _text(name, content):
    def write(folder):
        (folder / "state.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return Case(f"state: {name}", write, "state", must="refuse")
