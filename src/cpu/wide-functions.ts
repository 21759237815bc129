/**
 * Vector instructions that are too long to be put wherever they occur: rounds of AES and SHA, products without carries
 * (Intel SDM volume 2 by mnemonic; FIPS 197, FIPS 180-4). One function for all, `(kind, d, a, immediate)`, where d and a
 * are offsets of vector registers: interpreter and translated code call the same one.
 */
import { XMM } from './state.ts';
import {
  block,
  brTable,
  type Code,
  i32,
  i64,
  type Local,
  label,
  local,
  type ModuleBuilder,
  ret,
  select,
  seq,
} from './wasm/encoder.ts';
import { DECRYPT, ENCRYPT, INVERSE, SUBSTITUTE, WIDE, type WideName } from './wide.ts';

// ---- AES ----

const [D, A, IMM] = [local(1), local(2), local(3)];
/** Sixteen of 32 bits, ten of 64. */
const W = Array.from({ length: 16 }, (_, n) => local(4 + n));
const Q = Array.from({ length: 10 }, (_, n) => local(20 + n));

const byteOf = (word: Local, row: number): Code =>
  i32.and(row === 0 ? word.get : i32.shrU(word.get, i32.const(8 * row)), i32.const(255));
const inTable = (table: number, index: Code): Code => i32.load(i32.shl(index, i32.const(2)), table);
const rotated = (value: Code, bits: number): Code => (bits === 0 ? value : i32.rotl(value, i32.const(bits)));
const xors = (parts: readonly Code[]): Code => parts.reduce((sum, part) => i32.xor(sum, part));
const loadWords = (from: Local, into = 0): Code =>
  [0, 1, 2, 3].map((n) => W[into + n].set(i32.load(from.get, n * 4)));
const storeWords = (words: readonly Code[]): Code => words.map((word, n) => i32.store(D.get, word, n * 4));

/** Columns of a round: `direction` says from which column each row comes. */
function round(direction: 1 | -1, term: (word: Local, row: number) => Code): Code {
  const columns = [0, 1, 2, 3].map((column) =>
    xors([0, 1, 2, 3].map((row) => term(W[(column + direction * row + 4) & 3], row))),
  );
  return seq(loadWords(D), storeWords(columns.map((column, n) => i32.xor(column, i32.load(A.get, n * 4)))));
}

const mixed = (table: number) => (word: Local, row: number) =>
  rotated(inTable(table, byteOf(word, row)), 8 * row);
const plain = (table: number) => (word: Local, row: number) =>
  i32.shl(i32.load8u(byteOf(word, row), table), i32.const(8 * row));
const substituted = (word: Local): Code => xors([0, 1, 2, 3].map((row) => plain(SUBSTITUTE)(word, row)));

const inverseMix = seq(
  loadWords(A),
  storeWords(
    [0, 1, 2, 3].map((n) =>
      xors(
        [0, 1, 2, 3].map((row) =>
          rotated(inTable(DECRYPT, i32.load8u(byteOf(W[n], row), SUBSTITUTE)), 8 * row),
        ),
      ),
    ),
  ),
);

const keyAssist = seq(
  loadWords(A),
  [1, 3].flatMap((n) => [
    W[4].set(substituted(W[n])),
    i32.store(D.get, W[4].get, (n - 1) * 4),
    i32.store(D.get, i32.xor(i32.rotr(W[4].get, i32.const(8)), IMM.get), n * 4),
  ]),
);

// ---- products without carries ----

const HOLES = [0x1111111111111111n, 0x2222222222222222n, 0x4444444444444444n, 0x8888888888888888n];

/**
 * The low 64 bits of the product of Q[0] and Q[1] into Q[8]: factors of which only every fourth bit is kept leave room
 * for the carries of an ordinary product, which are then cut away.
 */
function lowProduct(): Code {
  const part = (from: Local, n: number): Code => i64.and(from.get, i64.const(HOLES[n]));
  const kept = [0, 1, 2, 3].map((n) => {
    const products = [0, 1, 2, 3].map((x) => i64.mul(Q[2 + x].get, part(Q[1], (n - x + 4) & 3)));
    return i64.and(
      products.reduce((sum, product) => i64.xor(sum, product)),
      i64.const(HOLES[n]),
    );
  });
  return seq(
    [0, 1, 2, 3].map((n) => Q[2 + n].set(part(Q[0], n))),
    Q[8].set(kept.reduce((sum, each) => i64.or(sum, each))),
  );
}

