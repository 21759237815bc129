/** pipeDrv: devices through which tasks send each other messages with read and write. */
import { definer } from '../../../kernel/functions.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import { ERRNO, ERROR, OK, WAIT_FOREVER } from '../errno.ts';
import { failed } from '../tasks.ts';
import type { VxWorks } from '../vxworks.ts';
import { WaitQueue } from '../waiting.ts';
import { FIONREAD } from './host-files.ts';
import { addKernelDevice, type KernelFile, kernelDevice, removeKernelDevice } from './io.ts';
import { changed } from './select.ts';

const functions = definer<VxWorks>();

/** ioctl codes of ioLib. */
const FIOFLUSH = 2;
const FIONMSGS = 17;
const FIOGETNAME = 18;
/** More than any pipe of a board with this memory can hold. */
const MAX_BYTES = 1 << 24;

class Pipe {
  readonly messages: Uint8Array[] = [];
  readonly readers: WaitQueue;
  readonly writers: WaitQueue;
  open = 0;
  private readonly k: VxWorks;
  readonly name: string;
  private readonly most: number;
  private readonly longest: number;

  constructor(k: VxWorks, name: string, most: number, longest: number) {
    this.k = k;
    this.name = name;
    this.most = most;
    this.longest = longest;
    this.readers = new WaitQueue(k, false);
    this.writers = new WaitQueue(k, false);
  }

  get readable(): boolean {
    return this.messages.length > 0;
  }

  get writable(): boolean {
    return this.messages.length < this.most;
  }

  /** One message; what does not fit into the buffer is lost. */
  *read(buffer: number, most: number): Steps<number> {
    const { k } = this;
    while (!this.readable) {
      const errno = yield* this.readers.wait(`pipe ${this.name}`, WAIT_FOREVER);
      if (errno !== 0) return failed(k, errno);
    }
    const part = (this.messages.shift() ?? new Uint8Array(0)).subarray(0, Math.max(0, most));
    k.memory.write(buffer, part);
    this.writers.wakeOne();
    changed(k);
    return part.length;
  }

  *write(buffer: number, bytes: number): Steps<number> {
    const { k } = this;
    if (bytes > this.longest) return failed(k, ERRNO.S_msgQLib_INVALID_MSG_LENGTH);
    while (!this.writable) {
      const errno = yield* this.writers.wait(`room in pipe ${this.name}`, WAIT_FOREVER);
      if (errno !== 0) return failed(k, errno);
    }
    this.messages.push(k.memory.bytes(buffer, bytes).slice());
    this.readers.wakeOne();
    changed(k);
    return bytes;
  }

  ioctl(code: number, argument: number): number {
    const { k } = this;
    if (code === FIONREAD) k.memory.set32(argument, this.messages[0]?.length ?? 0);
    else if (code === FIONMSGS) k.memory.set32(argument, this.messages.length);
    else if (code === FIOGETNAME) k.memory.write(argument, bytesOf(`${this.name}\0`));
    else if (code === FIOFLUSH) {
      this.messages.length = 0;
      this.writers.wakeAll();
      changed(k);
    } else return failed(k, ERRNO.S_ioLib_UNKNOWN_REQUEST);
    return OK;
  }

  close(): void {
    this.open--;
  }

  delete(): void {
    this.readers.delete();
    this.writers.delete();
  }
}

export const pipeFunctions = functions({
  'STATUS pipeDrv(void)': () => OK,
  'STATUS pipeDevCreate(const char *name, int messages, int bytes)': (k, at, messages, bytes) => {
    if (messages < 1 || bytes < 1 || messages * bytes > MAX_BYTES)
      return failed(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
    const name = guestText(k, at, 255);
    const pipe = new Pipe(k, name, messages, bytes);
    return addKernelDevice(k, name, pipe, (): KernelFile => {
      pipe.open++;
      return pipe;
    });
  },
  'STATUS pipeDevDelete(const char *name, BOOL force)': (k, at, force) => {
    const name = guestText(k, at, 255);
    const pipe = kernelDevice(k, name);
    if (!(pipe instanceof Pipe)) return failed(k, ERRNO.S_iosLib_DEVICE_NOT_FOUND);
    if (pipe.open > 0 && force === 0) return ERROR;
    pipe.delete();
    return removeKernelDevice(k, name) ? OK : ERROR;
  },
});
