"""From episodes to numbers with intervals, and to tables."""
