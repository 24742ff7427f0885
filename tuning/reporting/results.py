"""What a study leaves behind: a table of its trials, the best recipe, TensorBoard's HParams. And how to read them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recalib_keras.core.errors import StudyError
from recalib_keras.core.files import read_file, write_text
from recalib_keras.core.messages import one_line
from recalib_keras.core.records import from_mapping
from recalib_keras.core.tables import write_csv
from recalib_keras.training import Recipe
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.reporting.events import write_events
from recalib_keras.tuning.space.dimensions import label
from recalib_keras.tuning.study import Study
from recalib_keras.tuning.trials.cost import COSTS
from recalib_keras.tuning.trials.state import check_same, read, trials_of
from recalib_keras.tuning.trials.trial import COMPLETED, ENDED, Trial, best

TABLE, BEST, REPORT, FIGURES, EVENTS = "trials.csv", "best.toml", "report.md", "figures", "tensorboard"
RESULTS = (TABLE, BEST, REPORT, FIGURES, EVENTS)
HISTORY = "history.json"


@dataclass(frozen=True)
class Results:
    """A study and its trials.

    Args:
        folder: Folder of the study.
        plan: The study, worked out.
        trials: The trials, in the order in which they were drawn.
    """

    folder: Path
    plan: Plan
    trials: list[Trial]

    @property
    def best(self) -> Trial | None:
        """The completed trial with the highest score, or None."""
        return best(self.trials)

    @property
    def comparable(self) -> list[Trial]:
        """The completed trials with the longest training: all of them, but with Hyperband those of the last round."""
        completed = [trial for trial in self.trials if trial.status == COMPLETED]
        return [trial for trial in completed if trial.epochs == max(other.epochs for other in completed)]

    @property
    def epochs_trained(self) -> tuple[int, int] | None:
        """Fewest and most epochs that the trainings of the ended trials really took, or None without any."""
        return span(trial for trial in self.trials if trial.status in ENDED)


def span(trials: Iterable[Trial]) -> tuple[int, int] | None:
    """Returns the fewest and the most epochs that the trainings of trials really took, or None without any.

    Args:
        trials: The trials.
    """
    epochs = [count for trial in trials for count in trial.epochs_trained]
    return (min(epochs), max(epochs)) if epochs else None


def read_results(study: Study, folder: str | os.PathLike) -> Results:
    """Returns the results of a study so far. The search may be running.

    Args:
        study: The study.
        folder: Folder of the study.

    Raises:
        StudyError: The folder holds no study, a damaged one, or another one.
        RecordError: The study does not fit its recipe.
    """
    plan, saved = Plan(study), read(folder)
    check_same(saved, plan, folder)
    return Results(Path(folder), plan, trials_of(saved))


def write_results(folder: str | os.PathLike, plan: Plan, trials: Iterable[Trial], ended: Trial | None = None) -> None:
    """Writes the table of a study's trials and, if there is one, the best recipe.

    Args:
        folder: Folder of the study.
        plan: The study, worked out.
        trials: All its trials.
        ended: The trial that has just ended, whose history goes to TensorBoard; None for all that have ended.
    """
    trials = list(trials)
    _write_table(Path(folder) / TABLE, plan, trials)
    for trial in (trial for trial in trials if trial.status in ENDED and ended in (None, trial)):
        write_events(Path(folder) / EVENTS, plan, trial, history(folder, trial))
    found = best(trials)
    if found is not None:
        write_text(Path(folder) / BEST, best_recipe(plan, found, len(trials)))


def history(folder: str | os.PathLike, trial: Trial) -> dict[str, list[dict[str, Any]]]:
    """Returns what a trial's trainings logged: for each seed, as text, a dict for each epoch.

    Args:
        folder: Folder of the study.
        trial: The trial.

    Raises:
        StudyError: The file is damaged.
    """
    path = Path(folder) / "trials" / trial.id / HISTORY
    if not path.exists():
        return {}
    try:
        return {
            seed: [dict(line) for line in lines]
            for seed, lines in json.loads(read_file(path, "the history of a trial", StudyError)).items()
        }
    except StudyError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise StudyError(
            file=path,
            expected="the history of a trial",
            received=f"a damaged file ({error})",
            remedy="remove it; only TensorBoard's curves of this trial are lost",
        ) from None


def _write_table(path, plan, trials):
    """Writes the table of trials: a row for each, with its values and scores."""
    objective = plan.study.objective
    names = [dimension.name for dimension in plan.space.dimensions]
    by_seed = [f"{objective}, seed {seed}" for seed in plan.seeds]
    asked = [COSTS[plan.study.cost]] if plan.study.cost and plan.study.cost != "parameters" else []
    rest = [*asked, "parameters", "epochs", "minutes", "attempts", "worker", "message"]
    rows = []
    for trial in trials:
        scores = [trial.score, trial.deviation, *(trial.scores.get(seed, math.nan) for seed in plan.seeds)]
        values = [label(trial.values[name]) if name in trial.values else "" for name in names]
        minutes = round(trial.minutes, 2)
        costs = [trial.cost] * len(asked)
        last = [*costs, trial.parameters, trial.epochs, minutes, trial.attempt, trial.worker, one_line(trial.message)]
        rows.append([trial.id, trial.status, *map(_number, scores), *values, *last])
    write_csv(path, ["trial", "status", objective, "sd", *by_seed, *names, *rest], rows)


def best_recipe(plan: Plan, trial: Trial, number_of_trials: int) -> str:
    """Returns the text of a trial's recipe, which `recalib train` takes as it is.

    Args:
        plan: The study, worked out.
        trial: The trial.
        number_of_trials: Of how many it is the best.
    """
    recipe = from_mapping(Recipe, plan.recipe(trial), f"trial {trial.id}")
    spread = f" ± {trial.deviation:.4f}" if len(plan.seeds) > 1 else ""
    seeds = ", ".join(map(str, plan.seeds))
    return (
        f"# Of {number_of_trials} trials of the study {plan.study.name!r}, number {trial.id} has the highest mean:\n"
        f"# {plan.study.objective} {trial.score:.4f}{spread} on the validation scans, seeds {seeds}.\n"
        f"# recalib train {BEST} --data $RECALIB_DATA\n"
        f"{recipe.to_toml()}"
    )


def _number(value):
    return "" if math.isnan(value) else f"{value:.4f}"
