/** `lkm boot solaris` and `lkm check` on a root folder of fixtures. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Verdict } from '../../../src/tools/check.ts';
import { solarisChecker } from '../../../src/tools/solaris/check/checker.ts';
import { solaris } from '../../../src/tools/solaris/native.ts';
import type { SystemFiles } from '../../../src/tools/system.ts';

const machine = fileURLToPath(new URL('../../../fixtures/solaris/machine', import.meta.url));
const built = fileURLToPath(new URL('../../../fixtures/solaris/built/usr/kernel/', import.meta.url));
const nothing: SystemFiles = { read: () => undefined, list: () => undefined, stat: () => undefined };

const root: SystemFiles = {
  read: (path) => {
    const full = join(machine, path);
    return existsSync(full) && statSync(full).isFile() ? new Uint8Array(readFileSync(full)) : undefined;
  },
  list: (path) => (existsSync(join(machine, path)) ? readdirSync(join(machine, path)) : undefined),
  stat: () => undefined,
};

async function boot(settings: Record<string, string> = {}, from = root) {
  if (solaris.boot === undefined) throw new Error('Solaris cannot be booted');
  return await solaris.boot({ files: nothing, root: from, settings: new Map(Object.entries(settings)) });
}

describe('lkm boot solaris', () => {
  it('does what /etc/system says, and tells which line asked for what', async () => {
    const { steps, session } = await boot();
    expect(steps.map(({ stage, subject, outcome }) => `${stage}: ${subject} ${outcome}`)).toEqual([
      'kernel: /platform/i86pc/kernel/amd64/unix loaded',
      'kernel: /kernel/amd64/genunix loaded',
      '/etc/system: line 12 refused',
      '/etc/system: moddir note',
      '/etc/system: misc/busy skipped',
      '/etc/system: hello:greetings note',
      '/etc/system: maxusers note',
      '/etc/system: nonsense refused',
      'forceload: misc/hello loaded',
      'forceload: misc/teller loaded',
      'forceload: misc/busy skipped',
      'forceload: misc/stray refused',
      'forceload: drv/nowhere absent',
      'drivers: /etc/name_to_major note',
    ]);
    expect(steps[8].because).toBe('/etc/system:4 forceload: misc/hello');
    expect(steps[11]).toMatchObject({ rule: 'symbols' });
    const listed = await session?.run(['modinfo']);
    expect(listed?.out).toMatch(/hello .*friendly[\s\S]*teller/);
  });

  it('does not come up when a part of the kernel is damaged, and has a kernel of ours when there is none', async () => {
    const damaged: SystemFiles = {
      ...root,
      read: (path) => (path.endsWith('/unix') ? new TextEncoder().encode('no kernel') : root.read(path)),
    };
    const bad = await boot({}, damaged);
    expect(bad.session).toBeUndefined();
    expect(bad.steps.at(-1)).toMatchObject({ outcome: 'stopped' });
    const none = await boot({}, nothing);
    expect(none.session?.release).toContain('SunOS 5.11');
    expect(none.steps[0]).toMatchObject({ outcome: 'absent' });
  });
});

const kernel = await solarisChecker.open(machine, { environment: {}, packaged: (path) => path });

async function check(path: string, on = kernel): Promise<Verdict> {
  const full = join(built, path);
  const module = { path: full, bytes: new Uint8Array(readFileSync(full)) };
  return await solarisChecker.check({ module, kernel: on, settings: new Map() });
}

const refusing = ({ rules }: Verdict) => rules.find(({ outcome }) => outcome === 'refuse');

describe('lkm check on Solaris', () => {
  it.each([
    ['misc/amd64/hello', undefined],
    ['misc/amd64/teller', undefined],
    ['drv/amd64/echo', undefined],
    ['sys/amd64/sumcall', undefined],
    ['misc/amd64/stray', 'symbols'],
    ['sys/amd64/pair', 'linkage'],
    ['misc/hello', 'file'],
    ['misc/sparcv9/hello', 'file'],
    ['misc/amd64/busy', 'excluded'],
  ])('%s: %s', async (path, rule) => {
    const verdict = await check(path);
    expect(refusing(verdict)?.rule).toBe(rule);
    expect(verdict.answer).toBe(rule === undefined ? 'loads' : 'refused');
    const after = verdict.rules.findIndex(({ outcome }) => outcome === 'refuse');
    if (after >= 0)
      expect(verdict.rules.slice(after + 1).every(({ outcome }) => outcome === 'not-reached')).toBe(true);
  });

  it('agrees with a load about the symbol that is not to be had', async () => {
    const { session } = await boot();
    await session?.run(['modload', '-p', 'misc/stray']);
    const logged = session?.kernel.log.records.map(({ text }) => text) ?? [];
    const said = refusing(await check('misc/amd64/stray'))?.said.map(({ text }) => text) ?? [];
    expect(said.length).toBe(3);
    for (const line of said.slice(1)) expect(logged).toContain(line);
  });

  it('cannot tell with unix alone, and takes unix of another folder for what it is', async () => {
    const path = join(machine, 'platform/i86pc/kernel/amd64/unix');
    const bytes = new Uint8Array(readFileSync(path));
    expect(solarisChecker.recogniseKernel({ path, bytes })).toBe(1);
    expect(solarisChecker.recogniseKernel({ path: 'vmlinux', bytes })).toBe(0);
    const whole = await solarisChecker.open(path, { environment: {}, packaged: (one) => one });
    expect((await check('misc/amd64/hello', whole)).answer).toBe('loads');
  });
});

describe('linkages that nobody calls', () => {
  it('are registered with a number, once, and go again', async () => {
    const session = await solaris.start({
      files: {
        ...nothing,
        read: (path) =>
          path.endsWith('kinds') ? new Uint8Array(readFileSync(join(built, 'misc/amd64/kinds'))) : undefined,
      },
    });
    expect((await session.run(['modload', '-p', 'misc/kinds'])).code).toBe(0);
    expect((await session.run(['modinfo'])).out).toContain('  1   1  kinds (toy scheduling class)');
    expect(session.registeredOnly?.()).toEqual([
      { what: 'scheduling class', name: 'TOY' },
      { what: 'exec format', name: 'magic 2325 at 0' },
      { what: 'brand', name: 'toyzone' },
    ]);
    expect((await session.run(['modunload', '-i', '3'])).code).toBe(0);
    expect(session.registeredOnly?.()).toEqual([]);
  });
});
