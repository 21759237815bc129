/**
 * seq_file: files whose content a module writes record by record (fs/seq_file.c). The structure is the guest's;
 * the buffer is guest memory too, since records are printed into it by inline code.
 */
import type { VarArgs } from '../../../abi/convention.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';

const PAGE = 4096;
/** A buffer beyond this is a record that never fits: the kernel's own limit is its allocator's. */
const MAX_BUFFER = 1 << 22;
/** SEQ_SKIP (include/linux/seq_file.h). */
const SEQ_SKIP = 1;
const O_EXCL_SEEK_CUR = 1;

function open(k: Linux, file: Address, operations: Address): number {
  const seq = k.heap.allocateZeroed(k.sizeof('seq_file'));
  k.write('file.private_data', file, seq);
  k.write('seq_file.op', seq, operations);
  k.write('seq_file.file', seq, file);
  return 0;
}

/** Appends bytes; an overflow is marked by count == size, and the record is made again in a larger buffer. */
export function seqWrite(k: Linux, seq: Address, bytes: Uint8Array): number {
  const count = k.read('seq_file.count', seq);
  const size = k.read('seq_file.size', seq);
  if (count + bytes.length < size) {
    k.memory.write(k.read('seq_file.buf', seq) + count, bytes);
    k.write('seq_file.count', seq, count + bytes.length);
    return 0;
  }
  k.write('seq_file.count', seq, size);
  return -1;
}

function text(k: Linux, seq: Address, value: string): number {
  return seqWrite(k, seq, new TextEncoder().encode(value));
}

function overflowed(k: Linux, seq: Address): boolean {
  return k.read('seq_file.count', seq) === k.read('seq_file.size', seq);
}

function ensureBuffer(k: Linux, seq: Address, size: number): void {
  const old = k.read('seq_file.buf', seq);
  if (old !== 0) k.heap.free(old);
  k.write('seq_file.buf', seq, k.heap.allocate(size));
  k.write('seq_file.size', seq, size);
  k.write('seq_file.count', seq, 0);
}

function* callOperation(k: Linux, seq: Address, name: string, ...args: number[]): Steps<number> {
  const method = k.read(`seq_operations.${name}`, k.read('seq_file.op', seq));
  return yield* k.call(method, seq, ...args);
}

const indexAddress = (k: Linux, seq: Address): Address => seq + k.offset('seq_file.index');

function* show(k: Linux, seq: Address, entry: Address): Steps<number> {
  const method = k.read('seq_operations.show', k.read('seq_file.op', seq));
  return yield* k.callInt(method, seq, entry);
}

/** Makes one non-empty record, in a buffer that fits it. Returns the current entry, 0 at the end, or an error. */
function* firstRecord(k: Linux, seq: Address): Steps<Address> {
  let entry = yield* callOperation(k, seq, 'start', indexAddress(k, seq));
  while (entry !== 0 && !isError(entry)) {
    const result = yield* show(k, seq, entry);
    if (result < 0) return result;
    if (result === SEQ_SKIP) k.write('seq_file.count', seq, 0);
    if (k.read('seq_file.count', seq) === 0) {
      entry = yield* callOperation(k, seq, 'next', entry, indexAddress(k, seq));
      continue;
    }
    if (!overflowed(k, seq)) return entry;
    yield* callOperation(k, seq, 'stop', entry);
    const larger = k.read('seq_file.size', seq) * 2;
    if (larger > MAX_BUFFER) return -Errno.ENOMEM;
    ensureBuffer(k, seq, larger);
    entry = yield* callOperation(k, seq, 'start', indexAddress(k, seq));
  }
  return entry;
}

/** Adds the records that still fit after the first. */
function* moreRecords(k: Linux, seq: Address, first: Address, wanted: number): Steps<Address> {
  let entry = first;
  for (;;) {
    const before = k.read('seq_file.index', seq);
    entry = yield* callOperation(k, seq, 'next', entry, indexAddress(k, seq));
    // A next that does not advance would repeat a record for ever; the kernel warns and advances itself.
    if (k.read('seq_file.index', seq) === before) k.write('seq_file.index', seq, before + 1);
    if (entry === 0 || isError(entry) || k.read('seq_file.count', seq) >= wanted) return entry;
    const offset = k.read('seq_file.count', seq);
    const result = yield* show(k, seq, entry);
    if (result > 0) k.write('seq_file.count', seq, offset);
    else if (result < 0 || overflowed(k, seq)) {
      k.write('seq_file.count', seq, offset);
      return entry;
    }
  }
}

