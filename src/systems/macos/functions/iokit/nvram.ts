/** IODTNVRAM (iokit/Kernel/IONVRAM.cpp): the firmware's variables, which are the properties of `/options`. */
import { guestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { retain, symbolPool } from '../../runtime/objects.ts';
import { kernelFunctions } from '../define.ts';
import { property, setProperty } from './entry.ts';

const name = (k: Macos, at: Address): string => guestText(k, at, 256);
const known = (k: Macos, text: string): Address => k.state(symbolPool).get(text) ?? 0;
const held = (k: Macos, at: Address): Address => {
  retain(k, at);
  return at;
};

export const nvram = kernelFunctions({
  'void *_ZNK9IODTNVRAM11getPropertyEPK8OSSymbol(const void *at, const void *key)': property,
  'void *_ZNK9IODTNVRAM11getPropertyEPKc(const void *at, const char *key)': (k, at, key) =>
    property(k, at, known(k, name(k, key))),
  'void *_ZNK9IODTNVRAM12copyPropertyEPK8OSSymbol(const void *at, const void *key)': (k, at, key) =>
    held(k, property(k, at, key)),
  'void *_ZNK9IODTNVRAM12copyPropertyEPKc(const void *at, const char *key)': (k, at, key) =>
    held(k, property(k, at, known(k, name(k, key)))),
  'bool _ZN9IODTNVRAM11setPropertyEPK8OSSymbolP8OSObject(void *at, const void *key, void *value)':
    setProperty,
  // What is written to the firmware at once and what later is the same here.
  'void _ZN9IODTNVRAM4syncEv(void *at)': () => undefined,
  'bool _ZN9IODTNVRAM10safeToSyncEv(void *at)': () => true,
});
