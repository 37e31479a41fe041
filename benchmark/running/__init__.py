"""From a cell to its episodes: training, rollout, the run store, worker processes."""
