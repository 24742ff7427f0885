"""Networks that were trained with the PyTorch code of the papers' authors."""
