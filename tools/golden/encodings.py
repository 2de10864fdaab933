"""Reference encodings: `python tools/golden/encodings.py test/fixtures/tokenizers TEXT_FOLDER RANKS_FOLDER`.

Trains tiny tokenizers of every kind on WikiText with the package `tokenizers`, and writes each as a tokenizer.json with the
tokens that it gives for the samples below. The encodings of `tiktoken` are built from the ranks in RANKS_FOLDER
(node_modules/js-tiktoken/dist/ranks) and the patterns in the package itself, so that nothing is downloaded. TEXT_FOLDER holds
wikitext2-valid.txt (for training) and wikitext2-test.txt, of which only a checksum of the tokens is kept.

Made with Python 3.11, tokenizers 0.23.3 and tiktoken 0.14.0. The trainers of Unigram and WordPiece give slightly other
vocabularies every time, so their files change when the script runs again, together with what is expected of them.
"""

import base64
import hashlib
import inspect
import json
import re
import struct
import sys
from pathlib import Path

import tiktoken
import tiktoken_ext.openai_public as openai_public
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (
    CONTRACTIONS
    + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+'
)
UPPER, LOWER = r'\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}', r'\p{Ll}\p{Lm}\p{Lo}\p{M}'
O200K = (
    rf'[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{CONTRACTIONS}?|'
    rf'[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{CONTRACTIONS}?|'
    r'\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+'
)

SAMPLES = {
    'prose': 'The jury said it didn\'t know; "we\'ll see", he\'d SAY\'S, it\'ſ old. Naïve café, Ωmega — 1234567 and 3.14159.\n',
    'code': 'function f(x: number): string {\n\treturn `${x ** 2}`; // squared\n}\n\n\n    if (a !== b) { c[0] += 1e-5; }\r\n  ',
    'emoji': '👩‍👩‍👧‍👦 family 🇩🇪 flag 🤷🏽‍♀️ shrug ❤️ and 😀😀😀',
    'scripts': '東京は日本の首都です。Привет, мир! مرحبا بالعالم नमस्ते ยินดีต้อนรับ 한국어 ǅ ǅungla',
    'spaces': '  two   three\u00a0hard\u2003em\u3000wide\u0085next\ufeffmark \t\ttabs\n\n \n  end\n\n  ',
    'edges': "x\u0085.y \ufeff! \u00a0\u00a0z\u2003\u2003\n\u3000\n a\u180eb 1\u0085 2 it'\u017fold IT'SOLD you'rest ''s\x1c\x1d.",
    'accents': 'e\u0301 \u00e9 A\u030a \u212b \ufb01 \u1e9b\u0323',
    'specials': 'a <|endoftext|> b <|end_of_text|> c <tool> d <tool></s> [SEP]',
    'empty': '',
    'newline': '\n',
    # What a program that reads broken UTF-8 as text gets.
    'broken': b'caf\xe9 \xff\xfe ok \xf0\x9f\x98 half \xed\xa0\x80 surrogate \xc0\xaf long'.decode('utf-8', 'replace'),
}


def random_bytes(count: int) -> bytes:
    """The linear congruential generator of Numerical Recipes, its highest byte."""
    state, result = 1, bytearray()
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        result.append(state >> 24)
    return bytes(result)


def long_word(count: int) -> str:
    return ''.join(chr(97 + byte % 26) for byte in random_bytes(count))


def digest(ids: list[int]) -> str:
    return hashlib.sha256(struct.pack(f'<{len(ids)}i', *ids)).hexdigest()


def byte_level(pattern: str | None = None, **options) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(**options))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    stages = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), 'isolated')]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*stages, level]) if stages else level
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def bpe_trainer(specials: list[str], **options) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **options,
    )


def make() -> dict[str, tuple[Tokenizer, trainers.Trainer]]:
    qwen = byte_level(LLAMA3.replace('{1,3}', ''))
    qwen.normalizer = normalizers.NFC()
    digits = byte_level()
    digits.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    sentence = Tokenizer(models.BPE(byte_fallback=True, unk_token='<unk>', fuse_unk=True))
    sentence.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    sentence.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse()])
    fallback = [f'<0x{byte:02X}>' for byte in range(256)]
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    pieces = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.decoder = decoders.WordPiece()
    return {
        'gpt2': (byte_level(), bpe_trainer(['<|endoftext|>'])),
        'llama3': (byte_level(LLAMA3, ignore_merges=True), bpe_trainer(['<|begin_of_text|>', '<|end_of_text|>'])),
        'qwen2': (qwen, bpe_trainer(['<|endoftext|>', '<|im_start|>'])),
        'o200k': (byte_level(O200K), bpe_trainer(['<|endoftext|>'])),
        'digits': (digits, bpe_trainer([])),
        'sentencepiece': (
            sentence,
            trainers.BpeTrainer(vocab_size=700, special_tokens=['<unk>', '<s>', '</s>', *fallback], show_progress=False),
        ),
        'unigram': (
            unigram,
            trainers.UnigramTrainer(vocab_size=400, special_tokens=['<unk>', '</s>'], unk_token='<unk>', show_progress=False),
        ),
        'wordpiece': (
            pieces,
            trainers.WordPieceTrainer(vocab_size=600, special_tokens=['[UNK]', '[CLS]', '[SEP]'], show_progress=False),
        ),
    }


