/** A small module tree of the fixtures, in a folder of its own. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ToolSurroundings } from '../../../../src/tools/linux/kmod/run-tool.ts';
import { runModuleTool } from '../../../../src/tools/linux/kmod/tools.ts';

export const RELEASE = '6.1.0-0-test';

export class TestTree {
  readonly root = mkdtempSync(join(tmpdir(), 'lkm-tree-'));
  readonly folder = join(this.root, 'lib/modules', RELEASE);

  constructor() {
    mkdirSync(this.folder, { recursive: true });
  }

  /** Copies fixtures: path in the tree -> fixture. */
  add(files: Readonly<Record<string, string>>): this {
    for (const [path, fixture] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      cpSync(join('fixtures/linux/built', fixture), join(this.folder, path));
    }
    return this;
  }

  write(path: string, content: string | Uint8Array): this {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), content);
    return this;
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a tool as a program would. */
export async function run(
  tool: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  more: Partial<ToolSurroundings> = {},
): Promise<Ran> {
  let [out, err] = ['', ''];
  const code = await runModuleTool(tool, words, {
    out: (text) => {
      out += typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
    },
    err: (text) => {
      err += typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
    },
    environment,
    ...more,
  });
  return { code, out, err };
}

/** The files that depmod writes. */
export const FILES_OF_DEPMOD: readonly string[] = [
  'modules.dep',
  'modules.dep.bin',
  'modules.alias',
  'modules.alias.bin',
  'modules.softdep',
  'modules.weakdep',
  'modules.symbols',
  'modules.symbols.bin',
  'modules.builtin.bin',
  'modules.builtin.alias.bin',
  'modules.devname',
];
