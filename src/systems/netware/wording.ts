/**
 * What the server says. Certain (read in public transcripts): `Loader cannot find public symbol: NAME for module NLM`,
 * `cannot be unloaded at this time because`, `EIP in NLM at code start +OFFSETh`. Everything else is [uncertain]:
 * remembered, and worded differently by each release.
 */
import type { NlmVersion } from '../../formats/nlm/file.ts';

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const two = (n: number) => String(n).padStart(2, '0');

export const wording = {
  loading: (name: string) => `Loading module ${name}`,
  autoLoading: (name: string) => `Auto-loading module ${name}`,
  missingSymbol: (release: string, name: string, module: string) =>
    `SERVER-${release}-918: Loader cannot find public symbol: ${name} for module ${module}`,
  duplicateSymbol: (name: string, module: string) =>
    `Attempt to redefine public symbol ${name} while loading module ${module}`,
  notFound: (name: string) => `Unable to find load file ${name}`,
  notNlm: (name: string) => `File ${name} is not an NLM file.`,
  alreadyLoaded: 'This module is ALREADY loaded and cannot be loaded more than once',
  initialization: 'Module initialization failed.',
  notLoaded: (name: string) => `Module ${name} NOT loaded`,
  noMemory: 'Insufficient memory to load module.',
  badFile: (name: string) => `Error reading load file ${name}`,
  dependencies: (name: string) => `Unable to auto-load a module that ${name} requires.`,
  unloaded: (name: string) => `Module ${name} unloaded`,
  unloadNotLoaded: (name: string) => `Unload module ${name} not loaded`,
  inUse: (name: string, by: string) => `Module ${name} is being referenced by ${by}: it cannot be unloaded`,
  vetoed: (name: string) => `${name} cannot be unloaded at this time.`,
  notReleased: (name: string, count: number, kind: string, tag: string) =>
    `Module did not release ${count} resources: ${kind}\n  Module: ${name}\n  Resource: ${tag}`,
  unknownCommand: '??? Unknown command ???',
  secureConsole: 'Console is secured: modules are loaded from the search path only',
  searchAdded: (n: number, path: string) => `Search ${n}: [Server Path] ${path}`,
  searchRow: (n: number, path: string) => `Search ${String(n).padStart(2)}: [Server Path] ${path}`,
  abend: (release: string, what: string) => `Abend on P00: Server-${release}: ${what}`,
  abendPlace: (module: string, offset: string) => `EIP in ${module} at code start +${offset}h`,
  running: (process: string) => `Running process: ${process} Process`,
} as const;

/** `Version 5.90.15   March 10, 2008`; the last number was a letter before release 5. */
export function versionText(
  { major, minor, revision, year, month, day }: NlmVersion,
  release: number,
): string {
  const letter = revision > 0 && revision <= 26 ? String.fromCharCode(96 + revision) : '';
  const last = release < 5 ? letter : revision > 0 ? `.${two(revision)}` : '';
  const date = `${MONTHS[month - 1] ?? '?'} ${day}, ${year}`;
  return `Version ${major}.${two(minor)}${last}   ${date}`;
}
