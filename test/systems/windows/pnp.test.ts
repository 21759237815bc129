import { describe, expect, it } from 'vitest';
import { windows } from '../../../src/tools/windows/native.ts';
import type { WindowsSession } from '../../../src/tools/windows/session.ts';
import { fixture, console as sandbox } from './fixtures.ts';

/** One file under two names: a driver, and a filter above it. */
async function session(machine: string) {
  const bytes = fixture(machine === 'x86' ? 'pnp-x86.sys' : 'pnp.sys');
  const files = {
    read: (path: string) => (/^pnp(flt)?\.sys$/.test(path) ? bytes : undefined),
    list: () => undefined,
    stat: () => undefined,
  };
  const started = (await windows.start({
    files,
    settings: new Map([['machine', machine]]),
    user: 'root',
  })) as WindowsSession;
  const type = (line: string) => {
    const { out, err } = started.line(line);
    return out + err;
  };
  for (const name of ['pnp', 'pnpflt']) type(`sc create ${name} type= kernel binPath= ${name}.sys`);
  const log = () => started.kernel.log.records.map(({ text }) => text);
  return { kernel: started.kernel, type, log };
}

const ENUM = 'HKLM\\SYSTEM\\CurrentControlSet\\Enum\\Root\\thing\\0000';
const NAME = 'ROOT#THING#0000#{6c6b6d00-1234-4321-0102-030405060708}';

describe.each(['x64', 'x86'])('a device that appears (%s)', (machine) => {
  it('is served by its driver and a filter, used through its interface, and goes', async () => {
    const { kernel, type, log } = await session(machine);
    type(`reg add ${ENUM} /v UpperFilters /t REG_MULTI_SZ /d pnpflt`);
    expect(type('device add pnp thing')).toContain('PnpManager (\\Device\\00000001) < pnp < pnpflt');
    expect(log()).toEqual([
      'pnp: AddDevice of the device',
      'pnp: AddDevice of the filter',
      'pnp: minor 0',
      'pnp: started over \\Device\\00000001',
      'pnp: minor 9',
      'pnp: minor 14',
      'pnp: minor 7',
    ]);
    expect(type(`open \\\\.\\${NAME}`)).toContain('handle');
    expect(type('device remove ROOT\\THING\\0000')).toBe('The requested resource is in use.\n');
    expect(type('sc stop pnp')).toContain('FAILED 1052');
    type('close 0x80');
    expect(type('device remove ROOT\\THING\\0000')).toBe('');
    expect(log().slice(-6)).toEqual([
      'pnp: minor 1',
      'pnp: filter removed',
      'pnp: minor 2',
      'pnp: device removed',
      'pnp: filter unloaded',
      'pnp: driver unloaded',
    ]);
    expect(type('device list')).toBe('');
    expect([...kernel.drivers]).toEqual([]);
    expect([...kernel.objects.named()].some(({ name }) => name?.includes('THING'))).toBe(false);
  });

  it('without a driver stays without one', async () => {
    const { type } = await session(machine);
    expect(type('device add nobody')).toBe('The system cannot find the file specified.\n');
    expect(type('device list')).toContain('loading nobody: STATUS_OBJECT_NAME_NOT_FOUND');
    expect(type('device remove ROOT\\NOBODY\\0000')).toBe('');
  });

  it('whose driver does not load or is no driver of devices says why', async () => {
    const { type, session } = await sandbox({ machine });
    const [failing, hello, other] =
      machine === 'x86'
        ? ['failing-x86.sys', 'hello-x86.sys', 'hello.sys']
        : ['failing.sys', 'hello.sys', 'hello-x86.sys'];
    type(`sc create failing type= kernel binPath= ${failing}`);
    type(`sc create hello type= kernel binPath= ${hello}`);
    type(`sc create other type= kernel binPath= ${other}`);
    const note = (service: string) => session.run(['device', 'add', service]).note;
    expect(note('failing')).toMatch(/^loading failing: STATUS_\w+ \(0x\w+\)\. DriverEntry returned STATUS_/);
    expect(note('other')).toContain(`The image is built for ${machine === 'x86' ? 'x64' : 'x86'}`);
    expect(note('hello')).toMatch(/^AddDevice of hello: .*it is no driver of devices/);
  });

  it('that is pulled out is not asked', async () => {
    const { type, log } = await session(machine);
    type('device add pnp');
    expect(type('device remove ROOT\\PNP\\0000 /surprise')).toBe('');
    expect(log().slice(-4)).toEqual([
      'pnp: minor 17',
      'pnp: minor 2',
      'pnp: device removed',
      'pnp: driver unloaded',
    ]);
  });
});
