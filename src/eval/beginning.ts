/** The token that a Hugging Face tokenizer puts before every text, read from its `tokenizer.json`. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const special = z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }) });

const template = z.looseObject({
  type: z.literal('TemplateProcessing'),
  single: z.array(z.unknown()),
  special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int()) })),
});

const sequence = z.looseObject({ type: z.literal('Sequence'), processors: z.array(z.unknown()) });

/** Its number; undefined where the tokenizer puts none there. A file that is not JSON is an error of the caller. */
export function beginningToken(path: string): number | undefined {
  const file = JSON.parse(readFileSync(path, 'utf8')) as { readonly post_processor?: unknown };
  const chain = sequence.safeParse(file.post_processor);
  const processors = chain.success ? chain.data.processors : [file.post_processor];
  for (const processor of processors) {
    const found = template.safeParse(processor);
    if (!found.success) continue;
    const first = special.safeParse(found.data.single[0]);
    if (first.success) return found.data.special_tokens[first.data.SpecialToken.id]?.ids[0];
  }
  return undefined;
}
