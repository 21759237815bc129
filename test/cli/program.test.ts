/** The built program as a process: what the other tests cannot see (pipes, exit codes, the shebang). */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { packagedPath } from '../../src/cli/packaged.ts';

const lkm = packagedPath(join('dist', 'lkm.js'));
const environment = { ...process.env, NODE_EXTRA_CA_CERTS: '' };

function run(...argv: string[]) {
  return spawnSync(process.execPath, [lkm, ...argv], { encoding: 'utf8', env: environment });
}

beforeAll(() => {
  const built = spawnSync(process.execPath, [packagedPath('scripts/build.mjs')], { encoding: 'utf8' });
  expect(built.stderr).not.toContain('ERROR');
  expect(built.status).toBe(0);
}, 120_000);

describe('the program', () => {
  it.skipIf(process.platform !== 'linux')('hands bytes that are no UTF-8 to the module tools', () => {
    const line = 'exec "$0" "$1" linux modinfo "$(printf "n\\351x-\\377.ko")"';
    const ended = spawnSync('sh', ['-c', line, process.execPath, lkm], {
      encoding: 'latin1',
      env: environment,
    });
    expect([ended.status, ended.stderr]).toEqual([1, 'modinfo: ERROR: Module n\xe9x-\xff.ko not found.\n']);
  });

  it('answers --version and --help', () => {
    const version = run('--version');
    expect([version.status, version.stderr]).toEqual([0, '']);
    expect(version.stdout).toMatch(/^lkm \d+\.\d+\.\d+ \(Node 2\d\./);
    expect(run('--help').stdout).toContain('lkm COMMAND');
  });

  it.runIf(process.platform !== 'win32')('starts by its own name', () => {
    expect(spawnSync(lkm, ['version'], { encoding: 'utf8', env: environment }).status).toBe(0);
  });

  it('ends with the code of the command line', () => {
    expect(run('rum').status).toBe(2);
    expect(run('inspect', '/nowhere.ko').status).toBe(1);
  });

  it('writes JSON that can be parsed', () => {
    const { stdout } = run('help', '--json');
    const parsed = JSON.parse(stdout) as { schema: string; commands: { name: string }[] };
    expect(parsed.schema).toBe('lkm.help/1');
    expect(parsed.commands.map((one) => one.name)).toContain('run');
  });

  it('ends quietly when its reader goes away', async () => {
    const child = spawn(process.execPath, [lkm, 'help', '--json'], { env: environment });
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect([code, err]).toEqual([0, '']);
  });

  it.runIf(process.platform !== 'win32')('loses nothing to a slow reader', () => {
    const many = Array.from({ length: 100 }, () => 'run');
    const command = `"$0" "$@" | { sleep 0.3; cat; }`;
    const options = { encoding: 'utf8', env: environment, maxBuffer: 1 << 26 } as const;
    const { stdout } = spawnSync(
      'sh',
      ['-c', command, process.execPath, lkm, 'help', '--json', ...many],
      options,
    );
    expect(stdout.length).toBeGreaterThan(1 << 16);
    expect(JSON.parse(stdout)).toHaveProperty('commands.99.name', 'run');
  });
});
