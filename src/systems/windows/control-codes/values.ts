/** What is known of a register or a stack slot while code that handles requests is followed. */

/** The control code of a request, or what arithmetic has made of it: code = (value << shift) + add. */
export interface CodeValue {
  readonly kind: 'code';
  readonly shift: number;
  readonly add: number;
  /** The value is no larger, for a comparison said so. */
  readonly max?: number;
  /** Where values go that are larger: what a jump table sends there, too, is no code of the driver's. */
  readonly otherwise?: number;
}

/** What a table gives for each value of a code: numbers of cases, or addresses of code. */
export interface TableValue {
  readonly kind: 'table';
  /** Result -> codes that give it. */
  readonly results: ReadonlyMap<number, readonly number[]>;
  readonly otherwise: number | undefined;
}

export type Value =
  | { readonly kind: 'number'; readonly value: number }
  /** An address in a stack frame. */
  | { readonly kind: 'frame'; readonly frame: number; readonly offset: number }
  /** A pointer to the driver's IO_STACK_LOCATION. */
  | { readonly kind: 'location'; readonly offset: number }
  | CodeValue
  | TableValue;

/** What the flags were last set by: a comparison of `left` with a number. */
export interface Compared {
  readonly left: CodeValue;
  readonly right: number;
}

export const MAX_CASES = 1024;

/** The code itself, before any arithmetic. */
export const CODE: CodeValue = { kind: 'code', shift: 0, add: 0 };

export const codeAt = ({ shift, add }: CodeValue, value: number): number => ((value << shift) + add) >>> 0;

export const numberOf = (value: Value | undefined): number | undefined =>
  value?.kind === 'number' ? value.value : undefined;

/** A value plus a number, as `add`, `sub`, `inc`, `dec` and `lea` make it. */
export function plus(value: Value | undefined, by: number): Value | undefined {
  if (value === undefined || by === 0) return value;
  switch (value.kind) {
    case 'number':
      return { kind: 'number', value: value.value + by };
    case 'frame':
    case 'location':
      return { ...value, offset: value.offset + by };
    case 'code':
      return { kind: 'code', shift: value.shift, add: (value.add - (by << value.shift)) | 0 };
    case 'table': {
      const results = new Map([...value.results].map(([result, codes]) => [result + by, codes] as const));
      return { ...value, results };
    }
  }
}

/** A code moved right: control codes of one method differ by multiples of four. */
export const shifted = (value: Value | undefined, by: number): Value | undefined =>
  value?.kind === 'code' && by < 31 ? { kind: 'code', shift: value.shift + by, add: value.add } : undefined;

/** Registers, the stack, and what was compared, at one place of the code. */
export class State {
  readonly registers: (Value | undefined)[];
  /** Slots of stack frames by `frame:offset`. */
  readonly stack: Map<string, Value>;
  compared: Compared | undefined;
  /** Frames there are: each call that moves the stack by nobody knows how much begins another. */
  frames: number;

  constructor(from?: State) {
    this.registers = from === undefined ? new Array(16).fill(undefined) : [...from.registers];
    this.stack = new Map(from?.stack);
    this.compared = from?.compared;
    this.frames = from?.frames ?? 2;
  }

  slot(at: Value | undefined): Value | undefined {
    return at?.kind === 'frame' ? this.stack.get(`${at.frame}:${at.offset}`) : undefined;
  }

  setSlot(at: Value | undefined, value: Value | undefined): void {
    if (at?.kind !== 'frame') return;
    const key = `${at.frame}:${at.offset}`;
    if (value === undefined) this.stack.delete(key);
    else this.stack.set(key, value);
  }

  /** A comparison has told more of a code: whoever holds it knows. */
  learn(old: CodeValue, now: CodeValue): void {
    for (let i = 0; i < this.registers.length; i++) if (this.registers[i] === old) this.registers[i] = now;
    for (const [key, value] of this.stack) if (value === old) this.stack.set(key, now);
  }

  /** Which states need not be followed twice from one place: those that know the same of the request. */
  signature(): string {
    const text = (value: Value | undefined): string => {
      switch (value?.kind) {
        case 'location':
          return `l${value.offset}`;
        case 'code':
          return `c${value.shift},${value.add},${value.max ?? ''}`;
        case 'table':
          return `t${value.results.size}`;
        case 'number':
          return `n${value.value}`;
        default:
          return '';
      }
    };
    const slots = [...this.stack].filter(([, { kind }]) => kind === 'code' || kind === 'location');
    const { compared } = this;
    return `${this.registers.map(text).join(';')}|${slots.map(([key, value]) => key + text(value)).join(';')}|${
      compared === undefined ? '' : `${text(compared.left)}=${compared.right}`
    }`;
  }
}
