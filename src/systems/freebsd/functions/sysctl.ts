/** sysctl(9): registration at run time, handlers, and the transfer that SYSCTL_IN and SYSCTL_OUT make. */
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { elements, initTailQueue, insertHead, removeElement, type TailQueue } from '../lists.ts';
import {
  CTLFLAG,
  CTLTYPE,
  childrenOf,
  isNode,
  oidKind,
  oidsIn,
  registerOid,
  unregisterOid,
} from '../sysctl.ts';
import { kernelFunctions } from './define.ts';

function* sysctlOut(k: FreeBsd, req: Address, at: Address, bytes: number): Steps<number> {
  return yield* k.callInt(k.read('sysctl_req.oldfunc', req), req, at, bytes);
}

function* sysctlIn(k: FreeBsd, req: Address, at: Address, bytes: number): Steps<number> {
  return yield* k.callInt(k.read('sysctl_req.newfunc', req), req, at, bytes);
}

/** A handler of a number: out, then in when there is a new value. `at` 0 = the constant `value`. */
function* handleNumber(k: FreeBsd, at: Address, value: number, req: Address, bytes: number): Steps<number> {
  let from = at;
  const temporary = at === 0 ? k.heap.allocate(8) : 0;
  if (temporary !== 0) {
    if (bytes === 8) k.memory.setU64(temporary, BigInt.asUintN(64, BigInt(value)));
    else k.memory.set32(temporary, value | 0);
    from = temporary;
  }
  const error = yield* sysctlOut(k, req, from, bytes);
  if (temporary !== 0) k.heap.free(temporary);
  if (error !== 0 || k.read('sysctl_req.newptr', req) === 0) return error;
  return at === 0 ? Errno.EPERM : yield* sysctlIn(k, req, at, bytes);
}

function* handleString(k: FreeBsd, at: Address, size: number, req: Address): Steps<number> {
  const length = guestText(k, at).length + 1;
  const error = yield* sysctlOut(k, req, at, length);
  if (error !== 0 || k.read('sysctl_req.newptr', req) === 0) return error;
  const bytes = k.read('sysctl_req.newlen', req) - k.read('sysctl_req.newidx', req);
  if (bytes >= size) return Errno.EINVAL;
  const failed = yield* sysctlIn(k, req, at, bytes);
  k.memory.set8(at + bytes, 0);
  return failed;
}

function* handleOpaque(k: FreeBsd, at: Address, size: number, req: Address): Steps<number> {
  const error = yield* sysctlOut(k, req, at, size);
  if (error !== 0 || k.read('sysctl_req.newptr', req) === 0) return error;
  return yield* sysctlIn(k, req, at, size);
}

/** A list of contexts: TAILQ of struct sysctl_ctx_entry. */
const contextQueue = (k: FreeBsd, at: Address): TailQueue => ({
  head: at,
  entry: k.offset('sysctl_ctx_entry.link'),
});

interface NewOid {
  readonly context: Address;
  readonly parent: Address;
  readonly number: number;
  readonly name: Address;
  readonly kind: number;
  readonly arg1: Address;
  readonly arg2: number;
  readonly handler: Address;
  readonly format: Address;
  readonly description: Address;
}

function addOid(k: FreeBsd, one: NewOid): Address {
  if (one.parent === 0) return 0;
  const name = guestText(k, one.name);
  const same = oidsIn(k, one.parent).find((oid) => k.readString('sysctl_oid.oid_name', oid) === name);
  if (same !== undefined) {
    if (isNode(k, same)) {
      k.write('sysctl_oid.oid_refcnt', same, k.read('sysctl_oid.oid_refcnt', same) + 1);
      remember(k, one.context, same);
      return same;
    }
    k.printf(`can't re-use a leaf (${name})!\n`);
    return 0;
  }
  const oid = makeOid(k, one);
  remember(k, one.context, oid);
  registerOid(k, oid);
  return oid;
}

