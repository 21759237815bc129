/**
 * The control codes that a driver's code takes: its dispatch routines are followed from where they look into a request, its
 * callbacks of the driver framework and of fast I/O from their argument. What is only seen as a constant is told apart.
 */

import { Decode, Decoder, Instruction, Operand } from '../../../cpu/x86/decode.ts';
import { mnemonicName } from '../../../cpu/x86/table.ts';
import { readRuntimeFunctions } from '../../../formats/pe/exceptions.ts';
import { readImports } from '../../../formats/pe/imports.ts';
import { DIRECTORY, MACHINE, SECTION } from '../../../formats/pe/layout.ts';
import type { PeFile, PeSection } from '../../../formats/pe/read.ts';
import { readRelocations } from '../../../formats/pe/relocations.ts';
import { arm64Constants } from './arm64.ts';
import { Follower } from './follow.ts';

export interface FoundCode {
  readonly code: number;
  /** The code of a request is compared with it; otherwise it only looks like one. */
  readonly compared: boolean;
  readonly text: string;
}

const MAX_CODES = 512;
const MAX_CALLBACKS = 3000;
/** Instructions followed from all of them: an argument is told from what it is compared with soon. */
const CALLBACK_STEPS = 150_000;
/** Device types that one driver's codes have. */
const MAX_TYPES = 4;
/** Bytes of a function that does no more than look into a request; unoptimised, it checks, too. */
const MAX_INLINE = 160;
/** EvtIoDeviceControl(queue, request, output bytes, input bytes, code). */
const FRAMEWORK_ARGUMENT = 5;
/** FastIoDeviceControl(file, wait, input, input bytes, output, output bytes, code, status, device). */
const FAST_IO_ARGUMENT = 7;

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

/** Where nothing but the number speaks for a code: FILE_DEVICE_UNKNOWN, and the types that anybody may take. */
const vendors = (code: number): boolean => likely(code) && (code >>> 16 === 0x22 || code >>> 16 >= 0x8000);

/** Any code has a device type; status values, which code compares just as much, have small numbers below their severity. */
const possible = (code: number): boolean => {
  const type = code >>> 16;
  if (type === 0 || type === 0xffff) return false;
  return !([0x4000, 0x8000, 0xc000].includes(type) && (code & 0xffff) < 0x800);
};

/** @throws Invalid, Truncated */
export function findControlCodes(pe: PeFile): FoundCode[] {
  const { machine } = pe.header;
  if (machine === MACHINE.ARM64)
    return sharing(executable(pe).flatMap(({ data }) => arm64Constants(data, vendors))).map(seenCode);
  if (machine !== MACHINE.AMD64 && machine !== MACHINE.I386) return [];
  const compared = new Set<number>([...dispatched(pe), ...handedOver(pe)]);
  const types = new Set([...compared].map((code) => code >>> 16));
  const functions = new Set([...compared].map((code) => code >>> 2));
  // Where the code that takes requests was understood, constants of other device types belong to requests that it makes, and
  // those that differ in the method alone are ends of ranges.
  const seen = [...constants(pe)].filter(
    (code) => types.size === 0 || (types.has(code >>> 16) && !functions.has(code >>> 2)),
  );
  return [...compared, ...seen]
    .sort((a, b) => a - b)
    .slice(0, MAX_CODES)
    .map((code) => ({
      code,
      compared: compared.has(code),
      text: `${controlCodeText(code)}${compared.has(code) ? '' : ' (seen as a constant)'}`,
    }));
}

const seenCode = (code: number): FoundCode => ({
  code,
  compared: false,
  text: `${controlCodeText(code)} (seen as a constant)`,
});

/** A driver's codes have a device type in common; one of a type alone is likely something else. */
const sharing = (codes: readonly number[]): number[] =>
  [...new Set(codes)]
    .filter((code) => codes.some((other) => other !== code && other >>> 16 === code >>> 16))
    .sort((a, b) => a - b)
    .slice(0, MAX_CODES);

