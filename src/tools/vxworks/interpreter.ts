/**
 * The C interpreter: evaluates expressions in the kernel's memory. Any symbol can be called with up to ten arguments, and
 * data symbols read as int; variables that a person makes are as wide as a pointer, so that they hold addresses.
 */
import type { Steps } from '../../kernel/steps.ts';
import { bytesOf, encoded } from '../../kernel/text/sink.ts';
import type { Address } from '../../memory/address.ts';
import { KERNEL_GROUP, type VxSymbol } from '../../systems/vxworks/symbols.ts';
import type { VxWorks } from '../../systems/vxworks/vxworks.ts';
import { hex, wording } from '../../systems/vxworks/wording.ts';
import type { Expression } from './syntax.ts';

/** Most arguments that the shell hands to a function. */
const MAX_ARGUMENTS = 10;

export interface ShellValue {
  /** Signed, as wide as a pointer. */
  readonly value: bigint;
  /** A variable or memory cell that was named or written. */
  readonly place?: { readonly name: string; readonly address: Address };
  /** The literal that it came from: commands take strings and names as such. */
  readonly text?: string;
  /** Printed text only: a command that gives no value. */
  readonly silent?: true;
  /** The command failed, though its value is not ERROR. */
  readonly failed?: true;
}

/** A command that the shell itself has; it sees its arguments as text or numbers. */
export type Builtin = (args: readonly ShellValue[], input: string | undefined) => Steps<ShellValue>;

export class ShellError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ShellError';
  }
}

export class Interpreter {
  private readonly k: VxWorks;
  private readonly builtins: ReadonlyMap<string, Builtin>;
  /** Variables made here. */
  private readonly wide = new Set<Address>();
  private readonly say: (line: string) => void;

  constructor(k: VxWorks, builtins: ReadonlyMap<string, Builtin>, say: (line: string) => void) {
    this.k = k;
    this.builtins = builtins;
    this.say = say;
  }

  /** Evaluates a whole statement: a function's name alone calls it. @throws ShellError */
  *statement(expression: Expression, input: string | undefined): Steps<ShellValue> {
    if (expression.kind === 'call' || expression.kind !== 'name')
      return yield* this.evaluate(expression, input);
    const builtin = this.builtins.get(expression.name);
    if (builtin !== undefined) return yield* builtin([], input);
    const symbol = this.symbol(expression.name);
    if (symbol.kind === 'text') return yield* this.callFunction(symbol.address, []);
    return this.evaluateName(expression.name);
  }

  private *evaluate(expression: Expression, input?: string): Steps<ShellValue> {
    switch (expression.kind) {
      case 'number':
        return { value: this.narrow(expression.value) };
      case 'string':
        return { value: BigInt(this.string(expression.text)), text: expression.text };
      case 'name':
        return this.evaluateName(expression.name);
      case 'unary':
        return yield* this.unary(expression.operator, expression.operand);
      case 'binary':
        return yield* this.binary(expression.operator, expression.left, expression.right);
      case 'assign':
        return yield* this.assign(expression.operator, expression.target, expression.value);
      case 'call':
        return yield* this.call(expression.callee, expression.args, input);
    }
  }

  /** Strings stay for good: nobody knows who keeps their address. */
  private string(text: string): Address {
    const bytes = bytesOf(`${encoded(text)}\0`);
    const at = this.k.allocate(bytes.length);
    if (at === 0) throw new ShellError('no memory for the string');
    this.k.memory.write(at, bytes);
    return at;
  }

  /** Text is its address, data is its contents. */
  private evaluateName(name: string): ShellValue {
    const symbol = this.symbol(name);
    if (symbol.kind === 'text' || symbol.kind === 'abs') return { value: BigInt(symbol.address), text: name };
    return { value: this.load(symbol.address), place: { name, address: symbol.address } };
  }

  private symbol(name: string): VxSymbol {
    const found = this.k.sysSymTbl.findAny(name) ?? this.k.sysSymTbl.findAny(`_${name}`);
    if (found === undefined) throw new ShellError(wording.shellUndefined(name));
    return found;
  }

  private load(address: Address): bigint {
    const { memory } = this.k;
    return this.wide.has(address) ? this.narrow(BigInt(memory.ptr(address))) : BigInt(memory.i32(address));
  }

  private store(address: Address, value: bigint): void {
    const { memory } = this.k;
    if (this.wide.has(address)) memory.setPtr(address, Number(value));
    else memory.set32(address, Number(BigInt.asIntN(32, value)));
  }

  private *unary(operator: string, operand: Expression): Steps<ShellValue> {
    if (operator === '&') {
      if (operand.kind !== 'name') throw new ShellError('& wants a name');
      return { value: BigInt(this.symbol(operand.name).address) };
    }
    const { value } = yield* this.evaluate(operand);
    switch (operator) {
      case '*': {
        const address = Number(value);
        return { value: BigInt(this.k.memory.i32(address)), place: { name: this.hex(value), address } };
      }
      case '-':
        return { value: this.narrow(-value) };
      case '!':
        return { value: value === 0n ? 1n : 0n };
      case '~':
        return { value: this.narrow(~value) };
      default:
        return { value };
    }
  }

  private *binary(operator: string, left: Expression, right: Expression): Steps<ShellValue> {
    const a = (yield* this.evaluate(left)).value;
    if (operator === '&&' && a === 0n) return { value: 0n };
    if (operator === '||' && a !== 0n) return { value: 1n };
    const b = (yield* this.evaluate(right)).value;
    return { value: this.narrow(compute(operator, a, b)) };
  }

