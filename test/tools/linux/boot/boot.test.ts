/** The story of a start: a root and an initramfs made of fixtures, in the built-in kernel. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Archive } from '../../../../scripts/cpio.mjs';
import { FormatError } from '../../../../src/bytes/errors.ts';
import { RootFiles } from '../../../../src/cli/root-files.ts';
import { insmod } from '../../../../src/systems/linux/loader.ts';
import { words } from '../../../../src/tools/linux/boot/asked.ts';
import { chooseEntry, readGrub } from '../../../../src/tools/linux/boot/grub.ts';
import { type StoryRequest, tellBoot } from '../../../../src/tools/linux/boot/story.ts';
import { runModuleTool } from '../../../../src/tools/linux/kmod/tools.ts';
import { LinuxSession } from '../../../../src/tools/linux/session.ts';
import { builtinKernel, fixture } from '../../../systems/linux/kernel.ts';

const { release } = builtinKernel();
const tree = `lib/modules/${release}/extra`;
let root: string;

const put = (path: string, contents: string | Uint8Array) => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), contents);
};

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'lkm-root-'));
  for (const name of ['hello', 'exporter', 'importer_plain', 'params', 'chardev', 'blank'])
    put(`${tree}/${name}.ko`, fixture(name));
  const silent = { out: () => {}, err: () => {}, environment: {} };
  await runModuleTool('depmod', ['-b', root, release], silent);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function tell(commandLine = '', more: Partial<StoryRequest> = {}) {
  const session = new LinuxSession(builtinKernel(), { moduleFile: () => undefined, commandLine });
  const filesIn = (folder: string) => new RootFiles(folder);
  const place = { files: filesIn(root), folder: root };
  const request = {
    session,
    commandLine,
    entry: undefined,
    root: place,
    initramfs: undefined,
    modaliases: [],
    filesIn,
  };
  const steps = await tellBoot({ ...request, ...more });
  const outcomes = steps
    .filter(({ outcome }) => outcome !== 'note')
    .map(({ subject, outcome }) => `${subject} ${outcome}`);
  return { steps, outcomes, k: session.k };
}

/** Microcode first and bare, then the archive itself, packed: as distributions make it. */
function initramfs(files: Readonly<Record<string, Uint8Array | string>>): {
  name: string;
  bytes: Uint8Array;
} {
  const microcode = new Archive();
  microcode.file('kernel/x86/microcode/GenuineIntel.bin', 'x');
  const archive = new Archive();
  for (const [path, bytes] of Object.entries(files)) archive.file(path, bytes);
  return { name: 'initrd.img', bytes: Buffer.concat([microcode.finish(), gzipSync(archive.finish())]) };
}

