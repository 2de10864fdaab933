"""The compared models in PyTorch, with the shapes of Braid's presets at the size 135m."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from torch_scan import chunked, recurrence
from torch_ssd import ssd_chunked, ssd_recurrence
from torch_versions import causal_attention, rms_norm

VOCABULARY = 65_536
WIDTH = 768
MLP = 2048
HEADS = 32
KV_HEADS = 8
STATES = 16
TAPS = 4
SSD_HEAD = 64
SSD_STATES = 128
EPSILON = 1e-6


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return rms_norm(x, self.weight.shape, self.weight, EPSILON)


class Attention(nn.Module):
    """Grouped queries through the fused attention call; rotary positions where a base is given."""

    def __init__(self, theta):
        super().__init__()
        self.head = WIDTH // HEADS
        self.q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k = nn.Linear(WIDTH, KV_HEADS * self.head, bias=False)
        self.v = nn.Linear(WIDTH, KV_HEADS * self.head, bias=False)
        self.o = nn.Linear(WIDTH, WIDTH, bias=False)
        self.theta = theta

    def forward(self, x):
        q, k, v = (project(x).unflatten(-1, (-1, self.head)).transpose(1, 2) for project in (self.q, self.k, self.v))
        if self.theta is not None:
            cos, sin = rotary(x.shape[1], self.head, self.theta)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        # The fused kernel for CPUs wants as many heads of keys as of queries.
        k, v = (part.repeat_interleave(HEADS // KV_HEADS, 1) for part in (k, v))
        y = causal_attention(q, k, v)
        return self.o(y.transpose(1, 2).flatten(2))


def rotary(length, width, theta):
    turn = torch.outer(torch.arange(length), theta ** (-torch.arange(0, width, 2) / width))
    return turn.cos().repeat(1, 2), turn.sin().repeat(1, 2)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return (x * cos + torch.cat([-b, a], -1) * sin).to(x.dtype)


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(WIDTH, MLP, bias=False)
        self.up = nn.Linear(WIDTH, MLP, bias=False)
        self.down = nn.Linear(MLP, WIDTH, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Mamba(nn.Module):
    """Mamba-1; `norms` are those of Jamba on dt, B and C."""

    def __init__(self, norms, scan):
        super().__init__()
        inner, self.rank = 2 * WIDTH, -(-WIDTH // 16)
        self.input = nn.Linear(WIDTH, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, TAPS, groups=inner, padding=TAPS - 1)
        self.select = nn.Linear(inner, self.rank + 2 * STATES, bias=False)
        self.norms = nn.ModuleList([Norm(self.rank), Norm(STATES), Norm(STATES)]) if norms else None
        self.dt = nn.Linear(self.rank, inner)
        self.A_log = nn.Parameter(torch.arange(1, STATES + 1).float().log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.output = nn.Linear(inner, WIDTH, bias=False)
        self.scan = scan

    def forward(self, u):
        x, z = self.input(u).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., : u.shape[1]]).transpose(1, 2)
        low, B, C = self.select(x).split([self.rank, STATES, STATES], -1)
        if self.norms is not None:
            low, B, C = (norm(part.float()) for norm, part in zip(self.norms, (low, B, C)))
        dt = F.softplus(self.dt(low).float())
        y = self.scan(x.float(), dt, -torch.exp(self.A_log), B.float(), C.float())
        return self.output((y + self.D * x) * F.silu(z))


class Mamba2(nn.Module):
    """Mamba-2 with one group of B and C, and the norm after the gate."""

    def __init__(self, scan):
        super().__init__()
        self.inner = 2 * WIDTH
        self.heads = self.inner // SSD_HEAD
        self.mixed = self.inner + 2 * SSD_STATES
        self.input = nn.Linear(WIDTH, self.inner + self.mixed + self.heads, bias=False)
        self.conv = nn.Conv1d(self.mixed, self.mixed, TAPS, groups=self.mixed, padding=TAPS - 1)
        self.A_log = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(self.heads))
        self.dt_bias = nn.Parameter(torch.zeros(self.heads))
        self.norm = Norm(self.inner)
        self.output = nn.Linear(self.inner, WIDTH, bias=False)
        self.scan = scan

    def forward(self, u):
        z, mixed, dt = self.input(u).split([self.inner, self.mixed, self.heads], -1)
        mixed = F.silu(self.conv(mixed.transpose(1, 2))[..., : u.shape[1]]).transpose(1, 2)
        x, B, C = mixed.float().split([self.inner, SSD_STATES, SSD_STATES], -1)
        x = x.unflatten(-1, (self.heads, SSD_HEAD))
        dt = F.softplus(dt.float() + self.dt_bias)
        y = self.scan(x, dt, -torch.exp(self.A_log), B, C) + self.D[:, None] * x
        return self.output(self.norm(y.flatten(2) * F.silu(z)))


class Layer(nn.Module):
    """Pre-norm residual layers one after the other."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.norms = nn.ModuleList(Norm(WIDTH) for _ in parts)

    def forward(self, x):
        for norm, part in zip(self.norms, self.parts):
            x = x + part(norm(x))
        return x


class FlowhnBlock(nn.Module):
    """FlowHN without split (Moradi et al. 2025): both branches see every token, then fusion and a projection."""

    def __init__(self, scan):
        super().__init__()
        self.attention = Layer(Attention(None), Mlp())
        self.mamba = Layer(Mamba(True, scan), Mlp())
        self.fuse = nn.Linear(2 * WIDTH, WIDTH, bias=False)
        self.norm = Norm(WIDTH)
        self.project = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x):
        x = x + self.fuse(torch.cat([self.mamba(x), self.attention(x)], -1))
        return x + self.project(self.norm(x))


class Model(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.Sequential(*blocks)
        self.norm = Norm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.apply(initialise)

    def loss(self, ids, targets):
        logits = self.head(self.norm(self.blocks(self.embedding(ids))))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def initialise(module):
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, Mamba):
        step = torch.exp(torch.empty_like(module.D).uniform_(*torch.tensor([1e-3, 1e-1]).log().tolist()))
        with torch.no_grad():
            module.dt.bias.copy_(step + torch.log(-torch.expm1(-step)))
    if isinstance(module, Mamba2):
        step = torch.exp(torch.empty_like(module.D).uniform_(*torch.tensor([1e-3, 1e-1]).log().tolist()))
        with torch.no_grad():
            module.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))


@dataclass(frozen=True)
class Choice:
    blocks: Callable
    # Parameters of Braid's preset of the same name.
    parameters: int


def in_turn(depth, scans):
    for index in range(depth):
        yield Layer(Mamba(True, scans.selective) if index % 2 == 0 else Attention(None), Mlp())


@dataclass(frozen=True)
class Scans:
    """One way of scanning: for Mamba-1 and for Mamba-2."""

    selective: Callable
    ssd: Callable


CHOICES = {
    'llama-135m': Choice(lambda scans: [Layer(Attention(10_000.0), Mlp()) for _ in range(5)], 131_637_504),
    'mamba1-135m': Choice(lambda scans: [Layer(Mamba(False, scans.selective)) for _ in range(9)], 134_608_896),
    'mamba2-135m': Choice(lambda scans: [Layer(Mamba2(scans.ssd)) for _ in range(9)], 134_551_944),
    'shm-135m': Choice(lambda scans: in_turn(5, scans), 138_526_704),
    'flowhn-none-135m': Choice(lambda scans: [FlowhnBlock(scans.selective) for _ in range(2)], 133_576_096),
}
SCANS = {'chunked': Scans(chunked, ssd_chunked), 'recurrence': Scans(recurrence, ssd_recurrence)}
