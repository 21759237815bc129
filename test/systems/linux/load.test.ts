/** Loading and unloading of our fixtures, step by step; the words themselves are compared with recordings elsewhere. */
import { describe, expect, it } from 'vitest';
import { InjectedFailure } from '../../../src/kernel/transaction.ts';
import { Errno } from '../../../src/systems/linux/errno.ts';
import type { Linux } from '../../../src/systems/linux/linux.ts';
import { insmod, type LoadResult, rmmod, type UnloadResult } from '../../../src/systems/linux/loader.ts';
import { moduleList } from '../../../src/systems/linux/module-list.ts';
import { procModules } from '../../../src/systems/linux/proc-modules.ts';
import { sysDirectory } from '../../../src/systems/linux/sysfs.ts';
import { boot, fixture, linkOnly, newLines } from './kernel.ts';

function refusal(result: LoadResult | UnloadResult): { rule: string; errno: number } {
  if (result.outcome !== 'refused') throw new Error(`${result.outcome}, not refused`);
  const { rule, errno, why, hint } = result.refusal;
  expect(why).toMatch(/\.$/);
  expect(hint).toMatch(/\.\)?$/);
  return { rule, errno };
}

/** Everything a load may leave behind. */
function state(k: Linux) {
  return {
    free: k.memory.frames.freePages,
    areas: k.moduleArea.usedPages,
    percpu: k.percpu.usedBytes,
    modules: [...moduleList(k)].length,
    table: k.modules.size,
    taint: k.taint,
    log: k.log.records.length,
    proc: procModules(k),
    sysfs: sysDirectory(k, 'module').list().length,
    regions: [...k.memory.areas()].length,
  };
}

describe('a load', () => {
  it('runs machine code, shows the module, and gives everything back', () => {
    const k = boot();
    // The first load fills the kernel's own caches and binds its functions.
    insmod(k, fixture('hello'));
    rmmod(k, 'hello');
    const before = state(k);
    const result = insmod(k, fixture('hello'), 'whom=Ada');
    expect(result.outcome).toBe('loaded');
    expect(newLines(k, before.log)).toEqual(['<6>hello: hello, Ada']);
    expect(procModules(k)).toMatch(/^hello 16384 0 - Live 0xffffffffc0\w+ \(OE\)\n$/);
    expect(rmmod(k, 'hello')).toEqual({ outcome: 'unloaded' });
    expect({ ...state(k), log: before.log }).toEqual(before);
  });

  it('leaves nothing behind when any of its steps fails', () => {
    const k = boot();
    insmod(k, fixture('exporter'));
    for (const name of ['params', 'importer_plain']) {
      insmod(k, fixture(name));
      rmmod(k, name);
      const steps: string[] = [];
      insmod(k, fixture(name), '', { inject: (step) => steps.push(step) });
      rmmod(k, name);
      expect(steps).toContain('write image');
      for (const [index, step] of steps.entries()) {
        const before = state(k);
        let seen = 0;
        const inject = (at: string) => {
          if (seen++ === index) throw new InjectedFailure(at);
        };
        expect(() => insmod(k, fixture(name), '', { inject })).toThrow(InjectedFailure);
        expect(state(k), `${name}, failed at ${step}`).toEqual(before);
      }
      expect(insmod(k, fixture(name)).outcome).toBe('loaded');
      expect(rmmod(k, name).outcome).toBe('unloaded');
    }
  });

  it('counts users and names holders', () => {
    const k = boot();
    insmod(k, fixture('exporter'));
    insmod(k, fixture('importer_plain'));
    expect(procModules(k)).toMatch(/^importer_plain .*\nexporter 16384 1 importer_plain, Live/);
    expect(refusal(rmmod(k, 'exporter'))).toEqual({ rule: 'in-use-by-modules', errno: Errno.EAGAIN });
    rmmod(k, 'importer_plain');
    expect(procModules(k)).toMatch(/^exporter 16384 0 - Live/);
    expect(rmmod(k, 'exporter').outcome).toBe('unloaded');
  });

  it('gives init memory back: the second look finds nothing mapped there', () => {
    const k = boot();
    const result = insmod(k, fixture('params'));
    if (result.outcome !== 'loaded') throw new Error(result.outcome);
    expect(result.module.areas.map(({ name }) => name)).toEqual(['core']);
    expect(k.moduleArea.usedPages).toBe(result.module.areas[0].pages);
  });

  it('keeps code and constants from being written, data from being run', () => {
    const k = boot();
    const result = insmod(k, fixture('hello'));
    if (result.outcome !== 'loaded') throw new Error(result.outcome);
    for (const { base, perm } of result.module.image.segments) {
      expect(k.memory.permOf(base)).toBe(perm);
      expect(perm & 6, 'writable and executable').not.toBe(6);
    }
  });
});

