"""Where presets lie: in folders, in installed packages, on the internet."""
