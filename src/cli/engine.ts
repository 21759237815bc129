import { ENGINES, type Engine } from '../cpu/engines.ts';
import type { CommandContext } from './command.ts';

/** What --engine says, where the command takes it. */
export function engineOf({ spec, options }: CommandContext): Engine | undefined {
  const name = spec.shared.includes('engine') ? options.text('engine') : undefined;
  return ENGINES.find((one) => one === name);
}
