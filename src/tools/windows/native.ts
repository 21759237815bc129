/** Windows as the command line knows it: drivers recognised, described, run. */

import { FormatError } from '../../bytes/errors.ts';
import { readImports } from '../../formats/pe/imports.ts';
import { MACHINE, SUBSYSTEM_NATIVE } from '../../formats/pe/layout.ts';
import { isPe, readPe } from '../../formats/pe/read.ts';
import { readCertificates } from '../../formats/pki/pem.ts';
import { isHive } from '../../formats/regf/read.ts';
import { bootWindows } from '../../systems/windows/boot.ts';
import { describeDriver } from '../../systems/windows/describe.ts';
import { loadHive } from '../../systems/windows/hive.ts';
import { applyRegFile } from '../../systems/windows/regfile.ts';
import { DEFAULT_RELEASE, RELEASES, releaseNamed } from '../../systems/windows/release.ts';
import type { SignatureFacts } from '../../systems/windows/rules/verdict.ts';
import { examineSignature } from '../../systems/windows/signature/authenticode.ts';
import { type Catalog, readCatalog } from '../../systems/windows/signature/catalog.ts';
import type { Windows } from '../../systems/windows/windows.ts';
import type { ModuleFile, NativeSystem, SessionOptions } from '../system.ts';
import { checkSettingNames, SettingError } from '../system.ts';
import { boot } from './boot.ts';
import { windowsChecker } from './check/checker.ts';
import { WindowsSession } from './session.ts';

const NAME = 'windows';

const SETTINGS = [
  {
    name: 'release',
    summary: `which release it is: ${RELEASES.map(({ name }) => name).join(', ')} (${DEFAULT_RELEASE})`,
  },
  { name: 'machine', summary: 'x64 or x86; by default that of the first driver named' },
  {
    name: 'integrity',
    summary: 'on: driver signatures are enforced as the release does; off (default): as after F8',
  },
  { name: 'testsigning', summary: 'on: any signature will do; off (default)' },
  {
    name: 'secureboot',
    summary: "on: no test mode, new drivers need the system maker's signature; off (default)",
  },
  {
    name: 'hvci',
    summary: 'on: memory integrity refuses sections both writable and executable; off (default)',
  },
  { name: 'processors', summary: 'how many the rules think there are (1); code runs on one' },
  { name: 'roots', summary: 'a file of certificates (PEM or DER) that signatures may end at' },
  {
    name: 'catalogs',
    summary: 'catalog files (.cat), separated by commas, whose signature counts for the files they list',
  },
  { name: 'blocklist', summary: 'a file of Authenticode hashes that must not load, one a line' },
  { name: 'registry', summary: 'files for the registry, separated by commas: .reg files and hives' },
  { name: 'irql-checks', summary: 'on (default): paged memory is out of reach at raised IRQL; off' },
] as const;

type SettingName = (typeof SETTINGS)[number]['name'];

function recognise({ bytes }: ModuleFile): number {
  if (bytes === undefined || !isPe(bytes)) return 0;
  try {
    const pe = readPe(bytes);
    const kernel = readImports(pe).some(({ library }) =>
      /^(ntoskrnl|hal|ndis|wdfldr|fltmgr)\./i.test(library),
    );
    return kernel || pe.header.subsystem === SUBSYSTEM_NATIVE ? 0.95 : 0.3;
  } catch {
    return 0.6;
  }
}

function settingsOf(options: SessionOptions): (name: SettingName) => string | undefined {
  checkSettingNames('Windows', SETTINGS, options.settings);
  return (name) => options.settings?.get(name);
}

function flag(value: string | undefined, name: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (value === 'on' || value === 'off') return value === 'on';
  throw new SettingError(`${name}=${value}: on or off is wanted`, `${name}=on, ${name}=off`);
}

/** What stands for a file that is no image: the load says why. */
const UNREADABLE: SignatureFacts = {
  state: 'malformed',
  hashes: [],
  signer: undefined,
  trusted: false,
  detail: 'the file is no image',
  signatures: [],
};

function examine(
  bytes: Uint8Array,
  roots: readonly Uint8Array[],
  catalogs: readonly Catalog[],
): SignatureFacts {
  try {
    return examineSignature(readPe(bytes), roots, catalogs);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return UNREADABLE;
  }
}

