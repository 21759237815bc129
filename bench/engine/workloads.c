/*
 * Four workloads over a buffer: built flat for the guest, and linked with host.c for the host and for QEMU user mode. What they
 * write lies in `scratch`, far from the code: a data store into a page with code is another matter (see hostile tests).
 */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#ifndef NATIVE
__asm__(".globl _start\n_start: jmp bench_entry\n");
#endif

/* A byte at a time through one multiplication: the loop is one chain of dependencies. */
__attribute__((noinline)) static u64 hash(const u8 *p, u64 n) {
  u64 h = 0xcbf29ce484222325UL;
  for (u64 i = 0; i < n; i++) {
    h ^= p[i];
    h *= 0x100000001b3UL;
  }
  return h;
}

/* CRC-32 with a table of 256 words that it computes first. */
__attribute__((noinline)) static u64 crc(const u8 *p, u64 n, u32 *table) {
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (int bit = 0; bit < 8; bit++) c = c & 1 ? (c >> 1) ^ 0xedb88320u : c >> 1;
    table[i] = c;
  }
  u32 c = ~0u;
  for (u64 i = 0; i < n; i++) c = table[(c ^ p[i]) & 255] ^ (c >> 8);
  return c ^ ~0u;
}

static inline u32 word(const u8 *p) {
  return *(const __attribute__((aligned(1), may_alias)) u32 *)p;
}

/* Writes a length as a first part of at most 15 and bytes of 255. */
static u8 *length(u8 *out, u64 value) {
  for (; value >= 255; value -= 255) *out++ = 255;
  *out++ = (u8)value;
  return out;
}

/* A byte-oriented LZ77 compressor: literals and matches found through a hash of four bytes. */
__attribute__((noinline)) static u64 lz(const u8 *in, u64 n, u8 *out, u32 *heads) {
  u8 *const start = out;
  u64 literal = 0, at = 0;
  for (u32 i = 0; i < 8192; i++) heads[i] = 0;
  while (at + 12 < n) {
    u32 slot = (word(in + at) * 2654435761u) >> 19;
    u64 from = heads[slot];
    heads[slot] = (u32)at;
    if (from >= at || at - from > 65535 || word(in + from) != word(in + at)) {
      at += 1 + ((at - literal) >> 6);
      continue;
    }
    u64 same = 4;
    while (at + same < n && in[from + same] == in[at + same]) same++;
    out = length(out, at - literal);
    for (; literal < at; literal++) *out++ = in[literal];
    *out++ = (u8)(at - from);
    *out++ = (u8)((at - from) >> 8);
    out = length(out, same - 4);
    literal = at += same;
  }
  out = length(out, n - literal);
  for (; literal < n; literal++) *out++ = in[literal];
  u64 sum = (u64)(out - start);
  for (u8 *p = start; p < out; p += 61) sum = sum * 31 + *p;
  return sum;
}

struct node {
  struct node *next;
  u64 (*visit)(struct node *, u64);
  u64 value;
  u64 count;
};

static u64 visit_add(struct node *n, u64 x) { n->count++; return x + n->value; }
static u64 visit_mix(struct node *n, u64 x) { return (x ^ n->value) * 0x9e3779b97f4a7c15UL; }
static u64 visit_swap(struct node *n, u64 x) { u64 old = n->value; n->value = x >> 7; return x + old; }
static u64 visit_far(struct node *n, u64 x) { return n->next ? x ^ n->next->value : ~x; }
static u64 (*const visits[4])(struct node *, u64) = { visit_add, visit_mix, visit_swap, visit_far };

/* Lists threaded through all of the buffer, walked with a call through a pointer for each node, and relinked. */
__attribute__((noinline)) static u64 lists(struct node *nodes, u64 n, struct node **heads) {
  u64 count = n / sizeof(struct node), seed = 88172645463325252UL, sum = 1;
  for (u32 i = 0; i < 256; i++) heads[i] = 0;
  for (u64 i = 0; i < count; i++) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    struct node **head = &heads[(i >> 4) & 255];
    nodes[i] = (struct node){ *head, visits[seed >> 62], seed, 0 };
    *head = &nodes[i];
  }
  for (u32 round = 0; round < 6; round++)
    for (u32 i = 0; i < 256; i++) {
      struct node *back = 0, *next;
      for (struct node *at = heads[i]; at; at = next) {
        next = at->next;
        sum = at->visit(at, sum);
        at->next = back;
        back = at;
      }
      heads[i] = back;
    }
  return sum;
}

/* In further.c. */
u64 bench_further(u64 which, u8 *buffer, u64 n, u8 *scratch);

/* `buffer` holds n bytes of input; `scratch` twice as much and 64 KiB. */
u64 bench_entry(u64 which, u8 *buffer, u64 n, u8 *scratch) {
  if (which > 3) return bench_further(which, buffer, n, scratch);
  switch (which) {
    case 0: return hash(buffer, n);
    case 1: return crc(buffer, n, (u32 *)scratch);
    case 2: return lz(buffer, n, scratch + 65536, (u32 *)scratch);
    default: return lists((struct node *)buffer, n, (struct node **)scratch);
  }
}
