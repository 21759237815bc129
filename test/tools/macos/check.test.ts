/** `lkm check` says what a load says: the same answer and the same reason, over files alone. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { OS_RETURN } from '../../../src/systems/macos/os-return.ts';
import type { CheckKernel, Verdict } from '../../../src/tools/check.ts';
import { macosChecker } from '../../../src/tools/macos/check/checker.ts';
import { macos } from '../../../src/tools/macos/native.ts';
import { MacosSession } from '../../../src/tools/macos/session.ts';
import { BUILT, executable, fixtureFiles } from '../../systems/macos/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'lkm-macos-check-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const around = { environment: {}, packaged: (path: string) => path };
const bundles = readdirSync(BUILT).filter((name) => name.endsWith('.kext'));
const all = bundles.map((name) => join(BUILT, name));

async function check(
  name: string,
  kernel: CheckKernel | string,
  settings: Record<string, string> = {},
  companions: readonly string[] = all,
): Promise<Verdict> {
  return await macosChecker.check({
    module: { path: name.startsWith('/') ? name : join(BUILT, name), bytes: undefined },
    kernel: typeof kernel === 'string' ? await macosChecker.open(kernel, around) : kernel,
    companions,
    settings: new Map(Object.entries(settings)),
  });
}

const refusal = (verdict: Verdict) => verdict.rules.find(({ outcome }) => outcome === 'refuse');

describe('lkm check on macOS', () => {
  it('takes the property list of a bundle for the bundle', async () => {
    const path = join(BUILT, 'Hello.kext/Contents/Info.plist');
    const bytes = new Uint8Array(readFileSync(path));
    expect(macos.recognise({ path, bytes })).toBe(1);
    expect(macos.recognise({ path: '/tmp/Info.plist', bytes })).toBe(0);
    expect((await macos.describe({ path, bytes })).facts.identifier).toBe('org.lkm.Hello');
    const kernel = await macosChecker.open('builtin:macos-10.8', around);
    const verdict = await macosChecker.check({ module: { path, bytes }, kernel, settings: new Map() });
    expect(refusal(verdict)).toBeUndefined();
    expect(verdict.rules.length).toBe(23);
  });

  it.each([
    ['10.10', 'no-kext'],
    ['10.15', 'on'],
    ['10.15', 'no-kext'],
  ])('agrees with loads on %s, SIP %s', { timeout: 240_000 }, async (release, sip) => {
    const settings = new Map(
      Object.entries({ release, sip, families: 'refuse', 'boot-args': 'kext-dev-mode=1' }),
    );
    const session = new MacosSession({ files: fixtureFiles, settings });
    for (const one of bundles) session.importer.take(one, `/Library/Extensions/${one}`);
    for (const name of bundles) {
      // A machine that has stopped says nothing of the next ones.
      if (name === 'Crasher.kext') continue;
      const loaded = await session.load(`/Library/Extensions/${name}`, []);
      const verdict = await check(name, `builtin:macos-${release}`, { sip, 'boot-args': 'kext-dev-mode=1' });
      const own = refusal(verdict)?.rule;
      // What its own start routine decides is no rule of the loader.
      const theirs = /\.(start|missing)$/.test(loaded.rule ?? '') ? undefined : loaded.rule;
      const what = `${name} on ${release}, SIP ${sip}: ${loaded.err}`;
      expect(verdict.answer, what).toBe(theirs === undefined ? 'loads' : 'refused');
      if (theirs?.startsWith('macos.signature') === true) expect(own, what).toBe('signature');
      if (theirs?.startsWith('macos.dependency') === true) expect(own, what).toBe('dependencies');
    }
  });

  it('names every rule, in order, with the code and words of a refusal', async () => {
    const verdict = await check('Stranger.kext', 'builtin:macos-10.8');
    expect(verdict.rules.map(({ rule }) => rule)).toContain('vtables');
    expect(refusal(verdict)).toMatchObject({
      rule: 'symbols',
      error: { name: 'kOSKextReturnLinkError', number: OS_RETURN.LinkError },
    });
    expect(refusal(verdict)?.said.map(({ text }) => text)).toContain(
      'kxld[org.lkm.Stranger]: The following symbols are unresolved for this kext:',
    );
    expect(verdict.symbols.length).toBeGreaterThan(0);
    expect(verdict.rules.at(-1)?.outcome).toBe('not-reached');
  });

  it('knows what loads first, what is not there, and what nobody has seen', async () => {
    expect((await check('Client.kext', 'builtin:macos-10.8')).first.map(({ name }) => name)).toEqual([
      'org.lkm.Library',
    ]);
    const alone = await check('Client.kext', 'builtin:macos-10.8', {}, []);
    expect(refusal(alone)).toMatchObject({
      rule: 'dependencies',
      hint: 'install org.lkm.Library, or give it beside the kext',
    });
    const plist = readFileSync(join(BUILT, 'Hello.kext/Contents/Info.plist'), 'utf8');
    const kext = join(folder, 'Family.kext/Contents');
    mkdirSync(join(kext, 'MacOS'), { recursive: true });
    const family = '<key>com.apple.iokit.IOPCIFamily</key><string>2.6</string>';
    writeFileSync(
      join(kext, 'Info.plist'),
      plist.replace(/(<key>OSBundleLibraries<\/key>\s*<dict>)/, `$1${family}`),
    );
    writeFileSync(join(kext, 'MacOS/Hello'), executable('Hello'));
    const unseen = await check(join(folder, 'Family.kext'), 'builtin:macos-10.8');
    expect([unseen.answer, unseen.missing[0]?.what]).toEqual(['cannot-tell', 'com.apple.iokit.IOPCIFamily']);
    const assumed = await check(join(folder, 'Family.kext'), 'builtin:macos-10.8', { families: 'assume' });
    expect(assumed.answer).toBe('loads');
    mkdirSync(join(folder, 'root/System/Library/Extensions'), { recursive: true });
    const machine = await macosChecker.open(join(folder, 'root'), around);
    expect(refusal(await check(join(folder, 'Family.kext'), machine, { sip: 'no-kext' }))?.rule).toBe(
      'dependencies',
    );
  });

  it.each([
    ['owner', { owner: 'developer' }, 'Authentication'],
    ['privilege', { user: 'user' }, 'NotPrivileged'],
    ['boot-level', { 'boot-args': '-x' }, 'BootLevel'],
  ] as const)('%s refuses with its code', async (rule, settings, code) => {
    const error = { name: `kOSKextReturn${code}`, number: OS_RETURN[code] };
    expect(refusal(await check('Hello.kext', 'builtin:macos-10.8', settings))).toMatchObject({ rule, error });
  });

  it('asks for Reduced Security on Apple silicon before anybody may approve', async () => {
    const fat = join(folder, 'Codeless.kext');
    mkdirSync(join(fat, 'Contents'), { recursive: true });
    writeFileSync(
      join(fat, 'Contents/Info.plist'),
      readFileSync(join(BUILT, 'Codeless.kext/Contents/Info.plist')),
    );
    const on = (settings: Record<string, string>) =>
      check(fat, 'builtin:macos-14-arm64', { sip: 'no-kext', ...settings }, []);
    expect(refusal(await on({}))?.rule).toBe('security');
    expect((await on({ security: 'reduced' })).answer).toBe('loads');
  });

  it('reads lists of exports as xnu has them, and what it saved', async () => {
    const config = join(folder, 'config');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'MasterVersion'), '12.5.0\n# comment\n');
    writeFileSync(join(config, 'Libkern.exports'), '_printf\n_IOLog:_printf\n# _none\n');
    writeFileSync(join(config, 'Libkern.i386.exports'), '_only32\n');
    for (const name of ['BSDKernel', 'Mach', 'IOKit'])
      writeFileSync(join(config, `${name}.exports`), '__ZN1X*\n');
    expect(macosChecker.recogniseKernel({ path: config, bytes: undefined })).toBe(1);
    const lists = await macosChecker.open(config, around);
    expect(lists.release).toBe('OS X 10.8.5 (Darwin 12.5.0 x86_64)');
    const kernel = await macosChecker.open('builtin:macos-10.8', around);
    const saved = join(folder, 'mac.kernel');
    writeFileSync(saved, kernel.save?.() ?? '');
    const bytes = new Uint8Array(readFileSync(saved));
    expect([bytes.length < 1000, macosChecker.recogniseKernel({ path: saved, bytes })]).toEqual([true, 1]);
    const again = await macosChecker.open(saved, around);
    for (const name of bundles)
      expect((await check(name, again)).answer, name).toBe((await check(name, kernel)).answer);
    for (const text of ['{"lkm":"macos kernel 1"', '{"lkm":"macos kernel 1","kernel":{"release":"99"}}']) {
      writeFileSync(saved, text);
      await expect(async () => macosChecker.open(saved, around)).rejects.toThrow(/saved kernel/);
    }
  });

  it('refuses settings and releases that there are not', async () => {
    await expect(check('Hello.kext', 'builtin:macos-10.8', { nonsense: 'x' })).rejects.toThrow('no setting');
    await expect(check('Hello.kext', 'builtin:macos-10.8', { sip: 'maybe' })).rejects.toThrow('unknown');
    await expect(async () => macosChecker.open('builtin:macos-9', around)).rejects.toThrow('macos-10.5');
  });
});
