/**
 * The integer and system part of the x86 instruction set, as data.
 *
 * Source of the encodings: Intel SDM volume 2 (appendix A opcode maps) and AMD APM volume 3. A row reads
 *
 *     OPCODE[-OPCODE] SELECTOR* MNEMONIC[/MNEMONIC32/MNEMONIC64] [OPERANDS] FLAG*
 *
 * Opcode: one byte in hexadecimal, or a range; `{cc}` in a mnemonic stands for the condition of its low four bits.
 * Selectors, all optional; the row with more of them wins: `np 66 f3 f2` mandatory prefix, `mem reg` form of
 * ModRM, `/0`..`/7` ModRM.reg, `rm0`..`rm7` ModRM.rm, `m32 m64` the mode the row exists in.
 * Operands: a letter for where, then a letter for how wide, as in the SDM's appendix:
 *   E general register or memory, G register of ModRM.reg, M memory only, R register only, Z register in the opcode,
 *   B register in VEX.vvvv, I immediate, J relative target, O absolute address, S/C/D segment, control and debug
 *   register, X/Y string source and destination, V/W/U XMM register, XMM or memory, XMM only, P/Q/N the same for MMX;
 *   b w d q bytes 1 2 4 8, v operand size, z operand size up to 4, y 4 or 8 by REX.W, x 16, bs sign-extended byte.
 * Flags: `d64` operand size is 8 by default in 64-bit mode; `lock` may carry LOCK when it writes memory;
 * `rep` the repeat prefixes mean repetition; `w0` the operand size is not changed by prefixes.
 */

const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'];
const SHIFT = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'shl', 'sar'];

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** The six regular rows of one arithmetic operation, opcodes 8*n .. 8*n+5. */
function aluRows(name: string, n: number): string {
  const lock = name === 'cmp' ? '' : ' lock';
  const base = n * 8;
  return [
    `${hex(base)} ${name} Eb,Gb${lock}`,
    `${hex(base + 1)} ${name} Ev,Gv${lock}`,
    `${hex(base + 2)} ${name} Gb,Eb`,
    `${hex(base + 3)} ${name} Gv,Ev`,
    `${hex(base + 4)} ${name} AL,Ib`,
    `${hex(base + 5)} ${name} rAX,Iz`,
    `80 /${n} ${name} Eb,Ib${lock}`,
    `81 /${n} ${name} Ev,Iz${lock}`,
    `82 m32 /${n} ${name} Eb,Ib${lock}`,
    `83 /${n} ${name} Ev,Ibs${lock}`,
  ].join('\n');
}

/** The rows of one shift or rotate, group 2. */
function shiftRows(name: string, n: number): string {
  return [
    `c0 /${n} ${name} Eb,Ib`,
    `c1 /${n} ${name} Ev,Ib`,
    `d0 /${n} ${name} Eb,1`,
    `d1 /${n} ${name} Ev,1`,
    `d2 /${n} ${name} Eb,CL`,
    `d3 /${n} ${name} Ev,CL`,
  ].join('\n');
}

