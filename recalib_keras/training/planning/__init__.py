"""Plans of trainings: what a set of scans is like, what follows from it, and the recipe that says so."""
