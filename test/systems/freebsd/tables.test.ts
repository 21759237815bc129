/** The kernel's own tables and lists as modules find them: system calls, processes, files, devices. */
import { describe, expect, it } from 'vitest';
import type { Steps } from '../../../src/kernel/steps.ts';
import { bootFreeBsd } from '../../../src/systems/freebsd/boot.ts';
import type { Bits } from '../../../src/systems/freebsd/declarations.ts';
import { performCall } from '../../../src/systems/freebsd/syscalls.ts';
import { sysentOf } from '../../../src/systems/freebsd/sysent.ts';
import { callSystem } from '../../../src/systems/freebsd/system-call.ts';

const SYS_MKDIR = 136;

const boot = (version: number, bits: Bits) =>
  bootFreeBsd({ version, bits, files: { read: () => undefined } });

/** Offsets that modules built for these releases and machines use; from 9.3 on those of the headers, compiled for them. */
const MEASURED: readonly (readonly [
  version: number,
  bits: Bits,
  offsets: Readonly<Record<string, number>>,
])[] = [
  [
    800107,
    32,
    {
      'sysent size': 28,
      'proc.p_flag': 0x5c,
      'proc.p_pid': 0x64,
      'proc.p_mtx': 0x88,
      'cdev.si_name': 0x58,
      'cdev size': 0xb8,
    },
  ],
  [
    1102000,
    32,
    {
      'sysent size': 32,
      'proc.p_flag': 0x68,
      'proc.p_state': 0x70,
      'proc.p_pid': 0x74,
      'proc.p_hash': 0x78,
      'proc.p_mtx': 0xa8,
    },
  ],
  [1001000, 64, { 'sysent size': 48, 'ucred.cr_uid': 4, 'ucred.cr_groups': 0x90, 'proc.p_pid': 0xbc }],
  [
    903000,
    64,
    {
      'linker_file.ndeps': 80,
      'linker_file size': 160,
      'proc.p_pid': 180,
      'proc.p_mtx': 248,
      'ucred size': 160,
      'sbuf size': 64,
      'kobjop_desc size': 16,
      'sysctl_oid.oid_descr': 72,
      'cdev.si_namebuf': 224,
      'syscall_module_data size': 80,
    },
  ],
  [903000, 32, { 'ucred.cr_groups': 112, 'linker_file size': 88, 'sysctl_oid size': 48, 'proc.p_pid': 104 }],
  [1004000, 64, { 'linker_file size': 160, 'proc.p_pid': 188, 'proc.p_mtx': 256, 'kobjop_desc size': 24 }],
  [
    1201000,
    64,
    {
      'linker_file.ndeps': 96,
      'proc.p_reaper': 256,
      'proc.p_mtx': 288,
      'ucred size': 224,
      'ucred.cr_groups': 144,
      'sbuf size': 72,
      'syscall_module_data size': 88,
      'vfsconf size': 72,
      'cdev_priv size': 376,
    },
  ],
  [1201000, 32, { 'vfsconf.vfc_opts': 40, 'linker_file size': 96, 'ucred size': 184 }],
  [1402000, 64, { 'proc.p_pid': 0xc4, 'ucred.cr_prison': 0x88 }],
  [
    1500068,
    64,
    {
      'linker_file.ndeps': 120,
      'linker_file size': 200,
      'proc.p_pid': 196,
      'proc.p_mtx': 296,
      'ucred.cr_uid': 100,
      'ucred.cr_prison': 144,
      'ucred size': 264,
      'vfsconf.vfc_typenum': 40,
      'malloc_type size': 112,
      'sysctl_oid size': 112,
      'cdev_priv size': 600,
      'sysent size': 32,
    },
  ],
  [1500068, 32, { 'linker_file size': 108, 'ucred.cr_prison': 116, 'vfsconf size': 56 }],
];

describe('layouts that modules show', () => {
  it.each(MEASURED)('%i, %i bits', (version, bits, offsets) => {
    const { k } = boot(version, bits);
    for (const [what, value] of Object.entries(offsets)) {
      const [name, kind] = what.split(' ');
      expect([what, kind === 'size' ? k.sizeof(name) : k.offset(name)]).toEqual([what, value]);
    }
  });
});