/** Bytes still in the buffer from an earlier record go out first. */
function drain(k: Linux, seq: Address, buffer: Address, count: number): number {
  const left = Math.min(k.read('seq_file.count', seq), count);
  const from = k.read('seq_file.from', seq);
  k.memory.copy(buffer, k.read('seq_file.buf', seq) + from, left);
  k.write('seq_file.from', seq, from + left);
  k.write('seq_file.count', seq, k.read('seq_file.count', seq) - left);
  return left;
}

/** seq_read. */
export function* seqRead(
  k: Linux,
  file: Address,
  buffer: Address,
  count: number,
  position: Address,
): Steps<number> {
  const seq = k.read('file.private_data', file);
  if (count === 0) return 0;
  const at = k.memory.ptr(position);
  if (at === 0) {
    k.write('seq_file.index', seq, 0);
    k.write('seq_file.count', seq, 0);
  } else if (at !== k.read('seq_file.read_pos', seq)) {
    const error = yield* skipTo(k, seq, at);
    if (error < 0) return error;
  }
  if (k.read('seq_file.buf', seq) === 0) ensureBuffer(k, seq, PAGE);
  let copied = 0;
  if (k.read('seq_file.count', seq) > 0) copied = drain(k, seq, buffer, count);
  if (copied < count && k.read('seq_file.count', seq) === 0) {
    k.write('seq_file.from', seq, 0);
    const entry = yield* firstRecord(k, seq);
    const good = entry !== 0 && !isError(entry);
    const last = good ? yield* moreRecords(k, seq, entry, count - copied) : entry;
    yield* callOperation(k, seq, 'stop', isError(last) ? 0 : last);
    if (!good) k.write('seq_file.count', seq, 0);
    if (isError(entry) && copied === 0) return entry;
    copied += drain(k, seq, buffer + copied, count - copied);
  }
  k.memory.setPtr(position, at + copied);
  k.write('seq_file.read_pos', seq, at + copied);
  return copied;
}

/** traverse: makes records anew from the start until `offset` is reached. */
function* skipTo(k: Linux, seq: Address, offset: number): Steps<number> {
  k.write('seq_file.index', seq, 0);
  if (k.read('seq_file.buf', seq) === 0) ensureBuffer(k, seq, PAGE);
  k.write('seq_file.count', seq, 0);
  k.write('seq_file.from', seq, 0);
  let passed = 0;
  while (passed < offset) {
    const entry = yield* firstRecord(k, seq);
    if (entry === 0 || isError(entry)) {
      yield* callOperation(k, seq, 'stop', 0);
      k.write('seq_file.count', seq, 0);
      return isError(entry) ? entry : 0;
    }
    const next = yield* callOperation(k, seq, 'next', entry, indexAddress(k, seq));
    yield* callOperation(k, seq, 'stop', next);
    const count = k.read('seq_file.count', seq);
    if (passed + count > offset) {
      k.write('seq_file.from', seq, offset - passed);
      k.write('seq_file.count', seq, count - (offset - passed));
      return 0;
    }
    passed += count;
    k.write('seq_file.count', seq, 0);
  }
  return 0;
}

function release(k: Linux, file: Address): number {
  const seq = k.read('file.private_data', file);
  const buffer = k.read('seq_file.buf', seq);
  if (buffer !== 0) k.heap.free(buffer);
  k.heap.free(seq);
  return 0;
}

/** The operations table of a single_open file: start, next and stop are the kernel's own. */
function singleOperations(k: Linux, show: Address): Address {
  const table = k.heap.allocateZeroed(k.sizeof('seq_operations'));
  k.write('seq_operations.start', table, k.addressOf('single_start'));
  k.write('seq_operations.next', table, k.addressOf('single_next'));
  k.write('seq_operations.stop', table, k.addressOf('single_stop'));
  k.write('seq_operations.show', table, show);
  return table;
}

function openSingle(k: Linux, file: Address, showAt: Address, data: Address): number {
  const table = singleOperations(k, showAt);
  open(k, file, table);
  k.write('seq_file.private', k.read('file.private_data', file), data);
  return 0;
}

function putDecimal(k: Linux, seq: Address, delimiter: Address, value: bigint): void {
  const before = delimiter === 0 ? '' : k.memory.cstring(delimiter);
  text(k, seq, before + value.toString());
}

