/** One WebAssembly module: a loop around a switch over the flat operations in linear memory. */

import {
  LOOKUP_BASE,
  LOOKUP_ENTRY_SHIFT,
  TLB_ADDEND,
  TLB_BASE,
  TLB_ENTRIES,
  TLB_ENTRY_SHIFT,
  TLB_READ,
  TLB_SECOND,
  TLB_WRITE,
} from '../memory/layout.ts';
import { flagFunctions, mulhuFunction } from './functions.ts';
import { type Calls, type Field, Gen, type Scratch, zero } from './gen.ts';
import type { Size } from './ir.ts';
import { storeRip } from './ops/branch.ts';
import { ending, type OpDefinition } from './ops/define.ts';
import { operations } from './ops/table.ts';
import {
  EXIT_IP,
  LEAVE_CODE,
  LEFT,
  Leave,
  MISS_VA,
  MISS_VALUE,
  OP,
  OP_BYTES,
  REGISTERS,
  RIP,
  XMM,
} from './state.ts';
import { ABSENT, lookupEntry, NO_RETURN, REGION_SIGNATURE, RUNTIME } from './translate/protocol.ts';
import {
  block,
  br,
  brIf,
  brTable,
  type Code,
  call,
  callIndirect,
  i32,
  i64,
  iff,
  type Label,
  type Local,
  label,
  local,
  loop,
  ModuleBuilder,
  ret,
  select,
  seq,
} from './wasm/encoder.ts';
import { wideFunction } from './wide-functions.ts';

const FIELD = { d: OP.D, a: OP.A, b: OP.B, x: OP.X } as const;

/** How often a call by way of a pointer tells where it leads. */
const TOLD = 4;

interface Labels {
  readonly next: Label;
  readonly budget: Label;
  readonly fault: Label;
  readonly leave: Label;
}

/** Operands come from the operation that `ip` points at. */
class InterpreterGen extends Gen {
  constructor(
    calls: Calls,
    t: Scratch,
    readonly ip: Local,
    readonly left: Local,
    readonly code: Local,
    readonly at: Labels,
    bits: 32 | 64,
    readonly regionType: number,
  ) {
    super(calls, t, bits);
  }

