/** What files a data set on the hub has, and their checksums. */
import { z } from 'zod';
import { BraidError } from '../../graph/index.ts';
import type { PublicSet } from './registry.ts';
import { request } from './request.ts';

export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  /** Of large files the SHA-256 of the content; of small ones what git calls them, the SHA-1 of a header and the content. */
  readonly checksum: { readonly kind: 'sha256' | 'git'; readonly hex: string };
}

export interface Listing {
  /** The commit that the revision stands for. */
  readonly commit: string;
  readonly files: readonly RemoteFile[];
}

const revisionSchema = z.looseObject({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const entriesSchema = z.array(
  z.looseObject({
    type: z.string(),
    path: z.string(),
    size: z.int().nonnegative(),
    oid: z.string(),
    lfs: z.looseObject({ oid: z.string(), size: z.int().nonnegative() }).nullish(),
  }),
);

/** The files of a set at a commit. `known` is a commit that an earlier call has seen. */
export async function listFiles(
  set: PublicSet,
  endpoint: string,
  { known, signal }: { readonly known?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<Listing> {
  const api = `${endpoint}/api/datasets/${set.repository}`;
  const revision = known ?? set.revision;
  const answer = await request(`${api}/revision/${revision}`, { signal });
  const { sha: commit } = parse(revisionSchema, await answer.json(), answer.url);
  const folders = new Set(set.files.map((prefix) => prefix.slice(0, prefix.lastIndexOf('/') + 1)));
  const files: RemoteFile[] = [];
  for (const folder of folders) {
    let next: string | undefined = `${api}/tree/${commit}/${folder.replace(/\/$/, '')}`;
    while (next !== undefined) {
      const page: Response = await request(next, { signal });
      for (const entry of parse(entriesSchema, await page.json(), page.url)) {
        if (entry.type === 'file' && set.files.some((prefix) => entry.path.startsWith(prefix))) {
          files.push(remoteFile(entry, set));
        }
      }
      next = nextPage(page);
    }
  }
  if (files.length > 0) return { commit, files };
  throw new BraidError(
    'data',
    `The data set ${set.repository} at ${commit} has no files ${set.files.map((prefix) => `'${prefix}…'`).join(', ')}. ` +
      'It was changed on the hub; load its files by hand.',
  );
}

function remoteFile(entry: z.infer<typeof entriesSchema>[number], set: PublicSet): RemoteFile {
  const { path, size, oid, lfs } = entry;
  const known = set.sha256?.[path];
  if (known !== undefined) return { path, size: lfs?.size ?? size, checksum: { kind: 'sha256', hex: known } };
  if (lfs) return { path, size: lfs.size, checksum: { kind: 'sha256', hex: lfs.oid } };
  return { path, size, checksum: { kind: 'git', hex: oid } };
}

/** Long lists come in pages; each names the next one (RFC 8288). */
function nextPage(response: Response): string | undefined {
  const [, target] = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '') ?? [];
  return target === undefined ? undefined : new URL(target, response.url).href;
}

function parse<T>(schema: z.ZodType<T>, value: unknown, url: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BraidError(
    'data',
    `${url} answered something else than a hub does: ${issue.path.join('.')}: ${issue.message}. Check --endpoint.`,
  );
}
