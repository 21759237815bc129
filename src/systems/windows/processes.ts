/** Processes: the System process, the one that the session's requests come from, and those that were started to be seen. */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import type { KernelObject } from './objects.ts';
import { encodeLatin1 } from './strings.ts';
import { signal } from './wait.ts';
import type { Windows } from './windows.ts';

/** Bytes enough for EPROCESS of every release; drivers see it as opaque. */
const PROCESS_BYTES = 0xb80;
/** DISPATCHER_HEADER type of processes (wdm.h, KOBJECTS). */
const PROCESS_OBJECT = 3;
/** EPROCESS.ImageFileName of Windows 7 by layout: fifteen characters and a NUL. */
const IMAGE_FILE_NAME = { 8: 0x2e0, 4: 0x16c } as const;
const NAME_BYTES = 15;
export const SYSTEM_ID = 4;
const FIRST_ID = 0x1a4;

export interface ProcessInfo {
  readonly object: KernelObject;
  readonly id: number;
  readonly parent: number;
  /** notepad.exe */
  readonly name: string;
  /** \??\C:\Windows\System32\notepad.exe */
  readonly path: string;
  /** System time in 100 ns. */
  readonly created: bigint;
  /** undefined while it runs. */
  exitStatus: number | undefined;
  exited: bigint;
}

export class Processes {
  private readonly k: Windows;
  private readonly byAddress = new Map<Address, ProcessInfo>();
  private next = FIRST_ID;
  readonly system: ProcessInfo;
  readonly user: ProcessInfo;

  constructor(k: Windows) {
    this.k = k;
    this.system = this.create('System', '', 0, SYSTEM_ID);
    this.user = this.create('lkm.exe', '\\??\\C:\\Windows\\System32\\lkm.exe', SYSTEM_ID);
  }

  create(name: string, path: string, parent: number, id?: number): ProcessInfo {
    const { k } = this;
    const object = k.objects.create('Process', PROCESS_BYTES, { extra: name });
    k.memory.set8(object.address, PROCESS_OBJECT);
    const list = object.address + k.offset('DISPATCHER_HEADER.WaitListHead');
    k.memory.setPtr(list, list);
    k.memory.setPtr(list + k.word, list);
    k.memory.write(this.imageName(object.address), encodeLatin1(name.slice(0, NAME_BYTES - 1)));
    const info: ProcessInfo = {
      object,
      id: id ?? this.next,
      parent,
      name,
      path,
      created: k.processor.systemTime(),
      exitStatus: undefined,
      exited: 0n,
    };
    if (id === undefined) this.next += 4;
    this.byAddress.set(object.address, info);
    return info;
  }

  imageName(process: Address): Address {
    return process + IMAGE_FILE_NAME[this.k.word];
  }

  at(process: Address): ProcessInfo | undefined {
    return this.byAddress.get(process);
  }

  byId(id: number): ProcessInfo | undefined {
    for (const info of this.byAddress.values())
      if (info.id === id && info.exitStatus === undefined) return info;
    return undefined;
  }

  get live(): readonly ProcessInfo[] {
    return [...this.byAddress.values()].filter(({ exitStatus }) => exitStatus === undefined);
  }

  /** The process is over: those who wait for it go on, the object stays while somebody refers to it. */
  *end(info: ProcessInfo, status: number): Steps<void> {
    info.exitStatus = status;
    info.exited = this.k.processor.systemTime();
    signal(this.k, info.object.address, 1);
    yield* this.k.objects.dereference(info.object);
    if (!this.k.objects.has(info.object.address)) this.byAddress.delete(info.object.address);
  }
}
