/** Steps of the tour: what will become of modules, known before it happens. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeCpio } from '../../formats/archive/cpio-write.ts';
import { kernelFromParts } from '../../systems/linux/kernelfile/parts.ts';
import type { Savable } from '../../systems/linux/kernelfile/saved.ts';
import { BUILT_IN } from '../../targets/kernel-store.ts';
import type { BootStep } from '../../tools/boot.ts';
import type { CheckKernel, Verdict } from '../../tools/check.ts';
import { makeStyle } from '../style.ts';
import type { LinuxStep } from './record.ts';
import type { Stage } from './stage.ts';

/** Inside the indentation of a step's output. */
const COLUMNS = 76;
const PLAIN = makeStyle(false);

const check: LinuxStep = {
  name: 'check',
  title: 'Whether a module will load can be told',
  statement:
    'A loader follows rules, and a module and a kernel are files: so the question can be answered before a reboot, with ' +
    'the rule that refuses, what the kernel would say, and what to do. Where a file tells too little, the answer says what ' +
    'is missing.',
  by: 'lkm check',
  async play(stage) {
    const { kernelFile } = stage;
    const { linuxChecker } = await import('../../tools/linux/check/checker.ts');
    const known = await linuxChecker.open(BUILT_IN, stage.around);
    const good = await checked(stage, 'hello.ko', known);
    const refused = await checked(stage, 'wrong_crc.ko', known);
    stage.say('Of a kernel whose list of symbols is all there is, not everything is known:');
    const file = kernelFromParts({ symvers: symversOf(kernelFile), origin: 'Module.symvers' });
    const listed = { name: 'Module.symvers', release: file.release, summary: '', file, own: undefined };
    const open = await checked(stage, 'hello.ko', listed);
    const rule = refused.rules.find(({ outcome }) => outcome === 'refuse');
    stage.fact('one loads', good.answer === 'loads');
    stage.fact(
      'one is refused, by the rule for symbols, with EINVAL',
      rule?.rule === 'symbols' && rule.error?.name === 'EINVAL',
    );
    stage.fact('of one nobody can tell, and what is missing is named', open.missing.length > 0);
    const loaded = stage.console.line('insmod hello.ko');
    stage.boot();
    const tried = stage.console.line('insmod wrong_crc.ko');
    stage.fact(
      'a kernel that is given both does so',
      loaded.code === 0 && tried.errno === rule?.error?.number,
    );
    stage.fact('and says what was foretold', rule?.said.every(({ text }) => stage.logged(text)) === true);
  },
};

/** `lkm check NAME`, with --kernel where it is not the one that comes with lkm. */
async function checked(stage: Stage, name: string, kernel: CheckKernel): Promise<Verdict> {
  const { linuxChecker } = await import('../../tools/linux/check/checker.ts');
  const { verdictScreen } = await import('../check/screen.ts');
  const module = { path: name, bytes: stage.fixture(name) };
  const verdict = await linuxChecker.check({ module, kernel, settings: new Map() });
  const option = kernel.name === BUILT_IN ? '' : ` --kernel ${kernel.name}`;
  stage.show(
    `lkm check ${name}${option}`,
    verdictScreen(verdict, { columns: COLUMNS, style: PLAIN, rules: false }),
  );
  return verdict;
}

/** What the build of that kernel would have left: CRC, name, owner and kind of each export. */
function symversOf({ exports }: Savable): string {
  return [...exports]
    .map(({ name, crc = 0, gplOnly, namespace }) => {
      const kind = gplOnly ? 'EXPORT_SYMBOL_GPL' : 'EXPORT_SYMBOL';
      return `0x${crc.toString(16).padStart(8, '0')}\t${name}\tvmlinux\t${kind}\t${namespace}\n`;
    })
    .join('');
}

const boot: LinuxStep = {
  name: 'boot',
  title: 'A start can be told, and tried',
  statement:
    'Which modules a machine loads is decided by its initramfs, its configuration and the command line of its kernel. Before ' +
    'one of them is changed, a start can be played through: which line asks for each module, and what refuses it.',
  by: 'lkm boot linux',
  async play(stage) {
    const kept = await booted(stage, {
      commandLine: 'module_blacklist=hello',
      files: { 'etc/modules': 'hello\nchardev\n' },
    });
    const closed = await booted(stage, {
      files: { 'etc/modules': 'chardev\n', 'etc/sysctl.d/hard.conf': 'kernel.modules_disabled=1\n' },
      hardware: ['hello'],
    });
    const changed = { initramfs: manipulated(stage.fixture('hello.ko')) };
    const unnoticed = await booted(stage, changed);
    const noticed = await booted(stage, { ...changed, commandLine: 'module.sig_enforce=1' });
    stage.fact(
      'module_blacklist= keeps a module out by name, and no other',
      told(kept, 'hello refused, chardev loaded'),
    );
    stage.fact(
      'after modules_disabled=1 the kernel takes none (EPERM)',
      told(closed, 'chardev loaded, hello refused') && closed.some(({ rule }) => rule === 'EPERM (1)'),
    );
    stage.fact(
      'a module changed inside the initramfs runs, and nobody notices',
      told(unnoticed, 'hello loaded'),
    );
    stage.fact('unless signatures are enforced', told(noticed, 'hello refused'));
  },
};

