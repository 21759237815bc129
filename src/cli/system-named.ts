/** The system that a word on the command line names. */
import { SYSTEMS } from '../tools/systems.ts';
import { usageError } from './failure.ts';
import { nearest } from './nearest.ts';

/** @throws Failure (wrong usage) for a word that names none */
export function systemNamed(name: string): string {
  const names = ['linux', ...SYSTEMS.map((system) => system.name)];
  if (names.includes(name)) return name;
  const guess = nearest(name, names);
  throw usageError(
    `there is no system '${name}'`,
    guess === undefined ? `there are ${names.join(', ')}` : `did you mean ${guess}?`,
  );
}
