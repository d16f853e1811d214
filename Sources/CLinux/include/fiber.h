/* Fibers: several stacks of one thread, and what the explorer of interleavings needs besides. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a new fiber runs; it must never return. */
typedef void (*hf_fiber_entry)(void *context);

/* A stack of `size` usable bytes above a guard page, taken from the host only where it is touched. */
int64_t hf_fiber_map_stack(void **out, size_t size);
int64_t hf_fiber_unmap_stack(void *stack, size_t size);
/* Lays out a fresh fiber on its stack, whatever ran there; returns what hf_fiber_switch resumes. */
void *hf_fiber_prepare(void *stack, size_t size, hf_fiber_entry entry, void *context);
/* Leaves the running fiber, whose place goes to `save`, and goes on with another one. */
void hf_fiber_switch(void **save, void *resume);

/* Catches the signals of a trap (illegal instruction, bad access, arithmetic, abort) in this thread: instead
   of ending the process, `function` is called, which must switch away and never come back to the fiber that
   trapped; if it returns, the process ends as it would have. NULL stops catching here; the former handlers
   come back when no thread catches, unless others came on top. Signals of other threads go to them at once. */
typedef void (*hf_trap_function)(void *context, int signal);
int64_t hf_catch_traps(hf_trap_function function, void *context);
