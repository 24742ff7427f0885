"""Training data: the split, where examples come from, how windows are drawn and changed."""
