/** Kernel functions that came after 6.1, or that later kernels have built in: reasons of drops, netlink subsystems, PHY drivers. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { readable } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { register, registered, unregister } from '../registered.ts';
import { sysDirectory } from '../sysfs.ts';
import { defaultOperations } from '../vfs/dentry.ts';
import { realTime } from './dcache.ts';
import { kernelFunctions } from './define.ts';
import { onBus, takeBack } from './drivers.ts';
import { format } from './format/printf.ts';
import { createWorker } from './kthread-worker.ts';
import { initMutex } from './locks.ts';
import { pokePointer } from './thunks.ts';
import { timerNow } from './timers.ts';

/** enum skb_drop_reason_subsys has fewer (include/net/dropreason.h). */
const DROP_SUBSYSTEMS = 8;
const DROP_REASONS = 'drop_reasons_by_subsys';

function setDropReasons(k: Linux, subsystem: number, list: Address): void {
  const table = k.file.exports.find(DROP_REASONS)?.address ?? 0;
  if (table !== 0 && subsystem < DROP_SUBSYSTEMS) pokePointer(k, table + subsystem * k.word, list);
}

/** Seconds and nanoseconds of now, as the times of an inode are set. */
function now(k: Linux): [seconds: number, nanoseconds: number] {
  const time = realTime(k);
  return [Math.floor(time / 1e9), Math.floor(time % 1e9)];
}

function setTimes(k: Linux, inode: Address, kinds: readonly string[]): [bigint, bigint] {
  const [seconds, nanoseconds] = now(k);
  for (const kind of kinds) {
    k.write(`inode.${kind}_sec`, inode, seconds);
    k.write(`inode.${kind}_nsec`, inode, nanoseconds);
  }
  return [BigInt(seconds), BigInt(nanoseconds)];
}

/** Methods of dentries that are looked for by a flag (fs/dcache.c, d_op_flags). */
const DENTRY_METHODS = {
  d_hash: 'DCACHE_OP_HASH',
  d_compare: 'DCACHE_OP_COMPARE',
  d_revalidate: 'DCACHE_OP_REVALIDATE',
  d_weak_revalidate: 'DCACHE_OP_WEAK_REVALIDATE',
  d_delete: 'DCACHE_OP_DELETE',
  d_prune: 'DCACHE_OP_PRUNE',
  d_real: 'DCACHE_OP_REAL',
} as const;

const drops = kernelFunctions({
  'void drop_reasons_register_subsys(enum skb_drop_reason_subsys subsys, const struct drop_reason_list *list)':
    setDropReasons,
  'void drop_reasons_unregister_subsys(enum skb_drop_reason_subsys subsys)': (k, subsystem) =>
    setDropReasons(k, subsystem, 0),
  'struct timespec64 simple_inode_init_ts(struct inode *inode)': (k, inode) =>
    setTimes(k, inode, ['i_atime', 'i_mtime', 'i_ctime']),
  'struct timespec64 inode_set_ctime_current(struct inode *inode)': (k, inode) =>
    setTimes(k, inode, ['i_ctime']),
  // Inline before 6.18: base->get_time().
  'ktime_t hrtimer_cb_get_time(const struct hrtimer *timer)': timerNow,
  'void set_default_d_op(struct super_block *s, const struct dentry_operations *ops)': (
    k,
    sb,
    operations,
  ) => {
    k.write(defaultOperations(k), sb, operations);
    let flags = k.read('super_block.s_d_flags', sb);
    for (const [method, flag] of Object.entries(DENTRY_METHODS))
      if (operations !== 0 && k.read(`dentry_operations.${method}`, operations) !== 0)
        flags |= k.types.enumerator(flag);
    k.write('super_block.s_d_flags', sb, flags);
  },
  'void fqdir_pre_exit(struct fqdir *fqdir)': (k, at) => {
    // Fragments of packets that wait for others are let go of; none ever came.
    k.write('fqdir.high_thresh', at, 0);
    k.write('fqdir.dead', at, 1);
  },
  'bool class_is_registered(const struct class *class)': (k, classAt) =>
    Number(sysDirectory(k, 'class').child(k.readString('class.name', classAt)) !== undefined),
  'struct kthread_worker *kthread_create_worker_on_node(unsigned int flags, int node, const char *namefmt, ...)':
    (k, _flags, _node, fmt, args) => createWorker(k, readable(format(k, fmt, args, 64).text), false),
});

