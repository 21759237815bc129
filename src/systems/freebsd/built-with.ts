/**
 * Which release a module was probably built on, for one that depends on no kernel and so does not say: by what the compiler
 * and the sources' own tags left in `.comment`.
 */
import type { ObjectFile } from '../../formats/object.ts';
import { parseVersion } from './version.ts';

export interface BuiltWith {
  /** As it stands in the file: a compiler, or a source's tag. */
  readonly evidence: string;
  /** `__FreeBSD_version` of the release that fits best. */
  readonly version: number;
}

/**
 * The release whose base system had that compiler. 4.2.1 and 4.2.2 of GCC, 3.4.1, 4.0.0, 6.0.0, 8.0.0, 10.0.1, 16.0.6,
 * 18.1.6 and 19.1.7 of clang stand in modules of known releases; the others are from memory. Of several the first is named.
 */
const COMPILERS: Readonly<Record<string, string>> = {
  'GCC: (GNU) 4.2.1 20070719': '8.0',
  'GCC: (GNU) 4.2.2 20070831': '8.3',
  'GCC: (GNU) 4.2.1 20070831': '9.0',
  'clang version 3.1': '9.1',
  'clang version 3.3': '10.0',
  'clang version 3.4.1': '10.1',
  'clang version 3.8.0': '11.0',
  'clang version 4.0.0': '11.1',
  'clang version 6.0.0': '11.2',
  'clang version 6.0.1': '12.0',
  'clang version 8.0.0': '11.3',
  'clang version 8.0.1': '12.1',
  'clang version 10.0.0': '11.4',
  'clang version 10.0.1': '12.2',
  'clang version 11.0.1': '13.0',
  'clang version 13.0.0': '13.1',
  'clang version 14.0.5': '13.2',
  'clang version 16.0.6': '14.0',
  'clang version 17.0.6': '13.3',
  'clang version 18.1.5': '14.1',
  'clang version 18.1.6': '14.2',
  'clang version 19.1.7': '15.0',
};

/** More of `.comment` than this says nothing new. */
const MOST = 1 << 16;

/** Undefined where the file keeps no such text, or none that is known. */
export function builtWith(file: ObjectFile): BuiltWith | undefined {
  const comment = file.sections.find(({ name }) => name === '.comment');
  if (comment === undefined) return undefined;
  const text = new TextDecoder('latin1').decode(comment.data.subarray(0, MOST));
  const branch = /releng\/(\d+\.\d+)|release\/(\d+\.\d+)\.\d+/.exec(text);
  const tagged = branch === null ? undefined : parseVersion(branch[1] ?? branch[2]);
  if (branch !== null && tagged !== undefined) return { evidence: branch[0], version: tagged };
  const compiler = /GCC: \(GNU\) [\d.]+ \d+|clang version [\d.]+/.exec(text)?.[0];
  const version = compiler === undefined ? undefined : parseVersion(COMPILERS[compiler] ?? '');
  return compiler === undefined || version === undefined ? undefined : { evidence: compiler, version };
}
