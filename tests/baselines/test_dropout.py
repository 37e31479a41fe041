"""Dropout from shared random numbers."""

import pytest
import torch

from baselines.nets.dropout import Dropout, mask


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5, 0.9])
def test_as_many_elements_are_dropped_as_asked_for_and_the_mean_stays(probability: float) -> None:
    torch.manual_seed(0)
    out = Dropout(probability)(torch.ones(1_000_003))
    assert (out == 0).float().mean().item() == pytest.approx(probability, abs=2e-3)
    assert out.double().mean().item() == pytest.approx(1, abs=0.01)
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - probability)], rel=1e-3)


def test_neighbours_that_share_a_random_number_are_independent() -> None:
    torch.manual_seed(0)
    kept = (mask(torch.empty(400_000), 2**15) > 0).double().view(-1, 4)
    assert (kept.mean(0) - 0.5).abs().max() < 0.01
    assert (torch.corrcoef(kept.T) - torch.eye(4)).abs().max() < 0.015


def test_a_gradient_passes_where_an_element_does() -> None:
    torch.manual_seed(0)
    x = torch.ones(7, 5, requires_grad=True)
    out = Dropout(0.3)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_nothing_and_everything_can_be_dropped(probability: float) -> None:
    assert torch.equal(Dropout(probability)(torch.ones(9)), torch.full((9,), 1 - probability))


def test_masks_follow_the_seed_and_there_are_none_in_evaluation() -> None:
    dropout, x = Dropout(0.5), torch.ones(100)
    found = [(torch.manual_seed(seed), dropout(x))[1] for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert dropout.eval()(x) is x


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dropout is 1.5; allowed: 0 to 1"):
        Dropout(1.5)
