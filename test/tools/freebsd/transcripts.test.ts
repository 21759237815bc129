/** What a user of the system sees, command by command. To accept a changed transcript: LKM_UPDATE_GOLDEN=1. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startSession, transcript } from './session.ts';

interface Case {
  readonly name: string;
  readonly settings?: Record<string, string>;
  readonly user?: string;
  readonly lines: readonly string[];
}

const CASES: readonly Case[] = [
  {
    name: 'hello',
    lines: [
      'kldload -v hello.ko',
      'kldstat',
      'kldstat -v -n hello',
      'kldload hello',
      'kldload hello.ko',
      'kldload -n hello',
      'kldload -nv hello',
      'kldsym events',
      'kldsym -i 2 printf',
      'kldsym -i 1 hz',
      'kldunload -v hello',
      'kldunload hello',
      'kldstat -m hello',
    ],
  },
  {
    name: 'old-release',
    settings: { release: '8.0' },
    lines: [
      'kldload hello',
      'kldload -n hello',
      'kldstat',
      'kldstat -v',
      'kldload nowhere',
      'kldstat -h',
      'kldstat -i 9',
    ],
  },
  {
    name: 'device',
    lines: [
      'kldload echo',
      'ls -l /dev',
      'echo one two > /dev/echo',
      'cat /dev/echo',
      'ioctl /dev/echo 0x40046501',
      'ioctl /dev/echo 0x20006502',
      'kldunload echo',
      'cat /dev/echo',
    ],
  },
  {
    name: 'dependencies',
    settings: { missing: 'refuse' },
    lines: [
      'kldload importer',
      'kldstat',
      'kldunload exporter',
      'kldload undeclared',
      'kldload newer',
      'kldunload importer',
      'kldstat',
      'kldload exporter',
      'kldload importer',
      'kldunload -v exporter',
      'kldstat',
      'kldunload importer',
      'kldstat',
    ],
  },
  {
    name: 'refusals',
    settings: { missing: 'refuse' },
    lines: [
      'kldload nowhere',
      'kldload nowhere.ko',
      'kldload missing',
      'kldload failing',
      'kldload shared',
      'kldload busy',
      'kldunload busy',
      'sysctl debug.busy',
      'sysctl debug.busy.refuse=1',
      'kldunload -f busy',
      'sysctl debug.busy.refuse=0',
      'kldunload -f busy',
      'kldunload -i 1',
      'kldunload -i 77',
      'kldload',
      'kldunload',
      'kldstat -i 9',
      'kldstat -i x',
      'kldstat -q -n kernel',
      'kldstat -q -n nothing',
      'kldunload -v -i 77',
      'kldunload -i x',
      'kldstat -n nothing',
      'kldstat -z',
    ],
  },
  {
    name: 'syscall',
    lines: [
      'kldload newcall',
      'kldstat -d -m sys/newcall',
      'syscall 210 40 2',
      'syscall 210 -1 2',
      'kldunload newcall',
      'syscall 210 40 2',
    ],
  },
  {
    name: 'built-for-6.0-on-6.4',
    settings: { release: '6.4' },
    lines: ['uname -r', 'kldload -v old.ko', 'kldunload -v old'],
  },
  {
    name: 'built-for-6.0-on-7.0',
    settings: { release: '7.0' },
    lines: ['uname -r', 'kldload old.ko', 'kldstat'],
  },
  { name: 'built-for-13.2-on-13.1', settings: { release: '13.1' }, lines: ['kldload hello.ko'] },
  {
    name: 'securelevel',
    lines: [
      'kldload hello',
      'sysctl kern.securelevel',
      'sysctl kern.securelevel=1',
      'kldunload hello',
      'kldload echo',
      'sysctl kern.securelevel=0',
    ],
  },
  { name: 'nobody', user: 'user', lines: ['id', 'kldload hello', 'kldstat'] },
  { name: 'panic', lines: ['kldload crash', 'kldstat', 'kldload hello'] },
  {
    name: 'path',
    lines: [
      'kldconfig -r',
      'kldconfig -mv /usr/local/modules',
      'kldconfig -m /usr/local/modules',
      'kldconfig -d /nowhere',
      'kldconfig -imv /first',
      'kldconfig -imvv /second /third',
      'kldconfig -dvv /second /third',
      'kldconfig -S kern.nothing -r',
      'kldconfig -di /first',
      'kldconfig -nvv /other',
      'kldconfig -f -d /nowhere',
      'kldconfig -Uv',
      'kldconfig -dv /first /usr/local/modules',
      'sysctl kern.module_path',
    ],
  },
  {
    name: 'i386',
    settings: { machine: 'i386' },
    lines: [
      'uname -a',
      'kldload -v hello32.ko',
      'kldload hello.ko',
      'kldload echo32.ko',
      'echo on a smaller machine > /dev/echo',
      'cat /dev/echo',
      'kldstat',
      'kldunload echo32',
      'kldunload hello32',
    ],
  },
  {
    name: 'filesystem',
    settings: { release: '10.1' },
    lines: [
      'mount -t tinyfs none /mnt',
      'kldload tinyfs',
      'mount -t tinyfs none /mnt',
      'mount',
      'ls /mnt',
      'cat /mnt/greeting',
      'cat /mnt/answer',
      'cat /mnt/nothing',
      'cat /mnt',
      'kldunload tinyfs',
      'umount /mnt',
      'umount /mnt',
      'kldunload tinyfs',
    ],
  },
  { name: 'shared-object', lines: ['kldload -v shared.ko', 'kldstat', 'kldunload -v shared'] },
  {
    name: 'release-10.4',
    settings: { release: '10.4' },
    lines: ['kldstat -h', 'kldstat -d -m kernel', 'kldstat -q -n kernel', 'kldload nowhere', 'kldload -x'],
  },
  {
    name: 'release-11.3',
    settings: { release: '11.3' },
    lines: ['kldload tinyfs', 'kldstat -h', 'kldstat -v', 'kldstat -x'],
  },
  { name: 'release-15', settings: { release: '15.0' }, lines: ['kldstat -h', 'kldstat -x'] },
  {
    name: 'devmatch',
    settings: { devices: 'vendor=0x1af4 device=0x1000 on pci0; vendor=1 device=2 on pci0' },
    lines: [
      'kldload hello',
      'devmatch',
      'devmatch -q',
      'kldxref -d pnp.ko',
      'devmatch -h /boot/nothing',
      'echo hello > /boot/modules/linker.hints',
      'devmatch',
    ],
  },
  {
    name: 'boot',
    lines: [
      'echo importer_load="YES" > /boot/loader.conf',
      'echo hello_load="YES" > /boot/loader.conf.local',
      'loader set module_blacklist="hello"',
      'loader load nothing',
      'loader load pnp.ko',
      'loader lsmod',
      'loader boot',
      'kldstat',
      'kldunload pnp',
      'echo kld_list="busy newcall nowhere" > /etc/rc.conf',
      'reboot',
      'kldstat',
    ],
  },
  ...['10.2', '12.1', '13.2'].map((release) => ({
    name: `loader-modules-${release}`,
    settings: { release },
    lines: [
      'echo module_blacklist="hello" > /boot/loader.conf',
      'echo hello_load="YES" > /boot/loader.conf.local',
      'loader show-module-options',
      'loader enable-module',
      'loader disable-module nowhere',
      'loader enable-module pnp',
      'loader toggle-module hello',
      'loader show-module-options',
      'loader frobnicate',
      'loader boot',
      'kldstat',
    ],
  })),
];

describe('transcripts', () => {
  it.each(CASES)('$name', async ({ name, settings, user, lines }) => {
    const text = await transcript(await startSession(settings, user), lines);
    const golden = new URL(`../../golden/freebsd/${name}.txt`, import.meta.url);
    if (process.env.LKM_UPDATE_GOLDEN === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  it('refuses a module of another system as the kernel does: at the first symbol that is not its own', async () => {
    const session = await startSession();
    const linux = readFileSync(new URL('../../../fixtures/linux/built/hello.ko', import.meta.url));
    await session.writeFile('/boot/modules/foreign.ko', new Uint8Array(linux), false);
    const text = await transcript(session, ['kldload foreign', 'kldstat']);
    expect(text).toMatch(
      /^link_elf_obj: symbol __fentry__ undefined\nlinker_load_file: \/boot\/modules\/foreign.ko - unsupported file type\nkldload: an error occurred while loading module foreign\. /m,
    );
    expect(text).toContain('a module of another system');
    expect(text).not.toMatch(/foreign.ko$/m);
  });

  it.each([
    ['10.2', false],
    ['13.2', true],
  ] as const)('kldxref of %s shows tables of devices as that release does', async (release, shown) => {
    const session = await startSession({ release });
    const bytes = readFileSync(new URL('../../../fixtures/freebsd/built/pnp.ko', import.meta.url));
    await session.writeFile('/boot/modules/pnp.ko', new Uint8Array(bytes), false);
    const dumped = (await session.run(['kldxref', '-d', '/boot/modules'])).out;
    const twice = (await session.run(['kldxref', '-vv', '/boot/modules'])).out;
    const table = /^ {2}pnp info for bus pci(.*)$/m.exec(dumped)?.[1];
    if (!shown) expect([twice, table]).toEqual(['/boot/modules/pnp.ko\n', '']);
    else {
      const format = /^ format (\S+) (\d+) entries of \d+ bytes$/.exec(table ?? '');
      const lines = twice.split('\n');
      expect(lines.slice(0, 3)).toEqual([
        '/boot/modules/pnp.ko',
        `  pnp info for bus pci${table}`,
        `Converting ${format?.[1]} into a list`,
      ]);
      const fields = lines.filter((line) => line.startsWith('Found type '));
      expect(fields.length).toBeGreaterThan(1);
      const rows = lines.slice(3 + fields.length, -1);
      expect(rows).toHaveLength(Number(format?.[2]));
      for (const row of rows) expect(row).toMatch(/^((I:(0|0x[0-9a-f]+)|W32:\S+|[DZE]:[^;]*);)+$/);
    }
  });

  it('writes an index of the files that can be read, whatever is wrong with others', async () => {
    const session = await startSession();
    const good = new Uint8Array(
      readFileSync(new URL('../../../fixtures/freebsd/built/pnp.ko', import.meta.url)),
    );
    let passedOver = 0;
    let shown = 0;
    for (let at = 64; at < good.length; at += 7) {
      const bytes = good.slice();
      bytes[at] ^= 0xff;
      await session.writeFile('/m/damaged.ko', bytes, false);
      const { note } = await session.run(['kldxref', '/m']);
      if (note !== undefined) passedOver++;
      const dump = await session.run(['devmatch', '-d', '-h', '/m/linker.hints']);
      if (dump.out.includes('Module ')) shown++;
    }
    expect(shown).toBeGreaterThan(10);
    expect(passedOver).toBeGreaterThan(10);
  });

  it('gives out stand-ins for interfaces only when asked to', async () => {
    expect(await transcript(await startSession(), ['kldload newer'])).toContain('depends on');
    const session = await startSession({ missing: 'stand-in', config: 'minimal' });
    const text = await transcript(session, ['kldload pnp', 'kldstat -n pnp']);
    expect(text).toContain('No file brings the interface pci version 1: a stand-in takes its place.');
    expect(text).toMatch(/pnp\.ko$/m);
  });

  it('leaves nothing behind when a module comes and goes', async () => {
    const session = await startSession();
    await transcript(session, ['kldload echo', 'kldunload echo', 'kldload importer', 'kldunload importer']);
    const free = session.kernel.memory.frames.freePages;
    await transcript(session, ['kldload echo', 'kldunload echo', 'kldload importer', 'kldunload importer']);
    expect(session.kernel.memory.frames.freePages).toBe(free);
  });

  it('repeats to the byte', async () => {
    const lines = ['kldload echo', 'echo x > /dev/echo', 'cat /dev/echo', 'kldstat', 'kldunload echo'];
    expect(await transcript(await startSession(), lines)).toBe(await transcript(await startSession(), lines));
  });
});
