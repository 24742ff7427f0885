"""The trials of a study for TensorBoard's HParams."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recalib_keras.core.files import atomic_write

if TYPE_CHECKING:
    from recalib_keras.tuning.plan import Plan
    from recalib_keras.tuning.trials.trial import Trial

METRIC = "objective"
FILE = "events.out.tfevents.study"


def write_events(
    folder: str | os.PathLike, plan: Plan, trial: Trial, history: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Writes a trial's values and the score of each of its epochs; replaces earlier files of the trial.

    Each training is a session. The sessions of a trial are a group, whose mean TensorBoard shows.

    Args:
        folder: Folder of all event files of the study; `tensorboard --logdir` takes it.
        plan: The study, worked out.
        trial: The trial.
        history: Dict from seeds, as text, to a dict for each epoch.
    """
    from tensorboard.plugins.hparams import summary_v2 as api  # its module `api` would load TensorFlow

    folder = Path(folder)
    if not (folder / FILE).exists():
        metric = api.Metric(METRIC, display_name=plan.study.objective)
        _write(folder, [(0, api.hparams_config_pb(_parameters(plan), [metric]))])
    dimensions = {dimension.name: dimension for dimension in plan.space.dimensions}
    values = {name: dimensions[name].chosen(value) for name, value in trial.values.items()}
    for seed, lines in history.items():
        start = api.hparams_pb({**values, "seed": seed}, trial_id=trial.id)
        _write(folder / trial.id / f"seed_{seed}", [(0, start), *_scores(lines)])


def _parameters(plan):
    from tensorboard.plugins.hparams import summary_v2 as api

    for dimension in plan.space.dimensions:
        if dimension.options is not None:
            domain = api.Discrete(list(dimension.labels))
        else:
            interval = api.IntInterval if dimension.range.is_integer else api.RealInterval
            kind = int if dimension.range.is_integer else float
            domain = interval(kind(dimension.range.min), kind(dimension.range.max))
        yield api.HParam(dimension.name, domain)
    yield api.HParam("seed", api.Discrete([str(seed) for seed in plan.seeds]))


def _scores(lines):
    from tensorboard.compat.proto.summary_pb2 import Summary

    for line in lines:
        values = [Summary.Value(tag="loss", simple_value=line["loss"])]
        if line.get("score") is not None:
            values.append(Summary.Value(tag=METRIC, simple_value=line["score"]))
        yield line["epoch"], Summary(value=values)


def _write(folder, summaries):
    """Writes a whole event file; TensorBoard's own `EventFileWriter` would load TensorFlow."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    now = time.time()
    events = [Event(wall_time=now, file_version="brain.Event:2")]
    events += [Event(wall_time=now, step=step, summary=summary) for step, summary in summaries]

    def write(temporary):
        with temporary.open("wb") as file:
            records = RecordWriter(file)
            for event in events:
                records.write(event.SerializeToString())

    atomic_write(folder / FILE, write)
