"""What a left-right flip means to a network's windows and classes."""

from typing import NamedTuple

from recalib_keras.zoo.labels import counterpart_classes


class Mirror(NamedTuple):
    """What a left-right flip does: which axis it turns round, and the class that each one becomes, or None for all."""

    axis: int
    classes: tuple[int, ...] | None = None

    @classmethod
    def of(cls, expects, labels):
        """Returns what a flip does to a network's windows; None if it sees no left and right.

        Args:
            expects: `recalib_keras.zoo.Input`.
            labels: sequence of `recalib_keras.zoo.Label`.
        """
        axis = expects.lateral_axis
        if axis == expects.slice_axis:
            return None
        if expects.slice_axis is not None and expects.slice_axis < axis:
            axis -= 1
        classes = counterpart_classes(labels)
        return cls(axis, None if classes == tuple(range(len(labels))) else classes)
