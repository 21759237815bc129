/**
 * static_call_add_module (kernel/static_call_inline.c): every place that calls through a trampoline names the key behind it,
 * or the trampoline itself where the key is not exported; of trampolines only the kernel's own are looked up.
 */
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
  const at = new Map(file.object.relocations(table.index).map((one) => [one.offset, one]));
  for (let site = 0; site + SITE_BYTES <= table.size; site += SITE_BYTES) {
    const key = at.get(site + KEY_AT);
    if (key === undefined || !isForeignCode(judge, file, key)) continue;
    const where = placeName(file, at.get(site));
    const { name } = file.object.symbols[key.symbol];
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

/** Code that is no trampoline of the kernel's. */
function isForeignCode({ kernel }: Judge, { object }: ModuleFile, { symbol }: ObjectRelocation): boolean {
  const { name, place, section } = object.symbols[symbol] ?? {};
  if (place === 'section') return object.sections[section ?? 0]?.executable === true;
  if (place !== 'undefined' || name === undefined || name.startsWith(TRAMPOLINE)) return false;
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
