/** What a driver's devmap(9E) calls, and the memory that it lets processes have. */
import { allocateUserMemory, freeUserMemory, setUpRegisters, setUpUserMemory } from '../mappings.ts';
import { kernelFunctions } from './define.ts';

export const devmap = kernelFunctions({
  'void *ddi_umem_alloc(size_t size, int flags, void **cookie)': (k, size, _flags, cookie) =>
    allocateUserMemory(k, size, cookie),
  'void ddi_umem_free(void *cookie)': (k, cookie) => freeUserMemory(k, cookie),
  'int devmap_umem_setup(void *handle, dev_info_t *dip, void *callbacks, void *cookie, longlong_t offset, size_t length, uint_t protection, uint_t flags, struct ddi_device_acc_attr *attributes)':
    (k, handle, _dip, _callbacks, cookie, offset, length) =>
      setUpUserMemory(k, handle, cookie, Number(offset), length),
  'int devmap_devmem_setup(void *handle, dev_info_t *dip, void *callbacks, uint_t number, longlong_t offset, size_t length, uint_t protection, uint_t flags, struct ddi_device_acc_attr *attributes)':
    (k, handle, dip, _callbacks, number, offset, length) =>
      setUpRegisters(k, handle, dip, number, { offset: Number(offset), bytes: length }),
});
