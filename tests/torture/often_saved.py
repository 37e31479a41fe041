"""`python -m benchmark`, but a training is saved every tenth of a second instead of every 20 s."""

import sys

from benchmark.__main__ import main  # first: it heeds interruptions while the rest is imported

import benchmark.running.train  # isort: skip

benchmark.running.train.SAVE_SECONDS = 0.1  # in workers too: they import this module again

if __name__ == "__main__":
    sys.exit(main())
