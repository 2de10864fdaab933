/** HellaSwag (Zellers et al. 2019), as lm-evaluation-harness 0.4.13 reads it (tasks/hellaswag). */
import { z } from 'zod';
import { choicesAfter, defineTask } from './task.ts';

export const hellaswag = defineTask({
  name: 'hellaswag',
  summary: 'how an everyday scene goes on, four endings',
  metrics: ['acc', 'acc_norm'],
  document: z.object({
    activity_label: z.string(),
    ctx_a: z.string(),
    ctx_b: z.string(),
    endings: z.array(z.string()).min(2),
    label: z.coerce.number().int(),
  }),
  question({ activity_label, ctx_a, ctx_b, endings, label }) {
    const context = clean(`${activity_label}: ${ctx_a} ${capitalized(ctx_b)}`);
    return choicesAfter(context, endings.map(clean), label);
  },
});

/** Takes off the marks of WikiHow. One pass over double spaces, left to right, as the original does. */
function clean(text: string): string {
  return text
    .trim()
    .replaceAll(' [title]', '. ')
    .replaceAll(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ');
}

/** As Python's `str.capitalize`: the first letter large and all others small. */
function capitalized(text: string): string {
  const [first = '', ...rest] = text;
  return first.toUpperCase() + rest.join('').toLowerCase();
}
