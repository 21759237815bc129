/** What drivers ask of the device nodes they serve, and the driver of the root bus itself. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { deviceName } from '../devices.ts';
import { completeRequest, locationOf, Major } from '../irp.ts';
import { type DeviceNode, nodeNamed, nodeOf, Pnp } from '../pnp.ts';
import { type RegistryKey, regBytes } from '../registry.ts';
import { keyObject } from '../regops.ts';
import { Status } from '../status.ts';
import { encodeUtf16, setCounted, unicodeString } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { guidText } from './rtl.ts';

const TAG = 0x20706e50;

/** The root bus answers for its physical devices: everything that has no hardware to it goes well. */
function* rootDispatch(k: Windows, device: Address, irp: Address): Steps<number> {
  const stack = locationOf(k, irp);
  const major = k.read('IO_STACK_LOCATION.MajorFunction', stack);
  const minor = k.read('IO_STACK_LOCATION.MinorFunction', stack);
  // What a bus has nothing to say to keeps the status it came with.
  let status = k.read('IRP.IoStatus.Status', irp);
  if (major === Major.PNP) status = rootPnp(k, device, irp, stack, minor) ?? status;
  else if (major === Major.POWER) status = Status.SUCCESS;
  else if (major !== Major.SYSTEM_CONTROL) status = Status.INVALID_DEVICE_REQUEST;
  k.write('IRP.IoStatus.Status', irp, status);
  yield* completeRequest(k, irp);
  return status;
}

const DONE: ReadonlySet<number> = new Set([
  Pnp.START,
  Pnp.QUERY_REMOVE,
  Pnp.REMOVE,
  Pnp.CANCEL_REMOVE,
  Pnp.STOP,
  Pnp.QUERY_STOP,
  Pnp.CANCEL_STOP,
  Pnp.QUERY_CAPABILITIES,
  Pnp.SURPRISE_REMOVAL,
]);
/** DEVICE_RELATION_TYPE. */
const TARGET_RELATION = 4;

