/**
 * The x87, MMX and SSE part of the x86 instruction set, as data in the notation of opcodes.ts, and the names of the
 * VEX- and EVEX-only instructions. Source: Intel SDM volume 2, appendix A tables A-3 to A-5, AMD APM volume 4.
 */

/** Rows that exist as MMX (no prefix) and SSE2 (66): `opcode name`, operands P,Q and V,W. */
const MMX_AND_SSE =
  '60 punpcklbw,61 punpcklwd,62 punpckldq,63 packsswb,64 pcmpgtb,65 pcmpgtw,66 pcmpgtd,67 packuswb,' +
  '68 punpckhbw,69 punpckhwd,6a punpckhdq,6b packssdw,74 pcmpeqb,75 pcmpeqw,76 pcmpeqd,' +
  'd1 psrlw,d2 psrld,d3 psrlq,d4 paddq,d5 pmullw,d8 psubusb,d9 psubusw,da pminub,db pand,dc paddusb,dd paddusw,' +
  'de pmaxub,df pandn,e0 pavgb,e1 psraw,e2 psrad,e3 pavgw,e4 pmulhuw,e5 pmulhw,e8 psubsb,e9 psubsw,ea pminsw,' +
  'eb por,ec paddsb,ed paddsw,ee pmaxsw,ef pxor,f1 psllw,f2 pslld,f3 psllq,f4 pmuludq,f5 pmaddwd,f6 psadbw,' +
  'f8 psubb,f9 psubw,fa psubd,fb psubq,fc paddb,fd paddw,fe paddd';

/** Arithmetic that exists as packed single, packed double, scalar single and scalar double. */
const FOUR_WAY = '51 sqrt,58 add,59 mul,5c sub,5d min,5e div,5f max';

function rows(list: string, row: (op: string, name: string) => string[]): string {
  return list
    .split(',')
    .flatMap((item) => {
      const [op, name] = item.split(' ');
      return row(op, name);
    })
    .join('\n');
}

const SSE_PAIRS = rows(MMX_AND_SSE, (op, name) => [`${op} np ${name} Pq,Qq`, `${op} 66 ${name} Vx,Wx`]);
const SSE_FOUR_WAY = rows(FOUR_WAY, (op, name) => [
  `${op} np ${name}ps Vx,Wx`,
  `${op} 66 ${name}pd Vx,Wx`,
  `${op} f3 ${name}ss Vx,Wd`,
  `${op} f2 ${name}sd Vx,Wq`,
]);

