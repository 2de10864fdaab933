"""Makes the golden files: `python tools/golden/make.py OUT_DIR [NAME...]`. See README.md."""

import json
import os
import sys
import tempfile
from copy import deepcopy
from pathlib import Path

# One thread adds in one order.
os.environ['OMP_NUM_THREADS'] = '1'
os.environ['HF_HUB_OFFLINE'] = '1'
os.environ['HF_HUB_DISABLE_PROGRESS_BARS'] = '1'
os.environ['TRANSFORMERS_VERBOSITY'] = 'error'

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion

from models import MODELS, Model
from precision import Float64
from verify import verify
from weights import random_weight

LARGEST_FILE = 400_000


def build(model: Model):
    """The reference in float64 with our weights, by its plain path: eager attention, no fused kernels."""
    config = AutoConfig.for_model(**deepcopy(model.config))
    built = AutoModelForCausalLM.from_config(
        config, attn_implementation='eager', experts_implementation='eager', dtype=torch.float64
    )
    # Weights that are tied have one name here.
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            parameter.copy_(torch.from_numpy(random_weight(model.name, name, tuple(parameter.shape))))
    # Evaluation: no dropout; the paths that differ in training are fused kernels that a CPU does not have.
    return built.eval()


def compute(model: Model) -> tuple[dict[str, np.ndarray], dict]:
    """All tensors of a golden file in float64, and the config.json."""
    stream = np.random.Generator(np.random.Philox(key=[len(model.name), model.length]))
    ids = torch.from_numpy(stream.integers(0, model.config['vocab_size'], (model.batch, model.length)))
    with Float64():
        built = build(model)
        logits = built(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
    parameters = dict(built.named_parameters())
    weights = on_disk(built, {name: parameter.detach() for name, parameter in parameters.items()})
    # An expert that no token reached has no gradient.
    gradients = on_disk(
        built,
        {name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in parameters.items()},
    )
    written = check_names(built, set(weights))
    tensors = {'input_ids': ids.numpy(), 'logits': logits.detach().numpy(), 'loss': loss.detach().numpy().reshape(1)}
    tensors |= {f'weights.{name}': value.numpy() for name, value in weights.items()}
    tensors |= {f'grad.{name}': value.numpy() for name, value in gradients.items()}
    return tensors, written if model.written else model.config


def on_disk(built, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Under the names, and in the shapes, of a checkpoint: the reference keeps its experts stacked."""
    return revert_weight_conversion(built, tensors)


def check_names(built, names: set[str]) -> dict:
    """Saves the model, holds our names to those in the file and gives the config.json beside it."""
    with tempfile.TemporaryDirectory() as folder:
        built.save_pretrained(folder)
        with safe_open(Path(folder, 'model.safetensors'), 'np') as file:
            saved = set(file.keys())
        if saved != names:
            raise SystemExit(f'names differ from those of a saved checkpoint: {sorted(saved ^ names)}')
        written = json.loads(Path(folder, 'config.json').read_text())
    # Published configurations name the type of their weights; those here are stored as float32.
    return {**written, 'dtype': 'float32'}


def make(model: Model, out: Path) -> None:
    tensors, hf_config = compute(model)
    report = verify(model, hf_config, tensors)
    stored = {name: value if value.dtype == np.int64 else value.astype(np.float32) for name, value in tensors.items()}
    # Only one entry: the library writes several in no fixed order.
    path = out / model.family / f'{model.name}.safetensors'
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: np.ascontiguousarray(value) for name, value in stored.items()}
    save_file(contiguous, path, {'hf_config': json.dumps(hf_config)})
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise SystemExit(f'{path} has {size} bytes; at most {LARGEST_FILE} are wanted')
    count = sum(value.size for name, value in tensors.items() if name.startswith('weights.'))
    print(f'{model.family}/{model.name}: {count} parameters, {size} bytes, loss {tensors["loss"][0]:.4f}, {report}')


def main(arguments: list[str]) -> None:
    if not arguments:
        raise SystemExit('usage: python tools/golden/make.py OUT_DIR [NAME...]')
    out, *names = arguments
    unknown = set(names) - {model.name for model in MODELS}
    if unknown:
        raise SystemExit(f'no such model: {", ".join(sorted(unknown))}; there are {", ".join(m.name for m in MODELS)}')
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    for model in MODELS:
        if not names or model.name in names:
            make(model, Path(out))


if __name__ == '__main__':
    main(sys.argv[1:])
