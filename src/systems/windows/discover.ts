/** Names and control codes that a driver's file holds: found by looking, so some may be missing and none is a promise. */
import { MACHINE, SECTION } from '../../formats/pe/layout.ts';
import type { PeFile } from '../../formats/pe/read.ts';

export interface FoundNames {
  readonly devices: readonly string[];
  readonly links: readonly string[];
}

const MAX_NAMES = 256;

/** Texts of 16-bit units that begin with `\`. */
function* wideTexts(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at + 1 < bytes.length; at++) {
    if (bytes[at] !== 0x5c || bytes[at + 1] !== 0) continue;
    let text = '';
    let end = at;
    while (
      end + 1 < bytes.length &&
      bytes[end + 1] === 0 &&
      bytes[end] >= 0x20 &&
      bytes[end] < 0x7f &&
      text.length < 256
    ) {
      text += String.fromCharCode(bytes[end]);
      end += 2;
    }
    if (text.length < 4) continue;
    yield text;
    at = end;
  }
}

export function findNames(pe: PeFile): FoundNames {
  const devices = new Set<string>();
  const links = new Set<string>();
  for (const { data } of pe.sections) {
    for (const text of wideTexts(data)) {
      if (devices.size + links.size > MAX_NAMES) break;
      if (/^\\Device\\/i.test(text)) devices.add(text);
      else if (/^\\(DosDevices|\?\?|GLOBAL\?\?)\\/i.test(text)) links.add(text);
    }
  }
  return { devices: [...devices], links: [...links] };
}

export interface FoundCode {
  readonly code: number;
  readonly text: string;
}

const METHODS = ['buffered', 'in-direct', 'out-direct', 'neither'];
const ACCESS = ['any access', 'read', 'write', 'read and write'];

/** 0x222003: device type, access, function and method (CTL_CODE). */
export function controlCodeText(code: number): string {
  const type = code >>> 16;
  const access = ACCESS[(code >>> 14) & 3];
  const method = METHODS[code & 3];
  return `0x${code.toString(16).padStart(8, '0')}  device type 0x${type.toString(16)}, function 0x${((code >>> 2) & 0xfff).toString(16)}, ${method}, ${access}`;
}

/** Device types that drivers use: those below 0x60 that are defined, and those from 0x8000 that anybody may take; and functions of vendors. */
const likely = (code: number): boolean => {
  const type = code >>> 16;
  const fn = (code >>> 2) & 0xfff;
  return ((type >= 0x8000 && type < 0xc000) || (type >= 2 && type < 0x60)) && fn >= 0x800 && fn < 0xd00;
};

/**
 * Constants that code compares with or subtracts: `cmp r, imm32`, `sub r, imm32`, `mov r, imm32`. Only those that look
 * like control codes count; compilers also reach codes by differences, which are followed while they stay in one chain.
 */
export function findControlCodes(pe: PeFile): FoundCode[] {
  if (pe.header.machine !== MACHINE.AMD64 && pe.header.machine !== MACHINE.I386) return [];
  const found = new Set<number>();
  for (const section of pe.sections) {
    if ((section.flags & SECTION.EXECUTE) === 0) continue;
    scan(section.data, found);
    if (found.size > MAX_NAMES) break;
  }
  return [...found].sort((a, b) => a - b).map((code) => ({ code, text: controlCodeText(code) }));
}

function scan(bytes: Uint8Array, found: Set<number>): void {
  const immediate = (at: number) =>
    (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  for (let at = 0; at + 6 <= bytes.length; at++) {
    let value: number | undefined;
    // 3D/2D imm32: cmp/sub eax. 81 /7, 81 /5: cmp/sub with a register or memory without displacement.
    if (bytes[at] === 0x3d || bytes[at] === 0x2d) value = immediate(at + 1);
    else if (bytes[at] === 0x81) {
      const modrm = bytes[at + 1];
      const operation = (modrm >> 3) & 7;
      if (operation !== 7 && operation !== 5) continue;
      const mode = modrm >> 6;
      if (mode === 3) value = immediate(at + 2);
      else if (mode === 1 && (modrm & 7) !== 4 && at + 7 <= bytes.length) value = immediate(at + 3);
    }
    if (value !== undefined && likely(value)) found.add(value);
  }
}
