/* System calls on memory, pipes and device files, and memory accesses that survive a fault.
   Every function returns a value that is not negative, or -errno. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The thread's file make-it-fail, or -1: the pinning calls below are marked for fault injection while they run, and
   nothing else is, because a page fault between two calls would use the failures up. */
void hf_mark_calls(int make_it_fail);
void hf_call_begins(void);
void hf_call_ends(void);

/* Files. */
int64_t hf_ioctl(int fd, uint64_t request, void *argument);
/* One write of a whole text to a file that exists. A signal that arrives meanwhile gives -EINTR. */
int64_t hf_write_text(const char *path, const char *text);
int64_t hf_pread(int fd, void *into, size_t count, uint64_t offset);
int64_t hf_pwrite(int fd, const void *from, size_t count, uint64_t offset);
int64_t hf_pipe(int ends[2], size_t capacity);
int64_t hf_vmsplice(int pipe, const void *from, size_t count);
int64_t hf_tee(int from, int into, size_t count);
int64_t hf_read_available(int fd, void *into, size_t count);

/* Memory. */
int64_t hf_memfd_create_flags(const char *name, uint32_t flags);
int64_t hf_mmap(uint64_t hint, size_t size, int protection, int flags, int fd, uint64_t offset, uint64_t *out);
int64_t hf_munmap(uint64_t address, size_t size);
int64_t hf_mprotect(uint64_t address, size_t size, int protection);
int64_t hf_madvise(uint64_t address, size_t size, int advice);
int64_t hf_mremap(uint64_t address, size_t old_size, size_t new_size, int flags, uint64_t target, uint64_t *out);
int64_t hf_mlock(uint64_t address, size_t size);
int64_t hf_munlock(uint64_t address, size_t size);
int64_t hf_move_pages(int32_t process, size_t count, const uint64_t *addresses, const int32_t *nodes,
                      int32_t *statuses, int32_t flags);
int64_t hf_mbind(uint64_t address, size_t size, int mode, uint64_t nodes, uint32_t flags);
int64_t hf_set_memlock_limit(uint64_t soft, uint64_t hard);
/* Whether the calling thread uses CAP_IPC_LOCK, which lifts the limits on locked and pinned memory. */
int64_t hf_use_lock_capability(bool use);
int64_t hf_swapon(const char *path);
int64_t hf_swapoff(const char *path);

/* Processes and signals. */
int64_t hf_fork(void);
/* Keeps the calling thread on one processor. */
int64_t hf_run_on(int cpu);
int64_t hf_kill(int32_t process, int signal);
int64_t hf_kill_thread(int32_t process, int32_t thread, int signal);
/* Makes a signal interrupt the system call it meets instead of ending the process. */
int64_t hf_interrupt_on(int signal);
uint64_t hf_interruptions(int signal);

/* Why an access failed: signal 0 if it did not. */
typedef struct hf_access_fault {
  int32_t signal;
  int32_t code;
  uint64_t address;
} hf_access_fault;

/* Loads and stores that end early at SIGSEGV or SIGBUS, and say how many bytes were done before.
   They are safe in several threads at once; the handlers are installed by the first one. */
size_t hf_guarded_load(uint64_t from, void *into, size_t count, hf_access_fault *fault);
size_t hf_guarded_store(uint64_t to, const void *from, size_t count, hf_access_fault *fault);
/* Words at offsets that are multiples of 8: ((first + offset / 8 + 1) * step) ^ key. */
typedef struct hf_words {
  uint64_t first;
  uint64_t step;
  uint64_t key;
} hf_words;

/* Stores, or compares, such words. The comparison stops at the first word that differs, without a fault.
   Count is a multiple of 8. */
size_t hf_guarded_fill(uint64_t to, size_t count, hf_words words, hf_access_fault *fault);
size_t hf_guarded_compare(uint64_t from, size_t count, hf_words words, hf_access_fault *fault);
/* A digest of the bytes; two contents that differ give, all but certainly, two digests that do. */
size_t hf_guarded_digest(uint64_t from, size_t count, uint64_t *digest, hf_access_fault *fault);