/** What became of the modules, in order. */
function told(steps: readonly BootStep[], outcomes: string): boolean {
  const found = steps.filter(({ outcome }) => outcome !== 'note');
  return found.map(({ subject, outcome }) => `${subject} ${outcome}`).join(', ') === outcomes;
}

interface Machine {
  readonly commandLine?: string;
  /** Files of its root besides the modules. */
  readonly files?: Readonly<Record<string, string>>;
  /** A module that its initramfs has and loads, in place of the one in the root. */
  readonly initramfs?: Uint8Array;
  readonly hardware?: readonly string[];
}

const MODULES = ['hello.ko', 'chardev.ko'];

/** `lkm boot linux --once` of a machine whose root is a folder made for it. */
async function booted(stage: Stage, machine: Machine): Promise<readonly BootStep[]> {
  const { commandLine = '', files = {}, initramfs, hardware = [] } = machine;
  const root = mkdtempSync(join(tmpdir(), 'lkm-tour-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      stage.show(`cat /mnt/${path}`, text);
      put(root, path, text);
    }
    const tree = `lib/modules/${stage.kernelFile.release}`;
    for (const name of MODULES) put(root, `${tree}/extra/${name}`, stage.fixture(name));
    const archive = initramfs && archiveOf(`${tree}/extra/hello.ko`, initramfs);
    const options = [
      archive && ' --initramfs initrd.img',
      commandLine && ` --append ${commandLine}`,
      hardware.length > 0 && ' --modalias hardware.txt',
    ];
    const command = `lkm boot linux --once --root /mnt${options.filter(Boolean).join('')}`;
    return await story(stage, command, { root, commandLine, archive, hardware });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

interface Place {
  readonly root: string;
  readonly commandLine: string;
  readonly archive: Uint8Array | undefined;
  readonly hardware: readonly string[];
}

async function story(
  stage: Stage,
  command: string,
  { root, commandLine, archive, hardware }: Place,
): Promise<readonly BootStep[]> {
  const { runModuleTool } = await import('../../tools/linux/kmod/tools.ts');
  const { tellBoot } = await import('../../tools/linux/boot/story.ts');
  const { RootFiles } = await import('../root-files.ts');
  const { bootScreen } = await import('../boot-screen.ts');
  const release = stage.kernelFile.release;
  await runModuleTool('depmod', ['-b', root, release], { out: () => {}, err: () => {}, environment: {} });
  stage.boot(commandLine);
  const steps = await tellBoot({
    session: stage.console,
    commandLine,
    entry: undefined,
    root: { files: new RootFiles(root), folder: root },
    initramfs: archive && { name: 'initrd.img', bytes: archive },
    modaliases: hardware,
    filesIn: (folder) => new RootFiles(folder),
  });
  let screen = '';
  const out = (text: string | Uint8Array): void => void (screen += String(text));
  bootScreen({ style: PLAIN, out, err: out, resident: undefined }, 'linux', {
    release: `Linux ${release}`,
    steps,
    held: { system: 'linux', release, session: stage.console },
  });
  stage.show(command, screen);
  return steps;
}

function put(root: string, path: string, contents: string | Uint8Array): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), contents);
}

const archiveOf = (path: string, module: Uint8Array): Uint8Array =>
  writeCpio(
    new Map([
      ['conf/modules', new TextEncoder().encode('hello\n')],
      [path, module],
    ]),
  );

/** Another greeting, of the same length: the rest of the file is as it was built. */
function manipulated(module: Uint8Array): Uint8Array {
  const changed = Buffer.from(module);
  const at = changed.indexOf('hello, %s');
  if (at < 0) throw new Error('hello.ko has no greeting');
  changed.write('HELLO', at, 'latin1');
  return changed;
}

export const beforehand: readonly LinuxStep[] = [check, boot];
