/**
 * Addresses for kernel functions of ours in a kernel that has no image of the user's: each name gets a gate when a
 * module first imports it. A system with a kernel file binds functions at their real link addresses instead.
 */
import { type Address, PAGE_SIZE } from '../memory/address.ts';
import { Perm } from '../memory/space.ts';
import type { FunctionTable, KernelFunction } from './functions.ts';
import { GATE_STEP, type Kernel } from './kernel.ts';

/** int3, as kernels fill unused text. */
const FILL = 0xcc;
/** ud2: the processor leaves for TypeScript before it would reach it; a copy of the bytes elsewhere faults. */
const GATE = [0x0f, 0x0b];

/** Maps readable, executable bytes at the kernel's gates, so that function pointers to them can be looked at. */
export function mapGates(k: Kernel): void {
  mapText(k, k.gates.base, k.gates.bytes, Perm.R | Perm.X);
}

function mapText(k: Kernel, base: Address, bytes: number, perm: number): void {
  k.memory.mapLazy(base, bytes / PAGE_SIZE, perm, 'kernel gates', (_page, page) => {
    page.fill(FILL);
    for (let at = 0; at < page.length; at += GATE_STEP) page.set(GATE, at);
  });
}

/**
 * Gates of what nobody wrote, in pages that can be executed and not read: a name may be that of a variable, and a module that
 * reads one must not get the bytes of a gate.
 */
export class HiddenGates {
  private readonly k: Kernel;
  private readonly base: Address;
  private readonly end: Address;
  private next: Address;
  private readonly names = new Map<Address, string>();

  /** `base` and `bytes`: whole pages beside those of the kernel's own gates. */
  constructor(k: Kernel, { base, bytes }: { readonly base: Address; readonly bytes: number }) {
    this.k = k;
    this.base = base;
    this.next = base;
    this.end = base + bytes;
    mapText(k, base, bytes, Perm.X);
  }

  take(name: string): Address {
    const address = this.next;
    this.next += VARIABLE_STEP;
    if (this.next > this.end) throw new Error('no room for another missing symbol');
    this.names.set(address, name);
    this.k.bindMissing(name, address);
    return address;
  }

  /** What lies at an address that code has tried to read or write. */
  nameAt(address: Address): string | undefined {
    return this.names.get(address - ((address - this.base) % VARIABLE_STEP));
  }
}

/** Room for what code may take the missing name for. */
const VARIABLE_STEP = 64;

/** A kernel's own functions by name, bound to gates on demand. */
export class FunctionGates<K extends Kernel> {
  private readonly k: K;
  private readonly functions: FunctionTable<K>;
  private readonly bound = new Map<string, Address>();
  private readonly absent = new Map<string, Address>();
  private readonly hidden: HiddenGates | undefined;

  constructor(k: K, functions: FunctionTable<K>, hidden?: HiddenGates) {
    this.k = k;
    this.functions = functions;
    this.hidden = hidden;
  }

  /** Did somebody write this function? */
  has(name: string): boolean {
    return this.functions.has(name);
  }

  get names(): Iterable<string> {
    return this.functions.keys();
  }

  /** Where the function is called at; undefined when nobody wrote it. */
  address(name: string): Address | undefined {
    const known = this.bound.get(name);
    if (known !== undefined) return known;
    const fn = this.functions.get(name);
    if (fn === undefined) return undefined;
    const address = this.k.gate(name, fn as KernelFunction<never>);
    this.bound.set(name, address);
    return address;
  }

  /** A gate for a function that nobody wrote: a call of it follows the kernel's policy for missing functions. */
  missing(name: string): Address {
    let address = this.absent.get(name);
    if (address !== undefined) return address;
    if (this.hidden === undefined) {
      address = this.k.takeGate();
      this.k.bindMissing(name, address);
    } else address = this.hidden.take(name);
    this.absent.set(name, address);
    return address;
  }
}
