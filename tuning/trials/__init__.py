"""What becomes of a study's choices: trials, their trainings, and the state on disk."""