function fileSetting(
  options: SessionOptions,
  name: string,
  path: string | undefined,
): Uint8Array | undefined {
  if (path === undefined) return undefined;
  const bytes = options.files.read(path);
  if (bytes === undefined)
    throw new SettingError(`${name}=${path}: there is no such file`, 'the path of a file is wanted');
  return bytes;
}

/** A block list: hashes in hexadecimal, one a line; what follows a blank is a comment. */
function blockList(bytes: Uint8Array | undefined): Set<string> {
  const text = bytes === undefined ? '' : new TextDecoder('latin1').decode(bytes);
  return new Set(
    [...text.toLowerCase().matchAll(/^([0-9a-f]{40}|[0-9a-f]{64})\b/gm)].map(([, hash]) => hash),
  );
}

/** @throws SettingError when the file is neither, or damaged */
function fillRegistry(kernel: Windows, path: string, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) return;
  try {
    if (isHive(bytes)) loadHive(kernel.registry, bytes);
    else applyRegFile(kernel.registry, bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new SettingError(`registry=${path}: ${error.message}`, 'a .reg file or a hive is wanted');
  }
}

/** @throws SettingError when one of them is no catalog */
function catalogsOf(options: SessionOptions, paths = ''): Catalog[] {
  return paths
    .split(',')
    .filter((one) => one !== '')
    .map((path) => {
      try {
        return readCatalog(fileSetting(options, 'catalogs', path) ?? new Uint8Array(0));
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        throw new SettingError(`catalogs=${path}: ${error.message}`, 'a catalog file (.cat) is wanted');
      }
    });
}

/** The machine of the first file on the command line that is a driver for one of them. */
function machineOf(named: readonly ModuleFile[]): 'x64' | 'x86' | undefined {
  for (const file of named) {
    if (recognise(file) < 0.9) continue;
    const { machine } = readPe(file.bytes ?? new Uint8Array(0)).header;
    if (machine === MACHINE.AMD64) return 'x64';
    if (machine === MACHINE.I386) return 'x86';
  }
  return undefined;
}

function start(options: SessionOptions): WindowsSession {
  const get = settingsOf(options);
  const release = releaseNamed(get('release') ?? DEFAULT_RELEASE);
  if (release === undefined)
    throw new SettingError(
      `there is no release '${get('release')}'`,
      RELEASES.map(({ name }) => name).join(', '),
    );
  const machine = get('machine') ?? machineOf(options.named ?? []) ?? 'x64';
  if (machine !== 'x64' && machine !== 'x86')
    throw new SettingError(`there is no machine '${machine}' to run on`, 'machine=x64 or machine=x86');
  const rootsFile = fileSetting(options, 'roots', get('roots'));
  const roots = rootsFile === undefined ? [] : readCertificates(rootsFile).map(({ der }) => der);
  const catalogs = catalogsOf(options, get('catalogs'));
  const kernel = bootWindows({
    release,
    machine,
    seed: options.seed,
    engine: options.engine,
    missing: options.missing,
  });
  kernel.irql.checks = flag(get('irql-checks'), 'irql-checks', true);
  for (const path of (get('registry') ?? '').split(',').filter((one) => one !== ''))
    fillRegistry(kernel, path, fileSetting(options, 'registry', path));
  return new WindowsSession({
    kernel,
    files: options.files,
    user: options.user ?? 'root',
    policy: {
      release,
      machine,
      processors: Number(get('processors') ?? 1),
      secureBoot: flag(get('secureboot'), 'secureboot', false),
      testSigning: flag(get('testsigning'), 'testsigning', false),
      noIntegrityChecks: !flag(get('integrity'), 'integrity', false),
      hvci: flag(get('hvci'), 'hvci', false),
      blocked: blockList(fileSetting(options, 'blocklist', get('blocklist'))),
      roots,
    },
    examine: (path, bytes) => ({ path, bytes, signature: examine(bytes, roots, catalogs) }),
  });
}

export const windows: NativeSystem = {
  name: NAME,
  title: 'Windows',
  settings: SETTINGS,
  words: { taken: true },
  recognise,
  describe: ({ bytes }) => describeDriver(bytes ?? new Uint8Array(0)),
  start,
  boot: (options) => boot(options, start),
  checker: () => windowsChecker,
};
