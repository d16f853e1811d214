#define _GNU_SOURCE
#include "devices.h"

#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

static int64_t result_of(int64_t result) { return result < 0 ? -errno : result; }

static void *at(uint64_t address) { return (void *)(uintptr_t)address; }

static int64_t address_of(void *got, uint64_t *out) {
  if (got == MAP_FAILED) return -errno;
  *out = (uint64_t)(uintptr_t)got;
  return 0;
}

static _Thread_local int mark = -1;

static void set_mark(const char *value) {
  int error = errno;
  if (mark >= 0 && pwrite(mark, value, 1, 0) < 0) mark = -1;
  errno = error;
}

void hf_mark_calls(int make_it_fail) {
  mark = make_it_fail;
  /* What the write itself touches is there before it counts. */
  set_mark("0");
}

void hf_call_begins(void) { set_mark("1"); }

void hf_call_ends(void) { set_mark("0"); }

int64_t hf_ioctl(int fd, uint64_t request, void *argument) {
  hf_call_begins();
  int64_t result = result_of(ioctl(fd, request, argument));
  hf_call_ends();
  return result;
}

int64_t hf_write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int64_t result = result_of(write(fd, text, strlen(text)));
  close(fd);
  return result;
}

int64_t hf_pread(int fd, void *into, size_t count, uint64_t offset) {
  return result_of(pread(fd, into, count, (off_t)offset));
}

int64_t hf_pwrite(int fd, const void *from, size_t count, uint64_t offset) {
  return result_of(pwrite(fd, from, count, (off_t)offset));
}

int64_t hf_pipe(int ends[2], size_t capacity) {
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  int64_t result = result_of(fcntl(ends[1], F_SETPIPE_SZ, capacity));
  if (result < 0) {
    close(ends[0]);
    close(ends[1]);
  }
  return result;
}

int64_t hf_vmsplice(int pipe, const void *from, size_t count) {
  struct iovec range = {(void *)from, count};
  return result_of(vmsplice(pipe, &range, 1, SPLICE_F_NONBLOCK));
}

int64_t hf_tee(int from, int into, size_t count) { return result_of(tee(from, into, count, SPLICE_F_NONBLOCK)); }

int64_t hf_read_available(int fd, void *into, size_t count) {
  struct pollfd wait = {fd, POLLIN, 0};
  int ready = poll(&wait, 1, 0);
  if (ready < 0) return -errno;
  if (ready == 0 || !(wait.revents & POLLIN)) return 0;
  return result_of(read(fd, into, count));
}

int64_t hf_memfd_create_flags(const char *name, uint32_t flags) {
  return result_of(memfd_create(name, MFD_CLOEXEC | flags));
}

int64_t hf_mmap(uint64_t hint, size_t size, int protection, int flags, int fd, uint64_t offset, uint64_t *out) {
  return address_of(mmap(at(hint), size, protection, flags, fd, (off_t)offset), out);
}

int64_t hf_munmap(uint64_t address, size_t size) { return result_of(munmap(at(address), size)); }

int64_t hf_mprotect(uint64_t address, size_t size, int protection) {
  return result_of(mprotect(at(address), size, protection));
}

int64_t hf_madvise(uint64_t address, size_t size, int advice) {
  return result_of(madvise(at(address), size, advice));
}

int64_t hf_mremap(uint64_t address, size_t old_size, size_t new_size, int flags, uint64_t target, uint64_t *out) {
  return address_of(mremap(at(address), old_size, new_size, flags, at(target)), out);
}

int64_t hf_mlock(uint64_t address, size_t size) { return result_of(mlock(at(address), size)); }

int64_t hf_munlock(uint64_t address, size_t size) { return result_of(munlock(at(address), size)); }

int64_t hf_move_pages(int32_t process, size_t count, const uint64_t *addresses, const int32_t *nodes,
                      int32_t *statuses, int32_t flags) {
  return result_of(syscall(SYS_move_pages, process, count, addresses, nodes, statuses, flags));
}

int64_t hf_mbind(uint64_t address, size_t size, int mode, uint64_t nodes, uint32_t flags) {
  return result_of(syscall(SYS_mbind, at(address), size, mode, &nodes, 65, flags));
}

int64_t hf_set_memlock_limit(uint64_t soft, uint64_t hard) {
  struct rlimit limit = {soft, hard};
  return result_of(setrlimit(RLIMIT_MEMLOCK, &limit));
}

int64_t hf_use_lock_capability(bool use) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return -errno;
  uint32_t bit = (uint32_t)1 << CAP_IPC_LOCK;
  data[0].effective = use ? data[0].effective | bit : data[0].effective & ~bit;
  return result_of(syscall(SYS_capset, &header, data));
}

