/**
 * Layouts from declarations against a compiler's own, for every data model: clang lays the same text out for any
 * target without headers or a linker.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { Declarations } from '../../src/ctypes/declarations.ts';
import {
  type DataModel,
  ILP32,
  ILP32_BE,
  ILP32_I386,
  ILP32_WINDOWS,
  LLP64,
  LP64,
  LP64_BE,
} from '../../src/ctypes/model.ts';
import { TypeTable } from '../../src/ctypes/table.ts';
import { type CType, resolve } from '../../src/ctypes/type.ts';
import { declaration } from '../ctypes/random-declarations.ts';
import fc from '../properties.ts';
import { describeWith, needsTool } from './require.ts';

const TARGETS: readonly (readonly [target: string, model: DataModel, packed: boolean])[] = [
  ['x86_64-linux-gnu', LP64, true],
  ['s390x-linux-gnu', LP64_BE, true],
  ['x86_64-pc-windows-msvc', LLP64, false],
  ['i386-linux-gnu', ILP32_I386, true],
  ['mipsel-linux-gnu', ILP32, true],
  ['powerpc-linux-gnu', ILP32_BE, true],
  ['i386-pc-windows-msvc', ILP32_WINDOWS, false],
];

const CASES = Number(process.env.LKM_CASES ?? 60);
const SEED = Number(process.env.LKM_SEED ?? Date.now() & 0x7fffffff);

interface Dump {
  readonly size: number;
  readonly align: number;
  /** Field name to `offset` or `offset:first-last`. */
  readonly places: ReadonlyMap<string, string>;
}

/** The record layouts that clang prints, by tag. */
function dumps(output: string): Map<string, Dump> {
  const found = new Map<string, Dump>();
  for (const block of output.split('*** Dumping AST Record Layout').slice(1)) {
    const lines = block.split('\n').filter((line) => line.includes('|'));
    const places = new Map<string, string>();
    for (const line of lines.slice(1)) {
      const match = /^\s*([\d:-]+) \|\s+.*\s(f\d+|first)$/.exec(line);
      if (match !== null) places.set(match[2]!, match[1]!);
    }
    const tag = /\| struct (s\d+)$/.exec(lines[0]!)?.[1];
    const [, size, align] =
      /sizeof=(\d+),(?: \w+=\d+,)* align=(\d+)/.exec(block.replace(/\s*\n\s*\|\s*/g, ' ')) ?? [];
    if (tag !== undefined) found.set(tag, { size: Number(size), align: Number(align), places });
  }
  return found;
}

/** The same for our layout: all fields, nested ones included, since their names are unique. */
function ours(type: CType, table: TypeTable, base: number, out: Map<string, string>): void {
  const real = resolve(type);
  if (real.kind !== 'struct' && real.kind !== 'union') return;
  for (const field of real.fields) {
    const at = base + field.bitOffset;
    const byte = Math.floor(at / 8);
    if (field.bitSize === undefined) {
      if (field.name !== '') out.set(field.name, String(at / 8));
      ours(field.type, table, at, out);
    } else {
      out.set(field.name, `${byte}:${at - byte * 8}-${at - byte * 8 + field.bitSize - 1}`);
    }
  }
}

/** clang counts from the storage unit it chose, we from the byte: both are brought to bits. */
function bitsOf(place: string): string {
  const match = /^(\d+)(?::(\d+)-(\d+))?$/.exec(place);
  if (match === null) return place;
  const base = Number(match[1]) * 8;
  return match[2] === undefined ? `${base}` : `${base + Number(match[2])}-${base + Number(match[3])}`;
}

describeWith(needsTool('clang'), 'record layouts agree with clang', (clang) => {
  const folder = mkdtempSync(join(tmpdir(), 'lkm-clang-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const [target, model, packed] of TARGETS) {
    it(`${target} (LKM_SEED=${SEED}, ${CASES} records)`, () => {
      const texts = fc.sample(declaration({ bitFields: true, packed }), { numRuns: CASES, seed: SEED });
      const file = join(folder, `${target}.c`);
      const renamed = texts.map((text, i) =>
        text.replace(/\bs0\b/g, `s${i}`).replace(/^enum.*\n/, i === 0 ? '$&' : ''),
      );
      writeFileSync(file, renamed.map((text, i) => `${text}int z${i}[sizeof(struct s${i})];`).join('\n'));
      const output = execFileSync(
        clang,
        [`--target=${target}`, '-w', '-fsyntax-only', '-Xclang', '-fdump-record-layouts', file],
        { encoding: 'utf8', maxBuffer: 1 << 28 },
      );
      const truth = dumps(output);
      const declarations = new Declarations(model).add(renamed.join('\n'));
      const table = new TypeTable(declarations);
      for (const [i, text] of renamed.entries()) {
        const expected = truth.get(`s${i}`)!;
        const layout = table.layout(`struct s${i}`);
        const places = new Map<string, string>();
        ours(layout.type, table, 0, places);
        const got = { size: layout.size, align: layout.align, ...byName(places) };
        expect(got, text).toEqual({ size: expected.size, align: expected.align, ...byName(expected.places) });
      }
    });
  }
});

function byName(places: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...places].sort().map(([name, place]) => [name, bitsOf(place)]));
}
