"""Random weights at which nothing in a model is degenerate, the same on every machine."""

import zlib

import numpy as np

# Steps of the recurrences: with lengths of about 20, some heads remember everything and some almost nothing.
STEP_RANGE = (0.03, 0.8)


def random_weight(model: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of one parameter, rounded to float32, as float64.

    Each parameter has a stream of its own, named by the file and by the parameter, so that a change to one leaves the
    others as they are.
    """
    key = [zlib.crc32(model.encode()), zlib.crc32(name.encode())]
    stream = np.random.Generator(np.random.Philox(key=key))
    return draw(stream, name, shape).astype(np.float32).astype(np.float64)


def draw(stream: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    normal = stream.standard_normal(shape)
    parts = name.split('.')
    last = parts[-1]
    if last == 'A_log':
        # Mamba-1 has a row of rates per channel, Mamba-2 one rate per head.
        rates = np.arange(1, shape[-1] + 1) if len(shape) == 2 else np.exp(stream.uniform(-1, 2, shape))
        return np.log(rates) + 0.3 * normal
    if last == 'dt_bias' or name.endswith('dt_proj.bias'):
        return inverse_softplus(np.exp(stream.uniform(*np.log(STEP_RANGE), shape)))
    if last == 'D':
        return 0.8 + 0.5 * normal
    if last == 'recurrent_param':
        # The decay of RG-LRU is exp(-8 r softplus(p)): with r = 1/2, 0.6 to 0.99.
        return inverse_softplus(-np.log(stream.uniform(0.6, 0.99, shape)) / 4)
    if 'norm' in parts[-2] and last == 'weight':
        return 1 + 0.3 * normal
    if last == 'bias' or last.endswith('_bias'):
        return 0.2 * normal
    if 'embed' in parts[-2]:
        return 1.5 * normal / np.sqrt(shape[-1])
    if name.endswith('dt_proj.weight'):
        return 0.5 * normal / np.sqrt(shape[-1])
    if name.endswith('lm_head.weight'):
        return 1.5 * normal / np.sqrt(shape[-1])
    if 'adapter_list' in name:
        # Smaller than what they adapt, as trained ones are.
        return 0.5 * normal / np.sqrt(shape[-1])
    # Linear maps, convolutions and experts: the last axis is summed over.
    return normal / np.sqrt(shape[-1])


def inverse_softplus(value: np.ndarray) -> np.ndarray:
    return value + np.log(-np.expm1(-value))
