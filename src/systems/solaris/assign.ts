/** `set` of /etc/system: values for variables of the kernel and of modules, by the width of the symbol (modsysfile.c). */
import { type Address, GuestFault } from '../../memory/space.ts';
import { type Assignment, configuration } from './configuration.ts';
import type { SolarisModule } from './module.ts';
import type { Solaris } from './solaris.ts';
import { CE } from './syslog.ts';

/** Applies what /etc/system has for a module, after it was relocated and before it starts. */
export function applyAssignments(k: Solaris, module: SolarisModule): void {
  for (const one of k.state(configuration).assignments) {
    if (one.module !== module.name) continue;
    const symbol = module.symbols.get(one.symbol);
    if (symbol === undefined) notDefined(k, one, 'module');
    else assign(k, one, symbol.address, symbol.size);
  }
}

/** The variables of the kernel itself, at boot. */
export function applyKernelAssignments(k: Solaris): void {
  for (const one of k.state(configuration).assignments) {
    if (one.module !== '') continue;
    const at = k.data.has(one.symbol) ? k.data.address(one.symbol) : undefined;
    if (at === undefined) notDefined(k, one, 'kernel');
    else assign(k, one, at, k.data.sizeOf(one.symbol));
  }
}

function notDefined(k: Solaris, { symbol, module }: Assignment, what: 'module' | 'kernel'): void {
  const format = `sorry, variable '%s' is not defined in the '%s' ${what}`;
  const where = what === 'kernel' ? 'kernel' : `'${module}' module`;
  const text =
    what === 'kernel'
      ? `sorry, variable '${symbol}' is not defined in the 'kernel'`
      : `sorry, variable '${symbol}' is not defined in the ${where}`;
  k.syslog.say(format, text, CE.WARN);
}

function assign(k: Solaris, one: Assignment, at: Address, size: number): void {
  try {
    if (typeof one.value === 'string') assignString(k, one.value, at, size);
    else assignNumber(k, one, at, size === 0 ? 4 : size);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    k.syslog.say('cannot set %s', `cannot set ${one.symbol}: ${error.message}`, CE.WARN);
  }
}

/** A string is stored as a pointer to it: the variable is a char *. */
function assignString(k: Solaris, value: string, at: Address, size: number): void {
  if (size === k.word) k.memory.setPtr(at, k.heap.takeString(value));
}

function assignNumber(k: Solaris, { operator, value }: Assignment, at: Address, size: number): void {
  const bits = size * 8;
  if (![8, 16, 32, 64].includes(bits)) return;
  const bytes = k.memory.bytes(at, size);
  let old = 0n;
  for (let i = size - 1; i >= 0; i--) old = (old << 8n) | BigInt(bytes[i]);
  const given = BigInt.asUintN(bits, BigInt(value));
  let result = operator === '=' ? given : operator === '&' ? old & given : old | given;
  for (let i = 0; i < size; i++) {
    bytes[i] = Number(result & 0xffn);
    result >>= 8n;
  }
  k.memory.write(at, bytes);
}
