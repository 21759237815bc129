import { commandPage, mainPage } from './roff.ts';
import { COMMANDS } from './table.ts';

/** Every manual page by its file name in man/. */
export function pages(): ReadonlyMap<string, string> {
  const all = COMMANDS.map((spec) => [`lkm-${spec.name}.1`, commandPage(spec)] as const);
  return new Map([['lkm.1', mainPage(COMMANDS)], ...all]);
}
