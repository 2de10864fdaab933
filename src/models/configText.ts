/** Configurations as YAML text: values together with the lines they stand on. */
import { isMap, isNode, isPair, LineCounter, parseDocument } from 'yaml';
import type { ConfigPath, Locate } from './configIssues.ts';
import { configError } from './configIssues.ts';

export interface ConfigText {
  readonly value: unknown;
  readonly locate: Locate;
}

/**
 * Reads YAML (of which JSON is a part). Faults of the text are a `BraidError('config')` with their lines.
 * @param name what the text is called in messages, usually its file name
 */
export function readConfigText(text: string, name: string): ConfigText {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [first] = document.errors;
  if (first) {
    const { line, col } = lines.linePos(first.pos[0]);
    throw configError(`${name}, line ${line}, column ${col}`, [{ path: [], message: first.message }]);
  }
  const lineOf = (offset: number): string => `${name}, line ${lines.linePos(offset).line}`;
  const locate: Locate = (path) => {
    // A missing key has no line of its own: the section that lacks it has one.
    for (let depth = path.length; depth > 0; depth--) {
      const offset = offsetOf(document.contents, path.slice(0, depth));
      if (offset !== undefined) return lineOf(offset);
    }
    return undefined;
  };
  return { value: document.toJS() as unknown, locate };
}

/** Where the key (or list entry) that a path leads to begins. */
function offsetOf(contents: unknown, path: ConfigPath): number | undefined {
  let node: unknown = contents;
  let offset: number | undefined;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && String(item.key) === String(step));
      if (!pair) return undefined;
      offset = isNode(pair.key) ? pair.key.range?.[0] : offset;
      node = pair.value;
    } else {
      node = isNode(node) && 'get' in node && typeof step === 'number' ? node.get(step, true) : undefined;
      if (!isNode(node)) return undefined;
      offset = node.range?.[0];
    }
  }
  return offset;
}
