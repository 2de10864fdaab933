import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findInputs } from '../sources/files.ts';
import { download } from './download.ts';
import { findPublicSet, type PublicSet, publicSets } from './registry.ts';

const commit = 'c'.repeat(40);
const later = 'd'.repeat(40);
const small = Buffer.from('a small file, kept in git\n');
const large = Buffer.alloc(3_000_000, 'a large file, kept elsewhere; ');
const files: Readonly<Record<string, Buffer>> = { 'en/a b.jsonl': small, 'en/large.txt': large };

const set: PublicSet = {
  name: 'test',
  summary: '',
  repository: 'someone/texts',
  revision: 'main',
  files: ['en/'],
};

let server: Server;
let endpoint = '';
let root = '';
let folders = 0;

/** What the server does other than well: set by each test. */
let manners: { cutAt?: number; ranges: boolean; damage: boolean; head: string; status?: number };
const ranges: (string | undefined)[] = [];

function answer(request: IncomingMessage, response: ServerResponse): unknown {
  const url = decodeURIComponent(request.url ?? '');
  const send = (value: unknown, headers: Record<string, string> = {}): void => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };
  if (manners.status !== undefined) return response.writeHead(manners.status).end();
  const revision = /^\/api\/datasets\/someone\/texts\/revision\/(\w+)$/.exec(url)?.[1];
  if (revision !== undefined) return send({ sha: revision === 'main' ? manners.head : revision });
  const entry = (path: string) => ({ type: 'file', path, size: files[path].length });
  const git = createHash('sha1').update(`blob ${small.length}\0`).update(small).digest('hex');
  const oid = createHash('sha256').update(large).digest('hex');
  // Two pages, and things that are not asked for.
  if (url === `/api/datasets/someone/texts/tree/${commit}/en`) {
    const link = `<${endpoint}/api/datasets/someone/texts/tree/${commit}/en?cursor=2>; rel="next"`;
    return send(
      [
        { type: 'directory', path: 'en/more', size: 0, oid: 'x' },
        { ...entry('en/a b.jsonl'), oid: git },
      ],
      { link },
    );
  }
  if (url === `/api/datasets/someone/texts/tree/${commit}/en?cursor=2`) {
    return send([{ ...entry('en/large.txt'), oid: 'p', lfs: { oid, size: large.length, pointerSize: 9 } }]);
  }
  const content = files[url.replace(`/datasets/someone/texts/resolve/${commit}/`, '')];
  if (content) return sendFile(content, request, response);
  return response.writeHead(404).end();
}

function sendFile(content: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const { range } = request.headers;
  ranges.push(range);
  const begin = manners.ranges && range ? Number(/^bytes=(\d+)-$/.exec(range)?.[1]) : 0;
  const sent = manners.damage ? Buffer.alloc(content.length, 'x') : content;
  response.writeHead(begin > 0 ? 206 : 200, { 'content-length': content.length - begin });
  const { cutAt } = manners;
  if (cutAt === undefined || content === small) response.end(sent.subarray(begin));
  else response.write(sent.subarray(begin, cutAt), () => setTimeout(() => response.destroy(), 20));
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'braid-hub-'));
  server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await new Promise((done) => server.close(done));
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  manners = { ranges: true, damage: false, head: commit };
  ranges.length = 0;
});

const fresh = (): string => join(root, String(folders++));
const fetched = (folder: string, name: string): Buffer => readFileSync(join(folder, name));

