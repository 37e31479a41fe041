"""The page of a benchmark, its figures, and the published numbers beside ours."""
