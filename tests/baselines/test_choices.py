"""A setting that no network can have is refused by its name, before anything is built."""

import pytest

from baselines.agent import agent_class


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        ("diffusion-unet", {"channels": ()}, "channels is empty; allowed: a number a level"),
        ("diffusion-unet", {"channels": (12,)}, "channels is 12; allowed: multiples of groups = 8"),
        ("diffusion-unet", {"channels": (-8,)}, "channels is -8; allowed: multiples of groups"),
        ("diffusion-unet", {"kernel_size": 4}, "kernel_size is 4; allowed: odd numbers from 1"),
        ("diffusion-unet", {"step_dim": 3}, "step_dim is 3; allowed: multiples of"),
        ("diffusion-unet", {"groups": 0}, "groups is 0; allowed: 1 or more"),
        ("diffusion-transformer", {"width": 6}, "width is 6; allowed: multiples of heads = 4"),
        ("diffusion-transformer", {"layers": 0}, "layers is 0; allowed: 1 or more"),
        ("bet", {"width": 0}, "width is 0; allowed: multiples of heads = 4"),
        ("bet", {"bins": 0}, "bins is 0; allowed: 1 or more"),
        ("lstm-gmm", {"hidden": 0}, "hidden is 0; allowed: 1 or more"),
        ("lstm-gmm", {"min_std": -1.0}, "min_std is -1.0; allowed: 0 or more"),
        ("ibc", {"width": 0}, "width is 0; allowed: 1 or more"),
        ("ibc", {"obs_layers": -1}, "obs_layers is -1; allowed: 0 or more"),
        ("bc-mlp", {"width": 0}, "width is 0; allowed: 1 or more"),
    ],
)
def test_a_setting_that_no_network_can_have_is_refused_by_name(
    method: str, setting: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        agent_class(method).Config(**setting)
