/**
 * Loads a public set into a folder: each file under a temporary name until its checksum is right, and from where an earlier
 * attempt stopped. `.source.json` says where the files are from.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { BraidError } from '../../graph/index.ts';
import { fileError, nodeFileSystem, partialName, writeFileAtomically } from '../../models/atomicFile.ts';
import { listFiles, type RemoteFile } from './listing.ts';
import type { PublicSet } from './registry.ts';
import { request, stopped, unreachable } from './request.ts';

export const hubEndpoint = 'https://huggingface.co';

export interface DownloadOptions {
  readonly set: PublicSet;
  readonly folder: string;
  /** The hub, or a server with the same paths. */
  readonly endpoint?: string;
  readonly signal?: AbortSignal;
  /** Bytes that are there, of all. */
  readonly onProgress?: (done: number, total: number, file: string) => void;
}

export interface Downloaded {
  readonly commit: string;
  /** Paths on the disk. */
  readonly files: readonly string[];
  readonly bytes: number;
  /** Bytes that came over the network now. */
  readonly loaded: number;
}

/** Hidden, so that it is no text of the folder. */
const source = '.source.json';
const sourceSchema = z.strictObject({ repository: z.string(), commit: z.string() });

/**
 * Loads what is missing. A wrong checksum is a `BraidError('data')` that names the file, and the file is taken away; an
 * unreachable hub one that says so, and what was loaded stays.
 */
export async function download(options: DownloadOptions): Promise<Downloaded> {
  const { set, folder, endpoint = hubEndpoint, signal, onProgress = () => undefined } = options;
  const base = endpoint.replace(/\/+$/, '');
  const known = knownCommit(folder, set);
  const { commit, files } = await listFiles(set, base, { known, signal });
  make(folder);
  const note = `${JSON.stringify({ repository: set.repository, commit }, null, 2)}\n`;
  await writeFileAtomically(join(folder, source), (file) => file.write(Buffer.from(note)));
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  let loaded = 0;
  for (const file of files) {
    const path = join(folder, file.path);
    const url = `${base}/datasets/${set.repository}/resolve/${commit}/${file.path.split('/').map(encodeURIComponent).join('/')}`;
    make(dirname(path));
    const report = (bytes: number): void => onProgress(done + bytes, total, file.path);
    loaded += await loadFile({ file, path, url, signal, report });
    done += file.size;
    report(0);
  }
  return { commit, files: files.map(({ path }) => join(folder, path)), bytes: total, loaded };
}

interface FileJob {
  readonly file: RemoteFile;
  readonly path: string;
  readonly url: string;
  readonly signal: AbortSignal | undefined;
  readonly report: (bytes: number) => void;
}

/** Returns the bytes that were loaded now. */
async function loadFile(job: FileJob): Promise<number> {
  const { file, path, url } = job;
  if (statSync(path, { throwIfNoEntry: false })?.size === file.size && (await isRight(path, file))) return 0;
  const partial = partialName(path);
  const before = statSync(partial, { throwIfNoEntry: false })?.size ?? 0;
  const loaded = before < file.size ? await append(job, partial, before) : 0;
  if (!(await isRight(partial, file))) {
    await rm(partial, { force: true });
    throw new BraidError(
      'data',
      `The file loaded from ${url} is not the one that the hub lists: its ${file.checksum.kind} checksum is not ` +
        `${file.checksum.hex.slice(0, 16)}…. It was removed; run the same command again to load it anew.`,
    );
  }
  try {
    await rename(partial, path);
    await nodeFileSystem.syncFolder(dirname(path));
  } catch (error) {
    throw fileError('write', path, error);
  }
  return loaded;
}

/** Loads the rest of a file behind what is there, or all of it where the server does not begin in the middle. */
async function append(
  { file, path, url, signal, report }: FileJob,
  partial: string,
  before: number,
): Promise<number> {
  const headers = before > 0 ? { range: `bytes=${before}-` } : undefined;
  const response = await request(url, { ...(headers ? { headers } : {}), signal });
  const begin = response.status === 206 ? before : 0;
  const target = await open(partial, begin > 0 ? 'r+' : 'w').catch((error: unknown) => {
    throw fileError('write', path, error);
  });
  let place = begin;
  try {
    for await (const chunk of bodyOf(response, url, signal)) {
      if (place + chunk.length > file.size) break;
      await write(target, chunk, place, path);
      place += chunk.length;
      report(place);
    }
    await target.sync();
  } finally {
    await target.close();
  }
  return place - begin;
}

async function* bodyOf(
  response: Response,
  url: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const stop = (): void => {
    reader.cancel().catch(() => undefined);
  };
  signal?.addEventListener('abort', stop);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (signal?.aborted) throw stopped();
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (error instanceof BraidError) throw error;
    throw signal?.aborted ? stopped() : unreachable(url, error);
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

async function write(
  target: Awaited<ReturnType<typeof open>>,
  chunk: Uint8Array,
  place: number,
  path: string,
): Promise<void> {
  try {
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await target.write(chunk, done, chunk.length - done, place + done);
      done += bytesWritten;
    }
  } catch (error) {
    throw fileError('write', path, error);
  }
}

async function isRight(path: string, { size, checksum }: RemoteFile): Promise<boolean> {
  if (statSync(path, { throwIfNoEntry: false })?.size !== size) return false;
  const hash: Hash = createHash(checksum.kind === 'sha256' ? 'sha256' : 'sha1');
  if (checksum.kind === 'git') hash.update(`blob ${size}\0`);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 4 * 1024 * 1024 }))
      hash.update(chunk as Buffer);
  } catch (error) {
    throw fileError('read', path, error);
  }
  return hash.digest('hex') === checksum.hex;
}

/** The commit that the files in a folder are from. A folder with files of another set is a `BraidError('usage')`. */
function knownCommit(folder: string, set: PublicSet): string | undefined {
  const path = join(folder, source);
  if (!existsSync(path)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new BraidError('data', `'${path}' cannot be read as JSON. Remove it, or choose another folder.`, {
      cause,
    });
  }
  const parsed = sourceSchema.safeParse(value);
  if (parsed.success && parsed.data.repository === set.repository) return parsed.data.commit;
  throw new BraidError(
    'usage',
    `'${folder}' holds files from elsewhere (${source}). Choose another folder by --out.`,
  );
}

function make(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw fileError('write', folder, error);
  }
}
