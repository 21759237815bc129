import { Declarations } from '../../../ctypes/declarations.ts';
import type { TypeTable } from '../../../ctypes/table.ts';

/**
 * Names that prototypes of kernel functions use, for kernel files that do not carry them (a saved one keeps only
 * the types that were asked for; some kernels have no type information at all). Where the kernel knows the name,
 * its own meaning wins.
 */
const TYPEDEFS = `
typedef signed char __s8; typedef unsigned char __u8; typedef short __s16; typedef unsigned short __u16;
typedef int __s32; typedef unsigned int __u32; typedef long long __s64; typedef unsigned long long __u64;
typedef __s8 s8; typedef __u8 u8; typedef __s16 s16; typedef __u16 u16;
typedef __s32 s32; typedef __u32 u32; typedef __s64 s64; typedef __u64 u64;
typedef __u16 __le16; typedef __u16 __be16; typedef __u32 __le32; typedef __u32 __be32;
typedef __u64 __le64; typedef __u64 __be64; typedef __u16 __sum16; typedef __u32 __wsum;
typedef __s8 int8_t; typedef __u8 uint8_t; typedef __s16 int16_t; typedef __u16 uint16_t;
typedef __s32 int32_t; typedef __u32 uint32_t; typedef __s64 int64_t; typedef __u64 uint64_t;
typedef unsigned char u_char; typedef unsigned short u_short; typedef unsigned int u_int; typedef unsigned long u_long;
typedef unsigned char unchar; typedef unsigned short ushort; typedef unsigned int uint; typedef unsigned long ulong;
typedef unsigned char u_int8_t; typedef unsigned short u_int16_t; typedef unsigned int u_int32_t;
typedef unsigned long size_t; typedef long ssize_t; typedef long ptrdiff_t; typedef unsigned long uintptr_t;
typedef long intptr_t; typedef long clock_t; typedef long __kernel_long_t; typedef unsigned long __kernel_ulong_t;
typedef long long loff_t; typedef long off_t; typedef unsigned long ino_t;
typedef u32 dev_t; typedef unsigned short umode_t; typedef u32 nlink_t; typedef int pid_t; typedef int key_serial_t;
typedef unsigned int uid_t; typedef unsigned int gid_t; typedef u64 sector_t; typedef u64 blkcnt_t;
typedef struct { uid_t val; } kuid_t; typedef struct { gid_t val; } kgid_t;
typedef unsigned int gfp_t; typedef unsigned int slab_flags_t; typedef unsigned int fmode_t;
typedef unsigned int __poll_t; typedef unsigned int fop_flags_t;
typedef u64 phys_addr_t; typedef u64 dma_addr_t; typedef phys_addr_t resource_size_t; typedef unsigned long pgoff_t;
typedef unsigned long vm_flags_t; typedef unsigned int vm_fault_t; typedef unsigned long irq_hw_number_t;
typedef s64 ktime_t; typedef s64 time64_t; typedef long long __kernel_time64_t; typedef u64 timeu64_t;
typedef int clockid_t; typedef int irqreturn_t; typedef u8 blk_status_t; typedef u32 blk_opf_t; typedef int blk_qc_t;
typedef u64 async_cookie_t; typedef int netdev_tx_t; typedef u64 netdev_features_t;
typedef u32 dma_cookie_t; typedef unsigned int xa_mark_t; typedef u32 unicode_t; typedef unsigned long kernel_ulong_t; typedef u32 phandle;
typedef unsigned int tcflag_t; typedef unsigned char cc_t; typedef unsigned int isolate_mode_t;
typedef u16 __kernel_sa_family_t; typedef u32 errseq_t; typedef u32 note_buf_t;
typedef struct { int counter; } atomic_t; typedef struct { s64 counter; } atomic64_t;
typedef atomic64_t atomic_long_t; typedef struct refcount_struct { atomic_t refs; } refcount_t;
typedef struct { unsigned long bits[1]; } nodemask_t; typedef struct { unsigned long pgprot; } pgprot_t;
typedef struct { unsigned long pte; } pte_t; typedef struct { unsigned long pmd; } pmd_t;
typedef struct { unsigned char b[16]; } guid_t; typedef struct { unsigned char b[16]; } uuid_t;
typedef struct __lkm_va_list_tag { unsigned int gp_offset, fp_offset; void *overflow, *registers; } va_list[1];
typedef struct wait_queue_head wait_queue_head_t; typedef struct wait_queue_entry wait_queue_entry_t;
typedef struct spinlock spinlock_t; typedef struct raw_spinlock raw_spinlock_t;
typedef struct mempool_s mempool_t; typedef struct cpumask cpumask_t; typedef struct rwlock rwlock_t;
typedef struct seqlock seqlock_t; typedef struct seqcount seqcount_t; typedef struct poll_table_struct poll_table;
typedef void *fl_owner_t; typedef struct { char *from; char *to; } substring_t;
typedef struct match_token match_table_t[]; typedef struct page *pgtable_t; 

typedef int (*notifier_fn_t)(struct notifier_block *, unsigned long, void *);
typedef irqreturn_t (*irq_handler_t)(int, void *);
typedef int wait_bit_action_f(struct wait_bit_key *, int);
typedef void (*work_func_t)(struct work_struct *); typedef void (*kthread_work_func_t)(struct kthread_work *);
typedef void (*rcu_callback_t)(struct callback_head *); typedef void (*smp_call_func_t)(void *);
typedef _Bool (*smp_cond_func_t)(int, void *);
typedef int (*cmp_func_t)(const void *, const void *); typedef void (*swap_func_t)(void *, void *, int);
typedef int (*cmp_r_func_t)(const void *, const void *, const void *);
typedef void (*swap_r_func_t)(void *, void *, int, const void *);
typedef int (*list_cmp_func_t)(void *, const struct list_head *, const struct list_head *);
typedef int (*filler_t)(struct file *, struct folio *); typedef int proc_write_t(struct file *, char *, size_t);
typedef int proc_handler(struct ctl_table *, int, void *, size_t *, loff_t *);
typedef int (*cpu_stop_fn_t)(void *); typedef int (*dr_match_t)(struct device *, void *, void *);
typedef void (*dr_release_t)(struct device *, void *); typedef void (*async_func_t)(void *, async_cookie_t);
typedef void (*crypto_completion_t)(struct crypto_async_request *, int);
typedef void *(mempool_alloc_t)(gfp_t, void *); typedef void (mempool_free_t)(void *, void *);
typedef _Bool (*filldir_t)(struct dir_context *, const char *, int, loff_t, u64, unsigned int);
`;

/** The name that a typedef defines: `(*name)(`, `(name)(`, `name(`, `name[n];` or `name;`. */
const NAME = /\(\*?(\w+)\)\s*\(|^[^(){}]*?\b(\w+)\(|(\w+)(?:\[\d*\])?;\s*$/;

/** Each declaration under its name: a boot meets a dozen of them, and reading all would cost it milliseconds. */
function byName(text: string): Map<string, string> {
  const declarations = new Map<string, string>();
  for (const piece of text.split(/\btypedef /).slice(1)) {
    const [, pointer, plain, last] = NAME.exec(piece) ?? [];
    declarations.set((pointer ?? plain ?? last)!, `typedef ${piece}`);
  }
  return declarations;
}

const DECLARATIONS = byName(TYPEDEFS);

/** Every name of this file's, for the test that reads them all. */
export const typedefNames: readonly string[] = [...DECLARATIONS.keys()];

/** Declarations over a kernel's types: reads prototypes and type names as its headers would. */
export function linuxDeclarations(types: TypeTable): Declarations {
  return new Declarations(types.model, { before: types.asSource(), onDemand: DECLARATIONS });
}