  reg(field: Field, size: Size): Code {
    return loadRegister(size, this.#operand(field), REGISTERS);
  }

  setReg(field: Field, size: Size, value: Code): Code {
    return storeRegister(size, this.#operand(field), value, REGISTERS);
  }

  fixed(register: number, size: Size): Code {
    return loadRegister(size, zero, REGISTERS + register * 8);
  }

  setFixed(register: number, size: Size, value: Code): Code {
    return storeRegister(size, zero, value, REGISTERS + register * 8);
  }

  fieldByte(field: Field): Code {
    return i32.add(i32.shl(this.#operand(field), i32.const(4)), i32.const(XMM));
  }

  imm64(): Code {
    return i64.load(this.ip.get, OP.IMM);
  }

  imm32(): Code {
    return i32.load(this.ip.get, OP.IMM32);
  }

  scale(): Code {
    return i32.load8u(this.ip.get, OP.SCALE);
  }

  aux(): Code {
    return i32.load8u(this.ip.get, OP.AUX);
  }

  here(): Code {
    return this.ip.get;
  }

  jump(own: number): Code {
    const free = this.t.entry;
    return seq(
      this.#retire(own),
      free.set(this.scale()),
      this.ip.set(i32.load(this.ip.get, OP.TARGET)),
      brIf(this.at.next, i32.or(i32.gtS(this.left.get, zero), free.get)),
      br(this.at.budget),
    );
  }

  countEntry(): Code {
    const { n } = this.t;
    return seq(
      n.set(i32.sub(this.imm32(), i32.const(1))),
      i32.store(this.ip.get, n.get, OP.IMM32),
      iff(i32.eqz(n.get), this.leave(Leave.HOT)),
    );
  }

  enterTranslated(): Code {
    const { x, n } = this.t;
    const went = (code: number): Code => i32.eq(n.get, i32.const(code));
    return seq(
      n.set(
        callIndirect(this.regionType, this.imm32(), this.left.get, zero, i64.const(NO_RETURN), this.disp32()),
      ),
      // Less than 0: nothing is translated there any more. More: it has returned to the address given.
      iff(
        i32.geS(n.get, zero),
        seq(
          iff(
            n.get,
            seq(
              i32.store(zero, n.get, LEFT),
              i32.store(zero, i32.const(Leave.MISS), LEAVE_CODE),
              storeRip(i64.const(NO_RETURN)),
            ),
          ),
          this.left.set(i32.load(zero, LEFT)),
          n.set(i32.load(zero, LEAVE_CODE)),
          iff(went(Leave.RESUME), seq(this.ip.set(i32.load(zero, EXIT_IP)), br(this.at.next))),
          iff(
            i32.or(went(Leave.GO), went(Leave.MISS)),
            [],
            seq(this.ip.set(i32.load(zero, EXIT_IP)), this.code.set(n.get), br(this.at.leave)),
          ),
          x.set(i64.load(zero, RIP)),
          this.#find(x, i32.or(i32.gtS(this.left.get, zero), went(Leave.GO))),
          this.code.set(n.get),
          br(this.at.leave),
        ),
      ),
    );
  }

  indirect(target: Local, own: number, calls = false): Code {
    return seq(
      this.#retire(own),
      calls ? this.#tell(target) : [],
      this.#find(target, i32.gtS(this.left.get, zero)),
      storeRip(target.get),
      this.leave(Leave.MISS),
    );
  }

  /** The first few times it is told where the operation leads to; its first field counts them. */
  #tell(target: Local): Code {
    const { n } = this.t;
    return seq(
      n.set(i32.load8u(this.ip.get, OP.D)),
      iff(
        i32.ltU(n.get, i32.const(TOLD)),
        seq(
          i32.store8(this.ip.get, i32.add(n.get, i32.const(1)), OP.D),
          storeRip(target.get),
          this.leave(Leave.MISS),
        ),
      ),
    );
  }

  /** Goes on at the block of an address if the lookup cache has it: at once, or by way of the budget exit. */
  #find(target: Local, allowed: Code): Code {
    const { entry } = this.t;
    return seq(
      entry.set(lookupEntry(target)),
      this.#ifFound(target, allowed),
      entry.set(i32.xor(entry.get, i32.const(1 << LOOKUP_ENTRY_SHIFT))),
      this.#ifFound(target, allowed),
    );
  }

  #ifFound(target: Local, allowed: Code): Code {
    const { entry } = this.t;
    return iff(
      i64.eq(i64.load(entry.get, LOOKUP_BASE), target.get),
      seq(this.ip.set(i32.load(entry.get, LOOKUP_BASE + 8)), brIf(this.at.next, allowed), br(this.at.budget)),
    );
  }

  fault(): Code {
    return br(this.at.fault);
  }

  faultIf(condition: Code): Code {
    return brIf(this.at.fault, condition);
  }

  leave(code: number): Code {
    return seq(this.code.set(i32.const(code)), br(this.at.leave));
  }

  affords(instructions: Code): Code {
    return i32.gtS(this.left.get, i32.add(instructions, i32.load16u(this.ip.get, OP.COUNT)));
  }

  spend(instructions: Code): Code {
    return this.left.set(i32.sub(this.left.get, instructions));
  }

  syncLeft(): Code {
    return i32.store(zero, this.left.get, LEFT);
  }

  reloadLeft(): Code {
    return this.left.set(i32.load(zero, LEFT));
  }

  #operand(field: Field): Code {
    return i32.load8u(this.ip.get, FIELD[field]);
  }

  #retire(own: number): Code {
    const count = i32.load16u(this.ip.get, OP.COUNT);
    return this.left.set(i32.sub(this.left.get, own === 0 ? count : i32.add(count, i32.const(own))));
  }
}

function loadRegister(size: Size, address: Code, offset: number): Code {
  if (size === 8) return i64.load(address, offset);
  if (size === 4) return i32.load(address, offset);
  return size === 2 ? i32.load16u(address, offset) : i32.load8u(address, offset);
}

