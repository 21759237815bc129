/** NetWare as the command line knows it: recognised, described, started. */
import type { NlmFile } from '../../formats/nlm/file.ts';
import { MODULE_TYPES, NLM_FLAGS } from '../../formats/nlm/layout.ts';
import { isNlm, isPacked, readFixedHeader, readMessages, readNlm } from '../../formats/nlm/read.ts';
import { bootNetWare } from '../../systems/netware/registry.ts';
import { versionText } from '../../systems/netware/wording.ts';
import type { BootOptions } from '../boot.ts';
import {
  checkSettingNames,
  type Description,
  type ModuleFile,
  type NativeSystem,
  type SessionOptions,
  SettingError,
} from '../system.ts';
import { bootServer, foldersOf } from './boot.ts';
import { NetWareSession } from './session.ts';
import { Volumes } from './volumes.ts';

const SETTINGS = [
  {
    name: 'release',
    summary: '3.12, 4.11, 5.00, 5.70 (default) ...: the number in messages, and what MODULES shows',
  },
  { name: 'server', summary: 'the name of the server, in its prompt' },
  { name: 'sys', summary: 'the folder that is volume SYS:' },
  { name: 'boot', summary: 'the folder that is C:\\NWSERVER' },
] as const;

function describe({ bytes = new Uint8Array(0) }: ModuleFile): Description {
  const header = readFixedHeader(bytes);
  if (isPacked(header)) return packed(header.moduleName, header.version, bytes.length);
  const file = readNlm(bytes);
  const { customData, fixups, debug } = file;
  return {
    system: 'netware',
    rows: [
      ['is', `NetWare loadable module, ${typeText(file.type)}`],
      ['name', file.name],
      ['description', file.description],
      ['version', file.version === undefined ? '' : versionText(file.version, 5)],
      ['copyright', file.copyright ?? ''],
      ['flags', flagText(file.flags)],
      ['depends on', file.dependencies.join(' ')],
      ['memory', memoryText(file)],
      [
        'threads',
        `stack ${file.stackSize}, thread ${file.threadName || '(none)'}, screen ${file.screenName || '(none)'}`,
      ],
      ['procedures', proceduresText(file)],
      [
        'links',
        `${fixups.length} fixups, ${file.imports.length} imports, ${file.publics.length} publics, ${debug.length} debug records`,
      ],
      ['messages', messagesText(file)],
      ['custom data', customData.length === 0 ? '' : `${customData.length} bytes`],
      [
        'shared code',
        file.shared === undefined ? '' : `${file.shared.code.length} + ${file.shared.data.length} bytes`,
      ],
    ],
    lists: [
      {
        name: 'imports',
        title: 'imports',
        rows: file.imports.map(({ name, references }) => `${name} (${references.length})`),
      },
      {
        name: 'exports',
        title: 'publics',
        rows: file.publics.map(({ name, image, offset }) => `${name} (${image} +0x${offset.toString(16)})`),
      },
    ],
    facts: factsOf(file),
  };
}

function packed(name: string, version: number, length: number): Description {
  return {
    system: 'netware',
    rows: [
      ['is', 'NetWare loadable module, compressed by NLMPACK'],
      ['name', name],
      ['note', 'only the fixed header can be read: unpack it first'],
    ],
    lists: [],
    facts: { name, version, packed: true, bytes: length },
  };
}

function factsOf(file: NlmFile): Record<string, unknown> {
  const { bytes, code, data, messages, help, shared, customData, customHeaders, header, ...rest } = file;
  return {
    ...rest,
    header,
    bytes: bytes.length,
    codeBytes: code.length,
    dataBytes: data.length,
    customBytes: customData.length,
    customHeaders: customHeaders.map(({ stamp, data: held }) => ({ stamp, bytes: held.length })),
    messages: messages && {
      languageId: messages.languageId,
      count: messages.count,
      bytes: messages.file.length,
    },
    help: help?.length ?? null,
    shared: shared && { codeBytes: shared.code.length, dataBytes: shared.data.length },
  };
}

