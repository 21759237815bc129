/**
 * What the meaning of an operation is written with. A subclass says where operands come from (the
 * interpreter: from the operation word in memory) and how control goes on; the rest is common.
 */
import {
  BOUNCE,
  TLB_ADDEND,
  TLB_BASE,
  TLB_ENTRIES,
  TLB_ENTRY_SHIFT,
  TLB_READ,
  TLB_WRITE,
} from '../memory/layout.ts';
import type { Size } from './ir.ts';
import { CAUSE, FLAG, FLAG_A, FLAG_B, FLAG_KIND, FlagKind, Leave, NOTED, NOTED_SHIFT } from './state.ts';
import { type Callee, type Code, call, i32, i64, iff, type Local, seq } from './wasm/encoder.ts';

/** The register fields of an operation. */
export type Field = 'd' | 'a' | 'b' | 'x';

/** How an operation finds its memory operand. */
export type Form =
  /** base a + 64-bit displacement */
  | 'b'
  /** base a + (index x << scale) + 64-bit displacement */
  | 'x'
  /** base a + 32-bit displacement; the other half of the payload is an immediate */
  | 'i';

/** Functions of the module that operations call. */
export interface Calls {
  /** (va: i64, size | write << 8, ip) -> linear offset, or 0 after a fault */
  readonly miss: Callee;
  /** (va: i64, value: i64, size, ip) -> 0, or 1 after a fault */
  readonly slowStore: Callee;
  /** (va: i64, size) writes the bounce buffer back */
  readonly commit: Callee;
  /** (ip) -> 0 to go on, or a Leave code */
  readonly helper: Callee;
  /** () -> arithmetic flags */
  readonly flags: Callee;
  /** () -> CF */
  readonly carry: Callee;
  /** (condition) -> 0 or 1 */
  readonly cond: Callee;
  /** (a, b) -> high half of the unsigned product */
  readonly mulhu: Callee;
  /** (kind, d, a, immediate): one of the long vector instructions (wide-functions.ts) */
  readonly wide: Callee;
}

export interface Scratch {
  readonly va: Local;
  readonly x: Local;
  readonly y: Local;
  readonly z: Local;
  readonly entry: Local;
  readonly host: Local;
  readonly n: Local;
  readonly m: Local;
  readonly k: Local;
}

export const zero = i32.const(0);
const page = (address: Code): Code => i64.and(address, i64.const(-4096));

/** The instructions for values of an operand size: i64 for 8 bytes, i32 (zero-extended) for less. */
export const numeric = (size: Size): typeof i32 | typeof i64 => (size === 8 ? i64 : i32);
export const bitsOf = (size: Size): number => size * 8;
export const log2 = (size: Size): number => [1, 2, 4, 8].indexOf(size);

/** To i64, zero-extended. */
export const widen = (size: Size, value: Code): Code => (size === 8 ? value : i64.extendU(value));
/** From i64 to the type of the size. */
export const narrow = (size: Size, value: Code): Code => (size === 8 ? value : i32.wrap(value));
/** To i64 with the operand's sign in bit 63. */
export const top = (size: Size, value: Code): Code =>
  size === 8 ? value : i64.shl(i64.extendU(value), i64.const(64 - bitsOf(size)));
/** To i64, sign-extended from the size. */
export function signExtend(size: Size, value: Code): Code {
  if (size === 8) return value;
  if (size === 4) return i64.extendS(value);
  return i64.extendS(size === 2 ? i32.extend16(value) : i32.extend8(value));
}

export abstract class Gen {
  /** Bytes of an address and of what a push moves. */
  readonly word: 4 | 8;

  /** @param bits of an address: registers of a 32-bit guest hold zero-extended values, and sums wrap at 4 GiB */
  constructor(
    readonly calls: Calls,
    readonly t: Scratch,
    readonly bits: 32 | 64 = 64,
  ) {
    this.word = bits === 64 ? 8 : 4;
  }

