import { FormatError } from '../../bytes/errors.ts';
import { hexOf } from '../../bytes/hex.ts';
import type { Description } from '../../tools/system.ts';
import type { Command, CommandContext } from '../command.ts';
import { descriptionScreen } from '../description-screen.ts';
import { Failure } from '../failure.ts';
import type { ForeignFile } from '../foreign.ts';
import { type ImportSource, type ModuleFacts, moduleFacts } from '../module-facts.ts';
import { moduleScreen } from '../module-screen.ts';

export const command: Command = {
  async run(context) {
    let code = 0;
    let source: ImportSource | undefined;
    for (const [i, path] of context.args.entries()) {
      if (context.output.closed) break;
      try {
        if (await showForeign(path, context, i > 0)) continue;
        source ??= await importSource(context);
        show(path, read(path, context, source), context, i > 0);
      } catch (error) {
        // The other files are still worth looking at; the last one's error is reported as any error is.
        if (!(error instanceof Failure) || i === context.args.length - 1) throw error;
        context.err(`lkm: ${error.subject}: ${error.message}\n${error.hint ? `  ${error.hint}\n` : ''}`);
        code = error.exitCode;
      }
    }
    return code;
  },
};

/** A file of another system than Linux; false when it is none. */
async function showForeign(path: string, context: CommandContext, again: boolean): Promise<boolean> {
  const { foreignFile } = await import('../foreign.ts');
  const found = await foreignFile(path, context);
  if (found === undefined) return false;
  const { options, style, columns, json, out } = context;
  const description = await describe(found).catch((error: unknown) => {
    if (!(error instanceof FormatError)) throw error;
    throw new Failure(error.message, {
      subject: path,
      hint: found.file.bytes && guess(found.file.bytes, error),
      cause: error,
    });
  });
  if (options.flag('json')) {
    json('lkm.inspect/1', { file: path, system: description.system, ...description.facts });
    return true;
  }
  const lists = (['imports', 'exports', 'sections'] as const).filter((name) => options.flag(name));
  out((again ? '\n' : '') + descriptionScreen(path, description, { lists, columns, style }));
  return true;
}

/** What throws at once and what is refused later are one to the caller. */
const describe = async ({ system, file }: ForeignFile): Promise<Description> => system.describe(file);

/** The kernel and what the base kernel brings to it: for the split of imports into ours, stand-ins and missing. */
async function importSource(context: CommandContext): Promise<ImportSource> {
  const { chosenKernel } = await import('../linux-session.ts');
  const { linuxData, linuxFunctions } = await import('../../systems/linux/registry.ts');
  const data = new Set(linuxData.map(({ symbol }) => symbol));
  return { kernel: chosenKernel(context), offers: { functions: linuxFunctions, data } };
}

function read(path: string, { readFile }: CommandContext, source: ImportSource): ModuleFacts {
  const bytes = readFile(path);
  try {
    return moduleFacts(bytes, source);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new Failure(error.message, { subject: path, hint: guess(bytes, error), cause: error });
  }
}

function show(path: string, facts: ModuleFacts, context: CommandContext, again: boolean): void {
  const { options, style, columns, json, out } = context;
  if (options.flag('json')) {
    json('lkm.inspect/1', jsonOf(path, facts));
    return;
  }
  const wanted = {
    imports: options.flag('imports'),
    exports: options.flag('exports'),
    sections: options.flag('sections'),
  };
  out((again ? '\n' : '') + moduleScreen(path, facts, { ...wanted, columns, style }));
}

/** Numbers stay numbers; only checksums are written as everybody writes them, in hexadecimal. */
function jsonOf(path: string, facts: ModuleFacts): Record<string, unknown> {
  const hex = (crc: number | undefined) =>
    crc === undefined ? null : `0x${crc.toString(16).padStart(8, '0')}`;
  const withHex = <T extends { crc: number | undefined }>(one: T) => ({ ...one, crc: hex(one.crc) });
  const { modinfo, description, ...rest } = facts;
  return {
    file: path,
    system: 'linux',
    ...rest,
    compression: facts.compression ?? null,
    modinfo: modinfo?.entries ?? null,
    module: modinfo && {
      ...description,
      imports: description.imports.map(withHex),
      exports: description.exports.map(withHex),
    },
  };
}

/** What a file that is no ELF file probably is, by its first bytes. */
const KINDS: readonly (readonly [at: number, magic: string, hint: string])[] = [
  [0x202, 'HdrS', 'this is a kernel image (bzImage), not a module: lkm kernel FILE reads it'],
  [0, 'MZ', 'this is a PE file, but not one that the Windows reader takes'],
  [0, '\xcf\xfa\xed\xfe', 'this is a Mach-O file, but not a kernel extension'],
  [0, '!<arch>\n', 'this is an archive (a .deb or a .a): unpack it first'],
  [0, 'PK\x03\x04', 'this is a zip archive: unpack it first'],
  [0, '\xed\xab\xee\xdb', 'this is a package (.rpm): unpack it first'],
  [0, 'BZh', 'this is compressed with bzip2, as no kernel reads a module: unpack it first'],
  [0, '\x04\x22\x4d\x18', 'this is compressed with lz4, as no kernel reads a module: unpack it first'],
  [0, '#!', 'this is a script'],
];

function guess(bytes: Uint8Array, error: FormatError): string | undefined {
  if (bytes.length === 0) return 'the file is empty';
  if (error.kind === 'Truncated') return 'the file ends too early: was it copied or downloaded whole?';
  if (error.kind !== 'BadMagic') return undefined;
  const at = (offset: number, length: number) =>
    String.fromCharCode(...bytes.subarray(offset, offset + length));
  const known = KINDS.find(([offset, magic]) => at(offset, magic.length) === magic);
  if (known) return known[2];
  const first = hexOf(bytes.subarray(0, 4), ' ');
  return `it begins with ${first}; no system lkm knows has modules that do`;
}
