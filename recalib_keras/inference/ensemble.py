"""Average several networks: the three views of a 2-D network, or weight sets that complement each other."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping

import numpy as np

from recalib_keras.inference.predictor import Predictor
from recalib_keras.inference.sliding_window.predict import View
from recalib_keras.inference.sliding_window.window_rows import changed
from recalib_keras.inference.uncertainty import Measures, normalized_entropy
from recalib_keras.volumes.windows import Image
from recalib_keras.zoo import OwnAsymmetry, ReferenceRange
from recalib_keras.zoo.labels import matching_classes
from recalib_keras.zoo.network import check_same_preprocessing


class NetworkEnsemble:
    """One or several networks that look at one image, and whose probabilities are averaged class by class.

    A network may lack a label that others have, such as that of one of two sides. The missing label then gets the
    probability of its counterpart, as its `mirror` or `stand_ins` names it.

    Args:
        members: Pairs of a network and its weight, which is above 0. The networks expect scans of one orientation,
            spacing and normalisation; windows may differ. The first of those with the most labels leads: its labels
            are those of the result.
        stand_ins: From the number of a label to that of the label whose probability it gets from networks that lack
            it. Defaults to the labels' `mirror`.

    Attributes:
        members: List of the pairs.
        input: What the networks expect to see.
        labels: One for each class of the result, background first.

    Raises:
        ValueError: If there are no members, a weight is not above 0, or members expect different scans or give labels
            that do not fit together.
    """

    def __init__(self, members: Iterable[tuple[Predictor, float]], stand_ins: Mapping[int, int] | None = None):
        self.members = [(network, float(weight)) for network, weight in members]
        if not self.members or not all(weight > 0 for _, weight in self.members):
            weights = [weight for _, weight in self.members]
            raise ValueError(f"expected at least one member, all of weights above 0, got weights {weights}")
        described = [network.weight_set for network, _ in self.members]
        self._leader = max(described, key=lambda weight_set: len(weight_set.labels))
        self.input, self.labels = self._leader.input, self._leader.labels
        self._classes = [
            np.array(matching_classes(each.labels, self.labels, stand_ins, each.title)) for each in described
        ]
        for weight_set in described:
            check_same_preprocessing(self.input, weight_set.input)
            if weight_set.network.has_sigmoid != self.has_sigmoid:
                raise ValueError(
                    "expected members whose classifiers all have a sigmoid, or none, got both; average networks of "
                    "one kind"
                )

    @property
    def has_sigmoid(self) -> bool:
        """Whether each structure has a probability of its own."""
        return self._leader.network.has_sigmoid

    @property
    def reference_range(self) -> ReferenceRange | None:
        """What segmentations of validation scans are like; None if that is unknown for a member.

        It admits what any member does. Its entropy is larger if a member gives both sides the same probability: even
        if all members are certain, their average is not.
        """
        each = [network.weight_set.typical for network, _ in self.members]
        if None in each:
            return None
        scans = [reference.scans for reference in each]
        return dataclasses.replace(
            self._leader.typical,
            entropy=max(reference.entropy for reference in each) + self._entropy_of_certain_members(),
            volume_ml=_widest(reference.volume_ml for reference in each),
            at_edge=max(reference.at_edge for reference in each),
            structures_ml={
                name: _widest(one.structures_ml[name] for one in each if name in one.structures_ml)
                for name in self._leader.typical.structures_ml
            },
            scans=None if None in scans else min(scans),
        )

    @property
    def own_asymmetry(self) -> OwnAsymmetry | None:
        """The asymmetry that the network itself adds; None if that is unknown, as for the average of several."""
        return self._leader.asymmetry if len(self.members) == 1 else None

    @property
    def predictions(self) -> int:
        """How many predictions of a voxel are averaged: by each network, of the image and of its mirror image."""
        return sum(network.predictions for network, _ in self.members)

    def views(self, image: Image, with_entropy: bool = False) -> list[View]:
        """Returns how each network looks at an image; see `Predictor.view`.

        Args:
            image: See there.
            with_entropy: Whether each prediction has its entropy as a further channel, see `Measures.with_entropy`.
        """
        views, measures = [], Measures(self.has_sigmoid)
        for (network, weight), classes in zip(self.members, self._classes):
            extend = functools.partial(_with_entropy, measures, classes) if with_entropy else None
            channels = np.append(classes, len(network.weight_set.labels)) if with_entropy else classes
            views.append(_with_channels(network.view(image, weight, extend), channels))
        return views

    def _entropy_of_certain_members(self):
        """Returns the largest entropy of a structure's voxel for which every member is certain of its class."""
        weights = np.array([weight for _, weight in self.members])
        shared = np.array([np.equal.outer(classes, classes) for classes in self._classes])
        return float(normalized_entropy(np.einsum("m,mjk->jk", weights, shared.astype(float)))[1:].max())


def _widest(ranges):
    smallest, largest = zip(*ranges)
    return min(smallest), max(largest)


def _with_entropy(measures, classes, probabilities):
    return measures.with_entropy(probabilities, probabilities[..., classes])


def _with_channels(view, channels):
    """Returns a view that gives, for each class of the ensemble, the probability of the network's matching class."""
    if np.array_equal(channels, np.arange(len(channels))):
        return view
    return dataclasses.replace(
        view, predict=lambda windows: changed(lambda sums: sums[..., channels], view.predict(windows))
    )
