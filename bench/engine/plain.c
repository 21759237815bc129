/*
 * Workloads as people write them first: recursion, a path through a graph, cells of a grid, lists that are sorted, fields of bits,
 * quarter rounds. Short ones among them show what the first translation costs. The same rules as in workloads.c.
 */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

__attribute__((noinline)) static u64 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
__attribute__((noinline)) static u64 ackermann(u64 m, u64 n) {
  if (m == 0) return n + 1;
  return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

/* Shortest ways through a graph whose edges are a matrix of bytes. */
__attribute__((noinline)) static u64 ways(const u8 *edges, u64 n, u32 *far) {
  const u64 count = n < 1 << 20 ? 256 : 1024;
  u8 *done = (u8 *)(far + count);
  u64 sum = 0;
  for (u64 from = 0; from < 4; from++) {
    for (u64 i = 0; i < count; i++) far[i] = ~0u, done[i] = 0;
    far[from * 17] = 0;
    for (u64 turn = 0; turn < count; turn++) {
      u64 next = count;
      for (u64 i = 0; i < count; i++)
        if (!done[i] && (next == count || far[i] < far[next])) next = i;
      done[next] = 1;
      for (u64 i = 0; i < count; i++) {
        u32 way = far[next] + edges[next * count + i] + 1;
        if (way < far[i]) far[i] = way;
      }
    }
    for (u64 i = 0; i < count; i++) sum = sum * 31 + far[i];
  }
  return sum;
}

/* The game of life on a grid of 512 by 512. */
__attribute__((noinline)) static u64 cells(const u8 *p, u8 *grid) {
  const long side = 512;
  u8 *now = grid, *then = grid + side * side;
  for (long i = 0; i < side * side; i++) now[i] = p[i] & 1;
  for (int turn = 0; turn < 8; turn++) {
    for (long y = 1; y < side - 1; y++)
      for (long x = 1; x < side - 1; x++) {
        const u8 *c = now + y * side + x;
        int near = c[-1] + c[1] + c[-side] + c[-side - 1] + c[-side + 1] + c[side] + c[side - 1] + c[side + 1];
        then[y * side + x] = near == 3 || (near == 2 && *c);
      }
    u8 *t = now;
    now = then, then = t;
  }
  u64 sum = 0;
  for (long i = 0; i < side * side; i++) sum = sum * 3 + now[i];
  return sum;
}

struct item {
  struct item *next;
  u64 value;
};

static struct item *sorted(struct item *list, u64 count) {
  if (count < 2) {
    if (list) list->next = 0;
    return list;
  }
  struct item *middle = list, first, *last = &first;
  for (u64 i = 0; i < count / 2; i++) middle = middle->next;
  struct item *b = sorted(middle, count - count / 2), *a = sorted(list, count / 2);
  for (; a && b; last = last->next)
    if (a->value <= b->value) last->next = a, a = a->next;
    else last->next = b, b = b->next;
  last->next = a ? a : b;
  return first.next;
}

/* A list sorted by merging. */
__attribute__((noinline)) static u64 merges(const u32 *p, u64 n, struct item *items) {
  u64 count = n / 128, sum = 0;
  for (u64 i = 0; i < count; i++) items[i] = (struct item){ i + 1 < count ? &items[i + 1] : 0, p[i] * 2654435761u };
  for (struct item *at = sorted(items, count); at; at = at->next) sum = sum * 31 + at->value;
  return sum;
}

/* Fields of three to eleven bits, written one behind the other and read again. */
__attribute__((noinline)) static u64 fields(const u8 *p, u64 n, u8 *out) {
  u64 held = 0, sum = 0;
  u32 bits = 0;
  u8 *end = out;
  for (u64 i = 0; i < n / 2; i++) {
    u32 size = (p[i] & 7) + 3;
    held |= (u64)(p[i] >> 1 & ((1u << size) - 1)) << bits;
    for (bits += size; bits >= 8; bits -= 8, held >>= 8) *end++ = (u8)held;
  }
  held = 0, bits = 0;
  for (const u8 *at = out; at < end;) {
    for (; bits < 11 && at < end; bits += 8) held |= (u64)*at++ << bits;
    u32 size = (held & 7) + 4;
    sum = sum * 5 + (held & ((1u << size) - 1));
    held >>= size;
    bits = bits > size ? bits - size : 0;
  }
  return sum;
}

static inline u32 left(u32 x, int n) { return x << n | x >> (32 - n); }
#define QUARTER(a, b, c, d) \
  a += b, d = left(d ^ a, 16), c += d, b = left(b ^ c, 12), a += b, d = left(d ^ a, 8), c += d, b = left(b ^ c, 7)

/* Rounds of a stream cipher over pieces of sixteen words. */
__attribute__((noinline)) static u64 stream(const u32 *p, u64 n, u32 *out) {
  u32 x[16];
  u64 sum = 0;
  for (u64 at = 0; at + 16 <= n / 16; at += 16) {
    for (int i = 0; i < 16; i++) x[i] = p[at + i];
    for (int turn = 0; turn < 10; turn++) {
      for (int i = 0; i < 4; i++) QUARTER(x[i], x[4 + i], x[8 + i], x[12 + i]);
      for (int i = 0; i < 4; i++) QUARTER(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
    }
    for (int i = 0; i < 16; i++) sum = sum * 31 + (out[i] = x[i] + p[at + i]);
  }
  return sum;
}

/* Called by bench_further for what it does not know itself. */
u64 bench_plain(u64 which, u8 *buffer, u64 n, u8 *scratch) {
  switch (which) {
    case 22: return fibonacci(31) + ackermann(2, 300);
    case 23: return ways(buffer, n, (u32 *)scratch);
    case 24: return cells(buffer, scratch);
    case 25: return merges((const u32 *)buffer, n, (struct item *)scratch);
    case 26: return fields(buffer, n, scratch);
    default: return stream((const u32 *)buffer, n, (u32 *)scratch);
  }
}
