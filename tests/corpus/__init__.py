"""A corpus of bad and odd input, made from a seed: every file is read as it should be, or refused in one clear line.

    python -m tests.corpus [--count N] [--seed S] [--kind K ...]

Each module of a kind of file generates cases (`Case`), `readers` reads one and judges what came of it, and `runner`
does so in worker processes, which it ends if they hang. It prints a table of the kinds and each failure.
"""
