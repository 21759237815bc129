/** What an operation reads, writes and can do, found by letting it describe itself to a generator that only takes notes. */
import { type Calls, type Field, type Form, Gen, type Scratch } from '../gen.ts';
import { Reg, type Size } from '../ir.ts';
import { operations } from '../ops/table.ts';
import { type Code, i32, local } from '../wasm/encoder.ts';

/** Effects by operand field and by fixed register; what is written may also be left as it was. */
export interface Effects {
  readonly reads: ReadonlySet<Field>;
  readonly writes: ReadonlySet<Field>;
  /** Written whole, whatever happens. */
  readonly kills: ReadonlySet<Field>;
  /** Bits of general registers. */
  readonly fixedReads: number;
  readonly fixedWrites: number;
  readonly readsFlags: boolean;
  readonly writesFlags: boolean;
  readonly killsFlags: boolean;
  /** Can end with a fault: the state before it is then wanted. */
  readonly faults: boolean;
  /** Writes memory, which may be code. */
  readonly stores: boolean;
  /** Calls a helper, always or on some path. */
  readonly helper: 'never' | 'maybe' | 'always';
  readonly jumps: boolean;
  /** How the memory operand is addressed, if there is one. */
  readonly addresses: Form | undefined;
}

const CALLS: Calls = { miss: 0, slowStore: 0, commit: 0, helper: 0, flags: 0, carry: 0, cond: 0, mulhu: 0 };
const nothing: Code = [];
const [a, b, c, d, e, f, g, h, i] = Array.from({ length: 9 }, (_, n) => local(n));
const SCRATCH: Scratch = { va: a, x: b, y: c, z: d, entry: e, host: f, n: g, m: h, k: i };

class Recorder extends Gen {
  readonly reads = new Set<Field>();
  readonly writes = new Set<Field>();
  readonly kills = new Set<Field>();
  fixedReads = 0;
  fixedWrites = 0;
  readsFlags = false;
  writesFlags = false;
  faults = false;
  stores = false;
  calls_ = 0;
  jumps = false;
  addresses: Form | undefined;

  constructor() {
    super(CALLS, SCRATCH);
  }

  reg(field: Field): Code {
    this.reads.add(field);
    return nothing;
  }

  setReg(field: Field, size: Size): Code {
    this.writes.add(field);
    if (size < 4) this.reads.add(field);
    else this.kills.add(field);
    return nothing;
  }

  fixed(register: number): Code {
    this.fixedReads |= 1 << register;
    return nothing;
  }

  setFixed(register: number, size: Size): Code {
    this.fixedWrites |= 1 << register;
    if (size < 4) this.fixedReads |= 1 << register;
    return nothing;
  }

  fieldByte(): Code {
    return nothing;
  }

  imm64(): Code {
    return nothing;
  }

  imm32(): Code {
    return nothing;
  }

  scale(): Code {
    return nothing;
  }

  aux(): Code {
    return nothing;
  }

  here(): Code {
    return i32.const(0);
  }

  jump(): Code {
    this.jumps = true;
    return nothing;
  }

  indirect(): Code {
    this.jumps = true;
    return nothing;
  }

  fault(): Code {
    this.faults = true;
    return nothing;
  }

  faultIf(): Code {
    this.faults = true;
    return nothing;
  }

  leave(): Code {
    this.jumps = true;
    return nothing;
  }

  syncLeft(): Code {
    return nothing;
  }

  reloadLeft(): Code {
    return nothing;
  }

  affords(): Code {
    return nothing;
  }

  spend(): Code {
    return nothing;
  }

  countEntry(): Code {
    return nothing;
  }

  enterTranslated(): Code {
    return nothing;
  }

  override address(form: Form): Code {
    this.addresses = form;
    return super.address(form);
  }

  override callHelper(): Code {
    this.calls_++;
    this.faults = true;
    return nothing;
  }

  override reach(size: number, write: boolean): Code {
    this.faults = true;
    if (write) this.stores = true;
    return super.reach(size, write);
  }

  override store(_size: Size, address: Code): Code {
    this.faults = true;
    this.stores = true;
    return address;
  }

  override setFlagsKind(): Code {
    this.writesFlags = true;
    return nothing;
  }

  override flagA(): Code {
    this.readsFlags = true;
    return nothing;
  }

  override flagB(): Code {
    this.readsFlags = true;
    return nothing;
  }

  override condition(): Code {
    this.readsFlags = true;
    return nothing;
  }

  override flags(): Code {
    this.readsFlags = true;
    return nothing;
  }

  override carry(): Code {
    this.readsFlags = true;
    return nothing;
  }
}

/** Operations whose writes all happen on every path; of others nothing is taken to be overwritten. */
const STRAIGHT =
  /^(mov|ld|ldzx|ldsx|zx|sx|lea|pop|add|or|adc|sbb|and|sub|xor|cmp|test|neg|not|inc|dec|imul|mul|bswap|shlx|shrx|sarx|v\.get|push|leave)\b|^(shl|shr|sar|rol|ror)\.i|^(tzcnt|lzcnt|popcnt|blsi|blsr|blsmsk)/;

const known: (Effects | undefined)[] = [];
const NONE: ReadonlySet<Field> = new Set();

/** Effects of an operation by number. */
export function effectsOf(number: number): Effects {
  let effects = known[number];
  if (effects === undefined) {
    effects = observe(number);
    known[number] = effects;
  }
  return effects;
}

function observe(number: number): Effects {
  const { name, emit } = operations[number];
  const r = new Recorder();
  emit(r);
  const straight = STRAIGHT.test(name);
  const always = name === 'helper' || name === 'helper.end';
  return {
    reads: r.reads,
    writes: r.writes,
    kills: straight ? r.kills : NONE,
    fixedReads: r.fixedReads,
    fixedWrites: r.fixedWrites,
    readsFlags: r.readsFlags,
    writesFlags: r.writesFlags,
    killsFlags: straight && r.writesFlags,
    faults: r.faults,
    stores: r.stores,
    helper: always ? 'always' : r.calls_ > 0 ? 'maybe' : 'never',
    jumps: r.jumps,
    addresses: r.addresses,
  };
}

/** Registers that live only inside one instruction. */
export const TEMPORARIES = 0xff << Reg.S0;