/** 0F xx, SIMD rows. */
export const SIMD_0F = `
10 np movups Vx,Wx
10 66 movupd Vx,Wx
10 f3 movss Vx,Wd
10 f2 movsd Vx,Wq
11 np movups Wx,Vx
11 66 movupd Wx,Vx
11 f3 movss Wd,Vx
11 f2 movsd Wq,Vx
12 np mem movlps Vx,Mq
12 np reg movhlps Vx,Ux
12 66 mem movlpd Vx,Mq
12 f3 movsldup Vx,Wx
12 f2 movddup Vx,Wq
13 np mem movlps Mq,Vx
13 66 mem movlpd Mq,Vx
14 np unpcklps Vx,Wx
14 66 unpcklpd Vx,Wx
15 np unpckhps Vx,Wx
15 66 unpckhpd Vx,Wx
16 np mem movhps Vx,Mq
16 np reg movlhps Vx,Ux
16 66 mem movhpd Vx,Mq
16 f3 movshdup Vx,Wx
17 np mem movhps Mq,Vx
17 66 mem movhpd Mq,Vx
28 np movaps Vx,Wx
28 66 movapd Vx,Wx
29 np movaps Wx,Vx
29 66 movapd Wx,Vx
2a np cvtpi2ps Vx,Qq
2a 66 cvtpi2pd Vx,Qq
2a f3 cvtsi2ss Vx,Ey
2a f2 cvtsi2sd Vx,Ey
2b np mem movntps Mx,Vx
2b 66 mem movntpd Mx,Vx
2c np cvttps2pi Pq,Wq
2c 66 cvttpd2pi Pq,Wx
2c f3 cvttss2si Gy,Wd
2c f2 cvttsd2si Gy,Wq
2d np cvtps2pi Pq,Wq
2d 66 cvtpd2pi Pq,Wx
2d f3 cvtss2si Gy,Wd
2d f2 cvtsd2si Gy,Wq
2e np ucomiss Vx,Wd
2e 66 ucomisd Vx,Wq
2f np comiss Vx,Wd
2f 66 comisd Vx,Wq
50 np reg movmskps Gd,Ux
50 66 reg movmskpd Gd,Ux
52 np rsqrtps Vx,Wx
52 f3 rsqrtss Vx,Wd
53 np rcpps Vx,Wx
53 f3 rcpss Vx,Wd
54 np andps Vx,Wx
54 66 andpd Vx,Wx
55 np andnps Vx,Wx
55 66 andnpd Vx,Wx
56 np orps Vx,Wx
56 66 orpd Vx,Wx
57 np xorps Vx,Wx
57 66 xorpd Vx,Wx
${SSE_FOUR_WAY}
5a np cvtps2pd Vx,Wq
5a 66 cvtpd2ps Vx,Wx
5a f3 cvtss2sd Vx,Wd
5a f2 cvtsd2ss Vx,Wq
5b np cvtdq2ps Vx,Wx
5b 66 cvtps2dq Vx,Wx
5b f3 cvttps2dq Vx,Wx
${SSE_PAIRS}
6c 66 punpcklqdq Vx,Wx
6d 66 punpckhqdq Vx,Wx
6e np movd/movd/movq Pq,Ey
6e 66 movd/movd/movq Vx,Ey
6f np movq Pq,Qq
6f 66 movdqa Vx,Wx
6f f3 movdqu Vx,Wx
70 np pshufw Pq,Qq,Ib
70 66 pshufd Vx,Wx,Ib
70 f3 pshufhw Vx,Wx,Ib
70 f2 pshuflw Vx,Wx,Ib
71 np reg /2 psrlw Nq,Ib
71 66 reg /2 psrlw Ux,Ib
71 np reg /4 psraw Nq,Ib
71 66 reg /4 psraw Ux,Ib
71 np reg /6 psllw Nq,Ib
71 66 reg /6 psllw Ux,Ib
72 np reg /2 psrld Nq,Ib
72 66 reg /2 psrld Ux,Ib
72 np reg /4 psrad Nq,Ib
72 66 reg /4 psrad Ux,Ib
72 np reg /6 pslld Nq,Ib
72 66 reg /6 pslld Ux,Ib
73 np reg /2 psrlq Nq,Ib
73 66 reg /2 psrlq Ux,Ib
73 66 reg /3 psrldq Ux,Ib
73 np reg /6 psllq Nq,Ib
73 66 reg /6 psllq Ux,Ib
73 66 reg /7 pslldq Ux,Ib
77 np emms
78 66 reg /0 extrq Ux,Ib,Ib2
78 f2 insertq Vx,Ux,Ib,Ib2
79 66 extrq Vx,Ux
79 f2 insertq Vx,Ux
7c 66 haddpd Vx,Wx
7c f2 haddps Vx,Wx
7d 66 hsubpd Vx,Wx
7d f2 hsubps Vx,Wx
7e np movd/movd/movq Ey,Pq
7e 66 movd/movd/movq Ey,Vx
7e f3 movq Vx,Wq
7f np movq Qq,Pq
7f 66 movdqa Wx,Vx
7f f3 movdqu Wx,Vx
c2 np cmpps Vx,Wx,Ib
c2 66 cmppd Vx,Wx,Ib
c2 f3 cmpss Vx,Wd,Ib
c2 f2 cmpsd Vx,Wq,Ib
c4 np reg pinsrw Pq,Rd,Ib
c4 np mem pinsrw Pq,Mw,Ib
c4 66 reg pinsrw Vx,Rd,Ib
c4 66 mem pinsrw Vx,Mw,Ib
c5 np reg pextrw Gd,Nq,Ib
c5 66 reg pextrw Gd,Ux,Ib
c6 np shufps Vx,Wx,Ib
c6 66 shufpd Vx,Wx,Ib
d0 66 addsubpd Vx,Wx
d0 f2 addsubps Vx,Wx
d6 66 movq Wq,Vx
d6 f3 reg movq2dq Vx,Nq
d6 f2 reg movdq2q Pq,Ux
d7 np reg pmovmskb Gd,Nq
d7 66 reg pmovmskb Gd,Ux
e6 66 cvttpd2dq Vx,Wx
e6 f3 cvtdq2pd Vx,Wq
e6 f2 cvtpd2dq Vx,Wx
e7 np mem movntq Mq,Pq
e7 66 mem movntdq Mx,Vx
f0 f2 mem lddqu Vx,Mx
f7 np reg maskmovq Pq,Nq
f7 66 reg maskmovdqu Vx,Ux
`;

