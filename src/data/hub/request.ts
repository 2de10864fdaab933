/** Requests to the hub, and what can be said when they fail. */
import { BraidError } from '../../graph/index.ts';

/** The hub has to begin to answer within this time. */
const patience = 60_000;

/** A response with a status that is expected; everything else is a `BraidError('data')` that says what to do. */
export async function request(
  url: string,
  { headers = {}, allow = [], signal }: RequestOptions = {},
): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), patience);
  let response: Response;
  try {
    response = await fetch(url, {
      headers,
      signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal,
    });
  } catch (error) {
    throw signal?.aborted ? stopped() : unreachable(url, error);
  } finally {
    clearTimeout(timer);
  }
  if (response.ok || allow.includes(response.status)) return response;
  throw new BraidError(
    'data',
    `${new URL(url).origin} answered ${response.status} to ${url}: ${advice(response.status)}`,
  );
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses besides 2xx that the caller deals with. */
  readonly allow?: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

export function stopped(): BraidError {
  return new BraidError('interrupted', 'The download was stopped. The same command goes on from there.');
}

export function unreachable(url: string, cause: unknown): BraidError {
  return new BraidError(
    'data',
    `Cannot reach ${new URL(url).origin} (${reasonOf(cause)}). Is this machine online? What was loaded is kept, and the ` +
      'same command goes on from there. Another server with the same files can be named by --endpoint URL or HF_ENDPOINT.',
    { cause },
  );
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'AbortError') return `no answer within ${patience / 1000} seconds`;
  const { cause } = error;
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  return error.message;
}

function advice(status: number): string {
  if (status === 404) return 'there is no such file or data set there.';
  if (status === 401 || status === 403) return 'it wants to know who asks. Load the files by hand.';
  if (status === 429) return 'it was asked too often. Wait a while; the same command goes on.';
  return 'try again later; the same command goes on.';
}
