"""When a training ends before its last epoch."""


def is_no_better(history, patience):
    """Returns whether the last validations were no better than the best one before them.

    Args:
        history: the lines of a log, dicts; those with a `"dice"` are of epochs that were validated.
        patience: how many validations; 0 for never.

    >>> is_no_better([{"dice": 0.5}, {"dice": 0.7}, {}, {"dice": 0.6}, {"dice": 0.7}], patience=2)
    True
    """
    scores = [line["dice"] for line in history if "dice" in line]
    return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])
