/** Paths of systems that know no upper and lower case, on files that do. */
import type { SystemFiles } from './system.ts';

/** The path with each part as its folder has it; what is nowhere stays as it is. `path` has / between its parts. */
export function inAnyCase(files: SystemFiles, path: string): string {
  const absolute = path.startsWith('/');
  let at = '';
  for (const part of path.split('/').filter((one) => one !== '')) {
    const folder = at !== '' ? at : absolute ? '/' : '.';
    const wanted = part.toLowerCase();
    const names = (files.list(folder) ?? []).map((name) => name.replace(/\/$/, ''));
    const found = names.find((name) => name.toLowerCase() === wanted) ?? part;
    at = at === '' && !absolute ? found : `${at}/${found}`;
  }
  return at;
}
