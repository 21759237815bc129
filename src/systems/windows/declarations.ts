/**
 * C declarations of what drivers see of the kernel: field names, order and types as Microsoft documents them (WDK
 * reference) and as public symbols show them; offsets follow from the data model. Types that only travel as values are
 * spelt so that the calling convention reads them right.
 */

/** `SIZE_T` and its kin are words of the machine: they cross as signed numbers, as pointers do. */
export const DECLARATIONS = `
typedef void *PVOID; typedef void *HANDLE; typedef void *SIZE_T; typedef void *ULONG_PTR; typedef void *LONG_PTR;
typedef void *KAFFINITY; typedef void *KSPIN_LOCK; typedef void *ERESOURCE_THREAD;
typedef unsigned char UCHAR; typedef unsigned char BOOLEAN; typedef unsigned char KIRQL; typedef signed char CCHAR;
typedef signed char KPROCESSOR_MODE; typedef char CHAR; typedef unsigned short USHORT; typedef short SHORT;
typedef unsigned short WCHAR; typedef unsigned short wchar_t_; typedef unsigned int ULONG; typedef int LONG; typedef int NTSTATUS;
typedef unsigned int ACCESS_MASK; typedef int BOOL_;
typedef unsigned long long u64; typedef long long s64; typedef void *size_t; typedef char *va_list;
typedef unsigned short *PWSTR; typedef const unsigned short *PCWSTR; typedef char *PSTR; typedef const char *PCSTR;

typedef struct _UNICODE_STRING { USHORT Length; USHORT MaximumLength; WCHAR *Buffer; } UNICODE_STRING;
typedef struct _STRING { USHORT Length; USHORT MaximumLength; CHAR *Buffer; } STRING;
typedef struct _LIST_ENTRY { struct _LIST_ENTRY *Flink; struct _LIST_ENTRY *Blink; } LIST_ENTRY;
typedef struct _SINGLE_LIST_ENTRY { struct _SINGLE_LIST_ENTRY *Next; } SINGLE_LIST_ENTRY;
typedef struct _IO_STATUS_BLOCK { union { NTSTATUS Status; PVOID Pointer; }; ULONG_PTR Information; } IO_STATUS_BLOCK;
typedef struct _OBJECT_ATTRIBUTES {
  ULONG Length; HANDLE RootDirectory; UNICODE_STRING *ObjectName; ULONG Attributes; PVOID SecurityDescriptor;
  PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES;

typedef struct _DISPATCHER_HEADER {
  UCHAR Type; UCHAR Absolute; UCHAR Size; UCHAR Inserted; LONG SignalState; LIST_ENTRY WaitListHead;
} DISPATCHER_HEADER;
typedef struct _KEVENT { DISPATCHER_HEADER Header; } KEVENT;
typedef struct _KSEMAPHORE { DISPATCHER_HEADER Header; LONG Limit; } KSEMAPHORE;
typedef struct _KMUTANT {
  DISPATCHER_HEADER Header; LIST_ENTRY MutantListEntry; PVOID OwnerThread; BOOLEAN Abandoned; UCHAR ApcDisable;
} KMUTANT;
typedef struct _KDPC {
  UCHAR Type; UCHAR Importance; USHORT Number; LIST_ENTRY DpcListEntry; PVOID DeferredRoutine; PVOID DeferredContext;
  PVOID SystemArgument1; PVOID SystemArgument2; PVOID DpcData;
} KDPC;
typedef struct _KTIMER {
  DISPATCHER_HEADER Header; u64 DueTime; LIST_ENTRY TimerListEntry; KDPC *Dpc; ONLY64(ULONG Processor;) LONG Period;
} KTIMER;
typedef struct _FAST_MUTEX { LONG Count; PVOID Owner; ULONG Contention; KEVENT Event; ULONG OldIrql; } FAST_MUTEX;
typedef struct _KDEVICE_QUEUE { SHORT Type; SHORT Size; LIST_ENTRY DeviceListHead; KSPIN_LOCK Lock; PVOID Busy; } KDEVICE_QUEUE;
typedef struct _KDEVICE_QUEUE_ENTRY { LIST_ENTRY DeviceListEntry; ULONG SortKey; BOOLEAN Inserted; } KDEVICE_QUEUE_ENTRY;
typedef struct _OWNER_ENTRY { ERESOURCE_THREAD OwnerThread; ULONG TableSize; } OWNER_ENTRY;
typedef struct _ERESOURCE {
  LIST_ENTRY SystemResourcesList; OWNER_ENTRY *OwnerTable; SHORT ActiveCount; USHORT Flag; PVOID SharedWaiters;
  PVOID ExclusiveWaiters; OWNER_ENTRY OwnerEntry; ULONG ActiveEntries; ULONG ContentionCount;
  ULONG NumberOfSharedWaiters; ULONG NumberOfExclusiveWaiters; ONLY64(PVOID Reserved2;) PVOID Address; KSPIN_LOCK SpinLock;
} ERESOURCE;
typedef struct _WORK_QUEUE_ITEM { LIST_ENTRY List; PVOID WorkerRoutine; PVOID Parameter; } WORK_QUEUE_ITEM;

typedef struct _DRIVER_EXTENSION {
  struct _DRIVER_OBJECT *DriverObject; PVOID AddDevice; ULONG Count; UNICODE_STRING ServiceKeyName;
  PVOID ClientDriverExtension; PVOID FsFilterCallbacks;
} DRIVER_EXTENSION;
typedef struct _DRIVER_OBJECT {
  SHORT Type; SHORT Size; struct _DEVICE_OBJECT *DeviceObject; ULONG Flags; PVOID DriverStart; ULONG DriverSize;
  PVOID DriverSection; DRIVER_EXTENSION *DriverExtension; UNICODE_STRING DriverName; UNICODE_STRING *HardwareDatabase;
  PVOID FastIoDispatch; PVOID DriverInit; PVOID DriverStartIo; PVOID DriverUnload; PVOID MajorFunction[28];
} DRIVER_OBJECT;
typedef struct _DEVICE_OBJECT {
  SHORT Type; USHORT Size; LONG ReferenceCount; DRIVER_OBJECT *DriverObject; struct _DEVICE_OBJECT *NextDevice;
  struct _DEVICE_OBJECT *AttachedDevice; struct _IRP *CurrentIrp; PVOID Timer; ULONG Flags; ULONG Characteristics;
  PVOID Vpb; PVOID DeviceExtension; ULONG DeviceType; CCHAR StackSize;
  union { PVOID Wcb[WCB_WORDS]; } Queue; ULONG AlignmentRequirement; KDEVICE_QUEUE DeviceQueue; KDPC Dpc;
  ULONG ActiveThreadCount; PVOID SecurityDescriptor; KEVENT DeviceLock; USHORT SectorSize; USHORT Spare1;
  struct _DEVOBJ_EXTENSION *DeviceObjectExtension; PVOID Reserved;
} DEVICE_OBJECT;
typedef struct _DEVOBJ_EXTENSION {
  SHORT Type; USHORT Size; DEVICE_OBJECT *DeviceObject; ULONG PowerFlags; PVOID Dope; ULONG ExtensionFlags;
  PVOID DeviceNode; DEVICE_OBJECT *AttachedTo; LONG StartIoCount; LONG StartIoKey; ULONG StartIoFlags; PVOID Vpb;
} DEVOBJ_EXTENSION;
typedef struct _MDL {
  struct _MDL *Next; SHORT Size; SHORT MdlFlags; PVOID Process; PVOID MappedSystemVa; PVOID StartVa; ULONG ByteCount;
  ULONG ByteOffset;
} MDL;
typedef struct _FILE_OBJECT {
  SHORT Type; SHORT Size; DEVICE_OBJECT *DeviceObject; PVOID Vpb; PVOID FsContext; PVOID FsContext2;
  PVOID SectionObjectPointer; PVOID PrivateCacheMap; NTSTATUS FinalStatus; struct _FILE_OBJECT *RelatedFileObject;
  BOOLEAN LockOperation; BOOLEAN DeletePending; BOOLEAN ReadAccess; BOOLEAN WriteAccess; BOOLEAN DeleteAccess;
  BOOLEAN SharedRead; BOOLEAN SharedWrite; BOOLEAN SharedDelete; ULONG Flags; UNICODE_STRING FileName;
  s64 CurrentByteOffset; ULONG Waiters; ULONG Busy; PVOID LastLock; KEVENT Lock; KEVENT Event; PVOID CompletionContext;
  KSPIN_LOCK IrpListLock; LIST_ENTRY IrpList; PVOID FileObjectExtension;
} FILE_OBJECT;
typedef struct _IRP {
  SHORT Type; USHORT Size; MDL *MdlAddress; ULONG Flags;
  union { struct _IRP *MasterIrp; LONG IrpCount; PVOID SystemBuffer; } AssociatedIrp;
  LIST_ENTRY ThreadListEntry; IO_STATUS_BLOCK IoStatus; CHAR RequestorMode; BOOLEAN PendingReturned; CHAR StackCount;
  CHAR CurrentLocation; BOOLEAN Cancel; KIRQL CancelIrql; CCHAR ApcEnvironment; UCHAR AllocationFlags;
  IO_STATUS_BLOCK *UserIosb; KEVENT *UserEvent;
  union { struct { PVOID UserApcRoutine; PVOID UserApcContext; } AsynchronousParameters; s64 AllocationSize; } Overlay;
  PVOID CancelRoutine; PVOID UserBuffer;
  union {
    struct {
      union { KDEVICE_QUEUE_ENTRY DeviceQueueEntry; PVOID DriverContext[4]; };
      PVOID Thread; PVOID AuxiliaryBuffer;
      struct { LIST_ENTRY ListEntry; union { struct _IO_STACK_LOCATION *CurrentStackLocation; ULONG PacketType; }; };
      FILE_OBJECT *OriginalFileObject;
    } Overlay;
    PVOID Apc[11];
  } Tail;
} IRP;
#pragma pack(push, STACK_PACK)
typedef struct _IO_STACK_LOCATION {
  UCHAR MajorFunction; UCHAR MinorFunction; UCHAR Flags; UCHAR Control;
  union {
    struct { PVOID SecurityContext; ULONG Options; __declspec(align(WORD)) USHORT FileAttributes; USHORT ShareAccess;
             __declspec(align(WORD)) ULONG EaLength; } Create;
    struct { ULONG Length; __declspec(align(WORD)) ULONG Key; s64 ByteOffset; } Read;
    struct { ULONG OutputBufferLength; __declspec(align(WORD)) ULONG InputBufferLength;
             __declspec(align(WORD)) ULONG IoControlCode; PVOID Type3InputBuffer; } DeviceIoControl;
    struct { ULONG Length; __declspec(align(WORD)) ULONG FileInformationClass; } QueryFile;
    struct { PVOID Argument1; PVOID Argument2; PVOID Argument3; PVOID Argument4; } Others;
  } Parameters;
  DEVICE_OBJECT *DeviceObject; FILE_OBJECT *FileObject; PVOID CompletionRoutine; PVOID Context;
} IO_STACK_LOCATION;
#pragma pack(pop)

typedef struct _KLDR_DATA_TABLE_ENTRY {
  LIST_ENTRY InLoadOrderLinks; PVOID ExceptionTable; ULONG ExceptionTableSize; PVOID GpValue; PVOID NonPagedDebugInfo;
  PVOID DllBase; PVOID EntryPoint; ULONG SizeOfImage; UNICODE_STRING FullDllName; UNICODE_STRING BaseDllName;
  ULONG Flags; USHORT LoadCount; USHORT Spare; PVOID SectionPointer; ULONG CheckSum; ULONG Padding; PVOID LoadedImports;
  PVOID PatchInformation;
} KLDR_DATA_TABLE_ENTRY;

typedef struct _RTL_OSVERSIONINFOEXW {
  ULONG dwOSVersionInfoSize; ULONG dwMajorVersion; ULONG dwMinorVersion; ULONG dwBuildNumber; ULONG dwPlatformId;
  WCHAR szCSDVersion[128]; USHORT wServicePackMajor; USHORT wServicePackMinor; USHORT wSuiteMask; UCHAR wProductType;
  UCHAR wReserved;
} RTL_OSVERSIONINFOEXW;

typedef struct _CONTEXT_X64 {
  u64 Home[6]; ULONG ContextFlags; ULONG MxCsr; USHORT Seg[6]; ULONG EFlags; u64 Dr[6];
  u64 Rax; u64 Rcx; u64 Rdx; u64 Rbx; u64 Rsp; u64 Rbp; u64 Rsi; u64 Rdi; u64 R8; u64 R9; u64 R10; u64 R11; u64 R12;
  u64 R13; u64 R14; u64 R15; u64 Rip; UCHAR FltSave[512]; UCHAR VectorRegister[416]; u64 VectorControl; u64 DebugControl;
  u64 LastBranch[4];
} CONTEXT_X64;
typedef struct _EXCEPTION_RECORD {
  NTSTATUS ExceptionCode; ULONG ExceptionFlags; PVOID ExceptionRecord; PVOID ExceptionAddress; ULONG NumberParameters;
  ULONG_PTR ExceptionInformation[15];
} EXCEPTION_RECORD;
typedef struct _TIME_FIELDS {
  SHORT Year; SHORT Month; SHORT Day; SHORT Hour; SHORT Minute; SHORT Second; SHORT Milliseconds; SHORT Weekday;
} TIME_FIELDS;
typedef struct _GENERAL_LOOKASIDE {
  PVOID ListHead; PVOID ListHeadHigh; USHORT Depth; USHORT MaximumDepth; ULONG TotalAllocates; ULONG AllocateMisses;
  ULONG TotalFrees; ULONG FreeMisses; ULONG Type; ULONG Tag; ULONG Size; PVOID Allocate; PVOID Free;
  LIST_ENTRY ListEntry; ULONG LastTotalAllocates; ULONG LastAllocateMisses; ULONG Future[2];
} GENERAL_LOOKASIDE;
typedef struct _RTL_QUERY_REGISTRY_TABLE {
  PVOID QueryRoutine; ULONG Flags; PWSTR Name; PVOID EntryContext; ULONG DefaultType; PVOID DefaultData; ULONG DefaultLength;
} RTL_QUERY_REGISTRY_TABLE;
typedef struct _RTL_BITMAP { ULONG SizeOfBitMap; ULONG *Buffer; } RTL_BITMAP;
typedef struct _PS_CREATE_NOTIFY_INFO {
  SIZE_T Size; ULONG Flags; HANDLE ParentProcessId; HANDLE CreatingProcessId; HANDLE CreatingThreadId; PVOID FileObject;
  UNICODE_STRING *ImageFileName; UNICODE_STRING *CommandLine; NTSTATUS CreationStatus;
} PS_CREATE_NOTIFY_INFO;
typedef struct _IMAGE_INFO {
  ULONG Properties; PVOID ImageBase; ULONG ImageSelector; SIZE_T ImageSize; ULONG ImageSectionNumber;
} IMAGE_INFO;
typedef struct _OB_OPERATION_REGISTRATION {
  PVOID ObjectType; ULONG Operations; PVOID PreOperation; PVOID PostOperation;
} OB_OPERATION_REGISTRATION;
typedef struct _OB_CALLBACK_REGISTRATION {
  USHORT Version; USHORT OperationRegistrationCount; UNICODE_STRING Altitude; PVOID RegistrationContext;
  OB_OPERATION_REGISTRATION *OperationRegistration;
} OB_CALLBACK_REGISTRATION;
typedef struct _OB_PRE_OPERATION_INFORMATION {
  ULONG Operation; ULONG Flags; PVOID Object; PVOID ObjectType; PVOID CallContext; PVOID Parameters;
} OB_PRE_OPERATION_INFORMATION;
typedef struct _IO_REMOVE_LOCK {
  BOOLEAN Removed; BOOLEAN Reserved[3]; LONG IoCount; KEVENT RemoveEvent;
} IO_REMOVE_LOCK;
typedef struct _CONFIGURATION_INFORMATION {
  ULONG DiskCount; ULONG FloppyCount; ULONG CdRomCount; ULONG TapeCount; ULONG ScsiPortCount; ULONG SerialCount;
  ULONG ParallelCount; BOOLEAN AtDiskPrimaryAddressClaimed; BOOLEAN AtDiskSecondaryAddressClaimed; ULONG Version;
  ULONG MediumChangerCount;
} CONFIGURATION_INFORMATION;
typedef struct _RTL_BALANCED_LINKS {
  struct _RTL_BALANCED_LINKS *Parent; struct _RTL_BALANCED_LINKS *LeftChild; struct _RTL_BALANCED_LINKS *RightChild;
  CHAR Balance; UCHAR Reserved[3];
} RTL_BALANCED_LINKS;
typedef struct _RTL_AVL_TABLE {
  RTL_BALANCED_LINKS BalancedRoot; PVOID OrderedPointer; ULONG WhichOrderedElement; ULONG NumberGenericTableElements;
  ULONG DepthOfTree; RTL_BALANCED_LINKS *RestartKey; ULONG DeleteCount; PVOID CompareRoutine; PVOID AllocateRoutine;
  PVOID FreeRoutine; PVOID TableContext;
} RTL_AVL_TABLE;
typedef struct _RTL_SPLAY_LINKS {
  struct _RTL_SPLAY_LINKS *Parent; struct _RTL_SPLAY_LINKS *LeftChild; struct _RTL_SPLAY_LINKS *RightChild;
} RTL_SPLAY_LINKS;
typedef struct _RTL_GENERIC_TABLE {
  RTL_SPLAY_LINKS *TableRoot; LIST_ENTRY InsertOrderList; LIST_ENTRY *OrderedPointer; ULONG WhichOrderedElement;
  ULONG NumberGenericTableElements; PVOID CompareRoutine; PVOID AllocateRoutine; PVOID FreeRoutine; PVOID TableContext;
} RTL_GENERIC_TABLE;
typedef struct _WDF_BIND_INFO {
  ULONG Size; PVOID Component; ULONG Major; ULONG Minor; ULONG Build; ULONG FuncCount; PVOID FuncTable; PVOID Module;
} WDF_BIND_INFO;
typedef struct _WDF_DRIVER_GLOBALS {
  PVOID Driver; ULONG DriverFlags; ULONG DriverTag; CHAR DriverName[32]; BOOLEAN DisplaceDriverUnload;
} WDF_DRIVER_GLOBALS;
typedef struct _WDF_DRIVER_CONFIG {
  ULONG Size; PVOID EvtDriverDeviceAdd; PVOID EvtDriverUnload; ULONG DriverInitFlags; ULONG DriverPoolTag;
} WDF_DRIVER_CONFIG;
typedef struct _WDF_OBJECT_ATTRIBUTES {
  ULONG Size; PVOID EvtCleanupCallback; PVOID EvtDestroyCallback; LONG ExecutionLevel; LONG SynchronizationScope;
  PVOID ParentObject; SIZE_T ContextSizeOverride; PVOID ContextTypeInfo;
} WDF_OBJECT_ATTRIBUTES;
typedef struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
  ULONG Size; PVOID ContextName; SIZE_T ContextSize; PVOID UniqueType; PVOID EvtDriverGetUniqueContextType;
} WDF_OBJECT_CONTEXT_TYPE_INFO;
typedef struct _WDF_IO_QUEUE_CONFIG {
  ULONG Size; LONG DispatchType; LONG PowerManaged; BOOLEAN AllowZeroLengthRequests; BOOLEAN DefaultQueue;
  PVOID EvtIoDefault; PVOID EvtIoRead; PVOID EvtIoWrite; PVOID EvtIoDeviceControl; PVOID EvtIoInternalDeviceControl;
  PVOID EvtIoStop; PVOID EvtIoResume; PVOID EvtIoCanceledOnQueue;
} WDF_IO_QUEUE_CONFIG;
typedef struct _WDF_EVENT_CONFIG { ULONG Size; PVOID Routine; ULONG Period; } WDF_EVENT_CONFIG;
typedef struct _WDF_FILEOBJECT_CONFIG {
  ULONG Size; PVOID EvtDeviceFileCreate; PVOID EvtFileClose; PVOID EvtFileCleanup; LONG AutoForwardCleanupClose;
  LONG FileObjectClass;
} WDF_FILEOBJECT_CONFIG;
typedef struct _FLT_OPERATION_REGISTRATION {
  UCHAR MajorFunction; ULONG Flags; PVOID PreOperation; PVOID PostOperation; PVOID Reserved1;
} FLT_OPERATION_REGISTRATION;
typedef struct _FLT_REGISTRATION {
  USHORT Size; USHORT Version; ULONG Flags; PVOID ContextRegistration; FLT_OPERATION_REGISTRATION *OperationRegistration;
  PVOID FilterUnloadCallback; PVOID InstanceSetupCallback; PVOID InstanceQueryTeardownCallback;
  PVOID InstanceTeardownStartCallback; PVOID InstanceTeardownCompleteCallback;
} FLT_REGISTRATION;
typedef struct _FLT_CONTEXT_REGISTRATION {
  USHORT ContextType; USHORT Flags; PVOID ContextCleanupCallback; SIZE_T Size; ULONG PoolTag; PVOID ContextAllocateCallback;
  PVOID ContextFreeCallback; PVOID Reserved1;
} FLT_CONTEXT_REGISTRATION;
typedef struct _FLT_IO_PARAMETER_BLOCK {
  ULONG IrpFlags; UCHAR MajorFunction; UCHAR MinorFunction; UCHAR OperationFlags; UCHAR Reserved; PVOID TargetFileObject;
  PVOID TargetInstance; PVOID Parameters[8];
} FLT_IO_PARAMETER_BLOCK;
typedef struct _FLT_CALLBACK_DATA {
  ULONG Flags; PVOID Thread; FLT_IO_PARAMETER_BLOCK *Iopb; IO_STATUS_BLOCK IoStatus; PVOID TagData; PVOID FilterContext[4];
  CHAR RequestorMode;
} FLT_CALLBACK_DATA;
typedef struct _FLT_RELATED_OBJECTS {
  USHORT Size; USHORT TransactionContext; PVOID Filter; PVOID Volume; PVOID Instance; PVOID FileObject; PVOID Transaction;
} FLT_RELATED_OBJECTS;
typedef struct _IO_SECURITY_CONTEXT {
  PVOID SecurityQos; PVOID AccessState; ULONG DesiredAccess; ULONG FullCreateOptions;
} IO_SECURITY_CONTEXT;
typedef struct _FLT_FILE_NAME_INFORMATION {
  USHORT Size; USHORT NamesParsed; ULONG Format; UNICODE_STRING Name; UNICODE_STRING Volume; UNICODE_STRING Share;
  UNICODE_STRING Extension; UNICODE_STRING Stream; UNICODE_STRING FinalComponent; UNICODE_STRING ParentDir;
} FLT_FILE_NAME_INFORMATION;
typedef struct _GUID { ULONG Data1; USHORT Data2; USHORT Data3; UCHAR Data4[8]; } GUID;
`;

/** The declarations for a pointer of that many bytes: what the headers decide by `_WIN64`. */
export function declarationsFor(word: 4 | 8): string {
  const wide = word === 8;
  return `#pragma pack(push, 8)\n${DECLARATIONS}`
    .replaceAll('align(WORD)', `align(${word})`)
    .replaceAll(/ONLY64\(([^)]*)\)/g, wide ? '$1' : '')
    .replaceAll('STACK_PACK', wide ? '8' : '4')
    .replaceAll('WCB_WORDS', wide ? '9' : '10');
}
