"""Maths on voxel grids in `keras.ops`, shared by augmentation and synthesis."""
