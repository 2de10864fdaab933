"""Whole models in NumPy from a config.json and the tensors of a checkpoint, one function per family."""

from math import inf, sqrt

import numpy as np

from layers import Mamba2, Weights, attend, convolve, frequencies, gelu, gelu_tanh, mamba1, mamba2
from layers import rg_lru, rms, rotate, silu, softmax


def heads(w: Weights, x: np.ndarray, name: str, count: int) -> np.ndarray:
    return w.linear(x, name).reshape(*x.shape[:2], count, -1)


def rope(config: dict) -> dict:
    """What config.json says about rotary positions, in the words of today or of published checkpoints."""
    if 'rope_parameters' in config:
        return config['rope_parameters']
    return {'rope_theta': config['rope_theta'], **(config.get('rope_scaling') or {})}


def attention(w: Weights, u: np.ndarray, name: str, config: dict, rotary=None, key_factor=1.0, window=None, scale=None):
    q = heads(w, u, f'{name}.q_proj', config['num_attention_heads'])
    k = heads(w, u, f'{name}.k_proj', config['num_key_value_heads']) * key_factor
    v = heads(w, u, f'{name}.v_proj', config['num_key_value_heads'])
    if rotary is not None:
        q, k = rotate(q, rotary), rotate(k, rotary)
    y = attend(q, k, v, q.shape[-1] ** -0.5 if scale is None else scale, window)
    return w.linear(y.reshape(*u.shape[:2], -1), f'{name}.o_proj')


def gated(w: Weights, u: np.ndarray, name: str, activation=silu) -> np.ndarray:
    return w.linear(activation(w.linear(u, f'{name}.gate_proj')) * w.linear(u, f'{name}.up_proj'), f'{name}.down_proj')


def experts(w: Weights, u: np.ndarray, name: str, count: int) -> np.ndarray:
    """The best `count` experts per token, weighted by a softmax over all of them."""
    shares = softmax(w.linear(u, f'{name}.router'))
    order = np.sort(shares, -1)
    w.note('margin', order[..., -count] - order[..., -count - 1])
    y = np.zeros(u.shape)
    for e in range(shares.shape[-1]):
        chosen = shares[..., e] >= order[..., -count]
        w.note('tokens', np.array(chosen.sum()))
        y += np.where(chosen, shares[..., e], 0)[..., None] * gated(w, u, f'{name}.experts.{e}')
    return y


def time_limit(config: dict) -> tuple[float, float]:
    given = config.get('time_step_limit', [0, inf])
    low, high = (float(value['__float__']) if isinstance(value, dict) else value for value in given)
    return low, high


def head(w: Weights, config: dict, embedding: str) -> np.ndarray:
    return w[embedding] if config['tie_word_embeddings'] else w['lm_head.weight']


