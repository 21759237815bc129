/** The registry of a session: keys with values, as .reg and hive files bring them and drivers change them. */
import { upcase } from './strings.ts';

/** Types of values (winnt.h). */
export const RegType = {
  NONE: 0,
  SZ: 1,
  EXPAND_SZ: 2,
  BINARY: 3,
  DWORD: 4,
  DWORD_BIG_ENDIAN: 5,
  LINK: 6,
  MULTI_SZ: 7,
  QWORD: 11,
} as const;

export interface RegistryValue {
  readonly name: string;
  readonly type: number;
  readonly data: Uint8Array;
}

export class RegistryKey {
  readonly name: string;
  readonly parent: RegistryKey | undefined;
  readonly keys = new Map<string, RegistryKey>();
  readonly values = new Map<string, RegistryValue>();
  /** Marked by ZwDeleteKey: gone when the last handle is closed. */
  deleted = false;

  constructor(name: string, parent: RegistryKey | undefined) {
    this.name = name;
    this.parent = parent;
  }

  /** \Registry\Machine\... */
  get path(): string {
    return this.parent === undefined ? '' : `${this.parent.path}\\${this.name}`;
  }

  child(name: string): RegistryKey | undefined {
    return this.keys.get(upcase(name));
  }

  value(name: string): RegistryValue | undefined {
    return this.values.get(upcase(name));
  }

  set(name: string, type: number, data: Uint8Array): void {
    this.values.set(upcase(name), { name, type, data: data.slice() });
  }

  create(name: string): RegistryKey {
    let key = this.child(name);
    if (key === undefined) {
      key = new RegistryKey(name, this);
      this.keys.set(upcase(name), key);
    }
    return key;
  }

  remove(): void {
    this.deleted = true;
    this.parent?.keys.delete(upcase(this.name));
  }

  dword(name: string): number | undefined {
    const value = this.value(name);
    if (value === undefined || value.type !== RegType.DWORD || value.data.length < 4) return undefined;
    return new DataView(value.data.buffer, value.data.byteOffset).getUint32(0, true);
  }

  setDword(name: string, value: number): void {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setUint32(0, value, true);
    this.set(name, RegType.DWORD, data);
  }

  /** The text of a string value, without the final NUL. */
  text(name: string): string | undefined {
    const value = this.value(name);
    return value !== undefined && (value.type === RegType.SZ || value.type === RegType.EXPAND_SZ)
      ? regText(value.data)
      : undefined;
  }

  setText(name: string, text: string, type: number = RegType.SZ): void {
    this.set(name, type, regBytes(`${text}\0`));
  }

  multi(name: string): string[] {
    const value = this.value(name);
    if (value?.type !== RegType.MULTI_SZ) return [];
    return regText(value.data, false)
      .split('\0')
      .filter((text) => text !== '');
  }

  setMulti(name: string, texts: readonly string[]): void {
    this.set(name, RegType.MULTI_SZ, regBytes(`${texts.map((text) => `${text}\0`).join('')}\0`));
  }
}

export function regText(data: Uint8Array, untilNul = true): string {
  let text = '';
  for (let at = 0; at + 1 < data.length; at += 2) {
    const unit = data[at] | (data[at + 1] << 8);
    if (unit === 0 && untilNul) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

export function regBytes(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    out[i * 2] = text.charCodeAt(i) & 0xff;
    out[i * 2 + 1] = text.charCodeAt(i) >> 8;
  }
  return out;
}

export const SERVICES = '\\Registry\\Machine\\System\\CurrentControlSet\\Services';
const CONTROL = '\\Registry\\Machine\\System\\CurrentControlSet\\Control';

/** Groups in the order in which the loader takes them, as installations have them. */
const GROUPS = [
  ...[
    'System Reserved',
    'EMS',
    'WdfLoadGroup',
    'Boot Bus Extender',
    'System Bus Extender',
    'SCSI miniport',
    'Port',
  ],
  ...['Primary Disk', 'SCSI Class', 'SCSI CDROM Class', 'FSFilter Infrastructure', 'FSFilter System'],
  ...['FSFilter Bottom', 'FSFilter Copy Protection', 'FSFilter Security Enhancer', 'FSFilter Open File'],
  ...[
    'FSFilter Physical Quota Management',
    'FSFilter Virtualization',
    'FSFilter Encryption',
    'FSFilter Compression',
  ],
  ...['FSFilter Imaging', 'FSFilter HSM', 'FSFilter Cluster File System', 'FSFilter System Recovery'],
  ...[
    'FSFilter Quota Management',
    'FSFilter Content Screener',
    'FSFilter Continuous Backup',
    'FSFilter Replication',
  ],
  ...[
    'FSFilter Anti-Virus',
    'FSFilter Undelete',
    'FSFilter Activity Monitor',
    'FSFilter Top',
    'Filter',
    'Boot File System',
  ],
  ...[
    'Base',
    'Pointer Port',
    'Keyboard Port',
    'Pointer Class',
    'Keyboard Class',
    'Video Init',
    'Video',
    'Video Save',
  ],
  ...['File System', 'Streams Drivers', 'NDIS Wrapper', 'COM Infrastructure', 'Event Log', 'ProfSvc_Group'],
  ...[
    'AudioGroup',
    'UIGroup',
    'MS_WindowsLocalValidation',
    'PlugPlay',
    'Cryptography',
    'PNP_TDI',
    'NDIS',
    'TDI',
  ],
  ...['iSCSI', 'NetBIOSGroup', 'ShellSvcGroup', 'SchedulerGroup', 'SpoolerGroup', 'SmartCardGroup'],
  ...[
    'NetworkProvider',
    'MS_WindowsRemoteValidation',
    'NetDDEGroup',
    'Parallel arbitrator',
    'Extended Base',
    'PCI Configuration',
  ],
];

export class Registry {
  readonly root = new RegistryKey('', undefined);

  constructor() {
    this.create(SERVICES);
    this.create(`${CONTROL}\\ServiceGroupOrder`).setMulti('List', GROUPS);
    this.create(`${CONTROL}\\GroupOrderList`);
    this.create('\\Registry\\Machine\\Hardware\\Description\\System');
    this.create('\\Registry\\Machine\\Software');
    this.create('\\Registry\\User');
  }

  /** `\Registry\Machine\System\...`: names are compared without case, links are ControlSet names alone. */
  find(path: string): RegistryKey | undefined {
    let key: RegistryKey | undefined = this.root;
    for (const part of parts(path)) {
      key = key.child(part);
      if (key === undefined) return undefined;
    }
    return key;
  }

  create(path: string): RegistryKey {
    let key = this.root;
    for (const part of parts(path)) key = key.create(part);
    return key;
  }

  get services(): RegistryKey {
    return this.create(SERVICES);
  }

  get control(): RegistryKey {
    return this.create(CONTROL);
  }
}

/** CurrentControlSet is a link to ControlSet001 in every system that has not failed to boot. */
function parts(path: string): string[] {
  return path
    .split('\\')
    .filter((part) => part !== '')
    .map((part) => (/^controlset001$/i.test(part) ? 'CurrentControlSet' : part));
}