function storeRegister(size: Size, address: Code, value: Code, offset: number): Code {
  if (size === 8) return i64.store(address, value, offset);
  if (size === 4) return i64.store(address, i64.extendU(value), offset);
  return size === 2 ? i32.store16(address, value, offset) : i32.store8(address, value, offset);
}

/** Everything a run needs from outside. */
export interface InterpreterImports {
  /** Address in MISS_VA. @returns the linear offset, 0 after a fault */
  miss(what: number, ip: number): number;
  /** Address in MISS_VA, value in MISS_VALUE. @returns 0, or 1 after a fault */
  store(size: number, ip: number): number;
  /** Writes the bounce buffer to the address in MISS_VA. */
  commit(size: number): void;
  /** @returns 0 to go on, else a Leave code */
  helper(ip: number): number;
  /** Opens the window at the address in MISS_VA for the translated code in that place. @returns 0 where it cannot */
  window(bytes: number, slot: number): number;
}

export interface InterpreterExports {
  /** Runs from the operation at `ip` until about `left` instructions have retired. @returns a Leave code */
  run(ip: number, left: number): number;
  /** The arithmetic flags as bits of the flags register. */
  flags(): number;
  cond(condition: number): number;
  /** What an empty place of the table of translated functions holds. */
  absent: CallableFunction;
}

