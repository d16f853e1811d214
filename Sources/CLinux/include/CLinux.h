/* The system calls, constants and thread-local words that Swift's Glibc overlay does not reach.
   Thin typed wrappers that return a value or -errno; no policy here. */
#pragma once
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices.h"
#include "guest.h"
#include "fiber.h"
#include "uring.h"
#include "vfio.h"

/* Memory. */
int64_t hf_memfd_create(const char *name, bool allow_sealing);
int64_t hf_ftruncate(int fd, uint64_t size);
int64_t hf_seal_against_write(int fd);
int64_t hf_reserve(void **out, uint64_t size, bool accessible);
int64_t hf_map_shared(void *at, uint64_t size, int fd, uint64_t offset);
int64_t hf_unmap_to_reserved(void *at, uint64_t size);
int64_t hf_release_range(void *at, uint64_t size);
int64_t hf_discard(void *at, uint64_t size);
int64_t hf_close(int fd);
uint64_t hf_allocated_bytes(int fd);

/* Processor and waiting. */
static inline void hf_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
void hf_yield_processor(void);
void hf_sleep_microseconds(uint32_t microseconds);
int32_t hf_thread_id(void);

/* What a thread runs when it must wait for another one: set by a scenario that runs its actors one at a time. */
typedef void (*hf_wait_function)(void *context, uint32_t reason);
void hf_set_wait_handler(hf_wait_function function, void *context);
/* Whether a handler was there, and thus has run. */
bool hf_run_wait_handler(uint32_t reason);

/* The explorer of the current thread, which schedule points are told to; NULL until an exploration runs. */
void hf_set_point_context(void *context);
void *hf_point_context(void);

/* Locks held by the current thread, innermost last: the lock-order check of debug and explored builds. */
#define HF_HELD_LOCKS 80
typedef struct hf_held_locks {
  const void *address[HF_HELD_LOCKS];
  /* The top bit says that others may share the lock. */
  uint8_t rank[HF_HELD_LOCKS];
  int32_t count;
  /* A bit for each rank of which a lock is held, and of which one is held that is not shared. */
  uint32_t ranks, exclusive;
  /* While not 0, all bits of both are set: nothing else runs. */
  uint32_t at_rest;
} hf_held_locks;
extern _Thread_local hf_held_locks hf_own_held_locks;
extern _Thread_local hf_held_locks *hf_fiber_held_locks;
/* Inline, since every access to a field under a lock asks. */
static inline hf_held_locks *hf_current_held_locks(void) {
  return hf_fiber_held_locks != NULL ? hf_fiber_held_locks : &hf_own_held_locks;
}
/* Makes `locks` those of the current thread: each fiber has its own. NULL gives the thread its own back. */
void hf_set_held_locks(hf_held_locks *locks);
