/*
 * Petrel for programs in C.
 *
 * The first half is the contract with the kernel: numbers, structures, and one function for each
 * system call, which puts its arguments into the registers that the kernel expects and nothing
 * else. It needs no library. The second half is declared here and lives in libpetrel.a: start-up,
 * output, memory, threads, time, files.
 *
 * The contract is written down once more in Rust, in the crate petrel-abi; user/c/tests/header.rs
 * compares the two, number by number and field by field. There, too, is told what each call does,
 * in more words than here.
 *
 * Conventions: a function that can fail returns a petrel_status, 0 if all went well; what it
 * gives back goes through pointers, each of which may be NULL, and is written only on success.
 * Deadlines are absolute, in ticks of the counter that petrel_now reads.
 */
#ifndef PETREL_H
#define PETREL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__aarch64__) || defined(__ILP32__)
#error "Petrel runs on AArch64 (LP64) only"
#endif

/* ---- What a call answers ------------------------------------------------------------------ */

/* 0, or why not. */
typedef uint64_t petrel_status;

enum {
    PETREL_OK = 0,
    PETREL_ERROR_NO_SUCH_CALL = 1,       /* no call has that number */
    PETREL_ERROR_BAD_HANDLE = 2,         /* never was one, was closed, or was revoked */
    PETREL_ERROR_WRONG_KIND = 3,         /* the handle names another kind of object */
    PETREL_ERROR_NO_RIGHT = 4,           /* the handle lacks a right for this */
    PETREL_ERROR_GONE = 5,               /* what it named has ended */
    PETREL_ERROR_BAD_ARGUMENT = 6,       /* out of range */
    PETREL_ERROR_BAD_ADDRESS = 7,        /* not the caller's to read or write */
    PETREL_ERROR_NO_MEMORY = 8,          /* the quota, or the machine, has not so much */
    PETREL_ERROR_TIMED_OUT = 9,          /* the deadline has passed */
    PETREL_ERROR_BUSY = 10,              /* mapped, or bound, already */
    PETREL_ERROR_NO_CALLER = 11,         /* nobody waits for a reply */
    PETREL_ERROR_WRONG_STATE = 12,       /* the thread is not in the state for this */
    PETREL_ERROR_TOO_MANY = 13,          /* the table is full */
    PETREL_ERROR_WRITE_AND_EXECUTE = 14, /* memory cannot be writable and executable */
};

/* ---- Handles ------------------------------------------------------------------------------ */

/* How a process names what it may use. It means something in this process only. */
typedef uint32_t petrel_handle;

#define PETREL_NO_HANDLE 0u

/* What a handle names. */
enum {
    PETREL_KIND_PROCESS = 1,      /* an address space, a handle table, a memory quota */
    PETREL_KIND_THREAD = 2,       /* a thread */
    PETREL_KIND_ENDPOINT = 3,     /* where messages are sent to and received from */
    PETREL_KIND_REPLY = 4,        /* the right to answer one call, once */
    PETREL_KIND_NOTIFICATION = 5, /* a word of bits */
    PETREL_KIND_MEMORY = 6,       /* pages, or a range of device registers */
    PETREL_KIND_IRQ = 7,          /* an interrupt line */
    PETREL_KIND_MACHINE = 8,      /* the machine: its interrupts, its devices, its log */
};

/* What a handle permits; a duplicate has a subset. */
typedef uint32_t petrel_rights;

enum {
    PETREL_RIGHT_SEND = 1 << 0,       /* send to an endpoint */
    PETREL_RIGHT_RECEIVE = 1 << 1,    /* receive from an endpoint; without any such handle it is gone */
    PETREL_RIGHT_CALL = 1 << 2,       /* be replied to */
    PETREL_RIGHT_SIGNAL = 1 << 3,     /* signal a notification */
    PETREL_RIGHT_WAIT = 1 << 4,       /* wait for a notification, set its timer */
    PETREL_RIGHT_READ = 1 << 5,       /* map memory to read */
    PETREL_RIGHT_WRITE = 1 << 6,      /* map memory to write */
    PETREL_RIGHT_EXECUTE = 1 << 7,    /* map memory to execute */
    PETREL_RIGHT_INSPECT = 1 << 8,    /* look at it */
    PETREL_RIGHT_MANAGE = 1 << 9,     /* change it, end it */
    PETREL_RIGHT_DUPLICATE = 1 << 10, /* duplicate the handle */
    PETREL_RIGHT_TRANSFER = 1 << 11,  /* give the handle away */
    PETREL_RIGHT_REVOKE = 1 << 12,    /* revoke what was derived from the handle */
    PETREL_RIGHT_ALL = (1 << 13) - 1,
};

/* ---- Messages ----------------------------------------------------------------------------- */

#define PETREL_MESSAGE_WORDS 8
#define PETREL_MESSAGE_HANDLES 4

/*
 * What is sent and what arrives. `info` is made by petrel_info and read by the petrel_info_
 * functions. `badge` and `info` tell where an arrived message is from.
 */
struct petrel_message {
    uint64_t words[PETREL_MESSAGE_WORDS];
    uint64_t info;
    uint64_t badge;
    petrel_handle handles[PETREL_MESSAGE_HANDLES];
};

#define PETREL_INFO_FAULT (UINT64_C(1) << 7)        /* from the kernel: a fault, struct petrel_fault */
#define PETREL_INFO_NOTIFICATION (UINT64_C(1) << 8) /* no message: bits of the bound notification */