export const seqFileFunctions = kernelFunctions({
  'int seq_open(struct file *file, const struct seq_operations *op)': open,
  'ssize_t seq_read(struct file *file, char *buf, size_t size, loff_t *ppos)': seqRead,
  'loff_t seq_lseek(struct file *file, loff_t offset, int whence)': (k, file, offset, whence) => {
    const position = k.read('file.f_pos', file);
    const to = whence === O_EXCL_SEEK_CUR ? position + offset : offset;
    if (whence > 1 || to < 0) return -Errno.EINVAL;
    k.write('file.f_pos', file, to);
    return to;
  },
  'int seq_release(struct inode *inode, struct file *file)': (k, _inode, file) => release(k, file),
  'int seq_write(struct seq_file *seq, const void *data, size_t len)': (k, seq, data, length) =>
    seqWrite(k, seq, k.memory.bytes(data, length)),
  'void seq_printf(struct seq_file *m, const char *f, ...)': print,
  'void seq_vprintf(struct seq_file *m, const char *f, va_list args)': print,
  'void seq_puts(struct seq_file *m, const char *s)': (k, seq, string) => {
    text(k, seq, k.memory.cstring(string));
  },
  'void seq_putc(struct seq_file *m, char c)': (k, seq, character) => {
    seqWrite(k, seq, Uint8Array.of(character));
  },
  'void seq_put_decimal_ull(struct seq_file *m, const char *delimiter, unsigned long long num)': putDecimal,
  'void seq_put_decimal_ll(struct seq_file *m, const char *delimiter, long long num)': putDecimal,
  'void seq_pad(struct seq_file *m, char c)': (k, seq, character) => {
    const pad = k.read('seq_file.pad_until', seq) - k.read('seq_file.count', seq);
    if (pad > 0) text(k, seq, ' '.repeat(pad));
    if (character !== 0) seqWrite(k, seq, Uint8Array.of(character));
  },
  'void *single_start(struct seq_file *p, loff_t *pos)': (k, _seq, position) =>
    // SEQ_START_TOKEN
    k.memory.ptr(position) === 0 ? 1 : 0,
  'void *single_next(struct seq_file *p, void *v, loff_t *pos)': (k, _seq, _entry, position) => {
    k.memory.setPtr(position, k.memory.ptr(position) + 1);
    return 0;
  },
  'void single_stop(struct seq_file *p, void *v)': () => undefined,
  'int single_open(struct file *file, int (*show)(struct seq_file *, void *), void *data)': openSingle,
  'int single_open_size(struct file *file, int (*show)(struct seq_file *, void *), void *data, size_t size)':
    (k, file, showAt, data, size) => {
      openSingle(k, file, showAt, data);
      ensureBuffer(k, k.read('file.private_data', file), Math.max(PAGE, size));
      return 0;
    },
  'int single_release(struct inode *inode, struct file *file)': (k, _inode, file) => {
    const table = k.read('seq_file.op', k.read('file.private_data', file));
    release(k, file);
    k.heap.free(table);
    return 0;
  },
  'void *__seq_open_private(struct file *f, const struct seq_operations *ops, int psize)': (
    k,
    file,
    table,
    size,
  ) => {
    const data = k.heap.allocateZeroed(Math.max(size, 8));
    open(k, file, table);
    k.write('seq_file.private', k.read('file.private_data', file), data);
    return data;
  },
  'int seq_open_private(struct file *filp, const struct seq_operations *ops, int psize)': (
    k,
    file,
    table,
    size,
  ) => {
    const data = k.heap.allocateZeroed(Math.max(size, 8));
    open(k, file, table);
    k.write('seq_file.private', k.read('file.private_data', file), data);
    return 0;
  },
  'int seq_release_private(struct inode *inode, struct file *file)': (k, _inode, file) => {
    k.heap.free(k.read('seq_file.private', k.read('file.private_data', file)));
    return release(k, file);
  },
  'struct list_head *seq_list_start(struct list_head *head, loff_t pos)': (k, head, position) =>
    listStart(k, head, position),
  'struct list_head *seq_list_start_head(struct list_head *head, loff_t pos)': (k, head, position) =>
    position === 0 ? head : listStart(k, head, position - 1),
  'struct list_head *seq_list_next(void *v, struct list_head *head, loff_t *ppos)': (
    k,
    entry,
    head,
    position,
  ) => {
    k.memory.setPtr(position, k.memory.ptr(position) + 1);
    const next = k.memory.ptr(entry);
    return next === head ? 0 : next;
  },
});

function print(k: Linux, seq: Address, text: Address, args: VarArgs): void {
  seqWrite(k, seq, bytesOf(format(k, text, args, MAX_BUFFER).text));
}

function listStart(k: Linux, head: Address, position: number): Address {
  let left = position;
  for (let at = k.memory.ptr(head); at !== head; at = k.memory.ptr(at)) {
    if (left-- === 0) return at;
  }
  return 0;
}
