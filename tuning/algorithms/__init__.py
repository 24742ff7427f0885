"""How a study chooses: the search algorithms, and when hopeless trials end."""
