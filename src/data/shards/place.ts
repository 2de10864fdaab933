/** How far a preparation has come in its inputs: from here it goes on as if it had never stopped. */
import { z } from 'zod';

export const placeSchema = z.strictObject({
  /** Number of the input file. */
  file: z.int().nonnegative(),
  /** Where the record begins that the next bytes belong to (see sources/pieces.ts). */
  record: z.int().nonnegative(),
  /** Bytes of that document already done. */
  offset: z.int().nonnegative(),
  /** Parts, documents as a rule, that were begun so far: every n-th validates. */
  parts: z.int().nonnegative(),
  /** Bytes of the part at hand already done; 0 between two parts. */
  inPart: z.int().nonnegative(),
  /** The next part goes on with the document of the last training part. */
  joined: z.boolean(),
});

export type Place = z.infer<typeof placeSchema>;

export const beginning: Place = { file: 0, record: 0, offset: 0, parts: 0, inPart: 0, joined: false };