const executable = (pe: PeFile): PeSection[] =>
  pe.sections.filter(({ flags }) => (flags & SECTION.EXECUTE) !== 0);

/** Code that looks into the stack location of a request, followed from there or from where its function starts. */
function dispatched(pe: PeFile): number[] {
  const follower = new Follower(pe);
  const starts = functionStarts(pe);
  const follow = (rva: number) => {
    follower.from(startOf(starts, rva) ?? rva);
    follower.from(rva);
  };
  const sections = executable(pe);
  const loads = sections.flatMap((section) =>
    [...requestLoads(pe, section.data)].map((at) => section.virtualAddress + at),
  );
  loads.sort((a, b) => a - b);
  for (const rva of loads) follow(rva);
  // IoGetCurrentIrpStackLocation that was not inlined: those who call it look into the request.
  if (loads.length > 0) for (const rva of callers(pe, loads, (to) => follower.givesLocation(to))) follow(rva);
  const codes = withoutStray([...follower.found].filter(possible));
  return share(codes) ? codes : codes.filter(likely);
}

/** One number of a device type that is nobody's (up to 0x7fff they are the system maker's to give) is no code. */
const withoutStray = (codes: readonly number[]): number[] =>
  codes.filter((code) => {
    const type = code >>> 16;
    return type < 0x100 || type >= 0x8000 || codes.some((other) => other !== code && other >>> 16 === type);
  });

/** A driver's codes share few device types; what has about as many as values is something else that lies where a code would. */
function share(codes: readonly number[]): boolean {
  const types = new Set(codes.map((code) => code >>> 16));
  return types.size <= MAX_TYPES || types.size * 2 <= codes.length;
}

