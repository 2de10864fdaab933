/** A tokenizer as the files of a Hugging Face folder, so that others encode a text as a run does. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readText } from '../../models/textFile.ts';
import { byteTokenizer, type Tokenizer } from '../tokenizer.ts';
import { characterOfByte } from './byteAlphabet.ts';
import { byteLevelFile, separatorName } from './byteLevelFile.ts';
import { readTokenizerFile } from './tokenizerFile.ts';

export interface SharedTokenizer {
  /** Content by name; none for a tokenizer that has no such form. */
  readonly files: Readonly<Record<string, string>>;
  /** What a reader must know, as a sentence. */
  readonly note: string;
}

const configFile = 'tokenizer_config.json';
/** What may lie beside a `tokenizer.json` and belongs to it. */
const companions = [configFile, 'special_tokens_map.json'];

export function sharedTokenizer(tokenizer: Tokenizer): SharedTokenizer {
  if (tokenizer === byteTokenizer) return bytes();
  if (tokenizer.file !== undefined) return copy(tokenizer, tokenizer.file);
  if (tokenizer.name === 'none') return { files: {}, note: 'The run has no tokenizer: it takes token ids.' };
  return {
    files: {},
    note: `The tokenizer '${tokenizer.name}' has no tokenizer.json: the reader has to bring it, and token ${tokenizer.separator} begins a text.`,
  };
}

/** Bytes are a BPE that joins nothing. */
function bytes(): SharedTokenizer {
  const names = [...characterOfByte, separatorName];
  const { separator } = byteTokenizer;
  return {
    files: {
      'tokenizer.json': `${JSON.stringify(byteLevelFile({ names, separator, merges: [] }), null, 2)}\n`,
      [configFile]: config(separatorName),
    },
    note: `tokenizer.json gives every byte its number, and ${separatorName} (${separator}) begins a text.`,
  };
}

function copy({ separator }: Tokenizer, path: string): SharedTokenizer {
  const name = readTokenizerFile(path).json.added_tokens.find(({ id }) => id === separator)?.content;
  const beside = companions.filter((companion) => existsSync(join(dirname(path), companion)));
  const files = Object.fromEntries(
    beside.map((companion) => [companion, readText(join(dirname(path), companion))] as const),
  );
  return {
    files: { [configFile]: config(name), ...files, 'tokenizer.json': readText(path) },
    note:
      name === undefined
        ? `tokenizer.json is that of the run. It lacks the token that begins a text, ${separator}.`
        : `tokenizer.json is that of the run; ${name} (${separator}) begins a text.`,
  };
}

/** Without it `transformers` takes the class that goes with the architecture, which may change what the file says. */
function config(separator: string | undefined): string {
  const special = separator === undefined ? {} : { bos_token: separator, eos_token: separator };
  const value = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...special,
    clean_up_tokenization_spaces: false,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}
