"""Measures speed and memory, ours and PyTorch's: `python -m benchmarks.<name>`. README.md has the results."""
