/**
 * static_call_add_module (kernel/static_call_inline.c): every place that calls through a trampoline names the key behind it,
 * or the trampoline itself where the key is not exported; of trampolines only the kernel's own are looked up.
 */
import type { ElfSection } from '../../../formats/elf/headers.ts';
import type { ObjectRelocation, ObjectSymbol } from '../../../formats/object.ts';
import { Errno } from '../errno.ts';
import type { ModuleFile } from '../module-file.ts';
import { type Judge, Level } from './judge.ts';

/** struct static_call_site: where it is and its key, each a difference from its own place. */
const SITE_BYTES = 8;
const KEY_AT = 4;
/** How compilers call the trampoline of a static call (STATIC_CALL_TRAMP). */
const TRAMPOLINE = '__SCT__';

export function checkStaticCalls(judge: Judge, file: ModuleFile): void {
  judge.enter('static-calls');
  const table = file.section('.static_call_sites');
  if (!judge.has('static-calls') || table === undefined) return;
  const keys = keysOf(file, table);
  for (let site = 0; site + SITE_BYTES <= table.size; site += SITE_BYTES) {
    const key = keys.get(site);
    if (key === undefined || !isForeignCode(judge, file, key)) continue;
    const relocations = file.object.relocations(table.index);
    const where = placeName(
      file,
      relocations.findLast(({ offset }) => offset === site),
    );
    const { name } = file.object.symbolColumns.symbol(key);
    judge.say(Level.WARNING, `Failed to fixup __raw_static_call() usage at: ${where} [${file.name}]`);
    judge.say(Level.WARNING, 'Failed to allocate memory for static calls');
    judge.refuse(
      'static-calls',
      Errno.EINVAL,
      `A static call names ${name || 'code of the module'}, which is code and no trampoline that this kernel has.`,
      'Build the module against this kernel: its static calls are others.',
    );
  }
}

/** The symbol of each site's key, by the place of the site. */
function keysOf({ object }: ModuleFile, table: ElfSection): ReadonlyMap<number, number> {
  const keys = new Map<number, number>();
  for (const { count, offsets, symbols } of object.relocationColumns(table.index))
    for (let i = 0; i < count; i++)
      if (offsets[i] % SITE_BYTES === KEY_AT) keys.set(offsets[i] - KEY_AT, symbols[i]);
  return keys;
}

/** Code that is no trampoline of the kernel's. */
function isForeignCode({ kernel }: Judge, { object }: ModuleFile, symbol: number): boolean {
  const { symbolColumns } = object;
  if (symbol >= symbolColumns.count) return false;
  const place = symbolColumns.place(symbol);
  if (place === 'section') return object.sections[symbolColumns.section(symbol)]?.executable === true;
  const { name } = symbolColumns.symbol(symbol);
  if (place !== 'undefined' || name.startsWith(TRAMPOLINE)) return false;
  return kernel.exports.find(name)?.kind === 'function';
}

/** The function that the place lies in, as `%ps` prints it. */
function placeName({ object }: ModuleFile, site: ObjectRelocation | undefined): string {
  const base = object.symbols[site?.symbol ?? 0];
  if (site === undefined || base === undefined) return '0x0';
  const place = base.value + (site.addend ?? 0);
  let nearest: ObjectSymbol | undefined;
  for (const one of object.symbols) {
    if (one.place !== 'section' || one.section !== base.section || one.name === '' || one.value > place)
      continue;
    if (nearest === undefined || one.value > nearest.value) nearest = one;
  }
  return nearest?.name ?? '0x0';
}