/** NFNL_SUBSYS_COUNT is below this (include/uapi/linux/netfilter/nfnetlink.h). */
const SUBSYSTEMS = 16;
const NETLINK = 'netfilter netlink subsystem';

/** One mutex for each subsystem, in guest memory: holders may sleep. */
const mutexes = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(SUBSYSTEMS * k.sizeof('mutex'));
  for (let n = 0; n < SUBSYSTEMS; n++) initMutex(k, at + n * k.sizeof('mutex'));
  return at;
});

function* withMutex(k: Linux, call: string, subsystem: number): Steps<void> {
  yield* k.call(k.addressOf(call), k.state(mutexes) + (subsystem % SUBSYSTEMS) * k.sizeof('mutex'));
}

const subsystemOf = (k: Linux, at: Address): number => k.read('nfnetlink_subsystem.subsys_id', at);

const netlink = kernelFunctions({
  'void nfnl_lock(__u8 subsys_id)': (k, subsystem) => withMutex(k, 'mutex_lock', subsystem),
  'void nfnl_unlock(__u8 subsys_id)': (k, subsystem) => withMutex(k, 'mutex_unlock', subsystem),
  'int nfnetlink_subsys_register(const struct nfnetlink_subsystem *n)': function* (k, at) {
    const number = subsystemOf(k, at);
    yield* withMutex(k, 'mutex_lock', number);
    const taken = [...registered(k, NETLINK).keys()].some((other) => subsystemOf(k, other) === number);
    if (!taken) register(k, NETLINK, at, k.readString('nfnetlink_subsystem.name', at));
    yield* withMutex(k, 'mutex_unlock', number);
    return taken ? -Errno.EBUSY : 0;
  },
  'int nfnetlink_subsys_unregister(const struct nfnetlink_subsystem *n)': (k, at) => {
    unregister(k, NETLINK, at);
    return 0;
  },
});

/** phy_driver_register (drivers/net/phy/phy_device.c): checked, then a driver of the bus mdio_bus. */
function* registerPhy(k: Linux, phy: Address, owner: Address): Steps<number> {
  const driver = phy + k.offset('phy_driver.mdiodrv.driver');
  const both = k.read('phy_driver.features', phy) !== 0 && k.read('phy_driver.get_features', phy) !== 0;
  if (both || k.read('device_driver.of_match_table', driver) !== 0) return -Errno.EINVAL;
  k.write('device_driver.name', driver, k.read('phy_driver.name', phy));
  return yield* onBus(k, 'mdio_bus', driver, owner);
}

const takeBackPhy = (k: Linux, phy: Address): Steps<void> =>
  takeBack(k, phy + k.offset('phy_driver.mdiodrv.driver'));

const phys = kernelFunctions({
  'int phy_drivers_register(struct phy_driver *new_driver, int n, struct module *owner)': function* (
    k,
    first,
    count,
    owner,
  ) {
    const size = k.sizeof('phy_driver');
    for (let n = 0; n < count; n++) {
      const error = yield* registerPhy(k, first + n * size, owner);
      if (error === 0) continue;
      while (n-- > 0) yield* takeBackPhy(k, first + n * size);
      return error;
    }
    return 0;
  },
  'void phy_drivers_unregister(struct phy_driver *drv, int n)': function* (k, first, count) {
    for (let n = 0; n < count; n++) yield* takeBackPhy(k, first + n * k.sizeof('phy_driver'));
  },
  'int __coreboot_driver_register(struct coreboot_driver *driver, struct module *owner)': (
    k,
    driver,
    owner,
  ) => onBus(k, 'coreboot', driver + k.offset('coreboot_driver.drv'), owner),
  'void coreboot_driver_unregister(struct coreboot_driver *driver)': (k, driver) =>
    takeBack(k, driver + k.offset('coreboot_driver.drv')),
});

export const newerKinds = new Map([...drops, ...netlink, ...phys]);

export const newerKindData: readonly DataInitialiser[] = [
  {
    symbol: DROP_REASONS,
    when: 'boot',
    fill: (k, at) => k.memory.poke(at, new Uint8Array(DROP_SUBSYSTEMS * k.word)),
  },
];
