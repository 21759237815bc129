/**
 * Threads: a `struct thread` and `struct proc` in guest memory for each, and the per-CPU block that machine code finds
 * the current one in (`%gs:0`, pc_curthread of sys/pcpu.h). Of struct thread only what is named below is known to be where
 * the release has it; the rest is zero.
 */
import type { Thread } from '../../kernel/thread.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { Bits } from './declarations.ts';
import type { FreeBsd } from './freebsd.ts';
import { schedulerLock } from './functions/locks.ts';
import { enterProcess, leaveProcess } from './processes.ts';
import { majorOf } from './version.ts';
import { vnetOf } from './vnet.ts';

/** Larger than struct thread and struct proc of any release. */
export const THREAD_BYTES = 2048;
/** sys/proc.h: td_lock, then td_proc. */
const TD_PROC_WORDS = 1;

/** Offsets in struct thread; what is absent is not known. */
interface ThreadPlaces {
  readonly credential: number;
  readonly id?: number;
  readonly name?: number;
}

/**
 * By major version and bits: of the headers of 9.3, 10.2, 10.4, 12.1 and 15.0, compiled; of 8 and 14 as modules of 8.3 and
 * 14.2 read them. Of 11 and 13 nothing is known.
 */
const PLACES: Readonly<Record<number, Partial<Record<Bits, ThreadPlaces>>>> = {
  8: { 64: { credential: 0x120 }, 32: { credential: 0xb0 } },
  9: { 64: { credential: 0x130, id: 136, name: 652 }, 32: { credential: 0xbc, id: 68, name: 436 } },
  10: { 64: { credential: 0x138, id: 144, name: 644 }, 32: { credential: 0xc0, id: 72, name: 424 } },
  12: { 64: { credential: 0x158, id: 160, name: 684 }, 32: { credential: 0xd8, id: 80, name: 452 } },
  14: { 64: { credential: 0x180 } },
  15: { 64: { credential: 0x188, id: 160, name: 732 }, 32: { credential: 0xf4, id: 80, name: 480 } },
};
/** Thread numbers begin behind those of processes (PID_MAX of sys/proc.h, with room). */
const FIRST_TID = 100000;
/** MAXCOMLEN: what td_name has room for, less the end. */
const NAME_BYTES = 19;
/** EFLAGS.IF */
const INTERRUPTS = 1 << 9;

export class Threads {
  /** thread0, current when no other runs. */
  readonly boot: Address;
  private readonly k: FreeBsd;
  /** The per-CPU block of the one processor (__pcpu). */
  readonly pcpu: Address;
  /** td_lock of every thread. */
  private readonly lock: Address;
  private readonly names = new Map<Address, string>();
  private readonly pids = new Map<Address, number>();
  private readonly byAddress = new Map<Address, Thread>();
  private lastPid = 0;

  constructor(k: FreeBsd) {
    this.k = k;
    this.pcpu = k.data.reserve(PAGE_SIZE);
    this.lock = schedulerLock(k);
    this.boot = this.make('kernel', 0);
    k.memory.setPtr(this.pcpu, this.boot);
  }

  /** Gives a thread of the scheduler its struct thread; freed when it ends. */
  adopt(thread: Thread, name: string, uid = 0): Address {
    const at = this.make(name, uid);
    thread.control = at;
    this.byAddress.set(at, thread);
    thread.onExit(() => this.release(at));
    return at;
  }

  makeCurrent(thread: Thread): void {
    this.k.memory.setPtr(this.pcpu, thread.control || this.boot);
    // amd64 finds it through gs, i386 through fs.
    if (this.k.bits === 64) this.k.cpu.gsBase = this.pcpu;
    else this.k.cpu.fsBase = this.pcpu;
  }

  threadOf(td: Address): Thread | undefined {
    return this.byAddress.get(td);
  }

  /** User id of whoever a struct thread acts for. */
  uid(td: Address): number {
    const { k } = this;
    if (td === 0) return 0;
    return this.uidOfCredential(k.read('proc.p_ucred', this.proc(td)));
  }

  /** Effective user id in a struct ucred. */
  uidOfCredential(credential: Address): number {
    const { k } = this;
    return credential === 0 ? 0 : k.read('ucred.cr_uid', credential);
  }

  name(td: Address): string {
    return this.names.get(td) ?? '';
  }

  proc(td: Address): Address {
    return this.k.memory.ptr(td + TD_PROC_WORDS * this.k.word);
  }

  interruptible(): boolean {
    return (this.k.cpu.rflags & INTERRUPTS) !== 0;
  }

  pid(td: Address): number {
    return this.pids.get(td) ?? 0;
  }

  private make(name: string, uid: number): Address {
    const { k } = this;
    const td = k.heap.allocate(THREAD_BYTES);
    const proc = k.heap.allocate(THREAD_BYTES);
    k.memory.setPtr(td, this.lock);
    k.memory.setPtr(td + TD_PROC_WORDS * k.word, proc);
    enterProcess(k, proc, this.lastPid, uid);
    this.fill(td, proc, name);
    const vnet = vnetOf(k);
    if (vnet !== undefined) k.memory.setPtr(td + vnet.thread, vnet.address);
    this.names.set(td, name);
    this.pids.set(td, this.lastPid++);
    return td;
  }

  private fill(td: Address, proc: Address, name: string): void {
    const { memory, bits, version } = this.k;
    const places = PLACES[majorOf(version)]?.[bits];
    if (places === undefined) return;
    memory.setPtr(td + places.credential, this.k.read('proc.p_ucred', proc));
    if (places.id !== undefined) memory.set32(td + places.id, FIRST_TID + this.lastPid);
    if (places.name !== undefined)
      memory.write(td + places.name, new TextEncoder().encode(`${name.slice(0, NAME_BYTES)}\0`));
  }

  private release(td: Address): void {
    this.byAddress.delete(td);
    this.names.delete(td);
    this.pids.delete(td);
    leaveProcess(this.k, this.proc(td));
    this.k.heap.free(this.proc(td));
    this.k.heap.free(td);
  }
}
