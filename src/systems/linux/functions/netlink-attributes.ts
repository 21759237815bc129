/** Attributes of netlink messages: 16 bits of length with the header, 16 bits of type, the value, padding to four (lib/nlattr.c). */
import { roundUp } from '../../../bytes/align.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { append, end, freePacket, tail } from '../net/skb.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';

const HEADER = 4;
/** NLA_TYPE_MASK: without the bits for nesting and byte order. */
const TYPES = 0x3fff;

const valueBytes = (k: Linux, at: Address): number => Math.max(0, k.memory.u16(at) - HEADER);
const valueAt = (at: Address): Address => at + HEADER;

/** __nla_reserve: room for one more; 0 when the packet is full. */
function reserve(k: Linux, skb: Address, type: number, size: number): Address {
  const all = roundUp(HEADER + size, 4);
  if (size < 0 || end(k, skb) - tail(k, skb) < all) return 0;
  const at = append(k, skb, all, callerOf(k));
  k.memory.set16(at, HEADER + size);
  k.memory.set16(at + 2, type);
  k.memory.fill(at + HEADER + size, all - HEADER - size, 0);
  return at;
}

function put(k: Linux, skb: Address, type: number, size: number, from: Address): number {
  const at = reserve(k, skb, type, size);
  if (at === 0) return -Errno.EMSGSIZE;
  if (size > 0) k.memory.copy(valueAt(at), from, size);
  return 0;
}

/** The bytes of a text up to its zero. */
function text(k: Linux, at: Address): Uint8Array {
  const bytes = k.memory.bytes(valueAt(at), valueBytes(k, at));
  const zero = bytes.indexOf(0);
  return bytes.slice(0, zero < 0 ? bytes.length : zero);
}

export const attributeFunctions = kernelFunctions({
  'ssize_t nla_strscpy(char *dst, const struct nlattr *nla, size_t dstsize)': (k, to, at, size) => {
    if (size === 0 || size > 0xffff) return -Errno.E2BIG;
    const bytes = text(k, at);
    const kept = bytes.subarray(0, size - 1);
    k.memory.fill(to, size, 0);
    k.memory.write(to, kept);
    return kept.length < bytes.length ? -Errno.E2BIG : bytes.length;
  },
  'int nla_memcpy(void *dest, const struct nlattr *src, int count)': (k, to, at, count) => {
    const size = Math.min(count, valueBytes(k, at));
    k.memory.copy(to, valueAt(at), size);
    if (count > size) k.memory.fill(to + size, count - size, 0);
    return size;
  },
  'int nla_memcmp(const struct nlattr *nla, const void *data, size_t size)': (k, at, data, size) => {
    const own = valueBytes(k, at);
    if (own !== size) return own - size;
    const differs = k.memory.mismatch(valueAt(at), data, size);
    return differs >= size || differs < 0
      ? 0
      : k.memory.u8(valueAt(at) + differs) - k.memory.u8(data + differs);
  },
  'int nla_put(struct sk_buff *skb, int attrtype, int attrlen, const void *data)': put,
  // The pad attribute is for machines whose 64-bit values must be aligned.
  'int nla_put_64bit(struct sk_buff *skb, int attrtype, int attrlen, const void *data, int padattr)': (
    k,
    skb,
    type,
    size,
    from,
  ) => put(k, skb, type, size, from),
  'struct nlattr *nla_reserve(struct sk_buff *skb, int attrtype, int attrlen)': reserve,
  'struct nlattr *nla_find(const struct nlattr *head, int len, int attrtype)': (k, first, size, type) => {
    for (let at = first, left = size; left >= HEADER; ) {
      const own = k.memory.u16(at);
      if (own < HEADER || own > left) return 0;
      if ((k.memory.u16(at + 2) & TYPES) === type) return at;
      at += roundUp(own, 4);
      left -= roundUp(own, 4);
    }
    return 0;
  },
});

/** struct nlmsghdr: length, type, flags, sequence, who; 16 bytes, and what comes behind is a multiple of four. */
const MESSAGE_HEADER = 16;
const GENERIC_HEADER = 4;

function putMessage(
  k: Linux,
  skb: Address,
  port: number,
  sequence: number,
  type: number,
  size: number,
  flags: number,
): Address {
  const length = MESSAGE_HEADER + size;
  const at = append(k, skb, roundUp(length, 4), callerOf(k));
  k.memory.fill(at, roundUp(length, 4), 0);
  k.memory.set32(at, length);
  k.memory.set16(at + 4, type);
  k.memory.set16(at + 6, flags);
  k.memory.set32(at + 8, sequence);
  k.memory.set32(at + 12, port);
  return at;
}

/** Messages to programs. No program listens, and the kernel says so to who sends. */
export const messageFunctions = kernelFunctions({
  'struct nlmsghdr *__nlmsg_put(struct sk_buff *skb, u32 portid, u32 seq, int type, int len, int flags)':
    putMessage,
  'void *genlmsg_put(struct sk_buff *skb, u32 portid, u32 seq, const struct genl_family *family, int flags, u8 cmd)':
    (k, skb, port, sequence, family, flags, command) => {
      const own = k.read('genl_family.hdrsize', family);
      const size = GENERIC_HEADER + own;
      if (end(k, skb) - tail(k, skb) < MESSAGE_HEADER + roundUp(size, 4)) return 0;
      const at = putMessage(k, skb, port, sequence, k.read('genl_family.id', family), size, flags);
      k.memory.set8(at + MESSAGE_HEADER, command);
      k.memory.set8(at + MESSAGE_HEADER + 1, k.read('genl_family.version', family));
      return at + MESSAGE_HEADER + GENERIC_HEADER;
    },
  'int netlink_broadcast(struct sock *ssk, struct sk_buff *skb, __u32 portid, __u32 group, gfp_t allocation)':
    function* (k, _socket, skb) {
      yield* freePacket(k, skb);
      return -Errno.ESRCH;
    },
  'int netlink_unicast(struct sock *ssk, struct sk_buff *skb, u32 portid, int nonblock)': function* (
    k,
    _socket,
    skb,
  ) {
    yield* freePacket(k, skb);
    return -Errno.ECONNREFUSED;
  },
  'int netlink_has_listeners(struct sock *sk, unsigned int group)': () => 0,
});