describe.each([
  [803000, 32],
  [1102000, 32],
  [1001000, 64],
  [1402000, 64],
] as const)('FreeBSD %i, %i bits', (version, bits) => {
  it('a call whose entry a module has replaced goes to the module', () => {
    const booted = boot(version, bits);
    const { k } = booted;
    const call = sysentOf(k, SYS_MKDIR) + k.offset('sysent.sy_call');
    const own = k.memory.ptr(call);
    const name = version < 900044 ? 'mkdir' : 'sys_mkdir';
    expect(own).toBe(k.symbolAddress(name));
    // Whoever looks at its code finds bytes.
    expect(k.memory.bytes(own, 2)).toHaveLength(2);
    const before = performCall(booted, 'test', callSystem(k, SYS_MKDIR, [0, 0]));
    expect(before.outcome === 'missing' && before.missing.symbol).toBe(name);
    k.memory.setPtr(call, k.symbolAddress('nullop'));
    expect(performCall(booted, 'test', callSystem(k, SYS_MKDIR, [0, 0]))).toEqual({
      outcome: 'done',
      value: 0,
    });
    const nobody = performCall(booted, 'test', callSystem(k, 210, []));
    expect(nobody.outcome === 'failed' && nobody.error.errno).toBe(78);
  });

  it('processes are in the lists, with a credential that can be changed', () => {
    const booted = boot(version, bits);
    const { k } = booted;
    const seen = performCall(
      booted,
      'somebody',
      (function* (): Steps<number[]> {
        if (!k.types.has('proc.p_pid')) return [k.threads.uid(k.curthread)];
        const proc = k.threads.proc(k.curthread);
        const first = k.memory.ptr(k.symbolAddress('allproc'));
        expect(first).toBe(proc);
        const pid = k.read('proc.p_pid', proc);
        const mask = k.memory.ptr(k.symbolAddress('pidhash'));
        expect(k.memory.ptr(k.memory.ptr(k.symbolAddress('pidhashtbl')) + (pid & mask) * k.word)).toBe(proc);
        const denied = yield* k.callInt(k.symbolAddress('priv_check'), k.curthread, 130);
        k.write('ucred.cr_uid', k.read('proc.p_ucred', proc), 0);
        return [denied, yield* k.callInt(k.symbolAddress('priv_check'), k.curthread, 130)];
      })(),
      { uid: 1001 },
    );
    expect(seen).toEqual({ outcome: 'done', value: k.types.has('proc.p_pid') ? [1, 0] : [1001] });
    // Only the kernel's own process is left.
    if (k.types.has('proc.p_pid')) expect(k.memory.i32(k.symbolAddress('nprocs'))).toBe(1);
  });

  it('files and devices are in the lists of their symbols', () => {
    const { k, linker } = boot(version, bits);
    expect(k.memory.ptr(k.symbolAddress('linker_files'))).toBe(linker.kernel);
    expect(k.memory.i32(k.symbolAddress('next_file_id'))).toBe(1);
    k.runProcess(
      'test',
      (function* () {
        const switchAt = k.heap.allocate(k.sizeof('cdevsw'));
        const made = yield* k.call(
          k.symbolAddress('make_dev'),
          switchAt,
          0,
          0,
          0,
          0o600,
          k.heap.string('listed'),
        );
        expect(k.memory.ptr(k.symbolAddress('cdevp_list'))).toBe(made);
        yield* k.call(k.symbolAddress('destroy_dev'), made);
        expect(k.memory.ptr(k.symbolAddress('cdevp_list'))).toBe(0);
      })(),
    );
  });
});

it('software interrupts run when they are scheduled, and no more once they are gone', () => {
  const { k } = boot(1001000, 64);
  k.runProcess(
    'test',
    (function* () {
      const cookieAt = k.heap.allocate(8);
      const handler = k.symbolAddress('wakeup');
      yield* k.call(k.symbolAddress('swi_add'), 0, k.heap.string('net'), handler, 77, 0, 0, cookieAt);
      const cookie = k.memory.ptr(cookieAt);
      yield* k.call(k.symbolAddress('swi_sched'), cookie, 0);
      expect(yield* k.callInt(k.symbolAddress('swi_remove'), cookie)).toBe(0);
      expect(yield* k.callInt(k.symbolAddress('swi_remove'), cookie)).toBe(22);
    })(),
  );
});
