/**
 * A root of its own for the module tools: kmod's program, Node with dist/, small trees of real and damaged modules, and
 * folders where /etc, /run, /proc and /sys would be. Tools run in it by chroot, without the right to load modules.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

const TOOLS = ['modprobe', 'insmod', 'rmmod', 'lsmod', 'modinfo', 'depmod'];

/** Programs that install and remove commands of the configuration use. */
const PROGRAMS = ['/bin/sh', '/bin/echo', '/bin/true', '/bin/false', '/usr/bin/env'];

export class KmodRoot {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'lkm-kmod-root-')));
  /** The release whose tree the tools take by themselves. */
  readonly release = release();

  private readonly program: string | undefined;

  /** `kmod` is the program that is compared with, where there is one, `lkm` the folder with dist/ and node_modules/. */
  constructor(kmod: string | undefined, lkm: string) {
    this.program = kmod;
    for (const folder of ['bin', 'tmp', 'proc', 'sys/module', 'run', 'etc', 'dev', 'opt/lkm/node_modules'])
      mkdirSync(join(this.path, folder), { recursive: true });
    writeFileSync(join(this.path, 'dev/null'), '');
    for (const program of [kmod ?? [], process.execPath, ...PROGRAMS].flat()) this.install(program);
    // kmod goes by the name it is called by.
    for (const tool of TOOLS) symlinkSync('kmod', join(this.path, 'bin', tool));
    cpSync(join(lkm, 'dist'), join(this.path, 'opt/lkm/dist'), { recursive: true });
    cpSync(join(lkm, 'package.json'), join(this.path, 'opt/lkm/package.json'));
    for (const name of ['koffi', '@koromix', 'fflate']) {
      const from = join(lkm, 'node_modules', name);
      if (existsSync(from))
        cpSync(from, join(this.path, 'opt/lkm/node_modules', name), { recursive: true, dereference: true });
    }
  }

  /** Copies a program to /bin, and its libraries to where they are looked for. */
  private install(program: string): void {
    cpSync(realpathSync(program), join(this.path, 'bin', program.slice(program.lastIndexOf('/') + 1)));
    const linked = execFileSync('ldd', [program], { encoding: 'utf8' });
    const libraries = [...linked.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]);
    // The decompressors of kmod are opened when a file needs them.
    if (program.endsWith('kmod')) libraries.push(...openedLibraries());
    for (const library of libraries) {
      const target = join(this.path, library);
      mkdirSync(dirname(target), { recursive: true });
      if (!existsSync(target)) cpSync(realpathSync(library), target);
    }
  }

  write(path: string, content: string | Uint8Array): this {
    const target = join(this.path, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content, typeof content === 'string' ? 'latin1' : undefined);
    return this;
  }

  read(path: string): string {
    return readFileSync(join(this.path, path), 'latin1');
  }

  /** Runs kmod's depmod from outside: it needs a real /proc to make files. */
  index(release: string): void {
    if (this.program === undefined) throw new Error('there is no kmod to make indexes with');
    const ended = spawnSync(this.program, ['-b', this.path, release], { argv0: 'depmod', encoding: 'utf8' });
    if (ended.status !== 0 || ended.stderr !== '') throw new Error(ended.stderr);
  }

  clear(...paths: readonly string[]): this {
    for (const path of paths) rmSync(join(this.path, path), { recursive: true, force: true });
    return this;
  }

  kmod(tool: string, words: readonly string[], options: RunOptions = {}): Ended {
    return this.run([`/bin/${tool}`, ...words], options);
  }

  lkm(tool: string, words: readonly string[], options: RunOptions = {}): Ended {
    return this.run(['/bin/node', '/opt/lkm/dist/lkm.js', 'linux', tool, ...words], options);
  }

  private run(words: readonly string[], { folder = '/', environment = {} }: RunOptions): Ended {
    const drop = ['--bounding-set=-sys_module', '--inh-caps=-sys_module'];
    const inside = ['chroot', this.path, '/bin/env', '-C', folder, ...words];
    const ended = spawnSync('setpriv', [...drop, ...inside], {
      encoding: 'latin1',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
      input: '',
      // kmod's depmod does not end in front of some knots of modules.
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    if (ended.error !== undefined && ended.signal === null) throw ended.error;
    return { code: ended.status, out: ended.stdout, err: ended.stderr };
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function openedLibraries(): string[] {
  const cache = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' });
  return ['libz.so.1', 'liblzma.so.5', 'libzstd.so.1', 'libcrypto.so.3'].flatMap(
    (name) => new RegExp(`${name.replaceAll('.', '\\.')} .*x86-64.* => (\\S+)`).exec(cache)?.[1] ?? [],
  );
}
