/** The unwinder against a shadow stack of calls and returns: at every instruction, prologues and epilogues included. */
import { expect, it } from 'vitest';
import { callStack } from '../../../src/systems/windows/unwind.ts';
import { fixture, console as start } from './fixtures.ts';

it.each(['hello', 'ioctls', 'probe', 'user'])(
  'follows the stack of %s at every instruction',
  async (name) => {
    const { session, type } = await start();
    const k = session.kernel;
    expect(fixture(`${name}.sys`).length).toBeGreaterThan(0);
    let seen = 0;
    const wrong: string[] = [];
    /** Return addresses of the calls in progress, as `call` and `ret` themselves make and take them. */
    const shadow: { at: number; rsp: number }[] = [];
    let last = { rip: 0, rsp: 0 };
    k.cpu.trace = ({ rip }) => {
      const rsp = k.cpu.gpr(4);
      while (shadow.length > 0 && shadow[shadow.length - 1].rsp < rsp) shadow.pop();
      if (rsp === last.rsp - 8 && k.memory.ptr(rsp) !== 0 && k.drivers.at(k.memory.ptr(rsp)) !== undefined) {
        const back = k.memory.ptr(rsp);
        if (back > last.rip && back <= last.rip + 7 && rip !== back) shadow.push({ at: back, rsp });
      }
      last = { rip, rsp };
      if (k.drivers.at(rip) === undefined) return;
      seen++;
      const frames = callStack(k, rip).filter((at) => k.drivers.at(at) !== undefined);
      const expected = [rip, ...shadow.map(({ at }) => at).reverse()];
      if (expected.some((at, i) => frames[i] !== at))
        wrong.push(`${k.describe(rip)}: ${frames.map((at) => k.describe(at)).join(' < ')}`);
    };
    type(`sc create ${name} type= kernel binPath= ${name}.sys`);
    type(`sc start ${name}`);
    if (name === 'probe') type('ioctl \\\\.\\Probe 0x2220d3');
    type(`sc stop ${name}`);
    expect(seen).toBeGreaterThan(20);
    expect(wrong.slice(0, 5)).toEqual([]);
  },
);
