"""Hyperband on any space: trains many mixes for a few epochs, and the best of them longer."""

from __future__ import annotations

import math
from typing import Any

from keras_tuner import oracles
from keras_tuner.engine.trial import TrialStatus

from recalib_keras.tuning.space.mixes import Possible, count_mixes


class Hyperband(Possible, oracles.HyperbandOracle):
    """Trains many mixes for a few epochs, and the best of them longer.

    keras-tuner's own oracle stops as soon as a first round cannot be filled with new mixes, and waits in vain where a
    trial of a round fails. Here a first round takes the mixes that are left, later rounds shrink with it, and failed
    trials count as those that a round drops: the best mix of every bracket always reaches the last round.

    Reference: Li et al., "Hyperband", JMLR 2018.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the next mix, new or to be trained longer; see `keras_tuner.Oracle`.

        Args:
            trial_id: Id that the trial will have.
        """
        while True:
            for bracket in self._brackets:
                response = self._new_mix(trial_id, bracket) or self._survivor(trial_id, bracket)
                if response is not None:
                    return response
            if self._current_bracket == 0 and self._current_iteration + 1 == self.hyperband_iterations:
                return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
            self._increment_bracket_num()
            self._start_new_bracket()

    def number_of_trials(self) -> int:
        """Returns how many trials all rounds have together, on a space of this size."""
        left, count = count_mixes(self.hyperparameters.space), 0
        for bracket in reversed(range(self._get_num_brackets())):
            first = min(self._get_size(bracket, 0), left)
            left -= first
            count += sum(self._size(bracket, turn, first) for turn in range(bracket + 1))
        return min(count, self.max_trials or count)

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state.

        Args:
            state: What `get_state` returned.

        Raises:
            ValueError: A round holds a trial that does not exist.
        """
        super().set_state(state)
        held = {item["id"] for bracket in self._brackets for turn in bracket["rounds"] for item in turn}
        if lost := held - self.trials.keys():
            raise ValueError(f"expected rounds of trials that exist, got {', '.join(sorted(map(str, lost)))}")

    def _new_mix(self, trial_id, bracket):
        """Returns a new mix for a bracket's first round, or None if the round is full or the space used up."""
        first, number = bracket["rounds"][0], bracket["bracket_num"]
        if bracket.get("is_filled") or len(first) >= self._get_size(number, 0):
            return None
        values = self._random_values()
        if values is None:
            bracket["is_filled"] = True
            return None
        first.append({"past_id": None, "id": trial_id})
        return self._response(values, number, 0)

    def _survivor(self, trial_id, bracket):
        """Returns the best mix of a round for the round after it, or None if no round has a certain survivor yet."""
        rounds, sizes = bracket["rounds"], self._sizes(bracket)
        for turn in range(1, len(rounds)):
            trials = [self.trials[item["id"]] for item in rounds[turn - 1]]
            selected = {item["past_id"] for item in rounds[turn]}
            completed = [trial for trial in trials if trial.status == TrialStatus.COMPLETED]
            candidates = [trial for trial in completed if trial.trial_id not in selected]
            dropped = sizes[turn - 1] - _failed(trials) - sizes[turn]
            if len(candidates) > dropped and len(rounds[turn]) < sizes[turn]:
                best = max(candidates, key=lambda trial: trial.score)
                rounds[turn].append({"past_id": best.trial_id, "id": trial_id})
                values = {**best.hyperparameters.values, "tuner/trial_id": best.trial_id}
                return self._response(values, bracket["bracket_num"], turn)
        return None

    def _response(self, values, bracket, turn):
        chosen = {
            "tuner/epochs": self._get_epochs(bracket, turn),
            "tuner/initial_epoch": self._get_epochs(bracket, turn - 1) if turn else 0,
            "tuner/bracket": bracket,
            "tuner/round": turn,
        }
        return {"status": TrialStatus.RUNNING, "values": {**values, **chosen}}

    def _sizes(self, bracket):
        """Returns the number of trials in each round of a bracket, fewer where mixes or survivors run out."""
        number = bracket["bracket_num"]
        sizes = [len(bracket["rounds"][0]) if bracket.get("is_filled") else self._get_size(number, 0)]
        for turn, held in enumerate(bracket["rounds"][:-1], start=1):
            survivors = sizes[-1] - _failed(self.trials[item["id"]] for item in held)
            sizes.append(min(self._size(number, turn, sizes[0]), survivors))
        return sizes

    def _size(self, bracket, turn, first):
        """Returns the size of a round whose bracket begins with this many mixes."""
        return min(self._get_size(bracket, turn), math.ceil(first / self.factor**turn))


def _failed(trials):
    return sum(trial.status == TrialStatus.FAILED for trial in trials)
