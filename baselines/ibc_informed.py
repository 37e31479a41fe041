"""IBC with negatives and a search that know where demonstrated actions lie (`ibc-informed`).

IBC as published (`ibc.py`) draws its negatives, and the candidates of a search, anywhere in the
box of actions. With few of them, or in more than two dimensions, hardly any comes near what is
demonstrated: the energy stays blunt and a search finds nothing. This is the same method with four
remedies, each a setting of its own; without all of them it is `ibc`.

Differences to `ibc`, none of them published:
    - `near_share`: some negatives lie about the demonstrated chunk, at all scales.
    - `known_share`: some negatives, and some of the candidates that a search starts from, are
      chunks demonstrated anywhere in the data. In ten dimensions uniform ones lie so far from the
      few poses that a robot takes that no search finds its way from there.
    - `shaken_share`: a round of the derivative-free search shakes some numbers of a candidate and
      keeps the others. Shaking all of ten makes a good candidate better too seldom.
    - `knots`: the search is for a few actions of a chunk, the others lie between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.agent import Spec, register
from baselines.ibc import LIMIT, Ibc, IbcConfig
from baselines.noise import Generators, rand, randn
from baselines.normalizer import Normalizer

KNOWN = 4096
"""Demonstrated chunks that are kept, where `known_share` asks for some."""


@dataclass(frozen=True)
class IbcInformedConfig(IbcConfig):
    """Settings of IBC and of its remedies; by default none is taken."""

    near_share: float = 0.0
    """Share of the negatives that lie about the demonstrated chunk instead of anywhere."""
    near_noise: tuple[float, float] = (0.01, 0.5)
    """Least and largest standard deviation of those, in normalised units; log-uniform."""
    known_share: float = 0.0
    """Share of the negatives, and of the candidates, that were demonstrated somewhere instead of
    anything."""
    shaken_share: float = 1.0
    """Share of a candidate's numbers that a round of a derivative-free search shakes, others each
    time."""
    knots: int = 0
    """Actions of a chunk that the energy judges, evenly spread over it; those between lie on
    straight lines. 0 takes every action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("near_share", "known_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 to 1")
        if self.near_share + self.known_share > 1:
            raise ValueError(
                f"near_share {self.near_share} and known_share {self.known_share} are more than "
                "all of the negatives"
            )
        if not 0 < self.shaken_share <= 1:
            raise ValueError(
                f"shaken_share is {self.shaken_share}; allowed: more than 0, and 1 at most"
            )
        if self.knots < 0:
            raise ValueError(f"knots is {self.knots}; allowed: 0 or more")
        low, high = self.near_noise
        if not 0 < low <= high:
            raise ValueError(f"near_noise is {self.near_noise}; allowed: 0 < least <= largest")


@register("ibc-informed")
class IbcInformed(Ibc):
    """Implicit behavioural cloning that looks where demonstrated actions lie."""

    Config = IbcInformedConfig
    between: Tensor
    known: Tensor

    def __init__(self, config: IbcInformedConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        between = _interpolation(self.judged_actions, spec.chunk)
        self.register_buffer("between", between, persistent=False)
        if config.known_share:
            self.register_buffer("known", torch.zeros(KNOWN, self.size))

    @property
    def judged_actions(self) -> int:
        """Knots of a chunk."""
        return min(self.config.knots or self.spec.chunk, self.spec.chunk)

    def fit(self, actions: Tensor, generator: torch.Generator) -> None:
        """Keep some of the demonstrated chunks, (W, Tp, Da); see `known_share`."""
        if self.config.known_share:
            drawn = torch.randint(len(actions), (KNOWN,), generator=generator)
            some = self.normalizer.normalize("action", actions[drawn.to(actions.device)])
            self.known.copy_(self.to_judged(self.current_and_later(some)))

    def to_judged(self, chunk: Tensor) -> Tensor:
        """Normalised chunks (B, C, Da) to their knots, (B, knots * Da)."""
        return chunk[:, self.between.argmax(0)].flatten(1)  # where in the chunk each knot lies

    def to_chunk(self, judged: Tensor) -> Tensor:
        """Knots (B, N, knots, Da) to chunks (B, N, C, Da), by straight lines."""
        return self.between @ judged

    def candidates(self, shape: tuple[int, ...], generator: Generators) -> Tensor:
        """Uniform chunks, (B, ..., N, size), the last of them demonstrated ones."""
        drawn = super().candidates(shape, generator)
        known = round(self.config.known_share * shape[-2])
        if known:
            place = rand((*shape[:-2], known), generator, drawn.device)
            place = (KNOWN * place).long().clamp(max=KNOWN - 1)  # the product may round up
            drawn[..., -known:, :] = self.known[place]
        return drawn

    def negatives(self, demonstrated: Tensor, generator: torch.Generator) -> Tensor:
        """Candidates, (B, negatives, size), the first of them about the demonstrated (B, size)."""
        negatives = super().negatives(demonstrated, generator)
        near = round(self.config.near_share * self.config.negatives)
        if near:
            shape = (len(demonstrated), near, self.size)
            low, high = self.config.near_noise
            spread = rand((*shape[:2], 1), generator, demonstrated.device)
            noise = low * (high / low) ** spread * randn(shape, generator, demonstrated.device)
            negatives[:, :near] = (demonstrated[:, None] + noise).clamp(-LIMIT, LIMIT)
        return negatives

    def shake(self, shape: tuple[int, ...], generator: Generators, device: torch.device) -> Tensor:
        """Standard normal noise of `shape` on a share of the numbers, nought on the others."""
        noise, share = super().shake(shape, generator, device), self.config.shaken_share
        return noise if share == 1 else noise * (rand(shape, generator, device) < share)


def _interpolation(knots: int, length: int) -> Tensor:
    """Weights that make a chunk of `length` actions from its knots, (length, knots)."""
    places = torch.linspace(0, length - 1, knots).round()  # a single knot lies at the beginning
    steps = torch.arange(length)[:, None]
    if knots == 1:
        return torch.ones(length, 1)
    gaps = places.diff()
    rise = (steps - places[:-1]) / gaps  # (length, knots - 1), 0 to 1 between two knots
    weights = torch.zeros(length, knots)
    weights[:, 1:] += rise.clamp(0, 1)
    weights[:, :-1] += (1 - rise).clamp(0, 1)
    weights[:, 1:-1] -= 1
    return weights
