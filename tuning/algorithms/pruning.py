"""Ends hopeless trials early, by the scores of others at the same epoch of the same seed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

RULES = ("none", "median", "halving")
LEAST_TRIALS = 3  # that must have reached an epoch before the median judges there


class Pruner:
    """Decides from the scores that trials report whether a trial is hopeless. Nobody waits for anybody.

    - `"median"`: a trial ends if its best score so far is below the median of the mean scores that other trials had
      up to the same epoch. (Golovin et al., "Google Vizier", KDD 2017, section 3.2.1.)
    - `"halving"`: at the epochs 1, f, f², … a trial continues only if it is among the best 1/f of all that have come so
      far. (Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020: asynchronous successive
      halving.)

    Scores of different seeds are not compared with each other.

    Args:
        rule: One of `RULES`.
        factor: The f of `"halving"`.

    Example:
        >>> pruner = Pruner("halving", factor=2)
        >>> [pruner.judge(trial, seed=1, epoch=1, score=score) == "" for trial, score in (("0", 0.5), ("1", 0.4))]
        [True, False]
    """

    def __init__(self, rule: str, factor: int = 3):
        self.rule, self.factor = rule, factor
        self._scores: dict[tuple[str, int], dict[int, float]] = {}

    def note(self, trial: str, history: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Notes the scores of a trial that has ended.

        Args:
            trial: Its id.
            history: For each seed, as text, a dict for each epoch.
        """
        for seed, lines in history.items():
            scored = {line["epoch"]: line["score"] for line in lines if line.get("score") is not None}
            self._scores.setdefault((trial, int(seed)), {}).update(scored)

    def judge(self, trial: str, seed: int, epoch: int, score: float | None) -> str:
        """Notes a score; returns why the trial is hopeless, or an empty text.

        Args:
            trial: Id of the trial.
            seed: Seed of its training.
            epoch: The epoch, from 1.
            score: Its score; None if the epoch was not validated.
        """
        if score is None:
            return ""
        own = self._scores.setdefault((trial, seed), {})
        own[epoch] = score
        if self.rule == "median":
            return self._below_median(trial, seed, epoch, max(own.values()))
        if self.rule == "halving" and self._is_rung(epoch):
            return self._below_best(seed, epoch, score)
        return ""

    def _below_median(self, trial, seed, epoch, best):
        means = [
            statistics.fmean(score for at, score in scores.items() if at <= epoch)
            for (other, of), scores in self._scores.items()
            if other != trial and of == seed and epoch in scores
        ]
        if len(means) < LEAST_TRIALS or best >= statistics.median(means):
            return ""
        return f"hopeless: {best:.4f} by epoch {epoch} is below the median {statistics.median(means):.4f}"

    def _below_best(self, seed, epoch, score):
        at_rung = [scores[epoch] for (_, of), scores in self._scores.items() if of == seed and epoch in scores]
        most = max(1, len(at_rung) // self.factor)
        least = sorted(at_rung, reverse=True)[most - 1]
        if score >= least:
            return ""
        return f"hopeless: {score:.4f} at epoch {epoch} is not among the best {most} of {len(at_rung)}"

    def _is_rung(self, epoch):
        while epoch > 1 and epoch % self.factor == 0:
            epoch //= self.factor
        return epoch == 1
