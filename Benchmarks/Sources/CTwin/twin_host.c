// What stands beside both twins: this host's clocks, memcpy and io_uring.
#define _GNU_SOURCE
#include "twin_page.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void *twin_reserve(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

__attribute__((cold)) void twin_lock_contended(twin_lock *l) {
  do {
    uint32_t spins = 0;
    while (atomic_load_explicit(&l->held, memory_order_relaxed)) {
      __builtin_ia32_pause();
      if (++spins % 1024 == 0) sched_yield();  // the holder may have lost its virtual CPU
    }
  } while (atomic_exchange_explicit(&l->held, 1, memory_order_acquire));
}

void twin_copy_pages(void *destination, const void *source, uint32_t pages) {
  for (size_t i = 0; i < pages; i++)
    memcpy((char *)destination + i * 4096, (const char *)source + i * 4096, 4096);
}

// The set that the process started with: binding a thread narrows its own.
static cpu_set_t allowed;

__attribute__((constructor)) static void remember_allowed(void) {
  if (sched_getaffinity(0, sizeof allowed, &allowed)) CPU_ZERO(&allowed);
}

uint32_t twin_cpu_count(void) { return (uint32_t)CPU_COUNT(&allowed); }

bool twin_bind_cpu(uint32_t index) {
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || index-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
  }
  return false;
}

static uint64_t now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t twin_wall_ns(void) { return now(CLOCK_MONOTONIC); }
uint64_t twin_thread_ns(void) { return now(CLOCK_THREAD_CPUTIME_ID); }

uint64_t twin_resident_bytes(void) {
  unsigned long long size = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file) return 0;
  if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
  fclose(file);
  return resident * 4096;
}

int twin_uring_open(twin_uring *uring, size_t bytes, bool huge) {
  struct io_uring_params parameters = { 0 };
  uring->bytes = bytes;
  uring->buffer = MAP_FAILED;
  uring->ring = (int)syscall(__NR_io_uring_setup, 1, &parameters);
  if (uring->ring < 0) return errno;
  // Twice the size, so that the buffer can start on a 2 MiB boundary.
  char *area = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) {
    int cause = errno;
    close(uring->ring);
    return cause;
  }
  size_t skip = (-(uintptr_t)area) & ((2u << 20) - 1);
  if (skip + bytes > 2 * bytes) skip = 0;
  if (skip) munmap(area, skip);
  munmap(area + skip + bytes, bytes - skip);
  uring->buffer = area + skip;
  madvise(uring->buffer, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  memset(uring->buffer, 1, bytes);
  return 0;
}

int twin_uring_register(twin_uring *uring) {
  struct iovec buffer = { .iov_base = uring->buffer, .iov_len = uring->bytes };
  return syscall(__NR_io_uring_register, uring->ring, IORING_REGISTER_BUFFERS, &buffer, 1) ? errno : 0;
}

int twin_uring_unregister(twin_uring *uring) {
  return syscall(__NR_io_uring_register, uring->ring, IORING_UNREGISTER_BUFFERS, NULL, 0) ? errno : 0;
}

void twin_uring_close(twin_uring *uring) {
  close(uring->ring);
  munmap(uring->buffer, uring->bytes);
}
