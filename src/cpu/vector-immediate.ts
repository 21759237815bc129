/** What the immediates of shuffles, blends and byte shifts mean, in the form that the operations of ops/simd.ts take. */

/** Sixteen numbers of four bits each, lowest first. */
type Control = bigint;

/** Which register; `zero` is sixteen zeros. */
type Part = 'd' | 'a' | 'zero';

export type Arrangement =
  | { readonly kind: 'permute' | 'permute2' | 'blend'; readonly control: Control }
  /** Sixteen bytes from `at` on, of `low` with `high` behind it. */
  | { readonly kind: 'align'; readonly low: Part; readonly high: Part; readonly at: number };

const pair = (imm: number, n: number): number => (imm >> (2 * n)) & 3;

/** Control of lanes of a size, by the number of the lane that each comes from. */
function control(size: number, lanes: readonly number[]): Control {
  let bits = 0n;
  lanes.forEach((lane, to) => {
    for (let n = 0; n < size; n++) bits |= BigInt(lane * size + n) << BigInt((to * size + n) * 4);
  });
  return bits;
}

/** Lanes of a size where a bit of the immediate is set: all ones there. */
function mask(size: number, imm: number): Control {
  let bits = 0n;
  for (let n = 0; n < 16; n++) if ((imm >> Math.floor(n / size)) & 1) bits |= 15n << BigInt(n * 4);
  return bits;
}

const four = (imm: number): number[] => [0, 1, 2, 3].map((n) => pair(imm, n));
const permute = (size: number, lanes: readonly number[]): Arrangement => ({
  kind: 'permute',
  control: control(size, lanes),
});

function align(imm: number): Arrangement {
  if (imm >= 32) return { kind: 'align', low: 'zero', high: 'zero', at: 0 };
  if (imm >= 16) return { kind: 'align', low: 'd', high: 'zero', at: imm - 16 };
  return { kind: 'align', low: 'a', high: 'd', at: imm };
}

const ARRANGEMENTS: Readonly<Record<string, (imm: number) => Arrangement>> = {
  pshufd: (imm) => permute(4, four(imm)),
  pshuflw: (imm) => permute(2, [...four(imm), 4, 5, 6, 7]),
  pshufhw: (imm) => permute(2, [0, 1, 2, 3, ...four(imm).map((lane) => 4 + lane)]),
  shufps: (imm) => ({ kind: 'permute2', control: control(4, four(imm)) }),
  shufpd: (imm) => ({ kind: 'permute2', control: control(8, [imm & 1, (imm >> 1) & 1]) }),
  pblendw: (imm) => ({ kind: 'blend', control: mask(2, imm) }),
  blendps: (imm) => ({ kind: 'blend', control: mask(4, imm) }),
  blendpd: (imm) => ({ kind: 'blend', control: mask(8, imm) }),
  palignr: align,
  psrldq: (imm) => ({ kind: 'align', low: 'd', high: 'zero', at: Math.min(imm, 16) }),
  pslldq: (imm) => ({ kind: 'align', low: 'zero', high: 'd', at: 16 - Math.min(imm, 16) }),
};

/** Undefined for instructions whose immediate means something else. @param imm eight bits */
export function arrangement(name: string, imm: number): Arrangement | undefined {
  return ARRANGEMENTS[name]?.(imm);
}
