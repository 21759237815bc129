/** Helpers of compilers that take their operands in registers of their own: a few bytes of machine code each. */

const hex = (text: string): Uint8Array =>
  Uint8Array.from(text.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** rax bytes are to be reserved by the caller itself: the stack of a kernel thread is mapped as a whole. */
const CHKSTK64 = hex('c3');

/** Reserves eax bytes below the return address: the caller finds esp moved and all registers but eax kept. */
const CHKSTK32 = hex('51 8d4c2408 2bc8 8bc4 8be1 8b08 8b4004 50 c3');

/** edx:eax shifted by cl; counts of 64 and more give what is left of nothing. */
const ALLSHL = hex('80f940 7315 80f920 7306 0fa5c2 d3e0 c3 8bd0 33c0 80e11f d3e2 c3 33c0 33d2 c3');
const AULLSHR = hex('80f940 7315 80f920 7306 0fadd0 d3ea c3 8bc2 33d2 80e11f d3e8 c3 33c0 33d2 c3');
const ALLSHR = hex('80f940 7316 80f920 7306 0fadd0 d3fa c3 8bc2 c1fa1f 80e11f d3f8 c3 c1fa1f 8bc2 c3');

export const STUBS: Readonly<Record<4 | 8, ReadonlyMap<string, Uint8Array>>> = {
  8: new Map([['__chkstk', CHKSTK64]]),
  4: new Map([
    ['_chkstk', CHKSTK32],
    ['_alloca_probe', CHKSTK32],
    ['_allshl', ALLSHL],
    ['_allshr', ALLSHR],
    ['_aullshr', AULLSHR],
  ]),
};
