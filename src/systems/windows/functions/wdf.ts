/** The driver framework (KMDF): drivers, devices, objects. The first argument of each is the driver's globals. */
import type { Address } from '../../../memory/space.ts';
import { DeviceFlag, setFlags } from '../devices.ts';
import { Status } from '../status.ts';
import { unicodeString } from '../strings.ts';
import { signal } from '../wait.ts';
import {
  addDevice,
  bind,
  createDriver,
  createWdfDevice,
  device,
  driverOfGlobals,
  freeInit,
  initOf,
  newInit,
  parametersPath,
  unbind,
  unload,
  wdfDriverOf,
} from '../wdf/driver.ts';
import { canceled, deviceOf, dispatch, type WdfDriver, type WdfFile } from '../wdf/io.ts';
import {
  allocateContext,
  contextOf,
  create,
  dereference,
  find,
  need,
  ofContext,
  remove,
} from '../wdf/objects.ts';
import type { Windows } from '../windows.ts';
import { kernelFunctions } from './define.ts';
import { openWdfKey } from './wdfmisc.ts';

/** Attributes outlive the call that gives them: a copy belongs to the init. */
function keepAttributes(k: Windows, at: Address): Address {
  if (at === 0) return 0;
  const bytes = k.sizeof('WDF_OBJECT_ATTRIBUTES');
  const copy = k.pool.allocate('nonpaged', bytes, 0x46787246, 0, true);
  if (copy !== 0) k.memory.copy(copy, at, bytes);
  return copy;
}

function newControlInit(k: Windows, globals: Address, handle: Address): Address {
  const driver = need<WdfDriver>(k, handle, 'driver');
  return driver === driverOfGlobals(k, globals) ? (newInit(k, driver, true, 0)?.handle ?? 0) : 0;
}

