/** Files that are one number with a get and a set function: DEFINE_SIMPLE_ATTRIBUTE and its debugfs kin (fs/libfs.c). */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { parseSigned, parseUnsigned } from '../number-text.ts';
import { copyFromUser, copyToUser } from '../user.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';

/** Size of the two buffers in struct simple_attr, with the NUL. */
const TEXT_BYTES = 24;

interface Attribute {
  readonly get: Address;
  readonly set: Address;
  readonly data: Address;
  readonly fmt: Address;
  text: Uint8Array;
}

/** By what file.private_data points to. */
const attributes = perKernel(() => new Map<Address, Attribute>());

function oneNumber(value: bigint): VarArgs {
  const args: VarArgs = {
    i32: () => Number(BigInt.asIntN(32, value)),
    u32: () => Number(BigInt.asUintN(32, value)),
    long: () => Number(BigInt.asIntN(64, value)),
    pointer: () => Number(BigInt.asIntN(64, value)),
    i64: () => BigInt.asIntN(64, value),
    u64: () => BigInt.asUintN(64, value),
    f64: () => Number(value),
    copy: () => oneNumber(value),
  };
  return args;
}

function of(k: Linux, file: Address): Attribute | undefined {
  return k.state(attributes).get(k.read('file.private_data', file));
}

function* read(k: Linux, file: Address, to: Address, count: number, position: Address): Steps<number> {
  const attribute = of(k, file);
  if (attribute === undefined || attribute.get === 0) return -Errno.EACCES;
  const at = k.memory.ptr(position);
  // The number is asked for at the start only: later pieces belong to the same answer.
  if (at === 0 || attribute.text.length === 0) {
    const cell = k.heap.allocateZeroed(8);
    const error = yield* k.callInt(attribute.get, attribute.data, cell);
    const value = k.memory.u64(cell);
    k.heap.free(cell);
    if (error !== 0) return error;
    const text = format(k, attribute.fmt, oneNumber(value), TEXT_BYTES - 1).text;
    attribute.text = Uint8Array.from(text, (character) => character.charCodeAt(0));
  }
  const bytes = attribute.text.subarray(at, at + count);
  if (bytes.length === 0) return 0;
  const piece = k.heap.allocate(TEXT_BYTES);
  k.memory.write(piece, bytes);
  const left = copyToUser(k, to, piece, bytes.length);
  k.heap.free(piece);
  if (left === bytes.length) return -Errno.EFAULT;
  k.memory.setPtr(position, at + bytes.length - left);
  return bytes.length - left;
}

function* write(k: Linux, file: Address, from: Address, count: number, signed: boolean): Steps<number> {
  const attribute = of(k, file);
  if (attribute === undefined || attribute.set === 0) return -Errno.EACCES;
  const size = Math.min(TEXT_BYTES - 1, count);
  const piece = k.heap.allocateZeroed(TEXT_BYTES);
  const left = copyFromUser(k, piece, from, size);
  const text = k.memory.cstring(piece, TEXT_BYTES);
  k.heap.free(piece);
  if (left !== 0) return -Errno.EFAULT;
  const value = signed ? parseSigned(text, 0) : parseUnsigned(text, 0);
  if (typeof value === 'number') return value;
  const error = yield* k.callInt(attribute.set, attribute.data, BigInt.asUintN(64, value));
  return error === 0 ? count : error;
}

function openAttribute(k: Linux, inode: Address, file: Address, get: Address, set: Address, fmt: Address) {
  const handle = k.heap.allocateZeroed(TEXT_BYTES);
  const data = k.read('inode.i_private', inode);
  k.state(attributes).set(handle, { get, set, data, fmt, text: new Uint8Array() });
  k.write('file.private_data', file, handle);
  return 0;
}

function release(k: Linux, file: Address): number {
  const handle = k.read('file.private_data', file);
  if (k.state(attributes).delete(handle)) k.heap.free(handle);
  return 0;
}

const READ = '(struct file *file, char *buf, size_t len, loff_t *ppos)';
const WRITE = '(struct file *file, const char *buf, size_t len, loff_t *ppos)';
type Reader = (k: Linux, file: Address, to: Address, count: number, position: Address) => Steps<number>;

export const simpleAttributes = kernelFunctions({
  'int simple_attr_open(struct inode *inode, struct file *file, int (*get)(void *, u64 *), int (*set)(void *, u64), const char *fmt)':
    openAttribute,
  'int simple_attr_release(struct inode *inode, struct file *file)': (k, _inode, file) => release(k, file),
  [`ssize_t simple_attr_read${READ}`]: read as Reader,
  [`ssize_t debugfs_attr_read${READ}`]: read as Reader,
  [`ssize_t simple_attr_write${WRITE}`]: (k: Linux, file: Address, from: Address, count: number) =>
    write(k, file, from, count, false),
  [`ssize_t debugfs_attr_write${WRITE}`]: (k: Linux, file: Address, from: Address, count: number) =>
    write(k, file, from, count, false),
  [`ssize_t simple_attr_write_signed${WRITE}`]: (k: Linux, file: Address, from: Address, count: number) =>
    write(k, file, from, count, true),
  [`ssize_t debugfs_attr_write_signed${WRITE}`]: (k: Linux, file: Address, from: Address, count: number) =>
    write(k, file, from, count, true),
});
