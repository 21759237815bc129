/** Modules inside of files (sys/kern/kern_module.c): registered with the file, started by a SYSINIT, asked before they go. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import type { KldModule } from './kld.ts';
import { elements, insertHead, insertTail, removeElement, type TailQueue } from './lists.ts';

import { registeredText } from './rules/interfaces.ts';

/** modeventtype of sys/module.h. */
export const MOD = { LOAD: 0, UNLOAD: 1, SHUTDOWN: 2, QUIESCE: 3 } as const;

export class ModuleRegistry {
  /** All modules of all files. */
  readonly all: TailQueue;
  /** Why the last module that did not start did not. */
  lastFailure: string | undefined;
  private readonly k: FreeBsd;

  constructor(k: FreeBsd) {
    this.k = k;
    this.all = { head: k.symbolAddress('modules'), entry: k.offset('module.link') };
  }

  modulesOf(file: Address): TailQueue {
    return { head: file + this.k.offset('linker_file.modules'), entry: this.k.offset('module.flink') };
  }

  name(module: Address): string {
    return this.k.readString('module.name', module);
  }

  find(name: string): Address | undefined {
    return elements(this.k, this.all).find((one) => this.name(one) === name);
  }

  findId(id: number): Address | undefined {
    return elements(this.k, this.all).find((one) => this.k.read('module.id', one) === id);
  }

  /** linker_file_register_modules: gives the error of a name that is taken; other errors are passed over. */
  registerAll(file: Address, { section, kld, name: fileName }: KldModule): KernelErrno | undefined {
    const set = section('set_modmetadata_set');
    let first: KernelErrno | undefined;
    if (set === undefined) return undefined;
    const { memory, word } = this.k;
    kld.metadata.forEach((record, i) => {
      if (record.kind !== 'module') return;
      const metadata = memory.ptr(set.address + i * word);
      const data = memory.ptr(metadata + 8);
      const taken = this.register(file, fileName, data);
      first ??= taken;
    });
    return first;
  }

  /** module_register for a struct moduledata. */
  register(file: Address, fileName: string, data: Address): KernelErrno | undefined {
    const { k } = this;
    const name = k.readString('moduledata.name', data);
    const other = this.find(name);
    if (other !== undefined) {
      const from = k.readString('linker_file.filename', k.read('module.file', other));
      k.printf(`${registeredText(name, fileName, from)}\n`);
      k.printf(`Module ${name} failed to register: ${Errno.EEXIST}\n`);
      return new KernelErrno(Errno.EEXIST, `A module ${name} is there already, from ${from}.`);
    }
    const module = k.heap.allocate(k.sizeof('module'));
    if (module === 0) return undefined;
    k.write('module.refs', module, 1);
    const next = k.symbolAddress('nextid');
    k.write('module.id', module, k.memory.i32(next));
    k.memory.set32(next, k.memory.i32(next) + 1);
    k.write('module.name', module, k.heap.string(name));
    k.write('module.handler', module, k.read('moduledata.evhand', data));
    k.write('module.arg', module, k.read('moduledata.priv', data));
    k.write('module.file', module, file);
    insertTail(k, this.all, module);
    insertTail(k, this.modulesOf(file), module);
    return undefined;
  }

  /** Calls a module's event handler; without one, loading succeeds and unloading does not (modevent_nop). */
  *event(module: Address, what: number): Steps<number> {
    const { k } = this;
    const handler = k.read('module.handler', module);
    if (handler === 0) return NOP_RESULTS[what] ?? Errno.EOPNOTSUPP;
    return yield* k.callInt(handler, module, what, k.read('module.arg', module));
  }

  /** module_register_init, which every DECLARE_MODULE runs as a SYSINIT. */
  *start(data: Address): Steps<void> {
    const { k } = this;
    const name = k.readString('moduledata.name', data);
    const module = this.find(name);
    // The kernel panics here; registering failed before, and the file is about to go.
    if (module === undefined) return;
    const error = yield* this.event(module, MOD.LOAD);
    if (error === 0) {
      const list = this.modulesOf(k.read('module.file', module));
      removeElement(k, list, module);
      insertHead(k, list, module);
      return;
    }
    yield* this.event(module, MOD.UNLOAD);
    const handler = BigInt.asUintN(k.word * 8, BigInt(k.read('moduledata.evhand', data)));
    const priv = BigInt.asUintN(k.word * 8, BigInt(k.read('moduledata.priv', data)));
    this.release(module);
    const shown = priv === 0n ? '0' : `0x${priv.toString(16)}`;
    k.printf(
      `module_register_init: MOD_LOAD (${name}, 0x${handler.toString(16)}, ${shown}) error ${error}\n`,
    );
    this.lastFailure = `The module ${name} refused to start: its MOD_LOAD handler returned ${error}.`;
  }

  release(module: Address): void {
    const { k } = this;
    removeElement(k, this.all, module);
    removeElement(k, this.modulesOf(k.read('module.file', module)), module);
    k.heap.free(k.read('module.name', module));
    k.heap.free(module);
  }

  /** MOD_QUIESCE to each module of a file; a module that does not know the question agrees. */
  *quiesceAll(file: Address, flags: number): Steps<void> {
    for (const module of elements(this.k, this.modulesOf(file))) {
      let error = yield* this.event(module, MOD.QUIESCE);
      if (error === Errno.EOPNOTSUPP || error === Errno.EINVAL) error = 0;
      if (error === 0 || flags === 1) continue;
      const why = `The module ${this.name(module)} asks not to be unloaded now (MOD_QUIESCE returned ${error}).`;
      throw new KernelErrno(error, why, 'Stop using it, or unload it all the same with kldunload -f.');
    }
  }

  /** MOD_UNLOAD to each module; the first that refuses ends it, and those before it are gone. */
  *unloadAll(file: Address): Steps<void> {
    for (const module of elements(this.k, this.modulesOf(file))) {
      const error = yield* this.event(module, MOD.UNLOAD);
      if (error !== 0) {
        const why = `The module ${this.name(module)} refused to be unloaded: its MOD_UNLOAD handler returned ${error}.`;
        throw new KernelErrno(error, why, 'kldunload -f passes over MOD_QUIESCE only, not over this.');
      }
      this.release(module);
    }
  }
}

const NOP_RESULTS: Readonly<Record<number, number>> = { [MOD.LOAD]: 0, [MOD.UNLOAD]: Errno.EBUSY };