/* A message with that label, so many words (0 to 8) and so many handles to give away (0 to 4). */
static inline uint64_t petrel_info(uint32_t label, unsigned words, unsigned handles)
{
    return (uint64_t)label << 32 | (uint64_t)(handles & 7) << 4 | (words & 15);
}

/* What sender and receiver agreed on. */
static inline uint32_t petrel_info_label(uint64_t info) { return (uint32_t)(info >> 32); }

/* How many words mean something. */
static inline unsigned petrel_info_words(uint64_t info) { return info & 15; }

/* How many handles arrived. */
static inline unsigned petrel_info_handles(uint64_t info) { return info >> 4 & 7; }

/* What went wrong in a thread. */
enum {
    PETREL_FAULT_NOT_MAPPED = 1,    /* nothing is mapped there */
    PETREL_FAULT_NOT_PERMITTED = 2, /* what is mapped there does not permit it */
    PETREL_FAULT_UNDEFINED = 3,     /* no such instruction, or not for EL0 */
    PETREL_FAULT_NO_FP = 4,         /* FP or SIMD in a thread that has none */
    PETREL_FAULT_MISALIGNED = 5,    /* PC or SP or an access */
    PETREL_FAULT_DEBUG = 6,         /* a breakpoint instruction, or a step */
    PETREL_FAULT_OTHER = 7,         /* everything else */
};

/* How the instruction used its address. */
enum {
    PETREL_ACCESS_NONE = 0,
    PETREL_ACCESS_READ = 1,
    PETREL_ACCESS_WRITE = 2,
    PETREL_ACCESS_EXECUTE = 3,
};

/* The words of a fault message. */
struct petrel_fault {
    uint64_t kind;     /* PETREL_FAULT_ */
    uint64_t access;   /* PETREL_ACCESS_ */
    uint64_t address;  /* that was used */
    uint64_t pc;       /* of the instruction that did it */
    uint64_t sp;       /* of the thread */
    uint64_t syndrome; /* ESR_EL1 */
    uint64_t thread;   /* its number */
    uint64_t process;  /* its process's number */
};

/* The label of a reply to a fault: go on. Any other ends the thread's process. */
#define PETREL_RESUME 0u
/* The same: go on, at the address in the reply's first word. */
#define PETREL_RESUME_AT 1u

/* ---- Memory ------------------------------------------------------------------------------- */

#define PETREL_PAGE UINT64_C(4096)
#define PETREL_USER_START UINT64_C(0x10000)      /* the lowest address that can be mapped */
#define PETREL_USER_END (UINT64_C(1) << 39)      /* the first that cannot */

enum {
    PETREL_MEMORY_NORMAL = 0, /* pages from anywhere */
    PETREL_MEMORY_DMA = 1,    /* contiguous, with a physical address to ask for */
};

/* What is mapped where: whole pages. */
struct petrel_mapping {
    petrel_handle memory;
    petrel_rights rights; /* READ, with or without WRITE or EXECUTE; never both */
    uint64_t address;     /* 0: the kernel chooses */
    uint64_t offset;      /* from where in the memory */
    uint64_t bytes;
};

/* ---- Threads ------------------------------------------------------------------------------ */

/* What a new thread is to be. */
struct petrel_thread_start {
    uint64_t entry;    /* its first instruction */
    uint64_t stack;    /* its SP, a multiple of 16 */
    uint64_t argument; /* its x0 */
    uint64_t tls;      /* its TPIDR_EL0 */
    uint32_t priority; /* 0 to 31, at most the creator's; larger is more urgent */
    uint32_t flags;    /* PETREL_USES_FP or 0 */
    uint64_t cpus[2];  /* bit n for CPU n; 0: all */
};

#define PETREL_USES_FP 1u

/* The registers of a thread. */
struct petrel_registers {
    uint64_t x[31];
    uint64_t sp;
    uint64_t pc;
    uint64_t pstate; /* N, Z, C, V in bits 31 to 28; others are not written */
    uint64_t tls;    /* TPIDR_EL0 */
};

/* ---- Reports ------------------------------------------------------------------------------ */

/* Which list petrel_machine_query gives. */
enum {
    PETREL_QUERY_PROCESSES = 1, /* struct petrel_process_report, of all processes */
    PETREL_QUERY_THREADS = 2,   /* struct petrel_thread_report, of all threads */
    PETREL_QUERY_CPUS = 3,      /* struct petrel_cpu_report */
    PETREL_QUERY_MEMORY = 4,    /* one struct petrel_memory_report */
    PETREL_QUERY_IRQS = 5,      /* struct petrel_irq_report, of bound interrupts */
    PETREL_QUERY_DEVICES = 6,   /* one struct petrel_devices */
};

#define PETREL_NAME_BYTES 16

/* What a process is doing. */
enum {
    PETREL_PROCESS_ALIVE = 0,
    PETREL_PROCESS_EXITED = 1,
    PETREL_PROCESS_KILLED = 2,
    PETREL_PROCESS_FAULTED = 3,
};

struct petrel_process_report {
    uint32_t number;
    uint32_t state;                 /* PETREL_PROCESS_ */
    uint8_t name[PETREL_NAME_BYTES]; /* padded with zeroes */
    uint64_t status;                /* what it ended with */
    uint32_t threads;               /* that live */
    uint32_t handles;
    uint64_t used;                  /* bytes charged */
    uint64_t quota;                 /* bytes it may be charged */
    uint64_t ran_ticks;
    uint64_t fault[8];              /* if it faulted: struct petrel_fault */
};

/* What a thread is doing. */
enum {
    PETREL_THREAD_RUNNING = 0,
    PETREL_THREAD_READY = 1,
    PETREL_THREAD_WAITING = 2,
    PETREL_THREAD_SLEEPING = 3,  /* waits, until a deadline at the latest */
    PETREL_THREAD_SUSPENDED = 4, /* or was never resumed */
};

