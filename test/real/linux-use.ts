/** Loading real Debian modules and using them, for tests. */
import { fileURLToPath } from 'node:url';
import type { Steps } from '../../src/kernel/steps.ts';
import { bootLinux } from '../../src/systems/linux/bootkernel.ts';
import {
  aead,
  cipherBlocks,
  compress,
  compressApart,
  digest,
  skcipher,
} from '../../src/systems/linux/crypto/use.ts';
import type { KernelFile } from '../../src/systems/linux/kernelfile/kernelfile.ts';
import type { Linux } from '../../src/systems/linux/linux.ts';
import { insmod, rmmod } from '../../src/systems/linux/loader.ts';
import { serveRequests } from '../../src/targets/census.ts';
import { moduleBytes, modulesBelow, Tree } from '../../src/targets/census-tree.ts';
import { BUILT_IN, openKernel } from '../../src/targets/kernel-store.ts';
import { type DebianKernel, describeWith, needs } from './require.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const bytes = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Debian's kernel of a machine, and the built-in description of it. */
const MACHINES = [
  ['debian-amd64', BUILT_IN],
  ['debian-i386', 'builtin:debian-6.1-686'],
] as const;

/** A describe block for each kind of x86 that Debian builds kernels for. */
export function describeModules(name: string, body: (modules: RealModules) => void): void {
  for (const [need, builtin] of MACHINES) {
    describeWith(needs(need), `${name} (${need})`, (found) => {
      body(new RealModules(found, openKernel(builtin, { packaged, environment: process.env })));
    });
  }
}

const packaged = (path: string): string => `${root}${path}`;

/** The modules of one Debian kernel, to be loaded into fresh kernels. */
export class RealModules {
  readonly tree: Tree;
  private readonly kernel: KernelFile;

  /** @param kernel the kernel they are for, the built-in one by default */
  constructor({ modules }: Pick<DebianKernel, 'modules'>, kernel?: KernelFile) {
    this.tree = new Tree(modulesBelow(modules));
    this.kernel = kernel ?? openKernel(BUILT_IN, { packaged, environment: process.env });
  }

  /** Does this kernel have it as a module? Some are built in, or gone, in other releases. */
  has(name: string): boolean {
    return this.tree.modules.some((module) => module.name === name);
  }

  /** Boots, loads a module with its dependencies, lets `use` work with it, unloads all and says what leaked. */
  with<T>(name: string, use: (live: Live) => T): { result: T; leaks: number } {
    const k = bootLinux(this.kernel);
    const module = this.tree.modules.find((one) => one.name === name);
    if (module === undefined) throw new Error(`there is no module ${name}`);
    serveRequests(k, (wanted) => {
      const asked = this.tree.find(wanted);
      return asked === undefined
        ? []
        : this.tree.plan(asked).map((one) => ({ ...one, bytes: this.tree.bytesOf(one) }));
    });
    for (const one of this.tree.plan(module)) {
      const result = insmod(k, moduleBytes(one), '', { path: one.path });
      if (result.outcome !== 'loaded') throw new Error(`${one.name}: ${JSON.stringify(result)}`);
    }
    const result = use(new Live(k));
    let leaks = 0;
    // Newest first, again and again: what a module asked for while it loaded is newer than the module.
    for (let left = [...k.modules].reverse(); left.length > 0; left = [...k.modules].reverse()) {
      const gone = left.filter((one) => rmmod(k, one.name).outcome === 'unloaded');
      if (gone.length === 0) throw new Error(`these stay: ${left.map((one) => one.name).join(', ')}`);
      for (const one of gone) leaks += k.heap.allocationsOf(one).length;
    }
    return { result, leaks };
  }
}

/** A kernel with a module in it. */
export class Live {
  readonly k: Linux;

  constructor(k: Linux) {
    this.k = k;
  }

  run<T>(steps: Steps<T>): T {
    return this.k.runTask('test', steps);
  }

  digest(name: string, message: Uint8Array, key?: Uint8Array): string {
    const result = this.run(digest(this.k, name, message, key));
    return typeof result === 'number' ? `errno ${result}` : hex(result);
  }

  encrypt(name: string, key: Uint8Array, block: Uint8Array): string {
    return this.block(name, key, block, 'encrypt');
  }

  decrypt(name: string, key: Uint8Array, block: Uint8Array): string {
    return this.block(name, key, block, 'decrypt');
  }

  private block(name: string, key: Uint8Array, block: Uint8Array, how: 'encrypt' | 'decrypt'): string {
    const result = this.run(cipherBlocks(this.k, name, key, block, how));
    return typeof result === 'number' ? `errno ${result}` : hex(result);
  }

  /** Text through a cipher over scatter lists. */
  cipher(
    name: string,
    key: Uint8Array | undefined,
    iv: Uint8Array,
    text: Uint8Array,
    how: 'encrypt' | 'decrypt',
  ): Uint8Array {
    const result = this.run(skcipher(this.k, name, key, iv, text, how));
    if (typeof result === 'number') throw new Error(`${name} ${how}: ${result}`);
    return result;
  }

  /** Text through an AEAD; an errno where it refuses. */
  aead(
    name: string,
    [key, iv, associated]: readonly [Uint8Array, Uint8Array, Uint8Array],
    text: Uint8Array,
    tagBytes: number,
    how: 'encrypt' | 'decrypt',
  ): Uint8Array | number {
    return this.run(aead(this.k, name, key, iv, associated, text, tagBytes, how));
  }

  compress(name: string, data: Uint8Array, room: number, how: 'compress' | 'decompress'): Uint8Array {
    const result = this.run(compress(this.k, name, data, room, how));
    if (typeof result === 'number') throw new Error(`${name} ${how}: ${result}`);
    return result;
  }

  /** The same through the algorithm's other form (scomp). */
  compressApart(name: string, data: Uint8Array, room: number, how: 'compress' | 'decompress'): Uint8Array {
    const result = this.run(compressApart(this.k, name, data, room, how));
    if (typeof result === 'number') throw new Error(`${name} ${how}: ${result}`);
    return result;
  }

  /** Kernel memory that holds these bytes; never freed, the kernel ends with the test. */
  memory(content: Uint8Array | number): number {
    const length = typeof content === 'number' ? content : content.length;
    const at = this.k.heap.allocate(Math.max(16, length));
    if (typeof content !== 'number') this.k.memory.write(at, content);
    return at;
  }

  read(at: number, length: number): Uint8Array {
    return this.k.memory.bytes(at, length);
  }

  /** Calls a function that a module exports; a 64-bit argument must be a bigint. The result has all 64 bits. */
  call(name: string, ...args: (number | bigint)[]): bigint {
    const { k } = this;
    for (const module of k.modules as Iterable<{ exports: ReadonlyMap<string, { address: number }> }>) {
      const found = module.exports.get(name);
      if (found === undefined) continue;
      return this.run(
        (function* () {
          yield* k.call(found.address, ...args);
          return k.convention.resultBig(k.cpu);
        })(),
      );
    }
    throw new Error(`no module exports ${name}`);
  }
}
