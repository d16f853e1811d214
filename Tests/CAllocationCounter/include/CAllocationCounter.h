/* Counts the heap allocations of the current thread, for tests of paths that must make none. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Allocations that the current thread has made; always 0 where nothing is counted. */
uint64_t hf_allocations_of_thread(void);
/* Whether allocations are counted: not under a sanitizer, which has an allocator of its own. */
bool hf_counts_allocations(void);