struct petrel_thread_report {
    uint32_t number;
    uint32_t process; /* its number; 0: the kernel's */
    uint8_t name[PETREL_NAME_BYTES];
    uint32_t priority;
    uint32_t cpu;   /* it runs on, or ran on last */
    uint32_t state; /* PETREL_THREAD_ */
    uint32_t reserved;
    uint64_t ran_ticks;
};

struct petrel_cpu_report {
    uint32_t number;
    uint32_t load; /* threads that want to run there */
    uint64_t idle_ticks;
    uint64_t interrupts; /* acknowledged, NMIs included */
    uint64_t nmis;
    uint64_t switches;
    uint64_t preemptions;
};

struct petrel_memory_report {
    uint64_t total;     /* bytes of RAM that the kernel manages */
    uint64_t free;      /* of it */
    uint64_t heap;      /* of the kernel's heap */
    uint64_t heap_used; /* of it */
    uint64_t stacks;    /* of kernel stacks, used or kept */
};

struct petrel_irq_report {
    uint32_t intid;
    uint32_t pending; /* whether it waits to be acknowledged */
    uint64_t count;   /* how often it came */
};

struct petrel_device {
    uint64_t base; /* physical address of its registers */
    uint64_t bytes;
    uint32_t intid;
    uint32_t edge; /* 0: level, 1: edge */
};

struct petrel_devices {
    struct petrel_device uart; /* the PL011 */
    uint64_t virtio_count;     /* how many of these mean something */
    struct petrel_device virtio[32];
};

/* ---- The start page ----------------------------------------------------------------------- */

#define PETREL_START_PAGE UINT64_C(0x10000)
#define PETREL_STACK_TOP UINT64_C(0x7ff0000000)
#define PETREL_START_MAGIC UINT64_C(0x74736c6572746570) /* "petrelst" */

/* Followed by the grants, then by the arguments, each of which ends with a zero byte. */
struct petrel_start_header {
    uint64_t magic;
    uint32_t grants;
    uint32_t arguments;
    uint32_t argument_bytes;
    uint32_t reserved;
};

/* A handle that the process was given, under a name. */
struct petrel_grant {
    uint8_t name[PETREL_NAME_BYTES];
    petrel_handle handle;
    uint32_t detail; /* what goes with it */
};

/* ---- System calls ------------------------------------------------------------------------- */

#define PETREL_FOREVER UINT64_MAX /* a deadline that never comes */
#define PETREL_AT_ONCE UINT64_C(0) /* do not wait */

/* The numbers, for x8. */
enum {
    PETREL_CALL_NULL = 0,
    PETREL_CALL_MESSAGE_CALL = 1,
    PETREL_CALL_REPLY_RECEIVE = 2,
    PETREL_CALL_RECEIVE = 3,
    PETREL_CALL_SEND = 4,
    PETREL_CALL_REPLY = 5,
    PETREL_CALL_SAVE_REPLY = 6,
    PETREL_CALL_YIELD = 8,
    PETREL_CALL_SLEEP = 9,
    PETREL_CALL_THREAD_EXIT = 10,
    PETREL_CALL_PROCESS_EXIT = 11,
    PETREL_CALL_DEBUG_WRITE = 12,
    PETREL_CALL_WHO_AM_I = 13,
    PETREL_CALL_HANDLE_DUPLICATE = 16,
    PETREL_CALL_HANDLE_CLOSE = 17,
    PETREL_CALL_HANDLE_REVOKE = 18,
    PETREL_CALL_HANDLE_GIVE = 19,
    PETREL_CALL_HANDLE_INSPECT = 20,
    PETREL_CALL_PROCESS_CREATE = 24,
    PETREL_CALL_PROCESS_KILL = 25,
    PETREL_CALL_PROCESS_REPORT = 26,
    PETREL_CALL_WATCH = 27,
    PETREL_CALL_THREAD_CREATE = 32,
    PETREL_CALL_THREAD_RESUME = 33,
    PETREL_CALL_THREAD_SUSPEND = 34,
    PETREL_CALL_THREAD_KILL = 35,
    PETREL_CALL_THREAD_SET_PRIORITY = 36,
    PETREL_CALL_THREAD_SET_CPUS = 37,
    PETREL_CALL_THREAD_SET_FAULT_ENDPOINT = 38,
    PETREL_CALL_THREAD_READ_REGISTERS = 39,
    PETREL_CALL_THREAD_WRITE_REGISTERS = 40,
    PETREL_CALL_THREAD_BIND_NOTIFICATION = 41,
    PETREL_CALL_MEMORY_CREATE = 48,
    PETREL_CALL_MEMORY_MAP = 49,
    PETREL_CALL_MEMORY_UNMAP = 50,
    PETREL_CALL_MEMORY_INSPECT = 51,
    PETREL_CALL_ENDPOINT_CREATE = 56,
    PETREL_CALL_NOTIFICATION_CREATE = 57,
    PETREL_CALL_SIGNAL = 58,
    PETREL_CALL_WAIT = 59,
    PETREL_CALL_TIMER_SET = 60,
    PETREL_CALL_IRQ_BIND = 64,
    PETREL_CALL_IRQ_ACKNOWLEDGE = 65,
    PETREL_CALL_MACHINE_IRQ = 72,
    PETREL_CALL_MACHINE_DEVICE_MEMORY = 73,
    PETREL_CALL_MACHINE_QUERY = 74,
    PETREL_CALL_CONSOLE_TAKE = 75,
    PETREL_CALL_CONSOLE_READ = 76,
    PETREL_CALL_MACHINE_WORKLOAD = 77,
    PETREL_CALL_MACHINE_OFF = 78,
};

