"""Diffusion Policy (Chi et al., RSS 2023 and IJRR 2024, arXiv 2303.04137)."""