function typeText(type: number): string {
  const known = MODULE_TYPES.get(type);
  return known === undefined ? `type ${type}` : `${known.title} (.${known.extension})`;
}

function flagText(flags: number): string {
  const names = Object.entries(NLM_FLAGS)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name);
  const known = Object.values(NLM_FLAGS).reduce<number>((all, bit) => all | bit, 0);
  const rest = flags & ~known;
  return (
    [...names, ...(rest === 0 ? [] : [`0x${(rest >>> 0).toString(16)}`])].join(' ') ||
    'none: one copy, loaded once'
  );
}

function memoryText({ code, data, uninitializedSize }: NlmFile): string {
  const total = code.length + data.length + uninitializedSize;
  return `code ${code.length}, data ${data.length}, uninitialised ${uninitializedSize}: ${total} bytes`;
}

function proceduresText({ start, exit, check }: NlmFile): string {
  const at = (offset: number) => `+0x${offset.toString(16)}`;
  return `start ${at(start)}, exit ${at(exit)}${check === 0 ? '' : `, check ${at(check)}`}`;
}

/** NetWare numbers languages so. [uncertain: remembered] */
const LANGUAGES = [
  'Canadian French',
  'Chinese',
  'Danish',
  'Dutch',
  'English',
  'Finnish',
  'French',
  'German',
  'Italian',
  'Japanese',
  'Korean',
  'Norwegian',
  'Portuguese',
  'Russian',
  'Spanish',
  'Swedish',
];

function messagesText({ messages }: NlmFile): string {
  if (messages === undefined) return '';
  const language = LANGUAGES[messages.languageId] ?? `language ${messages.languageId}`;
  let first = '';
  try {
    // Western languages were written in code page 850 where 437 lacks their letters.
    first = readMessages(messages.file, messages.languageId === 4 ? 437 : 850).texts[0] ?? '';
  } catch {
    // What is behind the header of a message file is documented nowhere: then the texts are not shown.
    first = '';
  }
  return `${messages.count}, in ${language}${first === '' ? '' : `, the first: ${first}`}`;
}

function settingsOf(settings: ReadonlyMap<string, string> = new Map()) {
  checkSettingNames('NetWare', SETTINGS, settings);
  const release = settings.get('release') ?? '5.70';
  if (!/^[3-6]\.\d{1,2}$/.test(release))
    throw new SettingError(`there was no NetWare ${release}`, '3.12 to 6.50');
  return {
    release,
    server: (settings.get('server') ?? 'SERVER').toUpperCase(),
    folders: { sys: settings.get('sys') ?? '', boot: settings.get('boot') ?? 'NWSERVER' },
  };
}

export const netware: NativeSystem = {
  name: 'netware',
  title: 'NetWare',
  settings: SETTINGS,
  words: { taken: true },
  recognise: ({ bytes }) => (bytes !== undefined && isNlm(bytes) ? 1 : 0),
  describe,
  start({ files, seed, engine, missing, settings }: SessionOptions) {
    const { release, server, folders } = settingsOf(settings);
    for (const name of ['sys', 'boot'] as const) {
      if (settings?.has(name) && files.list(folders[name]) === undefined)
        throw new SettingError(`${name}: there is no folder ${folders[name]}`, 'give the path of a folder');
    }
    const kernel = bootNetWare({ release, files: new Volumes(files, folders), seed, engine, missing });
    return new NetWareSession(kernel, server);
  },
  boot({ root, commandLine, files, seed, engine, missing, settings }: BootOptions) {
    const { release, server, folders } = settingsOf(settings);
    const volumes = root === undefined ? new Volumes(files, folders) : new Volumes(root, foldersOf(root));
    const kernel = bootNetWare({ release, files: volumes, seed, engine, missing });
    return bootServer(new NetWareSession(kernel, server), commandLine ?? '');
  },
};
