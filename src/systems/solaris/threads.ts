/** kthread_t and cred_t for every thread, and what %gs leads to on amd64: cpu_t with the current thread. */
import type { Thread } from '../../kernel/thread.ts';
import type { Address } from '../../memory/space.ts';
import type { Solaris } from './solaris.ts';

export interface Credential {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: Credential = { uid: 0, gid: 0 };

/** Room for struct cpu, of which modules may read more than is declared here. */
const CPU_BYTES = 4096;

export class Threads {
  /** The thread that is current while nothing runs: thread 0. */
  readonly boot: Address;
  /** kcred. */
  readonly kernelCredential: Address;
  readonly cpu: Address;
  private readonly k: Solaris;
  private readonly byControl = new Map<Address, Thread>();
  private nextId = 0;

  constructor(k: Solaris) {
    this.k = k;
    this.cpu = k.data.take(CPU_BYTES);
    this.kernelCredential = this.credential(ROOT);
    this.boot = k.heap.take(k.sizeof('kthread'));
    k.write('kthread.t_cred', this.boot, this.kernelCredential);
    k.write('cpu.cpu_self', this.cpu, this.cpu);
    this.setCurrent(this.boot);
  }

  credential({ uid, gid }: Credential): Address {
    const at = this.k.heap.take(this.k.sizeof('cred'));
    this.k.write('cred.cr_ref', at, 1);
    for (const field of ['cr_uid', 'cr_ruid', 'cr_suid']) this.k.write(`cred.${field}`, at, uid);
    for (const field of ['cr_gid', 'cr_rgid', 'cr_sgid']) this.k.write(`cred.${field}`, at, gid);
    return at;
  }

  /** Gives a thread its kthread_t; freed when it ends. */
  adopt(thread: Thread, credential: Credential = ROOT): void {
    const { k } = this;
    const at = k.heap.take(k.sizeof('kthread'));
    const own = credential.uid === 0 ? this.kernelCredential : this.credential(credential);
    k.write('kthread.t_stk', at, thread.stackBase + thread.stackSize);
    k.write('kthread.t_cred', at, own);
    k.write('kthread.t_tid', at, ++this.nextId);
    k.memory.setU64(at + k.offset('kthread.t_did'), BigInt(this.nextId));
    k.write('kthread.t_cpu', at, this.cpu);
    thread.control = at;
    this.byControl.set(at, thread);
    thread.onExit(() => {
      this.byControl.delete(at);
      k.heap.free(at);
      if (own !== this.kernelCredential) k.heap.free(own);
    });
  }

  threadOf(control: Address): Thread | undefined {
    return this.byControl.get(control);
  }

  /** cred_t of whoever runs. */
  get currentCredential(): Address {
    return this.k.read('kthread.t_cred', this.k.curthread) || this.kernelCredential;
  }

  makeCurrent(thread: Thread): void {
    this.setCurrent(thread.control || this.boot);
  }

  private setCurrent(control: Address): void {
    // What curthread reads through %gs: cpu_thread is at 0x18 on amd64 (sys/cpuvar.h).
    this.k.write('cpu.cpu_thread', this.cpu, control);
    this.k.cpu.gsBase = this.cpu;
  }
}