describe('refusals', () => {
  it.each([
    ['empty', 'empty', Errno.EINVAL],
    ['tiny', 'elf-size', Errno.ENOEXEC],
    ['bad_magic', 'elf-magic', Errno.ENOEXEC],
    ['not_relocatable', 'elf-type', Errno.ENOEXEC],
    ['other_machine', 'elf-machine', Errno.ENOEXEC],
    ['bad_shentsize', 'elf-shentsize', Errno.ENOEXEC],
    ['bad_shstrndx', 'elf-names', Errno.ENOEXEC],
    ['truncated', 'elf-section-table', Errno.ENOEXEC],
    ['stripped', 'no-symbols', Errno.ENOEXEC],
    ['wrong_vermagic', 'vermagic', Errno.ENOEXEC],
    ['wrong_layout', 'module-layout', Errno.ENOEXEC],
    ['wrong_crc', 'symbols', Errno.EINVAL],
    ['missing_crc', 'symbols', Errno.EINVAL],
    ['bad_relocation', 'relocation', Errno.ENOEXEC],
    ['dirty_target', 'relocation', Errno.ENOEXEC],
    ['bad_signature', 'signature', Errno.EBADMSG],
    ['importer_plain', 'symbols', Errno.ENOENT],
    ['block', 'name-in-sysfs', Errno.EINVAL],
  ])('%s: rule %s', (name, rule, errno) => {
    const k = boot();
    const before = k.memory.frames.freePages;
    expect(refusal(insmod(k, fixture(name)))).toEqual({ rule, errno });
    expect(k.modules.size).toBe(0);
    expect(k.moduleArea.usedPages).toBe(0);
    // The caches of the kernel take their first pages: how many depends on what runs before.
    expect(before - k.memory.frames.freePages).toBeLessThan(12);
  });

  it('says in its own words what the kernel leaves unsaid', () => {
    const result = insmod(boot(), fixture('wrong_vermagic'));
    if (result.outcome !== 'refused') throw new Error(result.outcome);
    expect(result.refusal.why).toContain('this kernel was built with SMP, the module was not');
    expect(result.refusal.said.at(-1)).toContain(
      "should be '6.1.0-56-amd64 SMP preempt mod_unload modversions '",
    );
  });

  it("is the kernel's alone: users and a closed door get nothing", () => {
    const k = boot({ commandLine: 'nomodule' });
    expect(refusal(insmod(k, fixture('hello')))).toEqual({ rule: 'modules-disabled', errno: Errno.EPERM });
    const open = boot();
    const credential = { uid: 65534, gid: 65534 };
    expect(refusal(insmod(open, fixture('hello'), '', { credential }))).toEqual({
      rule: 'privilege',
      errno: Errno.EPERM,
    });
    expect(open.log.records).toEqual([]);
  });

  it('lists every missing function when asked to refuse them', () => {
    const k = boot({ missing: 'refuse' });
    const result = insmod(k, fixture('busdriver'));
    if (result.outcome !== 'refused') {
      // Everything it imports was written since.
      expect(result.outcome).toBe('loaded');
      return;
    }
    expect(result.refusal.rule).toBe('missing-functions');
    for (const name of result.refusal.missing) expect(result.refusal.why).toContain(name);
  });

  it('forces what can be forced, at the price of a taint', () => {
    const k = boot();
    const forced = insmod(k, fixture('wrong_crc'), '', { flags: { ignoreModversions: true } });
    expect(forced.outcome).toBe('loaded');
    expect(procModules(k)).toContain('(FOE)');
  });
});

describe('licences', () => {
  it('reports text behind a NUL, which the kernel does not see', () => {
    const k = boot();
    const result = insmod(k, fixture('nul_licence'));
    if (result.outcome !== 'loaded') throw new Error(result.outcome);
    expect(result.module.findings.map(({ id }) => id)).toEqual(['embedded-nul']);
    expect(k.taint & 1).toBe(0);
    const strict = insmod(boot(), fixture('nul_licence'), '', { strictLicence: true });
    expect(refusal(strict)).toEqual({ rule: 'embedded-nul', errno: Errno.ENOEXEC });
  });
});

describe('an unload', () => {
  it('knows what is not loaded, what has no exit, and what is half loaded', () => {
    const k = boot();
    expect(refusal(rmmod(k, 'hello'))).toEqual({ rule: 'not-loaded', errno: Errno.ENOENT });
    insmod(k, fixture('permanent'));
    expect(refusal(rmmod(k, 'permanent'))).toEqual({ rule: 'permanent', errno: Errno.EBUSY });
    expect(rmmod(k, 'permanent', { force: true }).outcome).toBe('unloaded');
    const oops = insmod(k, fixture('oops_init'));
    expect(oops.outcome).toBe('killed');
    expect(procModules(k)).toMatch(/^oops_init \d+ 1 - Loading 0x\w+ \(OE\+\)\n$/);
    expect(refusal(rmmod(k, 'oops_init'))).toEqual({ rule: 'not-live', errno: Errno.EBUSY });
    expect(linkOnly(k, fixture('hello'))).toBe('linked');
  });
});
