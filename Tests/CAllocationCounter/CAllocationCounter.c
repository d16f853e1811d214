#include "CAllocationCounter.h"

#include <errno.h>
#include <stddef.h>

#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || !defined(__GLIBC__)

uint64_t hf_allocations_of_thread(void) { return 0; }
bool hf_counts_allocations(void) { return false; }

#else

/* The executable's definitions take the place of glibc's for every library in the process; glibc's own
   stand behind these names. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static _Thread_local uint64_t allocations;

uint64_t hf_allocations_of_thread(void) { return allocations; }
bool hf_counts_allocations(void) { return true; }

void *malloc(size_t size) {
  allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  allocations++;
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  allocations++;
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  allocations++;
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void *at = memalign(alignment, size);
  if (at == NULL) return ENOMEM;
  *out = at;
  return 0;
}

#endif
