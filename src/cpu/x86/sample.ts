/** A function of our own that the processor runs before the guest's code. */

import { Reg, type Sample } from '../ir.ts';

/**
 * Loops, branches, calls, and of each common kind of instruction one.
 *
 * ```asm
 *         push rbp; mov rbp, rsp; push rbx; push r12; sub rsp, 24; mov [rsp+8], rdx
 *         xor ecx, ecx; mov ebx, -1; mov r12, rdx
 * outer:  movzx eax, byte ptr [rdi+rcx]; xor rbx, rax; imul rbx, rbx, 0x1b3
 *         movabs r8, 0x9e3779b97f4a7c15; imul rbx, r8; mov r9d, ebx; shr r9d, 24
 *         mov r10d, [rsi+r9*4]; xor ebx, r10d; mov [rsi+r9*4], ebx
 *         mov r11d, ebx; and r11d, 1; neg r11d; and r11d, 0xedb88320; lea eax, [r11+rbx*2+1]
 *         mov [rdi+rcx], al; movsx eax, al; cdqe; rol rax, 7; shl eax, 3; sar eax, 2; not eax; sub rax, rbx
 *         sbb edx, edx; adc rax, 1; cmp rax, rbx; cmovb eax, edx; setne dl
 *         mov [r12+16], rax; add [r12+24], rax; inc qword ptr [r12+24]; mov rax, [r12+16]
 *         test al, 1; je even; or rax, 2
 * even:   mov edx, [rsp+8]; mov r8d, 5
 * inner:  mov r9, [rdi+r8]; cmp r9, [rdi+r8+8]; jae nothing
 *         mov [rdi+r8], r9; mov word ptr [rdi+r8+2], 7; mov dword ptr [r12+24], 9
 * nothing: sub r8d, 1; jne inner
 *         push rcx; mov rdx, r12; call visit; mov rcx, [r12+8]; call rcx; pop rcx
 *         add rcx, 1; cmp rcx, 24; jb outer
 *         mov rax, rbx; add rsp, 24; pop r12; pop rbx; pop rbp; ret
 * visit:  mov rax, [rdx+16]; test rdx, rdx; jne there; xor eax, eax; ret
 * there:  mov r8, [rdx]; shr rax, 7; xor rax, [r8+16]; mov [rdx], r8; ret
 * ```
 */
const BYTES =
  '554889e55341544883ec18488954240831c9bbffffffff4989d40fb6040f4831c34869dbb301000049b8157c4a7fb979379e490fafd8' +
  '4189d941c1e918468b148e4431d342891c8e4189db4183e30141f7db4181e32083b8ed418d445b0188040f0fbec0489848c1c007c1e003' +
  'c1f802f7d04829d819d24883d0014839d80f42c20f95c24989442410490144241849ff442418498b442410a80174044883c8028b542408' +
  '41b8050000004e8b0c074e3b4c070873154e890c076642c7440702070041c7442418090000004183e80175da514c89e2e822000000498b' +
  '4c2408ffd1594883c1014883f9180f822bffffff4889d84883c418415c5b5dc3488b42104885d2750331c0c34c8b0248c1e80749334010' +
  '4c8902c3';
const VISIT = 0xfb;

/** For long mode. */
export const sample = (): Sample => ({
  code: Uint8Array.from(BYTES.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16)),
  called: VISIT,
  parameters: [Reg.RDI, Reg.RSI, Reg.RDX],
});
