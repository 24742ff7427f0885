"""What a study leaves behind: a table of its trials, the best recipe, TensorBoard's HParams, and how to read them."""

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

from recalib_keras.core.errors import StudyError
from recalib_keras.core.files import write_text
from recalib_keras.core.messages import one_line
from recalib_keras.core.records import from_mapping
from recalib_keras.training import Recipe
from recalib_keras.tuning.dimensions import label
from recalib_keras.tuning.events import write_events
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.state import read
from recalib_keras.tuning.trials import COMPLETED, ENDED, Trial, best

TABLE, BEST, REPORT, FIGURES, EVENTS = "trials.csv", "best.toml", "report.md", "figures", "tensorboard"
RESULTS = (TABLE, BEST, REPORT, FIGURES, EVENTS)
HISTORY = "history.json"


@dataclass(frozen=True)
class Results:
    """A study and its trials.

    Args:
        folder: path of the study.
        plan: `Plan`.
        trials: list of `Trial`, in the order in which they were drawn.
    """

    folder: Path
    plan: Plan
    trials: list[Trial]

    @property
    def best(self):
        """The completed trial with the highest score, or None."""
        return best(self.trials)

    @property
    def comparable(self):
        """The completed trials that were trained as long as any: all of them, but of Hyperband the last round's."""
        completed = [trial for trial in self.trials if trial.status == COMPLETED]
        return [trial for trial in completed if trial.epochs == max(other.epochs for other in completed)]


def read_results(study, folder):
    """Returns the `Results` of a study so far; its chief may be at work.

    Args:
        study: `Study`.
        folder: path of the study.

    Raises:
        StudyError: if there is no study in the folder, or another one.
    """
    plan, saved = Plan(study), read(folder)
    if (saved["study"], saved["recipe"]) != (study.fingerprint, plan.fingerprint):
        raise StudyError(f"{folder} holds another study than {study.name!r}; choose another folder with --output")
    return Results(Path(folder), plan, [from_mapping(Trial, item, "trial") for item in saved["trials"]])


def write_results(folder, plan, trials, ended=None) -> None:
    """Writes the table of a study's trials and, if there is one, the best recipe.

    Args:
        folder: path of the study.
        plan: `Plan`.
        trials: sequence of `Trial`.
        ended: the trial that has just ended, whose history goes to TensorBoard; None for all that have.
    """
    trials = list(trials)
    _write(Path(folder) / TABLE, table(plan, trials))
    for trial in (trial for trial in trials if trial.status in ENDED and ended in (None, trial)):
        write_events(Path(folder) / EVENTS, plan, trial, history(folder, trial))
    found = best(trials)
    if found is not None:
        _write(Path(folder) / BEST, best_recipe(plan, found, len(trials)))


def history(folder, trial):
    """Returns what a trial's trainings logged: a dict from seeds, as text, to lists of dicts."""
    path = Path(folder) / "trials" / trial.id / HISTORY
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def table(plan, trials):
    """Returns the table of trials as CSV: a row for each, with its values and scores."""
    names = [dimension.name for dimension in plan.space.dimensions]
    objective = plan.study.objective
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    by_seed = [f"{objective}, seed {seed}" for seed in plan.seeds]
    writer.writerow(
        [
            "trial",
            "status",
            objective,
            "sd",
            *by_seed,
            *names,
            "parameters",
            "epochs",
            "minutes",
            "attempts",
            "worker",
            "message",
        ]
    )
    for trial in trials:
        scores = [trial.score, trial.deviation, *(trial.scores.get(seed, math.nan) for seed in plan.seeds)]
        values = [label(trial.values[name]) if name in trial.values else "" for name in names]
        minutes = round(trial.minutes, 2)
        rest = [trial.parameters, trial.epochs, minutes, trial.attempt, trial.worker, one_line(trial.message)]
        writer.writerow([trial.id, trial.status, *map(_number, scores), *values, *rest])
    return text.getvalue()


def best_recipe(plan, trial, number_of_trials) -> str:
    """Returns the text of a trial's recipe, which `recalib train` takes as it stands."""
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


def _write(path, text):
    write_text(path, text)
