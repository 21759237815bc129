/** A driver's parameters: values of the key Parameters below its service, which is where drivers look for them. */
import type { RegistryKey } from '../../systems/windows/registry.ts';

/** What `sc create` takes; any other NAME=VALUE behind a driver is a parameter of the driver's. */
const OPTIONS = /^(type|start|error|binpath|group|tag|depend|obj|displayname|password)=/i;
const NUMBER = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i;
const MAX_DWORD = 0xffffffff;

export interface DriverArguments {
  readonly options: readonly string[];
  readonly parameters: readonly (readonly [name: string, value: string])[];
  /** The first word that is neither. */
  readonly strange?: string;
}

export function splitArguments(args: readonly string[]): DriverArguments {
  const options: string[] = [];
  const parameters: [string, string][] = [];
  let value = false;
  let strange: string | undefined;
  for (const word of args) {
    const at = word.indexOf('=');
    const own: boolean = value || at <= 0 || OPTIONS.test(word);
    if (!value && at <= 0) strange ??= word;
    if (own) options.push(word);
    else parameters.push([word.slice(0, at), word.slice(at + 1)]);
    // `start= auto`: the value is a word of its own.
    value = own && word.endsWith('=');
  }
  return { options, parameters, strange };
}

/** Numbers become REG_DWORD, and what else is given REG_SZ. */
export function setParameters(service: RegistryKey, parameters: DriverArguments['parameters']): void {
  for (const [name, value] of parameters) {
    const key = service.create('Parameters');
    if (NUMBER.test(value) && Number(value) <= MAX_DWORD) key.setDword(name, Number(value));
    else key.setText(name, value);
  }
}
