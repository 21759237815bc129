import { describe, expect, it } from 'vitest';
import { console as start } from './fixtures.ts';

describe.each(['x64', 'x86'])('processes of others on %s', (machine) => {
  const started = async () => {
    const one = await start({ machine });
    one.type(`sc create reach type= kernel binPath= reach${machine === 'x64' ? '' : '-x86'}.sys`);
    one.type('sc start reach');
    /** The number that a control code gives. */
    const ask = (code: number) => one.type(`ioctl \\\\.\\Reach 0x${code.toString(16)} "" 4`);
    return { ...one, ask };
  };

  it('are attached to and left again, as deep as they were', async () => {
    const { ask } = await started();
    expect(ask(0x222110)).toContain('7f 00 00 00');
  });

  it('have memory that a driver can keep from being freed', async () => {
    const { ask } = await started();
    expect(ask(0x222118)).toContain('1f 00 00 00');
  });

  it('live in the time zone that shared data says', async () => {
    const { session, ask } = await started();
    expect(ask(0x222114)).toContain('00 00 00 00');
    const { kernel: k } = session;
    k.memory.setU64(k.map.sharedData + 0x20, 1_000_000_000n);
    expect(ask(0x222114)).toContain('64 00 00 00');
  });
});
