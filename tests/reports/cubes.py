"""The structures of a small phantom: a cube on each side, and a stem in the middle."""

from recalib_keras.zoo import Label, ReferenceRange

SHAPE = (24, 20, 16)
STRUCTURES = (
    Label(10, "left cube", (255, 0, 0), mirror=49),
    Label(49, "right cube", (0, 255, 0), mirror=10),
    Label(16, "stem", (0, 0, 255)),
)


def reference_range(volume_ml=(0.5, 1.0)):
    """A reference range of the structures."""
    return ReferenceRange(0.1, volume_ml, 0.0, {label.name: 1.0 for label in STRUCTURES})
