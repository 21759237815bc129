/** Loaded modules, and the one table of public symbols. */
import type { NlmFile } from '../../formats/nlm/file.ts';
import type { Address } from '../../memory/address.ts';

export interface Image {
  readonly address: Address;
  readonly bytes: number;
}

export interface NlmModule {
  /** `HELLO.NLM`. */
  readonly name: string;
  /** `SYS:SYSTEM\`. */
  readonly from: string;
  readonly file: NlmFile;
  /** The load definition structure: what an NLM is called by. */
  readonly handle: Address;
  readonly code: Image;
  /** With the uninitialised data behind it. */
  readonly data: Image;
  /** Loaded because another asked for it. */
  readonly automatic: boolean;
  /** `OS`, or the name of the protected address space it was asked to be in: recorded, there is one space here. */
  readonly space: string;
  /** Modules whose publics it imports. */
  readonly uses: ReadonlySet<NlmModule>;
  readonly imports: readonly string[];
  readonly forget: () => void;
}

/** A library that is a part of the base kernel: its publics appear when it is loaded, as with a file. */
export interface BuiltInLibrary {
  readonly name: string;
  readonly description: string;
  readonly names: ReadonlySet<string>;
}

export interface Public {
  readonly name: string;
  readonly address: Address;
  /** Undefined: the server itself, or a library that it has built in. */
  readonly owner: NlmModule | undefined;
}

export class Publics {
  private readonly all = new Map<string, Public>();

  add(symbol: Public): void {
    this.all.set(symbol.name, symbol);
  }

  /** The whole name first; then without the prefix that names a library. */
  find(name: string): Public | undefined {
    const whole = this.all.get(name);
    if (whole !== undefined) return whole;
    const at = name.indexOf('@');
    return at > 0 && !/^\d/.test(name.slice(at + 1)) ? this.all.get(name.slice(at + 1)) : undefined;
  }

  remove(name: string): void {
    this.all.delete(name);
  }

  removeOwner(owner: NlmModule): void {
    for (const [name, symbol] of this.all) if (symbol.owner === owner) this.all.delete(name);
  }
}

export class Modules {
  private readonly list: NlmModule[] = [];

  add(module: NlmModule): void {
    this.list.push(module);
  }

  remove(module: NlmModule): void {
    const at = this.list.indexOf(module);
    if (at >= 0) this.list.splice(at, 1);
  }

  /** With or without extension, in either case; of several copies the last. */
  find(name: string): NlmModule | undefined {
    const wanted = name.toUpperCase();
    return this.list.findLast((module) => module.name === wanted || module.name.startsWith(`${wanted}.`));
  }

  byHandle(handle: Address): NlmModule | undefined {
    return this.list.find((module) => module.handle === handle);
  }

  at(address: Address): NlmModule | undefined {
    const inside = ({ address: base, bytes }: Image) => address >= base && address < base + bytes;
    return this.list.find((module) => inside(module.code) || inside(module.data));
  }

  /** Those that import from a module. */
  users(module: NlmModule): NlmModule[] {
    return this.list.filter((one) => one.uses.has(module));
  }

  [Symbol.iterator](): Iterator<NlmModule> {
    return this.list[Symbol.iterator]();
  }
}
