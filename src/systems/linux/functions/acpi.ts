/**
 * ACPI on a machine whose firmware says nothing: no tables, no devices in the namespace, and no byte code that ever ran.
 * The status words are those of ACPICA (include/acpi/acexcep.h).
 */
import { Errno } from '../errno.ts';
import { register, unregister } from '../registered.ts';
import { kernelFunctions } from './define.ts';
import { registrationPairs } from './registration.ts';

const AE_OK = 0;
const AE_NOT_FOUND = 5;
const AE_NOT_EXIST = 6;
const AE_ALREADY_EXISTS = 7;
const AE_BAD_PARAMETER = 0x1001;
/** ACPI_TYPE_LOCAL_MAX */
const LAST_TYPE = 0x1e;

const namespace = kernelFunctions({
  'acpi_status acpi_get_table(char *signature, u32 instance, struct acpi_table_header **out_table)': () =>
    AE_NOT_FOUND,
  'acpi_status acpi_get_devices(const char *HID, void *user_function, void *context, void **return_value)': (
    _k,
    _id,
    visit,
  ) => (visit === 0 ? AE_BAD_PARAMETER : AE_OK),
  'acpi_status acpi_walk_namespace(u32 type, void *start_object, u32 max_depth, void *descending_callback, void *ascending_callback, void *context, void **return_value)':
    (_k, type, _start, depth, down, up) =>
      type > LAST_TYPE || depth === 0 || (down === 0 && up === 0) ? AE_BAD_PARAMETER : AE_OK,
  'bool acpi_dev_found(const char *hid)': () => 0,
  'bool acpi_dev_present(const char *hid, const char *uid, s64 hrv)': () => 0,
  'struct acpi_device *acpi_dev_get_first_match_dev(const char *hid, const char *uid, s64 hrv)': () => 0,
  // No byte code has asked for the name of a system, so none was offered.
  'bool acpi_osi_is_win8(void)': () => 0,
  'bool acpi_quirk_skip_acpi_ac_and_battery(void)': () => 0,
  // Since 6.5: on x86 the error records of platforms on a list; the list goes by ACPI tables.
  'struct list_head *ghes_get_devices(void)': () => 0,
});

const SPACE = 'acpi address space handler';
/** ACPI_ROOT_OBJECT: the only node that the namespace of such a machine has. */
const ROOT = -1;

const spaces = kernelFunctions({
  'acpi_status acpi_install_address_space_handler(void *device, acpi_adr_space_type space_id, void *handler, void *setup, void *context)':
    (k, node, space, handler) => {
      if (node !== ROOT) return AE_BAD_PARAMETER;
      return register(k, SPACE, space, `${space} (${k.describe(handler)})`, { twice: AE_ALREADY_EXISTS });
    },
  'acpi_status acpi_remove_address_space_handler(void *device, acpi_adr_space_type space_id, void *handler)':
    (k, node, space) => (node === ROOT && unregister(k, SPACE, space) ? AE_OK : AE_NOT_EXIST),
});

const BUS_TYPE = 'acpi bus type';

const busTypes = kernelFunctions({
  'int register_acpi_bus_type(struct acpi_bus_type *type)': (k, type) => {
    const complete =
      type !== 0 &&
      k.read('acpi_bus_type.match', type) !== 0 &&
      k.read('acpi_bus_type.find_companion', type) !== 0;
    if (!complete) return -Errno.ENODEV;
    const name = k.readString('acpi_bus_type.name', type);
    register(k, BUS_TYPE, type, name);
    k.printk(6, `ACPI: bus type ${name} registered`);
    return 0;
  },
  'int unregister_acpi_bus_type(struct acpi_bus_type *type)': (k, type) => {
    if (type === 0) return -Errno.ENODEV;
    unregister(k, BUS_TYPE, type);
    k.printk(6, `ACPI: bus type ${k.readString('acpi_bus_type.name', type)} unregistered`);
    return 0;
  },
});

const registrations = registrationPairs([
  {
    what: 'acpi notifier',
    add: 'int register_acpi_notifier(struct notifier_block *nb)',
    remove: 'int unregister_acpi_notifier(struct notifier_block *nb)',
    twice: -Errno.EEXIST,
    absent: -Errno.ENOENT,
  },
]);

export const acpiFunctions = new Map([...namespace, ...spaces, ...busTypes, ...registrations]);
