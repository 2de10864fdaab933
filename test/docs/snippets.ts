/**
 * The runnable parts of a Markdown page. ` ```sh ` runs in a shell, in the folder of the page; ` ```sh fails ` must end with
 * an error; ` ```sh no-run ` is left out and says why in its first line. ` ```ts ` runs against the built package. A
 * ` ```yaml ` whose first line is `# name.yaml` becomes that file. Lines of a ` ```text ` are found in the output of the
 * block before it; `…` stands for anything.
 */

export interface Snippet {
  readonly language: 'sh' | 'ts' | 'yaml' | 'text';
  readonly mode: 'run' | 'fails' | 'no-run';
  /** Line of the page, from 1, on which the code begins. */
  readonly line: number;
  readonly code: string;
}

const fence = /^```(\w*)(?: ([\w-]+))?$/;
const languages = ['sh', 'ts', 'yaml', 'text'];
const modes = ['fails', 'no-run'];

/** All snippets of a page, in order. A fence that is not closed or has an unknown mark is an error. */
export function snippetsOf(page: string): Snippet[] {
  const lines = page.split('\n');
  const snippets: Snippet[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, language = '', mode] = fence.exec(lines[at] ?? '') ?? [];
    if (!lines[at]?.startsWith('```')) continue;
    if (mode !== undefined && !modes.includes(mode))
      throw new Error(`line ${at + 1}: unknown mark '${mode}'`);
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`line ${at + 1}: the block is not closed`);
    if (languages.includes(language)) {
      snippets.push({
        language: language as Snippet['language'],
        mode: (mode ?? 'run') as Snippet['mode'],
        line: at + 2,
        code: lines.slice(at + 1, end).join('\n'),
      });
    }
    at = end;
  }
  return snippets;
}
