/** What the steps of a load share: the request, the transaction, and what has become of the module so far. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Transaction } from '../../kernel/transaction.ts';
import type { StagedArea, StagedSection } from '../../link/place.ts';
import type { Address } from '../../memory/space.ts';
import type { Credential } from './cred.ts';
import { Errno } from './errno.ts';
import { hashPointer } from './functions/format/pointer.ts';
import type { ModuleLayout } from './layout.ts';
import type { Linux } from './linux.ts';
import type { LinuxModule } from './module.ts';
import type { ModuleFile } from './module-file.ts';
import { Judge } from './rules/judge.ts';
import type { LoadFlags } from './rules/modinfo.ts';
import type { SeenFile } from './seen-files.ts';
import { tainted, taintKernel } from './taint.ts';
import type { SignatureFacts } from './verdict.ts';

export interface LoadRequest {
  readonly bytes: Uint8Array;
  /** Where the file came from, for people. */
  readonly path: string;
  /** Parameters as insmod joins them: `a=1 b="x y"`. */
  readonly args: string;
  readonly flags: LoadFlags;
  /** Who asks; the superuser when left out. */
  readonly credential?: Credential;
  /** Refuse a module whose licence hides text behind a NUL, which the kernel does not. */
  readonly strictLicence?: boolean;
}

/** What is printed once per boot. */
const printedOnce = perKernel(() => new Set<string>());

export class LiveJudge extends Judge {
  readonly kernel;
  readonly commandLine;
  override readonly certificates;
  private readonly k: Linux;

  constructor(k: Linux) {
    super();
    this.k = k;
    this.kernel = k.file;
    this.commandLine = k.commandLine;
    this.certificates = k.certificates;
  }

  override get program(): string {
    return this.k.scheduler.current?.name ?? super.program;
  }

  protected print(level: number, text: string): void {
    // One record, even of two lines.
    this.k.log.write(level, text);
  }

  protected taintKernel(bit: number, lockdepUnreliable: boolean): void {
    taintKernel(this.k, bit, lockdepUnreliable);
  }

  tainted(bit: number): boolean {
    return tainted(this.k, bit);
  }

  override hashed(address: number): string {
    const value = hashPointer(this.k.seed, BigInt.asUintN(64, BigInt(address)));
    return value.toString(16).padStart(16, '0');
  }

  firstTime(id: string): boolean {
    const printed = this.k.state(printedOnce);
    if (printed.has(id)) return false;
    printed.add(id);
    return true;
  }
}

export class Loading {
  readonly k: Linux;
  readonly t: Transaction;
  readonly request: LoadRequest;
  readonly judge: LiveJudge;
  seen!: SeenFile;
  file!: ModuleFile;
  signature!: SignatureFacts;
  layout!: ModuleLayout;
  areas: StagedArea[] = [];
  sections = new Map<number, StagedSection>();
  /** struct module in guest memory. */
  mod: Address = 0;
  module!: LinuxModule;
  /** The init function has been called. */
  started = false;
  /** By symbol index. */
  values: Float64Array = new Float64Array(0);

  constructor(k: Linux, t: Transaction, request: LoadRequest) {
    this.k = k;
    this.t = t;
    this.request = request;
    this.judge = new LiveJudge(k);
  }

  /** Names in the kernel's symbol index, by area, so that init's can go with its memory. */
  readonly forget: { base: Address; remove: () => void }[] = [];

  /** Writes the module's own taints through to struct module. */
  storeTaints(): void {
    this.k.write('module.taints', this.mod, this.judge.taints);
  }

  /** The staged bytes at an address in one of the module's areas. */
  staged(address: Address, length: number): Uint8Array | undefined {
    for (const { base, bytes } of this.areas) {
      const offset = address - base;
      if (offset >= 0 && offset + length <= bytes.length) return bytes.subarray(offset, offset + length);
    }
    return undefined;
  }

  /** The staged section of that name, as find_sec finds it. */
  section(name: string): StagedSection | undefined {
    const section = this.file.section(name);
    return section === undefined ? undefined : this.sections.get(section.index);
  }

  outOfMemory(what: string): never {
    const why = `There is no memory left for ${what}.`;
    return this.judge.refuse(
      'out-of-memory',
      Errno.ENOMEM,
      why,
      'Unload something, or give the kernel more RAM.',
    );
  }
}