/** One-byte opcodes (SDM table A-2); prefixes, 0F, VEX and EVEX are the decoder's. */
export const ONE_BYTE = `
${ALU.map(aluRows).join('\n')}
${SHIFT.map(shiftRows).join('\n')}
06 m32 push ES
07 m32 pop ES
0e m32 push CS
16 m32 push SS
17 m32 pop SS
1e m32 push DS
1f m32 pop DS
27 m32 daa
2f m32 das
37 m32 aaa
3f m32 aas
40-47 m32 inc Zv
48-4f m32 dec Zv
50-57 push Zv d64
58-5f pop Zv d64
60 m32 pusha
61 m32 popa
62 m32 mem bound Gv,Mv
63 m64 movsxd Gv,Ed
63 m32 arpl Ew,Gw
68 push Iz d64
69 imul Gv,Ev,Iz
6a push Ibs d64
6b imul Gv,Ev,Ibs
6c ins Yb,DX rep
6d ins Yz,DX rep
6e outs DX,Xb rep
6f outs DX,Xz rep
70-7f j{cc} Jb d64
84 test Eb,Gb
85 test Ev,Gv
86 xchg Eb,Gb lock
87 xchg Ev,Gv lock
88 mov Eb,Gb
89 mov Ev,Gv
8a mov Gb,Eb
8b mov Gv,Ev
8c mem mov Mw,Sw
8c reg mov Rv,Sw
8d mem lea Gv,Mv
8e mov Sw,Ew
8f /0 pop Ev d64
90 nop
90 f3 pause
91-97 xchg Zv,rAX
98 cbw/cwde/cdqe
99 cwd/cdq/cqo
9a m32 lcall Ap
9b fwait
9c pushf d64
9d popf d64
9e sahf
9f lahf
a0 mov AL,Ob
a1 mov rAX,Ov
a2 mov Ob,AL
a3 mov Ov,rAX
a4 movs Yb,Xb rep
a5 movs Yv,Xv rep
a6 cmps Xb,Yb rep
a7 cmps Xv,Yv rep
a8 test AL,Ib
a9 test rAX,Iz
aa stos Yb,AL rep
ab stos Yv,rAX rep
ac lods AL,Xb rep
ad lods rAX,Xv rep
ae scas AL,Yb rep
af scas rAX,Yv rep
b0-b7 mov Zb,Ib
b8-bf mov Zv,Iv
c2 ret Iw d64
c3 ret d64
c4 m32 mem les Gv,Mp
c5 m32 mem lds Gv,Mp
c6 /0 mov Eb,Ib
c6 /7 reg rm0 xabort Ib
c7 /0 mov Ev,Iz
c7 /7 reg rm0 xbegin Jz
c8 enter Iw,Ib2 d64
c9 leave d64
ca lret Iw
cb lret
cc int3
cd int Ib
ce m32 into
cf iret
d4 m32 aam Ib
d5 m32 aad Ib
d7 xlat
e0 loopne Jb d64
e1 loope Jb d64
e2 loop Jb d64
e3 jrcxz Jb d64
e4 in AL,Ib
e5 in rAXz,Ib
e6 out Ib,AL
e7 out Ib,rAXz
e8 call Jz d64
e9 jmp Jz d64
ea m32 ljmp Ap
eb jmp Jb d64
ec in AL,DX
ed in rAXz,DX
ee out DX,AL
ef out DX,rAXz
f1 int1
f4 hlt
f5 cmc
f6 /0 test Eb,Ib
f6 /1 test Eb,Ib
f6 /2 not Eb lock
f6 /3 neg Eb lock
f6 /4 mul Eb
f6 /5 imul Eb
f6 /6 div Eb
f6 /7 idiv Eb
f7 /0 test Ev,Iz
f7 /1 test Ev,Iz
f7 /2 not Ev lock
f7 /3 neg Ev lock
f7 /4 mul Ev
f7 /5 imul Ev
f7 /6 div Ev
f7 /7 idiv Ev
f8 clc
f9 stc
fa cli
fb sti
fc cld
fd std
fe /0 inc Eb lock
fe /1 dec Eb lock
ff /0 inc Ev lock
ff /1 dec Ev lock
ff /2 call Ev d64
ff /3 mem lcall Mp
ff /4 jmp Ev d64
ff /5 mem ljmp Mp
ff /6 push Ev d64
`;

