/**
 * What modules for host adapters, disks and sound give a driver when it starts: misc/scsi and misc/sata (scsi_hba_init(9F)),
 * drv/blkdev and drv/audio put their own operations into its dev_ops. Behind an adapter there is nothing: a bus that is set
 * up finds no targets.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const SUCCESS = 0;
const D_MP = 0x20;
const CB_REV = 1;
/** Entry points of a cb_ops, from open to prop_op. */
const ENTRIES = 13;
/** struct bus_ops (sys/devops.h) with room; what is in it only the kernel's own nexus code calls. */
const BUS_OPS_BYTES = 512;
/** struct scsi_hba_tran (sys/scsi/impl/transport.h) with room for what later releases have behind it. */
const TRAN_BYTES = 1024;

/** Operations of the modules' own: a device node of the adapter itself, which can be opened by nobody here. */
const ownOps = perKernel<{ cb: Address; bus: Address }, Solaris>((k) => {
  const cb = k.data.take(k.sizeof('cb_ops'));
  const bus = k.data.take(BUS_OPS_BYTES);
  const nodev = k.functionGates.address('nodev') ?? 0;
  for (let i = 0; i < ENTRIES; i++) k.memory.setPtr(cb + i * k.word, nodev);
  k.write('cb_ops.cb_flag', cb, D_MP);
  k.write('cb_ops.cb_rev', cb, CB_REV);
  return { cb, bus };
});

/** dev_ops of the first linkage, which is a driver's. */
const opsOf = (k: Solaris, modlinkage: Address): Address =>
  k.read('modlany.data', k.memory.ptr(modlinkage + k.offset('modlinkage.ml_linkage')));

function give(k: Solaris, ops: Address, always: boolean): void {
  const { cb, bus } = k.state(ownOps);
  k.write('dev_ops.devo_bus_ops', ops, bus);
  if (always || k.read('dev_ops.devo_cb_ops', ops) === 0) k.write('dev_ops.devo_cb_ops', ops, cb);
}

function takeBack(k: Solaris, ops: Address): void {
  const { cb } = k.state(ownOps);
  k.write('dev_ops.devo_bus_ops', ops, 0);
  if (k.read('dev_ops.devo_cb_ops', ops) === cb) k.write('dev_ops.devo_cb_ops', ops, 0);
}

const init =
  (always: boolean) =>
  (k: Solaris, modlinkage: Address): number => {
    give(k, opsOf(k, modlinkage), always);
    return SUCCESS;
  };

const fini = (k: Solaris, modlinkage: Address): void => takeBack(k, opsOf(k, modlinkage));

export const hostAdapters = kernelFunctions({
  'int scsi_hba_init(struct modlinkage *linkage)': init(false),
  'void scsi_hba_fini(struct modlinkage *linkage)': fini,
  'int sata_hba_init(struct modlinkage *linkage)': init(true),
  'void sata_hba_fini(struct modlinkage *linkage)': fini,
  'void *scsi_hba_tran_alloc(dev_info_t *dip, int flags)': (k) =>
    k.heap.allocate(TRAN_BYTES, k.convention.returnAddress(k.cpu)),
  'void scsi_hba_tran_free(void *tran)': (k, tran) => k.heap.free(tran),
  'int scsi_hba_attach_setup(dev_info_t *dip, void *attributes, void *tran, int flags)': () => SUCCESS,
  'int scsi_hba_detach(dev_info_t *dip)': () => SUCCESS,
  'void bd_mod_init(struct dev_ops *ops)': (k, ops) => give(k, ops, true),
  'void bd_mod_fini(struct dev_ops *ops)': takeBack,
  'void audio_init_ops(struct dev_ops *ops, const char *name)': (k, ops) => {
    k.write('dev_ops.devo_cb_ops', ops, k.state(ownOps).cb);
  },
  'void audio_fini_ops(struct dev_ops *ops)': (k, ops) => k.write('dev_ops.devo_cb_ops', ops, 0),
});
