import { describe, expect, it } from 'vitest';
import type { Steps } from '../../../src/kernel/steps.ts';
import type { Linux } from '../../../src/systems/linux/linux.ts';
import { taintKernel } from '../../../src/systems/linux/taint.ts';
import { LinuxSession } from '../../../src/tools/linux/session.ts';
import { boot, builtinKernel, fixture, newLines } from './kernel.ts';

/** include/asm-generic/bug.h */
const BUGFLAG_ONCE = 2;

/** Runs machine code in a task of its own. */
function run(k: Linux, ...code: number[]): void {
  const at = k.takeGate();
  k.placeCode(at, Uint8Array.from(code));
  k.runTask('test', call(k, at));
}

function* call(k: Linux, at: number): Steps<void> {
  yield* k.call(at);
}

describe('when machine code stops', () => {
  it('names an instruction that the processor does not have', () => {
    // vaddps %xmm1,%xmm0,%xmm0
    expect(() => run(boot(), 0xc5, 0xf8, 0x58, 0xc1)).toThrow(
      /^invalid opcode at .*: the processor does not have the instruction "vaddps"$/,
    );
  });

  it('says what no processor has in its own words', () => {
    expect(() => run(boot(), 0x06)).toThrow(/^invalid opcode at .*: undefined-opcode$/);
  });

  it('ends lock debugging with the first oops, so that a later taint does not announce it', () => {
    const k = boot();
    const before = k.log.records.length;
    expect(() => run(k, 0x06)).toThrow();
    taintKernel(k, 0, true);
    expect(newLines(k, before).join('\n')).not.toContain('Disabling lock debugging');
  });

  it('reports a warning that was asked for once (WARN_ON_ONCE) only once', () => {
    const session = new LinuxSession(builtinKernel(), {
      moduleFile: (name) => fixture(name.replace(/\.ko$/, '')),
    });
    const { k } = session;
    session.line('insmod trouble.ko');
    const module = k.modules.find('trouble');
    const table = k.read('module.bug_table', module?.control ?? 0);
    for (let i = 0; i < k.read('module.num_bugs', module?.control ?? 0); i++) {
      const entry = table + i * k.sizeof('bug_entry');
      k.write('bug_entry.flags', entry, k.read('bug_entry.flags', entry) | BUGFLAG_ONCE);
    }
    const warnings = () => {
      const before = k.log.records.length;
      expect(session.line('echo warn_on > /proc/trouble').code).toBe(0);
      return newLines(k, before).filter((line) => line.includes('WARNING:')).length;
    };
    expect([warnings(), warnings()]).toEqual([1, 0]);
  });
});
