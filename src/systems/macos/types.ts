/**
 * The kernel structures that kexts and the base kernel share, as declarations of our own: field names and order are those
 * of the published headers (xnu osfmk/mach/kmod.h, bsd/sys/{conf,sysctl,uio_internal,kern_control}.h).
 */
import { Declarations } from '../../ctypes/declarations.ts';
import { LP64 } from '../../ctypes/model.ts';
import type { Prototype } from '../../ctypes/prototype.ts';
import { TypeTable } from '../../ctypes/table.ts';

const SCALARS = `
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t; typedef unsigned long long uint64_t;
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long long int64_t;
typedef unsigned char UInt8; typedef unsigned short UInt16; typedef unsigned int UInt32; typedef unsigned long long UInt64;
typedef signed char SInt8; typedef short SInt16; typedef int SInt32; typedef long long SInt64;
typedef unsigned long size_t; typedef long ssize_t; typedef unsigned long uintptr_t; typedef long intptr_t;
typedef unsigned long vm_size_t; typedef unsigned long vm_offset_t; typedef unsigned long vm_address_t;
typedef unsigned long IOByteCount; typedef unsigned long user_addr_t; typedef unsigned long user_size_t; typedef long user_ssize_t;
typedef long off_t; typedef int pid_t; typedef unsigned int uid_t; typedef unsigned int gid_t; typedef int dev_t;
typedef int kern_return_t; typedef int errno_t; typedef int IOReturn; typedef int boolean_t;
typedef unsigned int clock_res_t; typedef int wait_result_t; typedef int wait_interrupt_t; typedef unsigned int OSKextLoadTag;
typedef unsigned long long AbsoluteTime; 
typedef unsigned int u_int; typedef unsigned long u_long; typedef unsigned int u_int32_t; typedef char *caddr_t;
typedef void *va_list; typedef void *lck_grp_t; typedef void *lck_mtx_t;
`;

const STRUCTS = `
#pragma pack(push, 4)
struct kmod_reference { struct kmod_reference *next; struct kmod_info *info; };
struct kmod_info { struct kmod_info *next; int info_version; uint32_t id; char name[64]; char version[64]; int reference_count;
  struct kmod_reference *reference_list; unsigned long address; unsigned long size; unsigned long hdr_size; void *start; void *stop; };
#pragma pack(pop)
struct cdevsw { void *d_open; void *d_close; void *d_read; void *d_write; void *d_ioctl; void *d_stop; void *d_reset; void *d_ttys;
  void *d_select; void *d_mmap; void *d_strategy; void *d_reserved_1; void *d_reserved_2; int d_type; };
struct sysctl_oid_list { struct sysctl_oid *slh_first; };
struct sysctl_oid { struct sysctl_oid_list *oid_parent; struct sysctl_oid *oid_link; int oid_number; int oid_kind; void *oid_arg1;
  int oid_arg2; char *oid_name; void *oid_handler; char *oid_fmt; char *oid_descr; int oid_version; int oid_refcnt; };
struct sysctl_req { void *p; int lock; unsigned long oldptr; unsigned long oldlen; unsigned long oldidx; void *oldfunc;
  unsigned long newptr; unsigned long newlen; unsigned long newidx; void *newfunc; };
struct user_iovec { unsigned long iov_base; unsigned long iov_len; };
struct uio { struct user_iovec *uio_iovs; int uio_iovcnt; long uio_offset; int uio_segflg; int uio_rw; long uio_resid_64; int uio_size;
  int uio_max_iovs; unsigned int uio_flags; struct user_iovec first; };
struct OSMetaClass { void *vtable; void *reserved; struct OSMetaClass *superClassLink; char *className; unsigned int classSize;
  unsigned int instanceCount; };
struct OSObject { void *vtable; int retainCount; };
struct OSString { void *vtable; int retainCount; unsigned int flags; unsigned int length; char *string; };
struct OSNumber { void *vtable; int retainCount; unsigned long long value; unsigned int size; void *reserved; };
struct OSBoolean { void *vtable; int retainCount; bool value; };
struct OSData { void *vtable; int retainCount; void *data; unsigned int length; unsigned int capacity; unsigned int capacityIncrement;
  void *reserved; };
struct OSCollection { void *vtable; int retainCount; unsigned int updateStamp; unsigned int fOptions; };
struct OSArray { struct OSCollection base; void **array; unsigned int count; unsigned int capacity; unsigned int capacityIncrement;
  void *reserved; };
struct OSDictionary { struct OSCollection base; void *dictionary; unsigned int count; unsigned int capacity;
  unsigned int capacityIncrement; void *reserved; };
struct OSSet { struct OSCollection base; void *members; void *reserved; };
struct OSCollectionIterator { void *vtable; int retainCount; void *collection; void *collIterator; unsigned int initialUpdateStamp;
  bool valid; };
struct IORegistryEntry { void *vtable; int retainCount; void *reserved; void *fRegistryTable; void *fPropertyTable; };
struct IOService { struct IORegistryEntry entry; void *reserved; void *provider; int providerGeneration; void *owner;
  unsigned int state[2]; unsigned long long timeBusy; unsigned long long accumBusy; void *pwrMgt; };
struct IOEventSource { void *vtable; int retainCount; void *eventChainNext; void *owner; void *action; bool enabled; void *workLoop;
  void *refcon; void *reserved; };
struct IOWorkLoop { void *vtable; int retainCount; void *gateOwner; void *eventChain; int gateDepth; };
struct timeval { long tv_sec; int tv_usec; };
struct timespec { long tv_sec; long tv_nsec; };
`;

/** Scalars and structures; each kernel has its own table. */
export function macosDeclarations(): Declarations {
  return new Declarations(LP64).add(SCALARS).add(STRUCTS);
}

export function macosTypes(declarations: Declarations): TypeTable {
  return new TypeTable(declarations);
}

export function prototypeParser(declarations: Declarations): (text: string) => Prototype {
  return (text) => declarations.prototype(text);
}
