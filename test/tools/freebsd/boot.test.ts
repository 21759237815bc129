/** `lkm boot freebsd` on a root folder of fixtures, and the end of the system. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { BootStep } from '../../../src/tools/boot.ts';
import { freebsd } from '../../../src/tools/freebsd/native.ts';
import type { SystemFiles } from '../../../src/tools/system.ts';

const built = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../../../fixtures/freebsd/built/${name}`, import.meta.url)));
const text = (lines: readonly string[]) => new TextEncoder().encode(`${lines.join('\n')}\n`);

function root(files: Readonly<Record<string, Uint8Array>>): SystemFiles {
  return {
    read: (path) => files[path],
    list(folder) {
      const base = `${folder.replace(/\/$/, '')}/`;
      const inside = Object.keys(files).filter((path) => path.startsWith(base));
      const names = new Set(inside.map((path) => path.slice(base.length).replace(/\/.*/, '/')));
      return names.size === 0 ? undefined : [...names].sort();
    },
    stat: () => undefined,
  };
}

const MODULES = Object.fromEntries(
  ['hello', 'exporter', 'importer', 'busy', 'missing', 'pnp'].map((name) => [
    `/boot/modules/${name}.ko`,
    built(`${name}.ko`),
  ]),
);
const nothing: SystemFiles = { read: () => undefined, list: () => undefined, stat: () => undefined };

async function boot(
  files: Readonly<Record<string, Uint8Array>>,
  settings: Record<string, string> = {},
  commandLine?: string,
) {
  if (freebsd.boot === undefined) throw new Error('FreeBSD cannot be booted');
  return await freebsd.boot({
    files: nothing,
    root: root(files),
    settings: new Map(Object.entries(settings)),
    commandLine,
  });
}

const short = (steps: readonly BootStep[]) =>
  steps.map(({ stage, subject, outcome }) => `${stage}: ${subject} ${outcome}`);

describe('lkm boot freebsd', () => {
  it('does what loader.conf, loader.conf.d and kld_list say, and tells which line asked for what', async () => {
    const { steps, session } = await boot({
      ...MODULES,
      '/boot/kernel/kernel': built('kernel-13.2'),
      '/boot/loader.conf': text([
        'importer_load="YES"',
        'nosuch_load="YES"',
        'hello_load="YES"',
        'oops',
        'module_blacklist="hello"',
      ]),
      '/boot/loader.conf.d/extra.conf': text(['x_load="YES"', 'x_name="pnp"', 'x_after="set done=1"']),
      '/etc/rc.conf': text(['kld_list="hello mis*"', 'kld_list="$kld_list importer"']),
    });
    expect(short(steps)).toEqual([
      'loader: /boot/loader.conf note',
      'loader: /boot/loader.conf.d/extra.conf note',
      'kernel: /boot/kernel/kernel loaded',
      'loader: importer loaded',
      'loader: nosuch absent',
      'loader: hello skipped',
      'loader: pnp loaded',
      'kernel: importer.ko loaded',
      'kernel: exporter.ko loaded',
      'kernel: pnp.ko loaded',
      'kernel: messages note',
      'rc.d/kld: hello loaded',
      'rc.d/kld: missing.ko refused',
      'rc.d/kld: importer present',
    ]);
    expect(steps[0].said).toEqual([
      'Malformed line (4):',
      "\t'oops'",
      "Failed to parse config: '/boot/loader.conf'",
    ]);
    expect(steps[3].because).toBe('/boot/loader.conf:1 importer_load="YES"');
    expect(steps[12].why).toContain('there_is_no_such_function');
    expect(session?.release).toBe('FreeBSD 13.2-RELEASE amd64');
    expect((await session?.run(['kenv', 'done']))?.out).toBe('1\n');
  });

  it('starts another kernel when the configuration or the prompt says so', async () => {
    const files = {
      ...MODULES,
      '/boot/kernel/kernel': built('kernel-13.2'),
      '/boot/new/kernel': built('kernel-14.0'),
      '/boot/loader.conf': text(['kernel="new"', 'hello_load="YES"']),
    };
    const next = await boot(files);
    expect(next.session?.release).toBe('FreeBSD 14.0-RELEASE amd64');
    expect(short(next.steps)).toContain('kernel: hello.ko refused');
    const said = next.steps.flatMap((step) => step.said ?? []);
    expect(said.some((line) => line.includes('KLD file hello.ko'))).toBe(true);
    expect((await boot(files, {}, 'boot kernel'.slice(5))).session?.release).toBe(
      'FreeBSD 13.2-RELEASE amd64',
    );
  });

  it('does not come up without a kernel that can be read', async () => {
    const { steps, session } = await boot({ '/boot/kernel/kernel': text(['not a kernel']) });
    expect(session).toBeUndefined();
    expect(steps.at(-1)).toMatchObject({ outcome: 'stopped', said: ["Failed to load kernel 'kernel'"] });
  });

  it('loads what devices without a driver want, unless rc.conf keeps it out', async () => {
    const files = { ...MODULES };
    const first = await boot(files, { release: '13.2' });
    await first.session?.run(['kldxref', '/boot/modules']);
    const dump = await first.session?.run(['devmatch', '-d']);
    expect(dump?.out).toContain('PNP info for bus pci');
    const event = '? at vendor=0x1af4 device=0x1000 subvendor=0x7 on pci0';
    const found = await first.session?.run(['devmatch', '-p', event]);
    expect(found?.out).toBe('pnp.ko\n');
    const loaded = await first.session?.run(['service', 'devmatch', 'quietstart', event]);
    expect(loaded?.out).toBe('Autoloading module: pnp.ko\n');
    expect((await first.session?.run(['devmatch', '-p', 'nonsense']))?.err).toContain(
      'No bus found in nomatch string',
    );
  });

  it('tells modules when the system goes down', async () => {
    const { session } = await boot(
      { ...MODULES, '/etc/rc.conf': text(['kld_list="hello"']) },
      { release: '13.2' },
    );
    const ended = await session?.halt?.();
    expect(ended?.out).toMatch(/^Uptime: \d+s\n$/);
  });
});
