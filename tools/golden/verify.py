"""Holds what the reference computed to the NumPy models, and the test case to being a good one."""

import zlib

import numpy as np

from families import FAMILIES
from layers import Weights
from models import Model

# Relative to the largest value of a tensor. Both sides are float64.
VALUE_TOLERANCE = 1e-11
GRADIENT_TOLERANCE = 1e-6
STEP = 1e-5


def verify(model: Model, config: dict, tensors: dict[str, np.ndarray]) -> str:
    """Raises SystemExit where the two disagree, or where a defect of the reference could hide in the values."""
    ids = tensors['input_ids']
    given = {name.removeprefix('weights.'): value for name, value in tensors.items() if name.startswith('weights.')}
    weights = Weights(given)
    logits = FAMILIES[model.family](weights, config, ids)
    error = np.abs(logits - tensors['logits']).max() / np.abs(logits).max()
    if not error <= VALUE_TOLERANCE:
        raise SystemExit(f'{model.name}: the logits of the reference differ by {error:.1e} from the definition')
    worst = 0.0
    for name, value in given.items():
        gradient = tensors[f'grad.{name}']
        if not np.abs(gradient).max() > 0:
            raise SystemExit(f'{model.name}: {name} has no gradient, so nothing would be tested by it')
        stream = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))
        direction = stream.standard_normal(value.shape)

        def moved(step: float) -> float:
            changed = Weights({**given, name: value + step * direction})
            return loss(FAMILIES[model.family](changed, config, ids), ids)

        # Central differences of fourth order.
        slope = (8 * (moved(STEP) - moved(-STEP)) - (moved(2 * STEP) - moved(-2 * STEP))) / (12 * STEP)
        scale = np.abs(gradient).max() * np.sqrt(value.size)
        worst = max(worst, abs(slope - (gradient * direction).sum()) / scale)
    if not worst <= GRADIENT_TOLERANCE:
        raise SystemExit(f'{model.name}: a gradient of the reference differs by {worst:.1e} from differences')
    judge(model, config, weights.notes)
    return f'logits {error:.0e}, gradients {worst:.0e} from the definition'


def loss(logits: np.ndarray, ids: np.ndarray) -> float:
    """Mean over all positions but the last of -log p(next)."""
    shown = logits[:, :-1]
    top = shown.max(-1, keepdims=True)
    normaliser = top[..., 0] + np.log(np.exp(shown - top).sum(-1))
    right = np.take_along_axis(shown, ids[:, 1:, None], -1)[..., 0]
    return float((normaliser - right).mean())


def judge(model: Model, config: dict, notes: dict[str, list]) -> None:
    steps = notes.get('step', [])
    low, high = min((low for low, _ in steps), default=1), max((high for _, high in steps), default=0)
    limit = config.get('time_step_limit')
    if limit is not None and isinstance(limit[1], float) and not low < limit[0] < limit[1] < high:
        raise SystemExit(f'{model.name}: the steps, {low} to {high}, do not pass both limits {limit}')
    # The reference bounds the steps of these families from below by a value meant for their initial values.
    if 'time_step_min' in config and model.family in ('nemotron_h', 'zamba2') and low <= config['time_step_min']:
        raise SystemExit(f'{model.name}: a step of {low} lies below time_step_min, which the original code ignores')
    if min((low for low, _ in notes.get('margin', [])), default=1) < 1e-4:
        raise SystemExit(f'{model.name}: two experts are as good as tied, so rounding would choose')
    if min((low for low, _ in notes.get('tokens', [])), default=1) < 1:
        raise SystemExit(f'{model.name}: an expert is never chosen')
