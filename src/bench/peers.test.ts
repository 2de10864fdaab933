import { describe, expect, it } from 'vitest';
import { runPeer } from './peers.ts';

/** A peer that is a line of JavaScript. */
const peer = (code: string) => ({
  system: 'Peer',
  command: process.execPath,
  arguments: ['-e', code, '{samples}'],
});

describe('a peer', () => {
  it('gives the seconds of its last line and its version', async () => {
    const code = `console.log('loading'); console.log(JSON.stringify({ seconds: [Number(process.argv[1])], version: '2.1' }))`;
    expect(await runPeer(peer(code), 3)).toEqual({ seconds: [3], name: 'Peer 2.1' });
  });

  it('that cannot run says why', async () => {
    const failing = `console.error('loading'); console.error('it is not installed'); process.exit(1)`;
    expect(await runPeer(peer(failing), 1)).toEqual({ seconds: [], reason: 'it is not installed' });
    const missing = await runPeer({ system: 'Peer', command: '/no/such/program', arguments: [] }, 1);
    expect(missing.reason).toMatch(/no\/such\/program.*ENOENT/);
  });

  it('that prints something else is not believed', async () => {
    for (const output of ['', 'hello', '{"seconds":[0]}', '{"seconds":"1"}']) {
      const { seconds, reason } = await runPeer(peer(`console.log(${JSON.stringify(output)})`), 1);
      expect(seconds).toEqual([]);
      expect(reason).toMatch(/did not print/);
    }
  });
});
