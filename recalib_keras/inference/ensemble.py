"""Average several networks: the three views of a 2-D network, or weight sets that complement each other."""

import dataclasses

import numpy as np

from recalib_keras.inference.foreground import body_labels
from recalib_keras.inference.segmenter import scan_labels
from recalib_keras.inference.uncertainty import normalized_entropy

# What the members' descriptions must have in common, since they look at one image.
COMMON = ("orientation", "spacing", "normalization")


class Ensemble:
    """Several segmenters that label a scan together, by the weighted average of their probabilities.

    QuickNAT looks at a scan slice by slice from three sides, with a 2-D network each, and averages axial and coronal
    probabilities with weight 0.4 and sagittal ones with 0.2:

        ensemble = Ensemble([(axial, 0.4), (coronal, 0.4), (sagittal, 0.2)])
        labels = ensemble(volumes.read("scan.nii.gz"))

    A sagittal slice does not tell left from right. A network that therefore has one label for both sides counts for
    either: a label that a member lacks gets the probability of its counterpart, as its `mirror` or `stand_ins` names
    it. (Both sides get all of it, as in QuickNAT; the other views say which side it is.)

    Args:
        members: sequence of `(segmenter, weight)`, with weights above 0. They expect scans of one orientation, spacing
            and normalisation; windows may differ. The labels of the one that has most, the first such one, are those
            of the result.
        stand_ins: dict from the number of a label to that of the label whose probability it gets from members that
            lack it. Defaults to the labels' `mirror`.

    Raises:
        ValueError: if there are no members, a weight is not above 0, or members expect different scans or give labels
            that do not fit together; says which.

    Reference: Roy et al., "QuickNAT: A fully convolutional network for quick and accurate segmentation of
    neuroanatomy", NeuroImage 2019, section 2.3 (view aggregation).
    """

    def __init__(self, members, stand_ins=None):
        self.members = [(segmenter, float(weight)) for segmenter, weight in members]
        if not self.members or not all(weight > 0 for _, weight in self.members):
            weights = [weight for _, weight in self.members]
            raise ValueError(f"expected at least one member, all of weights above 0, got weights {weights}")
        self._leader = max((segmenter for segmenter, _ in self.members), key=lambda segmenter: len(segmenter.labels))
        self.input, self.labels = self._leader.input, self._leader.labels
        mirrors = {label.id: label.mirror for label in self.labels if label.mirror is not None}
        self._classes = [
            _classes(segmenter, self.labels, mirrors if stand_ins is None else stand_ins)
            for segmenter, _ in self.members
        ]
        for segmenter, _ in self.members:
            _check_input(self.input, segmenter.input)

    @property
    def engines(self):
        """The engines at work, a list."""
        return [engine for segmenter, _ in self.members for engine in segmenter.engines]

    @property
    def typical(self):
        """What segmentations of familiar scans look like, a `recalib_keras.zoo.Typical`; None if a member has none.

        It admits what any member does, and a member that gives both sides the same probability more: were all members
        sure, their average would not be.
        """
        each = [segmenter.typical for segmenter, _ in self.members]
        if None in each:
            return None
        smallest, largest = zip(*(typical.volume_ml for typical in each))
        return dataclasses.replace(
            self._leader.typical,
            entropy=max(typical.entropy for typical in each) + self._entropy_of_the_sure(),
            volume_ml=(min(smallest), max(largest)),
            at_edge=max(typical.at_edge for typical in each),
        )

    def _entropy_of_the_sure(self):
        """Returns the largest entropy of a structure's voxel for which every member is sure of its class."""
        weights = np.array([weight for _, weight in self.members])
        shared = np.array([np.equal.outer(classes, classes) for classes in self._classes])
        return float(normalized_entropy(np.einsum("m,mjk->jk", weights, shared.astype(float)))[1:].max())

    def __call__(self, scan, progress=None, confidence=None):
        """Returns the labels of a scan; as `Segmenter.__call__`."""
        return scan_labels(self, scan, progress, confidence)

    def predict_classes(self, image, progress=None, confidence=None, lines=None):
        """Returns the index of each voxel's label, for an image as expected; as `Segmenter.predict_classes`."""
        views = [
            _relabelled(segmenter.view(image, weight), classes)
            for (segmenter, weight), classes in zip(self.members, self._classes)
        ]
        observe = confidence and confidence.observe
        return body_labels(image, views, len(self.labels), progress, observe, lines)


def _relabelled(view, classes):
    """Returns a view that gives, for each class of the ensemble, the probability of the member's class at its place."""
    if np.array_equal(classes, np.arange(len(classes))):
        return view
    return dataclasses.replace(view, predict=lambda windows: view.predict(windows)[..., classes])


def _classes(segmenter, labels, stand_ins):
    """Returns for each label the class of a member that it gets its probability from."""
    ids = [label.id for label in segmenter.labels]
    known = {label.id for label in labels}
    if not set(ids) <= known:
        raise ValueError(
            f"expected members to give no labels but those of the one that has most, got {sorted(set(ids) - known)} "
            f"from {segmenter.weight_set.title!r}; average networks of the same structures"
        )
    sources = [label.id if label.id in ids else stand_ins.get(label.id) for label in labels]
    lacking = [label.id for label, source in zip(labels, sources) if source not in ids]
    if lacking:
        raise ValueError(
            f"expected every member to have all labels of the one that has most, or a stand-in for them, but "
            f"{segmenter.weight_set.title!r} lacks {lacking}; name stand-ins, or give the labels a `mirror`"
        )
    if ids[0] != labels[0].id:
        raise ValueError(
            f"expected one background, got {labels[0].id} and, from {segmenter.weight_set.title!r}, {ids[0]}"
        )
    return np.array([ids.index(source) for source in sources])


def _check_input(first, other):
    for name in COMMON:
        if getattr(first, name) != getattr(other, name):
            raise ValueError(
                f"expected members that look at one image, got {name} {getattr(first, name)!r} and "
                f"{getattr(other, name)!r}; train them on scans conformed alike"
            )