function makeOid(k: FreeBsd, one: NewOid): Address {
  const oid = k.heap.allocate(k.sizeof('sysctl_oid'));
  const node = (one.kind & CTLTYPE.MASK) === CTLTYPE.NODE;
  // Before 11 a node's list of children is an object of its own.
  const list = node && !k.types.has('sysctl_oid.oid_children') ? k.heap.allocate(k.word) : 0;
  k.write('sysctl_oid.oid_parent', oid, one.parent);
  k.write('sysctl_oid.oid_number', oid, one.number);
  k.write('sysctl_oid.oid_kind', oid, CTLFLAG.DYN | one.kind);
  k.write('sysctl_oid.oid_arg1', oid, list !== 0 ? list : one.arg1);
  k.write('sysctl_oid.oid_arg2', oid, one.arg2);
  k.write('sysctl_oid.oid_name', oid, k.heap.string(guestText(k, one.name)));
  k.write('sysctl_oid.oid_handler', oid, one.handler);
  k.write('sysctl_oid.oid_fmt', oid, one.format);
  k.write('sysctl_oid.oid_refcnt', oid, 1);
  k.write(
    'sysctl_oid.oid_descr',
    oid,
    one.description === 0 ? 0 : k.heap.string(guestText(k, one.description)),
  );
  return oid;
}

function remember(k: FreeBsd, context: Address, oid: Address): void {
  if (context === 0) return;
  const entry = k.heap.allocate(k.sizeof('sysctl_ctx_entry'));
  k.write('sysctl_ctx_entry.entry', entry, oid);
  insertHead(k, contextQueue(k, context), entry);
}

/** sysctl_remove_oid: children first when `recurse`, else they are in the way. */
function removeOid(k: FreeBsd, oid: Address, del: number, recurse: number): number {
  const kind = oidKind(k, oid);
  if ((kind & CTLFLAG.DYN) === 0) {
    k.printf(`can't remove non-dynamic nodes!\n`);
    return Errno.EINVAL;
  }
  const references = k.read('sysctl_oid.oid_refcnt', oid);
  if (isNode(k, oid) && references === 1) {
    const children = oidsIn(k, childrenOf(k, oid));
    if (children.length > 0 && recurse === 0) return Errno.ENOTEMPTY;
    for (const child of children) removeOid(k, child, del, recurse);
  }
  if (references > 1) {
    k.write('sysctl_oid.oid_refcnt', oid, references - 1);
    return 0;
  }
  unregisterOid(k, oid);
  if (del === 0) return 0;
  if (isNode(k, oid) && !k.types.has('sysctl_oid.oid_children'))
    k.heap.free(k.read('sysctl_oid.oid_arg1', oid));
  for (const field of ['oid_name', 'oid_descr']) k.heap.free(k.read(`sysctl_oid.${field}`, oid));
  k.heap.free(oid);
  return 0;
}

function freeContext(k: FreeBsd, context: Address): number {
  const queue = contextQueue(k, context);
  let failed = 0;
  for (const entry of elements(k, queue)) {
    failed ||= removeOid(k, k.read('sysctl_ctx_entry.entry', entry), 1, 0);
    removeElement(k, queue, entry);
    k.heap.free(entry);
  }
  initTailQueue(k, queue);
  return failed;
}

/** SYSCTL_OUT: what does not fit is counted all the same, so that the caller learns how much there is. */
function oldBuffer(k: FreeBsd, req: Address, from: Address, bytes: number): number {
  const index = k.read('sysctl_req.oldidx', req);
  const room = Math.max(0, k.read('sysctl_req.oldlen', req) - index);
  const to = k.read('sysctl_req.oldptr', req);
  k.write('sysctl_req.oldidx', req, index + bytes);
  if (to === 0) return 0;
  k.memory.write(to + index, k.memory.bytes(from, Math.min(bytes, room)));
  return bytes > room ? Errno.ENOMEM : 0;
}

