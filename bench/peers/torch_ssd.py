"""Mamba-2's scan with PyTorch's public operations, in two ways; one group of B and C.

    h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t]        y[t] = h[t] C[t]

x [B, L, H, P]; dt [B, L, H]; A [H]; B, C [B, L, N]; h [B, H, P, N]; y [B, L, H, P].
"""

import torch
from torch.nn import functional as F


def ssd_recurrence(x, dt, A, B, C):
    """Token by token under autograd."""
    decay = torch.exp(dt * A)[..., None, None]
    drive = (dt[..., None] * x)[..., None] * B[:, :, None, None]
    h = torch.zeros_like(drive[:, 0])
    ys = []
    for t in range(x.shape[1]):
        h = decay[:, t] * h + drive[:, t]
        ys.append(torch.matmul(h, C[:, t, None, :, None])[..., 0])
    return torch.stack(ys, 1)


def ssd_chunked(x, dt, A, B, C, chunk=64):
    """Products by chunks, as in section 6 of Dao and Gu (2024); only the states between chunks are a loop."""
    length = x.shape[1]
    missing = -length % chunk
    # dt = 0 leaves the state as it is.
    x, dt, B, C = (F.pad(part, (0, 0) * (part.dim() - 2) + (0, missing)) for part in (x, dt, B, C))
    cut = lambda part: part.unflatten(1, (-1, chunk))
    x, dt, B, C = cut(x * dt[..., None]), cut(dt), cut(B), cut(C)
    x = x.transpose(2, 3)  # [B, c, H, k, P]
    total = torch.cumsum(dt * A, 2).transpose(2, 3)  # [B, c, H, k]: log of the decay since the chunk began
    apart = total[..., :, None] - total[..., None, :]
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).tril()
    decay = torch.exp(apart.masked_fill(~later, float('-inf')))  # [B, c, H, k, k]
    scores = torch.matmul(C, B.transpose(-1, -2))[:, :, None]
    inside = torch.matmul(scores * decay, x)

    left = torch.exp(total[..., -1:] - total)[..., None] * x
    added = torch.matmul(left.transpose(-1, -2), B[:, :, None])  # [B, c, H, P, N]
    kept = torch.exp(total[..., -1])[..., None, None]
    state = torch.zeros_like(added[:, 0])
    states = []
    for c in range(added.shape[1]):
        states.append(state)
        state = kept[:, c] * state + added[:, c]
    before = torch.stack(states, 1)
    carried = torch.exp(total)[..., None] * torch.matmul(C[:, :, None], before.transpose(-1, -2))
    y = (inside + carried).transpose(2, 3).flatten(1, 2)
    return y[:, :length]


def largest_difference(length=37, chunk=8):
    """The largest difference, relative to each tensor, between the two ways in values and gradients."""
    shapes = {'x': (2, length, 3, 5), 'dt': (2, length, 3), 'A': (3,), 'B': (2, length, 4), 'C': (2, length, 4)}
    inputs = {name: torch.randn(shape) for name, shape in shapes.items()}
    inputs['dt'] = F.softplus(inputs['dt'])
    inputs['A'] = -torch.exp(inputs['A'])
    weights = torch.randn(shapes['x'])
    results = []
    for scan in (ssd_recurrence, lambda *parts: ssd_chunked(*parts, chunk=chunk)):
        leaves = [value.clone().requires_grad_() for value in inputs.values()]
        y = scan(*leaves)
        results.append([y.detach(), *torch.autograd.grad((y * weights).sum(), leaves)])
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(*results))
