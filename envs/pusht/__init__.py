"""Push-T: a disc pushes a T-shaped block onto a goal of the same shape."""
