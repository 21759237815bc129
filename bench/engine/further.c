/*
 * Workloads of other kinds than the four: tables, bits, states behind jump tables, divisions, comparisons through pointers, chains,
 * moves, a machine of byte codes, rounds of a hash, recursion, carries, trees, tables of functions. The same rules as in workloads.c:
 * nothing is written but buffer, scratch and the stack.
 */
typedef unsigned long u64;
typedef long s64;
typedef unsigned int u32;
typedef unsigned char u8;

static inline u32 rotate(u32 x, int n) { return x << n | x >> (32 - n); }

static inline u32 big(const u8 *p) {
  return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

/* A block cipher of ten rounds as AES implementations do it: four tables of words, sixteen look-ups a round. */
__attribute__((noinline)) static u64 cipher(u8 *p, u64 n, u32 *tables) {
  u8 *box = (u8 *)(tables + 1024);
  u32 *keys = tables + 2048;
  u8 power = 1, inverse = 1;
  do {
    power ^= (u8)(power << 1) ^ (power & 128 ? 27 : 0);
    inverse ^= inverse << 1;
    inverse ^= inverse << 2;
    inverse ^= inverse << 4;
    if (inverse & 128) inverse ^= 9;
    u8 x = inverse ^ (u8)(inverse << 1 | inverse >> 7) ^ (u8)(inverse << 2 | inverse >> 6) ^
           (u8)(inverse << 3 | inverse >> 5) ^ (u8)(inverse << 4 | inverse >> 4);
    box[power] = x ^ 99;
  } while (power != 1);
  box[0] = 99;
  for (u32 i = 0; i < 256; i++) {
    u8 s = box[i], twice = (u8)(s << 1) ^ (s & 128 ? 27 : 0);
    u32 w = (u32)twice << 24 | (u32)s << 16 | (u32)s << 8 | (u8)(twice ^ s);
    for (int t = 0; t < 4; t++) tables[t * 256 + i] = t ? rotate(w, 32 - 8 * t) : w;
  }
  for (u32 i = 0; i < 44; i++) keys[i] = i < 4 ? i * 0x01020304 : keys[i - 4] ^ rotate(keys[i - 1], 8) * 17;
  u32 a = 1, b = 2, c = 3, d = 4;
  for (u64 at = 0; at + 16 <= n; at += 16) {
    const u32 *k = keys;
    a ^= big(p + at) ^ k[0];
    b ^= big(p + at + 4) ^ k[1];
    c ^= big(p + at + 8) ^ k[2];
    d ^= big(p + at + 12) ^ k[3];
    for (int round = 0; round < 10; round++) {
      k += 4;
      u32 e = tables[a >> 24] ^ tables[256 + (b >> 16 & 255)] ^ tables[512 + (c >> 8 & 255)] ^ tables[768 + (d & 255)] ^ k[0];
      u32 f = tables[b >> 24] ^ tables[256 + (c >> 16 & 255)] ^ tables[512 + (d >> 8 & 255)] ^ tables[768 + (a & 255)] ^ k[1];
      u32 g = tables[c >> 24] ^ tables[256 + (d >> 16 & 255)] ^ tables[512 + (a >> 8 & 255)] ^ tables[768 + (b & 255)] ^ k[2];
      u32 h = tables[d >> 24] ^ tables[256 + (a >> 16 & 255)] ^ tables[512 + (b >> 8 & 255)] ^ tables[768 + (c & 255)] ^ k[3];
      a = e, b = f, c = g, d = h;
    }
  }
  return (u64)a << 32 | (b ^ c ^ d);
}

static inline u32 population(u64 x) {
  x -= x >> 1 & 0x5555555555555555;
  x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return (u32)((x * 0x0101010101010101) >> 56);
}

/* Boards of 64 squares: floods of rays, populations, lowest and highest bits. */
__attribute__((noinline)) static u64 boards(const u64 *p, u64 n) {
  u64 sum = 0;
  for (u64 i = 0; i + 1 < n / 8; i++) {
    u64 free = ~(p[i] & p[i + 1]), flood = p[i] & (p[i] >> 3);
    for (int step = 0; step < 3; step++) flood |= (flood << 1 & 0xfefefefefefefefe) & free;
    for (int step = 0; step < 3; step++) flood |= flood >> 8 & free;
    sum += population(flood);
    for (u64 rest = flood & p[i + 1]; rest; rest &= rest - 1) sum = sum * 3 + (u64)__builtin_ctzl(rest);
    if (flood) sum ^= (u64)__builtin_clzl(flood) << 32;
    sum += __builtin_bswap64(flood) >> (i & 31);
  }
  return sum;
}

/* A reader of text with a state and a class of each byte: switches that become jump tables. */
__attribute__((noinline)) static u64 parse(const u8 *p, u64 n) {
  enum { SPACE, WORD, NUMBER, QUOTE, ESCAPE, COMMENT, SIGN } state = SPACE;
  u64 words = 0, numbers = 0, value = 0, signs = 0, depth = 0, lines = 0, sum = 0;
  for (u64 i = 0; i < n; i++) {
    u8 c = p[i];
    switch (c) {
      case '\n': lines++; if (state == COMMENT) state = SPACE; break;
      case '(': case '[': case '{': depth++; break;
      case ')': case ']': case '}': depth -= depth != 0; break;
      case '+': signs += 1; break;
      case '-': signs += 2; break;
      case '*': signs += 3; break;
      case '/': signs ^= depth; break;
      case '%': signs <<= 1; break;
      case '&': signs += 7; break;
      case '|': signs ^= 5; break;
      case '<': signs -= 3; break;
      case '>': signs = ~signs; break;
      case '!': signs += lines; break;
      default: break;
    }
    switch (state) {
      case SPACE:
        if (c >= 'a' && c <= 'z') state = WORD, value = c;
        else if (c >= '0' && c <= '9') state = NUMBER, value = c - '0';
        else if (c == '"') state = QUOTE;
        else if (c == '#') state = COMMENT;
        else if (c != ' ') state = SIGN;
        break;
      case WORD:
        if (c >= 'a' && c <= 'z') value = value * 31 + c;
        else words++, sum ^= value, state = SPACE;
        break;
      case NUMBER:
        if (c >= '0' && c <= '9') value = value * 10 + c - '0';
        else numbers++, sum += value, state = SPACE;
        break;
      case QUOTE:
        if (c == '\\') state = ESCAPE;
        else if (c == '"' || c == ' ') state = SPACE;
        else sum += c;
        break;
      case ESCAPE: sum ^= (u64)c << 8; state = QUOTE; break;
      case COMMENT: if (c == 'e') state = SPACE; break;
      case SIGN: sum += (u64)c << 16; state = c == ' ' ? SPACE : WORD; break;
    }
  }
  return sum + words * 3 + numbers * 5 + signs * 7 + depth + lines;
}

/* Numbers: products of matrices modulo a prime, common divisors, digits. */
__attribute__((noinline)) static u64 numbers(const u64 *p, u64 n, u64 *out) {
  u64 sum = 0;
  for (u64 i = 0; i + 32 <= n / 8; i += 8) {
    const u64 *a = p + i, *b = p + i + 16;
    for (int row = 0; row < 4; row++)
      for (int column = 0; column < 4; column++) {
        u64 s = 0;
        for (int k = 0; k < 4; k++) s += (a[row * 4 + k] >> 32) * (b[k * 4 + column] >> 32);
        out[row * 4 + column] = s % 0xfffffffbu;
      }
    u64 x = out[0] | 1, y = out[5];
    while (y) {
      u64 rest = x % y;
      x = y, y = rest;
    }
    sum += x;
    for (u64 digits = out[10]; digits; digits /= 10) sum = sum * 7 + digits % 10;
    sum ^= (u64)(((unsigned __int128)a[3] * b[9]) >> 64);
    sum += (u64)((s64)a[2] / (s64)(b[7] >> 40 | 1));
  }
  return sum;
}

static s64 by_value(const u32 *x, const u32 *y) { return *x < *y ? -1 : *x > *y; }
static s64 by_low(const u32 *x, const u32 *y) { return (s64)(*x & 0xffff) - (s64)(*y & 0xffff); }
static s64 by_mix(const u32 *x, const u32 *y) { return (s64)(*x * 2654435761u) - (s64)(*y * 2654435761u); }

static void sift(u32 *a, u64 at, u64 n, s64 (*compare)(const u32 *, const u32 *)) {
  u32 v = a[at];
  for (u64 child; (child = at * 2 + 1) < n; at = child) {
    if (child + 1 < n && compare(&a[child], &a[child + 1]) < 0) child++;
    if (compare(&v, &a[child]) >= 0) break;
    a[at] = a[child];
  }
  a[at] = v;
}

/* Sorts runs of words: quicksort that ends in insertion, and a heap, each with a comparison through a pointer. */
static void quick(u32 *a, u64 n, s64 (*compare)(const u32 *, const u32 *)) {
  while (n > 12) {
    u32 pivot = a[n / 2];
    u64 i = 0, j = n - 1;
    for (;; i++, j--) {
      while (compare(&a[i], &pivot) < 0) i++;
      while (compare(&a[j], &pivot) > 0) j--;
      if (i >= j) break;
      u32 t = a[i];
      a[i] = a[j], a[j] = t;
    }
    quick(a, i, compare);
    a += i, n -= i;
  }
  for (u64 i = 1; i < n; i++) {
    u32 v = a[i];
    u64 j = i;
    for (; j > 0 && compare(&a[j - 1], &v) > 0; j--) a[j] = a[j - 1];
    a[j] = v;
  }
}

__attribute__((noinline)) static u64 sorts(const u32 *p, u64 n, u32 *a) {
  u64 sum = 0, run = 4096, count = n / 8;
  for (u64 i = 0; i < count; i++) a[i] = p[i] ^ (u32)(i * 40503);
  for (u64 at = 0, turn = 0; at + run <= count; at += run, turn++) {
    u32 *part = a + at;
    if (turn % 3 == 0) quick(part, run, by_value);
    else if (turn % 3 == 1) quick(part, run, turn & 1 ? by_mix : by_low);
    else {
      for (u64 i = run / 2; i-- > 0;) sift(part, i, run, by_value);
      for (u64 end = run - 1; end > 0; end--) {
        u32 t = part[0];
        part[0] = part[end], part[end] = t;
        sift(part, 0, end, by_value);
      }
    }
    for (u64 i = 0; i < run; i += 64) sum = sum * 31 + part[i];
  }
  return sum;
}

struct entry {
  struct entry *next;
  u64 key;
  u32 count, last;
};

/* Words of text counted in chains of a table, then looked up again by what is near them. */
__attribute__((noinline)) static u64 chains(const u8 *p, u64 n, struct entry **table, struct entry *pool) {
  u64 used = 0, sum = 0, most = n / 64;
  for (u32 i = 0; i < 8192; i++) table[i] = 0;
  for (u64 at = 0; at < n;) {
    u64 key = 14695981039346656037u;
    while (at < n && p[at] > 32) key = (key ^ p[at++]) * 1099511628211u;
    at++;
    struct entry **slot = &table[(key ^ key >> 29) & 8191], *found;
    for (found = *slot; found && found->key != key; found = found->next) sum++;
    if (!found && used < most) {
      found = &pool[used++];
      *found = (struct entry){ *slot, key, 0, 0 };
      *slot = found;
    }
    if (!found) continue;
    sum += (at - found->last) & 15;
    found->last = (u32)at;
    found->count++;
  }
  for (u64 i = 0; i < used; i++) sum = sum * 5 + pool[i].count;
  return sum;
}

static inline void fill(u8 *to, u8 value, u64 n) { __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory"); }
static inline void copy(u8 *to, const u8 *from, u64 n) { __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory"); }

struct record { u64 words[6]; };

/* Moves: pieces with string instructions, overlapping ones by bytes and words, records by assignment. */
__attribute__((noinline)) static u64 moves(const u8 *p, u64 n, u8 *out) {
  u64 seed = 1, sum = 0;
  for (u64 at = 0; at + 512 < n; at += 40) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    u64 size = seed >> 57, far = seed >> 40 & 255;
    u8 *to = out + at;
    copy(to, p + at, size + 100);
    u64 *w = (u64 *)(to + 8);
    for (u64 i = 0; i < size / 8; i++) w[i] = w[i + 1 + (far & 3)];
    for (u64 i = size; i-- > 0;) to[i + 5] = to[i];
    struct record *r = (struct record *)(out + (at & ~63ul));
    r[1] = r[0];
    fill(to + far, (u8)seed, size & 31);
    sum = sum * 3 + to[far] + *(u64 *)(to + 16);
  }
  return sum;
}

/* A machine of byte codes that runs a small program over each piece of the input. */
__attribute__((noinline)) static u64 machine(const u8 *p, u64 n) {
  enum { LOAD, ADD, XOR, MUL, SHIFT, BRANCH, DECREMENT, SWAP, NEXT, MIN, STORE, OUT, END };
  static const u8 program[] = {
    LOAD, ADD, SHIFT, 7, XOR, SWAP, LOAD, MUL, BRANCH, 3, ADD, SHIFT, 3, MIN, STORE, 1, SWAP, XOR, NEXT, DECREMENT, 0, OUT, END,
  };
  u64 sum = 0;
  for (u64 at = 0; at + 16 <= n; at += 16) {
    const u8 *in = p + at, *pc = program;
    u64 a = at, b = 1, left = 7, cells[2] = { 0, 0 };
    for (;;) {
      switch (*pc++) {
        case LOAD: a ^= *in; break;
        case ADD: a += b; break;
        case XOR: a ^= b >> 3; break;
        case MUL: a *= 0x9e3779b1u; break;
        case SHIFT: a = a >> *pc | a << (64 - *pc); pc++; break;
        case BRANCH: pc += a & 1 ? *pc + 1 - 2 : 1; break;
        case DECREMENT: pc = --left ? program + *pc : pc + 1; break;
        case SWAP: { u64 t = a; a = b, b = t; break; }
        case NEXT: in++; break;
        case MIN: a = a < b ? a : b; break;
        case STORE: cells[*pc++ & 1] += a; break;
        case OUT: sum = sum * 31 + a + cells[1]; break;
        default: goto done;
      }
    }
  done:;
  }
  return sum;
}

/* SHA-256, its constants worked out from cube roots is no work of this kind: they come from a generator. */
__attribute__((noinline)) static u64 sha(const u8 *p, u64 n, u32 *constants) {
  u32 h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }, w[64];
  for (u32 i = 0, x = 1; i < 64; i++) constants[i] = x = x * 1664525 + 1013904223;
  for (u64 at = 0; at + 64 <= n; at += 64) {
    for (int i = 0; i < 16; i++) w[i] = big(p + at + i * 4);
    for (int i = 16; i < 64; i++) {
      u32 x = w[i - 15], y = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (rotate(x, 25) ^ rotate(x, 14) ^ x >> 3) + (rotate(y, 15) ^ rotate(y, 13) ^ y >> 10);
    }
    u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (int i = 0; i < 64; i++) {
      u32 t = k + (rotate(e, 26) ^ rotate(e, 21) ^ rotate(e, 7)) + ((e & f) ^ (~e & g)) + constants[i] + w[i];
      u32 u = (rotate(a, 30) ^ rotate(a, 19) ^ rotate(a, 10)) + ((a & b) ^ (a & c) ^ (b & c));
      k = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + u;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += k;
  }
  return (u64)h[0] << 32 | h[7];
}

/* Base64 there and back. */
__attribute__((noinline)) static u64 base64(const u8 *p, u64 n, u8 *out) {
  static const u8 letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  u8 *values = out, *to = out + 256;
  u64 sum = 0;
  for (u32 i = 0; i < 64; i++) values[letters[i]] = (u8)i;
  for (u64 at = 0; at + 3 <= n; at += 3) {
    u32 x = (u32)p[at] << 16 | (u32)p[at + 1] << 8 | p[at + 2];
    *to++ = letters[x >> 18], *to++ = letters[x >> 12 & 63], *to++ = letters[x >> 6 & 63], *to++ = letters[x & 63];
  }
  for (u8 *q = out + 256; q < to; q += 4)
    sum = sum * 5 + ((u32)values[q[0]] << 18 | (u32)values[q[1]] << 12 | (u32)values[q[2]] << 6 | values[q[3]]);
  return sum;
}

/* Does the pattern match at the start of the text? `.`, `*`, `?` and `[a-z]`, by backtracking. */
static int matches(const u8 *pattern, const u8 *text, const u8 *end) {
  if (!*pattern) return 1;
  const u8 *next = pattern + 1;
  if (*pattern == '[') next = pattern + 5;
  int here = 0;
  if (text < end) here = *pattern == '.' || (*pattern == '[' ? *text >= pattern[1] && *text <= pattern[3] : *pattern == *text);
  if (*next == '*') {
    if (here && matches(pattern, text + 1, end)) return 1;
    return matches(next + 1, text, end);
  }
  if (*next == '?') return (here && matches(next + 1, text + 1, end)) || matches(next + 1, text, end);
  return here && matches(next, text + 1, end);
}

__attribute__((noinline)) static u64 match(const u8 *p, u64 n) {
  static const u8 patterns[4][16] = { "a[b-m]*e", "..?t[a-s]*o", "[a-f][g-z]?x*q", "i*n.g" };
  u64 sum = 0;
  for (u64 at = 0; at < n; at++)
    if (matches(patterns[at & 3], p + at, p + n)) sum = sum * 31 + at;
  return sum;
}

/* Long numbers: squares with carries, and remainders of shifted subtractions. */
__attribute__((noinline)) static u64 carries(const u64 *p, u64 n, u64 *out) {
  u64 sum = 0;
  for (u64 at = 0; at + 16 <= n / 8; at += 16) {
    for (int i = 0; i < 16; i++) out[i] = 0;
    for (int i = 0; i < 8; i++) {
      u64 carry = 0;
      for (int j = 0; j < 8; j++) {
        unsigned __int128 t = (unsigned __int128)p[at + i] * p[at + 8 + j] + out[i + j] + carry;
        out[i + j] = (u64)t, carry = (u64)(t >> 64);
      }
      out[i + 8] = carry;
    }
    for (int turn = 0; turn < 8; turn++) {
      u64 borrow = 0;
      for (int i = 0; i < 16; i++) {
        unsigned __int128 t = (unsigned __int128)out[i] - (out[i] >> 1 | (i < 15 ? out[i + 1] << 63 : 0)) - borrow;
        out[i] = (u64)t, borrow = (u64)(t >> 64) & 1;
      }
    }
    sum += out[7] ^ out[15];
  }
  return sum;
}

/* The lengths of strings, their order and their numbers in decimal: short loops with calls around them. */
__attribute__((noinline)) static u64 size_of(const u8 *s) {
  const u8 *p = s;
  while (*p > 32) p++;
  return (u64)(p - s);
}
__attribute__((noinline)) static int order(const u8 *a, const u8 *b) {
  while (*a > 32 && *a == *b) a++, b++;
  return (int)*a - (int)*b;
}
__attribute__((noinline)) static u8 *decimal(u8 *to, u64 value) {
  u8 digits[24], *d = digits;
  do *d++ = (u8)('0' + value % 10); while (value /= 10);
  while (d > digits) *to++ = *--d;
  return to;
}
__attribute__((noinline)) static u64 strings(const u8 *p, u64 n, u8 *out) {
  const u8 *last = p, *end = p + n - 64;
  u8 *to = out;
  u64 sum = 0;
  while (p < end) {
    u64 size = size_of(p);
    int way = order(last, p);
    if (way > 0) to = decimal(to, size * 1000003 + (u64)way);
    else for (u64 i = 0; i < size; i++) *to++ = p[i] ^ 32;
    if (to > out + n) to = out;
    sum = sum * 31 + size + (u64)(long)way;
    last = p;
    p += size + 1;
  }
  return sum + (u64)(to - out);
}

/* Characters of UTF-8: a chain of decisions on the first byte of each. */
__attribute__((noinline)) static u64 characters(const u8 *p, u64 n) {
  u64 sum = 0, bad = 0;
  for (u64 i = 0; i < n;) {
    u32 c = p[i], value;
    if (c < 0x80) value = c, i++;
    else if ((c & 0xe0) == 0xc0 && i + 1 < n && (p[i + 1] & 0x80)) value = (c & 31) << 6 | (p[i + 1] & 63), i += 2;
    else if ((c & 0xf0) == 0xe0 && i + 2 < n) value = (c & 15) << 12 | (p[i + 1] & 63) << 6 | (p[i + 2] & 63), i += 3;
    else if ((c & 0xf8) == 0xf0 && i + 3 < n)
      value = (c & 7) << 18 | (p[i + 1] & 63) << 12 | (p[i + 2] & 63) << 6 | (p[i + 3] & 63), i += 4;
    else {
      bad++, i++;
      continue;
    }
    sum = sum * 33 + value;
  }
  return sum ^ bad;
}

struct tree {
  struct tree *left, *right;
  u64 key;
  u32 rank, count;
};

__attribute__((noinline)) static struct tree *to_right(struct tree *t) {
  struct tree *up = t->left;
  t->left = up->right, up->right = t;
  return up;
}
__attribute__((noinline)) static struct tree *to_left(struct tree *t) {
  struct tree *up = t->right;
  t->right = up->left, up->left = t;
  return up;
}
static struct tree *insert(struct tree *t, u64 key, u32 rank, struct tree **pool) {
  if (!t) {
    t = (*pool)++;
    *t = (struct tree){ 0, 0, key, rank, 1 };
  } else if (t->key == key) t->count++;
  else if (key < t->key) {
    t->left = insert(t->left, key, rank, pool);
    if (t->left->rank > t->rank) t = to_right(t);
  } else {
    t->right = insert(t->right, key, rank, pool);
    if (t->right->rank > t->rank) t = to_left(t);
  }
  return t;
}
static u64 in_order(const struct tree *t, u64 sum) {
  if (!t) return sum;
  sum = in_order(t->left, sum) * 31 + t->key * t->count;
  return in_order(t->right, sum);
}

/* A tree that is kept in balance by random ranks: recursion that goes deep, with small functions at its end. */
__attribute__((noinline)) static u64 trees(const u64 *p, u64 n, struct tree *pool) {
  struct tree *root = 0;
  u64 seed = 1;
  for (u64 i = 0; i < n / 64; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    root = insert(root, p[i] % 65521 + (seed >> 50), seed >> 32, &pool);
  }
  return in_order(root, 1);
}

struct shape;
struct kind {
  u64 (*area)(const struct shape *);
  void (*grow)(struct shape *, u64);
  u64 (*corners)(void);
};
struct shape {
  const struct kind *kind;
  u64 a, b;
};
static u64 square_area(const struct shape *s) { return s->a * s->a; }
static void square_grow(struct shape *s, u64 by) { s->a += by; }
static u64 square_corners(void) { return 4; }
static u64 box_area(const struct shape *s) { return s->a * s->b; }
static void box_grow(struct shape *s, u64 by) { s->a += by, s->b ^= by; }
static u64 box_corners(void) { return 8; }
static u64 half_area(const struct shape *s) { return s->a * s->b / 2; }
static void half_grow(struct shape *s, u64 by) { s->b += by >> 1; }
static u64 half_corners(void) { return 3; }
static const struct kind kinds[3] = {
  { square_area, square_grow, square_corners }, { box_area, box_grow, box_corners }, { half_area, half_grow, half_corners },
};

/* Objects with tables of functions: three calls through pointers for each. */
__attribute__((noinline)) static u64 shapes(const u64 *p, u64 n, struct shape *all) {
  u64 count = 4096, sum = 0;
  for (u64 i = 0; i < count; i++) all[i] = (struct shape){ &kinds[(p[i] >> 8) % 3], p[i] & 255, p[i] >> 56 };
  for (u64 turn = 0; turn < n / 32768; turn++)
    for (struct shape *s = all; s < all + count; s++) {
      sum += s->kind->area(s);
      s->kind->grow(s, turn + (u64)(s - all));
      if (s->kind->corners() == 8) sum ^= turn;
    }
  return sum;
}

/* Minima, medians and limits without branches: conditional moves and conditions as numbers. */
__attribute__((noinline)) static u64 medians(const int *p, u64 n) {
  u64 sum = 0;
  int low = 0x7fffffff, high = -low;
  for (u64 i = 0; i + 3 < n / 4; i++) {
    int a = p[i], b = p[i + 1], c = p[i + 2], most = a > b ? a : b, least = a > b ? b : a;
    int median = c > most ? most : c < least ? least : c;
    low = median < low ? median : low, high = median > high ? median : high;
    sum += (a < b) + (b < c) * 2 + ((u32)a > (u32)c) * 4;
    sum = sum * 3 + (u32)(median > 1000000000 ? 1000000000 : median < -1000000000 ? -1000000000 : median);
    sum ^= (a == b) | (c != 0);
  }
  return sum + (u64)low + (u64)high;
}

struct ring {
  u8 *bytes;
  u32 head, tail, mask;
};
__attribute__((noinline)) static void put(struct ring *r, u8 value) { r->bytes[r->head++ & r->mask] = value; }
__attribute__((noinline)) static u8 take(struct ring *r) { return r->bytes[r->tail++ & r->mask]; }
__attribute__((noinline)) static u32 held(const struct ring *r) { return r->head - r->tail; }

/* A ring of bytes behind small functions, each of them called for every byte. */
__attribute__((noinline)) static u64 rings(const u8 *p, u64 n, u8 *out) {
  struct ring r = { out, 0, 0, 1023 };
  u64 sum = 0;
  for (u64 i = 0; i < n / 2; i++) {
    if (held(&r) > 1000 || (p[i] & 3) == 0)
      while (held(&r) > 500) sum = sum * 31 + take(&r);
    put(&r, p[i]);
  }
  return sum;
}

/* In plain.c. */
u64 bench_plain(u64 which, u8 *buffer, u64 n, u8 *scratch);

/* Called by bench_entry for what it does not know itself. */
u64 bench_further(u64 which, u8 *buffer, u64 n, u8 *scratch) {
  switch (which) {
    case 4: return cipher(buffer, n, (u32 *)scratch);
    case 5: return boards((const u64 *)buffer, n);
    case 6: return parse(buffer, n);
    case 7: return numbers((const u64 *)buffer, n, (u64 *)scratch);
    case 8: return sorts((const u32 *)buffer, n, (u32 *)scratch);
    case 9: return chains(buffer, n, (struct entry **)scratch, (struct entry *)(scratch + 65536));
    case 10: return moves(buffer, n, scratch);
    case 11: return machine(buffer, n);
    case 12: return sha(buffer, n, (u32 *)scratch);
    case 13: return base64(buffer, n, scratch);
    case 14: return match(buffer, n);
    case 15: return carries((const u64 *)buffer, n, (u64 *)scratch);
    case 16: return strings(buffer, n, scratch);
    case 17: return characters(buffer, n);
    case 18: return trees((const u64 *)buffer, n, (struct tree *)scratch);
    case 19: return shapes((const u64 *)buffer, n, (struct shape *)scratch);
    case 20: return medians((const int *)buffer, n);
    case 21: return rings(buffer, n, scratch);
    default: return bench_plain(which, buffer, n, scratch);
  }
}
