/** Windows as the command line knows it: drivers recognised, described, run. */

import { readImports } from '../../formats/pe/imports.ts';
import { SUBSYSTEM_NATIVE } from '../../formats/pe/layout.ts';
import { isPe, readPe } from '../../formats/pe/read.ts';
import { bootWindows } from '../../systems/windows/boot.ts';
import { describeDriver } from '../../systems/windows/describe.ts';
import { DEFAULT_RELEASE, RELEASES, releaseNamed } from '../../systems/windows/release.ts';
import type { SignatureFacts } from '../../systems/windows/rules/verdict.ts';
import type { ModuleFile, NativeSystem, SessionOptions } from '../system.ts';
import { SettingError } from '../system.ts';
import { WindowsSession } from './session.ts';

const NAME = 'windows';

const SETTINGS = [
  {
    name: 'release',
    summary: `which release it is: ${RELEASES.map(({ name }) => name).join(', ')} (${DEFAULT_RELEASE})`,
  },
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
  for (const name of options.settings?.keys() ?? []) {
    if (!SETTINGS.some((one) => one.name === name))
      throw new SettingError(
        `Windows has no setting '${name}'`,
        `there are ${SETTINGS.map((one) => one.name).join(', ')}`,
      );
  }
  return (name) => options.settings?.get(name);
}

function flag(value: string | undefined, name: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (value === 'on' || value === 'off') return value === 'on';
  throw new SettingError(`${name}=${value}: on or off is wanted`, `${name}=on, ${name}=off`);
}

/** No signature is looked at while nothing asks for one. */
const UNSIGNED: SignatureFacts = {
  state: 'none',
  hashes: [],
  signer: undefined,
  trusted: false,
  detail: 'none',
};

function start(options: SessionOptions): WindowsSession {
  const get = settingsOf(options);
  const release = releaseNamed(get('release') ?? DEFAULT_RELEASE);
  if (release === undefined)
    throw new SettingError(
      `there is no release '${get('release')}'`,
      RELEASES.map(({ name }) => name).join(', '),
    );
  const kernel = bootWindows({ release, seed: options.seed, missing: options.missing });
  kernel.irql.checks = flag(get('irql-checks'), 'irql-checks', true);
  return new WindowsSession({
    kernel,
    files: options.files,
    user: options.user ?? 'root',
    policy: {
      release,
      machine: 'x64',
      processors: Number(get('processors') ?? 1),
      secureBoot: flag(get('secureboot'), 'secureboot', false),
      testSigning: flag(get('testsigning'), 'testsigning', false),
      noIntegrityChecks: !flag(get('integrity'), 'integrity', false),
      hvci: flag(get('hvci'), 'hvci', false),
      blocked: new Set(),
      roots: [],
    },
    examine: (path, bytes) => ({ path, bytes, signature: UNSIGNED }),
  });
}

export const windows: NativeSystem = {
  name: NAME,
  title: 'Windows',
  settings: SETTINGS,
  recognise,
  describe: ({ bytes }) => describeDriver(bytes ?? new Uint8Array(0)),
  start,
};
