"""What is minimised and measured during training, also where not everything is known."""