/** Two-byte opcodes 0F xx outside SIMD (SDM table A-3). */
export const TWO_BYTE = `
00 /0 mem sldt Mw
00 /0 reg sldt Rv
00 /1 mem str Mw
00 /1 reg str Rv
00 /2 lldt Ew
00 /3 ltr Ew
00 /4 verr Ew
00 /5 verw Ew
01 mem /0 sgdt Mp
01 mem /1 sidt Mp
01 mem /2 lgdt Mp
01 mem /3 lidt Mp
01 mem /4 smsw Mw
01 mem /6 lmsw Mw
01 mem /7 invlpg Mb
01 mem f3 /5 rstorssp Mq
01 reg /0 rm0 enclv
01 reg /0 rm1 vmcall
01 reg /0 rm2 vmlaunch
01 reg /0 rm3 vmresume
01 reg /0 rm4 vmxoff
01 reg /0 rm5 pconfig
01 reg /1 rm0 monitor
01 reg /1 rm1 mwait
01 reg /1 rm2 clac
01 reg /1 rm3 stac
01 reg /1 rm7 encls
01 reg /2 rm0 xgetbv
01 reg /2 rm1 xsetbv
01 reg /2 rm4 vmfunc
01 reg /2 rm5 xend
01 reg /2 rm6 xtest
01 reg /2 rm7 enclu
01 reg /3 rm0 vmrun
01 reg /3 rm1 vmmcall
01 reg /3 rm2 vmload
01 reg /3 rm3 vmsave
01 reg /3 rm4 stgi
01 reg /3 rm5 clgi
01 reg /3 rm6 skinit
01 reg /3 rm7 invlpga
01 reg /4 smsw Rv
01 reg np /5 rm0 serialize
01 reg f3 /5 rm0 setssbsy
01 reg f3 /5 rm2 saveprevssp
01 reg /5 rm6 rdpkru
01 reg /5 rm7 wrpkru
01 reg /6 lmsw Rw
01 m64 reg /7 rm0 swapgs
01 reg /7 rm1 rdtscp
01 reg /7 rm2 monitorx
01 reg /7 rm3 mwaitx
01 reg /7 rm4 clzero
01 reg /7 rm5 rdpru
02 lar Gv,Ew
03 lsl Gv,Ew
05 syscall
06 clts
07 sysret
08 invd
09 wbinvd
09 f3 wbnoinvd
0b ud2
0d mem prefetch Mb
0d mem /1 prefetchw Mb
0d mem /2 prefetchwt1 Mb
0d reg nop Ev
0e femms
18 nop Ev
18 mem /0 prefetchnta Mb
18 mem /1 prefetcht0 Mb
18 mem /2 prefetcht1 Mb
18 mem /3 prefetcht2 Mb
19-1d nop Ev
1e nop Ev
1e f3 reg /1 rdssp Ry
1e f3 reg /7 rm2 endbr64
1e f3 reg /7 rm3 endbr32
1f nop Ev
20 movcr Rn,Cn w0
21 movdr Rn,Dn w0
22 movcr Cn,Rn w0
23 movdr Dn,Rn w0
30 wrmsr
31 rdtsc
32 rdmsr
33 rdpmc
34 sysenter
35 sysexit
37 getsec
40-4f cmov{cc} Gv,Ev
78 np vmread En,Gn
79 np vmwrite Gn,En
80-8f j{cc} Jz d64
90-9f set{cc} Eb
a0 push FS d64
a1 pop FS d64
a2 cpuid
a3 bt Ev,Gv
a4 shld Ev,Gv,Ib
a5 shld Ev,Gv,CL
a6 f3 reg /0 rm0 montmul rep
a6 f3 reg /1 rm0 xsha1 rep
a6 f3 reg /2 rm0 xsha256 rep
a7 reg /0 rm0 xstore-rng
a7 f3 reg /1 rm0 xcrypt-ecb rep
a7 f3 reg /2 rm0 xcrypt-cbc rep
a7 f3 reg /3 rm0 xcrypt-ctr rep
a7 f3 reg /4 rm0 xcrypt-cfb rep
a7 f3 reg /5 rm0 xcrypt-ofb rep
a8 push GS d64
a9 pop GS d64
aa rsm
ab bts Ev,Gv lock
ac shrd Ev,Gv,Ib
ad shrd Ev,Gv,CL
ae np mem /0 fxsave/fxsave/fxsave64 Mx
ae np mem /1 fxrstor/fxrstor/fxrstor64 Mx
ae np mem /2 ldmxcsr Md
ae np mem /3 stmxcsr Md
ae np mem /4 xsave/xsave/xsave64 Mx
ae np mem /5 xrstor/xrstor/xrstor64 Mx
ae np mem /6 xsaveopt/xsaveopt/xsaveopt64 Mx
ae np mem /7 clflush Mb
ae 66 mem /6 clwb Mb
ae 66 mem /7 clflushopt Mb
ae f3 mem /4 ptwrite Ey
ae f3 mem /6 clrssbsy Mq
ae np reg /5 lfence
ae np reg /6 mfence
ae np reg /7 sfence
ae m64 f3 reg /0 rdfsbase Ry
ae m64 f3 reg /1 rdgsbase Ry
ae m64 f3 reg /2 wrfsbase Ry
ae m64 f3 reg /3 wrgsbase Ry
ae f3 reg /4 ptwrite Ey
ae f3 reg /5 incssp Ry
ae f3 reg /6 umonitor Ry
ae f2 reg /6 umwait Rd
ae 66 reg /6 tpause Rd
af imul Gv,Ev
b0 cmpxchg Eb,Gb lock
b1 cmpxchg Ev,Gv lock
b2 mem lss Gv,Mp
b3 btr Ev,Gv lock
b4 mem lfs Gv,Mp
b5 mem lgs Gv,Mp
b6 movzx Gv,Eb
b7 movzx Gv,Ew
b8 f3 popcnt Gv,Ev
b9 ud1 Gv,Ev
ba /4 bt Ev,Ib
ba /5 bts Ev,Ib lock
ba /6 btr Ev,Ib lock
ba /7 btc Ev,Ib lock
bb btc Ev,Gv lock
bc bsf Gv,Ev
bc f3 tzcnt Gv,Ev
bd bsr Gv,Ev
bd f3 lzcnt Gv,Ev
be movsx Gv,Eb
bf movsx Gv,Ew
c0 xadd Eb,Gb lock
c1 xadd Ev,Gv lock
c3 np mem movnti My,Gy
c7 mem /1 cmpxchg8b/cmpxchg8b/cmpxchg16b Mq lock
c7 mem /3 xrstors/xrstors/xrstors64 Mx
c7 mem /4 xsavec/xsavec/xsavec64 Mx
c7 mem /5 xsaves/xsaves/xsaves64 Mx
c7 np mem /6 vmptrld Mq
c7 66 mem /6 vmclear Mq
c7 f3 mem /6 vmxon Mq
c7 np mem /7 vmptrst Mq
c7 reg /6 rdrand Rv
c7 reg /7 rdseed Rv
c7 f3 reg /7 rdpid Rn
c8-cf bswap Zv
ff ud0 Gv,Ev
`;

