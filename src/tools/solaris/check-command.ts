/** `check FILE...`: would a file load on this kernel, and if not, which rule refuses it? Nothing is loaded. */
import { FormatError } from '../../bytes/errors.ts';
import { readElf } from '../../formats/elf/read.ts';
import { configuration } from '../../systems/solaris/configuration.ts';
import { findModule } from '../../systems/solaris/load.ts';
import { findPart } from '../../systems/solaris/parts.ts';
import { type CheckResult, type CheckView, checkModule } from '../../systems/solaris/rules/check.ts';
import { moduleGate } from '../../systems/solaris/trust.ts';
import type { ToolResult } from '../system.ts';
import { type CommandRow, failed } from './results.ts';
import type { SolarisSession } from './session.ts';

/** What the rules ask, of a running kernel. */
export function viewOf({ kernel }: SolarisSession): CheckView {
  const { excluded, majors, sysnums } = kernel.state(configuration);
  return {
    bits: kernel.bits,
    primary: (name) => kernel.implements(name),
    module(name) {
      const found = findModule(kernel, { name, usePath: true });
      try {
        return found === undefined ? undefined : readElf(found.bytes);
      } catch (error) {
        if (error instanceof FormatError) return undefined;
        throw error;
      }
    },
    part: (name) => findPart(name)?.owns,
    excluded,
    major: (driver) => majors.get(driver),
    systemCall: (name) => sysnums.get(name),
    signatures: kernel.state(moduleGate),
  };
}

function check(session: SolarisSession, paths: readonly string[]): ToolResult {
  if (paths.length === 0) return failed('usage: check FILE...', 2);
  const view = viewOf(session);
  let out = '';
  let code = 0;
  for (const path of paths) {
    const bytes = session.files.read(path) ?? session.host.read(path);
    if (bytes === undefined) {
      out += `${path}: there is no such file\n`;
      code = 1;
      continue;
    }
    const results = checkModule(view, bytes, path);
    const refused = results.find(({ verdict }) => verdict === 'refuse');
    if (refused !== undefined) code = 1;
    out += `${path}: ${refused === undefined ? 'would load' : `would be refused (${refused.rule})`}\n`;
    out += results
      .filter(({ verdict }) => verdict !== 'pass')
      .map(line)
      .join('');
  }
  return { code, out, err: '' };
}

const line = ({ why, said }: CheckResult): string =>
  `  ${why}\n${said.map((text) => `    kernel: ${text.trimEnd()}\n`).join('')}`;

export const checkCommands: readonly CommandRow[] = [
  {
    name: 'check',
    usage: 'FILE...',
    summary: 'say which rule would refuse a file; nothing is loaded',
    run: check,
  },
];
