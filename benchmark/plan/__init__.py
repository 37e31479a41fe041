"""What a command means: tasks, presets, cells, evaluations and seeds."""
