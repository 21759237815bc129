/** A macOS machine: a kernel, a tree of files with the two kext folders, users, and what persists over a restart. */
import type { LogRecord } from '../../kernel/log.ts';
import { MissingFunctionReached } from '../../kernel/missing.ts';
import { Deadlock } from '../../kernel/scheduler.ts';
import type { StandingThing } from '../../kernel/standing.ts';
import type { Steps } from '../../kernel/steps.ts';
import { ThreadKilled } from '../../kernel/thread.ts';
import { devices } from '../../systems/macos/functions/devices.ts';
import type { LoadedKext } from '../../systems/macos/kexts.ts';
import { type Kext, KextLibrary, REPOSITORIES } from '../../systems/macos/library.ts';
import { publishPersonalities } from '../../systems/macos/load.ts';
import { Macos } from '../../systems/macos/macos.ts';
import { osReturnText } from '../../systems/macos/os-return.ts';
import { macosData, macosFunctions } from '../../systems/macos/registry.ts';
import { type BootVerdict, judgeBoot } from '../../systems/macos/rules/boot.ts';
import { matchAll, refusedKexts, resources, services } from '../../systems/macos/runtime/services.ts';
import { standing } from '../../systems/macos/standing.ts';
import { baseName, FileTree, joinPath, normalPath } from '../../systems/macos/tree.ts';
import { endedBy } from '../ended.ts';
import type {
  LoadOutcome,
  SessionLeak,
  SessionOptions,
  SystemSession,
  ToolResult,
  UnloadOutcome,
} from '../system.ts';
import type { Answer } from './answer.ts';
import { archiveTree, holdsBundles, installTree, unpackBundles } from './archive.ts';
import { isExcluded } from './exclusion.ts';
import { writeFile } from './file-tools.ts';
import { Importer } from './import.ts';
import { loadByTool, loadFromDisk, policyView, unloadByTool } from './loading.ts';
import { namedMachine } from './machine.ts';
import { type Choices, choicesOf } from './settings.ts';
import { verifySignatures } from './signatures.ts';
import { TOOLS } from './tools.ts';

/** Where the session's relative paths begin. */
const HOME = '/Users/lkm';
const CONTROL_C = 130;

/** What can be done while the machine does not start. */
const RECOVERY: readonly string[] = ['reboot', 'rm', 'ls', 'mv', 'csrutil'];

const STOPPED: ToolResult = {
  code: 1,
  out: '',
  err: '',
  note: 'the machine has stopped with a panic: `reboot` starts it again',
};

/** What is recorded about kexts outside of any kernel: approvals, notarisation, the collection of the last start. */
export interface KextRecords {
  /** Teams and bundle identifiers. */
  readonly approved: Set<string>;
  readonly collection: Set<string>;
}

export class MacosSession implements SystemSession {
  kernel: Macos;
  readonly choices: Choices;
  csr: number;
  bootArgs: string;
  readonly tree = new FileTree();
  readonly importer: Importer;
  readonly library: KextLibrary;
  readonly records: KextRecords = { approved: new Set(), collection: new Set() };
  uid: number;
  readonly commands = TOOLS;
  private readonly options: SessionOptions;

  constructor(options: SessionOptions) {
    this.options = options;
    this.choices = choicesOf(options.settings, namedMachine(options.named ?? []));
    this.csr = this.choices.csr;
    this.bootArgs = this.choices.bootArgs;
    this.uid = options.user === undefined || options.user === 'root' ? 0 : 501;
    this.importer = new Importer(options.files, this.tree, this.choices.owner);
    this.library = new KextLibrary(this.tree, this.choices.architecture);
    for (const folder of [...REPOSITORIES, HOME, '/tmp']) this.tree.makeFolder(folder);
    if (this.choices.root !== undefined) this.takeRoot(this.choices.root);
    this.kernel = this.boot();
  }

  get release(): string {
    return `${this.choices.release.product} (Darwin ${this.choices.release.darwin} ${this.choices.architecture})`;
  }

  get prompt(): string {
    return this.uid === 0 ? 'sh-3.2# ' : '$ ';
  }

  /** A kernel that has just started. */
  boot(): Macos {
    const kernel = new Macos({
      release: this.choices.release,
      architecture: this.choices.architecture,
      seed: this.options.seed,
      engine: this.options.engine,
      missing: this.options.missing,
      functions: macosFunctions,
      data: macosData,
      bootArgs: this.bootArgs,
    });
    // The registry's root and IOResources are there before any driver.
    resources(kernel);
    return kernel;
  }