describe('a start', () => {
  it('loads what the files and the command line ask for, with what that needs', async () => {
    put('etc/modules', '# for all\nhello whom=Ada\nnothing_of_the_kind\n');
    put('etc/modules-load.d/more.conf', 'importer_plain\n');
    const { outcomes, k, steps } = await tell('quiet modules-load=params');
    expect(outcomes).toEqual([
      'exporter loaded',
      'importer_plain loaded',
      'hello loaded',
      'nothing_of_the_kind absent',
      'params loaded',
    ]);
    expect(k.log.records.map(({ text }) => text)).toContain('hello: hello, Ada');
    expect(steps.find(({ subject }) => subject === 'hello')?.because).toBe(
      '/etc/modules:2 hello whom=Ada; whom=Ada',
    );
  });

  it('keeps out what the command line or modprobe.d forbid, each in its way', async () => {
    put('etc/modules', 'hello\nchardev\nblank\nparams\n');
    put('etc/modprobe.d/local.conf', 'blacklist blank\ninstall params /bin/false\n');
    const { outcomes, steps } = await tell('module_blacklist=hello modprobe.blacklist=chardev');
    expect(outcomes).toEqual(['hello refused', 'chardev skipped', 'blank skipped', 'params skipped']);
    expect(steps.find(({ outcome }) => outcome === 'refused')?.said).toEqual(['Module hello is blacklisted']);
  });

  it('understands the commands that are usual in the place of a module', async () => {
    put('etc/modules', 'hello\nparams\nblank\nchardev\n');
    put(
      'etc/modprobe.d/local.conf',
      [
        'install hello /sbin/modprobe --ignore-install hello whom=Ada $CMDLINE_OPTS && /sbin/modprobe importer_plain',
        'install params /bin/false || /sbin/modprobe -qi params 2>/dev/null; true',
        'install blank /bin/echo no; exit 0',
        'install chardev /bin/true',
      ].join('\n'),
    );
    const { outcomes, steps, k } = await tell();
    expect(outcomes).toEqual([
      'hello loaded',
      'exporter loaded',
      'importer_plain loaded',
      'params loaded',
      'blank skipped',
      'chardev skipped',
    ]);
    expect(k.log.records.map(({ text }) => text)).toContain('hello: hello, Ada');
    expect(steps.find(({ subject }) => subject === 'blank')?.why).toContain('/bin/echo no');
    expect(steps.find(({ subject }) => subject === 'chardev')?.why).toContain('does not load it');
  });

  it('refuses everything once sysctl.d has switched loading off', async () => {
    put('etc/modules', 'exporter\n');
    put('etc/sysctl.d/hard.conf', '# no more\nkernel.modules_disabled = 1\n');
    const { outcomes, k, steps } = await tell('', { modaliases: ['hello', 'pci:v0000dead'] });
    expect(outcomes).toEqual(['exporter loaded', 'hello refused']);
    expect(steps.find(({ stage }) => stage === 'sysctl')?.because).toBe(
      '/etc/sysctl.d/hard.conf:2 kernel.modules_disabled = 1',
    );
    const after = insmod(k, fixture('chardev'));
    expect(after.outcome === 'refused' && after.refusal.errno).toBe(1);
  });

  it('does not notice a module that was changed in the initramfs, unless signatures are demanded', async () => {
    const changed = fixture('hello').slice();
    const at = Buffer.from(changed).indexOf('hello, %s');
    changed.set(Buffer.from('HELLO'), at);
    const archive = initramfs({ [`${tree}/hello.ko`]: changed, 'conf/modules': 'hello\n' });
    const { outcomes, steps, k } = await tell('', { initramfs: archive });
    expect(outcomes).toEqual(['hello loaded']);
    expect(steps.find(({ why }) => why?.includes('not the one in /lib/modules'))?.subject).toBe('hello');
    expect(k.log.records.map(({ text }) => text).join('\n')).toContain('HELLO');
    const strict = await tell('module.sig_enforce=1', { initramfs: archive });
    expect(strict.outcomes).toEqual(['hello refused']);
    expect(strict.steps.find(({ outcome }) => outcome === 'refused')?.said).toEqual([
      'Loading of unsigned module is rejected',
    ]);
  });

  it('follows the links of the root inside of it: modules, indexes and configuration', async () => {
    put('etc/modules', 'hello\nparams\nchardev\nblank\n');
    const outside = mkdtempSync(join(tmpdir(), 'lkm-outside-'));
    try {
      writeFileSync(join(outside, 'chardev.ko'), fixture('chardev'));
      writeFileSync(join(outside, 'evil.conf'), 'blacklist hello\ninstall hello /bin/false\n');
      put('opt/hello.ko', fixture('hello'));
      put('opt/keep.conf', 'install params /bin/false\n');
      put('usr/lib/modprobe.d/masked.conf', 'install blank /bin/false\n');
      mkdirSync(join(root, 'etc/modprobe.d'));
      const link = (target: string, path: string) => {
        rmSync(join(root, path), { force: true });
        symlinkSync(target, join(root, path));
      };
      link('/opt/hello.ko', `${tree}/hello.ko`);
      link(join(outside, 'chardev.ko'), `${tree}/chardev.ko`);
      link(join(outside, 'evil.conf'), 'etc/modprobe.d/evil.conf');
      link('/opt/keep.conf', 'etc/modprobe.d/keep.conf');
      link('/dev/null', 'etc/modprobe.d/masked.conf');
      const { outcomes } = await tell();
      expect(outcomes).toEqual(['hello loaded', 'params skipped', 'chardev absent', 'blank loaded']);
    } finally {
      rmSync(outside, { recursive: true, force: true });
    }
  });

  it('makes the indexes that a root lacks, and writes nothing into it', async () => {
    put('etc/modules', 'importer_plain\n');
    for (const name of readdirSync(join(root, 'lib/modules', release)))
      if (name.startsWith('modules.')) rmSync(join(root, 'lib/modules', release, name));
    const { outcomes } = await tell();
    expect(outcomes).toEqual(['exporter loaded', 'importer_plain loaded']);
    expect(readdirSync(join(root, 'lib/modules', release))).toEqual(['extra']);
  });

  it('says what is no initramfs', async () => {
    const bytes = new TextEncoder().encode('this is none');
    await expect(tell('', { initramfs: { name: 'x', bytes } })).rejects.toThrow(FormatError);
  });
});

const MENU = [
  'set default="0"',
  'set extra="quiet splash"',
  'if [ x ] ; then',
  '   set next=1',
  'fi',
  "menuentry 'System' --class gnu {",
  '\tlinux\t/vmlinuz-1 root=/dev/sda1 ro $extra',
  '\tinitrd\t/microcode.img /initrd-1',
  '}',
  "submenu 'More' {",
  '\tmenuentry "Old" {',
  '\t\tlinux /vmlinuz-0 root=/dev/sda1',
  '\t}',
  "\tmenuentry 'Other' { ",
  '\t\tchainloader +1',
  '\t}',
  "\tmenuentry 'Rescue' {",
  '\t\tlinux /vmlinuz-0 single modprobe.blacklist=nouveau',
  '\t}',
  '}',
].join('\n');

describe('grub.cfg', () => {
  it('has entries by number and title, with what they start', () => {
    const config = readGrub(MENU);
    expect(config.entries.map(({ number }) => number)).toEqual(['0', '1>0', '1>2']);
    expect(chooseEntry(config)).toMatchObject({
      title: 'System',
      kernel: '/vmlinuz-1',
      commandLine: 'root=/dev/sda1 ro quiet splash',
      initrds: ['/microcode.img', '/initrd-1'],
    });
    expect(chooseEntry(config, 'Rescue')?.commandLine).toBe('single modprobe.blacklist=nouveau');
    expect(chooseEntry(config, '9')).toBeUndefined();
  });

  it('is read without end or crash when it is damaged', () => {
    expect(readGrub('}\n}\nlinux /x\nmenuentry {\nsubmenu\n').entries).toEqual([]);
    expect(readGrub('menuentry a {\n'.repeat(200)).entries).toEqual([]);
  });
});

describe('words of a command line', () => {
  it('keep what quotes hold together, and - is _', () => {
    expect(words('a_b="x y" c modules_load=d,e').map(({ key, value }) => [key, value])).toEqual([
      ['a-b', 'x y'],
      ['c', ''],
      ['modules-load', 'd,e'],
    ]);
  });
});
