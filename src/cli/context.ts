import { readFileSync } from 'node:fs';
import { replaceFile } from '../targets/replace-file.ts';
import type { CommandContext, CommandSpec, Input, Resident } from './command.ts';
import { fileFailure, writeFailure } from './failure.ts';
import type { Output } from './output.ts';
import { packagedPath } from './packaged.ts';
import type { Parsed } from './parse.ts';
import { type ColorChoice, makeStyle, type Style, wantsColor } from './style.ts';

/** The outside, as the program or a test provides it. */
export interface Surroundings {
  readonly output: Output;
  readonly input: Input;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Is file descriptor 1 or 2 a terminal? */
  isTTY(descriptor: 1 | 2): boolean;
  columns(): number;
  /** Set in the process that keeps a kernel. */
  readonly resident?: Resident;
}

/** Puts together what a command body is given. */
export function makeContext(
  spec: CommandSpec,
  parsed: Parsed,
  around: Surroundings,
  commands: readonly CommandSpec[],
  argv: readonly string[] = [],
): CommandContext {
  const { output, environment } = around;
  const choice = (parsed.options.text('color') ?? 'auto') as ColorChoice;
  const styles: { 1?: Style; 2?: Style } = {};
  const styleOf = (descriptor: 1 | 2) => {
    styles[descriptor] ??= makeStyle(wantsColor(choice, environment, () => around.isTTY(descriptor)));
    return styles[descriptor];
  };
  let given: Uint8Array | undefined;
  // Standard input can be read once; a file that is looked at twice is still the same file.
  const standardInput = () => (given ??= around.input.bytes());
  return {
    spec,
    argv,
    args: parsed.args,
    options: parsed.options,
    output,
    out: (text) => output.out(text),
    err: (text) => output.err(text),
    json: (schema, value) => output.out(`${toJson({ schema, ...value })}\n`),
    input: around.input,
    get isTTY() {
      return around.isTTY(1);
    },
    get columns() {
      return around.columns();
    },
    get style() {
      return styleOf(1);
    },
    get errorStyle() {
      return styleOf(2);
    },
    environment,
    readFile: (path) => readFile(path, standardInput),
    writeFile,
    packaged: packagedPath,
    commands,
    resident: around.resident,
  };
}

/**
 * JSON with the two types it lacks: bigint as a hexadecimal string (negative ones as 64-bit two's complement, which is
 * how addresses are written everywhere), bytes as hexadecimal digits.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) => {
    if (typeof one === 'bigint') return `0x${(one < 0n ? BigInt.asUintN(64, one) : one).toString(16)}`;
    if (one instanceof Uint8Array) return Buffer.from(one).toString('hex');
    return one;
  });
}

function readFile(path: string, standardInput: () => Uint8Array): Uint8Array {
  try {
    return path === '-' ? standardInput() : readFileSync(path);
  } catch (error) {
    throw fileFailure(path === '-' ? 'standard input' : path, error);
  }
}

function writeFile(path: string, bytes: Uint8Array | string): void {
  try {
    replaceFile(path, bytes);
  } catch (error) {
    throw writeFailure(path, error);
  }
}
