"""What a study chooses among: dimensions, mixes of their values, and which of these are possible."""
