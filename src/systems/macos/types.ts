/**
 * The kernel structures that kexts and the base kernel share, as declarations of our own: field names and order are those
 * of the published headers (xnu osfmk/mach/kmod.h, bsd/sys/{conf,sysctl,uio_internal,kern_control}.h).
 */
import { Declarations } from '../../ctypes/declarations.ts';
import { ILP32_I386, LP64 } from '../../ctypes/model.ts';
import type { Prototype } from '../../ctypes/prototype.ts';
import { TypeTable } from '../../ctypes/table.ts';

const SCALARS = `
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t; typedef unsigned long long uint64_t;
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long long int64_t;
typedef unsigned char UInt8; typedef unsigned short UInt16; typedef unsigned int UInt32; typedef unsigned long long UInt64;
typedef signed char SInt8; typedef short SInt16; typedef int SInt32; typedef long long SInt64;
typedef unsigned long size_t; typedef long ssize_t; typedef unsigned long uintptr_t; typedef long intptr_t;
typedef unsigned long vm_size_t; typedef unsigned long vm_offset_t; typedef unsigned long vm_address_t;
typedef unsigned long IOByteCount; typedef unsigned long long user_addr_t; typedef unsigned long long user_size_t;
typedef long long user_ssize_t; typedef long long off_t; typedef int pid_t; typedef unsigned int uid_t; typedef unsigned int gid_t; typedef int dev_t;
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
struct sysctl_req { void *p; int lock; user_addr_t oldptr; unsigned long oldlen; unsigned long oldidx; void *oldfunc;
  user_addr_t newptr; unsigned long newlen; unsigned long newidx; void *newfunc; };
struct user_iovec { user_addr_t iov_base; user_size_t iov_len; };
struct uio { struct user_iovec *uio_iovs; int uio_iovcnt; off_t uio_offset; int uio_segflg; int uio_rw; user_ssize_t uio_resid_64; int uio_size;
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
struct OSOrderedSet { struct OSCollection base; void **array; void *ordering; void *orderingRef; unsigned int count;
  unsigned int capacity; unsigned int capacityIncrement; void *reserved; };
struct OSCollectionIterator { void *vtable; int retainCount; void *collection; void *collIterator; unsigned int initialUpdateStamp;
  bool valid; };
struct IORegistryEntry { void *vtable; int retainCount; void *reserved; void *fRegistryTable; void *fPropertyTable; };
struct IOService { struct IORegistryEntry entry; void *reserved; void *provider; int providerGeneration; void *owner;
  unsigned int state[2]; unsigned long long timeBusy; unsigned long long accumBusy; void *pwrMgt; };
struct IOEventSource { void *vtable; int retainCount; void *eventChainNext; void *owner; void *action; bool enabled; void *workLoop;
  void *refcon; void *reserved; };
struct IOWorkLoop { void *vtable; int retainCount; void *gateOwner; void *eventChain; int gateDepth; };
struct IOMemoryDescriptor { void *vtable; int retainCount; unsigned int flags; void *address; unsigned long physical; unsigned long length;
  unsigned long capacity; unsigned int tag; unsigned int kind; };
struct IOMemoryMap { void *vtable; int retainCount; void *memory; void *address; unsigned long length; };
struct IORegCursor { struct IORegCursor *next; void *current; void *list; unsigned int index; };
struct IORegistryIterator { void *vtable; int retainCount; unsigned int options; void *root; void *plane; struct IORegCursor *where; };
struct IOExternalMethodArguments { unsigned int version; unsigned int selector; void *asyncWakePort; void *asyncReference;
  unsigned int asyncReferenceCount; void *scalarInput; unsigned int scalarInputCount; void *structureInput;
  unsigned int structureInputSize; void *structureInputDescriptor; void *scalarOutput; unsigned int scalarOutputCount;
  void *structureOutput; unsigned int structureOutputSize; void *structureOutputDescriptor;
  unsigned int structureOutputDescriptorSize; unsigned int reservedA; void *structureVariableOutputData; unsigned int reserved[30]; };
struct IOExternalMethodDispatch { void *function; unsigned int checkScalarInputCount; unsigned int checkStructureInputSize;
  unsigned int checkScalarOutputCount; unsigned int checkStructureOutputSize; };
struct IOExternalMethod { void *object; void *func; long adjustment; unsigned int flags; unsigned long count0; unsigned long count1; };
struct IOServicePM { void *driver; void *states; unsigned long count; unsigned long current; unsigned long reserved[4]; };
struct mbuf { struct mbuf *next; struct mbuf *nextpkt; void *data; void *start; long len; unsigned long room; long pktlen; void *rcvif;
  void *header; unsigned int flags; unsigned int type; unsigned int csum; unsigned int csumvalue; unsigned int vlan; };
struct kern_ctl_reg { char ctl_name[96]; unsigned int ctl_id; unsigned int ctl_unit; unsigned int ctl_flags; unsigned int ctl_sendsize;
  unsigned int ctl_recvsize; void *ctl_connect; void *ctl_disconnect; void *ctl_send; void *ctl_setopt; void *ctl_getopt;
  void *ctl_rcvd; void *ctl_send_list; void *ctl_bind; };
struct sockaddr_ctl { unsigned char sc_len; unsigned char sc_family; unsigned short ss_sysaddr; unsigned int sc_id; unsigned int sc_unit;
  unsigned int sc_reserved[5]; };
struct mac_policy_conf { char *mpc_name; char *mpc_fullname; void *mpc_labelnames; unsigned int mpc_labelname_count; void *mpc_ops;
  int mpc_loadtime_flags; void *mpc_field_off; int mpc_runtime_flags; void *mpc_list; void *mpc_data; };
struct ifnet_init_params { void *uniqueid; unsigned int uniqueid_len; char *name; unsigned int unit; unsigned int family;
  unsigned int type; void *output; void *demux; void *add_proto; void *del_proto; void *check_multi; void *framer; void *softc;
  void *ioctl; void *set_bpf_tap; void *detach; void *event; void *broadcast_addr; unsigned int broadcast_len; };
struct ifnet { char name[16]; unsigned int unit; unsigned int family; unsigned int type; unsigned int flags; unsigned int mtu;
  unsigned int hdrlen; int refs; unsigned char lladdr[8]; void *softc; unsigned long packets_in; unsigned long bytes_in;
  unsigned long packets_out; unsigned long bytes_out; unsigned long errors_in; unsigned long errors_out;
  struct ifnet_init_params init; };
struct ifnet_attach_proto_param { void *demux_array; unsigned int demux_count; void *input; void *pre_output; void *event; void *ioctl;
  void *detached; void *resolve_multi; void *send_arp; };
struct sflt_filter { unsigned int sf_handle; int sf_flags; char *sf_name; void *sf_unregistered; void *sf_attach; void *sf_detach; };
struct ipf_filter { void *cookie; char *name; void *ipf_input; void *ipf_output; void *ipf_detach; };
struct iff_filter { void *iff_cookie; char *iff_name; unsigned int iff_protocol; void *iff_input; void *iff_output; void *iff_event;
  void *iff_ioctl; void *iff_detached; };
struct vfs_fsentry { void *vfe_vfsops; int vfe_vopcnt; void *vfe_opvdescs; int vfe_fstypenum; char vfe_fsname[15];
  unsigned int vfe_flags; void *vfe_reserv[2]; };
struct vnodeopv_desc { void *opv_desc_vector_p; void *opv_desc_ops; };
struct vnodeopv_entry_desc { void *opve_op; void *opve_impl; };
struct vnodeop_desc { int vdesc_offset; char *vdesc_name; int vdesc_flags; };
struct vfsconf { unsigned int vfc_reserved1; char vfc_name[15]; int vfc_typenum; int vfc_refcount; int vfc_flags;
  unsigned int vfc_reserved2; unsigned int vfc_reserved3; };
struct vfsops { void *vfs_mount; void *vfs_start; void *vfs_unmount; void *vfs_root; void *vfs_quotactl; void *vfs_getattr;
  void *vfs_sync; void *vfs_vget; void *vfs_fhtovp; void *vfs_vptofh; void *vfs_init; void *vfs_sysctl; void *vfs_setattr; };
#pragma pack(push, 4)
struct vfsstatfs { unsigned int f_bsize; size_t f_iosize; unsigned long long f_blocks; unsigned long long f_bfree;
  unsigned long long f_bavail; unsigned long long f_bused; unsigned long long f_files; unsigned long long f_ffree; int f_fsid[2];
  uid_t f_owner; unsigned long long f_flags; char f_fstypename[16]; char f_mntonname[1024]; char f_mntfromname[1024];
  unsigned int f_fssubtype; void *f_reserved[2]; };
#pragma pack(pop)
struct mount { void *mnt_op; void *mnt_data; void *mnt_vtable; unsigned long long mnt_flag; struct vfsstatfs mnt_vfsstat; };
struct vnode { void *v_op; void *v_data; void *v_mount; void *v_parent; int v_type; int v_iocount; int v_usecount; int v_fsrefs;
  unsigned int v_flag; unsigned int v_id; int v_tag; dev_t v_rdev; };
struct componentname { unsigned int cn_nameiop; unsigned int cn_flags; void *cn_reserved1; void *cn_reserved2; char *cn_pnbuf;
  int cn_pnlen; char *cn_nameptr; int cn_namelen; unsigned int cn_hash; unsigned int cn_consume; };
struct vnode_fsparam { void *vnfs_mp; int vnfs_vtype; char *vnfs_str; void *vnfs_dvp; void *vnfs_fsnode; void *vnfs_vops;
  int vnfs_markroot; int vnfs_marksystem; dev_t vnfs_rdev; off_t vnfs_filesize; void *vnfs_cnp; unsigned int vnfs_flags; };
struct vnode_attr { unsigned long long va_supported; unsigned long long va_active; int va_vaflags; dev_t va_rdev;
  unsigned long long va_nlink; unsigned long long va_total_size; unsigned long long va_total_alloc; unsigned long long va_data_size;
  unsigned long long va_data_alloc; unsigned int va_iosize; uid_t va_uid; gid_t va_gid; unsigned short va_mode; unsigned int va_flags;
  unsigned long va_more[64]; };
struct OSSerialize { void *vtable; int retainCount; char *data; unsigned int length; unsigned int capacity; void *tags; };
struct timeval { long tv_sec; int tv_usec; };
struct timespec { long tv_sec; long tv_nsec; };
`;

/** Scalars and structures; each kernel has its own table. */
export function macosDeclarations(bits: 32 | 64 = 64): Declarations {
  return new Declarations(bits === 64 ? LP64 : ILP32_I386).add(SCALARS).add(STRUCTS);
}

export function macosTypes(declarations: Declarations): TypeTable {
  return new TypeTable(declarations);
}

export function prototypeParser(declarations: Declarations): (text: string) => Prototype {
  return (text) => declarations.prototype(text);
}
