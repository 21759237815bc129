/**
 * Memory that goes with a device (drivers/base/devres.c): each allocation carries a node on the device's devres_head and
 * is freed, last first, when the driver lets go of the device.
 */
import type { VarArgs } from '../../../abi/convention.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, unlink } from '../lists.ts';
import { callerOf, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { byteString, format } from './format/printf.ts';

/** struct devres_node: list_head, release, name, size; the data follow, aligned as kmalloc aligns (struct devres). */
const DATA = 64;
/** Words of a devres_node. */
export const NODE_WORDS = 5;
const MAX_TEXT = 1 << 20;

export const headOf = (k: Linux, device: Address): Address => device + k.offset('device.devres_head');

/** A managed resource of `size` bytes; its release function is called with the device and the data. 0 = no memory. */
export function addResource(k: Linux, device: Address, size: number, release: Address): Address {
  const node = newResource(k, size, release);
  if (node !== 0) addTail(k, node - DATA, headOf(k, device));
  return node;
}

function newResource(k: Linux, size: number, release: Address): Address {
  const node = k.heap.allocate(DATA + size, undefined, callerOf(k));
  if (node === 0) return 0;
  k.memory.setPtr(node, node);
  k.memory.setPtr(node + k.word, node);
  k.memory.setPtr(node + 2 * k.word, release);
  return node + DATA;
}

/** The node whose data lie at `data`; 0 when the device has none. */
function find(k: Linux, device: Address, data: Address): Address {
  for (const node of entries(k, headOf(k, device))) if (node + DATA === data) return node;
  return 0;
}

/** devres_release_all: what a driver core calls when a driver leaves a device. */
export function* releaseAll(k: Linux, device: Address): Steps<number> {
  const nodes = [...entries(k, headOf(k, device))].reverse();
  for (const node of nodes) {
    unlink(k, node);
    yield* releaseNode(k, device, node);
  }
  return nodes.length;
}

export const releaseOf = (k: Linux, node: Address): Address => k.memory.ptr(node + 2 * k.word);

/** Calls what the node has to be released with, and frees it; the closing mark of a group is freed with the opening one. */
export function* releaseNode(k: Linux, device: Address, node: Address): Steps<void> {
  const func = releaseOf(k, node);
  if (func === k.addressOf('group_close_release')) return;
  if (func !== 0) yield* k.call(func, device, node + DATA);
  k.heap.free(node);
}

function copyOf(k: Linux, device: Address, bytes: Uint8Array): Address {
  const at = addResource(k, device, bytes.length, 0);
  if (at !== 0) k.memory.write(at, bytes);
  return at;
}

function formatted(k: Linux, device: Address, fmt: Address, args: VarArgs): Address {
  return copyOf(k, device, bytesOf(`${format(k, fmt, args, MAX_TEXT).text}\0`));
}

/** The first node of a release function for which `match` says yes; without a function, any. */
function* search(k: Linux, device: Address, func: Address, match: Address, data: Address): Steps<Address> {
  for (const node of [...entries(k, headOf(k, device))].reverse()) {
    if (releaseOf(k, node) !== func) continue;
    if (match === 0 || (yield* k.callInt(match, device, node + DATA, data)) !== 0) return node;
  }
  return 0;
}

export const managedMemory = kernelFunctions({
  'void *devm_kmalloc(struct device *dev, size_t size, gfp_t gfp)': (k, device, size) =>
    size === 0 ? 16 : addResource(k, device, size, 0),
  'void devm_kfree(struct device *dev, const void *p)': (k, device, data) => {
    if (data >= 0 && data <= 16) return;
    const node = find(k, device, data);
    if (node === 0) {
      kernelWarning(k, 'drivers/base/devres.c:1087');
      return;
    }
    unlink(k, node);
    k.heap.free(node);
  },
  'void *devm_krealloc(struct device *dev, void *ptr, size_t new_size, gfp_t gfp)': (
    k,
    device,
    old,
    size,
  ) => {
    if (old === 0 || old === 16) return addResource(k, device, size, 0);
    const node = find(k, device, old);
    const room = node === 0 ? 0 : k.heap.sizeOf(node) - DATA;
    if (node === 0 || size <= room) return node === 0 ? 0 : old;
    const at = addResource(k, device, size, 0);
    if (at === 0) return 0;
    k.memory.copy(at, old, room);
    unlink(k, node);
    k.heap.free(node);
    return at;
  },
  'void *devm_kmemdup(struct device *dev, const void *src, size_t len, gfp_t gfp)': (
    k,
    device,
    src,
    length,
  ) => copyOf(k, device, k.memory.bytes(src, length)),
  'char *devm_kstrdup(struct device *dev, const char *s, gfp_t gfp)': (k, device, s) =>
    s === 0 ? 0 : copyOf(k, device, bytesOf(`${byteString(k, s)}\0`)),
  'char *devm_kasprintf(struct device *dev, gfp_t gfp, const char *fmt, ...)': (k, device, _gfp, fmt, args) =>
    formatted(k, device, fmt, args),
  'char *devm_kvasprintf(struct device *dev, gfp_t gfp, const char *fmt, va_list ap)': (
    k,
    device,
    _gfp,
    fmt,
    args,
  ) => formatted(k, device, fmt, args),
});

export const devres = kernelFunctions({
  'void *__devres_alloc_node(dr_release_t release, size_t size, gfp_t gfp, int nid, const char *name)': (
    k,
    func,
    size,
  ) => newResource(k, size, func),
  'void devres_free(void *res)': (k, data) => {
    if (data !== 0) k.heap.free(data - DATA);
  },
  'void devres_add(struct device *dev, void *res)': (k, device, data) =>
    addTail(k, data - DATA, headOf(k, device)),
  'void *devres_find(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)':
    function* (k, device, func, match, data) {
      const node = yield* search(k, device, func, match, data);
      return node === 0 ? 0 : node + DATA;
    },
  'void *devres_remove(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)':
    function* (k, device, func, match, data) {
      const node = yield* search(k, device, func, match, data);
      if (node === 0) return 0;
      unlink(k, node);
      k.memory.setPtr(node, node);
      k.memory.setPtr(node + k.word, node);
      return node + DATA;
    },
  'int devres_destroy(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)':
    function* (k, device, func, match, data) {
      const node = yield* search(k, device, func, match, data);
      if (node === 0) return -Errno.ENOENT;
      unlink(k, node);
      k.heap.free(node);
      return 0;
    },
  'int devres_release(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)':
    function* (k, device, func, match, data) {
      const node = yield* search(k, device, func, match, data);
      if (node === 0) return -Errno.ENOENT;
      unlink(k, node);
      yield* releaseNode(k, device, node);
      return 0;
    },
  'int devm_add_action(struct device *dev, void (*action)(void *), void *data)': (
    k,
    device,
    action,
    data,
  ) => {
    const at = addResource(k, device, 16, k.addressOf('devm_action_release'));
    if (at === 0) return -Errno.ENOMEM;
    k.memory.setPtr(at, data);
    k.memory.setPtr(at + k.word, action);
    return 0;
  },
  'void devm_remove_action(struct device *dev, void (*action)(void *), void *data)': (
    k,
    device,
    action,
    data,
  ) => {
    const node = findAction(k, device, action, data);
    if (node === 0) kernelWarning(k, 'drivers/base/devres.c:766');
    else {
      unlink(k, node);
      k.heap.free(node);
    }
  },
  'void devm_release_action(struct device *dev, void (*action)(void *), void *data)': function* (
    k,
    device,
    action,
    data,
  ) {
    const node = findAction(k, device, action, data);
    if (node === 0) return;
    unlink(k, node);
    yield* releaseNode(k, device, node);
  },
  'void devm_action_release(struct device *dev, void *res)': function* (k, _device, data) {
    yield* k.call(k.memory.ptr(data + k.word), k.memory.ptr(data));
  },
});

function findAction(k: Linux, device: Address, action: Address, data: Address): Address {
  for (const node of entries(k, headOf(k, device))) {
    const ours = releaseOf(k, node) === k.addressOf('devm_action_release');
    if (ours && k.memory.ptr(node + DATA) === data && k.memory.ptr(node + DATA + k.word) === action)
      return node;
  }
  return 0;
}
