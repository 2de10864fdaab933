"""Training speed of PyTorch (eager) on this machine's CPU: prints one JSON object. See README.md."""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time

import torch

from torch_models import CHOICES, SCANS, VOCABULARY, Model
from torch_versions import adamw
import torch_scan
import torch_ssd


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', choices=CHOICES, nargs='?', help='a preset of Braid with the same shapes')
    parser.add_argument('--precision', choices=['float32', 'bfloat16'], default='bfloat16')
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--length', type=int, default=1024)
    parser.add_argument('--steps', type=int, default=5, help='measured steps, after --warm-up that are not counted')
    parser.add_argument('--warm-up', type=int, default=1)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--scan', choices=SCANS, default='chunked')
    parser.add_argument('--check', action='store_true', help='compare the two scans and count parameters, then stop')
    arguments = parser.parse_args()
    if arguments.model is None and not arguments.check:
        parser.error('name a model')
    for name in ('batch', 'length', 'steps', 'threads'):
        if getattr(arguments, name) < 1:
            parser.error(f'--{name} must be at least 1')
    return arguments


def build(name, scan):
    model = Model(CHOICES[name].blocks(SCANS[scan]))
    count = sum(parameter.numel() for parameter in model.parameters())
    if count != CHOICES[name].parameters:
        sys.exit(f'{name} has {count} parameters here and {CHOICES[name].parameters} in Braid: not the same model')
    return model, count


def check():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    # The chunked scan computes in float32 under autocast only, so this is float64 against float64.
    differences = {'selective': torch_scan.largest_difference(), 'ssd': torch_ssd.largest_difference()}
    for name, difference in differences.items():
        if difference > 1e-12:
            sys.exit(f'the two {name} scans differ by {difference:.1e} in float64')
    torch.set_default_dtype(torch.float32)
    counts = {name: build(name, 'chunked')[1] for name in CHOICES}
    print(json.dumps({'scanDifferences': differences, 'parameters': counts}))


def train(arguments):
    """Seconds and losses of each step, those of the warm-up first."""
    torch.manual_seed(0)
    model, count = build(arguments.model, arguments.scan)
    optimizer = adamw(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1)
    autocast = torch.autocast('cpu', torch.bfloat16, enabled=arguments.precision == 'bfloat16')
    seconds, losses = [], []
    for _ in range(arguments.warm_up + arguments.steps):
        tokens = torch.randint(VOCABULARY, (arguments.batch, arguments.length + 1))
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = model.loss(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    return count, seconds, losses


def main():
    arguments = read_arguments()
    if arguments.check:
        check()
        return
    torch.set_num_threads(arguments.threads)
    count, seconds, losses = train(arguments)
    measured = seconds[arguments.warm_up :]
    tokens = arguments.batch * arguments.length
    result = {
        'system': 'pytorch',
        'version': torch.__version__,
        'python': platform.python_version(),
        'model': arguments.model,
        'parameters': count,
        'precision': arguments.precision,
        'scan': arguments.scan,
        'batch': arguments.batch,
        'length': arguments.length,
        'threads': torch.get_num_threads(),
        'seconds': measured,
        'medianSecondsPerStep': statistics.median(measured),
        'tokensPerSecond': tokens / statistics.median(measured),
        'losses': losses,
        # Linux counts in KiB.
        'peakMemoryBytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(result))


if __name__ == '__main__':
    main()
