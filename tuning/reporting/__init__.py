"""A study in words and figures: what was tried, what the scores are, and what they do and do not show."""