def llama(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    epsilon = config['rms_norm_eps']
    x = w['model.embed_tokens.weight'][ids]
    width = w['model.layers.0.self_attn.q_proj.weight'].shape[0] // config['num_attention_heads']
    rotary = frequencies(width, rope(config))
    for i in range(config['num_hidden_layers']):
        name = f'model.layers.{i}'
        x = x + attention(w, w.norm(x, f'{name}.input_layernorm', epsilon), f'{name}.self_attn', config, rotary)
        x = x + gated(w, w.norm(x, f'{name}.post_attention_layernorm', epsilon), f'{name}.mlp')
    return w.norm(x, 'model.norm', epsilon) @ head(w, config, 'model.embed_tokens.weight').T


def mamba(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    epsilon = config['layer_norm_epsilon']
    x = w['backbone.embeddings.weight'][ids]
    for i in range(config['num_hidden_layers']):
        name = f'backbone.layers.{i}'
        x = x + mamba1(w, w.norm(x, f'{name}.norm', epsilon), f'{name}.mixer')
    return w.norm(x, 'backbone.norm_f', epsilon) @ head(w, config, 'backbone.embeddings.weight').T


def mamba_2(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    epsilon = config['layer_norm_epsilon']
    form = Mamba2(config['num_heads'], config['n_groups'], config['state_size'], time_limit(config), epsilon)
    x = w['backbone.embeddings.weight'][ids]
    for i in range(config['num_hidden_layers']):
        name = f'backbone.layers.{i}'
        x = x + mamba2(w, w.norm(x, f'{name}.norm', epsilon), f'{name}.mixer', form)
    return w.norm(x, 'backbone.norm_f', epsilon) @ head(w, config, 'backbone.embeddings.weight').T


def jamba(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    epsilon = config['rms_norm_eps']
    x = w['model.embed_tokens.weight'][ids]
    for i in range(config['num_hidden_layers']):
        name = f'model.layers.{i}'
        u = w.norm(x, f'{name}.input_layernorm', epsilon)
        if i % config['attn_layer_period'] == config['attn_layer_offset']:
            x = x + attention(w, u, f'{name}.self_attn', config)
        else:
            x = x + mamba1(w, u, f'{name}.mamba', epsilon)
        u = w.norm(x, f'{name}.pre_ff_layernorm', epsilon)
        sparse = i % config['expert_layer_period'] == config['expert_layer_offset'] and config['num_experts'] > 1
        name = f'{name}.feed_forward'
        x = x + (experts(w, u, name, config['num_experts_per_tok']) if sparse else gated(w, u, name))
    return w.norm(x, 'model.final_layernorm', epsilon) @ head(w, config, 'model.embed_tokens.weight').T


def falcon_h1(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    epsilon = config['rms_norm_eps']
    form = Mamba2(
        config['mamba_n_heads'],
        config['mamba_n_groups'],
        config['mamba_d_state'],
        time_limit(config),
        epsilon if config['mamba_rms_norm'] else None,
        tuple(config['ssm_multipliers']),
    )
    gate, down = config['mlp_multipliers']
    x = w['model.embed_tokens.weight'][ids] * config['embedding_multiplier']
    rotary = frequencies(config['head_dim'], rope(config))
    for i in range(config['num_hidden_layers']):
        name = f'model.layers.{i}'
        u = w.norm(x, f'{name}.input_layernorm', epsilon)
        m = mamba2(w, u * config['ssm_in_multiplier'], f'{name}.mamba', form)
        scaled = u * config['attention_in_multiplier']
        a = attention(w, scaled, f'{name}.self_attn', config, rotary, config['key_multiplier'])
        x = x + m * config['ssm_out_multiplier'] + a * config['attention_out_multiplier']
        u = w.norm(x, f'{name}.pre_ff_layernorm', epsilon)
        name = f'{name}.feed_forward'
        u = silu(w.linear(u, f'{name}.gate_proj') * gate) * w.linear(u, f'{name}.up_proj')
        x = x + w.linear(u, f'{name}.down_proj') * down
    x = w.norm(x, 'model.final_layernorm', epsilon)
    return x @ head(w, config, 'model.embed_tokens.weight').T * config['lm_head_multiplier']


def nemotron_h(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    epsilon = config['layer_norm_epsilon']
    form = Mamba2(config['mamba_num_heads'], config['n_groups'], config['ssm_state_size'], (0, inf), epsilon)
    words = {'M': 'linear_attention', '*': 'full_attention', '-': 'mlp'}
    kinds = config.get('layers_block_type') or [words[letter] for letter in config['hybrid_override_pattern']]
    x = w['backbone.embeddings.weight'][ids]
    for i, kind in enumerate(kinds):
        name = f'backbone.layers.{i}.mixer'
        u = w.norm(x, f'backbone.layers.{i}.norm', epsilon)
        if kind == 'linear_attention':
            x = x + mamba2(w, u, name, form)
        elif kind == 'full_attention':
            x = x + attention(w, u, name, config)
        else:
            x = x + w.linear(np.maximum(w.linear(u, f'{name}.up_proj'), 0) ** 2, f'{name}.down_proj')
    return w.norm(x, 'backbone.norm_f', epsilon) @ w['lm_head.weight'].T


def zamba2(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    epsilon = config['rms_norm_eps']
    # The gated norm has an epsilon of its own, which no configuration names.
    form = Mamba2(config['n_mamba_heads'], config['mamba_ngroups'], config['mamba_d_state'], (0, inf), 1e-5)
    width = 2 * config['hidden_size'] // config['num_attention_heads']
    sites = [i for i, kind in enumerate(config['layers_block_type']) if kind == 'hybrid']
    x = embedded = w['model.embed_tokens.weight'][ids]
    for i in range(config['num_hidden_layers']):
        name = f'model.layers.{i}'
        if i not in sites:
            x = x + mamba2(w, w.norm(x, f'{name}.input_layernorm', epsilon), f'{name}.mamba', form)
            continue
        site = sites.index(i)
        shared = f'model.layers.{sites[site % config["num_mem_blocks"]]}.shared_transformer'
        u = w.norm(np.concatenate([x, embedded], -1), f'{shared}.input_layernorm', epsilon)
        rotary = frequencies(width, rope(config)) if config['use_mem_rope'] else None
        adapters = f'{shared}.self_attn.linear_{{}}_adapter_list.{site}'
        merged = Weights(dict(w.tensors))
        if config['use_shared_attention_adapter']:
            for letter in 'qkv':
                projection = f'{shared}.self_attn.{letter}_proj.weight'
                merged.tensors[projection] = w[projection] + adapter(w, adapters.format(letter))
        # The input is twice as wide as the model, and the scale is that of half a head.
        u = attention(merged, u, f'{shared}.self_attn', config, rotary, scale=(width / 2) ** -0.5)
        u = w.norm(u, f'{shared}.pre_ff_layernorm', epsilon)
        both = w.linear(u, f'{shared}.feed_forward.gate_up_proj')
        both = both + u @ adapter(w, f'{shared}.feed_forward.gate_up_proj_adapter_list.{site}').T
        gate, up = np.split(both, 2, -1)
        t = w.linear(w.linear(gelu(gate) * up, f'{shared}.feed_forward.down_proj'), f'{name}.linear')
        u = w.norm(x + t, f'{name}.mamba_decoder.input_layernorm', epsilon)
        x = x + mamba2(w, u, f'{name}.mamba_decoder.mamba', form)
    return w.norm(x, 'model.final_layernorm', epsilon) @ head(w, config, 'model.embed_tokens.weight').T


def adapter(w: Weights, name: str) -> np.ndarray:
    return w[f'{name}.1.weight'] @ w[f'{name}.0.weight']


def recurrent_gemma(w: Weights, config: dict, ids: np.ndarray) -> np.ndarray:
    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return rms(x, config['rms_norm_eps']) * (1 + w[f'{name}.weight'])

    width = config['hidden_size'] // config['num_attention_heads']
    rotary = frequencies(int(width * config['partial_rotary_factor']), rope(config))
    x = w['model.embed_tokens.weight'][ids] * sqrt(config['hidden_size'])
    for i in range(config['num_hidden_layers']):
        layer = f'model.layers.{i}'
        name = f'{layer}.temporal_block'
        u = norm(x, f'{layer}.temporal_pre_norm')
        if config['block_types'][i % len(config['block_types'])] == 'attention':
            x = x + attention(w, u, name, config, rotary, window=config['attention_window_size'])
        else:
            y = gelu_tanh(w.linear(u, f'{name}.linear_y'))
            v = convolve(w.linear(u, f'{name}.linear_x'), w[f'{name}.conv_1d.weight'], w[f'{name}.conv_1d.bias'])
            x = x + w.linear(rg_lru(w, v, f'{name}.rg_lru') * y, f'{name}.linear_out')
        x = x + gated(w, norm(x, f'{layer}.channel_pre_norm'), f'{layer}.mlp_block', gelu_tanh)
    logits = norm(x, 'model.final_norm') @ w['model.embed_tokens.weight'].T
    cap = config['logits_soft_cap']
    return cap * np.tanh(logits / cap)


FAMILIES = {
    'llama': llama,
    'mamba': mamba,
    'mamba2': mamba_2,
    'jamba': jamba,
    'falcon_h1': falcon_h1,
    'nemotron_h': nemotron_h,
    'zamba2': zamba2,
    'recurrent_gemma': recurrent_gemma,
}
