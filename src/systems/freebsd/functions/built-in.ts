/**
 * What subsystems that GENERIC has built in let modules register with: sound, serial adapters on USB, 802.11, RPC, NVMe, random
 * numbers. The base kernel has none of them: a registration is known and waits, until the module takes it back.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { block, type Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { registered } from './registrations.ts';

/** Things that are known by a number instead of an address, and how they are kept in one table with those. */
const numbered = perKernel(() => new Map<string, Address>());

function put(k: FreeBsd, at: Address, what: string, name: string): void {
  k.state(registered).set(at, { what, name });
}

function putNumber(k: FreeBsd, kind: string, number: number, at: Address, name: string): void {
  takeNumber(k, kind, number);
  k.state(numbered).set(`${kind} ${number}`, at);
  put(k, at, kind, name);
}

function takeNumber(k: FreeBsd, kind: string, number: number): void {
  const key = `${kind} ${number}`;
  const at = k.state(numbered).get(key);
  if (at !== undefined) k.state(registered).delete(at);
  k.state(numbered).delete(key);
}

/** All of these structures begin with their name. */
const named = (k: FreeBsd, at: Address): string => guestText(k, k.memory.ptr(at));

const take = (k: FreeBsd, at: Address): void => void k.state(registered).delete(at);

const RATE = '802.11 rate control';
const AUTHENTICATOR = '802.11 authenticator';
const SCANNER = '802.11 scanner';

/** sys/net80211/ieee80211_crypto.c, _ratectl.c, _proto.c, _scan.c */
export const wireless = kernelFunctions({
  'void ieee80211_crypto_register(const void *cip)': (k, at) => put(k, at, '802.11 cipher', named(k, at)),
  'void ieee80211_crypto_unregister(const void *cip)': take,
  'void ieee80211_ratectl_register(int type, const void *ratectl)': (k, type, at) =>
    putNumber(k, RATE, type, at, named(k, at)),
  'void ieee80211_ratectl_unregister(int type)': (k, type) => takeNumber(k, RATE, type),
  'void ieee80211_aclator_register(const void *iac)': (k, at) =>
    put(k, at, '802.11 access control', named(k, at)),
  'void ieee80211_aclator_unregister(const void *iac)': take,
  'void ieee80211_authenticator_register(int type, const void *auth)': (k, type, at) =>
    putNumber(k, AUTHENTICATOR, type, at, named(k, at)),
  'void ieee80211_authenticator_unregister(int type)': (k, type) => takeNumber(k, AUTHENTICATOR, type),
  'void ieee80211_scanner_register(int mode, const void *scan)': (k, mode, at) =>
    putNumber(k, SCANNER, mode, at, named(k, at)),
  'void ieee80211_scanner_unregister(int mode, const void *scan)': (k, mode) => takeNumber(k, SCANNER, mode),
  'void ieee80211_scanner_unregister_all(const void *scan)': (k, at) => {
    for (const [key, one] of k.state(numbered)) if (one === at) k.state(numbered).delete(key);
    take(k, at);
  },
});

/** usb(4) forgets functions that it calls through pointers, and waits a second for who may be in them (usb_dynamic.c). */
function* clearHooks(k: FreeBsd, names: readonly string[]): Steps<void> {
  for (const name of names) k.memory.setPtr(k.symbolAddress(name), 0);
  yield* block('WAIT', k.time.now() + 1e9);
}

export const builtIn = kernelFunctions({
  'int sndstat_registerfile(char *str)': (k, at) => {
    put(k, at, 'sound driver source', guestText(k, at));
    return 0;
  },
  'int sndstat_unregisterfile(char *str)': (k, at) => (k.state(registered).delete(at) ? 0 : Errno.ENXIO),
  // No adapter is there whose last user would be waited for.
  'void ucom_drain_all(void *arg)': () => undefined,
  'void usb_quirk_unload(void *arg)': (k) => clearHooks(k, ['usb_test_quirk_p', 'usb_quirk_ioctl_p']),
  'void usb_temp_unload(void *arg)': (k) =>
    clearHooks(k, ['usb_temp_get_desc_p', 'usb_temp_setup_by_index_p', 'usb_temp_unsetup_p']),
  /** The kernel has one place for a flavor, which nobody can take back. */
  'int svc_auth_reg(int flavor, void *svc_auth, void *set_svc_auth)': (k, flavor, at) => {
    putNumber(k, 'RPC flavor', flavor, at, `${flavor}`);
    return 1;
  },
  'void *nvme_register_consumer(void *ns_fn, void *ctrlr_fn, void *async_fn, void *fail_fn)': (k) => {
    const at = k.heap.allocate(64);
    put(k, at, 'NVMe consumer', '');
    return at;
  },
  'void nvme_unregister_consumer(void *consumer)': (k, at) => {
    take(k, at);
    k.heap.free(at);
  },
  /** The module brings what /dev/random reads from (sys/dev/random/random_infra.c). */
  'void random_infra_init(void *read_uio, void *read_random)': (k, at) =>
    put(k, at, 'source of /dev/random', ''),
  'void random_infra_uninit(void)': (k) => {
    for (const [at, { what }] of k.state(registered)) if (what === 'source of /dev/random') take(k, at);
  },
});
