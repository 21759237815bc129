/**
 * Threads: a `struct thread` and `struct proc` in guest memory for each, and the per-CPU block that machine code finds
 * the current one in (`%gs:0`, pc_curthread of sys/pcpu.h). Of these structures only what is named below is known to be
 * where releases 8 to 15 have it; the rest is zero.
 */
import type { Thread } from '../../kernel/thread.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';
import { schedulerLock } from './functions/locks.ts';
import { enterProcess, leaveProcess } from './processes.ts';
import { majorOf } from './version.ts';
import { vnetOf } from './vnet.ts';

/** Larger than struct thread and struct proc of any release. */
export const THREAD_BYTES = 2048;
/** sys/proc.h: td_lock, then td_proc. */
const TD_PROC_WORDS = 1;
/** Offset of td_ucred on amd64, as modules of 10.1 and 14.2 read it. */
const TD_UCRED: Readonly<Record<number, number>> = { 10: 0x138, 14: 0x180 };
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
  private readonly users = new Map<Address, number>();
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
    if (td === 0 || !k.types.has('proc.p_ucred')) return this.users.get(td) ?? 0;
    return this.uidOfCredential(k.read('proc.p_ucred', this.proc(td)));
  }

  /** Effective user id in a struct ucred; releases whose layout is not known have only root's. */
  uidOfCredential(credential: Address): number {
    const { k } = this;
    return credential === 0 || !k.types.has('ucred.cr_uid') ? 0 : k.read('ucred.cr_uid', credential);
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
    const credential = TD_UCRED[majorOf(k.version)];
    if (credential !== undefined && k.bits === 64 && k.types.has('proc.p_ucred'))
      k.memory.setPtr(td + credential, k.read('proc.p_ucred', proc));
    const vnet = vnetOf(k);
    if (vnet !== undefined) k.memory.setPtr(td + vnet.thread, vnet.address);
    this.users.set(td, uid);
    this.names.set(td, name);
    this.pids.set(td, this.lastPid++);
    return td;
  }

  private release(td: Address): void {
    this.byAddress.delete(td);
    this.users.delete(td);
    this.names.delete(td);
    this.pids.delete(td);
    leaveProcess(this.k, this.proc(td));
    this.k.heap.free(this.proc(td));
    this.k.heap.free(td);
  }
}
