/** What a device can do, as sets of bits (include/linux/netdev_features.h; __netdev_update_features of net/core/dev.c). */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';

/** The bit of a feature, as `enumerator('NETIF_F_SG_BIT')` and its like number them; none in kernels without it. */
function bit(k: Linux, name: string): bigint {
  return k.types.hasEnumerator(name) ? 1n << BigInt(k.types.enumerator(name)) : 0n;
}

const bits = (k: Linux, names: readonly string[]): bigint =>
  names.reduce((set, name) => set | bit(k, name), 0n);

export const features = (k: Linux, device: Address, field: string): bigint =>
  k.memory.u64(device + k.offset(field));

export function addFeatures(k: Linux, device: Address, field: string, names: readonly string[]): void {
  setFeatures(k, device, field, features(k, device, field) | bits(k, names));
}

export function setFeatures(k: Linux, device: Address, field: string, value: bigint): void {
  k.memory.setU64(device + k.offset(field), value);
}

const SOFT = ['NETIF_F_GSO_BIT', 'NETIF_F_GRO_BIT'];
const SOFT_OFF = ['NETIF_F_GRO_FRAGLIST_BIT', 'NETIF_F_GRO_UDP_FWD_BIT'];
const SEGMENTS = ['NETIF_F_TSO_BIT', 'NETIF_F_TSO6_BIT', 'NETIF_F_TSO_ECN_BIT', 'NETIF_F_TSO_MANGLEID_BIT'];
const CHECKSUMS = ['NETIF_F_HW_CSUM_BIT', 'NETIF_F_IP_CSUM_BIT', 'NETIF_F_IPV6_CSUM_BIT'];

/** What register_netdevice adds to a device's own; `loopback` devices copy no more than they must. */
export function completeFeatures(k: Linux, device: Address, loopback: boolean): void {
  const hardware = 'net_device.hw_features';
  addFeatures(k, device, hardware, [...SOFT, ...SOFT_OFF]);
  addFeatures(k, device, 'net_device.features', SOFT);
  const set = features(k, device, 'net_device.features') & features(k, device, hardware);
  setFeatures(k, device, 'net_device.wanted_features', set);
  if (!loopback) addFeatures(k, device, hardware, ['NETIF_F_NOCACHE_COPY_BIT']);
  for (const field of [
    hardware,
    'net_device.vlan_features',
    'net_device.mpls_features',
    'net_device.hw_enc_features',
  ])
    if ((features(k, device, field) & bit(k, 'NETIF_F_TSO_BIT')) !== 0n)
      addFeatures(k, device, field, ['NETIF_F_TSO_MANGLEID_BIT']);
  addFeatures(k, device, 'net_device.vlan_features', ['NETIF_F_HIGHDMA_BIT']);
  addFeatures(k, device, 'net_device.hw_enc_features', ['NETIF_F_SG_BIT', 'NETIF_F_GSO_PARTIAL_BIT']);
  addFeatures(k, device, 'net_device.mpls_features', ['NETIF_F_SG_BIT']);
}

/** netdev_fix_features: what needs something else goes when that is not there. */
function fixed(k: Linux, wanted: bigint): bigint {
  let set = wanted;
  const has = (...names: string[]) => (set & bits(k, names)) !== 0n;
  const drop = (...names: string[]) => {
    set &= ~bits(k, names);
  };
  if (has('NETIF_F_HW_CSUM_BIT')) drop('NETIF_F_IP_CSUM_BIT', 'NETIF_F_IPV6_CSUM_BIT');
  if (!has('NETIF_F_SG_BIT')) drop(...SEGMENTS, 'NETIF_F_GSO_BIT');
  if (!has('NETIF_F_HW_CSUM_BIT', 'NETIF_F_IP_CSUM_BIT')) drop('NETIF_F_TSO_BIT', 'NETIF_F_TSO_ECN_BIT');
  if (!has('NETIF_F_HW_CSUM_BIT', 'NETIF_F_IPV6_CSUM_BIT')) drop('NETIF_F_TSO6_BIT');
  if (!has('NETIF_F_TSO_BIT')) drop('NETIF_F_TSO_MANGLEID_BIT');
  if (!has(...CHECKSUMS)) drop('NETIF_F_HW_TLS_TX_BIT');
  if (!has('NETIF_F_RXCSUM_BIT')) drop('NETIF_F_GRO_HW_BIT', 'NETIF_F_HW_TLS_RX_BIT');
  if (has('NETIF_F_RXFCS_BIT')) drop('NETIF_F_LRO_BIT', 'NETIF_F_GRO_HW_BIT');
  return set;
}

/** __netdev_update_features: true when they have changed. */
export function* updateFeatures(k: Linux, device: Address): Steps<boolean> {
  const own = features(k, device, 'net_device.features');
  const hardware = features(k, device, 'net_device.hw_features');
  let set = (own & ~hardware) | features(k, device, 'net_device.wanted_features');
  const operations = k.read('net_device.netdev_ops', device);
  const fix = k.read('net_device_ops.ndo_fix_features', operations);
  if (fix !== 0) set = BigInt.asUintN(64, BigInt(yield* k.callWide(fix, device, set)));
  set = fixed(k, set);
  if (set === own) return false;
  const tell = k.read('net_device_ops.ndo_set_features', operations);
  const error = tell === 0 ? 0 : yield* k.callInt(tell, device, set);
  if (error < 0) return false;
  if (error === 0) setFeatures(k, device, 'net_device.features', set);
  return true;
}

const set64 = (value: number | bigint): bigint => BigInt.asUintN(64, BigInt(value));

/** netdev_increment_features: what a device over several may offer, of which `one` is the next. */
export function incrementFeatures(
  k: Linux,
  all: number | bigint,
  one: number | bigint,
  mask: number | bigint,
): bigint {
  const sums = bits(k, CHECKSUMS);
  const any = bits(k, ['NETIF_F_SG_BIT', 'NETIF_F_HIGHDMA_BIT', 'NETIF_F_FRAGLIST_BIT', ...SEGMENTS]) | sums;
  const every = bits(k, ['NETIF_F_GSO_BIT', 'NETIF_F_GRO_BIT', 'NETIF_F_GSO_ROBUST_BIT']);
  const challenged = bit(k, 'NETIF_F_VLAN_CHALLENGED_BIT');
  const wanted = set64(mask);
  const full = ((wanted & bit(k, 'NETIF_F_HW_CSUM_BIT')) !== 0n ? wanted | sums : wanted) | challenged;
  let set = set64(all) | (set64(one) & (any | challenged) & full);
  set &= set64(one) | ~every;
  // One that can sum everything makes the special cases superfluous.
  if ((set & bit(k, 'NETIF_F_HW_CSUM_BIT')) !== 0n) set &= ~(sums & ~bit(k, 'NETIF_F_HW_CSUM_BIT'));
  return BigInt.asIntN(64, set);
}