/** Sixty-four bits from the last to the first. */
function reversed(at: Local): Code {
  const swap = (bits: number, mask: bigint): Code =>
    at.set(
      i64.or(
        i64.and(i64.shrU(at.get, i64.const(bits)), i64.const(mask)),
        i64.shl(i64.and(at.get, i64.const(mask)), i64.const(bits)),
      ),
    );
  return seq(
    swap(1, 0x5555555555555555n),
    swap(2, 0x3333333333333333n),
    swap(4, 0x0f0f0f0f0f0f0f0fn),
    swap(8, 0x00ff00ff00ff00ffn),
    swap(16, 0x0000ffff0000ffffn),
    at.set(i64.rotl(at.get, i64.const(32))),
  );
}

const half = (register: Local, bit: number): Code =>
  i64.load(i32.add(register.get, i32.and(i32.shrU(IMM.get, i32.const(bit)), i32.const(8))), 0);

const carryless = seq(
  IMM.set(i32.or(i32.shl(i32.and(IMM.get, i32.const(1)), i32.const(3)), i32.shl(IMM.get, i32.const(7)))),
  Q[0].set(half(D, 0)),
  Q[1].set(half(A, 8)),
  lowProduct(),
  Q[9].set(Q[8].get),
  reversed(Q[0]),
  reversed(Q[1]),
  lowProduct(),
  reversed(Q[8]),
  i64.store(D.get, Q[9].get),
  i64.store(D.get, i64.shrU(Q[8].get, i64.const(1)), 8),
);

// ---- SHA ----

const add = (...parts: readonly Code[]): Code => parts.reduce((sum, part) => i32.add(sum, part));
const right = (value: Code, bits: number): Code => i32.rotr(value, i32.const(bits));
const spread = (value: Local, [x, y, z]: readonly number[], shift = false): Code =>
  xors([
    right(value.get, x),
    right(value.get, y),
    shift ? i32.shrU(value.get, i32.const(z)) : right(value.get, z),
  ]);
const small0 = (value: Local): Code => spread(value, [7, 18, 3], true);
const small1 = (value: Local): Code => spread(value, [17, 19, 10], true);

/** W[0..7] are A to H; the two words of message and constant are in the first register. */
function sha256Rounds(): Code {
  const [a, b, c, d, e, f, g, h, t] = W;
  const one = (n: number): Code =>
    seq(
      t.set(
        add(
          i32.xor(g.get, i32.and(e.get, i32.xor(f.get, g.get))),
          spread(e, [6, 11, 25]),
          i32.load(i32.const(0), XMM + n * 4),
          h.get,
        ),
      ),
      h.set(g.get),
      g.set(f.get),
      f.set(e.get),
      e.set(add(t.get, d.get)),
      d.set(c.get),
      W[9].set(i32.or(i32.and(a.get, b.get), i32.and(c.get, i32.or(a.get, b.get)))),
      c.set(b.get),
      b.set(a.get),
      a.set(add(t.get, W[9].get, spread(a, [2, 13, 22]))),
    );
  return seq(
    [
      a.set(i32.load(A.get, 12)),
      b.set(i32.load(A.get, 8)),
      e.set(i32.load(A.get, 4)),
      f.set(i32.load(A.get)),
    ],
    [
      c.set(i32.load(D.get, 12)),
      d.set(i32.load(D.get, 8)),
      g.set(i32.load(D.get, 4)),
      h.set(i32.load(D.get)),
    ],
    one(0),
    one(1),
    storeWords([f.get, e.get, b.get, a.get]),
  );
}

const sha256First = seq(
  loadWords(D),
  W[4].set(i32.load(A.get)),
  storeWords([0, 1, 2, 3].map((n) => add(W[n].get, small0(W[n + 1])))),
);

