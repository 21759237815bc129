/** NtLoadDriver (IopLoadDriver, MmLoadSystemImage): from the service's key to a driver that has started. */
import { FormatError } from '../../bytes/errors.ts';
import type { PeImport, PeImportLibrary } from '../../formats/pe/imports.ts';
import { readImports } from '../../formats/pe/imports.ts';
import { DLL_CHARACTERISTICS } from '../../formats/pe/layout.ts';
import { type PeFile, readPe } from '../../formats/pe/read.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { tellImage } from './callbacks.ts';
import { DeviceFlag, devicesOf, setFlags } from './devices.ts';
import { dispatchTable, dispatchTo, MAJOR_FUNCTIONS } from './driver-object.ts';
import { isKernelExport, mayBeLaterExport } from './export-names.ts';
import { type DriverImage, ImageRefused } from './images.ts';
import { dereferenceImports, unloadLibrary } from './libraries.ts';
import { refusal, type SessionPolicy } from './policy.ts';
import { type RegistryKey, RegType, SERVICES } from './registry.ts';
import { reinitialise } from './reinitialise.ts';
import { atLeast } from './release.ts';
import { imageRules } from './rules/image.ts';
import { signingRules } from './rules/signing.ts';
import type { Verdict } from './rules/verdict.ts';
import { Status, statusText } from './status.ts';
import { encodeUtf16, setCounted } from './strings.ts';
import type { Windows } from './windows.ts';

const DRIVER_TYPE = 4;
/** DRIVER_OBJECT.Flags. */
export const DriverFlag = {
  UNLOAD_INVOKED: 1,
  LEGACY: 2,
  REINIT: 8,
  INITIALIZED: 0x10,
  BOOT_REINIT: 0x20,
} as const;
const TAG_DRIVER = 0x76697244;

export interface LoadResult {
  /** NTSTATUS. */
  readonly status: number;
  /** What the rules said, in order, of this image and of those loaded for it. */
  readonly verdicts: readonly Verdict[];
  /** In our words: why it failed. */
  readonly why?: string;
  readonly hint?: string;
  readonly rule?: string;
}

class Refused extends Error {
  readonly status: number;
  readonly rule: string;
  readonly hint: string | undefined;

  constructor(status: number, rule: string, why: string, hint?: string) {
    super(why);
    this.status = status;
    this.rule = rule;
    this.hint = hint;
  }
}

