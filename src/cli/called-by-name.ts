/** Names under which lkm, called through a link, is that module tool; as kmod does it. */
export const CALLED_BY_NAME: readonly string[] = [
  'depmod',
  'insmod',
  'kmod',
  'lsmod',
  'modinfo',
  'modprobe',
  'rmmod',
];