export const wdfFunctions = kernelFunctions({
  'NTSTATUS WdfVersionBind(PVOID driver, PVOID path, PVOID info, PVOID *globals)': (
    k,
    driver,
    _path,
    info,
    out,
  ) => bind(k, driver, info, out),
  'NTSTATUS WdfVersionUnbind(PVOID path, PVOID info, PVOID globals)': (k, _path, _info, globals) =>
    unbind(k, globals),
  /** The framework's own entry points in a driver object. */
  'NTSTATUS FxDispatch(PVOID device, PVOID irp)': (k, wdm, irp) => dispatch(k, wdm, irp),
  'void FxCancel(PVOID device, PVOID irp)': (k, _device, irp) => canceled(k, irp),
  'void FxUnload(PVOID driver)': (k, driver) => unload(k, driver),
  'NTSTATUS FxAddDevice(PVOID driver, PVOID pdo)': (k, driver, pdo) => addDevice(k, driver, pdo),

  'NTSTATUS WdfDriverCreate(PVOID g, PVOID driver, PVOID path, PVOID attributes, PVOID config, PVOID *out)': (
    k,
    globals,
    driver,
    path,
    attributes,
    config,
    out,
  ) => createDriver(k, { globals, driver, path, attributes, config, out }),
  'PVOID WdfDriverWdmGetDriverObject(PVOID g, PVOID driver)': (k, _g, driver) =>
    need<WdfDriver>(k, driver, 'driver').data.object,
  'PVOID WdfWdmDriverGetWdfDriverHandle(PVOID g, PVOID driver)': (k, _g, driver) =>
    wdfDriverOf(k, driver)?.handle ?? 0,
  'PVOID WdfDriverGetRegistryPath(PVOID g, PVOID driver)': (k, _g, driver) => {
    const object = k.read('DRIVER_OBJECT.DriverExtension', need<WdfDriver>(k, driver, 'driver').data.object);
    return k.read('UNICODE_STRING.Buffer', object + k.offset('DRIVER_EXTENSION.ServiceKeyName'));
  },
  'NTSTATUS WdfDriverOpenParametersRegistryKey(PVOID g, PVOID driver, ULONG access, PVOID attributes, PVOID *key)':
    (k, _g, driver, _access, attributes, out) => {
      const object = need<WdfDriver>(k, driver, 'driver');
      return openWdfKey(k, object, k.registry.create(parametersPath(object.data)), attributes, out);
    },
  'BOOLEAN WdfDriverIsVersionAvailable(PVOID g, PVOID driver, PVOID version)': (k, _g, _driver, version) =>
    k.memory.u32(version + 4) === 1 && k.memory.u32(version + 8) <= 33,
  'NTSTATUS WdfDriverRegisterTraceInfo(PVOID driver, PVOID routine, PVOID context)': () => Status.SUCCESS,
  'void WdfVerifierDbgBreakPoint(PVOID g)': (k, _g) => k.log.write(6, 'KMDF: break point'),

  // -- what is said of a device before it is made
  'PVOID WdfControlDeviceInitAllocate(PVOID g, PVOID driver, PVOID sddl)': (k, g, driver) =>
    newControlInit(k, g, driver),
  'void WdfControlDeviceInitSetShutdownNotification(PVOID g, PVOID init, PVOID routine, UCHAR flags)': () =>
    undefined,
  /** WDF_PNPPOWER_EVENT_CALLBACKS: its size, then the routines. */
  'void WdfDeviceInitSetPnpPowerEventCallbacks(PVOID g, PVOID init, PVOID callbacks)': (
    k,
    _g,
    at,
    callbacks,
  ) => {
    const init = initOf(k, at);
    const count = Math.min(Math.floor(k.memory.u32(callbacks) / k.word), 32);
    if (init !== undefined)
      init.pnpEvents = Array.from({ length: count }, (_, i) =>
        i === 0 ? 0 : k.memory.ptr(callbacks + i * k.word),
      );
  },
  'NTSTATUS FxBelowDone(PVOID device, PVOID irp, PVOID event)': (k, _device, _irp, event) => {
    signal(k, event, 1);
    return Status.MORE_PROCESSING_REQUIRED;
  },
  'ULONG WdfCmResourceListGetCount(PVOID g, PVOID list)': (k, _g, list) => {
    need(k, list, 'resources');
    return 0;
  },
  'PVOID WdfCmResourceListGetDescriptor(PVOID g, PVOID list, ULONG index)': (k, _g, list) => {
    need(k, list, 'resources');
    return 0;
  },
  'void WdfDeviceInitFree(PVOID g, PVOID init)': (k, _g, at) => {
    const init = initOf(k, at);
    if (init !== undefined) freeInit(k, init);
  },
  'NTSTATUS WdfDeviceInitAssignName(PVOID g, PVOID init, PVOID name)': (k, _g, at, name) => {
    const init = initOf(k, at);
    if (init === undefined) return Status.INVALID_PARAMETER;
    init.name = name === 0 ? undefined : unicodeString(k, name);
    return Status.SUCCESS;
  },
  'NTSTATUS WdfDeviceInitAssignSDDLString(PVOID g, PVOID init, PVOID sddl)': () => Status.SUCCESS,
  'void WdfDeviceInitSetDeviceClass(PVOID g, PVOID init, PVOID guid)': () => undefined,
  'void WdfDeviceInitSetIoType(PVOID g, PVOID init, ULONG type)': (k, _g, at, type) => {
    const init = initOf(k, at);
    if (init !== undefined) init.ioType = type;
  },
  'void WdfDeviceInitSetIoTypeEx(PVOID g, PVOID init, PVOID config)': (k, _g, at, config) => {
    const init = initOf(k, at);
    // WDF_IO_TYPE_CONFIG: size, then how read and write buffers are reached.
    if (init !== undefined) init.ioType = k.memory.u32(config + 4);
  },
  'void WdfDeviceInitSetExclusive(PVOID g, PVOID init, BOOLEAN exclusive)': (k, _g, at, exclusive) => {
    const init = initOf(k, at);
    if (init !== undefined) init.exclusive = exclusive !== 0;
  },
  'void WdfDeviceInitSetDeviceType(PVOID g, PVOID init, ULONG type)': (k, _g, at, type) => {
    const init = initOf(k, at);
    if (init !== undefined) init.type = type;
  },
  'void WdfDeviceInitSetCharacteristics(PVOID g, PVOID init, ULONG characteristics, BOOLEAN or)': (
    k,
    _g,
    at,
    characteristics,
    or,
  ) => {
    const init = initOf(k, at);
    if (init !== undefined)
      init.characteristics = or ? init.characteristics | characteristics : characteristics;
  },
  'void WdfDeviceInitSetFileObjectConfig(PVOID g, PVOID init, PVOID config, PVOID attributes)': (
    k,
    _g,
    at,
    config,
    attributes,
  ) => {
    const init = initOf(k, at);
    if (init === undefined) return;
    const get = (field: string) => k.read(`WDF_FILEOBJECT_CONFIG.${field}`, config);
    init.file = {
      create: get('EvtDeviceFileCreate'),
      close: get('EvtFileClose'),
      cleanup: get('EvtFileCleanup'),
    };
    init.fileAttributes = keepAttributes(k, attributes);
  },
  'void WdfDeviceInitSetRequestAttributes(PVOID g, PVOID init, PVOID attributes)': (
    k,
    _g,
    at,
    attributes,
  ) => {
    const init = initOf(k, at);
    if (init !== undefined) init.requestAttributes = keepAttributes(k, attributes);
  },
  'void WdfFdoInitSetFilter(PVOID g, PVOID init)': (k, _g, at) => {
    const init = initOf(k, at);
    if (init !== undefined) init.filter = true;
  },
  'PVOID WdfFdoInitWdmGetPhysicalDevice(PVOID g, PVOID init)': (k, _g, at) => initOf(k, at)?.pdo ?? 0,

  // -- devices
  'NTSTATUS WdfDeviceCreate(PVOID g, PVOID *init, PVOID attributes, PVOID *device)': (
    k,
    _g,
    init,
    attributes,
    out,
  ) => createWdfDevice(k, init, attributes, out),
  'void WdfControlFinishInitializing(PVOID g, PVOID device)': (k, _g, handle) =>
    setFlags(k, device(k, handle).data.wdm, 0, DeviceFlag.DEVICE_INITIALIZING),
  'NTSTATUS WdfDeviceCreateSymbolicLink(PVOID g, PVOID device, PVOID link)': (k, _g, handle, link) => {
    const { data } = device(k, handle);
    const target = k.objects.at(data.wdm)?.name;
    if (target === undefined) return Status.INVALID_DEVICE_REQUEST;
    const path = unicodeString(k, link);
    const status = k.objects.addLink(path, target);
    if (status >= 0) data.links.push(path);
    return status;
  },
  'PVOID WdfDeviceWdmGetDeviceObject(PVOID g, PVOID device)': (k, _g, handle) => device(k, handle).data.wdm,
  'PVOID WdfDeviceWdmGetAttachedDevice(PVOID g, PVOID device)': (k, _g, handle) =>
    device(k, handle).data.attached,
  'PVOID WdfDeviceWdmGetPhysicalDevice(PVOID g, PVOID device)': (k, _g, handle) =>
    device(k, handle).data.init.pdo,
  'PVOID WdfWdmDeviceGetWdfDeviceHandle(PVOID g, PVOID wdm)': (k, _g, wdm) => deviceOf(k, wdm)?.handle ?? 0,
  'PVOID WdfDeviceGetDriver(PVOID g, PVOID device)': (k, _g, handle) => device(k, handle).data.driver.handle,
  'PVOID WdfDeviceGetDefaultQueue(PVOID g, PVOID device)': (k, _g, handle) =>
    device(k, handle).data.defaultQueue?.handle ?? 0,
  'PVOID WdfDeviceGetFileObject(PVOID g, PVOID device, PVOID file)': (k, _g, handle, file) =>
    device(k, handle).data.files.get(file)?.handle ?? 0,
  'ULONG WdfDeviceGetCharacteristics(PVOID g, PVOID device)': (k, _g, handle) =>
    k.read('DEVICE_OBJECT.Characteristics', device(k, handle).data.wdm),
  'void WdfDeviceSetCharacteristics(PVOID g, PVOID device, ULONG characteristics)': (k, _g, handle, value) =>
    k.write('DEVICE_OBJECT.Characteristics', device(k, handle).data.wdm, value),
  'ULONG WdfDeviceGetAlignmentRequirement(PVOID g, PVOID device)': (k, _g, handle) =>
    k.read('DEVICE_OBJECT.AlignmentRequirement', device(k, handle).data.wdm),
  'void WdfDeviceSetAlignmentRequirement(PVOID g, PVOID device, ULONG value)': (k, _g, handle, value) =>
    k.write('DEVICE_OBJECT.AlignmentRequirement', device(k, handle).data.wdm, value),
  'PVOID WdfFileObjectWdmGetFileObject(PVOID g, PVOID file)': (k, _g, file) =>
    need<WdfFile>(k, file, 'file').data.file,
  'PVOID WdfFileObjectGetDevice(PVOID g, PVOID file)': (k, _g, file) =>
    need<WdfFile>(k, file, 'file').data.device.handle,
  'PVOID WdfFileObjectGetFileName(PVOID g, PVOID file)': (k, _g, file) =>
    need<WdfFile>(k, file, 'file').data.file + k.offset('FILE_OBJECT.FileName'),

  // -- objects
  'NTSTATUS WdfObjectCreate(PVOID g, PVOID attributes, PVOID *object)': (k, g, attributes, out) => {
    const object = create(k, 'object', undefined, attributes, driverOfGlobals(k, g));
    if (typeof object === 'number') return object;
    k.memory.setPtr(out, object.handle);
    return Status.SUCCESS;
  },
  'void WdfObjectDelete(PVOID g, PVOID object)': function* (k, _g, handle) {
    const object = find(k, handle);
    if (object !== undefined) yield* remove(k, object);
  },
  'PVOID FASTCALL WdfObjectGetTypedContextWorker(PVOID g, PVOID object, PVOID type)': (
    k,
    _g,
    handle,
    type,
  ) => {
    const object = find(k, handle);
    return object === undefined ? 0 : contextOf(k, object, type);
  },
  'NTSTATUS WdfObjectAllocateContext(PVOID g, PVOID object, PVOID attributes, PVOID *context)': (
    k,
    _g,
    handle,
    attributes,
    out,
  ) => {
    const object = find(k, handle);
    return object === undefined ? Status.INVALID_HANDLE : allocateContext(k, object, attributes, out);
  },
  'PVOID WdfObjectContextGetObject(PVOID g, PVOID context)': (k, _g, context) =>
    ofContext(k, context)?.handle ?? 0,
  'void WdfObjectReferenceActual(PVOID g, PVOID object, PVOID tag, LONG line, PVOID file)': (
    k,
    _g,
    handle,
  ) => {
    const object = find(k, handle);
    if (object !== undefined) object.references++;
  },
  'void WdfObjectDereferenceActual(PVOID g, PVOID object, PVOID tag, LONG line, PVOID file)': function* (
    k,
    _g,
    handle,
  ) {
    const object = find(k, handle);
    if (object !== undefined) yield* dereference(k, object);
  },
});
