"""Libraries of reinforcement learning collect from the environments: `make test-peers`."""

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import VecMonitor
from torchrl.collectors import Collector
from torchrl.envs import GymEnv, GymWrapper, set_gym_backend
from torchrl.envs.utils import RandomPolicy, check_env_specs

import envs
from tests.peers.sb3_vec_env import GymnasiumVecEnv

pytestmark = [
    pytest.mark.peers,
    # The libraries' own: old names of numpy and torch, advice about normalised actions.
    pytest.mark.filterwarnings("ignore"),
]
gymnasium.register_envs(envs)

LONGEST = 20  # steps of an episode
IDS = ["dpbench/PushT-v1", "dpbench/LinearSystem-v1"]


@pytest.mark.parametrize("obs_type", ["keypoints", "pixels"])
def test_stable_baselines_finds_no_fault(obs_type):
    check_env(gymnasium.make("dpbench/PushT-v1", obs_type=obs_type).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_ppo_learns_from_a_single_environment(env_id):
    env = gymnasium.wrappers.RescaleAction(
        gymnasium.make(env_id, max_episode_steps=LONGEST), np.float32(-1.0), np.float32(1.0)
    )
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, seed=0)
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(128)
    assert model.num_timesteps == 128
    assert len(model.ep_info_buffer) == 128 // LONGEST
    assert all(episode["l"] == LONGEST for episode in model.ep_info_buffer)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))


def test_ppo_learns_from_the_vector_environment():
    env = gymnasium.make_vec(
        "dpbench/PushT-v1", num_envs=4, autoreset_mode="SameStep", max_episode_steps=LONGEST
    )
    model = PPO("MlpPolicy", VecMonitor(GymnasiumVecEnv(env)), n_steps=64, batch_size=64, seed=0)
    model.learn(512)
    assert model.num_timesteps == 512
    episodes = list(model.ep_info_buffer)
    assert len(episodes) == 4 * (128 // LONGEST)
    assert {episode["l"] for episode in episodes} == {LONGEST}
    assert all(0.0 <= episode["r"] <= LONGEST for episode in episodes)


@pytest.mark.parametrize("env_id", IDS)
def test_torchrl_collects_from_a_single_environment(env_id):
    with set_gym_backend("gymnasium"):
        env = GymEnv(env_id, max_episode_steps=LONGEST)
    check_env_specs(env)
    data = collected(env, 100)
    assert data["next", "done"].sum() == 100 // LONGEST
    np.testing.assert_array_equal(  # what comes next is where the next step starts
        data["next", "observation"][: LONGEST - 1], data["observation"][1:LONGEST]
    )


@pytest.mark.parametrize("mode", ["Disabled", "SameStep"])  # TorchRL takes no other
def test_torchrl_collects_from_the_vector_environment(mode):
    made = gymnasium.make_vec(
        "dpbench/PushT-v1", num_envs=4, autoreset_mode=mode, max_episode_steps=LONGEST
    )
    with set_gym_backend("gymnasium"):
        env = GymWrapper(made)
    data = collected(env, 400)
    assert data.batch_size == (4, 100)
    done = data["next", "done"].squeeze(-1)
    assert done.sum(-1).tolist() == [100 // LONGEST] * 4
    first = data["observation"][:, 1:][done[:, :-1]]
    last = data["next", "observation"][:, :-1][done[:, :-1]]
    assert (first != last).any(-1).all()  # each episode starts anew


def collected(env, frames):
    """A batch of random steps."""
    collector = Collector(
        env, RandomPolicy(env.action_spec), frames_per_batch=frames, total_frames=frames
    )
    (data,) = list(collector)
    collector.shutdown()
    return data
