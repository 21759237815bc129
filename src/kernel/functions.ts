/**
 * The table of kernel functions: C prototype -> TypeScript handler.
 *
 * The prototype is the key, so that the arguments' widths and signs, the way the result goes back and the CI
 * comparison with the kernel's own type information all come from one line. It is parsed when a module first
 * imports the name. TypeScript derives the handler's parameter types from the same text.
 */
import type { VarArgs } from '../abi/convention.ts';
import type { GuestValue, Steps } from './steps.ts';

/** Types passed as bigint; every other integer and every pointer is a signed number (see abi/convention.ts). */
type BigToken =
  | 'u64'
  | 's64'
  | '__u64'
  | '__s64'
  | 'ktime_t'
  | 'uint64_t'
  | 'int64_t'
  | 'unsigned long long'
  | 'long long';

type Trim<S extends string> = S extends ` ${infer R}` ? Trim<R> : S extends `${infer R} ` ? Trim<R> : S;
/** True while S has more '(' than ')'. */
type IsOpen<S extends string> = S extends `${infer A})${infer R}`
  ? A extends `${infer X}(${infer Y}`
    ? IsOpen<`${X}${Y}${R}`>
    : false
  : S extends `${string}(${string}`
    ? true
    : false;
type Split<S extends string, Current extends string = ''> = S extends `${infer A},${infer R}`
  ? IsOpen<`${Current}${A}`> extends true
    ? Split<R, `${Current}${A},`>
    : [Trim<`${Current}${A}`>, ...Split<R>]
  : [Trim<`${Current}${S}`>];
type ParameterType<P extends string> = P extends '...'
  ? VarArgs
  : P extends `${string}va_list${string}`
    ? VarArgs
    : P extends `${string}${'*' | '(' | '['}${string}`
      ? number
      : P extends BigToken | `${BigToken} ${string}` | `const ${BigToken} ${string}`
        ? bigint
        : number;
type Mapped<T extends string[]> = T extends ['void'] | ['']
  ? []
  : { [I in keyof T]: ParameterType<T[I] & string> };
/** Everything between the first '(' that follows the name and the last ')'. */
type Inner<S extends string> = S extends `${string}(${infer R}` ? DropLast<R> : never;
type DropLast<S extends string> = S extends `${infer R})` ? R : never;

/** The handler's parameters as the prototype text gives them. */
export type ParametersOf<S extends string> = Mapped<Split<Inner<S>>>;

// biome-ignore lint/suspicious/noConfusingVoidType: handlers of void functions end in a call as often as not
export type Result = GuestValue | readonly bigint[] | undefined | void;
export type Handler<K, S extends string> = (k: K, ...args: ParametersOf<S>) => Result | Steps<Result>;

/** One entry as the dispatcher sees it: the types were checked where it was written. */
export interface KernelFunction<K> {
  readonly prototype: string;
  readonly handler: (k: K, ...args: never[]) => Result | Steps<Result>;
  /** The same name as other releases of the system declare it; which one holds the kernel's own types say. */
  readonly others?: readonly KernelFunction<K>[];
}

/** Functions by name. */
export type FunctionTable<K> = ReadonlyMap<string, KernelFunction<K>>;

/** The name in a C prototype: the identifier before the first '(' . */
export function prototypeName(prototype: string): string {
  const match = /([A-Za-z_]\w*)\s*\(/.exec(prototype);
  if (match === null) throw new SyntaxError(`no function name in prototype '${prototype}'`);
  return match[1];
}

export type Definition<K, T> = { [S in keyof T]: S extends string ? Handler<K, S> : never };

/** `definer<MyKernel>()` gives the `kernelFunctions({...})` of one system. */
export function definer<K>() {
  return <const T extends Record<string, unknown>>(table: T & Definition<K, T>): FunctionTable<K> => {
    const functions = new Map<string, KernelFunction<K>>();
    for (const [prototype, handler] of Object.entries(table)) {
      const name = prototypeName(prototype);
      if (functions.has(name)) throw new Error(`kernel function ${name} is written twice in one table`);
      functions.set(name, { prototype, handler: handler as KernelFunction<K>['handler'] });
    }
    return functions;
  };
}

/** One table out of many; a name that two tables carry is a mistake of ours and is refused. */
export function joinTables<K>(tables: readonly FunctionTable<K>[]): FunctionTable<K> {
  const all = new Map<string, KernelFunction<K>>();
  for (const table of tables) {
    for (const [name, entry] of table) {
      if (all.has(name)) throw new Error(`kernel function ${name} is written in two files`);
      all.set(name, entry);
    }
  }
  return all;
}

/** Adds other releases' declarations of names to a table: new names as they are, known ones as `others`. */
export function withOthers<K>(
  table: FunctionTable<K>,
  releases: readonly FunctionTable<K>[],
): FunctionTable<K> {
  const all = new Map(table);
  for (const release of releases) {
    for (const [name, entry] of release) {
      const known = all.get(name);
      all.set(name, known === undefined ? entry : { ...known, others: [...(known.others ?? []), entry] });
    }
  }
  return all;
}
