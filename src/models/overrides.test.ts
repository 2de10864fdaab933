import { describe, expect, it } from 'vitest';
import { applyOverrides } from './overrides.ts';

describe('applyOverrides', () => {
  it('sets values by path, in order, without touching what it was given', () => {
    const value = { a: { b: 1 }, list: [{ x: 1 }, 2] };
    const given = JSON.stringify(value);
    const { value: result } = applyOverrides(value, [
      'a.b=2',
      'a.c.d=true',
      'list[0].x=[1, 2]',
      'list.1=text',
      'e={ heads: 4 }',
      'a.b=3',
      'a.c.e=a=b',
    ]);
    expect(result).toEqual({
      a: { b: 3, c: { d: true, e: 'a=b' } },
      list: [{ x: [1, 2] }, 'text'],
      e: { heads: 4 },
    });
    expect(JSON.stringify(value)).toBe(given);
  });

  it('removes a key with null', () => {
    expect(applyOverrides({ a: 1, b: 2 }, ['a=null']).value).toEqual({ b: 2 });
  });

  it('makes own keys only, whatever their names', () => {
    const { value } = applyOverrides({}, ['__proto__.polluted=1']);
    expect(Object.keys(value as object)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('knows where a value comes from', () => {
    const { locate } = applyOverrides({ a: { b: 1 } }, ['a.b=2', 'c.d=1'], (path) =>
      path[0] === 'a' ? 'line 1' : undefined,
    );
    expect(locate(['a', 'b'])).toBe("the override 'a.b=2'");
    expect(locate(['a', 'x'])).toBe('line 1');
    expect(locate(['c'])).toBe("the override 'c.d=1'");
    expect(locate(['z'])).toBeUndefined();
  });

  it.each([
    ['a', /'a' is not an override/],
    ['=1', /is not an override/],
    ['a..b=1', /is not an override/],
    ['a[x]=1', /is not an override/],
    ['a=[1', /cannot be read as YAML/],
    [
      'list[2]=1',
      /'list' is a list of 2 entries, numbered from 0, so the override 'list\[2\]=1' leads nowhere/,
    ],
    ['list.x=1', /'list' is a list of 2 entries/],
    ['n.x=1', /'n' is the value 3, not a section/],
  ])('refuses %s', (override, message) => {
    expect(() => applyOverrides({ list: [1, 2], n: 3 }, [override])).toThrow(message);
  });
});
