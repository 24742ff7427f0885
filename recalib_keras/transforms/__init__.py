"""Maths on voxel grids in `keras.ops`, shared by augmentation and synthesis.

Windows have any number of axes. A batch of them is `(batch, *window)`.
"""

from typing import Any

# A tensor of the backend in use, or an array: Keras has no type for both.
Tensor = Any