  /** Why the machine did not start; undefined when it did. */
  halted: BootVerdict | undefined;

  /** Starts the machine again: a new kernel, the same files and records. It may not come up with what is installed now. */
  async restart(): Promise<BootVerdict> {
    const installed = this.kexts();
    await this.prepareSignatures(installed);
    const verdict = judgeBoot(installed, policyView(this));
    this.kernel = this.boot();
    this.halted = verdict.starts ? undefined : verdict;
    for (const kext of installed)
      if (policyView(this).approved(kext)) this.records.collection.add(kext.identifier);
    return verdict;
  }

  private takeRoot(root: string): void {
    const bytes = this.options.files.read(root);
    const archived = bytes === undefined ? undefined : archiveTree(bytes);
    if (archived !== undefined) {
      for (const folder of REPOSITORIES) installTree(archived, folder, this.tree, folder, this.choices.owner);
      return;
    }
    for (const folder of REPOSITORIES) this.importer.take(root.replace(/\/$/, '') + folder, folder);
  }

  async run(words: readonly string[]): Promise<ToolResult> {
    const [name, ...args] = words;
    const tool = TOOLS.find((one) => one.name === name);
    if (tool === undefined) return { code: 127, out: '', err: `-sh: ${name}: command not found\n` };
    if (this.kernel.panicked !== undefined && tool.name !== 'reboot') return STOPPED;
    if (this.halted !== undefined && !RECOVERY.includes(tool.name)) {
      return {
        code: 1,
        out: '',
        err: '',
        note: `the machine has not started; ${RECOVERY.join(', ')} work as in the recovery system`,
      };
    }
    return tool.run(this, args);
  }

  writeFile(path: string, bytes: Uint8Array, append: boolean): ToolResult {
    return writeFile(this, path, bytes, append);
  }

  private get panicNote(): string {
    const cause = (this.kernel.panicCause ?? '').split('\n')[0];
    return `the kernel has panicked: \`reboot\` starts the machine again\n  ${cause}`;
  }

  /** Runs steps as a command of the user; a kernel that stops on the way is told. */
  perform<T>(command: string, steps: Steps<T>, answer: Answer): T | undefined {
    try {
      answer.ended = undefined;
      const result = this.kernel.runAs({ name: command, uid: this.uid }, steps);
      // What the command has set off in other threads, matching above all, goes on until all of them wait.
      this.settle(answer);
      return result;
    } catch (error) {
      answer.ended = endedBy(error);
      if (error instanceof MissingFunctionReached) {
        answer.explain(
          `${error.caller} uses ${error.symbol} of the kernel, which the base kernel does not have: the run ended there`,
        );
      } else if (error instanceof ThreadKilled) {
        answer.explain(this.kernel.panicked === undefined ? error.message : this.panicNote);
      } else if (error instanceof Deadlock) {
        const { absent } = this.kernel.state(services);
        answer.explain(error.message);
        if (absent !== undefined) answer.explain(`what it looked for last is absent: ${absent}`);
      } else throw error;
      answer.code = error instanceof Deadlock ? CONTROL_C : 1;
      return undefined;
    }
  }

  /**
   * What user space does for matching (kextd): the kernel learns the personalities of all installed kexts, and those kexts
   * that it asks for are loaded as root, after the rules that every load has.
   */
  async autoload(answer: Answer): Promise<void> {
    const installed = this.kexts();
    for (const { info } of installed) publishPersonalities(this.kernel, info);
    const state = this.kernel.state(services);
    this.perform('kextd', matchAll(this.kernel), answer);
    while (state.requests.length > 0 && this.kernel.panicked === undefined) {
      const identifier = state.requests[0];
      this.kernel.print(`Kext ${identifier} not found; queued load request to user space.\n`);
      const kext = KextLibrary.find(installed, identifier);
      const loaded = kext !== undefined && (await this.loadAsRoot(kext, installed, answer));
      state.requests.shift();
      if (!loaded) this.kernel.state(refusedKexts).add(identifier);
      this.perform('kextd', matchAll(this.kernel), answer);
    }
  }

  private async loadAsRoot(kext: Kext, installed: readonly Kext[], answer: Answer): Promise<boolean> {
    await this.prepareSignatures([kext, ...installed]);
    const user = this.uid;
    this.uid = 0;
    try {
      const result = loadFromDisk(this, kext, answer);
      if (result.code !== 'Success')
        answer.explain(`${kext.path}: ${result.note ?? osReturnText(result.code)}`);
      return result.code === 'Success';
    } finally {
      this.uid = user;
    }
  }