int64_t hf_swapon(const char *path) { return result_of(swapon(path, 0)); }

int64_t hf_swapoff(const char *path) { return result_of(swapoff(path)); }

int64_t hf_run_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return result_of(sched_setaffinity(0, sizeof set, &set));
}

int64_t hf_fork(void) { return result_of(fork()); }

int64_t hf_kill(int32_t process, int signal) { return result_of(kill(process, signal)); }

int64_t hf_kill_thread(int32_t process, int32_t thread, int signal) {
  return result_of(syscall(SYS_tgkill, process, thread, signal));
}

enum { signal_count = 65 };
static _Atomic uint64_t interruptions[signal_count];

static void interrupted(int signal) {
  if (signal < signal_count) atomic_fetch_add(&interruptions[signal], 1);
}

int64_t hf_interrupt_on(int signal) {
  struct sigaction action = {.sa_handler = interrupted};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  if (sigaction(signal, &action, NULL) < 0) return -errno;
  return -(int64_t)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

uint64_t hf_interruptions(int signal) {
  return signal >= 0 && signal < signal_count ? atomic_load(&interruptions[signal]) : 0;
}

/* A guarded access in progress. `done` counts the bytes that are through. */
struct guard {
  sigjmp_buf back;
  hf_access_fault *fault;
  volatile size_t done;
};

static _Thread_local struct guard *volatile current_guard;
static struct sigaction previous_segv, previous_bus;

static void on_fault(int signal, siginfo_t *information, void *context) {
  struct guard *guard = current_guard;
  if (guard == NULL || information->si_code <= 0) {
    pass_on(signal, information, context, signal == SIGBUS ? &previous_bus : &previous_segv);
    return;
  }
  guard->fault->signal = signal;
  guard->fault->code = information->si_code;
  guard->fault->address = (uint64_t)(uintptr_t)information->si_addr;
  current_guard = NULL;
  siglongjmp(guard->back, 1);
}

static void install(void) {
  /* The handler leaves by a jump: with SA_NODEFER there is no signal mask to restore. */
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  sigaction(SIGSEGV, &action, &previous_segv);
  sigaction(SIGBUS, &action, &previous_bus);
}

static pthread_once_t installed = PTHREAD_ONCE_INIT;

static uint64_t word_of(hf_words words, size_t offset) {
  return ((words.first + offset / 8 + 1) * words.step) ^ words.key;
}

#define BEGIN_GUARDED(count, step)                    \
  struct guard guard = {.fault = fault, .done = 0};   \
  memset(fault, 0, sizeof *fault);                    \
  pthread_once(&installed, install);                  \
  if (sigsetjmp(guard.back, 0) == 0) {                \
    current_guard = &guard;                           \
    atomic_signal_fence(memory_order_seq_cst);        \
    for (; guard.done + step <= count; guard.done += step) {

#define END_GUARDED                            \
    }                                          \
    atomic_signal_fence(memory_order_seq_cst); \
  }                                            \
  current_guard = NULL;                        \
  return guard.done;

size_t hf_guarded_load(uint64_t from, void *into, size_t count, hf_access_fault *fault) {
  BEGIN_GUARDED(count, 1)
  ((uint8_t *)into)[guard.done] = *(volatile uint8_t *)at(from + guard.done);
  END_GUARDED
}

size_t hf_guarded_store(uint64_t to, const void *from, size_t count, hf_access_fault *fault) {
  BEGIN_GUARDED(count, 1)
  *(volatile uint8_t *)at(to + guard.done) = ((const uint8_t *)from)[guard.done];
  END_GUARDED
}

size_t hf_guarded_fill(uint64_t to, size_t count, hf_words words, hf_access_fault *fault) {
  BEGIN_GUARDED(count, 8)
  *(volatile uint64_t *)at(to + guard.done) = word_of(words, guard.done);
  END_GUARDED
}

size_t hf_guarded_compare(uint64_t from, size_t count, hf_words words, hf_access_fault *fault) {
  BEGIN_GUARDED(count, 8)
  if (*(volatile uint64_t *)at(from + guard.done) != word_of(words, guard.done)) break;
  END_GUARDED
}

size_t hf_guarded_digest(uint64_t from, size_t count, uint64_t *digest, hf_access_fault *fault) {
  *digest = 0xcbf29ce484222325u;
  BEGIN_GUARDED(count, 8)
  /* FNV-1a over words; the shift lets high bits reach low ones. */
  uint64_t mixed = (*digest ^ *(volatile uint64_t *)at(from + guard.done)) * 0x100000001b3u;
  *digest = mixed ^ mixed >> 29;
  END_GUARDED
}