  /** A register operand: i64 for size 8, else i32, zero-extended. */
  abstract reg(field: Field, size: Size): Code;
  /** As {@link reg} for a store of that size: what is above it does not matter. */
  stored(field: Field, size: Size): Code {
    return this.reg(field, size);
  }
  /** A write of 4 bytes clears the upper half; one of 1 or 2 leaves the rest. */
  abstract setReg(field: Field, size: Size, value: Code): Code;
  /** A fixed register. */
  abstract fixed(register: number, size: Size): Code;
  abstract setFixed(register: number, size: Size, value: Code): Code;
  /** Linear offset of the register file byte named by a field: for vector registers. */
  abstract fieldByte(field: Field): Code;
  abstract imm64(): Code;
  abstract imm32(): Code;
  abstract scale(): Code;
  abstract aux(): Code;
  /** Offset of this operation, for slow paths. */
  abstract here(): Code;
  /** Retires and goes to the operation's target; `own`: instructions that this operation itself completes. */
  abstract jump(own: number): Code;
  /** Retires and goes to a guest address that is in a local, or `calls` it; never falls through. */
  abstract indirect(target: Local, own: number, calls?: boolean): Code;
  /** Before a return to the address in `target`: does `pop` and goes on if it is where the call came from. */
  comesBack(_target: Local, _pop: Code): Code {
    return [];
  }
  /** Reports a fault of this instruction; state must still be that before it. */
  abstract fault(): Code;
  abstract faultIf(condition: Code): Code;
  abstract leave(code: number): Code;
  /** Stores what a call out needs to know. */
  abstract syncLeft(): Code;
  /** Takes what a call out has changed. */
  abstract reloadLeft(): Code;

  /** True when the budget covers that many more instructions. */
  abstract affords(instructions: Code): Code;
  /** Takes instructions off the budget that the operation completes beyond its own. */
  abstract spend(instructions: Code): Code;

  /** Counts an entry of the block down; leaves when it turns out to be hot. */
  abstract countEntry(): Code;
  /** Runs the translated code of this block's address, and goes on where that has left. */
  abstract enterTranslated(): Code;

  /** Calls the helper the operation names; goes on here unless that leaves or faults. */
  callHelper(): Code {
    const { n } = this.t;
    return seq(
      this.syncLeft(),
      n.set(call(this.calls.helper, this.here())),
      this.reloadLeft(),
      iff(n.get, seq(this.faultIf(i32.eq(n.get, i32.const(Leave.FAULT))), this.leave(Leave.HELPER))),
    );
  }

  immediate(size: Size): Code {
    return size === 8 ? i64.extendS(this.imm32()) : this.imm32();
  }

  /** Two temporaries of the type of a size. */
  temps(size: Size): readonly [Local, Local, Local] {
    const { x, y, z, n, m, k } = this.t;
    return size === 8 ? [x, y, z] : [n, m, k];
  }

  // ---- memory ----

  address(form: Form): Code {
    if (this.bits === 32) return i64.extendU(this.#address32(form));
    const base = this.reg('a', 8);
    if (form === 'i') return i64.add(base, i64.load32s(this.here(), 8));
    const near = i64.add(base, this.imm64());
    if (form === 'b') return near;
    return i64.add(near, i64.shl(this.reg('x', 8), i64.extendU(this.scale())));
  }

  #address32(form: Form): Code {
    const base = this.reg('a', 4);
    if (form === 'i') return i32.add(base, this.disp32());
    const near = i32.add(base, i32.wrap(this.imm64()));
    if (form === 'b') return near;
    return i32.add(near, i32.shl(this.reg('x', 4), this.scale()));
  }

  /** The 32-bit displacement beside an immediate. */
  disp32(): Code {
    return i32.load(this.here(), 8);
  }

  /** A sum of addresses, cut to the width of one. */
  wrapped(address: Code): Code {
    return this.bits === 64 ? address : i64.and(address, i64.const(0xffffffff));
  }