export function* loadDriver(k: Windows, policy: SessionPolicy, service: string): Steps<LoadResult> {
  const verdicts: Verdict[] = [];
  try {
    const status = yield* loadService(k, policy, service, verdicts);
    return { status, verdicts, ...startWords(status) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { status: error.status, verdicts, why: error.message, hint: error.hint, rule: error.rule };
  }
}

function startWords(status: number): Partial<LoadResult> {
  if (status >= 0) return {};
  return {
    why: `DriverEntry returned ${statusText(status)}: the driver did not want to start.`,
    hint: 'Its own messages in the log may say why; a device it needs may be missing.',
    rule: 'driver-entry',
  };
}

function* loadService(
  k: Windows,
  policy: SessionPolicy,
  service: string,
  verdicts: Verdict[],
): Steps<number> {
  const key = k.registry.services.child(service);
  if (key === undefined)
    throw new Refused(
      Status.OBJECT_NAME_NOT_FOUND,
      'service-key',
      `There is no key ${SERVICES}\\${service}.`,
    );
  const path = imagePath(key);
  if (k.drivers.named(path.slice(path.lastIndexOf('\\') + 1))?.path.toLowerCase() === path.toLowerCase())
    throw new Refused(Status.IMAGE_ALREADY_LOADED, 'image-loaded', `${path} is loaded already.`);
  const image = yield* loadImage(k, policy, path, verdicts);
  const driver = makeDriver(k, key, image);
  const status = yield* callEntry(k, key, image, driver);
  if (status < 0) {
    yield* undoStart(k, image, driver);
    return status;
  }
  started(k, image, driver);
  yield* reinitialise(k, driver);
  return status;
}

/** ImagePath as IopNormalizeImagePath makes it. */
export function imagePath(key: RegistryKey): string {
  const value = key.value('ImagePath');
  if (value !== undefined && value.type !== RegType.SZ && value.type !== RegType.EXPAND_SZ)
    throw new Refused(Status.ILL_FORMED_SERVICE_ENTRY, 'service-key', 'ImagePath is not a string.');
  const path = key.text('ImagePath') ?? '';
  if (path === '') return `\\SystemRoot\\System32\\drivers\\${key.name}.sys`;
  if (/^%systemroot%/i.test(path)) return path.replace(/^%systemroot%/i, '\\SystemRoot');
  return path.startsWith('\\') ? path : `\\SystemRoot\\${path}`;
}

/** MmLoadSystemImage: read, check, place, resolve the imports (which may load further images), protect. */
export function* loadImage(
  k: Windows,
  policy: SessionPolicy,
  path: string,
  verdicts: Verdict[],
): Steps<DriverImage> {
  const { pe, image } = placeImage(k, policy, path, verdicts);
  try {
    yield* resolveImports(k, policy, pe, image, verdicts);
    k.drivers.finish(image);
    yield* tellImage(k, image);
  } catch (error) {
    yield* dereferenceImports(k, image);
    k.drivers.remove(image);
    throw asRefusal(error);
  }
  return image;
}

function placeImage(
  k: Windows,
  policy: SessionPolicy,
  path: string,
  verdicts: Verdict[],
): { pe: PeFile; image: DriverImage } {
  const file = policy.file(path);
  if (file === undefined) {
    const folder = policy.folder?.(path) ?? true;
    const status = folder ? Status.OBJECT_NAME_NOT_FOUND : Status.OBJECT_PATH_NOT_FOUND;
    throw new Refused(status, 'image-file', `There is no ${folder ? 'file' : 'folder for'} ${path}.`);
  }
  try {
    const pe = readPe(file.bytes);
    const mine = [...imageRules(policy, pe), ...signingRules(policy, { pe, signature: file.signature })];
    verdicts.push(...mine);
    const refused = refusal(mine);
    if (refused !== undefined) throw new Refused(refused.status, refused.rule, refused.why, refused.hint);
    return { pe, image: k.drivers.place(pe, path) };
  } catch (error) {
    throw asRefusal(error);
  }
}

function asRefusal(error: unknown): unknown {
  if (error instanceof ImageRefused) return new Refused(error.status, 'image-placement', error.message);
  if (error instanceof FormatError)
    return new Refused(Status.INVALID_IMAGE_FORMAT, 'image-format', `The file is damaged: ${error.message}.`);
  return error;
}

// -- imports --------------------------------------------------------------------------------------------------

/** Libraries that are the kernel itself, under every name that release by release has had. */
const KERNEL = /^(ntoskrnl|ntkrnlpa|ntkrnlmp|hal|halacpi|kdcom|bootvid|ext-ms-|api-ms-)/i;
/** Code of user mode: a driver that imports it cannot be loaded. */
const USER_MODE = /^(ntdll|winsrv|advapi32|kernel32|user32|gdi32)\b/i;

export const isKernelName = (library: string): boolean => KERNEL.test(library);
export const isUserModeName = (library: string): boolean => USER_MODE.test(library);

function* resolveImports(
  k: Windows,
  policy: SessionPolicy,
  pe: PeFile,
  image: DriverImage,
  verdicts: Verdict[],
): Steps<void> {
  for (const library of readImports(pe)) {
    if (!library.hasLookupTable) continue;
    if (USER_MODE.test(library.library))
      throw new Refused(
        Status.PROCEDURE_NOT_FOUND,
        'import-user-mode',
        `The driver imports from ${library.library}, which only user mode has.`,
      );
    const exporter = isKernelLibrary(k, library.library)
      ? undefined
      : yield* exporterOf(k, policy, library, image, verdicts);
    for (const one of library.imports) {
      const address =
        exporter === undefined ? kernelImport(k, library.library, one) : imageImport(k, exporter, one);
      k.memory.setPtr(image.base + one.slot, address);
    }
  }
}

/** Libraries of the system that have no file here: their functions are ours, as those of the kernel. */
const SYSTEM_LIBRARIES: ReadonlySet<string> = new Set(
  `acpi ataport battc bdasup bthport ci classpnp clfs cng drmk dxapi dxg dxgkrnl fltmgr fwpkclnt hidclass hidparse ks ksecdd
  msgpioclx msrpc ndis netio parport pciidex portcls pshed rndismp rndismp6 rndismpk rndismpx scsiport sdbus sercx sercx2
  smclib spbcx storport stream tbs tdi ucx01000 udecx usbcamd usbcamd2 usbd usbport videoprt vmbkmcl watchdog wdfldr winhv
  wmilib wpprecorder 1394bus 61883`.split(/\s+/),
);

function isKernelLibrary(k: Windows, library: string): boolean {
  if (KERNEL.test(library)) return true;
  const name = library.toLowerCase().replace(/\.(sys|dll)$/, '');
  return SYSTEM_LIBRARIES.has(name) && k.drivers.named(library) === undefined;
}

/** After Windows 7. */
const isLater = (k: Windows): boolean => atLeast(k.release, 6, 2);

function kernelImport(k: Windows, library: string, { name, ordinal }: PeImport): Address {
  if (name === undefined)
    throw new Refused(
      Status.DRIVER_ORDINAL_NOT_FOUND,
      'import-ordinal',
      `${library} has no export with ordinal ${ordinal}.`,
    );
  // Libraries for x86 may export a name twice, once as the compiler decorates it: _Name@12.
  const known = k.exported(name) ?? k.exported(name.replace(/^_(\w+)@\d+$/, '$1'));
  if (known !== undefined) return known;
  if (KERNEL.test(library) && !isKernelExport(name) && !(isLater(k) && mayBeLaterExport(name))) {
    throw new Refused(
      Status.DRIVER_ENTRYPOINT_NOT_FOUND,
      'import-name',
      `No kernel exports ${name}, which the driver imports from ${library}.`,
      'The driver may be built for another release; MmGetSystemRoutineAddress asks at run time instead.',
    );
  }
  if (k.missingPolicy === 'refuse')
    throw new Refused(
      Status.DRIVER_ENTRYPOINT_NOT_FOUND,
      'import-missing',
      `The base kernel does not have ${name} (a limit of ours, not of the driver).`,
    );
  return k.gatesByName.missing(name);
}

function* exporterOf(
  k: Windows,
  policy: SessionPolicy,
  { library }: PeImportLibrary,
  importer: DriverImage,
  verdicts: Verdict[],
): Steps<DriverImage> {
  const loaded = k.drivers.named(library);
  if (loaded !== undefined) {
    k.drivers.addLoadCount(loaded, 1);
    importer.imports.push(loaded);
    return loaded;
  }
  const folder = importer.path.slice(0, importer.path.lastIndexOf('\\'));
  const places = [
    `${folder}\\${library}`,
    `${folder}\\drivers\\${library}`,
    `\\SystemRoot\\System32\\drivers\\${library}`,
  ];
  const path = places.find((place) => policy.file(place) !== undefined);
  if (path === undefined)
    throw new Refused(
      Status.OBJECT_NAME_NOT_FOUND,
      'import-library',
      `${library}, which the driver imports from, is neither loaded nor in ${folder}.`,
    );
  const image = yield* loadImage(k, policy, path, verdicts);
  image.library = true;
  importer.imports.push(image);
  yield* initialiseLibrary(k, image);
  return image;
}

/** DllInitialize gets the path of a key that need not exist. */
function* initialiseLibrary(k: Windows, image: DriverImage): Steps<void> {
  const at = exportAddress(image, 'DllInitialize');
  if (at === undefined) return;
  const path = `${SERVICES}\\${image.name.replace(/\.[^.]*$/, '')}`;
  const string = newString(k, path);
  const status = yield* k.callInt(at, string);
  k.pool.release(string);
  if (status >= 0) return;
  yield* unloadLibrary(k, image, false);
  throw new Refused(
    status,
    'dll-initialize',
    `DllInitialize of ${image.name} returned ${statusText(status)}.`,
  );
}

export function exportAddress(image: DriverImage, name: string): Address | undefined {
  const found = image.exports?.entries.find((entry) => entry.name === name && entry.forwarder === undefined);
  return found === undefined ? undefined : image.base + found.address;
}

function imageImport(k: Windows, exporter: DriverImage, { name, ordinal }: PeImport): Address {
  const { exports } = exporter;
  if (exports === undefined)
    throw new Refused(Status.DRIVER_ENTRYPOINT_NOT_FOUND, 'import-name', `${exporter.name} exports nothing.`);
  const found = exports.entries.find((entry) =>
    name === undefined ? entry.ordinal === ordinal : entry.name === name,
  );
  if (found === undefined)
    throw new Refused(
      name === undefined ? Status.DRIVER_ORDINAL_NOT_FOUND : Status.DRIVER_ENTRYPOINT_NOT_FOUND,
      name === undefined ? 'import-ordinal' : 'import-name',
      `${exporter.name} does not export ${name ?? `ordinal ${ordinal}`}.`,
    );
  return found.forwarder === undefined
    ? exporter.base + found.address
    : forwarded(k, exporter, found.forwarder);
}

/** `MODULE.Name`: the module must be loaded; forwarders to the kernel are the usual case. */
function forwarded(k: Windows, exporter: DriverImage, forwarder: string): Address {
  const dot = forwarder.lastIndexOf('.');
  const [library, name] = [forwarder.slice(0, dot), forwarder.slice(dot + 1)];
  const image = k.drivers.named(`${library}.sys`) ?? k.drivers.named(`${library}.dll`);
  const address =
    image === undefined ? (KERNEL.test(library) ? k.exported(name) : undefined) : exportAddress(image, name);
  if (address === undefined)
    throw new Refused(
      Status.DRIVER_ENTRYPOINT_NOT_FOUND,
      'import-forwarder',
      `${exporter.name} forwards to ${forwarder}, which is not there.`,
    );
  return address;
}

// -- the driver object ----------------------------------------------------------------------------------------

/** A UNICODE_STRING and its text in one block. */
function newString(k: Windows, text: string): Address {
  const bytes = encodeUtf16(`${text}\0`);
  const head = k.sizeof('UNICODE_STRING');
  const at = k.pool.allocate('nonpaged', head + bytes.length, TAG_DRIVER, 0, true);
  k.memory.write(at + head, bytes);
  setCounted(k, at, text.length * 2, text.length * 2 + 2, at + head);
  return at;
}

export function driverPath(key: RegistryKey): string {
  const named = key.text('ObjectName');
  if (named !== undefined && named !== '') return named;
  const type = key.dword('Type');
  return `${type === 2 || type === 8 ? '\\FileSystem' : '\\Driver'}\\${key.name}`;
}

function makeDriver(k: Windows, key: RegistryKey, image: DriverImage): Address {
  const name = driverPath(key);
  const size = k.sizeof('DRIVER_OBJECT');
  const object = k.objects.create('Driver', size + k.sizeof('DRIVER_EXTENSION') + 16, { extra: image });
  if (k.objects.insert(object, name) < 0)
    throw new Refused(Status.OBJECT_NAME_COLLISION, 'driver-name', `A driver object ${name} exists already.`);
  return fillDriver(k, object.address, key.name, name, image);
}

/** IopLoadDriver's and IopCreateDriver's part in common. */
export function fillDriver(
  k: Windows,
  driver: Address,
  service: string,
  name: string,
  image: DriverImage | undefined,
): Address {
  const extension = driver + k.sizeof('DRIVER_OBJECT');
  k.write('DRIVER_OBJECT.Type', driver, DRIVER_TYPE);
  k.write('DRIVER_OBJECT.Size', driver, k.sizeof('DRIVER_OBJECT'));
  const wdm = ((image?.pe.header.dllCharacteristics ?? 0) & DLL_CHARACTERISTICS.WDM_DRIVER) !== 0;
  k.write('DRIVER_OBJECT.Flags', driver, wdm ? 0 : DriverFlag.LEGACY);
  if (image !== undefined) {
    k.write('DRIVER_OBJECT.DriverStart', driver, image.base);
    k.write('DRIVER_OBJECT.DriverSize', driver, image.pe.header.sizeOfImage);
    k.write('DRIVER_OBJECT.DriverSection', driver, image.entry);
    k.write('DRIVER_OBJECT.DriverInit', driver, image.base + image.pe.header.entryPoint);
  }
  k.write('DRIVER_OBJECT.DriverExtension', driver, extension);
  k.write('DRIVER_EXTENSION.DriverObject', extension, driver);
  const named = (at: Address, text: string) => {
    const string = newString(k, text);
    k.memory.copy(at, string, k.sizeof('UNICODE_STRING'));
  };
  named(driver + k.offset('DRIVER_OBJECT.DriverName'), name);
  named(extension + k.offset('DRIVER_EXTENSION.ServiceKeyName'), service);
  k.write(
    'DRIVER_OBJECT.HardwareDatabase',
    driver,
    newString(k, '\\REGISTRY\\MACHINE\\HARDWARE\\DESCRIPTION\\SYSTEM'),
  );
  dispatchTo(k, driver, 'IopInvalidDeviceRequest');
  return driver;
}

function* callEntry(k: Windows, key: RegistryKey, image: DriverImage, driver: Address): Steps<number> {
  const path = newString(k, `\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\${key.name}`);
  if (image.pe.header.entryPoint === 0)
    throw new Refused(Status.INVALID_IMAGE_FORMAT, 'image-entry', `${image.name} has no entry point.`);
  const status = yield* k.callInt(image.base + image.pe.header.entryPoint, driver, path);
  k.pool.release(path);
  return status;
}

/** DriverEntry failed: what it made is its own to undo; the object and the image go. DriverUnload is not called. */
function* undoStart(k: Windows, image: DriverImage, driver: Address): Steps<void> {
  yield* forgetDriver(k, driver);
  yield* dereferenceImports(k, image);
  k.drivers.remove(image);
}

export function* forgetDriver(k: Windows, driver: Address): Steps<void> {
  const object = k.objects.at(driver);
  if (object === undefined) return;
  k.objects.unname(object);
  const extension = k.read('DRIVER_OBJECT.DriverExtension', driver);
  for (const at of [
    driver + k.offset('DRIVER_OBJECT.DriverName'),
    extension + k.offset('DRIVER_EXTENSION.ServiceKeyName'),
  ]) {
    k.pool.release(k.read('UNICODE_STRING.Buffer', at) - k.sizeof('UNICODE_STRING'));
  }
  k.pool.release(k.read('DRIVER_OBJECT.HardwareDatabase', driver));
  yield* k.objects.dereference(object);
}

function started(k: Windows, image: DriverImage, driver: Address): void {
  k.drivers.freeInit(image);
  for (const device of devicesOf(k, driver)) setFlags(k, device, 0, DeviceFlag.DEVICE_INITIALIZING);
  const table = dispatchTable(k, driver);
  const invalid = k.exported('IopInvalidDeviceRequest') ?? 0;
  for (let i = 0; i < MAJOR_FUNCTIONS; i++) {
    if (k.memory.ptr(table + i * k.word) === 0) k.memory.setPtr(table + i * k.word, invalid);
  }
}

/** The driver object of a service, while it is loaded. */
export function driverOf(k: Windows, service: RegistryKey): Address | undefined {
  const found = k.objects.lookUp(driverPath(service));
  return found?.rest === '' && found.object.type === 'Driver' ? found.object.address : undefined;
}
