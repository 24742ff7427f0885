"""Callbacks: what watches each step of a training, and what a recipe or a user adds."""
