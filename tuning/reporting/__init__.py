"""A study in words and figures: what was tried, what came out, and what can and cannot be concluded from it."""
