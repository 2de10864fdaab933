"""Layers in NumPy, each written from its definition: recurrences token by token, attention row by row.

Nothing here is fast, and nothing is shared with the reference: what both agree on is not an accident of either.
"""

from dataclasses import dataclass, field
from math import erf, pi, sqrt

import numpy as np


@dataclass
class Weights:
    """The parameters of a checkpoint by name; `notes` keeps what a layer saw that the caller wants to judge."""

    tensors: dict[str, np.ndarray]
    notes: dict[str, list] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensors[name]

    def get(self, name: str) -> np.ndarray | None:
        return self.tensors.get(name)

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        y = x @ self[f'{name}.weight'].T
        bias = self.get(f'{name}.bias')
        return y if bias is None else y + bias

    def norm(self, x: np.ndarray, name: str, epsilon: float) -> np.ndarray:
        return rms(x, epsilon) * self[f'{name}.weight']

    def note(self, name: str, values: np.ndarray) -> None:
        self.notes.setdefault(name, []).append((float(values.min()), float(values.max())))


def rms(x: np.ndarray, epsilon: float) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(erf)(x / sqrt(2))) / 2


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def frequencies(width: int, rope: dict) -> np.ndarray:
    """Angles per position of the width/2 pairs, for `rope_type` default, linear or llama3."""
    plain = rope['rope_theta'] ** (-np.arange(0, width, 2) / width)
    kind = rope.get('rope_type', 'default')
    if kind == 'default':
        return plain
    slow = plain / rope['factor']
    if kind == 'linear':
        return slow
    # llama3: turns within the original length decide; few turns are slowed down, many are kept, between is blended.
    turns = rope['original_max_position_embeddings'] * plain / (2 * pi)
    low, high = rope['low_freq_factor'], rope['high_freq_factor']
    share = np.clip((turns - low) / (high - low), 0, 1)
    return share * plain + (1 - share) * slow