/** The first index below `count` at which a test that turns false once does so. */
function firstNot(count: number, test: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (test(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `call f`, where f begins a little before one of these places and is what is looked for. */
function* callers(
  pe: PeFile,
  places: readonly number[],
  wanted: (rva: number) => boolean,
): Generator<number> {
  for (const { data, virtualAddress } of executable(pe)) {
    for (let at = 0; at + 5 <= data.length; at++) {
      if (data[at] !== 0xe8) continue;
      const distance = data[at + 1] | (data[at + 2] << 8) | (data[at + 3] << 16) | (data[at + 4] << 24);
      const to = virtualAddress + at + 5 + distance;
      const place = places[firstNot(places.length, (i) => places[i] < to)];
      if (place !== undefined && place - to < MAX_INLINE && wanted(to)) yield virtualAddress + at;
    }
  }
}

/** `mov r, [r+CurrentStackLocation]` */
function* requestLoads(pe: PeFile, bytes: Uint8Array): Generator<number> {
  const x64 = pe.header.machine === MACHINE.AMD64;
  for (let at = 0; at + 7 <= bytes.length; at++) {
    if (x64) {
      if ((bytes[at] & 0xf8) !== 0x48 || bytes[at + 1] !== 0x8b || bytes[at + 2] >> 6 !== 2) continue;
      const from = at + ((bytes[at + 2] & 7) === 4 ? 4 : 3);
      if (bytes[from] === 0xb8 && bytes[from + 1] === 0 && bytes[from + 2] === 0 && bytes[from + 3] === 0)
        yield at;
    } else if (
      bytes[at] === 0x8b &&
      bytes[at + 1] >> 6 === 1 &&
      (bytes[at + 1] & 7) !== 4 &&
      bytes[at + 2] === 0x60
    )
      yield at;
  }
}

/** Starts of functions in order, where the image has a table of them. */
function functionStarts(pe: PeFile): { readonly begin: number; readonly end: number }[] {
  return pe.header.machine === MACHINE.AMD64
    ? readRuntimeFunctions(pe).sort((a, b) => a.begin - b.begin)
    : [];
}

function startOf(
  starts: readonly { readonly begin: number; readonly end: number }[],
  rva: number,
): number | undefined {
  const one = starts[firstNot(starts.length, (i) => starts[i].begin <= rva) - 1];
  return one !== undefined && rva < one.end ? one.begin : undefined;
}

/** Functions whose address is taken may be callbacks that get the code as an argument. */
function handedOver(pe: PeFile): number[] {
  const framework = readImports(pe).some(({ library }) => /^wdfldr\./i.test(library));
  const taken = takenAddresses(pe);
  return (framework ? [FRAMEWORK_ARGUMENT, FAST_IO_ARGUMENT] : [FAST_IO_ARGUMENT]).flatMap((n) => {
    const follower = new Follower(pe, CALLBACK_STEPS);
    return taken.flatMap((rva) => {
      const codes = follower.withArgument(rva, n);
      // An argument in that place may be anything: only when all that it is compared with are codes is it one.
      return codes.some(likely) && codes.every(possible) && share(codes) ? codes : [];
    });
  });
}

/** Where code takes the address of code: `lea r, [rip+f]`, or a relocated pointer. */
function takenAddresses(pe: PeFile): number[] {
  const taken = new Set<number>();
  const sections = executable(pe);
  const inCode = (rva: number) =>
    sections.some((s) => rva >= s.virtualAddress && rva < s.virtualAddress + s.data.length);
  if (pe.header.machine === MACHINE.AMD64) {
    const begins = new Set(readRuntimeFunctions(pe).map(({ begin }) => begin));
    for (const { data, virtualAddress } of sections) {
      for (let at = 0; at + 7 <= data.length; at++) {
        if ((data[at] & 0xfb) !== 0x48 || data[at + 1] !== 0x8d || (data[at + 2] & 0xc7) !== 5) continue;
        const distance = data[at + 3] | (data[at + 4] << 8) | (data[at + 5] << 16) | (data[at + 6] << 24);
        const rva = virtualAddress + at + 7 + distance;
        if (begins.size === 0 ? inCode(rva) : begins.has(rva)) taken.add(rva);
      }
    }
  } else {
    const base = Number(pe.header.imageBase);
    for (const { rva } of pe.directory(DIRECTORY.BASE_RELOCATION).size === 0 ? [] : readRelocations(pe)) {
      const section = pe.sectionAt(rva);
      if (section === undefined || rva - section.virtualAddress + 4 > section.data.length) continue;
      const to = pe.u32(rva, 'relocated pointer') - base;
      // A jump table points to code as well, but not to where functions begin: those are followed in vain, and cheaply.
      if (inCode(to)) taken.add(to);
    }
  }
  return [...taken].slice(0, MAX_CALLBACKS);
}

/** Constants that code compares with or subtracts and that look like control codes of one device. */
function* constants(pe: PeFile): Generator<number> {
  const from = pe.header.machine === MACHINE.I386 ? Number(pe.header.imageBase) : 0;
  const found = new Set<number>();
  for (const { data } of executable(pe)) scan(pe.bits, data, found);
  // Addresses in the image are numbers in 32-bit code.
  const codes = [...found].filter((code) => code < from || code >= from + pe.header.sizeOfImage);
  yield* sharing(codes);
}

/** From one instruction to the next through all bytes; data between functions puts it out of step for a few. */
function scan(bits: 32 | 64, bytes: Uint8Array, found: Set<number>): void {
  const decoder = new Decoder(bits);
  const insn = new Instruction();
  for (let at = 0; at < bytes.length && found.size < MAX_CODES; at += Math.max(1, insn.length)) {
    if (decoder.decode(bytes, at, 0, insn) !== Decode.Ok) {
      insn.length = 1;
      continue;
    }
    if (insn.kind[1] !== Operand.Imm || insn.operandSize !== 4 || insn.length < 5) continue;
    const name = mnemonicName(insn.mnemonic);
    if ((name === 'cmp' || name === 'sub') && likely(insn.imm >>> 0)) found.add(insn.imm >>> 0);
  }
}
