/** Cuts a pattern into tokens and shows places in it. */
import { BraidError } from '../graph/index.ts';

export type TokenKind = 'name' | 'integer' | '(' | ')' | '&' | '|' | '+' | '*' | 'end';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Place in the text, counted from 0. */
  readonly column: number;
  readonly spaceBefore: boolean;
}

const symbols = new Set<TokenKind>(['(', ')', '&', '|', '+', '*']);

function isSymbol(character: string): character is TokenKind & string {
  return symbols.has(character as TokenKind);
}

/** An error that shows the pattern with a caret under the place. Line breaks count as spaces. */
export function patternError(text: string, column: number, message: string): BraidError {
  const line = text.replace(/\s/g, ' ');
  return new BraidError(
    'pattern',
    `In the pattern, column ${column + 1}: ${message}\n  ${line}\n  ${' '.repeat(column)}^`,
  );
}

export function describeToken(token: Token): string {
  return token.kind === 'end' ? 'the end' : `'${token.text}'`;
}

/** The tokens of a pattern; the last one is always `end`. */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let column = 0;
  let spaceBefore = false;
  while (column < text.length) {
    const character = text[column] ?? '';
    if (/\s/.test(character)) {
      spaceBefore = true;
      column++;
      continue;
    }
    const token = readToken(text, column, spaceBefore);
    tokens.push(token);
    column += token.text.length;
    spaceBefore = false;
  }
  tokens.push({ kind: 'end', text: '', column: text.trimEnd().length, spaceBefore });
  return tokens;
}

function readToken(text: string, column: number, spaceBefore: boolean): Token {
  const character = text[column] ?? '';
  if (isSymbol(character)) return { kind: character, text: character, column, spaceBefore };
  const rest = text.slice(column);
  const name = /^[A-Za-z_][A-Za-z0-9_-]*/.exec(rest)?.[0];
  if (name !== undefined) return { kind: 'name', text: name, column, spaceBefore };
  const digits = /^[0-9]+/.exec(rest)?.[0];
  if (digits !== undefined) return { kind: 'integer', text: digits, column, spaceBefore };
  throw patternError(
    text,
    column,
    `'${character}' has no meaning here. A pattern is made of names, spaces, ( ) & | + and * with a number.`,
  );
}
