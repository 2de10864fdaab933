"""Makes the golden files of the evaluation: `python tools/golden/evaluation.py OUT_DIR`. See README.md.

Two tiny random models are scored by lm-evaluation-harness on made-up documents of every task; each log-likelihood is stored.
"""

import json
import os
import random
import sys
from pathlib import Path

# One thread adds in one order.
os.environ['OMP_NUM_THREADS'] = '1'
os.environ['HF_HUB_OFFLINE'] = '1'
os.environ['HF_DATASETS_OFFLINE'] = '1'
os.environ['TOKENIZERS_PARALLELISM'] = 'false'

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM, PreTrainedTokenizerFast

DOCUMENTS = 24
BEGIN = '<|begin|>'
END = '<|endoftext|>'
TASKS = {
    'piqa': 'piqa/piqa.yaml',
    'arc_easy': 'arc/arc_easy.yaml',
    'arc_challenge': 'arc/arc_challenge.yaml',
    'winogrande': 'winogrande/default.yaml',
    'boolq': 'super_glue/boolq/default.yaml',
    'hellaswag': 'hellaswag/hellaswag.yaml',
    'openbookqa': 'openbookqa/openbookqa.yaml',
    'lambada': 'lambada/lambada_openai.yaml',
}
# Awkward ones among them: letters of several bytes, a picture, an apostrophe, a word in capitals.
WORDS = """the a river stone old lamp naïve café ÉTÉ 東京 🎲 runs sings Maria carries slowly under before it's two
3.5 blue window opens NASA because they glass quiet market""".split()


def sentence(draw: random.Random, least: int, most: int) -> str:
    words = [draw.choice(WORDS) for _ in range(draw.randint(least, most))]
    return ' '.join(words).capitalize()


def choices(draw: random.Random, count: int) -> dict:
    return {'text': [sentence(draw, 1, 5) + draw.choice(['', '.', '!']) for _ in range(count)], 'label': list('ABCDE'[:count])}


def document(task: str, draw: random.Random, index: int) -> dict:
    """A document with the fields of the original data set. Some are longer than the models read, some begin or end in spaces."""
    if task == 'piqa':
        # Some goals are empty but for a space, some solutions begin alike.
        same = sentence(draw, 1, 2) + ' ' if index % 3 == 0 else ''
        return {
            'goal': ' ' if index == 5 else sentence(draw, 1, 30),
            'sol1': same + sentence(draw, 1, 8),
            'sol2': same + sentence(draw, 1, 8) + (' ' if index % 4 == 0 else ''),
            'label': draw.randint(0, 1),
        }
    if task in ('arc_easy', 'arc_challenge'):
        count = draw.choice([3, 4, 4, 4, 5])
        return {'question': sentence(draw, 3, 20) + '?', 'choices': choices(draw, count), 'answerKey': draw.choice('ABCDE'[:count])}
    if task == 'winogrande':
        options = draw.sample(['Maria', 'Zoë', 'Li', 'the stone'], 2)
        # Some blanks come first, so that nothing stands before the options.
        before = '' if index % 6 == 0 else sentence(draw, 2, 12) + ' '
        return {
            'sentence': f'{before}_ {sentence(draw, 2, 8).lower()}.',
            'option1': options[0],
            'option2': options[1],
            'answer': draw.choice('12'),
        }
    if task == 'boolq':
        return {'passage': sentence(draw, 5, 60), 'question': sentence(draw, 3, 8).lower(), 'label': draw.randint(0, 1)}
    if task == 'hellaswag':
        marks = [' [title] ', ' [step] ', '  ', ' ', '   ']
        return {
            'activity_label': sentence(draw, 1, 2),
            'ctx_a': sentence(draw, 2, 8) + draw.choice(marks) + sentence(draw, 2, 8),
            'ctx_b': draw.choice(['', sentence(draw, 1, 3)]),
            'endings': [draw.choice(['', ' ']) + sentence(draw, 1, 6) + draw.choice(marks) + sentence(draw, 1, 3) for _ in range(4)],
            'label': str(draw.randint(0, 3)),
        }
    if task == 'openbookqa':
        return {'question_stem': sentence(draw, 3, 10) + draw.choice(['', ' ']), 'choices': choices(draw, 4), 'answerKey': draw.choice('ABCD')}
    return {'text': sentence(draw, 3, 40)}


