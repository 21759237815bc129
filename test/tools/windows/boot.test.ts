import { describe, expect, it } from 'vitest';
import { startOrder } from '../../../src/systems/windows/order.ts';
import { Registry } from '../../../src/systems/windows/registry.ts';
import type { SystemFiles } from '../../../src/tools/system.ts';
import { windows } from '../../../src/tools/windows/native.ts';
import { buildHive, type Key } from '../../formats/regf/build.ts';
import { fixture } from '../../systems/windows/fixtures.ts';

const dword = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >> 8, 0, 0);
const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(`${value}\0`, 'utf16le'));

interface Service {
  readonly start: number;
  readonly path?: string;
  readonly group?: string;
  readonly tag?: number;
  readonly error?: number;
  readonly depends?: string;
}

function service(name: string, { start, path, group, tag, error = 1, depends }: Service): Key {
  const values = [
    { name: 'Type', type: 4, data: dword(1) },
    { name: 'Start', type: 4, data: dword(start) },
    { name: 'ErrorControl', type: 4, data: dword(error) },
    ...(path === undefined ? [] : [{ name: 'ImagePath', type: 2, data: text(path) }]),
    ...(group === undefined ? [] : [{ name: 'Group', type: 1, data: text(group) }]),
    ...(tag === undefined ? [] : [{ name: 'Tag', type: 4, data: dword(tag) }]),
    ...(depends === undefined ? [] : [{ name: 'DependOnService', type: 7, data: text(`${depends}\0`) }]),
  ];
  return { name, values, keys: [] };
}

function machine(services: Readonly<Record<string, Service>>, extra: readonly Key[] = []): SystemFiles {
  const plain = (name: string, keys: readonly Key[], values: Key['values'] = []): Key => ({
    name,
    keys,
    values,
  });
  const hive = buildHive(
    plain('ROOT', [
      plain(
        'Select',
        [],
        [
          { name: 'Current', type: 4, data: dword(1) },
          { name: 'LastKnownGood', type: 4, data: dword(1) },
        ],
      ),
      plain('ControlSet001', [
        plain(
          'Services',
          Object.entries(services).map(([name, one]) => service(name, one)),
        ),
        plain('Control', [
          plain(
            'GroupOrderList',
            [],
            [{ name: 'Base', type: 3, data: Uint8Array.of(2, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0) }],
          ),
          ...extra,
        ]),
      ]),
    ]),
  );
  const files = new Map<string, Uint8Array>([['/windows/SYSTEM32/Config/system', hive]]);
  for (const name of ['hello', 'timers', 'ioctls', 'failing', 'filter', 'signed'])
    files.set(`/windows/SYSTEM32/Drivers/${name.toUpperCase()}.SYS`, fixture(`${name}.sys`));
  const list = (path: string) => {
    const head = path === '/' ? '/' : `${path}/`;
    const names = [...files.keys()]
      .filter((one) => one.startsWith(head))
      .map((one) => one.slice(head.length));
    return [...new Set(names.map((one) => (one.includes('/') ? one.replace(/\/.*/, '/') : one)))];
  };
  return { read: (path) => files.get(path), list, stat: () => undefined };
}

const nothing: SystemFiles = { read: () => undefined, list: () => undefined, stat: () => undefined };
async function story(root: SystemFiles, commandLine?: string) {
  const booted = await windows.boot?.({ files: nothing, root, commandLine });
  if (booted === undefined) throw new Error('no boot');
  return {
    ...booted,
    lines: booted.steps.map(({ stage, subject, outcome }) => `${stage} ${subject} ${outcome}`),
  };
}

describe('the start of Windows', () => {
  it('goes by Start, Group, Tag and dependencies', async () => {
    const { lines, session } = await story(
      machine({
        signed: { start: 2, path: 'System32\\drivers\\signed.sys' },
        filter: { start: 1, group: 'Extended Base', depends: 'hello' },
        hello: { start: 3, path: '\\SystemRoot\\System32\\drivers\\hello.sys' },
        ioctls: { start: 0, group: 'Base', tag: 3 },
        timers: { start: 0, group: 'Base', tag: 7 },
        failing: { start: 1 },
        nowhere: { start: 0 },
        off: { start: 4 },
      }),
    );
    expect(lines).toEqual([
      'winload /Windows/System32/config/SYSTEM loaded',
      'boot-start timers loaded',
      'boot-start ioctls loaded',
      'boot-start nowhere absent',
      'system-start filter loaded',
      'system-start failing refused',
      'auto-start signed refused',
      'disabled off skipped',
      'events Service Control Manager note',
    ]);
    expect(session?.run(['sc', 'query', 'hello'])).toMatchObject({ code: 0 });
  });

  it('in safe mode takes what is listed, by name, file or group', async () => {
    const plain = (name: string, keys: readonly Key[]): Key => ({ name, keys, values: [] });
    const safe = plain('SafeBoot', [plain('Minimal', [plain('Base', []), plain('hello.sys', [])])]);
    const root = machine({ timers: { start: 0, group: 'Base' }, hello: { start: 1 }, ioctls: { start: 1 } }, [
      safe,
    ]);
    const { lines } = await story(root, '/SAFEBOOT:MINIMAL');
    expect(lines.slice(1)).toEqual([
      'winload safe mode (Minimal) note',
      'boot-start timers loaded',
      'system-start hello loaded',
      'system-start ioctls skipped',
    ]);
  });

  it('stops where a critical driver fails', async () => {
    const { lines, session, steps } = await story(
      machine({ failing: { start: 0, error: 3 }, hello: { start: 1 } }),
    );
    expect(lines.slice(1)).toEqual(['boot-start failing refused', 'boot-start failing stopped']);
    expect(steps.at(-1)?.said).toEqual(['*** STOP: 0x0000005A CRITICAL_SERVICE_FAILED']);
    expect(session).toBeUndefined();
  });

  it('stops at a registry that is damaged', async () => {
    const bytes = new Uint8Array(5000);
    const files = new Map([['/Windows/System32/config/SYSTEM', bytes]]);
    const names: Readonly<Record<string, string[]>> = {
      '/': ['Windows/'],
      '/Windows': ['System32/'],
      '/Windows/System32': ['config/'],
      '/Windows/System32/config': ['SYSTEM'],
    };
    const { lines } = await story({
      read: (path) => files.get(path),
      list: (path) => names[path],
      stat: () => undefined,
    });
    expect(lines).toEqual(['winload /Windows/System32/config/SYSTEM stopped']);
  });

  it('puts drivers without a group behind all groups, and without a tag behind those with one', () => {
    const registry = new Registry();
    const make = (name: string, group?: string, tag?: number) => {
      const key = registry.services.create(name);
      key.setDword('Type', 1);
      key.setDword('Start', 0);
      if (group !== undefined) key.setText('Group', group);
      if (tag !== undefined) key.setDword('Tag', tag);
    };
    registry.control.create('GroupOrderList').set('Base', 3, Uint8Array.of(1, 0, 0, 0, 9, 0, 0, 0));
    make('none');
    make('untagged', 'Base');
    make('tagged', 'base', 9);
    make('first', 'Boot Bus Extender');
    expect(startOrder(registry, 0).map(({ key }) => key.name)).toEqual([
      'first',
      'tagged',
      'untagged',
      'none',
    ]);
  });
});
