"""Our training in turns with that of a checkout, here a stand-in with the public code's names."""

import sys
from pathlib import Path

import pytest
import torch

from benchmark.errors import UsageError
from benchmark.perf import public, timing
from benchmark.perf.pusht import make_workload
from benchmark.perf.timing import Effort
from envs.demos.demonstrations import Demonstrations

CPU = torch.device("cpu")
LEAST = Effort(rounds=1, seconds=0.0, block_seconds=0.0, episodes=2, length=20)
UNET = """
import torch

class ConditionalUnet1D(torch.nn.Module):
    def __init__(self, input_dim, global_cond_dim, **sizes):
        super().__init__()
        assert sizes["down_dims"] == [64, 128, 256] and sizes["cond_predict_scale"]
        self.layer = torch.nn.Linear(input_dim + global_cond_dim + 1, input_dim)

    def forward(self, sample, timestep, global_cond):
        length = sample.shape[1]
        cond = torch.cat([global_cond, timestep[:, None]], dim=1)[:, None].expand(-1, length, -1)
        return self.layer(torch.cat([sample, cond], dim=-1))
"""
TRANSFORMER = """
import torch

class TransformerForDiffusion(torch.nn.Module):
    def __init__(self, input_dim, output_dim, cond_dim, n_obs_steps, **sizes):
        super().__init__()
        assert sizes["causal_attn"] and sizes["obs_as_cond"]
        self.layer = torch.nn.Linear(input_dim + n_obs_steps * cond_dim, output_dim)

    def forward(self, sample, timestep, cond):
        cond = cond.flatten(1)[:, None].expand(-1, sample.shape[1], -1)
        return self.layer(torch.cat([sample, cond], dim=-1))
"""
AVERAGE = """
class EMAModel:
    def __init__(self, model, power):
        self.averaged_model, self.steps = model, 0

    def step(self, new_model):
        self.steps += 1
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "diffusion_policy" / "model" / "diffusion"
    folder.mkdir(parents=True)
    (folder / "conditional_unet1d.py").write_text(UNET)
    (folder / "transformer_for_diffusion.py").write_text(TRANSFORMER)
    (folder / "ema_model.py").write_text(AVERAGE)
    return tmp_path


@pytest.fixture(scope="module")
def demos() -> Demonstrations:
    return make_workload(episodes=2, length=20, singles=1).demonstrations()


def test_both_sides_are_timed_and_the_ratio_is_taken_round_by_round(
    checkout: Path, demos: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "LEAST_REPETITIONS", 1)
    monkeypatch.setattr(public, "COMPARED", (("diffusion-unet", 8), ("diffusion-transformer", 4)))
    rows = public.against_public(checkout, demos, CPU, LEAST)
    assert [row.how for row in rows] == [
        f"{title}: {of}"
        for title in ("diffusion-unet, batch 8", "diffusion-transformer, batch 4")
        for of in ("dpbench", "diffusion_policy", "dpbench / diffusion_policy")
    ]
    for ours, theirs, ratio in (rows[:3], rows[3:]):
        assert (ours.unit, theirs.unit, ratio.unit) == ("samples/s", "samples/s", "times")
        assert ratio.values[0] == pytest.approx(ours.values[0] / theirs.values[0])
    assert str(checkout) not in sys.path
    assert not any(name.startswith("diffusion_policy") for name in sys.modules)


def test_a_folder_that_is_no_checkout_is_refused_and_the_message_says_where_to_get_one(
    tmp_path: Path, demos: Demonstrations
) -> None:
    with pytest.raises(UsageError, match=r"is no checkout(.|\n)*git clone"):
        public.against_public(tmp_path, demos, CPU, LEAST)


def test_a_package_that_the_checkout_needs_is_named(checkout: Path, demos: Demonstrations) -> None:
    unet = checkout / "diffusion_policy" / "model" / "diffusion" / "conditional_unet1d.py"
    unet.write_text("import never_installed\n")
    with pytest.raises(
        UsageError, match=r"needs never_installed(.|\n)*pip install never_installed"
    ):
        public.against_public(checkout, demos, CPU, LEAST)