describe('loading a public set', () => {
  it('brings all its files, once', async () => {
    const folder = fresh();
    let last = 0;
    const onProgress = (done: number, total: number): void => {
      expect(done).toBeGreaterThanOrEqual(last);
      expect(total).toBe(small.length + large.length);
      last = done;
    };
    const first = await download({ set, folder, endpoint: `${endpoint}/`, onProgress });
    expect(first).toMatchObject({ commit, bytes: last, loaded: last });
    expect(last).toBe(small.length + large.length);
    expect(fetched(folder, 'en/a b.jsonl').equals(small)).toBe(true);
    expect(fetched(folder, 'en/large.txt').equals(large)).toBe(true);
    ranges.length = 0;
    expect((await download({ set, folder, endpoint })).loaded).toBe(0);
    expect(ranges).toEqual([]);
    expect(findInputs([folder]).map(({ path }) => path)).toEqual(first.files);
  });

  it.each([true, false])('goes on after the connection broke (ranges served: %s)', async (served) => {
    const folder = fresh();
    manners = { ...manners, cutAt: 1_000_000, ranges: served };
    await expect(download({ set, folder, endpoint })).rejects.toThrow(
      /Cannot reach http:\/\/127.*same command goes on/,
    );
    const there = statSync(join(folder, 'en/large.txt.partial')).size;
    expect(there).toBeGreaterThan(0);
    expect(() => findInputs([folder])).toThrow(/large\.txt\.partial' is not complete/);
    manners = { ranges: served, damage: false, head: later };
    // The data set has moved on meanwhile: the files stay those of the commit that was begun with.
    const { loaded } = await download({ set, folder, endpoint });
    expect(loaded).toBe(served ? large.length - there : large.length);
    expect(ranges.at(-1)).toBe(`bytes=${there}-`);
    expect(fetched(folder, 'en/large.txt').equals(large)).toBe(true);
  });

  it('stops when told, keeps what there is and goes on', async () => {
    const folder = fresh();
    const stop = new AbortController();
    const onProgress = (_done: number, _total: number, file: string): void => {
      if (file === 'en/large.txt') stop.abort();
    };
    await expect(download({ set, folder, endpoint, signal: stop.signal, onProgress })).rejects.toMatchObject({
      code: 'interrupted',
    });
    await download({ set, folder, endpoint });
    expect(fetched(folder, 'en/large.txt').equals(large)).toBe(true);
  });

  it('refuses content that is not what the hub lists, and keeps none of it', async () => {
    const folder = fresh();
    manners = { ...manners, damage: true };
    await expect(download({ set, folder, endpoint })).rejects.toThrow(
      /a%20b\.jsonl is not the one that the hub lists/,
    );
    expect(() => statSync(join(folder, 'en/a b.jsonl'))).toThrow();
    expect(() => statSync(join(folder, 'en/a b.jsonl.partial'))).toThrow();
    const known = { ...set, sha256: { 'en/large.txt': '0'.repeat(64) } };
    manners = { ...manners, damage: false };
    await expect(download({ set: known, folder, endpoint })).rejects.toThrow(/large\.txt is not the one/);
  });

  it('replaces a file on the disk that was damaged', async () => {
    const folder = fresh();
    await download({ set, folder, endpoint });
    writeFileSync(join(folder, 'en/large.txt'), Buffer.alloc(large.length, 'y'));
    expect((await download({ set, folder, endpoint })).loaded).toBe(large.length);
    expect(fetched(folder, 'en/large.txt').equals(large)).toBe(true);
  });

  it('says what is wrong with the server, the set or the folder', async () => {
    const folder = fresh();
    const nobody = 'http://127.0.0.1:1';
    await expect(download({ set, folder, endpoint: nobody })).rejects.toThrow(
      /Cannot reach .*Is this machine online\?/,
    );
    for (const [status, pattern] of [
      [404, /answered 404 .*no such file or data set/],
      [401, /answered 401 .*who asks/],
      [429, /asked too often/],
      [500, /answered 500 .*try again/],
    ] as const) {
      manners = { ...manners, status };
      await expect(download({ set, folder, endpoint })).rejects.toThrow(pattern);
    }
    manners = { ranges: true, damage: false, head: 'nonsense' };
    await expect(download({ set, folder, endpoint })).rejects.toThrow(/something else than a hub does: sha/);
    manners = { ...manners, head: commit };
    const nothing = { ...set, files: ['en/nothing'] };
    await expect(download({ set: nothing, folder, endpoint })).rejects.toThrow(/has no files 'en\/nothing…'/);
    await download({ set, folder, endpoint });
    const other = { ...set, repository: 'another/one' };
    await expect(download({ set: other, folder, endpoint })).rejects.toThrow(/holds files from elsewhere/);
  });
});

describe('the names', () => {
  it('are each there once, with a repository and files', () => {
    expect(new Set(publicSets.map(({ name }) => name)).size).toBe(publicSets.length);
    for (const { name, repository, files: prefixes } of publicSets) {
      expect(findPublicSet(name).repository).toBe(repository);
      expect(prefixes.length).toBeGreaterThan(0);
    }
    expect(() => findPublicSet('tinystory')).toThrow(/Did you mean 'tinystories'/);
  });
});
