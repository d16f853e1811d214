#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t result_of(int64_t result) { return result < 0 ? -errno : result; }

int64_t hf_memfd_create(const char *name, bool allow_sealing) {
  return result_of(memfd_create(name, MFD_CLOEXEC | (allow_sealing ? MFD_ALLOW_SEALING : 0)));
}

int64_t hf_ftruncate(int fd, uint64_t size) { return result_of(ftruncate(fd, (off_t)size)); }

int64_t hf_seal_against_write(int fd) { return result_of(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); }

int64_t hf_reserve(void **out, uint64_t size, bool accessible) {
  void *at = mmap(NULL, size, accessible ? PROT_READ | PROT_WRITE : PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return -errno;
  *out = at;
  return 0;
}

int64_t hf_map_shared(void *at, uint64_t size, int fd, uint64_t offset) {
  void *got = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
  return got == MAP_FAILED ? -errno : 0;
}

int64_t hf_unmap_to_reserved(void *at, uint64_t size) {
  void *got = mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return got == MAP_FAILED ? -errno : 0;
}

int64_t hf_release_range(void *at, uint64_t size) { return result_of(munmap(at, size)); }

int64_t hf_discard(void *at, uint64_t size) { return result_of(madvise(at, size, MADV_DONTNEED)); }

int64_t hf_close(int fd) { return result_of(close(fd)); }

uint64_t hf_allocated_bytes(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

void hf_yield_processor(void) { sched_yield(); }

void hf_sleep_microseconds(uint32_t microseconds) {
  struct timespec pause = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};
  nanosleep(&pause, NULL);
}

int32_t hf_thread_id(void) {
  static _Thread_local int32_t id;
  if (id == 0) id = (int32_t)syscall(SYS_gettid);
  return id;
}

static _Thread_local hf_wait_function wait_function;
static _Thread_local void *wait_context;

void hf_set_wait_handler(hf_wait_function function, void *context) {
  wait_function = function;
  wait_context = context;
}

bool hf_run_wait_handler(uint32_t reason) {
  if (wait_function == NULL) return false;
  wait_function(wait_context, reason);
  return true;
}

static _Thread_local void *point_context;

void hf_set_point_context(void *context) { point_context = context; }

void *hf_point_context(void) { return point_context; }

_Thread_local hf_held_locks hf_own_held_locks;
_Thread_local hf_held_locks *hf_fiber_held_locks;

void hf_set_held_locks(hf_held_locks *locks) { hf_fiber_held_locks = locks; }
