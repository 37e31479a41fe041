"""Policies, built to win. Importing this package registers them; no simulator in here."""

from baselines.diffusion.agent import DiffusionUnet

__all__ = ["DiffusionUnet"]
