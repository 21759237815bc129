/** Many modules against many kernels: what is kept of each pair, who fits whom, and what changed since another time. */
import type { Answer, Verdict } from './check.ts';

/** What is kept of one pair. */
export interface Cell {
  readonly answer: Answer;
  /** The rule that refuses, or that cannot be decided. */
  readonly rule?: string;
  /** As the system writes it. */
  readonly error?: string;
  readonly why?: string;
}

export interface MatrixRow {
  readonly path: string;
  readonly name: string;
  /** By kernel, in the order of the matrix. */
  readonly cells: readonly Cell[];
}

export interface MatrixKernel {
  readonly name: string;
  readonly release: string;
}

export interface Matrix {
  readonly kernels: readonly MatrixKernel[];
  readonly rows: readonly MatrixRow[];
}

export function cellOf({ answer, rules, missing }: Verdict): Cell {
  if (answer === 'loads') return { answer };
  const wanted = answer === 'refused' ? 'refuse' : 'unknown';
  const rule = rules.find(({ outcome }) => outcome === wanted);
  const why = answer === 'refused' ? rule?.why : missing.map(({ what }) => what).join('; ');
  return {
    answer,
    ...(rule && { rule: rule.rule }),
    ...(rule?.error && { error: rule.error.name }),
    ...(why && { why }),
  };
}

/** What a row is called where several have one name: its path. */
export function labelsOf(rows: readonly MatrixRow[]): string[] {
  const seen = new Map<string, number>();
  for (const { name } of rows) seen.set(name, (seen.get(name) ?? 0) + 1);
  return rows.map(({ name, path }) => (seen.get(name) === 1 ? name : path));
}

export type Counts = Readonly<Record<Answer, number>>;

/** How many modules load on each kernel. */
export function countsOf({ kernels, rows }: Matrix): Counts[] {
  return kernels.map((_, i) => {
    const counts = { loads: 0, refused: 0, 'cannot-tell': 0 };
    for (const { cells } of rows) counts[cells[i].answer]++;
    return counts;
  });
}

/** The fewest of several builds of one module that leave no kernel without one. */
export interface MinimalSet {
  readonly name: string;
  readonly builds: number;
  /** Each with the kernels it serves in this choice, by index. */
  readonly chosen: readonly { readonly path: string; readonly kernels: readonly number[] }[];
  /** Kernels on which no build loads. */
  readonly uncovered: readonly number[];
}

/** Builds are files of one module name. Exact where a few dozen builds differ, else within the usual bound of greed. */
export function minimalSets(matrix: Matrix): MinimalSet[] {
  const byName = new Map<string, MatrixRow[]>();
  for (const row of matrix.rows) byName.set(row.name, [...(byName.get(row.name) ?? []), row]);
  return [...byName].map(([name, rows]) => minimalSet(name, rows, matrix.kernels.length));
}

function minimalSet(name: string, rows: readonly MatrixRow[], kernels: number): MinimalSet {
  const fits = rows.map(({ cells }) => new Set([...cells.keys()].filter((i) => cells[i].answer === 'loads')));
  const all = [...Array(kernels).keys()];
  const coverable = all.filter((i) => fits.some((one) => one.has(i)));
  const chosen = cover(fits, coverable);
  let left = new Set(coverable);
  const served = chosen.map((row) => {
    const mine = [...left].filter((i) => fits[row].has(i));
    left = new Set([...left].filter((i) => !fits[row].has(i)));
    return { path: rows[row].path, kernels: mine };
  });
  return {
    name,
    builds: rows.length,
    chosen: served,
    uncovered: all.filter((i) => !coverable.includes(i)),
  };
}

/** Combinations tried before greed decides. */
const PATIENCE = 200_000;