/* What a plain call gives back: x0, and the values x1 to x3. */
struct petrel_result {
    petrel_status status;
    uint64_t value[3];
};

/* A plain call, by number: arguments in x0 to x4, of which the kernel reads what the call has. */
static inline struct petrel_result petrel_plain_call(uint64_t number, uint64_t a0, uint64_t a1,
                                                     uint64_t a2, uint64_t a3, uint64_t a4)
{
    register uint64_t x8 __asm__("x8") = number;
    register uint64_t x0 __asm__("x0") = a0;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = a2;
    register uint64_t x3 __asm__("x3") = a3;
    register uint64_t x4 __asm__("x4") = a4;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     : "r"(x4), "r"(x8)
                     : "memory");
    struct petrel_result result = { x0, { x1, x2, x3 } };
    return result;
}

/*
 * A call with a message, by number: the words in x0 to x7, x9 = handle and then status, x10 = info,
 * x11 = deadline and then badge, x12 and x13 = handles, two in each. `message` is changed only when
 * one arrived.
 */
static inline petrel_status petrel_message_exchange(uint64_t number, petrel_handle handle,
                                                    struct petrel_message *message,
                                                    uint64_t deadline)
{
    register uint64_t x0 __asm__("x0") = message->words[0];
    register uint64_t x1 __asm__("x1") = message->words[1];
    register uint64_t x2 __asm__("x2") = message->words[2];
    register uint64_t x3 __asm__("x3") = message->words[3];
    register uint64_t x4 __asm__("x4") = message->words[4];
    register uint64_t x5 __asm__("x5") = message->words[5];
    register uint64_t x6 __asm__("x6") = message->words[6];
    register uint64_t x7 __asm__("x7") = message->words[7];
    register uint64_t x8 __asm__("x8") = number;
    register uint64_t x9 __asm__("x9") = handle;
    register uint64_t x10 __asm__("x10") = message->info;
    register uint64_t x11 __asm__("x11") = deadline;
    register uint64_t x12 __asm__("x12") =
        message->handles[0] | (uint64_t)message->handles[1] << 32;
    register uint64_t x13 __asm__("x13") =
        message->handles[2] | (uint64_t)message->handles[3] << 32;
    __asm__ volatile("svc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6),
                       "+r"(x7), "+r"(x9), "+r"(x10), "+r"(x11), "+r"(x12), "+r"(x13)
                     : "r"(x8)
                     : "memory");
    if (x9 == PETREL_OK && number != PETREL_CALL_SEND && number != PETREL_CALL_REPLY) {
        message->words[0] = x0;
        message->words[1] = x1;
        message->words[2] = x2;
        message->words[3] = x3;
        message->words[4] = x4;
        message->words[5] = x5;
        message->words[6] = x6;
        message->words[7] = x7;
        message->info = x10;
        message->badge = x11;
        message->handles[0] = (petrel_handle)x12;
        message->handles[1] = (petrel_handle)(x12 >> 32);
        message->handles[2] = (petrel_handle)x13;
        message->handles[3] = (petrel_handle)(x13 >> 32);
    }
    return x9;
}

/* Writes x1 where the caller wants it, if all went well. */
static inline petrel_status petrel_take_handle(struct petrel_result result, petrel_handle *handle)
{
    if (result.status == PETREL_OK && handle)
        *handle = (petrel_handle)result.value[0];
    return result.status;
}

static inline petrel_status petrel_take_value(struct petrel_result result, unsigned which,
                                              uint64_t *value)
{
    if (result.status == PETREL_OK && value)
        *value = result.value[which];
    return result.status;
}

/* Nothing: what a way in and out costs. */
static inline petrel_status petrel_null(void)
{
    return petrel_plain_call(PETREL_CALL_NULL, 0, 0, 0, 0, 0).status;
}

/* Sends, and waits for the reply. Rights: SEND and CALL. */
static inline petrel_status petrel_message_call(petrel_handle endpoint,
                                                struct petrel_message *message, uint64_t deadline)
{
    return petrel_message_exchange(PETREL_CALL_MESSAGE_CALL, endpoint, message, deadline);
}

/* Replies to the caller this thread received from last, if it has not yet, and waits for the next
 * message. Right: RECEIVE. */
static inline petrel_status petrel_reply_receive(petrel_handle endpoint,
                                                 struct petrel_message *message, uint64_t deadline)
{
    return petrel_message_exchange(PETREL_CALL_REPLY_RECEIVE, endpoint, message, deadline);
}

/* Waits for a message, or for the thread's bound notification. Right: RECEIVE. */
static inline petrel_status petrel_receive(petrel_handle endpoint, struct petrel_message *message,
                                           uint64_t deadline)
{
    return petrel_message_exchange(PETREL_CALL_RECEIVE, endpoint, message, deadline);
}

/* Waits until somebody has received the message. Right: SEND. */
static inline petrel_status petrel_send(petrel_handle endpoint, struct petrel_message *message,
                                        uint64_t deadline)
{
    return petrel_message_exchange(PETREL_CALL_SEND, endpoint, message, deadline);
}

/* Replies, by a saved reply, which is used up, or by PETREL_NO_HANDLE to the caller this thread
 * received from last. */
static inline petrel_status petrel_reply(petrel_handle reply, struct petrel_message *message)
{
    return petrel_message_exchange(PETREL_CALL_REPLY, reply, message, PETREL_AT_ONCE);
}

