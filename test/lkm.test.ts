/** The library as a program uses it, and its declarations, which do not change by accident. */
import { readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { packagedPath } from '../src/cli/packaged.ts';
import { KernelError, linux } from '../src/lkm.ts';

const fixture = (name: string) => new Uint8Array(readFileSync(packagedPath(`fixtures/linux/built/${name}`)));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe('linux', () => {
  it('reads a module without a kernel', () => {
    const { description } = linux.read(fixture('hello.ko'));
    expect([description.name, description.licence, description.parameters.map(({ name }) => name)]).toEqual([
      'hello',
      'GPL',
      ['times', 'whom'],
    ]);
    expect(() => linux.read(new Uint8Array([1, 2, 3]))).toThrow(/ELF/);
  });

  it('boots, loads, logs and unloads', async () => {
    const kernel = await linux.boot({ kernel: 'builtin:debian-6.1', seed: 1 });
    const lines: string[] = [];
    const stop = kernel.on('log', (line) => lines.push(line.text));
    const hello = await kernel.load(linux.read(fixture('hello.ko')), { whom: 'Ada Lovelace', times: 2 });
    expect(lines.filter((line) => line === 'hello: hello, Ada Lovelace')).toHaveLength(2);
    expect([hello.name, hello.areas[0].base]).toEqual(['hello', 0xffffffffc0000000n]);
    expect(kernel.modules).toEqual([hello]);
    stop();
    expect(await kernel.unload(hello)).toEqual({ leaks: [] });
    expect(lines).not.toContain('hello: goodbye, Ada Lovelace');
    expect([kernel.modules, kernel.release, kernel.taint]).toEqual([[], '6.1.0-56-amd64', 12288]);
  });

  it('opens a device; a reader waits for a writer', async () => {
    const kernel = await linux.boot();
    const chardev = await kernel.load(fixture('chardev.ko'));
    const device = await kernel.open('/dev/chardev');
    let got: string | undefined;
    const reading = device.read(64).then((bytes) => {
      got = text(bytes);
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(got).toBeUndefined();
    const other = await kernel.open('/dev/chardev', 'w');
    expect(await other.write('tea')).toBe(3);
    await reading;
    expect(got).toBe('tea');
    await other.write('abcd');
    expect((await device.ioctl(0x7102)).result).toBe(4);
    const state = await device.ioctl(0x800c7103, new Uint8Array(12));
    expect([...new Uint32Array(state.bytes.slice().buffer)]).toEqual([64, 4, 2]);
    await expect(device.ioctl(0x1234)).rejects.toMatchObject({ code: 'ENOTTY' });
    await expect(kernel.unload(chardev)).rejects.toMatchObject({ kind: 'refused', code: 'EAGAIN' });
    await other.close();
    await device.close();
    expect((await kernel.unload(chardev)).leaks).toEqual([]);
    await expect(kernel.open('/dev/chardev')).rejects.toBeInstanceOf(KernelError);
  });

  it('mounts, lists and reads', async () => {
    const kernel = await linux.boot();
    await expect(kernel.mount('tinyfs', '/mnt')).rejects.toMatchObject({ code: 'ENODEV' });
    await kernel.load(fixture('tinyfs.ko'));
    await kernel.mount('tinyfs', '/mnt');
    expect(await kernel.list('/mnt')).toContain('greeting');
    expect(text(await kernel.readFile('/mnt/greeting'))).toBe('hello from a filesystem\n');
    await kernel.unmount('/mnt');
    await kernel.unload('tinyfs');
  });

  it('makes system calls', async () => {
    const kernel = await linux.boot();
    await expect(kernel.systemCall(335, 40, 2)).rejects.toMatchObject({ code: 'ENOSYS' });
    await kernel.load(fixture('newcall.ko'));
    expect(await kernel.systemCall(335, 40n, 2)).toBe(42n);
    // A negative sum looks like an error number to the C library, and here.
    await expect(kernel.systemCall(335, -40n, 2)).rejects.toMatchObject({ errno: 38 });
  });

  it('says what leaks, what is refused, and what died', async () => {
    const kernel = await linux.boot();
    const leak = await kernel.load(fixture('leak.ko'));
    const { leaks } = await kernel.unload(leak);
    expect(leaks.map(({ bytes, kind }) => [bytes, kind])).toContainEqual([10000, 'vmalloc']);
    expect(leaks.every(({ where, address }) => where.startsWith('leak_init+') && address > 0n)).toBe(true);
    const wrong = kernel.load(fixture('wrong_vermagic.ko'));
    await expect(wrong).rejects.toMatchObject({
      kind: 'refused',
      code: 'ENOEXEC',
      hint: expect.stringContaining('Build or fetch'),
    });
    await expect(kernel.load(fixture('oops_init.ko'))).rejects.toMatchObject({ kind: 'killed' });
    const nobody = await linux.boot({ user: { uid: 65534, gid: 65534 } });
    await expect(nobody.load(fixture('hello.ko'))).rejects.toMatchObject({ code: 'EPERM' });
  });

  it('runs kernels side by side', async () => {
    const [one, two] = [await linux.boot(), await linux.boot({ commandLine: 'module_blacklist=hello' })];
    await one.load(fixture('hello.ko'));
    await expect(two.load(fixture('hello.ko'))).rejects.toMatchObject({ code: 'EPERM' });
    expect([one.modules.length, two.modules.length]).toEqual([1, 0]);
  });
});

/** Every exported name with its members and their types. */
function declarations(): string {
  const file = packagedPath('src/lkm.ts');
  const { config } = ts.readConfigFile(packagedPath('tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, packagedPath(''));
  const program = ts.createProgram([file], options);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error('src/lkm.ts exports nothing');
  const flags = ts.TypeFormatFlags.NoTruncation;
  const lines: string[] = [];
  for (const found of checker.getExportsOfModule(module)) {
    const symbol = found.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(found) : found;
    const type =
      symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias)
        ? checker.getDeclaredTypeOfSymbol(symbol)
        : checker.getTypeOfSymbol(symbol);
    const members = type.isUnion() ? [] : checker.getPropertiesOfType(type);
    lines.push(
      type.isUnion() ? `${found.name} = ${checker.typeToString(type, undefined, flags)}` : found.name,
    );
    for (const member of members) {
      if (member.name.includes('#')) continue;
      const of = checker.typeToString(checker.getTypeOfSymbol(member), undefined, flags);
      lines.push(`  ${member.name}${member.flags & ts.SymbolFlags.Optional ? '?' : ''}: ${of}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

it('its declarations are those that programs were written for', () => {
  const golden = packagedPath('test/golden/api/lkm.txt');
  const now = declarations();
  // LKM_UPDATE_GOLDEN=1 accepts a change; CHANGELOG.md then says what it means for programs.
  if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, now);
  expect(now).toBe(readFileSync(golden, 'utf8'));
});
