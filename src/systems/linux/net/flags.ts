/** Numbers of include/linux/netdevice.h and include/uapi/linux/if.h that several parts need. */

/** net_device.flags */
export const IFF = {
  UP: 1,
  BROADCAST: 2,
  DEBUG: 4,
  LOOPBACK: 8,
  POINTOPOINT: 0x10,
  NOTRAILERS: 0x20,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  MULTICAST: 0x1000,
  PORTSEL: 0x2000,
  AUTOMEDIA: 0x4000,
  DYNAMIC: 0x8000,
  LOWER_UP: 0x10000,
  DORMANT: 0x20000,
} as const;

/** Bits of net_device.state (enum netdev_state_t) */
export const STATE = {
  START: 0,
  PRESENT: 1,
  NOCARRIER: 2,
  LINKWATCH_PENDING: 3,
  DORMANT: 4,
  TESTING: 5,
} as const;

/** net_device.reg_state */
export const REG = {
  UNINITIALIZED: 0,
  REGISTERED: 1,
  UNREGISTERING: 2,
  UNREGISTERED: 3,
  RELEASED: 4,
  DUMMY: 5,
} as const;

/** Bits of netdev_queue.state (enum netdev_queue_state_t): the driver's, the stack's, and while it is frozen. */
export const QUEUE = { DRV_XOFF: 1, STACK_XOFF: 2, FROZEN: 4 } as const;
