/** What is told about symbols that do not fit: both versions, who offers them, and what they have in common. */
import type { CheckResult } from '../../../systems/linux/check/check.ts';
import type { SymbolProblem } from '../../check.ts';
import type { LinuxCheckKernel } from './kernels.ts';
import type { FileLibrary } from './library.ts';

export interface SymbolReport {
  readonly symbols: readonly SymbolProblem[];
  readonly causes: readonly string[];
}

const hex = (crc: number | undefined): string | undefined =>
  crc === undefined ? undefined : `0x${crc.toString(16).padStart(8, '0')}`;

export function explainSymbols(
  kernel: LinuxCheckKernel,
  result: CheckResult,
  library: FileLibrary,
): SymbolReport {
  const { file, failures } = result;
  if (file === undefined) return { symbols: [], causes: [] };
  const likely = file.modinfo.depends;
  const offered = (name: string) =>
    kernel.file.exports.find(name) ?? kernel.own?.find(name, likely) ?? library.find(name, likely);
  const symbols: SymbolProblem[] = failures.map(({ name, kind, why }) => {
    const wanted = file.versions?.get(name);
    const found = offered(name);
    const owner = found !== undefined && 'owner' in found ? found.owner?.name : undefined;
    return {
      name,
      kind,
      wanted: hex(wanted),
      offered: hex(found?.crc),
      owner,
      why,
    };
  });
  const told = new Set(symbols.map(({ name }) => name));
  for (const [name, wanted] of result.answer === 'refused' ? (file.versions ?? []) : []) {
    const found = told.has(name) ? undefined : kernel.file.exports.find(name);
    if (found?.crc === undefined || found.crc === wanted) continue;
    symbols.push({
      name,
      kind: 'version',
      wanted: hex(wanted),
      offered: hex(found.crc),
      why: 'its version is another',
    });
  }
  return { symbols, causes: [] };
}
