/** Debian's gdb on a module of ours: what a person would do, in batch scripts. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';
import { describeWith, needsTool } from './require.ts';

const gdb = needsTool('gdb');
const miscdev = packagedPath('fixtures/linux/built/miscdev.ko');
const scratch = mkdtempSync(join(tmpdir(), 'lkm-gdb-'));
let running: ChildProcess | undefined;

afterEach(() => running?.kill());
afterAll(() => rmSync(scratch, { recursive: true }));

/** Starts lkm under --gdb and gives the port it listens on. */
function start(
  args: readonly string[],
): Promise<{ port: number; ended: Promise<{ out: string; err: string }> }> {
  const child = spawn(process.execPath, [packagedPath('dist/lkm.js'), ...args, '--gdb', '0'], {
    cwd: scratch,
  });
  running = child;
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  const ended = new Promise<{ out: string; err: string }>((resolve) =>
    child.on('close', () => resolve({ out, err })),
  );
  return new Promise((resolve, reject) => {
    child.on('close', () => reject(new Error(err)));
    child.stderr.on('data', (text) => {
      err += text;
      const port = /target remote 127\.0\.0\.1:(\d+)/.exec(err)?.[1];
      if (port !== undefined) resolve({ port: Number(port), ended });
    });
  });
}

const USE = ['--do', 'echo 41 > /dev/counter', '--do', 'cat /dev/counter'];

async function session(
  commands: readonly string[],
  args: readonly string[] = ['run', miscdev, ...USE],
): Promise<{ gdb: string; out: string; err: string }> {
  const { port, ended } = await start(args);
  const script = ['set pagination off', `target remote 127.0.0.1:${port}`, 'sharedlibrary', ...commands];
  const { stdout, stderr } = spawnSync(
    'gdb',
    ['-nx', '-q', '-batch', ...script.flatMap((line) => ['-ex', line])],
    { encoding: 'utf8', timeout: 60_000 },
  );
  // What monitor commands say gdb writes to its standard error.
  return { gdb: stdout + stderr, ...(await ended) };
}

