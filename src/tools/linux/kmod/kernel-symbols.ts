/** The kernel's own symbols for `depmod -e`: from Module.symvers (-E) or System.map (-F). */
import { oldSymbol } from '../../../systems/linux/tree/old-module.ts';
import type { SymbolTable } from './depmod-module.ts';
import type { ToolOutput } from './output.ts';

/** Lines of `0xCRC NAME WHERE ...`: those of the kernel image itself. */
export function addSymvers(symbols: SymbolTable, path: string, text: string, output: ToolOutput): void {
  linesOf(text).forEach((line, i) => {
    const [version, name, where] = line.split(/[ \t]+/).filter((word) => word !== '');
    if (where !== 'vmlinux') return;
    const digits = /^[-+]?(?:0[xX])?0*([0-9a-fA-F]+)$/.exec(version);
    if (digits === null || digits[1].length > 16) {
      const why = digits === null ? 'Success' : 'Numerical result out of range';
      output.error(`${path}:${i + 1} Invalid symbol version ${version}: ${why}\n`);
      return;
    }
    symbols.addKernel(name, Number.parseInt(version, 16));
  });
  symbols.addLoaderSymbols();
}

const KSYMTAB = '__ksymtab_';

/** Lines of `ADDRESS TYPE NAME`: every `__ksymtab_NAME` is an export. */
export function addSystemMap(
  symbols: SymbolTable,
  path: string,
  text: string,
  prefix: string,
  output: ToolOutput,
): void {
  linesOf(text).forEach((line, i) => {
    const second = line.indexOf(' ', line.indexOf(' ') + 1);
    if (!line.includes(' ') || second < 0) {
      output.error(`${path}:${i + 1}: invalid line: ${line}\n`);
      return;
    }
    let name = line.slice(second + 1).replace(/\n$/, '');
    if (prefix !== '' && name.startsWith(prefix)) name = name.slice(1);
    if (!name.startsWith(KSYMTAB)) return;
    const exported = name.slice(KSYMTAB.length);
    symbols.addKernel(exported, 0, false);
    // Of a kernel before 2.6: the version is a part of the name.
    const { name: bare, crc } = oldSymbol(exported);
    if (crc !== undefined) symbols.addKernel(bare, crc, false);
  });
  symbols.addLoaderSymbols();
}

/** With their line feeds. */
const linesOf = (text: string): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
