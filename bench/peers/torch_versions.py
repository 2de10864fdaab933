"""What newer versions of PyTorch have in one call, and older ones (Debian 12 has 1.13) in several."""

import math

import torch
from torch.nn import functional as F

if hasattr(F, 'rms_norm'):
    rms_norm = F.rms_norm
else:

    def rms_norm(x, shape, weight, epsilon):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * weight


if hasattr(F, 'scaled_dot_product_attention'):

    def causal_attention(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

else:

    def causal_attention(q, k, v):
        length = q.shape[-2]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
        return torch.matmul(torch.softmax(scores.masked_fill(later, float('-inf')), -1), v)


if hasattr(torch, 'amp') and hasattr(torch.amp, 'custom_fwd'):
    from torch.amp import custom_bwd, custom_fwd

    float32_forward = custom_fwd(device_type='cpu', cast_inputs=torch.float32)
    same_backward = custom_bwd(device_type='cpu')
else:

    def float32_forward(forward):
        def run(ctx, *inputs):
            with torch.autocast('cpu', enabled=False):
                return forward(ctx, *(part.float() if torch.is_tensor(part) and part.dtype == torch.bfloat16 else part for part in inputs))

        return run

    def same_backward(backward):
        def run(ctx, *gradients):
            with torch.autocast('cpu', enabled=False):
                return backward(ctx, *gradients)

        return run


def adamw(parameters, **options):
    """One fused call where there is one for CPUs, else one call over all tensors."""
    try:
        return torch.optim.AdamW(parameters, fused=True, **options)
    except (TypeError, RuntimeError):
        return torch.optim.AdamW(parameters, foreach=True, **options)
