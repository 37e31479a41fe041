"""Transformer blocks: PyTorch's encoder layer, masks, initial weights and dropout."""

import pytest
import torch
from torch import Tensor, nn

from baselines.nets.attention import Attention, Block, causal_mask, initialize

WIDTH, HEADS = 16, 4


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@torch.no_grad()
def test_a_block_without_memory_equals_the_encoder_layer_of_torch() -> None:
    torch.manual_seed(0)
    block = Block(WIDTH, HEADS, dropout=0.0).eval()
    for parameter in block.parameters():
        parameter.copy_(0.4 * torch.randn_like(parameter))
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
    )
    mine = block.attention
    layer.self_attn.in_proj_weight.copy_(torch.cat([mine.query.weight, mine.key_value.weight]))
    layer.self_attn.in_proj_bias.copy_(torch.cat([mine.query.bias, mine.key_value.bias]))
    layer.self_attn.out_proj.load_state_dict(mine.out.state_dict())
    layer.norm1.load_state_dict(block.norm.state_dict())
    layer.norm2.load_state_dict(block.mlp[0].state_dict())
    layer.linear1.load_state_dict(block.mlp[1].state_dict())
    layer.linear2.load_state_dict(block.mlp[4].state_dict())
    x = normal(3, 6, WIDTH)
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)  # True hides, in torch
    expected = layer(x, src_mask=hidden)
    torch.testing.assert_close(block(x, causal_mask(6)), expected, rtol=0, atol=1e-5)


def test_a_causal_mask_lets_a_token_look_at_itself_and_earlier_ones() -> None:
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True] * 3]


def test_a_lead_lets_tokens_look_further_into_a_memory() -> None:
    expected = [[True, True, False], [True] * 3, [True] * 3, [True] * 3]
    assert causal_mask(4, lead=1, memory=3).tolist() == expected


def test_linear_weights_and_positions_start_small_and_biases_at_zero() -> None:
    network = nn.Module()
    network.layer = nn.Linear(300, 200)
    network.norm = nn.LayerNorm(200)
    network.positions = nn.Parameter(torch.full((300, 200), 7.0))
    torch.manual_seed(0)
    initialize(network)
    for parameter in (network.layer.weight, network.positions):
        assert parameter.std().item() == pytest.approx(0.02, rel=0.02)
        assert parameter.mean().abs() < 1e-3
    assert not network.layer.bias.any()
    assert (network.norm.weight == 1).all()


def test_weights_by_fan_in_keep_the_scale_of_a_signal() -> None:
    network = nn.Sequential(nn.Linear(20, 400), nn.Linear(400, 300), nn.Linear(300, 300))
    torch.manual_seed(0)
    initialize(network, "fan-in")
    assert network(normal(500, 20)).std().item() == pytest.approx(1.0, rel=0.1)
    assert not any(layer.bias.any() for layer in network)


@torch.no_grad()
def test_dropout_is_on_in_training_alone() -> None:
    torch.manual_seed(0)
    block = Block(WIDTH, HEADS, dropout=0.5)
    attention = Attention(WIDTH, HEADS, dropout=0.5)
    x, mask = normal(3, 6, WIDTH), causal_mask(6)
    for network, arguments in ((block, (x, mask)), (attention, (x, attention.keyed(x), mask))):
        assert not torch.allclose(network(*arguments), network(*arguments), atol=1e-3)
        network.eval()
        torch.testing.assert_close(network(*arguments), network(*arguments), rtol=0, atol=0)


def test_attention_in_training_differs_by_its_dropout_alone() -> None:
    torch.manual_seed(0)
    attention = Attention(WIDTH, HEADS, dropout=1e-9)  # too small ever to drop anything
    x, mask = normal(3, 6, WIDTH), causal_mask(6, 1, 5)
    keyed = attention.keyed(normal(3, 5, WIDTH))
    trained = attention(x, keyed, mask)
    torch.testing.assert_close(attention.eval()(x, keyed, mask), trained, rtol=0, atol=1e-6)


def test_a_block_without_memory_has_no_keys_for_one() -> None:
    with pytest.raises(ValueError, match="attends to no memory; build it with attends_memory"):
        Block(WIDTH, HEADS, dropout=0.0).keyed(normal(3, 5, WIDTH))


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="width is 15; it must be a multiple of heads = 4"):
        Attention(15, 4, dropout=0.0)
