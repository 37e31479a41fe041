"""These tests need libraries that are not installed beside the others; `make test-peers` does."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("stable_baselines3") and find_spec("torchrl") else ["*.py"]
