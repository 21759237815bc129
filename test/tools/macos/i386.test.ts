/** The 32-bit kernels of 10.5 to 10.7: object files as kexts, their C++ objects, and what kxld says of them. */
import { describe, expect, test } from 'vitest';
import { readMachO } from '../../../src/formats/macho/read.ts';
import { checkShape, LinkFailure } from '../../../src/systems/macos/kxld/image.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import type { ModuleFile, ToolResult } from '../../../src/tools/system.ts';
import { executable, fixtureFiles } from '../../systems/macos/fixtures.ts';

function machine(settings: Readonly<Record<string, string>>, named: readonly ModuleFile[] = []) {
  const session = new MacosSession({
    files: fixtureFiles,
    named,
    seed: 1,
    user: 'root',
    settings: new Map(Object.entries(settings)),
  });
  const sh = async (line: string): Promise<ToolResult> => await session.run(line.split(' '));
  const log = (): string[] => session.kernel.log.records.map(({ text }) => text);
  return { session, sh, log };
}

const RELEASES = ['10.5', '10.6', '10.7'];

describe.each(RELEASES)('on %s for i386', (release) => {
  test('a device is written and read, and nothing is left', async () => {
    const { session, sh, log } = machine({ release, arch: 'i386' });
    const used = session.kernel.heap.usedBytes;
    expect((await sh('kextload Board32.kext')).code).toBe(0);
    await session.writeFile('/dev/board', new TextEncoder().encode('narrow'), false);
    expect((await sh('cat /dev/board')).out).toBe('narrow');
    expect((await sh('sysctl debug.board_writes')).out).toBe('debug.board_writes: 1\n');
    expect((await sh('sysctl debug.board_writes=9')).out).toBe('debug.board_writes: 1 -> 9\n');
    expect((await sh('kextunload -b org.lkm.Board32')).code).toBe(0);
    expect(log().at(-1)).toBe('Board: gone');
    expect(session.kernel.heap.usedBytes).toBe(used);
  });

  test('objects of its classes are made, called through their vtables, counted and destroyed', async () => {
    const { sh, log } = machine({ release, arch: 'i386' });
    expect(await sh('kextload Counter.kext')).toMatchObject({ code: 0, err: '' });
    expect(log()).toEqual(['Counter: 42, 1 instance of org_lkm_Counter', 'Counter: 0 instances']);
    expect((await sh('kextunload -b org.lkm.Counter')).code).toBe(0);
  });
});

test('its addresses have 32 bits, and the page of the header is not wired', async () => {
  const { sh } = machine({ release: '10.6', arch: 'i386' });
  await sh('kextload Board32.kext');
  const [head, row] = (await sh('kextstat -k')).out.split('\n');
  expect(head).toBe('Index Refs Address    Size       Wired      Name (Version) UUID <Linked Against>');
  expect(row).toMatch(
    /^ {3}13 {4}0 0x2a000000 0x2000 {5}0x1000 {5}org\.lkm\.Board32 \(1\.0\) [0-9A-F-]{36} <4 3 1>$/,
  );
  expect((await sh('uname -m')).out).toBe('i386\n');
  expect((await sh('kextstat -l -b com.apple.kernel.6.0')).out).toContain('com.apple.kernel.6.0 (7.9.9)');
});

test('a universal kext runs on either machine', async () => {
  for (const arch of ['i386', 'x86_64']) {
    const { sh } = machine({ release: '10.6', arch });
    expect((await sh('kextload Both.kext')).code).toBe(0);
  }
});

test('the machine is the one that the files named have code for', () => {
  const named = (name: string): ModuleFile[] => [{ path: name, bytes: executable(name) }];
  expect(machine({}, named('Board32')).session.release).toBe('Mac OS X 10.6.8 (Darwin 10.8.0 i386)');
  expect(machine({}, named('Both')).session.release).toBe('macOS 10.15.7 (Darwin 19.6.0 x86_64)');
  expect(machine({}, [...named('Both'), ...named('Board32')]).session.choices.architecture).toBe('i386');
  expect(machine({ release: '10.8' }, named('Board32')).session.choices.architecture).toBe('x86_64');
  expect(() => machine({ release: '10.8', arch: 'i386' })).toThrow(/no 32-bit kernel/);
  expect(() => machine({ release: '10.5', arch: 'x86_64' })).toThrow(/no 64-bit kernel/);
});

test('a fault is told in the words of the 32-bit kernel', async () => {
  const { session, sh, log } = machine({ release: '10.6', arch: 'i386' });
  await sh('kextload Board32.kext');
  const kext = session.loaded('org.lkm.Board32');
  session.kernel.poke('kmod_info.stop', kext?.control ?? 0, 0x10);
  await sh('kextunload -b org.lkm.Board32');
  expect(log().join('\n')).toMatch(
    /panic\(cpu 0 caller 0x[\da-f]{8}\): Kernel trap at 0x00000010, type 14=page fault, registers:\nCR0: 0x[\da-f]{8}, CR2: 0x00000010, [^\n]*\nEAX: 0x/,
  );
});

describe('the shape of an object file', () => {
  const bytes = (): Uint8Array => executable('Board32').slice();
  const shape = (change: (view: DataView) => void) => (): void => {
    const copy = bytes();
    change(new DataView(copy.buffer));
    checkShape(readMachO(copy));
  };

  test('is taken for i386 alone', () => {
    expect(shape(() => undefined)).not.toThrow();
    expect(shape((view) => view.setUint32(4, 18, true))).toThrow(/Invalid file type/);
  });

  test('has no load commands of linked files', () => {
    // LC_UUID becomes LC_LOAD_DYLINKER, by its number.
    const uuid = readMachO(bytes()).commands.find(({ name }) => name === 'LC_UUID')?.offset ?? 0;
    expect(shape((view) => view.setUint32(uuid, 0xe, true))).toThrow(LinkFailure);
    expect(shape((view) => view.setUint32(uuid, 0xe, true))).toThrow(
      'The Mach-O file is malformed: Invalid segment type in MH_OBJECT kext: 14.',
    );
  });
});