/* Turns the caller this thread received from last into a handle. */
static inline petrel_status petrel_save_reply(petrel_handle *reply)
{
    return petrel_take_handle(petrel_plain_call(PETREL_CALL_SAVE_REPLY, 0, 0, 0, 0, 0), reply);
}

/* Lets others of this priority run first. */
static inline petrel_status petrel_yield(void)
{
    return petrel_plain_call(PETREL_CALL_YIELD, 0, 0, 0, 0, 0).status;
}

/* Sleeps until the deadline. */
static inline petrel_status petrel_sleep(uint64_t deadline)
{
    return petrel_plain_call(PETREL_CALL_SLEEP, deadline, 0, 0, 0, 0).status;
}

/* Ends the calling thread; the last one's status is the process's. */
__attribute__((noreturn)) static inline void petrel_thread_exit(uint64_t status)
{
    for (;;)
        petrel_plain_call(PETREL_CALL_THREAD_EXIT, status, 0, 0, 0, 0);
}

/* Ends the calling process at once; petrel_exit writes out first what was printed. */
__attribute__((noreturn)) static inline void petrel_process_exit(uint64_t status)
{
    for (;;)
        petrel_plain_call(PETREL_CALL_PROCESS_EXIT, status, 0, 0, 0, 0);
}

/* Writes a line of at most 200 bytes into the kernel's log. */
static inline petrel_status petrel_debug_write(const void *text, size_t bytes)
{
    return petrel_plain_call(PETREL_CALL_DEBUG_WRITE, (uintptr_t)text, bytes, 0, 0, 0).status;
}

/* The numbers of the calling thread, of its process and of the CPU it runs on. */
static inline petrel_status petrel_who_am_i(uint64_t *thread, uint64_t *process, uint64_t *cpu)
{
    struct petrel_result result = petrel_plain_call(PETREL_CALL_WHO_AM_I, 0, 0, 0, 0, 0);
    petrel_take_value(result, 0, thread);
    petrel_take_value(result, 1, process);
    return petrel_take_value(result, 2, cpu);
}

/* Another handle for the same object, with at most `rights`; badge 0 keeps the one there is.
 * Right: DUPLICATE. */
static inline petrel_status petrel_handle_duplicate(petrel_handle handle, petrel_rights rights,
                                                    uint64_t badge, petrel_handle *duplicate)
{
    return petrel_take_handle(
        petrel_plain_call(PETREL_CALL_HANDLE_DUPLICATE, handle, rights, badge, 0, 0), duplicate);
}

/* It is a handle no longer. */
static inline petrel_status petrel_handle_close(petrel_handle handle)
{
    return petrel_plain_call(PETREL_CALL_HANDLE_CLOSE, handle, 0, 0, 0, 0).status;
}

/* All that was derived from it, wherever it is, is a handle no longer. Right: REVOKE. */
static inline petrel_status petrel_handle_revoke(petrel_handle handle)
{
    return petrel_plain_call(PETREL_CALL_HANDLE_REVOKE, handle, 0, 0, 0, 0).status;
}

/* Moves the handle into another process's table; `there` is what it is called in it. Rights:
 * MANAGE; TRANSFER on the handle. */
static inline petrel_status petrel_handle_give(petrel_handle process, petrel_handle handle,
                                               petrel_handle *there)
{
    return petrel_take_handle(
        petrel_plain_call(PETREL_CALL_HANDLE_GIVE, process, handle, 0, 0, 0), there);
}

/* Its kind, rights and badge. */
static inline petrel_status petrel_handle_inspect(petrel_handle handle, uint64_t *kind,
                                                  uint64_t *rights, uint64_t *badge)
{
    struct petrel_result result =
        petrel_plain_call(PETREL_CALL_HANDLE_INSPECT, handle, 0, 0, 0, 0);
    petrel_take_value(result, 0, kind);
    petrel_take_value(result, 1, rights);
    return petrel_take_value(result, 2, badge);
}

/* A process without threads; the quota is taken from the caller's, with whose process it ends. */
static inline petrel_status petrel_process_create(const char *name, size_t name_bytes,
                                                  uint64_t quota_bytes, petrel_handle *process)
{
    return petrel_take_handle(petrel_plain_call(PETREL_CALL_PROCESS_CREATE, (uintptr_t)name,
                                                name_bytes, quota_bytes, 0, 0),
                              process);
}

/* It ends, wherever its threads are. Right: MANAGE. */
static inline petrel_status petrel_process_kill(petrel_handle process, uint64_t status)
{
    return petrel_plain_call(PETREL_CALL_PROCESS_KILL, process, status, 0, 0, 0).status;
}

/* What is known of it. Right: INSPECT. */
static inline petrel_status petrel_process_report(petrel_handle process,
                                                  struct petrel_process_report *report)
{
    return petrel_plain_call(PETREL_CALL_PROCESS_REPORT, process, (uintptr_t)report, 0, 0, 0)
        .status;
}

/* Signals the bits when the process or thread has ended. Rights: INSPECT; SIGNAL. */
static inline petrel_status petrel_watch(petrel_handle process_or_thread,
                                         petrel_handle notification, uint64_t bits)
{
    return petrel_plain_call(PETREL_CALL_WATCH, process_or_thread, notification, bits, 0, 0)
        .status;
}

/* A thread that does not run yet; petrel_spawn makes one that does. Right: MANAGE. */
static inline petrel_status petrel_thread_create(petrel_handle process,
                                                 const struct petrel_thread_start *start,
                                                 petrel_handle *thread)
{
    return petrel_take_handle(
        petrel_plain_call(PETREL_CALL_THREAD_CREATE, process, (uintptr_t)start, 0, 0, 0), thread);
}