  /** Sets `host` to the linear offset of the address in `va`, or faults. */
  reach(size: number, write: boolean): Code {
    const { entry, host } = this.t;
    return seq(
      entry.set(this.#entry()),
      iff(
        this.#hit(size, write ? TLB_WRITE : TLB_READ),
        host.set(this.#translated()),
        this.slowReach(size, write),
      ),
    );
  }

  /** As {@link reach}, for addresses that the TLB does not have. */
  protected slowReach(size: number, write: boolean): Code {
    const { va, host } = this.t;
    const what = i32.const(size | (write ? 0x100 : 0));
    return seq(
      host.set(call(this.calls.miss, va.get, what, this.here())),
      this.faultIf(i32.eqz(host.get)),
      write ? this.afterSlowWrite() : [],
    );
  }

  /** Leaves the value, zero-extended (i64 for size 8, else i32). */
  load(size: Size, address: Code): Code {
    return seq(this.t.va.set(address), this.reach(size, false), loadHost(size, this.t.host.get));
  }

  /** `value` is emitted twice: it must be cheap and free of effects. */
  store(size: Size, address: Code, value: Code): Code {
    const { va, entry } = this.t;
    return seq(
      va.set(address),
      entry.set(this.#entry()),
      iff(
        this.#hit(size, TLB_WRITE),
        storeHost(size, this.#translated(), value),
        this.slowStore(size, value),
      ),
    );
  }

  /** As {@link store}, for addresses that the TLB does not have. */
  protected slowStore(size: Size, value: Code): Code {
    const store = call(this.calls.slowStore, this.t.va.get, widen(size, value), i32.const(size), this.here());
    return seq(this.faultIf(store), this.afterSlowWrite());
  }

  /** Reads, changes and writes one operand. `change` gets the old value and must leave the new one. */
  modify(size: Size, address: Code, change: (old: Code) => Code): Code {
    const { va, host } = this.t;
    return seq(
      va.set(address),
      this.reach(size, true),
      storeHost(size, host.get, change(loadHost(size, host.get))),
      this.committed(size),
    );
  }

  /** `then` with the linear offset of `va` if the TLB has its page and `last` is in it too, else `otherwise`. */
  whenMapped(last: Code, write: boolean, then: (host: Code) => Code, otherwise: Code): Code {
    const { entry } = this.t;
    const tag = i64.load(entry.get, TLB_BASE + (write ? TLB_WRITE : TLB_READ));
    return seq(
      entry.set(this.#entry()),
      iff(
        // The tag must be that of both ends: the entry alone says only where the first would be.
        i32.and(i64.eq(tag, page(this.t.va.get)), i64.eq(tag, page(last))),
        then(this.#translated()),
        otherwise,
      ),
    );
  }

  /** After a write through `host`. */
  committed(size: number): Code {
    const { va, host } = this.t;
    return iff(
      i32.eq(host.get, i32.const(BOUNCE)),
      seq(call(this.calls.commit, va.get, i32.const(size)), this.afterSlowWrite()),
    );
  }

  /** What to look at after a write that may have changed code. */
  protected afterSlowWrite(): Code {
    return [];
  }

  #entry(): Code {
    return this.entryOf(this.t.va);
  }

  /** Offset of the TLB's entry for an address. */
  protected entryOf(va: Local): Code {
    return i32.and(
      i32.wrap(i64.shrU(va.get, i64.const(12 - TLB_ENTRY_SHIFT))),
      i32.const((TLB_ENTRIES - 1) << TLB_ENTRY_SHIFT),
    );
  }

  /** The tag is compared with the page of the last byte: an access that crosses a page misses. */
  #hit(size: number, tag: number): Code {
    const { va, entry } = this.t;
    const last = size === 1 ? va.get : i64.add(va.get, i64.const(size - 1));
    return i64.eq(i64.load(entry.get, TLB_BASE + tag), i64.and(last, i64.const(-4096)));
  }

  #translated(): Code {
    return i32.add(i32.wrap(this.t.va.get), i32.load(this.t.entry.get, TLB_BASE + TLB_ADDEND));
  }

  // ---- flags ----

  /** After the flags of a comparison of four bytes: its operands as they are. */
  noteCompared(_a: Code, _b: Code): Code {
    return [];
  }

  /** What was noted so, if the flags are still those. */
  compared(): readonly [Code, Code] | undefined {
    return undefined;
  }

  /** a and b as {@link top} makes them; leave out what the kind does not use. */
  setFlags(kind: number, size: Size, a: Code | undefined, b?: Code): Code {
    return this.setFlagsKind(i32.const(kind | (log2(size) << 4)), a, b);
  }

  setFlagsKind(kind: Code, a: Code | undefined, b?: Code): Code {
    // The kind comes last: a and b may be worked out from the flags as they were.
    return seq(
      b === undefined ? [] : i64.store(zero, b, FLAG_B),
      a === undefined ? [] : i64.store(zero, a, FLAG_A),
      i32.store(zero, kind, FLAG_KIND),
    );
  }

  /** i64 result flags with CF, AF and OF given as an i32 of flag bits. */
  setResultFlags(size: Size, result: Code, bits: Code): Code {
    return this.setFlags(FlagKind.RESULT, size, result, i64.extendU(bits));
  }

  /** All arithmetic flags given as an i32. */
  setRawFlags(bits: Code): Code {
    return this.setFlags(FlagKind.RAW, 1, undefined, i64.extendU(bits));
  }

  /** Sets one or two of CF, ZF and OF. `bits`: those of the flags register, and no others. */
  noteFlags(names: readonly (keyof typeof NOTED)[], bits: Code): Code {
    const [marks, mask] = names.reduce(([all, flags], name) => [all | NOTED[name], flags | FLAG[name]], [
      0, 0,
    ] as const as readonly [number, number]);
    const rest = i32.and(this.flagKind(), i32.const(~(mask << NOTED_SHIFT)));
    const noted = i32.or(i32.shl(bits, i32.const(NOTED_SHIFT)), i32.const(marks));
    return this.setFlagsKind(i32.or(rest, noted), undefined);
  }

  /** {@link FlagKind} of the last flag writer and what has been noted since. */
  flagKind(): Code {
    return i32.load(zero, FLAG_KIND);
  }

  /** What the last flag writer left, as {@link FlagKind} says. */
  flagA(): Code {
    return i64.load(zero, FLAG_A);
  }

  flagB(): Code {
    return i64.load(zero, FLAG_B);
  }

  /** 0 or 1: the condition that the operation names. */
  condition(): Code {
    return call(this.calls.cond, this.aux());
  }

  /** High half of the unsigned product. */
  highProduct(a: Local, b: Local): Code {
    return call(this.calls.mulhu, a.get, b.get);
  }

  flags(): Code {
    return call(this.calls.flags);
  }

  carry(): Code {
    return call(this.calls.carry);
  }

  /** OF, 0 or 1. */
  overflow(): Code {
    return i32.and(i32.shrU(this.flags(), i32.const(11)), i32.const(1));
  }

  // ---- faults ----

  faultFor(cause: number): Code {
    return seq(i32.store(zero, i32.const(cause), CAUSE), this.fault());
  }
}

export function loadHost(size: Size, host: Code, offset = 0): Code {
  if (size === 8) return i64.load(host, offset);
  if (size === 4) return i32.load(host, offset);
  return size === 2 ? i32.load16u(host, offset) : i32.load8u(host, offset);
}

export function storeHost(size: Size, host: Code, value: Code, offset = 0): Code {
  if (size === 8) return i64.store(host, value, offset);
  if (size === 4) return i32.store(host, value, offset);
  return size === 2 ? i32.store16(host, value, offset) : i32.store8(host, value, offset);
}
