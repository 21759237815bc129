/** Speed of the interpreter and of memory access, against the same C code on this machine and under QEMU. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Cpu, type CpuMachine, Exit } from '../src/cpu/cpu.ts';
import { Reg } from '../src/cpu/ir.ts';
import { X86Translator } from '../src/cpu/x86/lift.ts';
import { GuestMemory, Perm } from '../src/memory/space.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { now, timed } from './clock.ts';

const CODE = 0x1000_0000;
const BUFFER = -0x7780_0000_0000 + (8 << 20);
const STACK = 0x2000_0000;
const RETURN = 0x3000_0000;

/** Name, size of its work, and what the interpreter should reach in millions of instructions a second. */
const KERNELS: readonly { name: string; n: number; target: number }[] = [
  { name: 'fnv', n: 4 << 20, target: 200 },
  { name: 'crc32', n: 4 << 20, target: 200 },
  { name: 'calls', n: 2 << 20, target: 200 },
  { name: 'sort', n: 3000, target: 200 },
  { name: 'wide', n: 3 << 20, target: 100 },
];

const silent: CpuMachine = {
  cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
  rdmsr: () => undefined,
  wrmsr: () => false,
  in: () => 0,
  out: () => {},
  tsc: () => 0n,
};

export const cpu: Bench = {
  name: 'cpu',
  summary: 'interpreter speed, against native and qemu-x86_64; memory accessors',
  async run({ quick, root }: BenchContext): Promise<readonly Figure[]> {
    const figures = memoryFigures(quick);
    const built = compile(join(root, 'bench', 'cpu'), quick ? 64 : 2048);
    if (built === undefined) return figures;
    const sizes = KERNELS.map((kernel) => (quick ? Math.max(100, kernel.n >> 6) : kernel.n));
    const native = elsewhere([built.native], sizes);
    const qemu = elsewhere(['qemu-x86_64', built.native], sizes);
    const ours = interpret(built.flat, sizes, quick ? 1 : 5);
    KERNELS.forEach(({ name, target }, i) => {
      const { seconds, instructions, sum } = ours[i];
      if (native !== undefined && native[i].sum !== sum) {
        throw new Error(`${name}: the interpreter computed ${sum}, the host ${native[i].sum}`);
      }
      figures.push({
        what: `${name}, best`,
        value: instructions / seconds / 1e6,
        unit: 'MIPS',
        target: { value: target, better: 'higher' },
      });
      if (native !== undefined) {
        figures.push({ what: `${name}, time against native`, value: seconds / native[i].seconds, unit: 'x' });
      }
      if (qemu !== undefined) {
        figures.push({
          what: `${name}, time against qemu-x86_64`,
          value: seconds / qemu[i].seconds,
          unit: 'x',
        });
      }
    });
    return figures;
  },
};

/** Blocks that change three values and go on at one that those choose. */
function wideSource(blocks: number): string {
  let state = 12345;
  const random = (n: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % n;
  };
  const values = ['x', 'y', 'z'];
  const statement = (): string => {
    const [a, b] = [values[random(3)], values[random(3)]];
    const shapes = [
      `${a} += ${b} ^ ${random(1 << 20)}u;`,
      `${a} ^= ${b} >> ${1 + random(20)};`,
      `m[${random(64)}] = ${a}; ${a} += m[${random(64)}];`,
      `if (${a} & ${1 << random(12)}) ${b} += ${1 + random(999)};`,
      `${a} = (u32)${a} * ${3 + 2 * random(400)}ul + ${b};`,
    ];
    return shapes[random(shapes.length)];
  };
  const lines = [
    'static u64 wide(u64 n, u64 *m) {',
    '  u64 x = 1, y = 2, z = 3;',
    `  static const void *const t[] = {${Array.from({ length: blocks }, (_, i) => `&&b${i}`).join(', ')}};`,
  ];
  const next = `if (n-- == 0) return x ^ y ^ z; goto *t[(x ^ (y >> 5) ^ n) & ${blocks - 1}];`;
  lines.push(`  ${next}`);
  for (let i = 0; i < blocks; i++) lines.push(`b${i}: ${statement()} ${statement()} ${statement()} ${next}`);
  lines.push('}', '');
  return lines.join('\n');
}

/**
 * Undefined where there is no C compiler. What was built stays in the cache, under a name that depends on the source:
 * gcc spends most of a minute on two thousand computed jumps.
 */
