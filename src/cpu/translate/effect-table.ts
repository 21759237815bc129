/** What operations read, write and can do, found by letting each describe itself to a generator that only takes notes. */
import { type Calls, type Field, type Form, Gen, type Scratch } from '../gen.ts';
import type { Size } from '../ir.ts';
import { operations } from '../ops/table.ts';
import { type Code, i32, local } from '../wasm/encoder.ts';

const CALLS: Calls = {
  miss: 0,
  slowStore: 0,
  commit: 0,
  helper: 0,
  flags: 0,
  carry: 0,
  cond: 0,
  mulhu: 0,
  wide: 0,
};
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
  width = 0;

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
    this.width = Math.max(this.width, size);
    if (write) this.stores = true;
    return super.reach(size, write);
  }

  override store(size: Size, address: Code): Code {
    this.faults = true;
    this.width = Math.max(this.width, size);
    this.stores = true;
    return address;
  }

  override setFlagsKind(): Code {
    this.writesFlags = true;
    return nothing;
  }

  override flagKind(): Code {
    this.readsFlags = true;
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

  override overflow(): Code {
    this.readsFlags = true;
    return nothing;
  }
}

/** Operations whose writes all happen on every path; of others nothing is taken to be overwritten. */
const STRAIGHT =
  /^(mov|ld|ldzx|ldsx|zx|sx|lea|pop|add|or|adc|adcx|adox|sbb|and|sub|xor|cmp|test|neg|not|inc|dec|imul|mul|bswap|bt|bts|btr|btc|shlx|shrx|sarx|v\.get|push|leave)\b|^(shl|shr|sar|rol|ror)\.i|^(tzcnt|lzcnt|popcnt|blsi|blsr|blsmsk)/;

const NONE: ReadonlySet<Field> = new Set();
const FIELDS: readonly Field[] = ['d', 'a', 'b', 'x'];
const FORMS: readonly (Form | undefined)[] = [undefined, 'b', 'x', 'i'];

/**
 * Three numbers for each operation, which effects.ts unpacks: bits, and the fixed registers read and written.
 * It is the same in every process: what is bundled has the numbers.
 */
export function effectTable(): readonly number[] {
  return operations.flatMap((_, number) => observe(number));
}

function observe(number: number): readonly number[] {
  const { name, emit } = operations[number];
  const r = new Recorder();
  emit(r);
  const straight = STRAIGHT.test(name);
  const always = name === 'helper' || name === 'helper.end';
  const helper = always ? 2 : r.calls_ > 0 ? 1 : 0;
  const fields = (set: ReadonlySet<Field>): number =>
    FIELDS.reduce((bits, field, n) => (set.has(field) ? bits | (1 << n) : bits), 0);
  const flags = [r.readsFlags, r.writesFlags, straight && r.writesFlags, r.faults, r.stores, r.jumps];
  const bits = flags.reduce((all, flag, n) => (flag ? all | (1 << n) : all), 0);
  const packed =
    fields(r.reads) |
    (fields(r.writes) << 4) |
    (fields(straight ? r.kills : NONE) << 8) |
    (bits << 12) |
    (helper << 18) |
    (FORMS.indexOf(r.addresses) << 20) |
    (r.width << 22);
  return [packed, r.fixedReads, r.fixedWrites];
}
