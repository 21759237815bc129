/**
 * C types of VxWorks that modules see, as its reference manuals declare them. Handles are opaque there, and so they are
 * here: what stands behind one is known to the kernel only.
 */
export const VXWORKS_TYPES = `
typedef signed char INT8; typedef short INT16; typedef int INT32;
typedef unsigned char UINT8; typedef unsigned short UINT16; typedef unsigned int UINT32;
typedef unsigned char UCHAR; typedef unsigned short USHORT; typedef unsigned int UINT; typedef unsigned long ULONG;
typedef int STATUS;
typedef int BOOL;
typedef void *va_list;
typedef unsigned long size_t;
typedef long ssize_t;
typedef long off_t;
typedef long _Vx_usr_arg_t;
typedef long _Vx_ioctl_arg_t;
typedef unsigned long _Vx_ticks_t;
typedef unsigned int _Vx_event_t;
typedef int (*FUNCPTR)(void);
typedef void (*VOIDFUNCPTR)(void);
typedef void *TASK_ID;
typedef void *SEM_ID;
typedef void *MSG_Q_ID;
typedef void *WDOG_ID;
typedef void *SYMTAB_ID;
typedef void *MODULE_ID;
typedef void *PART_ID;
typedef unsigned char SYM_TYPE;

typedef struct dlnode { struct dlnode *next; struct dlnode *previous; } DL_NODE;
typedef struct { DL_NODE node; short drvNum; char *name; } DEV_HDR;
typedef struct node { struct node *next; struct node *previous; } NODE;
typedef struct { NODE node; int count; } LIST;

/* A ring of bytes: rngLib.h shows it, for its macros look into it. One place stays empty. */
typedef struct { int pToBuf; int pFromBuf; int bufSize; char *buf; } RING;

/*
 * A stream, as far as the macros of stdio.h look into it (read in code compiled for 6.9 on 32 bits; [uncertain]: 64 bits): its
 * own address and the letter f say that it is one; then BSD's members.
 */
typedef struct {
  void *self; int reserved; UINT8 attributes[2]; UINT8 type; UINT8 spare; void *owner;
  unsigned char *next; int readable; int writable; short flags; short fd; unsigned char *base; int size; int lineSize;
  unsigned char pushed[8];
} FILE;

typedef struct {
  void *textAddr; void *dataAddr; void *bssAddr;
  unsigned int textSize; unsigned int dataSize; unsigned int bssSize;
} MODULE_SEG_INFO;
typedef struct { char name[32]; int format; UINT16 group; MODULE_SEG_INFO segInfo; } MODULE_INFO;

typedef long time_t;
struct timespec { long tv_sec; long tv_nsec; };
struct timeval { long tv_sec; long tv_usec; };

/* Ours: what a task's descriptor shows to machine code. */
struct lkm_tcb { char name[32]; int errorStatus; int priority; void *entry; };
`;
