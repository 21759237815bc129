import { CTypeError } from '../../../ctypes/error.ts';
import type { Prototype, ValueClass } from '../../../ctypes/prototype.ts';
import { prototypeOf } from '../../../ctypes/prototype.ts';
import { resolve, sizeOf, spell } from '../../../ctypes/type.ts';
import type { Savable } from './saved.ts';
import { linuxDeclarations } from './typedefs.ts';

/** One thing that a written prototype says and the kernel does not. */
export interface PrototypeMismatch {
  readonly name: string;
  /** The prototype as it was written. */
  readonly written: string;
  /** The kernel's own, as far as it is known. */
  readonly kernel: string;
  readonly problem: string;
}

export interface PrototypeReport {
  /** Prototypes whose function the kernel's types know. */
  readonly compared: number;
  /** Names the types do not know: assembly, macros, inlined, or of another kernel. */
  readonly unknown: readonly string[];
  readonly mismatches: readonly PrototypeMismatch[];
}

/**
 * Compares written prototypes with the kernel's own functions: number of parameters, and of each value the width, the
 * sign and whether it is a pointer. A name can stand for several static functions; one that agrees is enough.
 */
export function comparePrototypes(texts: readonly string[], kernel: Savable): PrototypeReport {
  const declarations = linuxDeclarations(kernel.types);
  const mismatches: PrototypeMismatch[] = [];
  const unknown: string[] = [];
  let compared = 0;
  for (const written of texts) {
    const parsed = attempt(() => declarations.prototype(written));
    if (parsed instanceof CTypeError) {
      mismatches.push({ name: written, written, kernel: '', problem: parsed.message });
      continue;
    }
    const candidates = candidatesOf(kernel, parsed);
    if (candidates.length === 0) {
      unknown.push(parsed.name);
      continue;
    }
    compared++;
    const problems = candidates.map((candidate) => difference(parsed, candidate));
    if (problems.includes(undefined)) continue;
    const kernelText = spellPrototype(candidates[0]!);
    mismatches.push({ name: parsed.name, written, kernel: kernelText, problem: problems[0]! });
  }
  return { compared, unknown, mismatches };
}

/** Fields, types and constants that code names and the kernel does not have. */
export function compareNames(
  names: {
    readonly fields: readonly string[];
    readonly types: readonly string[];
    readonly constants: readonly string[];
  },
  kernel: Savable,
): string[] {
  const { types } = kernel;
  return [
    ...names.fields.filter((path) => !types.has(path)).map((path) => `field ${path}`),
    ...names.types.filter((name) => types.type(name) === undefined).map((name) => `type ${name}`),
    ...names.constants.filter((name) => !types.hasEnumerator(name)).map((name) => `constant ${name}`),
  ];
}

/** A report for people: one mismatch in three lines. */
export function formatMismatches(mismatches: readonly PrototypeMismatch[]): string {
  return mismatches
    .map((m) => `${m.name}: ${m.problem}\n  written ${m.written}\n  kernel  ${m.kernel}`)
    .join('\n');
}

function candidatesOf(kernel: Savable, written: Prototype): Prototype[] {
  const { name } = written;
  const types = kernel.btf?.findAll('function', name) ?? [];
  return types.flatMap((type) => {
    const real = resolve(type);
    if (real.kind !== 'function') return [];
    const prototype = prototypeOf(name, real, kernel.types.model);
    return isAssembly(prototype, written) ? [] : [prototype];
  });
}

/** Functions written in assembly are recorded as `void f(void)`: that says nothing about one that takes or gives values. */
function isAssembly(kernel: Prototype, written: Prototype): boolean {
  const empty = kernel.parameters.length === 0 && kernel.returnClass === 'void';
  return empty && (written.parameters.length > 0 || written.returnClass !== 'void');
}

/** Would a function of the written prototype read this kernel's arguments right? True where the types do not know it. */
export function prototypeFits(written: Prototype, kernel: Prototype | undefined): boolean {
  return kernel === undefined || isAssembly(kernel, written) || difference(written, kernel) === undefined;
}

function difference(written: Prototype, kernel: Prototype): string | undefined {
  if (written.variadic !== kernel.variadic) {
    return `the kernel's ${kernel.variadic ? 'takes variable arguments' : 'takes no variable arguments'}`;
  }
  // A last record of more than 16 bytes passed by value lies on the stack, in nobody's way: it may be left out.
  const last = kernel.parameters.findLastIndex((p) => p.class !== 'struct' || sizeOf(p.type) <= 16) + 1;
  const count = written.parameters.length;
  if (count !== kernel.parameters.length && count !== last) {
    return `${count} parameters, the kernel's has ${kernel.parameters.length}`;
  }
  const result = classDifference(written.returnClass, kernel.returnClass);
  if (result !== undefined) return `returns ${result}`;
  for (const [i, parameter] of written.parameters.entries()) {
    const theirs = kernel.parameters[i]!;
    const problem = classDifference(parameter.class, theirs.class);
    if (problem !== undefined) return `parameter ${i + 1} (${theirs.name || parameter.name}) is ${problem}`;
  }
  return undefined;
}

/** Whether a 64-bit number crosses as bigint or number is our choice, not the kernel's; so is a va_list's form. */
const SAME: Readonly<Partial<Record<ValueClass, string>>> = { i64: 'long', u64: 'ulong', valist: 'pointer' };

function classDifference(written: ValueClass, kernel: ValueClass): string | undefined {
  const [a, b] = [SAME[written] ?? written, SAME[kernel] ?? kernel];
  return a === b ? undefined : `${written}, the kernel's is ${kernel}`;
}

function spellPrototype({ name, returns, parameters, variadic }: Prototype): string {
  const list = parameters.map((p) => spell(p.type, p.name));
  if (variadic) list.push('...');
  return spell(returns, `${name}(${list.join(', ') || 'void'})`);
}

function attempt<T>(parse: () => T): T | CTypeError {
  try {
    return parse();
  } catch (error) {
    if (error instanceof CTypeError) return error;
    throw error;
  }
}