def expected(encode, wikitext: str) -> dict:
    random_text = random_bytes(2**20).decode('utf-8', 'replace')
    return {
        'samples': {name: encode(text) for name, text in SAMPLES.items()},
        'digests': {
            'wikitext2-test': digest(encode(wikitext)),
            # WikiText spells out a name that Unigram's vocabulary holds as a word, and the library not.
            'head of wikitext2-test': digest(encode(wikitext.replace('<unk>', 'unknown')[:20000])),
            'random megabyte': digest(encode(random_text)),
            'long word': digest(encode(long_word(2**18))),
        },
    }


def without_specials(file: Path) -> Tokenizer:
    """Text that spells the name of a special token is text: the reference is told of none."""
    content = json.loads(file.read_text())
    content['added_tokens'] = [token for token in content['added_tokens'] if not token['special']]
    return Tokenizer.from_str(json.dumps(content))


def words(tokenizer: Tokenizer, text: str) -> list[int]:
    """How many characters each word has."""
    return [end - begin for _, (begin, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def huggingface(out: Path, texts: Path) -> dict:
    wikitext = (texts / 'wikitext2-test.txt').read_text(encoding='utf-8')
    found = {}
    for name, (tokenizer, trainer) in make().items():
        tokenizer.train([str(texts / 'wikitext2-valid.txt')], trainer)
        if name == 'llama3':
            tokenizer.add_tokens([AddedToken('<tool>', normalized=False, special=False)])
        file = out / f'{name}.json'
        tokenizer.save(str(file), pretty=False)
        reference = without_specials(file)
        found[name] = expected(lambda text: reference.encode(text, add_special_tokens=False).ids, wikitext)
        if name in ('gpt2', 'llama3', 'o200k', 'digits'):
            found[name]['words'] = {sample: words(reference, text) for sample, text in SAMPLES.items()}
    # The one that Braid has learned (src/data/tokenizers/trainBpe.test.ts): here it is only read.
    trained = without_specials(out / 'trained.json')
    found['trained'] = expected(lambda text: trained.encode(text, add_special_tokens=False).ids, wikitext)
    return found


def tiktoken_encodings(ranks: Path, texts: Path) -> dict:
    wikitext = (texts / 'wikitext2-test.txt').read_text(encoding='utf-8')
    found = {}
    for name in ('gpt2', 'cl100k_base', 'o200k_base'):
        content = json.loads((ranks / f'{name}.js').read_text().removeprefix('export default').strip().rstrip(';'))
        mergeable = {}
        for line in content['bpe_ranks'].split('\n'):
            _, first, *tokens = line.split(' ')
            mergeable |= {base64.b64decode(token): int(first) + index for index, token in enumerate(tokens)}
        encoding = tiktoken.Encoding(
            name, pat_str=pattern_of(name), mergeable_ranks=mergeable, special_tokens=content['special_tokens']
        )
        found[f'tiktoken:{name}'] = expected(encoding.encode_ordinary, wikitext)
    return found


def pattern_of(name: str) -> str:
    """The pattern that the package itself uses, without asking it for the ranks, which it would download."""
    source = inspect.getsource(getattr(openai_public, name))
    source = re.sub(r'(load_tiktoken_bpe|data_gym_to_mergeable_bpe_ranks)\(', r'dict(zip([], [])) or (lambda *_, **__: {})(', source)
    scope = dict(vars(openai_public))
    exec(source, scope)
    return scope[name]()['pat_str']


def main() -> None:
    out, texts, ranks = (Path(argument) for argument in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    result = {'samples': SAMPLES, 'expected': huggingface(out, texts) | tiktoken_encodings(ranks, texts)}
    (out / 'expected.json').write_text(json.dumps(result, ensure_ascii=True, separators=(',', ':')) + '\n')


main()
