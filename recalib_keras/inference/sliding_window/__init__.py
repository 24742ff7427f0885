"""Labels of a volume of any size by networks that see one window at a time.

`windows` says where the windows lie, `predict` sends them through the networks, whose probabilities of large windows
come row by row (`window_rows`), `aggregator` averages overlapping predictions, and `output_grid` and `oblique_grid`
turn the averages into labels on the grid that is wanted.
"""