/* It runs for the first time, or goes on. Right: MANAGE. */
static inline petrel_status petrel_thread_resume(petrel_handle thread)
{
    return petrel_plain_call(PETREL_CALL_THREAD_RESUME, thread, 0, 0, 0, 0).status;
}

/* It stops; waits until it has. Right: MANAGE. */
static inline petrel_status petrel_thread_suspend(petrel_handle thread)
{
    return petrel_plain_call(PETREL_CALL_THREAD_SUSPEND, thread, 0, 0, 0, 0).status;
}

/* It ends. Right: MANAGE. */
static inline petrel_status petrel_thread_kill(petrel_handle thread, uint64_t status)
{
    return petrel_plain_call(PETREL_CALL_THREAD_KILL, thread, status, 0, 0, 0).status;
}

/* 0 to 31, at most the caller's own. Right: MANAGE. */
static inline petrel_status petrel_thread_set_priority(petrel_handle thread, uint32_t priority)
{
    return petrel_plain_call(PETREL_CALL_THREAD_SET_PRIORITY, thread, priority, 0, 0, 0).status;
}

/* The CPUs it may run on: 0 to 63, and 64 to 127. Right: MANAGE. */
static inline petrel_status petrel_thread_set_cpus(petrel_handle thread, uint64_t low,
                                                   uint64_t high)
{
    return petrel_plain_call(PETREL_CALL_THREAD_SET_CPUS, thread, low, high, 0, 0).status;
}

/* Its faults are calls to that endpoint, or with PETREL_NO_HANDLE its process's end. Rights:
 * MANAGE; SEND. */
static inline petrel_status petrel_thread_set_fault_endpoint(petrel_handle thread,
                                                             petrel_handle endpoint)
{
    return petrel_plain_call(PETREL_CALL_THREAD_SET_FAULT_ENDPOINT, thread, endpoint, 0, 0, 0)
        .status;
}

/* The registers of a thread that is suspended or has faulted. Right: INSPECT. */
static inline petrel_status petrel_thread_read_registers(petrel_handle thread,
                                                         struct petrel_registers *registers)
{
    return petrel_plain_call(PETREL_CALL_THREAD_READ_REGISTERS, thread, (uintptr_t)registers, 0, 0,
                             0)
        .status;
}

/* The other way. Right: MANAGE. */
static inline petrel_status petrel_thread_write_registers(petrel_handle thread,
                                                          const struct petrel_registers *registers)
{
    return petrel_plain_call(PETREL_CALL_THREAD_WRITE_REGISTERS, thread, (uintptr_t)registers, 0,
                             0, 0)
        .status;
}

/* While the calling thread waits for a message it waits for this one's bits as well;
 * PETREL_NO_HANDLE ends that. Right: WAIT. */
static inline petrel_status petrel_thread_bind_notification(petrel_handle notification)
{
    return petrel_plain_call(PETREL_CALL_THREAD_BIND_NOTIFICATION, notification, 0, 0, 0, 0)
        .status;
}

/* Whole pages of zeroes, charged to the caller. `kind` is PETREL_MEMORY_. */
static inline petrel_status petrel_memory_create(uint64_t bytes, uint64_t kind,
                                                 petrel_handle *memory)
{
    return petrel_take_handle(
        petrel_plain_call(PETREL_CALL_MEMORY_CREATE, bytes, kind, 0, 0, 0), memory);
}

/* Maps memory into a process; `address` is where it is now. Rights: MANAGE; on the memory those
 * that the mapping gives. */
static inline petrel_status petrel_memory_map(petrel_handle process,
                                              const struct petrel_mapping *mapping,
                                              uint64_t *address)
{
    return petrel_take_value(
        petrel_plain_call(PETREL_CALL_MEMORY_MAP, process, (uintptr_t)mapping, 0, 0, 0), 0,
        address);
}

/* Right: MANAGE. */
static inline petrel_status petrel_memory_unmap(petrel_handle process, uint64_t address,
                                                uint64_t bytes)
{
    return petrel_plain_call(PETREL_CALL_MEMORY_UNMAP, process, address, bytes, 0, 0).status;
}

/* The physical address at that offset (of DMA memory; else 0), and the bytes of the whole. Right:
 * INSPECT. */
static inline petrel_status petrel_memory_inspect(petrel_handle memory, uint64_t offset,
                                                  uint64_t *physical, uint64_t *bytes)
{
    struct petrel_result result =
        petrel_plain_call(PETREL_CALL_MEMORY_INSPECT, memory, offset, 0, 0, 0);
    petrel_take_value(result, 0, physical);
    return petrel_take_value(result, 1, bytes);
}

/* An endpoint, with all rights. */
static inline petrel_status petrel_endpoint_create(petrel_handle *endpoint)
{
    return petrel_take_handle(petrel_plain_call(PETREL_CALL_ENDPOINT_CREATE, 0, 0, 0, 0, 0),
                              endpoint);
}

/* A notification, with all rights. */
static inline petrel_status petrel_notification_create(petrel_handle *notification)
{
    return petrel_take_handle(petrel_plain_call(PETREL_CALL_NOTIFICATION_CREATE, 0, 0, 0, 0, 0),
                              notification);
}

/* Sets the bits; those of the badge if the handle has one. Right: SIGNAL. */
static inline petrel_status petrel_signal(petrel_handle notification, uint64_t bits)
{
    return petrel_plain_call(PETREL_CALL_SIGNAL, notification, bits, 0, 0, 0).status;
}

