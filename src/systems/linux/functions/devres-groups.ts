/**
 * Groups of managed resources (drivers/base/devres.c): two marks on a device's list, between which everything can be
 * released at once. Both marks are one allocation: the opening node, the closing node, the identifier.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList, listEmpty, unlink } from '../lists.ts';
import { callerOf, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { headOf, NODE_WORDS, releaseNode, releaseOf } from './devm.ts';

const OPEN = 'group_open_release';
const CLOSE = 'group_close_release';

const closing = (k: Linux, group: Address): Address => group + NODE_WORDS * k.word;
const idAt = (k: Linux, group: Address): Address => group + 2 * NODE_WORDS * k.word;

function open(k: Linux, device: Address, id: Address): Address {
  const group = k.heap.allocateZeroed((2 * NODE_WORDS + 2) * k.word, undefined, callerOf(k));
  if (group === 0) return 0;
  for (const [node, release] of [
    [group, OPEN],
    [closing(k, group), CLOSE],
  ] as const) {
    initList(k, node);
    k.memory.setPtr(node + 2 * k.word, k.addressOf(release));
  }
  k.memory.setPtr(idAt(k, group), id === 0 ? group : id);
  addTail(k, group, headOf(k, device));
  return k.memory.ptr(idAt(k, group));
}

/** The group of that name; without one, the last that is still open. */
function find(k: Linux, device: Address, id: Address): Address {
  const groups = [...entries(k, headOf(k, device))]
    .filter((node) => releaseOf(k, node) === k.addressOf(OPEN))
    .reverse();
  const wanted = (group: Address): boolean =>
    id === 0 ? listEmpty(k, closing(k, group)) : k.memory.ptr(idAt(k, group)) === id;
  return groups.find(wanted) ?? 0;
}

/** Everything from the opening mark to the closing one, or to the end: last first, groups inside it whole. */
function* release(k: Linux, device: Address, group: Address): Steps<number> {
  const all = [...entries(k, headOf(k, device))];
  const first = all.indexOf(group);
  const last = all.indexOf(closing(k, group));
  const inside = all.slice(first, last < 0 ? undefined : last + 1);
  // A group that began before this one and ends in it, or the other way round, stays.
  const stays = (node: Address): boolean =>
    (releaseOf(k, node) === k.addressOf(CLOSE) && !inside.includes(node - NODE_WORDS * k.word)) ||
    (releaseOf(k, node) === k.addressOf(OPEN) && !inside.includes(closing(k, node)) && node !== group);
  const gone = inside.filter((node) => !stays(node)).reverse();
  for (const node of gone) unlink(k, node);
  let released = 0;
  for (const node of gone) {
    if (releaseOf(k, node) !== k.addressOf(OPEN) && releaseOf(k, node) !== k.addressOf(CLOSE)) released++;
    yield* releaseNode(k, device, node);
  }
  return released;
}

export const deviceGroups = kernelFunctions({
  'void *devres_open_group(struct device *dev, void *id, gfp_t gfp)': open,
  'void devres_close_group(struct device *dev, void *id)': (k, device, id) => {
    const group = find(k, device, id);
    if (group === 0) kernelWarning(k, 'drivers/base/devres.c:618');
    else addTail(k, closing(k, group), headOf(k, device));
  },
  'void devres_remove_group(struct device *dev, void *id)': (k, device, id) => {
    const group = find(k, device, id);
    if (group === 0) {
      kernelWarning(k, 'drivers/base/devres.c:646');
      return;
    }
    unlink(k, group);
    if (!listEmpty(k, closing(k, group))) unlink(k, closing(k, group));
    k.heap.free(group);
  },
  'int devres_release_group(struct device *dev, void *id)': function* (k, device, id) {
    const group = find(k, device, id);
    if (group !== 0) return yield* release(k, device, group);
    kernelWarning(k, 'drivers/base/devres.c:695');
    return 0;
  },
  // The marks themselves: the one that opens owns the memory of both, and nothing else is to be let go.
  'void group_open_release(struct device *dev, void *res)': () => undefined,
  'void group_close_release(struct device *dev, void *res)': () => undefined,
});
