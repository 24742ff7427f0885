"""Results of studies that were never run."""

from recalib_keras.tuning import Results, Trial
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.trials.trial import Execution


def made_up(study, folder, rows):
    """Returns the `Results` of a study from pairs of values and scores by seed.

    Args:
        study: The study.
        folder: Its folder.
        rows: Pairs of a dict of values and a dict from seeds to scores, or of values and a pair of status and message.
    """
    trials = []
    for number, (values, scores) in enumerate(rows):
        trial = Trial(f"{number}", values, epochs=3, attempt=1, worker="w", minutes=1.5, parameters=1234)
        if isinstance(scores, dict):
            trial.status = "completed"
            trial.executions = tuple(Execution(seed, score, 2, 3) for seed, score in scores.items())
        else:
            trial.status, trial.message = scores
        trials.append(trial)
    return Results(folder, Plan(study), trials)
