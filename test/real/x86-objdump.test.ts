/**
 * The decoder and printer against GNU objdump on real Debian modules: every instruction's length and text. A sample
 * by seed; the whole tree with LKM_FULL=1.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { Decode, Decoder, Instruction } from '../../src/cpu/x86/decode.ts';
import { type Mode, RowFlag } from '../../src/cpu/x86/opcode-row.ts';
import { printInstruction } from '../../src/cpu/x86/print.ts';
import { Random, seedOfRun } from '../cpu/x86/random.ts';
import { describeWith, moduleFiles, needs, needsTool } from './require.ts';

const SAMPLE = 25;
/** Prefixes that objdump prints though they change nothing. */
const IDLE_PREFIXES = /^((data16|cs|ds|es|ss|rex[.WRXB]*|notrack|bnd|addr32) )+(?=.)/;
/** Operands objdump invents for instructions that have none. */
const IMPLICIT_OPERANDS = /^(monitor|mwait|invlpga|vmrun|vmload|vmsave|skinit)\b/;

const objdump = needsTool('objdump');
const TREES = [
  { mode: 64 as const, kernel: needs('debian-amd64') },
  { mode: 32 as const, kernel: needs('debian-i386') },
];

/** Lines of `objdump -d` as bytes and text. */
async function* disassembly(
  file: string,
): AsyncGenerator<{ address: number; bytes: Uint8Array; text: string }> {
  const child: ChildProcess = spawn('objdump', ['-d', '-w', file]);
  for await (const line of createInterface({ input: child.stdout! })) {
    const match = /^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(.*)$/.exec(line);
    if (!match) continue;
    const text = match[3]
      .replace(/\s*#.*$/, '')
      .replace(/\s*<[^>]*>.*/, '')
      .replace(/,p[nt]\b/, '')
      .replace(/\s+/g, ' ')
      .trim()
      .replace(IDLE_PREFIXES, '');
    const bytes = Uint8Array.from(match[2].split(' '), (hex) => parseInt(hex, 16));
    yield { address: parseInt(match[1], 16), bytes, text };
  }
}

async function disagreements(file: string, mode: Mode): Promise<{ count: number; wrong: string[] }> {
  const decoder = new Decoder(mode);
  const insn = new Instruction();
  const wrong: string[] = [];
  let count = 0;
  for await (const { address, bytes, text } of disassembly(file)) {
    if (text === '(bad)') continue;
    count++;
    const status = decoder.decode(bytes, 0, address, insn);
    const good = status === Decode.Ok && insn.length === bytes.length;
    // AVX and AVX-512 are measured and named only, and the names are not all told apart.
    if (good && (insn.flags & RowFlag.Vex) !== 0 && (insn.flags & RowFlag.Simd) !== 0) continue;
    const mine = status === Decode.Ok ? printInstruction(insn, mode) : '(bad)';
    // objdump drops the suffix of crc32 with some REX prefixes.
    if (good && mine.replace(/^crc32[bwlq] /, 'crc32 ') === text) continue;
    if (good && (mine === text || IMPLICIT_OPERANDS.test(text))) continue;
    wrong.push(
      `${file.split('/').pop()} ${address.toString(16)}: ${Buffer.from(bytes).toString('hex')} objdump: ${text} ours: ${mine} (${insn.length} bytes)`,
    );
  }
  return { count, wrong };
}

for (const { mode, kernel } of TREES) {
  describeWith(
    objdump === undefined ? undefined : kernel,
    `x86 decoder and objdump, ${mode}-bit mode`,
    ({ modules }) => {
      it(
        'agree on boundaries and text of real modules',
        async () => {
          const files = moduleFiles(modules);
          const full = process.env.LKM_FULL === '1';
          const seed = seedOfRun();
          const random = new Random(seed);
          const chosen = full ? files : Array.from({ length: SAMPLE }, () => random.pick(files));
          let count = 0;
          const wrong: string[] = [];
          for (const file of chosen) {
            const result = await disagreements(file, mode);
            count += result.count;
            wrong.push(...result.wrong);
          }
          console.log(`${count} instructions of ${chosen.length} modules, seed ${seed}`);
          expect(wrong.slice(0, 20), `seed ${seed}`).toEqual([]);
          expect(count).toBeGreaterThan(0);
        },
        process.env.LKM_FULL === '1' ? 3_600_000 : 60_000,
      );
    },
  );
}
