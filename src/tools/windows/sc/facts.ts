/** sc getdisplayname, getkeyname, description, failure, security, showsid: what else there is about a service. */
import { sha1 } from '@noble/hashes/legacy';
import type { RegistryKey } from '../../../systems/windows/registry.ts';
import { WinError } from '../errors.ts';
import { badOptions, failed, noSuchService, ok, type ScCommand } from './answer.ts';

/** What a service is protected by unless somebody has said otherwise, since Windows Vista. */
const DEFAULT_SDDL =
  'D:(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)';
/** Where the text of what `sdset` set is kept: the system keeps the descriptor itself, in a value of the same key. */
const SECURITY = 'Security';

const same = (a: string | undefined, b: string): boolean => a?.toLowerCase() === b.toLowerCase();

export const displayName: ScCommand = ({ scm }, name) => {
  const key = scm.find(name);
  if (key === undefined) return noSuchService('GetServiceDisplayName');
  return ok(`[SC] GetServiceDisplayName SUCCESS\nName = ${key.text('DisplayName') ?? key.name}\n`);
};

export const keyName: ScCommand = ({ scm }, shown) => {
  const key = scm.all().find((one) => same(one.text('DisplayName') ?? one.name, shown));
  if (key === undefined) return noSuchService('GetServiceKeyName');
  return ok(`[SC] GetServiceKeyName SUCCESS\nName = ${key.name}\n`);
};

export const setDescription: ScCommand = ({ scm }, name, [text]) => {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  if (scm.marked(key)) return failed('ChangeServiceConfig2', WinError.SERVICE_MARKED_FOR_DELETE);
  if (text === undefined || text === '') key.values.delete('DESCRIPTION');
  else key.setText('Description', text);
  return ok('[SC] ChangeServiceConfig2 SUCCESS\n');
};

export const queryDescription: ScCommand = ({ scm }, name) => {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  return ok(
    `[SC] QueryServiceConfig2 SUCCESS\n\nSERVICE_NAME: ${key.name}\nDESCRIPTION:  ${key.text('Description') ?? ''}\n`,
  );
};

/** What is to happen when a program ends without having said so. Drivers end with the system. */
export const setFailure: ScCommand = ({ scm }, name, rest) => {
  if (scm.find(name) === undefined) return noSuchService();
  if (rest.length === 0) return badOptions('failure', 'reset=, reboot=, command= or actions= is wanted.');
  return failed('ChangeServiceConfig2', WinError.CANNOT_DETECT_DRIVER_FAILURE);
};

export const queryFailure: ScCommand = ({ scm }, name) => {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  const lines = [
    'RESET_PERIOD (in seconds)    : 0',
    'REBOOT_MESSAGE               : ',
    'COMMAND_LINE                 : ',
  ];
  const body = lines.map((line) => `        ${line}\n`).join('');
  return ok(`[SC] QueryServiceConfig2 SUCCESS\n\nSERVICE_NAME: ${key.name}\n${body}`);
};

const securityKey = (key: RegistryKey): RegistryKey | undefined => key.child(SECURITY);

export const showSecurity: ScCommand = ({ scm }, name) => {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  return ok(`\n${securityKey(key)?.text('Sddl') ?? DEFAULT_SDDL}\n\n`);
};

export const setSecurity: ScCommand = ({ scm }, name, [text]) => {
  const key = scm.find(name);
  if (key === undefined) return noSuchService();
  if (text === undefined) return badOptions('sdset', 'A security descriptor is wanted (SDDL).');
  if (!isSddl(text))
    return failed('ConvertStringSecurityDescriptorToSecurityDescriptor', WinError.INVALID_PARAMETER);
  key.create(SECURITY).setText('Sddl', text);
  return ok('[SC] SetServiceObjectSecurity SUCCESS\n');
};

/** Owner, group, and access lists with entries of six parts. */
function isSddl(text: string): boolean {
  const sid = '(?:[A-Z]{2}|S-1-[0-9a-fx-]+)';
  const list = '[A-Z]*(?:\\([A-Z]+;[A-Z]*;(?:[A-Z]{2})*(?:0x[0-9a-f]+)?;[^;()]*;[^;()]*;[^;()]+\\))*';
  return (
    text !== '' && new RegExp(`^(?:O:${sid})?(?:G:${sid})?(?:D:${list})?(?:S:${list})?$`, 'i').test(text)
  );
}

/** The identity of a service among accounts: S-1-5-80 and the SHA-1 of its name in capitals, in five numbers (MS-DTYP 2.4.2.4). */
export function serviceSid(name: string): string {
  const bytes = new Uint8Array(name.length * 2);
  const view = new DataView(bytes.buffer);
  [...name.toUpperCase()].forEach((c, i) => {
    view.setUint16(i * 2, c.charCodeAt(0), true);
  });
  const hash = new DataView(sha1(bytes).slice().buffer);
  const numbers = Array.from({ length: 5 }, (_, i) => hash.getUint32(i * 4, true));
  return `S-1-5-80-${numbers.join('-')}`;
}

/** Any name has one, whether there is a service or not. */
export const showSid: ScCommand = ({ scm }, name) => {
  const key = scm.find(name);
  const active = key !== undefined && scm.state(key) !== 'STOPPED';
  return ok(`\nNAME: ${name}\nSERVICE SID: ${serviceSid(name)}\nSTATUS: ${active ? 'Active' : 'Inactive'}\n`);
};