  private *assign(operator: string, target: Expression, from: Expression): Steps<ShellValue> {
    const given = yield* this.statement(from, undefined);
    const { name, address } = yield* this.target(target, operator === '=');
    const old = operator === '=' ? 0n : this.load(address);
    const value = operator === '=' ? given.value : compute(operator.slice(0, -1), old, given.value);
    this.store(address, this.narrow(value));
    return { value: this.load(address), place: { name, address } };
  }

  private *target(target: Expression, mayMake: boolean): Steps<{ name: string; address: Address }> {
    if (target.kind === 'unary' && target.operator === '*') {
      const { value } = yield* this.evaluate(target.operand);
      return { name: this.hex(value), address: Number(value) };
    }
    if (target.kind !== 'name') throw new ShellError('only a variable or *address can be assigned');
    const { name } = target;
    const known = this.k.sysSymTbl.findAny(name);
    if (known !== undefined) return { name, address: known.address };
    if (!mayMake) throw new ShellError(wording.shellUndefined(name));
    return { name, address: this.make(name) };
  }

  private make(name: string): Address {
    const { k } = this;
    const address = k.allocate(8);
    if (address === 0) throw new ShellError('no memory for the variable');
    this.wide.add(address);
    k.sysSymTbl.add({ name, address, kind: 'bss', group: KERNEL_GROUP, global: true });
    this.say(wording.newSymbol(name));
    return address;
  }

  private *call(
    callee: Expression,
    args: readonly Expression[],
    input: string | undefined,
  ): Steps<ShellValue> {
    const builtin = callee.kind === 'name' ? this.builtins.get(callee.name) : undefined;
    const values: ShellValue[] = [];
    // What follows the function in `sp` is for that function: strings are addresses there.
    const own = callee.kind === 'name' && callee.name === 'sp' ? 1 : args.length;
    for (const [i, arg] of args.entries())
      values.push(yield* this.argument(arg, builtin !== undefined && i < own));
    if (builtin !== undefined) return yield* builtin(values, input);
    if (values.length > MAX_ARGUMENTS)
      throw new ShellError(`no more than ${MAX_ARGUMENTS} arguments are handed over`);
    const { value } = callee.kind === 'name' ? this.target1(callee.name) : yield* this.evaluate(callee);
    return yield* this.callFunction(
      Number(value),
      values.map((one) => one.value),
    );
  }

  /** What a name is called at: data symbols hold a pointer to the function. */
  private target1(name: string): { value: bigint } {
    const symbol = this.symbol(name);
    return { value: symbol.kind === 'text' ? BigInt(symbol.address) : this.load(symbol.address) };
  }

  /** Commands of the shell take a name that nothing defines as text: `moduleShow hello.o`. */
  private *argument(expression: Expression, forBuiltin: boolean): Steps<ShellValue> {
    if (!forBuiltin) return yield* this.evaluate(expression);
    if (expression.kind === 'string') return { value: 0n, text: expression.text };
    if (expression.kind === 'name' && this.k.sysSymTbl.findAny(expression.name) === undefined)
      return { value: 0n, text: expression.name };
    return yield* this.evaluate(expression);
  }

  /** Calls machine code with int and pointer arguments; the result is an int unless it cannot be one. */
  *callFunction(address: Address, args: readonly bigint[]): Steps<ShellValue> {
    const padded = [...args, ...Array.from({ length: MAX_ARGUMENTS - args.length }, () => 0n)];
    // A bigint is a 64-bit argument, which takes two words on a 32-bit machine.
    const words = this.k.spec.pointerBytes === 8 ? padded : padded.map(Number);
    const result = yield* this.k.call(address, ...words);
    const raw = BigInt(result);
    const wide = this.k.spec.pointerBytes === 8 && raw >> 32n !== 0n && raw >> 31n !== -1n;
    return { value: wide ? raw : BigInt.asIntN(32, raw) };
  }

  private narrow(value: bigint): bigint {
    return BigInt.asIntN(this.k.spec.pointerBytes * 8, value);
  }

  private hex(value: bigint): string {
    return hex(value, this.k.spec.pointerBytes * 8);
  }

  /** `x = 0x1234: value = 65 = 0x41 = 'A'`, and the symbol where the value is an address. */
  show({ value, place, silent }: ShellValue): string | undefined {
    if (silent) return undefined;
    const head = place === undefined ? '' : `${place.name} = ${this.hex(BigInt(place.address))}: `;
    const character = value >= 0x20n && value < 0x7fn ? ` = '${String.fromCharCode(Number(value))}'` : '';
    return `${head}value = ${value} = ${this.hex(value)}${character}${this.symbolic(value)}`;
  }

  private symbolic(value: bigint): string {
    // Sections that are empty lie nowhere, and so do symbols in them.
    if (value === 0n) return '';
    const address = Number(value);
    const symbol = this.k.sysSymTbl.nearest(address, 0x1000);
    const module = this.k.modules.at(address);
    if (symbol === undefined || (module === undefined && symbol.address !== address)) return '';
    const distance = address - symbol.address;
    return ` = ${symbol.name}${distance === 0 ? '' : ` + 0x${distance.toString(16)}`}`;
  }
}

function compute(operator: string, a: bigint, b: bigint): bigint {
  const truth = (holds: boolean) => (holds ? 1n : 0n);
  if ((operator === '/' || operator === '%') && b === 0n) throw new ShellError('division by zero');
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<<':
      return a << (b & 63n);
    case '>>':
      return a >> (b & 63n);
    case '==':
      return truth(a === b);
    case '!=':
      return truth(a !== b);
    case '<':
      return truth(a < b);
    case '>':
      return truth(a > b);
    case '<=':
      return truth(a <= b);
    case '>=':
      return truth(a >= b);
    case '&&':
      return truth(a !== 0n && b !== 0n);
    case '||':
      return truth(a !== 0n || b !== 0n);
    default:
      throw new ShellError(`operator ${operator} is not known`);
  }
}
