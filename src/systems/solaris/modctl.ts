/**
 * `struct modctl`: one for each module the kernel has heard of, in a ring in guest memory. They are never given back,
 * so that ids stay what they are when a module is unloaded and loaded again (common/os/modctl.c).
 */
import type { Address } from '../../memory/space.ts';
import type { Solaris } from './solaris.ts';

export const LOAD_FLAG = { NOAUTOUNLOAD: 1, NONOTIFY: 2, NOUNLOAD: 4 } as const;

export type ModctlField =
  | 'id'
  | 'mp'
  | 'linkage'
  | 'busy'
  | 'prim'
  | 'ref'
  | 'loaded'
  | 'installed'
  | 'loadflags'
  | 'delay_unload'
  | 'requisites'
  | 'loadcnt'
  | 'text'
  | 'text_size'
  | 'gencount'
  | 'inprogress_thread';

export class Modctl {
  readonly address: Address;
  private readonly k: Solaris;

  constructor(k: Solaris, address: Address) {
    this.k = k;
    this.address = address;
  }

  get(field: ModctlField): number {
    return this.k.read(`modctl.mod_${field}`, this.address);
  }

  set(field: ModctlField, value: number): void {
    this.k.write(`modctl.mod_${field}`, this.address, value);
  }

  get id(): number {
    return this.get('id');
  }

  get name(): string {
    return this.k.readString('modctl.mod_modname', this.address);
  }

  get file(): string {
    return this.k.readString('modctl.mod_filename', this.address);
  }

  set file(path: string) {
    const at = this.k.offset('modctl.mod_filename');
    this.k.heap.free(this.k.memory.ptr(this.address + at));
    this.k.memory.setPtr(this.address + at, this.k.heap.takeString(path));
  }

  has(flag: number): boolean {
    return (this.get('loadflags') & flag) !== 0;
  }

  /** The modules this one needs, in order of their ids (mod_requisites). */
  requisites(): Modctl[] {
    const { k } = this;
    const found: Modctl[] = [];
    for (let at = this.get('requisites'); at !== 0; at = k.read('modctl_list.modl_next', at))
      found.push(new Modctl(k, k.read('modctl_list.modl_modp', at)));
    return found;
  }
}

/** basename: what a module is called, wherever its file lies. */
export const moduleName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export class Modctls {
  private readonly k: Solaris;
  /** unix: the head of the ring. */
  private readonly head: Address;
  private count = 0;

  constructor(k: Solaris) {
    this.k = k;
    this.head = this.make('/platform/i86pc/kernel/unix', 0);
    const genunix = this.add('/kernel/genunix');
    // Its functions are among those of the base kernel, so modules that name it find it.
    const ctf = this.add('/kernel/misc/ctf');
    for (const one of [new Modctl(k, this.head), genunix, ctf]) {
      for (const field of ['prim', 'loaded', 'installed', 'loadcnt'] as const) one.set(field, 1);
    }
    // Our functions stand for the text of one, our variables for what the other has.
    for (const [one, { base, bytes }] of [
      [new Modctl(k, this.head), k.map.data],
      [genunix, k.map.gates],
      [ctf, { base: k.map.gates.base, bytes: 0 }],
    ] as const) {
      one.set('text', base);
      one.set('text_size', bytes);
    }
  }

  *[Symbol.iterator](): Iterator<Modctl> {
    const { k } = this;
    let at = this.head;
    do {
      yield new Modctl(k, at);
      at = k.read('modctl.mod_next', at);
    } while (at !== this.head);
  }

  byName(name: string): Modctl | undefined {
    for (const one of this) if (one.name === name) return one;
    return undefined;
  }

  byId(id: number): Modctl | undefined {
    for (const one of this) if (one.id === id) return one;
    return undefined;
  }

  byAddress(address: Address): Modctl {
    return new Modctl(this.k, address);
  }

  /** The modctl of that name, made when there is none yet (mod_hold_by_name). */
  hold(path: string): Modctl {
    return this.byName(moduleName(path)) ?? this.add(path);
  }

  private add(path: string): Modctl {
    const { k } = this;
    const at = this.make(path, ++this.count);
    const last = k.read('modctl.mod_prev', this.head);
    k.write('modctl.mod_next', at, this.head);
    k.write('modctl.mod_prev', at, last);
    k.write('modctl.mod_next', last, at);
    k.write('modctl.mod_prev', this.head, at);
    return new Modctl(k, at);
  }

  private make(path: string, id: number): Address {
    const { k } = this;
    const at = k.heap.take(k.sizeof('modctl'));
    k.write('modctl.mod_next', at, at);
    k.write('modctl.mod_prev', at, at);
    k.write('modctl.mod_id', at, id);
    k.write('modctl.mod_filename', at, k.heap.takeString(path));
    k.write('modctl.mod_modname', at, k.heap.takeString(moduleName(path)));
    return at;
  }

  /** mod_make_requisite: `dependent` needs `on`, which is counted once. */
  makeRequisite(dependent: Modctl, on: Modctl): void {
    const { k } = this;
    if (dependent.requisites().some(({ address }) => address === on.address)) return;
    const field = k.offset('modctl.mod_requisites');
    let link = dependent.address + field;
    for (let at = k.memory.ptr(link); at !== 0; at = k.memory.ptr(link)) {
      if (this.byAddress(k.read('modctl_list.modl_modp', at)).id > on.id) break;
      link = at + k.offset('modctl_list.modl_next');
    }
    const entry = k.heap.take(k.sizeof('modctl_list'));
    k.write('modctl_list.modl_next', entry, k.memory.ptr(link));
    k.write('modctl_list.modl_modp', entry, on.address);
    k.memory.setPtr(link, entry);
    on.set('ref', on.get('ref') + 1);
  }

  /** mod_release_requisites; gives the modules whose last holder this was. */
  releaseRequisites(dependent: Modctl): Modctl[] {
    const { k } = this;
    const freed: Modctl[] = [];
    for (let at = dependent.get('requisites'); at !== 0; ) {
      const next = k.read('modctl_list.modl_next', at);
      const on = this.byAddress(k.read('modctl_list.modl_modp', at));
      on.set('ref', on.get('ref') - 1);
      if (on.get('ref') === 0) freed.push(on);
      k.heap.free(at);
      at = next;
    }
    dependent.set('requisites', 0);
    return freed;
  }
}
