/**
 * Object modules that others built for VxWorks 5 and 6 (diab compiler and GCC; i386, ARM and PowerPC, ELF and COFF): described
 * as readelf sees them, linked without a problem, and those for i386 loaded, with functions of theirs called.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, it } from 'vitest';
import { readCoffObject } from '../../src/formats/coff/object.ts';
import { isCoff } from '../../src/formats/coff/read.ts';
import { readElfObject } from '../../src/formats/elf/object.ts';
import { describeModule } from '../../src/systems/vxworks/describe.ts';
import { vxworks } from '../../src/tools/vxworks/native.ts';
import type { VxWorksSession } from '../../src/tools/vxworks/session.ts';
import { describeWith, needsTool, needsVxWorksModules } from '../real/require.ts';

const readelf = needsTool('readelf');
const read = (path: string) => {
  const bytes = new Uint8Array(readFileSync(path));
  return isCoff(bytes) ? readCoffObject(bytes) : readElfObject(bytes);
};
const lines = (option: string, path: string) =>
  execFileSync('readelf', ['-W', option, path], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  }).split('\n');

/** A session that has these files under the names they were built with. */
function boot(paths: readonly string[], settings: Record<string, string> = {}): VxWorksSession {
  const files = {
    read: (path: string) => {
      const found = paths.find((one) => one === path);
      return found === undefined ? undefined : new Uint8Array(readFileSync(found));
    },
    list: () => undefined,
    stat: () => undefined,
  };
  return vxworks.start({
    files,
    settings: new Map(Object.entries({ machine: 'i386', ...settings })),
  }) as VxWorksSession;
}

describeWith(readelf === undefined ? undefined : needsVxWorksModules(), 'modules of VxWorks', (paths) => {
  const relocatable = paths.filter((path) => read(path).kind === 'relocatable');
  const elf = relocatable.filter((path) => read(path).format === 'elf');
  /** Of the later repositories, which an older cache has not. */
  const named = (end: string) => paths.find((path) => path.endsWith(end));

  it('are of two machines at least', () => {
    const machines = new Set(relocatable.map((path) => read(path).machine));
    expect([machines.has('i386'), machines.has('arm')]).toEqual([true, true]);
    expect(relocatable.length).toBeGreaterThan(30);
  });

  it.each(elf.map((path) => [basename(path), path]))('%s is described as readelf does', (_, path) => {
    const facts = describeModule(read(path));
    const rows = lines('-s', path)
      .map((line) => line.trim().split(/\s+/))
      .filter(([index]) => /^[1-9]\d*:$/.test(index ?? ''));
    const named = rows.filter(([, , , type, , , , name]) => name && type !== 'SECTION' && type !== 'FILE');
    const by = (place: RegExp) =>
      named.filter(([, , , , , , section]) => place.test(section)).map((row) => row[7]);
    expect(facts.needs).toEqual(by(/^UND$/));
    expect(facts.common.map(({ name }) => name)).toEqual(by(/^COM$/));
    const sections = lines('-S', path).filter((line) => /^\s*\[\s*[1-9]\d*\]/.test(line));
    expect(facts.sections.length).toBe(sections.length);
    expect(facts.sections.map(({ size }) => size)).toEqual(
      sections.map((line) =>
        Number.parseInt(/ [0-9a-f]{8} [0-9a-f]{6} ([0-9a-f]{6})/.exec(line)?.[1] ?? '', 16),
      ),
    );
    const munched = named.some(
      ([, , , , , , section, name]) => section !== 'UND' && /^__?[cd]tors$/.test(name),
    );
    expect(facts.constructors === 'munched').toBe(munched);
    expect(facts.link?.problems).toEqual([]);
  });

  it('for i386 are loaded and unloaded', () => {
    for (const path of relocatable.filter((one) => read(one).machine === 'i386')) {
      const session = boot([path]);
      const before = session.kernel.pool.usedBytes;
      const { module, note } = session.load(path);
      expect([basename(path), module !== undefined, note ?? '']).toEqual([
        basename(path),
        true,
        expect.not.stringContaining('relocation'),
      ]);
      session.unload(module ?? '');
      expect([basename(path), session.kernel.pool.usedBytes <= before]).toEqual([basename(path), true]);
    }
  });

  it.runIf(named('SIMNTgnu_HelloWorld.out'))('run: COFF of the simulator for Windows', () => {
    const path = named('SIMNTgnu_HelloWorld.out') ?? '';
    const session = boot([path]);
    session.load(path);
    session.line('helloWorld');
    session.line('int64_test');
    expect(session.kernel.log.records.map(({ text }) => text)).toEqual([
      'Thisis helloWorld',
      'a= 10105622 =10105622 10105622 ',
      'b= 10105622 =10105622 10105622 ',
      'a= 10105622 =12345678 12345678 ',
    ]);
  });

  it.runIf(named('SIMLINUXgnu_TestProject2_Debug_TestProject2.out'))('run: tasks that a key ends', () => {
    const path = named('SIMLINUXgnu_TestProject2_Debug_TestProject2.out') ?? '';
    const session = boot([path], { typed: 'iE\\n' });
    session.load(path);
    session.line('CreateTasks');
    expect(session.kernel.missing.size).toBe(0);
    expect(session.kernel.log.records.map(({ text }) => text)).toContain('Everyone goes home!');
  });

  it('run: a driver is installed, given a device, opened, and removed', () => {
    const path = paths.find((one) => one.endsWith('Debug_SensorProject.out')) ?? '';
    const session = boot([path]);
    session.load(path);
    const say = (line: string) => session.line(line).out;
    expect(say('installDrv')).toBe('value = 0 = 0x0\n');
    expect(say('addDev "/sensor1", "1"')).toBe('value = 0 = 0x0\n');
    expect(say('devs')).toContain('  1 /sensor1');
    expect(say('addDev "/sensor1", "1"')).toContain('value = -1 ');
    expect(say('fd = open "/sensor1", 0, 0')).toContain('value = 3 ');
    expect(say('uninstallDrv')).toContain('value = -1 ');
    expect(say('close fd')).toBe('value = 0 = 0x0\n');
    expect(say('removeDev "/sensor1"')).toBe('value = 0 = 0x0\n');
    expect(say('uninstallDrv')).toBe('value = 0 = 0x0\n');
    expect(session.kernel.missing.size).toBe(0);
  });

  it('run: a project with its tasks, semaphores and queues goes to its end, the same twice', () => {
    const path = paths.find((one) => one.endsWith('Debug_ProjetPilote.out')) ?? '';
    const play = () => {
      const session = boot([path]);
      session.load(path);
      const { out } = session.line('main');
      return [out, ...session.kernel.log.records.map(({ time, text }) => `${time} ${text}`)];
    };
    const first = play();
    expect(first[0]).toBe('value = 1 = 0x1\n');
    expect(first.some((line) => line.includes('Message lu'))).toBe(true);
    expect(play()).toEqual(first);
  });
});