/** The same for every kernel of a width: compile once, instantiate for each. */
export function interpreterModule(bits: 32 | 64 = 64): Uint8Array<ArrayBuffer> {
  const builder = new ModuleBuilder({ min: 1, max: 65536 });
  const none = { params: [], results: [] } as const;
  const missImport = builder.importFunction('miss', { params: ['i32', 'i32'], results: ['i32'] });
  const storeImport = builder.importFunction('store', { params: ['i32', 'i32'], results: ['i32'] });
  const commitImport = builder.importFunction('commit', { params: ['i32'], results: [] });
  const helper = builder.importFunction('helper', { params: ['i32'], results: ['i32'] });
  const windowImport = builder.importFunction('window', { params: ['i32', 'i32'], results: ['i32'] });
  builder.importTable();
  const regionType = builder.addType(REGION_SIGNATURE);
  const [p0, p1, p2, p3] = [local(0), local(1), local(2), local(3)];
  const straddle = straddleFunction(builder);
  const second = secondPlaceFunction(builder);
  const found = local(3);
  const miss = builder.addFunction({
    params: ['i64', 'i32', 'i32'],
    results: ['i32'],
    locals: ['i32'],
    body: seq(
      found.set(call(straddle, p0.get, p1.get)),
      iff(found.get, ret(found.get)),
      found.set(call(second, p0.get, p1.get)),
      iff(found.get, ret(found.get)),
      i64.store(zero, p0.get, MISS_VA),
      call(missImport, p1.get, p2.get),
    ),
  });
  const host = local(4);
  const slowStore = builder.addFunction({
    params: ['i64', 'i64', 'i32', 'i32'],
    results: ['i32'],
    locals: ['i32'],
    body: seq(
      host.set(call(straddle, p0.get, i32.or(p2.get, i32.const(0x100)))),
      iff(host.get, seq(storeSized(host, p1, p2), ret(zero))),
      host.set(call(second, p0.get, i32.or(p2.get, i32.const(0x100)))),
      iff(host.get, seq(storeSized(host, p1, p2), ret(zero))),
      i64.store(zero, p0.get, MISS_VA),
      i64.store(zero, p1.get, MISS_VALUE),
      call(storeImport, p2.get, p3.get),
    ),
  });
  const commit = builder.addFunction({
    ...none,
    params: ['i64', 'i32'],
    locals: [],
    body: seq(i64.store(zero, p0.get, MISS_VA), call(commitImport, p1.get)),
  });
  const windowOf = builder.addFunction({
    ...RUNTIME.windowOf,
    locals: [],
    body: seq(i64.store(zero, p0.get, MISS_VA), call(windowImport, p1.get, p2.get)),
  });
  const mulhu = mulhuFunction(builder);
  const { flags, carry, cond, ...ofKind } = flagFunctions(builder, mulhu);
  const wide = wideFunction(builder);
  const runtime = { missOf: miss, slowStore, windowOf, commitOf: commit, helper, ...ofKind, wideOf: wide };
  for (const name of Object.keys(RUNTIME) as (keyof typeof RUNTIME)[])
    builder.place(RUNTIME[name].slot, runtime[name]);
  builder.addFunction({ ...REGION_SIGNATURE, locals: [], body: i32.const(ABSENT), exportAs: 'absent' });
  const calls: Calls = { miss, slowStore, commit, helper, flags, carry, cond, mulhu, wide };
  const apart = apartFunction(builder, calls, bits);
  builder.addFunction({
    params: ['i32', 'i32'],
    results: ['i32'],
    locals: ['i64', 'i64', 'i64', 'i64', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    body: runBody(calls, bits, regionType, apart),
    exportAs: 'run',
  });
  return builder.finish();
}

/** Stores the low bytes of a value. */
function storeSized(host: Local, value: Local, size: Local): Code {
  const is = (bytes: number, store: Code): Code => iff(i32.eq(size.get, i32.const(bytes)), store);
  return seq(
    is(8, i64.store(host.get, value.get)),
    is(4, i64.store32(host.get, value.get)),
    is(2, i64.store16(host.get, value.get)),
    is(1, i64.store8(host.get, value.get)),
  );
}

/**
 * (va, size | write << 8) -> linear offset of an access over the boundary of two pages that lie side by side in linear
 * memory too and are both in the TLB, else 0.
 */
function straddleFunction(builder: ModuleBuilder): number {
  const [va, what, last, first, second, tag] = [0, 1, 2, 3, 4, 5].map(local);
  const size = i32.and(what.get, i32.const(0xff));
  const entryOf = (at: Local): Code =>
    i32.and(
      i32.wrap(i64.shrU(at.get, i64.const(12 - TLB_ENTRY_SHIFT))),
      i32.const((TLB_ENTRIES - 1) << TLB_ENTRY_SHIFT),
    );
  const page = (at: Local): Code => i64.and(at.get, i64.const(-4096));
  const has = (entry: Local, at: Local): Code =>
    i64.eq(i64.load(i32.add(entry.get, tag.get), TLB_BASE), page(at));
  const addend = (entry: Local): Code => i32.load(entry.get, TLB_BASE + TLB_ADDEND);
  return builder.addFunction({
    params: ['i64', 'i32'],
    results: ['i32'],
    locals: ['i64', 'i32', 'i32', 'i32'],
    body: seq(
      last.set(i64.sub(i64.add(va.get, i64.extendU(size)), i64.const(1))),
      iff(i64.eq(page(va), page(last)), ret(zero)),
      tag.set(select(i32.shrU(what.get, i32.const(8)), i32.const(TLB_WRITE), i32.const(TLB_READ))),
      first.set(entryOf(va)),
      second.set(entryOf(last)),
      iff(i32.eqz(i32.and(has(first, va), has(second, last))), ret(zero)),
      iff(i32.ne(addend(first), addend(second)), ret(zero)),
      i32.add(i32.wrap(va.get), addend(first)),
    ),
  });
}

/**
 * (va, size | write << 8) -> linear offset of an access inside a page that is in its second place of the TLB, and changes
 * places with what is in the first, else 0.
 */
function secondPlaceFunction(builder: ModuleBuilder): number {
  const [va, what, first, second, tag, held] = [0, 1, 2, 3, 4, 5].map(local);
  const size = i32.and(what.get, i32.const(0xff));
  const last = i64.sub(i64.add(va.get, i64.extendU(size)), i64.const(1));
  const words = Array.from({ length: (1 << TLB_ENTRY_SHIFT) / 8 }, (_, n) => TLB_BASE + n * 8);
  const exchange = words.map((at) =>
    seq(
      held.set(i64.load(first.get, at)),
      i64.store(first.get, i64.load(second.get, at), at),
      i64.store(second.get, held.get, at),
    ),
  );
  return builder.addFunction({
    params: ['i64', 'i32'],
    results: ['i32'],
    locals: ['i32', 'i32', 'i32', 'i64'],
    body: seq(
      tag.set(select(i32.shrU(what.get, i32.const(8)), i32.const(TLB_WRITE), i32.const(TLB_READ))),
      first.set(
        i32.and(
          i32.wrap(i64.shrU(va.get, i64.const(12 - TLB_ENTRY_SHIFT))),
          i32.const((TLB_ENTRIES - 1) << TLB_ENTRY_SHIFT),
        ),
      ),
      second.set(i32.xor(first.get, i32.const(TLB_SECOND))),
      iff(
        i64.ne(i64.load(i32.add(second.get, tag.get), TLB_BASE), i64.and(last, i64.const(-4096))),
        ret(zero),
      ),
      exchange,
      i32.add(i32.wrap(va.get), i32.load(first.get, TLB_BASE + TLB_ADDEND)),
    ),
  });
}

/** A switch over the operations that are `here`; all others are `otherwise`. */
function switchOf(
  g: Gen,
  ip: Local,
  unknown: Label,
  here: (definition: OpDefinition) => boolean,
  otherwise: OpDefinition,
  advance: Code,
): Code {
  const cases = [...operations.filter(here), otherwise];
  const labels = new Map(cases.map((definition) => [definition, label(definition.name)]));
  // Blocks within blocks: the switch leaves the one of its operation, whose code comes right after.
  const opened = [...labels.values()].map((each): Code => [0x02, 0x40, { open: each }]).reverse();
  const bodies = cases.map(
    (definition): Code => [[0x0b, { close: true }], definition.emit(g), definition.ends ? [] : advance],
  );
  const rest = labels.get(otherwise) ?? unknown;
  const table = operations.map((definition) => labels.get(definition) ?? rest);
  return seq(opened, brTable(table, unknown, i32.load16u(ip.get, OP.CODE)), bodies);
}

/** The operations that are kept apart: what their helpers return is all that can go wrong. */
class ApartGen extends InterpreterGen {
  readonly failed = local(10);

  override callHelper(): Code {
    return this.failed.set(call(this.calls.helper, this.here()));
  }
}

/** (ip) runs one operation of those that are kept apart. @returns not 0 after a fault */
function apartFunction(builder: ModuleBuilder, calls: Calls, bits: 32 | 64): number {
  const [ip, va, x, y, z, entry, host, n, m, k] = Array.from({ length: 10 }, (_, i) => local(i));
  const done = label('done');
  const at: Labels = { next: done, budget: done, fault: done, leave: done };
  const g = new ApartGen(calls, { va, x, y, z, entry, host, n, m, k }, ip, n, n, at, bits, 0);
  const nothing = ending('none', () => br(done));
  const isApart = (definition: OpDefinition): boolean => definition.apart === true;
  return builder.addFunction({
    params: ['i32'],
    results: ['i32'],
    locals: ['i64', 'i64', 'i64', 'i64', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    body: seq(block(done, switchOf(g, ip, done, isApart, nothing, br(done))), g.failed.get),
  });
}

function runBody(calls: Calls, bits: 32 | 64, regionType: number, apart: number): Code {
  const [ip, left, va, x, y, z, entry, host, n, m, k, code] = Array.from({ length: 12 }, (_, i) => local(i));
  const at: Labels = {
    next: label('next'),
    budget: label('budget'),
    fault: label('fault'),
    leave: label('leave'),
  };
  const g = new InterpreterGen(
    calls,
    { va, x, y, z, entry, host, n, m, k },
    ip,
    left,
    code,
    at,
    bits,
    regionType,
  );
  const advance = seq(ip.set(i32.add(ip.get, i32.const(OP_BYTES))), br(at.next));
  const elsewhere = ending('apart', () => seq(brIf(at.fault, call(apart, ip.get)), advance));
  const cases = switchOf(g, ip, at.fault, (definition) => !definition.apart, elsewhere, advance);
  return seq(
    block(
      at.leave,
      seq(
        block(
          at.budget,
          seq(block(at.fault, loop(at.next, cases)), code.set(i32.const(Leave.FAULT)), br(at.leave)),
        ),
        code.set(i32.const(Leave.BUDGET)),
      ),
    ),
    i32.store(zero, ip.get, EXIT_IP),
    i32.store(zero, left.get, LEFT),
    code.get,
  );
}
