/** `set` of /etc/system: values for variables of the kernel and of modules, by the width of the symbol (modsysfile.c). */
import { type Address, GuestFault } from '../../memory/space.ts';
import { type Assignment, configuration, MODDEBUG, moddebug } from './configuration.ts';
import type { SolarisModule } from './module.ts';
import type { Solaris } from './solaris.ts';
import { CE } from './syslog.ts';

/** Applies what /etc/system has for a module, after it was relocated and before it starts. */
export function applyAssignments(k: Solaris, module: SolarisModule): void {
  for (const one of k.state(configuration).assignments) {
    if (one.module !== module.name) continue;
    const symbol = module.symbols.get(one.symbol);
    if (symbol === undefined) notDefined(k, one);
    else assign(k, one, symbol.address, symbol.size);
  }
}

/** The variables of the kernel itself, at boot. */
export function applyKernelAssignments(k: Solaris): void {
  for (const one of k.state(configuration).assignments) {
    if (one.module !== '') continue;
    const at = k.data.has(one.symbol) ? k.data.address(one.symbol) : undefined;
    if (at === undefined) notDefined(k, one);
    else assign(k, one, at, k.data.sizeOf(one.symbol));
  }
}

/** Three calls of printf in the kernel, on one line. */
function notDefined(k: Solaris, { symbol, module }: Assignment): void {
  const where = module === '' ? "'kernel' " : `'${module}' module`;
  k.syslog.plain(
    "sorry, variable '%s' is not defined in the '%s' ",
    `sorry, variable '${symbol}' is not defined in the ${where}`,
  );
}

function assign(k: Solaris, one: Assignment, at: Address, size: number): void {
  if (![0, 1, 2, 4, 8].includes(size)) {
    const format = 'Trying to set a variable that is of size %d';
    k.syslog.say(format, format.replace('%d', String(size)), CE.WARN);
    return;
  }
  if (size === 0) {
    const format = 'Symbol %s has size of 0 in symbol table. %s';
    const text = format.replace('%s', one.symbol).replace('%s', "Assuming it is an 'int'");
    k.syslog.say(format, text, CE.WARN);
  }
  try {
    store(k, one, at, size === 0 ? 4 : size);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    k.syslog.say('cannot set %s', `cannot set ${one.symbol}: ${error.message}`, CE.WARN);
  }
}

/** The numbers of the operations as moddebug shows them (sys/sysconf.h). */
const OPERATION = { '=': 1, '&': 2, '|': 3 } as const;

function store(k: Solaris, { symbol, module, operator, value }: Assignment, at: Address, size: number): void {
  const old = read(k, at, size);
  // A string is stored as a pointer to it: the variable is a char *.
  const number = BigInt(typeof value === 'string' ? k.heap.takeString(value) : value);
  const given = BigInt.asUintN(size * 8, number);
  const result = operator === '=' ? given : operator === '&' ? old & given : old | given;
  if (moddebug(k, MODDEBUG.LOADMSG)) {
    // PRIx8 to PRIx64 of the kernel's own width.
    const hex = size < 8 ? '%x' : k.bits === 64 ? '%lx' : '%llx';
    const where = module === '' ? '<null string>' : module;
    k.syslog.plain(
      `OP: %x: param '%s' was '0x${hex}' in module: '%s'.\n`,
      `OP: ${OPERATION[operator]}: param '${symbol}' was '0x${old.toString(16)}' in module: '${where}'.`,
    );
    k.syslog.plain(`now it is set to '0x${hex}'.\n`, `now it is set to '0x${result.toString(16)}'.`);
  }
  write(k, at, size, result);
}

function read(k: Solaris, at: Address, size: number): bigint {
  return k.memory.bytes(at, size).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function write(k: Solaris, at: Address, size: number, value: bigint): void {
  k.memory.write(
    at,
    Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn)),
  );
}