const sha256Second = seq(
  loadWords(D),
  W[4].set(i32.load(A.get, 8)),
  W[5].set(i32.load(A.get, 12)),
  W[6].set(add(W[0].get, small1(W[4]))),
  W[7].set(add(W[1].get, small1(W[5]))),
  storeWords([W[6].get, W[7].get, add(W[2].get, small1(W[6])), add(W[3].get, small1(W[7]))]),
);

const SHA1_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];

function sha1Rounds(): Code {
  // Words are numbered from the lowest of the register: a is W[3], the message's first W[7].
  const [d, c, b, a] = W;
  const [e, k, f] = [W[8], W[9], W[10]];
  const is = (n: number): Code => i32.eq(IMM.get, i32.const(n));
  const parity = xors([b.get, c.get, d.get]);
  const majority = i32.or(i32.and(b.get, c.get), i32.and(d.get, i32.or(b.get, c.get)));
  const choice = i32.xor(d.get, i32.and(b.get, i32.xor(c.get, d.get)));
  const one = (n: number): Code =>
    seq(
      f.set(select(is(0), choice, select(is(2), majority, parity))),
      f.set(add(f.get, rotated(a.get, 5), W[7 - n].get, e.get, k.get)),
      e.set(d.get),
      d.set(c.get),
      c.set(rotated(b.get, 30)),
      b.set(a.get),
      a.set(f.get),
    );
  const constant = (n: number): Code => i32.const(SHA1_CONSTANTS[n]);
  return seq(
    IMM.set(i32.and(IMM.get, i32.const(3))),
    loadWords(D),
    loadWords(A, 4),
    e.set(i32.const(0)),
    k.set(select(is(0), constant(0), select(is(1), constant(1), select(is(2), constant(2), constant(3))))),
    [0, 1, 2, 3].map(one),
    storeWords([d.get, c.get, b.get, a.get]),
  );
}

const sha1Next = seq(
  loadWords(A),
  W[4].set(rotated(i32.load(D.get, 12), 30)),
  storeWords([W[0].get, W[1].get, W[2].get, add(W[3].get, W[4].get)]),
);

const sha1First = seq(
  loadWords(D, 2),
  W[0].set(i32.load(A.get, 8)),
  W[1].set(i32.load(A.get, 12)),
  storeWords([0, 1, 2, 3].map((n) => i32.xor(W[n].get, W[n + 2].get))),
);

const sha1Second = seq(
  loadWords(D, 4),
  loadWords(A),
  W[3].set(rotated(i32.xor(W[7].get, W[2].get), 1)),
  storeWords([
    rotated(i32.xor(W[4].get, W[3].get), 1),
    rotated(i32.xor(W[5].get, W[0].get), 1),
    rotated(i32.xor(W[6].get, W[1].get), 1),
    W[3].get,
  ]),
);

const BODIES: Readonly<Record<WideName, Code>> = {
  aesenc: round(1, mixed(ENCRYPT)),
  aesenclast: round(1, plain(SUBSTITUTE)),
  aesdec: round(-1, mixed(DECRYPT)),
  aesdeclast: round(-1, plain(INVERSE)),
  aesimc: inverseMix,
  aeskeygenassist: keyAssist,
  pclmulqdq: carryless,
  sha1rnds4: sha1Rounds(),
  sha1nexte: sha1Next,
  sha1msg1: sha1First,
  sha1msg2: sha1Second,
  sha256rnds2: sha256Rounds(),
  sha256msg1: sha256First,
  sha256msg2: sha256Second,
};

/** Adds the function `(kind, d, a, immediate)`. @returns its number */
export function wideFunction(builder: ModuleBuilder): number {
  const labels = WIDE.map((name) => label(name));
  const none = label('none');
  const cases = labels.reduce(
    (inner: Code, at, n): Code => seq(block(at, inner), BODIES[WIDE[n]], ret([])),
    brTable(labels, none, local(0).get),
  );
  return builder.addFunction({
    params: ['i32', 'i32', 'i32', 'i32'],
    results: [],
    locals: [...W.map((): 'i32' => 'i32'), ...Q.map((): 'i64' => 'i64')],
    body: block(none, cases),
  });
}