def rotate(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotates the pairs (i, i + n) of the first 2n features of heads x[B, L, H, P] by position times angle."""
    n = len(angles)
    turn = np.arange(x.shape[1])[:, None, None] * angles
    a, b, rest = x[..., :n], x[..., n : 2 * n], x[..., 2 * n :]
    return np.concatenate([a * np.cos(turn) - b * np.sin(turn), b * np.cos(turn) + a * np.sin(turn), rest], -1)


def attend(q, k, v, scale: float, window: int | None = None) -> np.ndarray:
    """Causal attention of heads q[B, L, H, P] on k, v[B, L, G, P]; head h reads group h // (H / G)."""
    share = q.shape[2] // k.shape[2]
    out = np.zeros(q.shape)
    for t in range(q.shape[1]):
        first = 0 if window is None else max(0, t + 1 - window)
        for h in range(q.shape[2]):
            keys, values = k[:, first : t + 1, h // share], v[:, first : t + 1, h // share]
            scores = softmax(scale * np.einsum('bp,bsp->bs', q[:, t, h], keys))
            out[:, t, h] = np.einsum('bs,bsp->bp', scores, values)
    return out


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Depthwise causal convolution of x[B, L, C] with weight[C, 1, K]; the last tap is the present."""
    taps = weight.shape[-1]
    out = np.zeros(x.shape)
    for lag in range(taps):
        out[:, lag:] += weight[:, 0, taps - 1 - lag] * x[:, : x.shape[1] - lag]
    return out if bias is None else out + bias


def mamba1(w: Weights, u: np.ndarray, name: str, epsilon: float | None = None) -> np.ndarray:
    """Mamba (Gu & Dao 2023); with `epsilon` also the norms of dt, B and C that Jamba adds."""
    x, z = np.split(w.linear(u, f'{name}.in_proj'), 2, -1)
    x = silu(convolve(x, w[f'{name}.conv1d.weight'], w.get(f'{name}.conv1d.bias')))
    a = -np.exp(w[f'{name}.A_log'])
    rank, states = w[f'{name}.dt_proj.weight'].shape[1], a.shape[1]
    low, b, c = np.split(w.linear(x, f'{name}.x_proj'), [rank, rank + states], -1)
    if epsilon is not None:
        low = w.norm(low, f'{name}.dt_layernorm', epsilon)
        b = w.norm(b, f'{name}.b_layernorm', epsilon)
        c = w.norm(c, f'{name}.c_layernorm', epsilon)
    dt = softplus(w.linear(low, f'{name}.dt_proj'))
    y = np.zeros(x.shape)
    h = np.zeros((u.shape[0], *a.shape))
    for t in range(u.shape[1]):
        h = np.exp(dt[:, t, :, None] * a) * h + (dt[:, t] * x[:, t])[..., None] * b[:, t, None]
        y[:, t] = np.einsum('ben,bn->be', h, c[:, t])
    return w.linear((y + w[f'{name}.D'] * x) * silu(z), f'{name}.out_proj')


@dataclass(frozen=True)
class Mamba2:
    heads: int
    groups: int
    states: int
    limit: tuple[float, float]
    # None: no norm, only the gate.
    epsilon: float | None
    # Factors of the widths z, x, B, C and dt of the projected input.
    factors: tuple[float, ...] = (1, 1, 1, 1, 1)


def mamba2(w: Weights, u: np.ndarray, name: str, form: Mamba2) -> np.ndarray:
    """Mamba-2 (Dao & Gu 2024): one decay per head, B and C per group, gate before the norm of each group."""
    width = w[f'{name}.out_proj.weight'].shape[1]
    shared = form.groups * form.states
    ends = np.cumsum([width, width, shared, shared])
    z, x, b, c, dt = np.split(w.linear(u, f'{name}.in_proj'), ends, -1)
    z, x, b, c, dt = (factor * part for factor, part in zip(form.factors, (z, x, b, c, dt)))
    mixed = np.concatenate([x, b, c], -1)
    mixed = silu(convolve(mixed, w[f'{name}.conv1d.weight'], w.get(f'{name}.conv1d.bias')))
    x, b, c = np.split(mixed, [width, width + shared], -1)
    batch, length = u.shape[:2]
    x = x.reshape(batch, length, form.heads, -1)
    b, c = (
        np.repeat(part.reshape(batch, length, form.groups, form.states), form.heads // form.groups, 2)
        for part in (b, c)
    )
    step = softplus(dt + w[f'{name}.dt_bias'])
    w.note('step', step)
    step = np.clip(step, *form.limit)
    a = -np.exp(w[f'{name}.A_log'])
    y = np.zeros(x.shape)
    s = np.zeros((*x.shape[:1], *x.shape[2:], form.states))
    for t in range(length):
        keep = np.exp(step[:, t] * a)[..., None, None]
        s = keep * s + (step[:, t, :, None] * x[:, t])[..., None] * b[:, t, :, None]
        y[:, t] = np.einsum('bhpn,bhn->bhp', s, c[:, t])
    y = (y + w[f'{name}.D'][:, None] * x).reshape(batch, length, width) * silu(z)
    if form.epsilon is not None:
        y = rms(y.reshape(batch, length, form.groups, -1), form.epsilon).reshape(y.shape) * w[f'{name}.norm.weight']
    return w.linear(y, f'{name}.out_proj')


def rg_lru(w: Weights, x: np.ndarray, name: str) -> np.ndarray:
    """The real-gated linear recurrent unit of Griffin (De et al. 2024), gates block-diagonal."""

    def gate(kind: str) -> np.ndarray:
        weight, bias = w[f'{name}.{kind}_gate_weight'], w[f'{name}.{kind}_gate_bias']
        blocks = x.reshape(*x.shape[:2], *bias.shape)
        return sigmoid(np.einsum('blhi,hio->blho', blocks, weight) + bias).reshape(x.shape)

    log_a = -8 * gate('recurrent') * softplus(w[f'{name}.recurrent_param'])
    share = np.sqrt(1 - np.exp(2 * log_a))
    # The first token comes in whole.
    share[:, 0] = 1
    driven = share * gate('input') * x
    h = np.zeros_like(x[:, 0])
    out = np.zeros(x.shape)
    for t in range(x.shape[1]):
        h = np.exp(log_a[:, t]) * h + driven[:, t]
        out[:, t] = h
    return out
