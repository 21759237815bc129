/** list_create(9F) and its kind: doubly linked lists through a list_node_t in each object (sys/list_impl.h). */
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

/** list_t: size, offset, and a list_node_t of next and prev (sys/list_impl.h). */
const offsetOf = (k: Solaris, list: Address): number => k.memory.ptr(list + k.word);
const headOf = (k: Solaris, list: Address): Address => list + 2 * k.word;

function insertAfter(k: Solaris, after: Address, node: Address): void {
  const next = k.memory.ptr(after);
  k.memory.setPtr(node, next);
  k.memory.setPtr(node + k.word, after);
  k.memory.setPtr(next + k.word, node);
  k.memory.setPtr(after, node);
}

function unlink(k: Solaris, node: Address): void {
  const next = k.memory.ptr(node);
  const previous = k.memory.ptr(node + k.word);
  k.memory.setPtr(next + k.word, previous);
  k.memory.setPtr(previous, next);
  k.memory.setPtr(node, 0);
  k.memory.setPtr(node + k.word, 0);
}

/** The object a node belongs to; 0 at the list's own end. */
const objectAt = (k: Solaris, list: Address, node: Address): Address =>
  node === headOf(k, list) || node === 0 ? 0 : node - offsetOf(k, list);

/** Takes everything out of one list and puts it behind another. */
function moveAll(k: Solaris, to: Address, from: Address): void {
  for (
    let node = k.memory.ptr(headOf(k, from));
    node !== headOf(k, from);
    node = k.memory.ptr(headOf(k, from))
  ) {
    unlink(k, node);
    insertAfter(k, k.memory.ptr(headOf(k, to) + k.word), node);
  }
}

export const lists = kernelFunctions({
  'void list_create(void *list, size_t size, size_t offset)': (k, list, size, offset) => {
    k.memory.setPtr(list, size);
    k.memory.setPtr(list + k.word, offset);
    for (const at of [headOf(k, list), headOf(k, list) + k.word]) k.memory.setPtr(at, headOf(k, list));
  },
  'void list_destroy(void *list)': (k, list) => k.memory.fill(list, 4 * k.word, 0),
  'void list_insert_head(void *list, void *object)': (k, list, object) =>
    insertAfter(k, headOf(k, list), object + offsetOf(k, list)),
  'void list_insert_tail(void *list, void *object)': (k, list, object) =>
    insertAfter(k, k.memory.ptr(headOf(k, list) + k.word), object + offsetOf(k, list)),
  'void list_remove(void *list, void *object)': (k, list, object) => unlink(k, object + offsetOf(k, list)),
  'void *list_head(void *list)': (k, list) => objectAt(k, list, k.memory.ptr(headOf(k, list))),
  'void *list_tail(void *list)': (k, list) => objectAt(k, list, k.memory.ptr(headOf(k, list) + k.word)),
  'void *list_next(void *list, void *object)': (k, list, object) =>
    objectAt(k, list, k.memory.ptr(object + offsetOf(k, list))),
  'void *list_prev(void *list, void *object)': (k, list, object) =>
    objectAt(k, list, k.memory.ptr(object + offsetOf(k, list) + k.word)),
  'void *list_remove_head(void *list)': (k, list) => {
    const node = k.memory.ptr(headOf(k, list));
    const object = objectAt(k, list, node);
    if (object !== 0) unlink(k, node);
    return object;
  },
  'int list_is_empty(void *list)': (k, list) => (k.memory.ptr(headOf(k, list)) === headOf(k, list) ? 1 : 0),
  'void *list_remove_tail(void *list)': (k, list) => {
    const node = k.memory.ptr(headOf(k, list) + k.word);
    const object = objectAt(k, list, node);
    if (object !== 0) unlink(k, node);
    return object;
  },
  // Beside nothing an object goes to the head, or to the tail.
  'void list_insert_after(void *list, void *object, void *added)': (k, list, object, added) =>
    insertAfter(k, object === 0 ? headOf(k, list) : object + offsetOf(k, list), added + offsetOf(k, list)),
  'void list_insert_before(void *list, void *object, void *added)': (k, list, object, added) => {
    const node = object === 0 ? headOf(k, list) : object + offsetOf(k, list);
    insertAfter(k, k.memory.ptr(node + k.word), added + offsetOf(k, list));
  },
  'void list_move_tail(void *to, void *from)': moveAll,
  'void list_link_init(void *node)': (k, node) => k.memory.fill(node, 2 * k.word, 0),
  'int list_link_active(void *node)': (k, node) => (k.memory.ptr(node) === 0 ? 0 : 1),
  'void list_link_replace(void *old, void *node)': (k, old, node) => {
    insertAfter(k, k.memory.ptr(old + k.word), node);
    unlink(k, old);
  },
  // insque(9F): the first two words of an element are next and previous.
  'void _insque(void *node, void *after)': (k, node, after) => insertAfter(k, after, node),
  'void _remque(void *node)': (k, node) => {
    const [next, previous] = [k.memory.ptr(node), k.memory.ptr(node + k.word)];
    k.memory.setPtr(previous, next);
    k.memory.setPtr(next + k.word, previous);
  },
});