/* Waits until there are bits, and takes them. Right: WAIT. */
static inline petrel_status petrel_wait(petrel_handle notification, uint64_t deadline,
                                        uint64_t *bits)
{
    return petrel_take_value(petrel_plain_call(PETREL_CALL_WAIT, notification, deadline, 0, 0, 0),
                             0, bits);
}

/* Signals the bits at the deadline; PETREL_FOREVER cancels. Right: WAIT. */
static inline petrel_status petrel_timer_set(petrel_handle notification, uint64_t deadline,
                                             uint64_t bits)
{
    return petrel_plain_call(PETREL_CALL_TIMER_SET, notification, deadline, bits, 0, 0).status;
}

/* The interrupt is delivered as those bits from now on. Right: MANAGE. */
static inline petrel_status petrel_irq_bind(petrel_handle irq, petrel_handle notification,
                                            uint64_t bits)
{
    return petrel_plain_call(PETREL_CALL_IRQ_BIND, irq, notification, bits, 0, 0).status;
}

/* It has been handled, and may come again. Right: MANAGE. */
static inline petrel_status petrel_irq_acknowledge(petrel_handle irq)
{
    return petrel_plain_call(PETREL_CALL_IRQ_ACKNOWLEDGE, irq, 0, 0, 0, 0).status;
}

/* The interrupt line of an SPI; `edge` is 0 for level, 1 for edge. Right: MANAGE. */
static inline petrel_status petrel_machine_irq(petrel_handle machine, uint32_t intid,
                                               uint32_t edge, petrel_handle *irq)
{
    return petrel_take_handle(
        petrel_plain_call(PETREL_CALL_MACHINE_IRQ, machine, intid, edge, 0, 0), irq);
}

/* A range of device registers: whole pages, no RAM. Right: MANAGE. */
static inline petrel_status petrel_machine_device_memory(petrel_handle machine, uint64_t physical,
                                                         uint64_t bytes, petrel_handle *memory)
{
    return petrel_take_handle(petrel_plain_call(PETREL_CALL_MACHINE_DEVICE_MEMORY, machine,
                                                physical, bytes, 0, 0),
                              memory);
}

/* A list of reports, from number `index` on, as many as there is room for. Right: INSPECT. */
static inline petrel_status petrel_machine_query(petrel_handle machine, uint64_t query,
                                                 void *reports, size_t room, uint64_t index,
                                                 uint64_t *written)
{
    return petrel_take_value(petrel_plain_call(PETREL_CALL_MACHINE_QUERY, machine, query,
                                               (uintptr_t)reports, room, index),
                             0, written);
}

/* From now on the kernel's lines wait for petrel_console_read. Right: MANAGE. */
static inline petrel_status petrel_console_take(petrel_handle machine, petrel_handle notification,
                                                uint64_t bits)
{
    return petrel_plain_call(PETREL_CALL_CONSOLE_TAKE, machine, notification, bits, 0, 0).status;
}

/* The kernel's lines. Right: MANAGE. */
static inline petrel_status petrel_console_read(petrel_handle machine, void *text, size_t room,
                                                uint64_t *bytes)
{
    return petrel_take_value(
        petrel_plain_call(PETREL_CALL_CONSOLE_READ, machine, (uintptr_t)text, room, 0, 0), 0,
        bytes);
}

/* Runs a workload, written as behind `run=`; `failed` is 0 when it passed. Right: MANAGE. */
static inline petrel_status petrel_machine_workload(petrel_handle machine, const char *workload,
                                                    size_t bytes, uint64_t *failed)
{
    return petrel_take_value(petrel_plain_call(PETREL_CALL_MACHINE_WORKLOAD, machine,
                                               (uintptr_t)workload, bytes, 0, 0),
                             0, failed);
}

/* Switches off, with a verdict. Right: MANAGE. */
static inline petrel_status petrel_machine_off(petrel_handle machine, uint64_t status,
                                               const char *verdict, size_t bytes)
{
    return petrel_plain_call(PETREL_CALL_MACHINE_OFF, machine, status, (uintptr_t)verdict, bytes,
                             0)
        .status;
}

/* ---- The library -------------------------------------------------------------------------- */

/*
 * What is declared from here on is in libpetrel.a. A program has the usual
 *
 *     int main(int argc, char **argv);
 *
 * and what it returns is the process's status. Plain C names that a program is likely to bring
 * itself (malloc, printf, puts, …) are weak: a program's own win.
 */

/* Ends the process, after what was printed has been written out. */
__attribute__((noreturn)) void petrel_exit(int status);

/* The handle that was granted under that name (`process`, `thread`, `console`, `files`, …), or
 * PETREL_NO_HANDLE. */
petrel_handle petrel_granted(const char *name);

/* What goes with it, or 0. */
uint32_t petrel_granted_detail(const char *name);

/* A status in words. */
const char *petrel_status_text(petrel_status status);

/* -- output: to the console service if there is one, else to the kernel's log. Written out at the
 *    end of each line, when a line is too long, and by petrel_flush -- */

void petrel_write(const void *text, size_t bytes);
int petrel_putchar(int character);
int petrel_puts(const char *text);
void petrel_flush(void);

/* d i u x X o c s p f %, with flags - 0 + space #, width, precision, *, and lengths hh h l ll z j t.
 * Returns how many bytes that made. */
__attribute__((format(printf, 1, 2))) int petrel_printf(const char *format, ...);
int petrel_vprintf(const char *format, va_list arguments);

/* The same into memory: at most room - 1 bytes and a zero byte. Returns how many bytes all of it
 * would have been. */
