/**
 * The one error class of Braid. A message says what was wrong, where (configuration path or layer path), what was
 * given, what is allowed and what to do. `code` is stable and meant for programs; the message is meant for people.
 */
export type ErrorCode =
  | 'shape'
  | 'dtype'
  | 'graph'
  | 'config'
  | 'pattern'
  | 'data'
  | 'checkpoint'
  | 'file'
  | 'executor'
  | 'native'
  | 'memory'
  | 'diverged'
  | 'interrupted'
  | 'unsupported'
  | 'usage';

export class BraidError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'BraidError';
    this.code = code;
  }
}
