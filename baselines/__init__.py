"""Policies, built to win. Importing this package registers them; no simulator in here."""

from baselines.bc_mlp import BcMlp
from baselines.bet import Bet
from baselines.diffusion.agent import DiffusionTransformer, DiffusionUnet
from baselines.ibc import Ibc
from baselines.ibc_informed import IbcInformed
from baselines.lstm_gmm import LstmGmm
from baselines.nearest import Nearest

__all__ = [
    "BcMlp",
    "Bet",
    "DiffusionTransformer",
    "DiffusionUnet",
    "Ibc",
    "IbcInformed",
    "LstmGmm",
    "Nearest",
]