const SSSE3 =
  '00 pshufb,01 phaddw,02 phaddd,03 phaddsw,04 pmaddubsw,05 phsubw,06 phsubd,07 phsubsw,08 psignb,09 psignw,' +
  '0a psignd,0b pmulhrsw,1c pabsb,1d pabsw,1e pabsd';
const SSE41 =
  '10 pblendvb,14 blendvps,15 blendvpd,17 ptest,20 pmovsxbw,21 pmovsxbd,22 pmovsxbq,23 pmovsxwd,24 pmovsxwq,' +
  '25 pmovsxdq,28 pmuldq,29 pcmpeqq,2b packusdw,30 pmovzxbw,31 pmovzxbd,32 pmovzxbq,33 pmovzxwd,' +
  '34 pmovzxwq,35 pmovzxdq,37 pcmpgtq,38 pminsb,39 pminsd,3a pminuw,3b pminud,3c pmaxsb,3d pmaxsd,3e pmaxuw,' +
  '3f pmaxud,40 pmulld,41 phminposuw,cf gf2p8mulb,db aesimc,dc aesenc,dd aesenclast,de aesdec,df aesdeclast';
const SHA = 'c8 sha1nexte,c9 sha1msg1,ca sha1msg2,cb sha256rnds2,cc sha256msg1,cd sha256msg2';

/** Memory source of pmovsx and pmovzx by their last two letters: as many elements as fill the destination. */
const EXTENSION_WIDTH: Record<string, string> = { bw: 'q', bd: 'd', bq: 'w', wd: 'q', wq: 'd', dq: 'q' };

function extensionWidth(name: string): string {
  return /^pmov[sz]x/.test(name) ? EXTENSION_WIDTH[name.slice(-2)] : 'x';
}

/** 0F 38 xx, SIMD rows. */
export const SIMD_0F38 = [
  rows(SSSE3, (op, name) => [`${op} np ${name} Pq,Qq`, `${op} 66 ${name} Vx,Wx`]),
  rows(SSE41, (op, name) => [`${op} 66 ${name} Vx,W${extensionWidth(name)}`]),
  '2a 66 mem movntdqa Vx,Mx',
  rows(SHA, (op, name) => [`${op} np ${name} Vx,Wx`]),
].join('\n');

/** 0F 3A xx, SIMD rows. */
export const SIMD_0F3A = `
08 66 roundps Vx,Wx,Ib
09 66 roundpd Vx,Wx,Ib
0a 66 roundss Vx,Wd,Ib
0b 66 roundsd Vx,Wq,Ib
0c 66 blendps Vx,Wx,Ib
0d 66 blendpd Vx,Wx,Ib
0e 66 pblendw Vx,Wx,Ib
0f np palignr Pq,Qq,Ib
0f 66 palignr Vx,Wx,Ib
14 66 reg pextrb Rd,Vx,Ib
14 66 mem pextrb Mb,Vx,Ib
15 66 reg pextrw Rd,Vx,Ib
15 66 mem pextrw Mw,Vx,Ib
16 66 pextrd/pextrd/pextrq Ey,Vx,Ib
17 66 extractps Ed,Vx,Ib
20 66 reg pinsrb Vx,Rd,Ib
20 66 mem pinsrb Vx,Mb,Ib
21 66 insertps Vx,Wd,Ib
22 66 pinsrd/pinsrd/pinsrq Vx,Ey,Ib
40 66 dpps Vx,Wx,Ib
41 66 dppd Vx,Wx,Ib
42 66 mpsadbw Vx,Wx,Ib
44 66 pclmulqdq Vx,Wx,Ib
60 66 pcmpestrm Vx,Wx,Ib
61 66 pcmpestri Vx,Wx,Ib
62 66 pcmpistrm Vx,Wx,Ib
63 66 pcmpistri Vx,Wx,Ib
cc np sha1rnds4 Vx,Wx,Ib
ce 66 gf2p8affineqb Vx,Wx,Ib
cf 66 gf2p8affineinvqb Vx,Wx,Ib
df 66 aeskeygenassist Vx,Wx,Ib
`;

/** x87 (opcodes D8..DF): memory rows by ModRM.reg; register rows that occur in kernels. */
export const X87 = `
${['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr']
  .map((name, n) => {
    const integer = name.replace('f', 'fi');
    return `d8 mem /${n} ${name} Md\nd8 reg /${n} ${name}\ndc mem /${n} ${name} Mq\ndc reg /${n} ${name}