__attribute__((format(printf, 3, 4))) int petrel_snprintf(char *text, size_t room,
                                                          const char *format, ...);
int petrel_vsnprintf(char *text, size_t room, const char *format, va_list arguments);

/* -- memory: charged to the process's quota; NULL when that is used up -- */

void *petrel_malloc(size_t bytes);
void *petrel_calloc(size_t count, size_t bytes);
void *petrel_realloc(void *memory, size_t bytes);
void petrel_free(void *memory);

/* -- time -- */

/* The counter, in ticks. */
static inline uint64_t petrel_now(void)
{
    uint64_t ticks;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    return ticks;
}

/* Ticks in a second. */
static inline uint64_t petrel_frequency(void)
{
    uint64_t hertz;
    __asm__("mrs %0, cntfrq_el0" : "=r"(hertz));
    return hertz;
}

/* The deadline so many microseconds from now. */
static inline uint64_t petrel_after_us(uint64_t microseconds)
{
    uint64_t hertz = petrel_frequency();
    return petrel_now() + microseconds / 1000000 * hertz + microseconds % 1000000 * hertz / 1000000;
}

/* Ticks as microseconds. */
static inline uint64_t petrel_ticks_to_us(uint64_t ticks)
{
    uint64_t hertz = petrel_frequency();
    return ticks / hertz * 1000000 + ticks % hertz * 1000000 / hertz;
}

/* Sleeps for at least so many microseconds. */
static inline void petrel_sleep_us(uint64_t microseconds)
{
    petrel_sleep(petrel_after_us(microseconds));
}

/* -- threads -- */

/* A thread that petrel_spawn made. */
struct petrel_thread {
    petrel_handle handle; /* to suspend it, to set its priority, … */
    uint32_t reserved;
    void *join; /* the library's */
};

/* What is asked of it; zero in each field is the usual. */
struct petrel_spawn_options {
    uint64_t stack_bytes; /* 64 KiB; at most 512 KiB */
    uint32_t priority;    /* 1 to 31, at most the caller's own; that of the first thread */
    uint32_t reserved;    /* 0 */
    uint64_t cpus[2];     /* all */
};

/* Starts a thread, which ends when `entry` returns. `options` may be NULL. */
petrel_status petrel_spawn(struct petrel_thread *thread, void (*entry)(void *argument),
                           void *argument, const struct petrel_spawn_options *options);

/* Waits for its end, and frees its stack. Once for each thread. */
petrel_status petrel_join(struct petrel_thread *thread);

/* One thread at a time. Begins as PETREL_MUTEX. */
struct petrel_mutex {
    uint32_t state;
    petrel_handle bell;
};

#define PETREL_MUTEX { 0, PETREL_NO_HANDLE }

void petrel_mutex_lock(struct petrel_mutex *mutex);
void petrel_mutex_unlock(struct petrel_mutex *mutex);

/* -- the console and files: of services, so a program has them only where they run -- */

/* What a service answers, beside the kernel's numbers. */
enum {
    PETREL_SERVICE_BAD_REQUEST = 256,   /* it does not understand the request */
    PETREL_SERVICE_BAD_REPLY = 257,     /* its reply makes no sense */
    PETREL_SERVICE_NOT_FOUND = 258,
    PETREL_SERVICE_NOT_PERMITTED = 259,
    PETREL_SERVICE_EXISTS = 260,
    PETREL_SERVICE_IS_DIRECTORY = 261,
    PETREL_SERVICE_NOT_DIRECTORY = 262,
    PETREL_SERVICE_READ_ONLY = 263,
    PETREL_SERVICE_FULL = 264,
    PETREL_SERVICE_BAD_NAME = 265,
    PETREL_SERVICE_OUT_OF_RANGE = 266,
    PETREL_SERVICE_DEVICE = 267,        /* the device failed */
    PETREL_SERVICE_CORRUPT = 268,       /* what is on the device makes no sense */
    PETREL_SERVICE_NOT_EMPTY = 269,
    PETREL_SERVICE_NOT_LOADED = 270,
    PETREL_SERVICE_GIVEN_UP = 271,      /* died too often, and is not started any more */
};

/* Waits until there are bytes from the console, as they were typed: at most `room`. */
petrel_status petrel_console_input(void *text, size_t room, uint64_t deadline, size_t *bytes);

/* A file that is open. */
struct petrel_file;

/* Opens `path` of the init image's files, or with `service:path` of another file service. */
petrel_status petrel_file_open(const char *path, struct petrel_file **file);

/* Bytes it had when it was opened. */
uint64_t petrel_file_size(const struct petrel_file *file);

/* Reads from `offset` on; `bytes` is less than `room` only at the file's end. */
petrel_status petrel_file_read(const struct petrel_file *file, uint64_t offset, void *to,
                               size_t room, size_t *bytes);

/* Writes at `offset`; `bytes` is less than `count` only when there is no more room. */
petrel_status petrel_file_write(const struct petrel_file *file, uint64_t offset, const void *from,
                                size_t count, size_t *bytes);

/* NULL is allowed. */
void petrel_file_close(struct petrel_file *file);

/* -- the names that C programs expect -- */

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *memory, int byte, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t bytes);
char *strchr(const char *text, int character);

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *memory, size_t bytes);
void free(void *memory);

__attribute__((format(printf, 1, 2))) int printf(const char *format, ...);
__attribute__((format(printf, 3, 4))) int snprintf(char *text, size_t room, const char *format,
                                                   ...);
int putchar(int character);
int puts(const char *text);
__attribute__((noreturn)) void exit(int status);

#endif