/** Three-byte opcodes 0F 38 xx outside SIMD. */
export const MAP_0F38 = `
80 66 mem invept Gn,Mx
81 66 mem invvpid Gn,Mx
82 66 mem invpcid Gn,Mx
f0 np mem movbe Gv,Mv
f0 66 mem movbe Gv,Mv
f0 f2 crc32 Gy,Eb
f1 np mem movbe Mv,Gv
f1 66 mem movbe Mv,Gv
f1 f2 crc32 Gy,Ev
f5 66 mem wruss My,Gy
f6 np mem wrss My,Gy
f6 66 adcx Gy,Ey
f6 f3 adox Gy,Ey
f8 66 mem movdir64b Gn,Mx
f8 f2 mem enqcmd Gn,Mx
f8 f3 mem enqcmds Gn,Mx
f9 np mem movdiri My,Gy
`;

/** VEX-encoded general-register instructions (BMI1, BMI2), by map. */
export const VEX_GENERAL: Record<number, string> = {
  2: `
f2 np andn Gy,By,Ey
f3 np /1 blsr By,Ey
f3 np /2 blsmsk By,Ey
f3 np /3 blsi By,Ey
f5 np bzhi Gy,Ey,By
f5 f3 pext Gy,By,Ey
f5 f2 pdep Gy,By,Ey
f6 f2 mulx Gy,By,Ey
f7 np bextr Gy,Ey,By
f7 66 shlx Gy,Ey,By
f7 f3 sarx Gy,Ey,By
f7 f2 shrx Gy,Ey,By
`,
  3: `
f0 f2 rorx Gy,Ey,Ib
`,
};
