import { describe, expect, it } from 'vitest';
import { editDistance, nearestName, suggestName } from './nearest.ts';

describe('nearest names', () => {
  it('counts edits, a swap of neighbours as one', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('mmaba', 'mamba')).toBe(1);
    expect(editDistance('', 'abc')).toBe(3);
  });

  it('finds the closest name and none that is far', () => {
    expect(nearestName('atention', ['attention', 'mamba1'])).toBe('attention');
    expect(nearestName('mamba', ['attention', 'mamba1'])).toBe('mamba1');
    expect(nearestName('xyz', ['attention', 'mamba1'])).toBeUndefined();
  });

  it('ends with the list of known names', () => {
    expect(suggestName('mpl', ['mlp', 'attention'])).toBe("Did you mean 'mlp'? Known: attention, mlp.");
    expect(suggestName('zzzzzz', ['mlp'])).toBe('Known: mlp.');
  });
});
