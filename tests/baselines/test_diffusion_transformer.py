"""The transformer: PyTorch's own layers with the published masks, size and weight decay."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.agent import Agent, Spec
from baselines.diffusion.agent import DiffusionTransformer, DiffusionTransformerConfig
from baselines.diffusion.transformer import DenoisingTransformer
from baselines.nets.attention import Attention, Block, InitialWeights
from baselines.normalizer import Normalizer

MakeTiny = Callable[..., Agent]

DA, F, TO, TP = 2, 5, 3, 7


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def small_network(width: int = 16, heads: int = 4, layers: int = 2) -> DenoisingTransformer:
    """With weights large enough for everything to matter."""
    torch.manual_seed(0)
    network = DenoisingTransformer(DA, F, TO, TP, layers, heads, width, dropout=0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    return network


def torch_decoder(layers: int, width: int, heads: int) -> nn.TransformerDecoder:
    """What the published network is built of."""
    layer = nn.TransformerDecoderLayer(
        width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerDecoder(layer, layers)


def copy_attention(mine: Attention, theirs: nn.MultiheadAttention) -> None:
    theirs.in_proj_weight.copy_(torch.cat([mine.query.weight, mine.key_value.weight]))
    theirs.in_proj_bias.copy_(torch.cat([mine.query.bias, mine.key_value.bias]))
    theirs.out_proj.load_state_dict(mine.out.state_dict())


@torch.no_grad()
def copy_block(mine: Block, theirs: nn.TransformerDecoderLayer) -> None:
    assert mine.memory_attention is not None
    assert mine.memory_norm is not None
    copy_attention(mine.attention, theirs.self_attn)
    copy_attention(mine.memory_attention, theirs.multihead_attn)
    first_norm, inner, outer = mine.mlp[0], mine.mlp[1], mine.mlp[4]
    for own, other in (
        (mine.norm, theirs.norm1),
        (mine.memory_norm, theirs.norm2),
        (first_norm, theirs.norm3),
        (inner, theirs.linear1),
        (outer, theirs.linear2),
    ):
        other.load_state_dict(own.state_dict())


def test_the_published_network_has_9_million_parameters() -> None:
    """Published for Push-T: two observations of 20 numbers, two-dimensional actions."""
    width, layers = 256, 8
    network = DenoisingTransformer(2, 20, 2, 16)
    count = sum(parameter.numel() for parameter in network.parameters())
    decoder = sum(p.numel() for p in torch_decoder(layers, width, 4).parameters())
    around = (
        (2 + 1) * width  # actions in
        + (20 + 1) * width  # observations in
        + (16 + 3) * width  # positions of 16 actions, 2 observations and the diffusion step
        + (width + 1) * 4 * width + (4 * width + 1) * width  # MLP on the memory
        + 2 * width + (width + 1) * 2  # last normalisation, actions out
    )  # fmt: skip
    assert count == decoder + around == 8_965_122


@torch.no_grad()
def test_the_network_equals_the_decoder_of_torch_with_the_same_weights() -> None:
    width, heads, layers = 16, 4, 2
    network = small_network(width, heads, layers)
    decoder = torch_decoder(layers, width, heads)
    for mine, theirs in zip(network.blocks, decoder.layers, strict=True):
        assert isinstance(mine, Block)
        assert isinstance(theirs, nn.TransformerDecoderLayer)
        copy_block(mine, theirs)
    actions, step, obs = normal(4, TP, DA), torch.tensor([0, 3, 50, 99]), normal(4, TO, F)

    memory = torch.cat([network.step_in(step)[:, None], network.obs_in(obs)], dim=1)
    first, _, second = network.memory
    memory = second(functional.mish(first(memory + network.memory_positions)))
    tokens = network.action_in(actions) + network.action_positions
    action, remembered = torch.arange(TP)[:, None], torch.arange(1 + TO)
    # Published: action t looks at memory s where t >= s - 1. True hides, in torch.
    decoded = decoder(
        tokens, memory, tgt_mask=torch.arange(TP) > action, memory_mask=action < remembered - 1
    )
    expected = network.head(network.norm(decoded))
    assert expected.std() > 0.1
    torch.testing.assert_close(network(actions, step, obs), expected, rtol=0, atol=1e-5)


def changed_actions(changed: Tensor, before: Tensor) -> list[int]:
    """Places in the horizon whose prediction is another."""
    return ((changed - before).abs().amax((0, 2)) > 1e-4).nonzero().flatten().tolist()


@torch.no_grad()
def test_what_is_computed_once_a_prediction_is_what_each_step_would_compute() -> None:
    network = small_network()
    actions, obs = normal(4, TP, DA), normal(4, TO, F)
    steps = [99, 50, 3]
    for step, memories in zip(steps, network.memories(steps, obs), strict=True):
        whole = network(actions, torch.full((4,), step), obs)
        for length in (1, TP):
            first = network(actions[:, :length], torch.full((4,), -1), obs, memories)
            torch.testing.assert_close(first, whole[:, :length], rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@torch.no_grad()
def test_the_first_actions_alone_are_those_of_the_whole_sequence(
    sampler: str, make_tiny: MakeTiny
) -> None:
    agent = make_tiny("diffusion-transformer")
    agent.set_sampler(sampler)
    obs = {"state": 125 + 25 * normal(3, 2, 3)}
    lengths: list[int] = []
    agent.network.register_forward_hook(lambda _, inputs, __: lengths.append(inputs[0].shape[1]))
    for count in (1, 3):
        whole, first = (
            draw(obs, [torch.Generator().manual_seed(i) for i in range(3)], last)
            for draw, last in ((agent.act, 1), (agent.act_first, count))
        )
        assert set(lengths) == {agent.spec.pred_horizon, count}
        lengths.clear()
        assert first.shape == (3, 1, count, agent.spec.action_dim)
        assert whole.std() > 1
        torch.testing.assert_close(first, whole[:, :, :count], rtol=0, atol=1e-3)  # px


@torch.no_grad()
@pytest.mark.parametrize("place", range(TP))
def test_an_action_changes_no_prediction_before_its_own(place: int) -> None:
    network = small_network()
    actions, step, obs = normal(2, TP, DA), torch.tensor([5, 60]), normal(2, TO, F)
    before = network(actions, step, obs)
    actions[:, place] += 1
    assert changed_actions(network(actions, step, obs), before) == list(range(place, TP))


@torch.no_grad()
@pytest.mark.parametrize("place", range(TO))
def test_an_action_does_not_see_what_is_observed_after_it(place: int) -> None:
    network = small_network()
    actions, step, obs = normal(2, TP, DA), torch.tensor([5, 60]), normal(2, TO, F)
    before = network(actions, step, obs)
    obs[:, place] += 1
    assert changed_actions(network(actions, step, obs), before) == list(range(place, TP))


@torch.no_grad()
def test_every_action_sees_the_diffusion_step() -> None:
    network = small_network()
    actions, step, obs = normal(2, TP, DA), torch.tensor([5, 60]), normal(2, TO, F)
    before = network(actions, step, obs)
    assert changed_actions(network(actions, step + 1, obs), before) == list(range(TP))


def test_predictions_of_a_batch_do_not_depend_on_each_other() -> None:
    network = small_network()
    actions, step, obs = normal(5, TP, DA), torch.arange(5), normal(5, TO, F)
    together = network(actions, step, obs)
    alone = torch.cat(
        [network(actions[i : i + 1], step[i : i + 1], obs[i : i + 1]) for i in range(5)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["bet", "diffusion-transformer"])
def test_only_weights_of_linear_layers_decay(method: str, make_tiny: MakeTiny) -> None:
    agent = make_tiny(method)
    decay = {
        id(p): group["weight_decay"]
        for group in agent.parameter_groups(0.1)
        for p in group["params"]
    }
    for name, parameter in agent.named_parameters():
        matrix = name.endswith("weight") and parameter.dim() == 2  # a norm's weight is a vector
        assert decay[id(parameter)] == (0.1 if matrix else 0.0), name
    kinds = {name.rsplit(".", 1)[-1]: decay[id(p)] for name, p in agent.named_parameters()}
    positions = {kind: value for kind, value in kinds.items() if kind.endswith("positions")}
    assert positions
    assert set(positions.values()) == {0.0}


@torch.no_grad()
@pytest.mark.parametrize(("weights", "least", "most"), [("small", 0, 0.01), ("fan-in", 0.2, 1)])
def test_observations_reach_an_untrained_narrow_network_by_fan_in_only(
    weights: InitialWeights, least: float, most: float
) -> None:
    """How much other observations change a prediction, in shares of its spread."""
    torch.manual_seed(0)
    network = DenoisingTransformer(2, 20, 2, 10, 4, 4, 96, 0.0, weights)
    actions, step = normal(200, 10, 2), torch.full((200,), 50)
    one, other = (network(actions, step, obs) for obs in normal(2, 200, 2, 20).tanh())
    assert least <= ((one - other).std() / one.std()).item() <= most


def test_unknown_initial_weights_are_refused_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="initial_weights is 'large'; allowed: small, fan-in"):
        DiffusionTransformerConfig(initial_weights="large")  # type: ignore[arg-type]


def test_initial_weights_of_the_settings_reach_the_network(make_tiny: MakeTiny) -> None:
    config = DiffusionTransformerConfig(layers=1, heads=2, width=32)
    for weights, expected in (("small", 0.02), ("fan-in", 32**-0.5)):
        agent = make_tiny("diffusion-transformer", replace(config, initial_weights=weights))
        assert isinstance(agent.network, DenoisingTransformer)
        spread = agent.network.blocks[0].mlp[1].weight.std().item()
        assert spread == pytest.approx(expected, rel=0.1)


def test_settings_and_horizons_of_the_agent_reach_its_network(make_tiny: MakeTiny) -> None:
    agent = make_tiny("diffusion-transformer", obs_horizon=3, pred_horizon=9)
    network = agent.network
    assert isinstance(network, DenoisingTransformer)
    assert network.action_positions.shape == (9, 32)
    assert network.memory_positions.shape == (1 + 3, 32)
    assert len(network.blocks) == 2
    heads = {m.heads for m in network.modules() if isinstance(m, Attention)}
    assert heads == {2}


def test_an_image_encoder_decays_by_its_own_rate() -> None:
    data = {"action": torch.rand(5, 2)}
    config = DiffusionTransformerConfig(layers=1, heads=1, width=8, encoder_weight_decay=0.3)
    spec = Spec({"pixels": (40, 40, 3)}, 2, 2, 4)
    agent = DiffusionTransformer(config, spec, Normalizer.fit(data, {"action": "min-max"}))
    decay = {
        id(parameter): group["weight_decay"]
        for group in agent.parameter_groups(0.1)
        for parameter in group["params"]
    }
    assert {decay[id(parameter)] for parameter in agent.encoder.parameters()} == {0.3}
    assert {decay[id(parameter)] for parameter in agent.network.parameters()} == {0.0, 0.1}
    assert len(decay) == len(list(agent.parameters()))