  /** Lets other threads go on; one that ended on a missing function is told of, with what it was. */
  private settle(answer: Answer): void {
    const { scheduler } = this.kernel;
    scheduler.settle();
    this.kernel.flush();
    for (const [thread, error] of scheduler.failures) {
      if (!(error instanceof MissingFunctionReached)) throw error;
      answer.explain(
        `${error.caller} uses ${error.symbol} of the kernel, which the base kernel does not have: the thread ${thread.name} ended there`,
      );
    }
    scheduler.failures.clear();
    if (this.kernel.panicked !== undefined) {
      answer.code = 1;
      answer.ended = 'killed';
      answer.explain(this.panicNote);
    }
  }

  // -- files and kexts ----------------------------------------------------------------------------------------

  /** The path in the session's tree that a word means; a file of the user's machine is copied there first. */
  locate(word: string): string | undefined {
    const path = this.absolute(word);
    const packed = this.unpack(word, path);
    if (packed !== undefined) return packed;
    if (this.tree.get(path) !== undefined) return path;
    const beside = REPOSITORIES.map((folder) => joinPath(folder, word)).find(
      (one) => this.tree.get(one) !== undefined,
    );
    if (this.importer.take(word.replace(/\/$/, ''), path)) return path;
    return word.includes('/') ? undefined : beside;
  }

  /** A word that names an archive of bundles: they come to lie in the user's folder, and the first of them is meant. */
  private unpack(word: string, path: string): string | undefined {
    const known = this.unpacked.get(path);
    if (known !== undefined) return known;
    const bytes = this.tree.read(path) ?? this.options.files.read(word.replace(/\/$/, ''));
    if (bytes === undefined || !holdsBundles(word, bytes)) return undefined;
    const first = unpackBundles(word, bytes, this.tree, HOME, this.choices.owner);
    if (first !== undefined) this.unpacked.set(path, first);
    return first;
  }
  private readonly unpacked = new Map<string, string>();

  absolute(word: string): string {
    return word.startsWith('/') ? normalPath(word) : joinPath(HOME, word);
  }

  /** Every kext of the repositories, and those of further folders. */
  kexts(more: readonly string[] = []): Kext[] {
    return this.library.scan([...more, ...REPOSITORIES]);
  }

  /** Verifies signatures before rules ask what they come to: hashing and certificates have to be waited for. */
  async prepareSignatures(kexts: readonly Kext[]): Promise<void> {
    await verifySignatures(this, kexts);
  }

  /** Is this version on the exclude list of the machine (AppleKextExcludeList.kext)? */
  excluded(kext: Kext): boolean {
    return isExcluded(this, kext);
  }

  /** What stays in the kernel under that identifier; undefined when it is not loaded. */
  loaded(identifier: string): LoadedKext | undefined {
    return this.kernel.kexts.find(identifier);
  }

  // -- what the command line asks of every system ---------------------------------------------------------------

  async load(path: string, args: readonly string[]): Promise<LoadOutcome> {
    if (this.kernel.panicked !== undefined) return { ...STOPPED, module: undefined };
    return await loadByTool(this, path, args);
  }

  async unload(module: string): Promise<UnloadOutcome> {
    if (this.kernel.panicked !== undefined) return { ...STOPPED, leaks: [] };
    const kext = this.loaded(module);
    const before = kext === undefined ? undefined : { base: kext.base, bytes: kext.bytes };
    const result = await unloadByTool(this, module);
    const leaks: SessionLeak[] = [];
    if (before !== undefined && this.loaded(module) === undefined) {
      for (const { bytes, caller } of this.kernel.heap.heldBy(before.base, before.bytes)) {
        leaks.push({
          what: 'kernel memory',
          bytes,
          where: `${baseName(kext?.path ?? module)}+0x${(caller - before.base).toString(16)}`,
        });
      }
    }
    return { ...result, leaks };
  }

  standing(): Iterable<StandingThing> {
    return standing(this.kernel);
  }

  logLine(record: LogRecord): string {
    return record.text;
  }

  completePath(prefix: string): readonly string[] {
    const path = this.absolute(prefix.endsWith('/') ? prefix : prefix.slice(0, prefix.lastIndexOf('/') + 1));
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    const names =
      path === '/dev'
        ? [...this.kernel.state(devices).nodes.values()].map(({ name }) => name)
        : this.tree.list(path);
    return names
      .map((name) => `${folder}${name}${this.tree.isFolder(joinPath(path, name)) ? '/' : ''}`)
      .filter((name) => name.startsWith(prefix));
  }
}