export const sysctls = kernelFunctions({
  'void sysctl_register_oid(struct sysctl_oid *oidp)': registerOid,
  'void sysctl_unregister_oid(struct sysctl_oid *oidp)': (k, oid) => {
    unregisterOid(k, oid);
  },
  'struct sysctl_oid *sysctl_add_oid(void *clist, void *parent, int number, const char *name, int kind, void *arg1, oid_arg2_t arg2, void *handler, const char *fmt, const char *descr, const char *label)':
    (k, context, parent, number, name, kind, arg1, arg2, handler, format, description) =>
      addOid(k, { context, parent, number, name, kind, arg1, arg2, handler, format, description }),
  'int sysctl_remove_oid(struct sysctl_oid *oidp, int del, int recurse)': removeOid,
  'int sysctl_remove_name(struct sysctl_oid *parent, const char *name, int del, int recurse)': (
    k,
    parent,
    name,
    del,
    recurse,
  ) => {
    const text = guestText(k, name);
    const found = oidsIn(k, childrenOf(k, parent)).find(
      (oid) => k.readString('sysctl_oid.oid_name', oid) === text,
    );
    return found === undefined ? Errno.ENOENT : removeOid(k, found, del, recurse);
  },
  'int sysctl_ctx_init(void *clist)': (k, at) => {
    initTailQueue(k, contextQueue(k, at));
    return 0;
  },
  'int sysctl_ctx_free(void *clist)': freeContext,
  'int sysctl_ctx_entry_del(void *clist, struct sysctl_oid *oidp)': (k, context, oid) => {
    const queue = contextQueue(k, context);
    const entry = elements(k, queue).find((one) => k.read('sysctl_ctx_entry.entry', one) === oid);
    if (entry === undefined) return Errno.ENOENT;
    removeElement(k, queue, entry);
    k.heap.free(entry);
    return 0;
  },
  'int sysctl_handle_int(struct sysctl_oid *oidp, void *arg1, oid_arg2_t arg2, struct sysctl_req *req)': (
    k,
    _oid,
    at,
    value,
    req,
  ) => handleNumber(k, at, value, req, 4),
  'int sysctl_handle_long(struct sysctl_oid *oidp, void *arg1, oid_arg2_t arg2, struct sysctl_req *req)': (
    k,
    _oid,
    at,
    value,
    req,
  ) => handleNumber(k, at, value, req, k.types.model.long === 8 ? 8 : 4),
  'int sysctl_handle_64(struct sysctl_oid *oidp, void *arg1, oid_arg2_t arg2, struct sysctl_req *req)': (
    k,
    _oid,
    at,
    value,
    req,
  ) => handleNumber(k, at, value, req, 8),
  'int sysctl_handle_quad(struct sysctl_oid *oidp, void *arg1, oid_arg2_t arg2, struct sysctl_req *req)': (
    k,
    _oid,
    at,
    value,
    req,
  ) => handleNumber(k, at, value, req, 8),
  'int sysctl_handle_string(struct sysctl_oid *oidp, void *arg1, oid_arg2_t arg2, struct sysctl_req *req)': (
    k,
    _oid,
    at,
    size,
    req,
  ) => handleString(k, at, size, req),
  'int sysctl_handle_opaque(struct sysctl_oid *oidp, void *arg1, oid_arg2_t arg2, struct sysctl_req *req)': (
    k,
    _oid,
    at,
    size,
    req,
  ) => handleOpaque(k, at, size, req),
  'int sysctl_old_buffer(struct sysctl_req *req, const void *p, size_t l)': oldBuffer,
  /** The drain of sbuf_new_for_sysctl: how much was taken, or the negative error. */
  'int sbuf_sysctl_drain(struct sysctl_req *req, const char *data, int len)': (k, req, from, bytes) => {
    const error = oldBuffer(k, req, from, bytes);
    return error === 0 ? bytes : -error;
  },
  'int sysctl_new_buffer(struct sysctl_req *req, void *p, size_t l)': (k, req, to, bytes) => {
    const index = k.read('sysctl_req.newidx', req);
    const from = k.read('sysctl_req.newptr', req);
    if (from === 0) return 0;
    if (k.read('sysctl_req.newlen', req) - index < bytes) return Errno.EINVAL;
    k.memory.write(to, k.memory.bytes(from + index, bytes));
    k.write('sysctl_req.newidx', req, index + bytes);
    return 0;
  },
});