function compile(folder: string, blocks: number): { flat: Uint8Array; native: string } | undefined {
  const source = join(folder, 'kernels.c');
  const wide = wideSource(blocks);
  const hash = createHash('sha256').update(readFileSync(source)).update(wide).digest('hex').slice(0, 16);
  const out = join(homedir(), '.cache', 'lkm', 'bench', hash);
  const native = join(out, 'kernels');
  const binary = join(out, 'kernels.bin');
  if (!existsSync(binary)) {
    if (spawnSync('gcc', ['--version']).status !== 0) return undefined;
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, 'wide.h'), wide);
    const both = ['-O2', '-fno-gcse', '-fno-pie', '-no-pie', '-fcf-protection=none', '-static', `-I${out}`];
    execFileSync('gcc', [...both, '-DNATIVE', source, '-o', native]);
    execFileSync('gcc', [...both, ...FLAT, source, '-o', binary], { stdio: 'ignore' });
  }
  return { flat: readFileSync(binary), native };
}

/** One piece of code at a fixed address, without a C library, as kernel code is: no vector registers. */
const FLAT = [
  '-mgeneral-regs-only',
  '-ffreestanding',
  '-fno-toplevel-reorder',
  '-fno-asynchronous-unwind-tables',
  '-nostdlib',
  '-Wl,--build-id=none',
  `-Wl,-Ttext=0x${CODE.toString(16)}`,
  '-Wl,--oformat=binary',
];

/** Results and best times of the program under another engine; undefined where that is not there. */
function elsewhere(
  command: readonly string[],
  sizes: readonly number[],
): { sum: bigint; seconds: number }[] | undefined {
  const result = spawnSync(command[0], [...command.slice(1), ...sizes.map(String)], { encoding: 'utf8' });
  if (result.status !== 0) return undefined;
  return result.stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [sum, seconds] = line.split(' ');
      return { sum: BigInt(sum), seconds: Number(seconds) };
    });
}

function interpret(
  flat: Uint8Array,
  sizes: readonly number[],
  rounds: number,
): { sum: bigint; seconds: number; instructions: number }[] {
  const memory = new GuestMemory({ ramBytes: 32 << 20, directMap: -0x7780_0000_0000 });
  const pages = Math.ceil(flat.length / 4096);
  memory.map(CODE, 16, pages, Perm.R | Perm.X, 'kernels');
  memory.poke(CODE, flat);
  memory.map(STACK - 0x10000, 1024, 16, Perm.R | Perm.W, 'stack');
  const processor = new Cpu(memory, silent, new X86Translator());
  processor.addHostEntry(RETURN, 1);
  const bytes = new Uint8Array((4 << 20) + 1024);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7 + (i >> 8);
  return sizes.map((n, which) => {
    let seconds = Number.POSITIVE_INFINITY;
    let instructions = 0;
    // Until the engine has had time to optimise: its compiler works beside us.
    const enough = performance.now() + (rounds > 1 ? 1500 : 0);
    for (let round = 0; round < rounds || performance.now() < enough; round++) {
      memory.write(BUFFER, bytes);
      processor.rip = CODE;
      processor.setGpr(Reg.RDI, which);
      processor.setGpr(Reg.RSI, BUFFER);
      processor.setGpr(Reg.RDX, n);
      processor.setGpr(Reg.RSP, STACK - 8);
      memory.setPtr(STACK - 8, RETURN);
      const before = processor.retired;
      const [milliseconds, exit] = timed(() => processor.run(1e12));
      seconds = Math.min(seconds, milliseconds / 1000);
      instructions = processor.retired - before;
      if (exit !== Exit.Host) {
        throw new Error(
          `kernel ${which}: exit ${exit}, vector ${processor.vector} at ${processor.rip.toString(16)}`,
        );
      }
    }
    return { sum: processor.gprBig(Reg.RAX), seconds, instructions };
  });
}

/** Nanoseconds of a 4-byte read by address. */
function memoryFigures(quick: boolean): Figure[] {
  const memory = new GuestMemory({ ramBytes: 32 << 20, directMap: -0x7780_0000_0000 });
  memory.map(-0x4000_0000, 4096, 1024, Perm.R | Perm.W, 'modules');
  const bases = [-0x7780_0000_0000 + (1 << 20), -0x4000_0000];
  const count = quick ? 1e5 : 2e7;
  const time = (mask: number, regions: number): number => {
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 4; round++) {
      let sum = 0;
      const started = now();
      for (let i = 0; i < count; i++) sum += memory.u32(bases[i & (regions - 1)] + ((i * 68) & mask));
      best = Math.min(best, ((now() - started) * 1e6) / count);
      if (sum < 0) throw new Error('impossible');
    }
    return best;
  };
  return [
    {
      what: 'u32 within one page',
      value: time(0xffc, 1),
      unit: 'ns',
      target: { value: 10, better: 'lower' },
    },
    { what: 'u32 over 64 KiB', value: time(0xfffc, 1), unit: 'ns', target: { value: 10, better: 'lower' } },
    {
      what: 'u32, two regions in turn',
      value: time(0xfffc, 2),
      unit: 'ns',
      target: { value: 20, better: 'lower' },
    },
  ];
}
