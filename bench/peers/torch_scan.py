"""Mamba's selective scan with PyTorch's public operations, in two ways.

    h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t]        y[t] = h[t] C[t]

x, dt [B, L, E]; A [E, N]; B, C [B, L, N]; h [B, E, N]; y [B, L, E].
"""

import torch

from torch_versions import float32_forward, same_backward


def recurrence(x, dt, A, B, C):
    """Token by token under autograd, the path that `transformers` takes without its CUDA kernels.

    Keeps about four tensors [B, E, L, N] for the backward pass.
    """
    decay = torch.exp(A[None, :, None, :] * dt.transpose(1, 2)[..., None])
    drive = (dt * x).transpose(1, 2)[..., None] * B[:, None]
    h = torch.zeros_like(decay[:, :, 0])
    ys = []
    for t in range(x.shape[1]):
        h = decay[:, :, t] * h + drive[:, :, t]
        ys.append(torch.matmul(h, C[:, t, :, None])[..., 0])
    return torch.stack(ys, 1)


class ChunkedScan(torch.autograd.Function):
    """Chunk by chunk, so that what belongs to a chunk stays in the cache; the backward pass recomputes each chunk.

    Keeps only the states at the chunk boundaries. Within a chunk the exponentials, outer products and sums over
    states are one call each; only h[t] += decay[t] h[t-1] is a call per token.
    """

    @staticmethod
    @float32_forward
    def forward(ctx, x, dt, A, B, C, chunk):
        x, dt, B, C = (part.transpose(0, 1).contiguous() for part in (x, dt, B, C))
        h = x.new_zeros(*x.shape[1:], A.shape[1])
        y = torch.empty_like(x)
        starts = []
        for start in range(0, x.shape[0], chunk):
            part = slice(start, start + chunk)
            starts.append(h)
            _, states = run_chunk(x[part], dt[part], A, B[part], h)
            torch.matmul(states, C[part, ..., None], out=y[part, ..., None])
            h = states[-1].clone()
        ctx.save_for_backward(x, dt, A, B, C, *starts)
        ctx.chunk = chunk
        return y.transpose(0, 1)

    @staticmethod
    @same_backward
    def backward(ctx, dy):
        x, dt, A, B, C, *starts = ctx.saved_tensors
        dy = dy.to(x.dtype).transpose(0, 1).contiguous()
        dx, ddt, dB, dC = (torch.empty_like(part) for part in (x, dt, B, C))
        dA = torch.zeros_like(A)
        carry = torch.zeros_like(starts[0])
        for index in reversed(range(len(starts))):
            part = slice(index * ctx.chunk, (index + 1) * ctx.chunk)
            decay, states = run_chunk(x[part], dt[part], A, B[part], starts[index])
            dC[part] = torch.matmul(dy[part].unsqueeze(-2), states).squeeze(-2)
            # g[t] = C[t] dy[t] + decay[t+1] g[t+1]
            g = dy[part].unsqueeze(-1) * C[part].unsqueeze(-2)
            g[-1] += carry
            for t in reversed(range(g.shape[0] - 1)):
                g[t].addcmul_(decay[t + 1], g[t + 1])
            carry = decay[0] * g[0]
            driven = (dt[part] * x[part]).unsqueeze(-2)
            dB[part] = torch.matmul(driven, g).squeeze(-2)
            dDriven = torch.matmul(g, B[part].unsqueeze(-1)).squeeze(-1)
            dx[part] = dDriven * dt[part]
            # The derivative by dt[t] A, in place of the decay.
            decay *= g
            decay[1:] *= states[:-1]
            decay[0] *= starts[index]
            ddt[part] = (decay * A).sum(-1).addcmul_(dDriven, x[part])
            dA += (decay * dt[part].unsqueeze(-1)).sum((0, 1))
        return dx.transpose(0, 1), ddt.transpose(0, 1), dA, dB.transpose(0, 1), dC.transpose(0, 1), None


def run_chunk(x, dt, A, B, h):
    """decay and states [T, B, E, N] of the T tokens after state h."""
    decay = (dt.unsqueeze(-1) * A).exp_()
    states = (dt * x).unsqueeze(-1) * B.unsqueeze(-2)
    states[0].addcmul_(decay[0], h)
    for t in range(1, states.shape[0]):
        states[t].addcmul_(decay[t], states[t - 1])
    return decay, states


def chunked(x, dt, A, B, C, chunk=8):
    return ChunkedScan.apply(x, dt, A, B, C, chunk)


def largest_difference(length=37, chunk=8):
    """The largest difference, relative to each tensor, between the two ways in values and gradients."""
    shapes = {'x': (2, length, 5), 'dt': (2, length, 5), 'A': (5, 3), 'B': (2, length, 3), 'C': (2, length, 3)}
    inputs = {name: torch.randn(shape) for name, shape in shapes.items()}
    inputs['dt'] = torch.nn.functional.softplus(inputs['dt'])
    inputs['A'] = -torch.exp(inputs['A'])
    weights = torch.randn(shapes['x'])
    results = []
    for scan in (recurrence, lambda *parts: chunked(*parts, chunk=chunk)):
        leaves = [value.clone().requires_grad_() for value in inputs.values()]
        y = scan(*leaves)
        results.append([y.detach(), *torch.autograd.grad((y * weights).sum(), leaves)])
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(*results))
