/** Every command and program in README.md and docs/ runs: in a fresh folder per page, with the built package. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { brownCorpus } from '../../src/data/index.ts';
import { type Snippet, snippetsOf } from './snippets.ts';

// Two pages at a time: each runs programs that use all processors.
vi.setConfig({ maxConcurrency: 2, testTimeout: 240_000 });

const root = fileURLToPath(new URL('../..', import.meta.url));
const main = join(root, 'dist/cli/main.js');
/** Inside the project, so that `import … from 'braid'` finds the package itself. */
const programs = join(root, 'build/snippets');

interface Page {
  readonly name: string;
  readonly snippets: readonly Snippet[];
}

const pages: readonly Page[] = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].map((name) => ({ name, snippets: snippetsOf(readFileSync(join(root, name), 'utf8')) }));

let folder = '';

beforeAll(() => {
  if (!existsSync(main)) throw new Error('dist/ is missing; build the package first: npm run build');
  folder = mkdtempSync(join(tmpdir(), 'braid-docs-'));
  rmSync(programs, { recursive: true, force: true });
  mkdirSync(join(programs, 'bin'), { recursive: true });
  const command = `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`;
  writeFileSync(join(programs, 'bin/braid'), command, { mode: 0o755 });
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The book that the pages speak of. */
const book = brownCorpus()
  .documents.slice(0, 6)
  .map((document) => Buffer.from(document).toString())
  .join('\f');

function programName(page: Page, { line }: Snippet): string {
  return `${page.name.replaceAll(/[/.]/g, '-')}-${line}`;
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<{ status: number; output: string }> {
  const PATH = `${join(programs, 'bin')}${delimiter}${process.env.PATH ?? ''}`;
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        output += text;
      });
    }
    child.on('error', fail);
    child.on('close', (status) => done({ status: status ?? 1, output }));
  });
}

function writeFile(snippet: Snippet, cwd: string): void {
  const [, name] = /^# ([\w-]+\.yaml)$/m.exec(snippet.code.split('\n', 1)[0] ?? '') ?? [];
  if (name) writeFileSync(join(cwd, name), `${snippet.code}\n`);
}

/** Runs a program after taking its types off. */
function runProgram(page: Page, snippet: Snippet, cwd: string): Promise<{ status: number; output: string }> {
  const file = join(programs, `${programName(page, snippet)}.js`);
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  writeFileSync(file, ts.transpileModule(snippet.code, { compilerOptions: options }).outputText);
  return run(process.execPath, [file], cwd);
}

describe.concurrent('the pages', () => {
  const running = pages.filter(({ snippets }) => snippets.some(({ mode }) => mode !== 'no-run'));
  it.each(running)('$name does what it says', async (page) => {
    const cwd = mkdtempSync(join(folder, 'page-'));
    writeFileSync(join(cwd, 'book.txt'), book);
    let before = '';
    for (const snippet of page.snippets) {
      const { language, mode, code, line } = snippet;
      const where = `${page.name}:${line}`;
      if (mode === 'no-run') continue;
      if (language === 'yaml') writeFile(snippet, cwd);
      if (language === 'text') for (const part of code.split(/\n|…/)) expect(before, where).toContain(part);
      if (language !== 'sh' && language !== 'ts') continue;
      const { status, output } =
        language === 'ts'
          ? await runProgram(page, snippet, cwd)
          : await run('bash', ['-euo', 'pipefail', '-c', code], cwd);
      expect(status === 0, `${where} ended with ${status}:\n${output}`).toBe(mode === 'run');
      expect(output, where).not.toContain('unexpected error');
      before = output;
    }
  });
});

describe('what is written', () => {
  it('gives the reason where a block does not run', () => {
    for (const { name, snippets } of pages) {
      for (const { mode, code, line } of snippets) {
        if (mode === 'no-run') expect(code, `${name}:${line}`).toMatch(/^# \w/);
      }
    }
  });

  it('has the types that the package declares', () => {
    const files = pages.flatMap((page) =>
      page.snippets
        .filter(({ language, mode }) => language === 'ts' && mode === 'run')
        .map((snippet) => {
          const file = join(programs, `${programName(page, snippet)}.ts`);
          writeFileSync(file, snippet.code);
          return file;
        }),
    );
    const program = ts.createProgram(files, {
      noEmit: true,
      strict: true,
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts'],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    });
    const problems = ts
      .getPreEmitDiagnostics(program)
      .map(
        ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
      );
    expect(files.length).toBeGreaterThan(0);
    expect(problems).toEqual([]);
  });

  it('links only to what is there', () => {
    for (const { name } of pages) {
      const text = readFileSync(join(root, name), 'utf8');
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? join(root, name) : resolve(root, dirname(name), path);
        expect(existsSync(file), `${name}: ${relative(root, file)}`).toBe(true);
        if (anchor) expect(anchors(file), `${name}: ${target}`).toContain(anchor);
      }
    }
  });
});

/** The anchors of a page's headings, as GitHub makes them. */
function anchors(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}