da mem /${n} ${integer} Md\nde mem /${n} ${integer} Mw\nde reg /${n} ${name}p`;
  })
  .join('\n')}
d9 mem /0 fld Md
d9 mem /2 fst Md
d9 mem /3 fstp Md
d9 mem /4 fldenv Mx
d9 mem /5 fldcw Mw
d9 mem /6 fnstenv Mx
d9 mem /7 fnstcw Mw
d9 reg x87
d9 reg /0 fld
d9 reg /1 fxch
d9 reg /2 rm0 fnop
d9 reg /4 rm0 fchs
d9 reg /4 rm1 fabs
d9 reg /5 rm0 fld1
d9 reg /5 rm6 fldz
da reg fcmov
da reg /5 rm1 fucompp
db mem /0 fild Md
db mem /1 fisttp Md
db mem /2 fist Md
db mem /3 fistp Md
db mem /5 fldt Mx
db mem /7 fstpt Mx
db reg fcmov
db reg /4 rm2 fnclex
db reg /4 rm3 fninit
db reg /5 fucomi
db reg /6 fcomi
dd mem /0 fld Mq
dd mem /1 fisttp Mq
dd mem /2 fst Mq
dd mem /3 fstp Mq
dd mem /4 frstor Mx
dd mem /6 fnsave Mx
dd mem /7 fnstsw Mw
dd reg /0 ffree
dd reg /2 fst
dd reg /3 fstp
dd reg /4 fucom
dd reg /5 fucomp
df mem /0 fild Mw
df mem /1 fisttp Mw
df mem /2 fist Mw
df mem /3 fistp Mw
df mem /4 fbld Mx
df mem /5 fild Mq
df mem /6 fbstp Mx
df mem /7 fistp Mq
df reg /4 rm0 fnstsw
df reg /5 fucomip
df reg /6 fcomip
`;

/**
 * Names of VEX and EVEX instructions that are not a legacy name with a `v` before it: by map, `opcode[.prefix] name`.
 * Used to name the instruction in a fault; operands are not decoded.
 */
export const VEX_NAMES: Record<number, string> = {
  1:
    '41 kandw,42 kandnw,44 knotw,45 korw,46 kxnorw,47 kxorw,4a kaddw,4b kunpckbw,77.0 vzeroupper,6f.3 vmovdqu8,7f.3 vmovdqu8,90 kmovw,91 kmovw,' +
    '92 kmovw,93 kmovw,98 kortestw,99 ktestw,72 vprold,6f.2 vmovdqu,7f.2 vmovdqu',
  2:
    '0c vpermilps,0d vpermilpd,0e vtestps,0f vtestpd,13 vcvtph2ps,16 vpermps,18 vbroadcastss,19 vbroadcastsd,' +
    '1a vbroadcastf128,1f vpabsq,2c vmaskmovps,2d vmaskmovpd,2e vmaskmovps,2f vmaskmovpd,36 vpermd,45 vpsrlv,' +
    '46 vpsrav,47 vpsllv,50 vpdpbusd,52 vpdpwssd,58 vpbroadcastd,59 vpbroadcastq,5a vbroadcasti128,5b vbroadcasti64x4,' +
    '64 vpblendmd,75 vpermi2b,76 vpermi2d,78 vpbroadcastb,79 vpbroadcastw,7a vpbroadcastb,7b vpbroadcastw,7c vpbroadcastd,' +
    '7d vpermt2b,7e vpermt2d,8c vpmaskmovd,8d vpermb,8e vpmaskmovd,90 vpgatherdd,91 vpgatherqd,92 vgatherdps,93 vgatherqps,' +
    'b4 vpmadd52luq,b5 vpmadd52huq,c4 vpconflictd,28.2 vpmovm2b,29.2 vpmovb2m',
  3:
    '00 vpermq,01 vpermpd,02 vpblendd,03 valignd,04 vpermilps,05 vpermilpd,06 vperm2f128,18 vinsertf128,19 vextractf128,' +
    '1a vinsertf64x4,1b vextractf64x4,1d vcvtps2ph,1e vpcmpud,1f vpcmpd,25 vpternlogd,30 kshiftrw,31 kshiftrd,32 kshiftlw,' +
    '33 kshiftld,38 vinserti128,39 vextracti128,3a vinserti64x4,3b vextracti64x4,3e vpcmpub,3f vpcmpb,43 vshufi64x2,' +
    '46 vperm2i128,4a vblendvps,4b vblendvpd,4c vpblendvb,70 vpshldw,71 vpshldd,72 vpshrdw,73 vpshrdd',
};