/** Indices of the fewest sets that cover all of `wanted`, the widest first. */
export function cover(sets: readonly ReadonlySet<number>[], wanted: readonly number[]): number[] {
  let best = greedy(sets, wanted);
  let tries = 0;
  const search = (chosen: readonly number[], left: readonly number[]): void => {
    if (left.length === 0) {
      if (chosen.length < best.length) best = [...chosen];
      return;
    }
    if (chosen.length + 1 >= best.length || tries++ > PATIENCE) return;
    // The one that fewest sets cover decides which of these must be taken.
    const rarest = left.reduce((a, b) => (coverers(sets, a) <= coverers(sets, b) ? a : b));
    for (const [i, set] of sets.entries()) {
      if (set.has(rarest))
        search(
          [...chosen, i],
          left.filter((one) => !set.has(one)),
        );
    }
  };
  search([], wanted);
  return best.sort((a, b) => sets[b].size - sets[a].size || a - b);
}

const coverers = (sets: readonly ReadonlySet<number>[], one: number): number =>
  sets.filter((set) => set.has(one)).length;

function greedy(sets: readonly ReadonlySet<number>[], wanted: readonly number[]): number[] {
  const chosen: number[] = [];
  for (let left = [...wanted]; left.length > 0; ) {
    const gain = (set: ReadonlySet<number>) => left.filter((one) => set.has(one)).length;
    const [best] = [...sets.keys()].sort((a, b) => gain(sets[b]) - gain(sets[a]));
    if (best === undefined || gain(sets[best]) === 0) break;
    chosen.push(best);
    left = left.filter((one) => !sets[best].has(one));
  }
  return chosen;
}

/** A pair whose answer or rule is not what it was. */
export interface Change {
  readonly module: string;
  readonly kernel: string;
  /** Undefined for a pair that was not there before. */
  readonly before: Cell | undefined;
  /** Undefined for a pair that is gone. */
  readonly after: Cell | undefined;
}

/** Pairs are the same when the module's name, its place among files of that name, and the kernel's release are. */
export function changesSince(before: Matrix, after: Matrix): Change[] {
  const [old, now] = [pairsOf(before), pairsOf(after)];
  const changes: Change[] = [];
  for (const key of new Set([...now.keys(), ...old.keys()])) {
    const [was, is] = [old.get(key), now.get(key)];
    if (was?.cell.answer === is?.cell.answer && was?.cell.rule === is?.cell.rule) continue;
    const { module, kernel } = is ?? was ?? { module: '', kernel: '' };
    changes.push({ module, kernel, before: was?.cell, after: is?.cell });
  }
  return changes;
}

function pairsOf({ kernels, rows }: Matrix): Map<string, { module: string; kernel: string; cell: Cell }> {
  const pairs = new Map<string, { module: string; kernel: string; cell: Cell }>();
  const seen = new Map<string, number>();
  for (const { name, cells } of rows) {
    const number = (seen.get(name) ?? 0) + 1;
    seen.set(name, number);
    const module = number === 1 ? name : `${name} (${number})`;
    for (const [i, cell] of cells.entries()) {
      const kernel = kernels[i].release;
      pairs.set(`${module}\0${kernel}`, { module, kernel, cell });
    }
  }
  return pairs;
}

/** Reads what `--matrix --json` wrote. Undefined when it is something else. */
export function readMatrix(text: string): Matrix | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isMatrix(value) ? value : undefined;
}

const ANSWERS: readonly unknown[] = ['loads', 'refused', 'cannot-tell'];
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

function isMatrix(value: unknown): value is Matrix {
  if (!isObject(value) || !Array.isArray(value['kernels']) || !Array.isArray(value['rows'])) return false;
  const columns = value['kernels'].length;
  const kernel = (one: unknown) =>
    isObject(one) && typeof one['release'] === 'string' && typeof one['name'] === 'string';
  const cell = (one: unknown) => isObject(one) && ANSWERS.includes(one['answer']);
  const row = (one: unknown) =>
    isObject(one) &&
    typeof one['name'] === 'string' &&
    typeof one['path'] === 'string' &&
    Array.isArray(one['cells']) &&
    one['cells'].length === columns &&
    one['cells'].every(cell);
  return value['kernels'].every(kernel) && value['rows'].every(row);
}
