"""Playing Push-T by hand, watching policies, and films of their episodes."""
