/** Queues of packets: rings through the packets themselves (struct sk_buff_head, net/core/skbuff.c). */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { advance, freePacket, len } from '../net/skb.ts';
import { kernelFunctions } from './define.ts';

const COUNT = 'sk_buff_head.qlen';
const next = (k: Linux, at: Address): Address => k.memory.ptr(at);
const previous = (k: Linux, at: Address): Address => k.memory.ptr(at + k.word);

function count(k: Linux, list: Address, by: number): void {
  k.write(COUNT, list, k.read(COUNT, list) + by);
}

/** The packet comes right behind `before`, which may be the head. */
function insert(k: Linux, list: Address, before: Address, skb: Address): void {
  const after = next(k, before);
  k.memory.setPtr(skb, after);
  k.memory.setPtr(skb + k.word, before);
  k.memory.setPtr(after + k.word, skb);
  k.memory.setPtr(before, skb);
  count(k, list, 1);
}

function unlink(k: Linux, list: Address, skb: Address): Address {
  const [after, before] = [next(k, skb), previous(k, skb)];
  k.memory.setPtr(before, after);
  k.memory.setPtr(after + k.word, before);
  k.memory.setPtr(skb, 0);
  k.memory.setPtr(skb + k.word, 0);
  count(k, list, -1);
  return skb;
}

const first = (k: Linux, list: Address): Address => (next(k, list) === list ? 0 : next(k, list));
const last = (k: Linux, list: Address): Address => (previous(k, list) === list ? 0 : previous(k, list));

export const packetQueues = kernelFunctions({
  'void skb_queue_head(struct sk_buff_head *list, struct sk_buff *newsk)': (k, list, skb) =>
    insert(k, list, list, skb),
  'void skb_queue_tail(struct sk_buff_head *list, struct sk_buff *newsk)': (k, list, skb) =>
    insert(k, list, previous(k, list), skb),
  'void skb_append(struct sk_buff *old, struct sk_buff *newsk, struct sk_buff_head *list)': (
    k,
    old,
    skb,
    list,
  ) => insert(k, list, old, skb),
  'void skb_unlink(struct sk_buff *skb, struct sk_buff_head *list)': (k, skb, list) => {
    unlink(k, list, skb);
  },
  'struct sk_buff *skb_dequeue(struct sk_buff_head *list)': (k, list) => {
    const skb = first(k, list);
    return skb === 0 ? 0 : unlink(k, list, skb);
  },
  'struct sk_buff *skb_dequeue_tail(struct sk_buff_head *list)': (k, list) => {
    const skb = last(k, list);
    return skb === 0 ? 0 : unlink(k, list, skb);
  },
  'void skb_queue_purge(struct sk_buff_head *list)': function* (k, list) {
    for (let skb = first(k, list); skb !== 0; skb = first(k, list))
      yield* freePacket(k, unlink(k, list, skb));
  },
  'void skb_queue_purge_reason(struct sk_buff_head *list, enum skb_drop_reason reason)': function* (k, list) {
    for (let skb = first(k, list); skb !== 0; skb = first(k, list))
      yield* freePacket(k, unlink(k, list, skb));
  },
  // The sum over the packet, where the device made one, is none of what is left: it is made anew when asked for.
  'void *skb_pull_rcsum(struct sk_buff *skb, unsigned int len)': (k, skb, size) => {
    // CHECKSUM_COMPLETE
    if (k.read('sk_buff.ip_summed', skb) === 2) k.write('sk_buff.ip_summed', skb, 0);
    return size > len(k, skb) ? 0 : advance(k, skb, size);
  },
});