describeWith(gdb, 'gdb', () => {
  it('stops at the first instruction, knows the module by itself, and lets it run to its end', async () => {
    const { gdb: said, out } = await session(['info symbol $pc', 'x/2i $pc', 'monitor modules', 'continue']);
    expect(said).toContain('init_module in section .init.text');
    expect(said).toMatch(/=> 0xffffffffc000[0-9a-f]{4} <.*>:\s+nopl/);
    expect(said).toMatch(/add-symbol-file \S+miscdev\.ko 0xffffffffc000[0-9a-f]{4} -s /);
    expect(said).toContain('exited normally');
    expect(out).toContain('42\n');
  });

  it('breaks in a module function, steps, and shows registers, memory and threads', async () => {
    const { gdb: said } = await session([
      'break counter_read',
      'continue',
      'info threads',
      'p/x $rdx',
      'stepi',
      'x/i $pc',
      'p (unsigned)count',
      'set var *(unsigned*)&count = 99',
      'monitor backtrace',
      'delete',
      'continue',
    ]);
    expect(said).toMatch(/hit Breakpoint 1, 0x[0-9a-f]+ in counter_read \(\)/);
    expect(said).toMatch(/Thread \d+ \(cat: running\)/);
    expect(said).toContain('$1 = 0x10000');
    expect(said).toMatch(/=> 0x[0-9a-f]+ <counter_read\+5>:\s+push/);
    expect(said).toContain('$2 = 41');
    expect(said).toMatch(/#0 {2}counter_read\+0x5 \[miscdev\]\n#1 {2}cat/);
  });

  it('breaks at a kernel function, which has an address like any other', async () => {
    const { gdb: said } = await session([
      'stepi',
      'stepi',
      'stepi',
      'stepi',
      'monitor symbol 0xffffffffc0005000',
      'monitor backtrace',
      'stepi',
      'p $eax',
      'continue',
    ]);
    expect(said).toContain('#0  misc_register\n#1  miscdev_init+0x12 [miscdev]');
    expect(said).toContain('$1 = 0');
  });

  it('stops where memory is read, and where it is touched at all', async () => {
    const { gdb: said } = await session([
      'break counter_read',
      'continue',
      'rwatch *(unsigned*)&count',
      'continue',
      'x/i $pc',
      'delete',
      'continue',
    ]);
    expect(said).toMatch(/Hardware read watchpoint 2: .*\n[^$]*Value = 41\n.*counter_read/s);
    const { gdb: touched } = await session([
      'break counter_read',
      'continue',
      'awatch *(unsigned*)&count',
      'continue',
      'continue',
      'delete',
      'continue',
    ]);
    expect(touched).toMatch(/Hardware access \(read\/write\) watchpoint 2/);
    expect(touched).toMatch(/Value = 41\n.*Old value = 41\nNew value = 42\n/s);
  });

  it('shows and sets the registers of the coprocessor and the vectors', async () => {
    const { gdb: said } = await session([
      'set var $xmm3.v2_double[1] = 2.5',
      'p $xmm3.v2_double',
      'p $xmm3.v4_int32',
      'set var $ftag = 0xfff0',
      'set var $st0 = -1.25',
      'p $st0',
      'p/x $fctrl',
      'info float',
      'p/x $mxcsr',
      'p $gs_base != 0',
      'delete',
      'continue',
    ]);
    expect(said).toContain('$1 = {0, 2.5}');
    expect(said).toContain('$2 = {0, 0, 0, 1074003968}');
    expect(said).toContain('$3 = -1.25');
    expect(said).toContain('$4 = 0x37f');
    expect(said).toMatch(/R0: Valid +0xbfffa000000000000000 -1.25/);
    expect(said).toContain('$5 = 0x1f80');
    expect(said).toContain('$6 = 1');
  });

  it('watches memory', async () => {
    const { gdb: said } = await session([
      'watch *(unsigned*)&count',
      'continue',
      'continue',
      'delete',
      'continue',
    ]);
    // Once by a kernel function (kstrtouint_from_user), once by the module itself.
    expect(said).toMatch(
      /Old value = 0\nNew value = 41\n[^$]*Old value = 41\nNew value = 42\n.*counter_read/s,
    );
  });

  it('goes back: steps, breakpoints and watchpoints in reverse', async () => {
    const { gdb: said, out } = await session([
      'break counter_read',
      'continue',
      'continue',
      'p *(unsigned*)&count',
      'watch *(unsigned*)&count',
      'reverse-continue',
      'p *(unsigned*)&count',
      'x/i $pc',
      'reverse-continue',
      'x/i $pc',
      'stepi',
      'x/i $pc',
      'reverse-stepi',
      'x/i $pc',
      'delete',
      'reverse-continue',
      'continue',
    ]);
    expect(said).toContain('$1 = 42');
    expect(said).toContain('Old value = 42\nNew value = 41');
    expect(said).toContain('$2 = 41');
    const places = [...said.matchAll(/^=> 0x[0-9a-f]+ <(counter_read\+?\d*)>/gm)].map(([, place]) => place);
    expect(places.slice(-3)).toEqual(['counter_read', 'counter_read+5', 'counter_read']);
    expect(said).toContain('No more reverse-execution history');
    expect(said).toContain('exited normally');
    // What was said before is not said again.
    expect(out.match(/is there/g)).toHaveLength(2);
  });

  it('knows 32-bit kernels as well', async () => {
    const hello = packagedPath('fixtures/linux/built-686/hello.ko');
    const { gdb: said, out } = await session(
      [
        'break *$pc+8',
        'break init_module',
        'continue',
        'info registers eip esp',
        'stepi 4',
        'x/i $pc',
        'reverse-stepi',
        'x/i $pc',
        'monitor backtrace',
        'delete',
        'continue',
      ],
      ['run', hello, '--kernel', 'builtin:debian-6.1-686'],
    );
    expect(said).toMatch(/^eip +0x[0-9a-f]{8} /m);
    const places = [...said.matchAll(/^=> 0x[0-9a-f]{8} <init_module\+(\d+)>/gm)].map(([, at]) => Number(at));
    expect(places).toHaveLength(2);
    expect(places[1]).toBeLessThan(places[0]);
    expect(said).toMatch(/#0 {2}hello_init\+0x[0-9a-f]+ \[hello\]\n#1 {2}insmod/);
    expect(out).toContain('goodbye');
  });

  it('shows where a module faults, and lets the kernel judge it', async () => {
    const oops = packagedPath('fixtures/linux/built/oops_init.ko');
    const { gdb: said, out } = await session(['continue', 'x/i $pc', 'continue'], ['run', oops]);
    expect(said).toContain('SIGSEGV');
    expect(said).toMatch(/=> 0x[0-9a-f]+ <.*>:\s+mov/);
    expect(out).toContain('BUG: kernel NULL pointer dereference');
  });

  it.each([
    ['FreeBSD', 'fixtures/freebsd/built/echo.ko', 'echo_write', ['--do', 'echo hi > /dev/echo']],
    ['Solaris', 'fixtures/solaris/built/usr/kernel/drv/amd64/ramdisk', '_init', []],
  ])('finds the file of a module of %s by itself', async (_system, file, name, use) => {
    const { gdb: said } = await session(
      [`break ${name}`, 'continue', 'x/i $pc', 'stepi', 'reverse-stepi', 'x/i $pc', 'delete', 'continue'],
      ['run', packagedPath(file), ...use],
    );
    expect(said).toContain(`Breakpoint 1, `);
    expect([...said.matchAll(/^=> 0x[0-9a-f]+ <(\w+)(?:\+4)?>:/gm)].map(([, at]) => at)).toEqual([
      name,
      name,
    ]);
    expect(said).toContain('exited');
  });

  it('finds the file of a Windows driver by itself, and its exports where they lie', async () => {
    const { gdb: said } = await session(
      ['info sharedlibrary', 'info address DllUnload', 'monitor modules', 'delete', 'continue'],
      ['run', packagedPath('fixtures/windows/built/kdll.sys')],
    );
    expect(said).toMatch(/^0x0*fffff88001001000 .* Yes \(\*\) +\S+kdll\.sys$/m);
    expect(said).toContain('Symbol "DllUnload" is at 0xfffff88001001020');
    expect(said).toMatch(/add-symbol-file \S+kdll\.sys 0xfffff88001001000 -s \.rdata 0xfffff88001002000/);
  });

  it('works in lkm linux, and lets go when it is told to', async () => {
    const { gdb: said, out } = await session(
      ['detach'],
      ['linux', '-c', `insmod ${miscdev}`, '-c', 'cat /dev/counter'],
    );
    expect(said).toContain('detached');
    expect(out).toContain('1\n');
  });

  it('leaves the run as it was: the log is the same with and without', async () => {
    const timers = packagedPath('fixtures/linux/built/timers.ko');
    const { out } = await session(
      ['break timers_exit', 'stepi 200', 'continue', 'continue'],
      ['run', timers],
    );
    const plain = execFileSync(process.execPath, [packagedPath('dist/lkm.js'), 'run', timers], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(out).toBe(plain);
  });
});