def write_documents(out: Path) -> None:
    for task in TASKS:
        draw = random.Random(task)
        lines = [json.dumps(document(task, draw, index), ensure_ascii=False) for index in range(DOCUMENTS)]
        Path(out, f'{task}.jsonl').write_text('\n'.join(lines) + '\n')


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is the token of its number; 256 begins a text."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}
    vocabulary = {letter: byte for byte, letter in letters.items()} | {BEGIN: 256}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.add_special_tokens([BEGIN])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single=f'{BEGIN} $A', special_tokens=[(BEGIN, 256)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=BEGIN, pad_token=BEGIN)


def merging_tokenizer(out: Path) -> PreTrainedTokenizerFast:
    """Byte-level BPE as GPT-2's, learned from the documents; no token begins a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )
    tokenizer.train([str(out / f'{task}.jsonl') for task in TASKS], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END)


def llama():
    # Short, so that some documents lose their beginning.
    config = LlamaConfig(
        vocab_size=257, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=192, bos_token_id=256, eos_token_id=256, pad_token_id=None,
    )
    return LlamaForCausalLM(config)


def mamba():
    config = MambaConfig(
        vocab_size=384, hidden_size=16, state_size=4, num_hidden_layers=2, use_cache=False,
        bos_token_id=0, eos_token_id=0, pad_token_id=None, residual_in_fp32=True,
    )
    return MambaForCausalLM(config)


def with_random_weights(model):
    """Larger than usual, so that the models have opinions."""
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and 'A_log' not in name:
                parameter.copy_(torch.randn(parameter.shape, generator=stream) * (0.5 if 'embed' in name else 0.3))
    return model.eval()


def task_config(task: str, out: Path) -> dict:
    """The harness's own task, with our file in place of the data set."""
    path = Path(lm_eval.__file__).parent / 'tasks' / TASKS[task]
    config = load_yaml(path, resolve_func=True)
    for key in ('tag', 'dataset_name', 'training_split', 'validation_split', 'fewshot_split', 'group'):
        config.pop(key, None)
    # Found again by its own name, not by that of the original.
    files = {'test': str(out / f'{task}.jsonl')}
    return config | {
        'task': f'made_{task}', 'dataset_path': 'json', 'dataset_kwargs': {'data_files': files}, 'test_split': 'test',
    }


def score(model, tokenizer: PreTrainedTokenizerFast, out: Path) -> dict:
    wrapped = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    results = lm_eval.simple_evaluate(
        model=wrapped, tasks=[task_config(task, out) for task in TASKS], log_samples=True, bootstrap_iters=1000,
    )
    found = {}
    for task in TASKS:
        samples = sorted(results['samples'][f'made_{task}'], key=lambda sample: sample['doc_id'])
        figures = {
            key.split(',')[0]: value
            for key, value in results['results'][f'made_{task}'].items()
            if isinstance(value, float) and not key.startswith('perplexity_stderr')
        }
        items = [[[float(value), str(greedy) == 'True'] for value, greedy in sample['filtered_resps']] for sample in samples]
        found[task] = {'figures': figures, 'items': items}
    return found


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise SystemExit('usage: python tools/golden/evaluation.py OUT_DIR')
    out = Path(arguments[0]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    write_documents(out)
    pairs = {'llama': (llama, byte_tokenizer()), 'mamba': (mamba, merging_tokenizer(out))}
    for name, (build, tokenizer) in pairs.items():
        model = with_random_weights(build())
        model.save_pretrained(out / name)
        Path(out, name, 'generation_config.json').unlink(missing_ok=True)
        tokenizer.backend_tokenizer.save(str(out / name / 'tokenizer.json'))
        found = score(model, tokenizer, out)
        Path(out, f'{name}.json').write_text(json.dumps(found, indent=None, separators=(',', ':')) + '\n')
        print(name, {task: result['figures'] for task, result in found.items()})


if __name__ == '__main__':
    main(sys.argv[1:])