function rootPnp(
  k: Windows,
  device: Address,
  irp: Address,
  stack: Address,
  minor: number,
): number | undefined {
  if (DONE.has(minor)) return Status.SUCCESS;
  const argument = k.read('IO_STACK_LOCATION.Parameters.Others.Argument1', stack) & 0xff;
  if (minor === Pnp.QUERY_RELATIONS && argument === TARGET_RELATION) {
    const list = k.pool.allocate('paged', 2 * k.word, TAG, 0, true);
    const object = k.objects.at(device);
    if (list === 0 || object === undefined) return Status.INSUFFICIENT_RESOURCES;
    k.memory.set32(list, 1);
    k.memory.setPtr(list + k.word, device);
    k.objects.reference(object);
    k.write('IRP.IoStatus.Information', irp, list);
    return Status.SUCCESS;
  }
  const id = minor === Pnp.QUERY_ID ? idOf(nodeOf(k, device), argument) : undefined;
  if (id === undefined) return undefined;
  const bytes = encodeUtf16(id);
  const at = k.pool.allocate('paged', bytes.length, TAG, 0, true);
  if (at === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.write(at, bytes);
  k.write('IRP.IoStatus.Information', irp, at);
  return Status.SUCCESS;
}

/** BUS_QUERY_ID_TYPE: device, hardware (a list), compatible, instance. */
function idOf(node: DeviceNode | undefined, kind: number): string | undefined {
  const cut = node?.instance.lastIndexOf('\\') ?? 0;
  if (node === undefined) return undefined;
  if (kind === 0) return `${node.instance.slice(0, cut)}\0`;
  if (kind === 1) return `${node.key.multi('HardwareID').join('\0')}\0\0`;
  return kind === 3 ? `${node.instance.slice(cut + 1)}\0` : undefined;
}

/** DEVICE_REGISTRY_PROPERTY: values of the node's key by number. */
const PROPERTIES: Readonly<Record<number, string>> = {
  0: 'DeviceDesc',
  1: 'HardwareID',
  2: 'CompatibleIDs',
  5: 'Class',
  6: 'ClassGUID',
  7: 'Driver',
  8: 'Mfg',
  9: 'FriendlyName',
  10: 'LocationInformation',
};
const PDO_NAME = 11;
const ENUMERATOR = 15;
const INSTALL_STATE = 18;

function property(k: Windows, node: DeviceNode, kind: number): Uint8Array | undefined {
  if (kind === PDO_NAME) return regBytes(`${deviceName(k, node.pdo) ?? ''}\0`);
  if (kind === ENUMERATOR) return regBytes('ROOT\0');
  // InstallStateInstalled.
  if (kind === INSTALL_STATE) return new Uint8Array(4);
  const name = PROPERTIES[kind];
  return name === undefined ? undefined : node.key.value(name)?.data;
}

function getProperty(k: Windows, [pdo, kind, room, out, needed]: readonly number[]): number {
  const node = nodeOf(k, pdo);
  if (node === undefined) return Status.INVALID_DEVICE_REQUEST;
  const data = property(k, node, kind);
  k.memory.set32(needed, data?.length ?? 0);
  if (data === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  if (room < data.length) return Status.BUFFER_TOO_SMALL;
  k.memory.write(out, data);
  return Status.SUCCESS;
}

const CLASSES = 'DeviceClasses';

/** IoRegisterDeviceInterface: a name made of the instance and the class, which is enabled by IoSetDeviceInterfaceState. */
function registerInterface(k: Windows, [pdo, guid, reference, out]: readonly number[]): number {
  const node = nodeOf(k, pdo);
  if (node === undefined) return Status.INVALID_DEVICE_REQUEST;
  const tail = reference === 0 ? '' : `\\${unicodeString(k, reference)}`;
  const group = guidText(k, guid).toLowerCase();
  const link = `\\??\\${node.instance.replaceAll('\\', '#')}#${group}${tail}`;
  const key = k.registry.control
    .create(CLASSES)
    .create(group)
    .create(`##?#${link.slice(4).replaceAll('\\', '#')}`);
  key.setText('DeviceInstance', node.instance);
  key.create(tail === '' ? '#' : `#${tail}`).setText('SymbolicLink', link);
  const bytes = encodeUtf16(`${link}\0`);
  const at = k.pool.allocate('paged', bytes.length, TAG, callerOf(k));
  if (at === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.write(at, bytes);
  setCounted(k, out, bytes.length - 2, bytes.length, at);
  return Status.SUCCESS;
}

/** The key that an interface's name was registered under. */
function interfaceKey(k: Windows, link: string): RegistryKey | undefined {
  const group = /#(\{[0-9a-f-]{36}\})/i.exec(link)?.[1];
  const plain = link.slice(4).replaceAll('\\', '#');
  return group === undefined
    ? undefined
    : k.registry.control.child(CLASSES)?.child(group)?.child(`##?#${plain}`);
}

function* setInterface(k: Windows, link: string, enable: boolean): Steps<number> {
  const key = interfaceKey(k, link);
  const node = key?.text('DeviceInstance');
  if (key === undefined || node === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  const there = k.objects.linkAt(link);
  if (enable === (there !== undefined))
    return enable ? Status.OBJECT_NAME_COLLISION : Status.OBJECT_NAME_NOT_FOUND;
  key.setDword('Linked', enable ? 1 : 0);
  if (there !== undefined) {
    yield* k.objects.dereference(there);
    return Status.SUCCESS;
  }
  const pdo = nodeNamed(k, node)?.pdo;
  const target = pdo === undefined ? undefined : deviceName(k, pdo);
  return target === undefined ? Status.OBJECT_NAME_NOT_FOUND : k.objects.addLink(link, target);
}

/** PLUGPLAY_REGKEY_DEVICE 1: Device Parameters of the node; _DRIVER 2: the driver's key of its class. */
function openKey(k: Windows, pdo: Address, kind: number, out: Address): number {
  const node = nodeOf(k, pdo);
  if (node === undefined) return Status.INVALID_DEVICE_REQUEST;
  const driver = node.key.text('Driver');
  if ((kind & 3) === 2 && driver === undefined) return Status.OBJECT_NAME_NOT_FOUND;
  const key =
    (kind & 3) === 2
      ? k.registry.create(`\\Registry\\Machine\\System\\CurrentControlSet\\Control\\Class\\${driver}`)
      : node.key.create('Device Parameters');
  k.memory.setPtr(out, k.objects.open(keyObject(k, key)));
  return Status.SUCCESS;
}

export const pnpFunctions = kernelFunctions({
  'NTSTATUS FxRootDispatch(PVOID device, PVOID irp)': (k, device, irp) => rootDispatch(k, device, irp),
  'NTSTATUS IoGetDeviceProperty(PVOID device, ULONG property, ULONG length, PVOID buffer, ULONG *needed)': (
    k,
    ...args
  ) => getProperty(k, args),
  'NTSTATUS IoRegisterDeviceInterface(PVOID device, PVOID guid, PVOID reference, PVOID link)': (k, ...args) =>
    registerInterface(k, args),
  'NTSTATUS IoSetDeviceInterfaceState(PVOID link, BOOLEAN enable)': (k, link, enable) =>
    setInterface(k, unicodeString(k, link), enable !== 0),
  'NTSTATUS IoOpenDeviceRegistryKey(PVOID device, ULONG type, ACCESS_MASK access, HANDLE *handle)': (
    k,
    pdo,
    kind,
    _access,
    out,
  ) => openKey(k, pdo, kind, out),
});
