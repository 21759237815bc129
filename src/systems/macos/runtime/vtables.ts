/**
 * The order of virtual functions in the kernel's C++ classes, by release and architecture, as scripts/make-vtables-macos.mjs
 * compiled it from the public headers. The packed text: a line of column names, then a line a class with its name, a mask of
 * columns in base 36, its parent (`-`: none), the size of an object, and the slots in which it differs from its parent.
 */
import { inflateSync } from 'fflate';
import type { Architecture } from '../info.ts';
import type { Release } from '../release.ts';
import { VTABLES } from '../vtables.gen.ts';
import { withoutWidths } from './mangled.ts';

export interface KernelClass {
  readonly name: string;
  readonly parent: string | undefined;
  /** Bytes of an object. */
  readonly size: number;
  /** Mangled names without their leading underscore, behind the two words of head. */
  readonly slots: readonly string[];
}

export const PURE = '__cxa_pure_virtual';

interface Line {
  readonly name: string;
  readonly parent: string;
  readonly size: number;
  readonly words: readonly string[];
}

/** The classes of one release's kernel on one architecture. */
export class KernelClasses {
  /** Is the order of this release recorded? Without it C++ kexts cannot be linked. */
  readonly known: boolean;
  private readonly lines = new Map<string, Line>();
  private readonly made = new Map<string, KernelClass>();
  /** Slots of a class by names without widths, on i386: callers name functions as on x86_64. */
  private readonly bare = new Map<string, readonly string[]>();
  private readonly narrow: boolean;

  constructor(release: Pick<Release, 'name'>, architecture: Architecture) {
    const bytes = Uint8Array.from(atob(VTABLES), (character) => character.charCodeAt(0));
    const [head, ...lines] = new TextDecoder().decode(inflateSync(bytes)).split('\n');
    this.narrow = architecture === 'i386';
    const column = head.split(',').indexOf(`${architecture} ${release.name}`);
    this.known = column >= 0;
    if (column < 0) return;
    for (const line of lines) {
      const [name, mask, parent, size, ...words] = line.split(' ');
      if (((Number.parseInt(mask, 36) >>> column) & 1) === 1)
        this.lines.set(name, { name, parent, size: Number(size), words });
    }
  }

  get names(): readonly string[] {
    return [...this.lines.keys()];
  }

  has(name: string): boolean {
    return this.lines.has(name);
  }

  get(name: string): KernelClass | undefined {
    const known = this.made.get(name);
    if (known !== undefined) return known;
    const line = this.lines.get(name);
    if (line === undefined) return undefined;
    const parent = line.parent === '-' ? undefined : this.get(line.parent);
    const slots = [...(parent?.slots ?? [])];
    let at = 0;
    for (const word of line.words) {
      if (/^\d+$/.test(word)) at = Number(word);
      else slots[at++] = word === '!' ? PURE : `_Z${word}`;
    }
    const made = { name, parent: parent?.name, size: line.size, slots };
    this.made.set(name, made);
    return made;
  }

  /** Which slot of a class a function of it or its parents stands in. @throws RangeError when it has no such function */
  slot(name: string, symbol: string): number {
    for (let one = this.get(name); one !== undefined; one = this.get(one.parent ?? '')) {
      const at = this.indexOf(one, symbol);
      if (at >= 0) return at;
    }
    throw new RangeError(`class ${name} of this release has no virtual function ${symbol}`);
  }

  /** The same, undefined when a release has no such function. */
  findSlot(name: string, symbol: string): number | undefined {
    const one = this.get(name);
    const at = one === undefined ? -1 : this.indexOf(one, symbol);
    return at < 0 ? undefined : at;
  }

  private indexOf({ name, slots }: KernelClass, symbol: string): number {
    const at = slots.indexOf(symbol);
    if (at >= 0 || !this.narrow) return at;
    const bare = this.bare.get(name) ?? slots.map(withoutWidths);
    this.bare.set(name, bare);
    return bare.indexOf(withoutWidths(symbol));
  }
}
