/**
 * Fault management (ddi_fm_init(9F)) on a machine whose buses have none: a driver asks for abilities, and is told that it has
 * none of them. Then the functions are those of the real kernel for such a driver: they do nothing, and errors are not
 * looked for.
 */
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

const DDI_FM_OK = 0;
const NOT_CAPABLE = 0;
const SUCCESS = 0;

/** ddi_fm_error_t begins with version and status (sys/ddifm.h). */
function noError(k: Solaris, at: Address, version: number): void {
  k.memory.set32(at, version);
  k.memory.set32(at + 4, DDI_FM_OK);
}

/** The format of an error's number, in its low bits (sys/fm/protocol.h). */
const ENA_FORMAT = 1;

export const faultManagement = kernelFunctions({
  'void ddi_fm_init(dev_info_t *dip, int *abilities, void *cookie)': (k, _dip, abilities) =>
    k.memory.set32(abilities, NOT_CAPABLE),
  'void ddi_fm_fini(dev_info_t *dip)': () => undefined,
  'int ddi_fm_capable(dev_info_t *dip)': () => NOT_CAPABLE,
  'void ddi_fm_handler_register(dev_info_t *dip, void *handler, void *data)': () => undefined,
  'void ddi_fm_handler_unregister(dev_info_t *dip)': () => undefined,
  'void ddi_fm_acc_err_get(void *handle, void *error, int version)': (k, _handle, error, version) =>
    noError(k, error, version),
  'void ddi_fm_dma_err_get(void *handle, void *error, int version)': (k, _handle, error, version) =>
    noError(k, error, version),
  'void ddi_fm_acc_err_clear(void *handle, int version)': () => undefined,
  'void ddi_fm_dma_err_clear(void *handle, int version)': () => undefined,
  'void ddi_fm_service_impact(dev_info_t *dip, int impact)': () => undefined,
  'void ddi_fm_ereport_post(dev_info_t *dip, const char *error_class, uint64_t ena, int flags, ...)': () =>
    undefined,
  'uint64_t fm_ena_generate(uint64_t time, unsigned char format)': (k, time) => {
    const at = time === 0n ? BigInt(Math.floor(k.time.now())) : time;
    return BigInt.asUintN(64, (at << 16n) | BigInt(ENA_FORMAT));
  },
  'void pci_ereport_setup(dev_info_t *dip)': () => undefined,
  'void pci_ereport_teardown(dev_info_t *dip)': () => undefined,
  'void pci_ereport_post(dev_info_t *dip, void *error, void *status)': () => undefined,
  // Nobody listens to events of the system.
  'int ddi_log_sysevent(dev_info_t *dip, char *vendor, char *event_class, char *subclass, void *attributes, void *id, int flag)':
    () => SUCCESS,
});
