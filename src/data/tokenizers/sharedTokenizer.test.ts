import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomStream } from '../../nn/random.ts';
import { byteTokenizer, findTokenizer, noTokenizer, type Tokenizer } from '../tokenizer.ts';
import { libraryTokenizer } from './library.ts';
import { sharedTokenizer } from './sharedTokenizer.ts';
import { readTokenizerFile } from './tokenizerFile.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-tokenizer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(tokenizer: Tokenizer): string {
  const { files, note } = sharedTokenizer(tokenizer);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return note;
}

describe('sharedTokenizer', () => {
  it('writes bytes so that others give every byte its number', () => {
    expect(write(byteTokenizer)).toMatch(/<\|endoftext\|> \(256\) begins a text/);
    const read = findTokenizer(folder);
    expect([read.vocabulary, read.separator]).toEqual([257, 256]);
    const random = randomStream(1, 'bytes');
    const any = Uint8Array.from({ length: 5000 }, (_, index) => random.uint32(index));
    expect(read.encode(any)).toEqual(byteTokenizer.encode(any));
    expect(Buffer.from(read.decode(read.encode(any)))).toEqual(Buffer.from(any));
    // The library stands for any other reader of the file; it takes text.
    const text = 'Naïve café, 東京 🙂\n\tdon\u2019t  stop <|endoftext|>';
    const library = libraryTokenizer(readTokenizerFile(join(folder, 'tokenizer.json')));
    expect(library.encode(text)).toEqual(byteTokenizer.encode(text));
  });

  it('copies a tokenizer.json with what lies beside it', () => {
    write(byteTokenizer);
    writeFileSync(join(folder, 'special_tokens_map.json'), '{}');
    const { files } = sharedTokenizer(findTokenizer(folder));
    expect(Object.keys(files).sort()).toEqual(readdirSync(folder).sort());
    rmSync(join(folder, 'tokenizer_config.json'));
    const config = JSON.parse(sharedTokenizer(findTokenizer(folder)).files['tokenizer_config.json']);
    expect(config).toMatchObject({ tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '<|endoftext|>' });
  });

  it('says of what has no such file what a reader must bring', () => {
    const encoding = findTokenizer('tiktoken:gpt2');
    expect(sharedTokenizer(encoding)).toMatchObject({ files: {} });
    expect(sharedTokenizer(encoding).note).toMatch(/'tiktoken:gpt2'.*token 50256 begins a text/);
    expect(sharedTokenizer(noTokenizer).note).toMatch(/takes token ids/);
  });
});
