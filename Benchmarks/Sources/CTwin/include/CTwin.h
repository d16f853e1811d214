/// The C twins: the algorithms of the engine's measured paths in plain C, for ratios inside one run.
///
/// Everything here is a handle to an opaque object plus batch-shaped functions, the shape that the engine's
/// own interface has. Per-page functions (`twin_alloc`, `twin_free`) are not inlined into the loops that
/// drive them: those live in another file, so both languages pay for one call.
#ifndef CTWIN_H
#define CTWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TWIN_NIL UINT32_MAX

// MARK: Pinning

/// One address space over a flat array of descriptors, resident from `twin_space_base`.
typedef struct twin_space twin_space;

enum { TWIN_WRITE = 1, TWIN_LONGTERM = 2 };

/// Maps `pages` pages at consecutive addresses.
///
/// `folio_order` 0 maps order-0 pages by PTEs; 9 maps 2 MiB folios by PMDs. With `scattered`, order-0 pages
/// get frames in a fixed pseudo-random order. NULL when memory is short or `pages` is no multiple of a folio.
twin_space *twin_space_create(uint32_t pages, uint32_t folio_order, bool scattered, uint32_t cpus);
void twin_space_destroy(twin_space *space);
uint64_t twin_space_base(const twin_space *space);

/// Pins up to `count` pages from `address` without a lock and stores their frame numbers.
///
/// Returns how many; `*record` is the ledger's record of the call (`TWIN_NIL` when nothing was pinned).
uint32_t twin_pin_fast(
  twin_space *space, uint32_t cpu, uint64_t address, uint32_t count, uint32_t flags, uint32_t owner,
  uint32_t purpose, uint32_t *frames, uint32_t *record);

/// Releases what one `twin_pin_fast` took, and closes its record.
void twin_unpin(twin_space *space, uint32_t cpu, const uint32_t *frames, uint32_t count, uint32_t record);

/// Pins and unpins `pages` pages from page `first`, batch by batch, `rounds` times over.
///
/// Returns the number of pages pinned, so that the caller can see that no batch fell short.
uint64_t twin_pin_rounds(
  twin_space *space, uint32_t cpu, uint32_t first, uint32_t pages, uint32_t batch, uint64_t rounds,
  uint32_t *frames);

// MARK: Forking

/// A parent's address space of order-0 pages, all its own and writable, with room for the tables of a child.
typedef struct twin_fork twin_fork;

twin_fork *twin_fork_create(uint32_t pages);
void twin_fork_destroy(twin_fork *fork);
/// Copies the parent's tables for a child, and shares and write-protects every page; returns the child's root.
uint32_t twin_fork_copy(twin_fork *fork);
/// Ends the child and gives the parent its pages back, as they were.
void twin_fork_drop(twin_fork *fork, uint32_t root);
/// Pages that the child maps.
uint64_t twin_fork_resident(const twin_fork *fork);

// MARK: Allocation

/// One zone: buddy lists by order and migratetype, per-CPU lists, watermarks, counters.
typedef struct twin_zone twin_zone;

enum {
  TWIN_UNMOVABLE, TWIN_MOVABLE, TWIN_RECLAIMABLE, TWIN_HIGHATOMIC, TWIN_CMA, TWIN_ISOLATE, TWIN_MIGRATETYPES
};

/// Watermarks and per-CPU sizes follow from the two counts, as in the kernel: low 1286 pages, batch 63 and
/// high 643 for 1 GiB and two CPUs.
twin_zone *twin_zone_create(uint32_t pages, uint32_t cpus);
void twin_zone_destroy(twin_zone *zone);

/// The first frame of a block of 2^order pages with one reference, or `TWIN_NIL`.
uint32_t twin_alloc(twin_zone *zone, uint32_t cpu, uint32_t order, uint32_t migratetype);
/// Drops the reference that `twin_alloc` gave.
void twin_free(twin_zone *zone, uint32_t cpu, uint32_t frame, uint32_t order);
/// Empties every per-CPU list into the buddy lists.
void twin_zone_drain(twin_zone *zone);

/// Allocates `count` blocks and then frees them, `rounds` times over; returns the number of blocks got.
uint64_t twin_alloc_rounds(
  twin_zone *zone, uint32_t cpu, uint32_t order, uint32_t count, uint64_t rounds, uint32_t *frames);

// MARK: Offlining

/// Takes `pages` free pages from `first` out of the zone. Returns 0, or `EBUSY` with the zone as before.
int twin_offline(twin_zone *zone, uint32_t first, uint32_t pages);
/// Gives them back to the zone, as free movable memory.
void twin_online(twin_zone *zone, uint32_t first, uint32_t pages);

/// A memory block's bytes: one memfd, mapped as a window and touched.
typedef struct { int descriptor; void *window; size_t bytes; } twin_block_store;

/// 0 or an errno.
int twin_block_store_open(twin_block_store *store, size_t bytes, bool touch);
/// What the host takes to get the bytes back: munmap, F_SEAL_WRITE, close. 0 or an errno.
int twin_block_store_release(twin_block_store *store);

// MARK: Machine start

/// The metadata of a whole machine, reserved and not touched, with its sections marked present.
typedef struct twin_machine twin_machine;

twin_machine *twin_machine_start(uint64_t bytes);
void twin_machine_stop(twin_machine *machine);
/// Free pages that the zone counts and sections whose descriptors exist.
uint64_t twin_machine_free_pages(const twin_machine *machine);
uint32_t twin_machine_touched_sections(const twin_machine *machine);
/// Takes one page, initialising its section if it is the first of it: `TWIN_NIL` when there is none.
uint32_t twin_machine_take_page(twin_machine *machine);

// MARK: The host

/// memcpy, page by page, of a run of 4 KiB pages.
void twin_copy_pages(void *destination, const void *source, uint32_t pages);

/// Runs the calling thread on the `index`-th CPU that this process may use. False if there is none.
bool twin_bind_cpu(uint32_t index);
uint32_t twin_cpu_count(void);
uint64_t twin_wall_ns(void);
uint64_t twin_thread_ns(void);
/// Resident bytes of this process, 0 if /proc cannot tell.
uint64_t twin_resident_bytes(void);

/// An anonymous touched buffer and an io_uring that can register it.
typedef struct { int ring; void *buffer; size_t bytes; } twin_uring;

/// With `huge`, the buffer asks for 2 MiB pages; without, it refuses them. 0 or an errno.
int twin_uring_open(twin_uring *uring, size_t bytes, bool huge);
int twin_uring_register(twin_uring *uring);
int twin_uring_unregister(twin_uring *uring);
void twin_uring_close(twin_uring *uring);

// MARK: Self-tests

/// Each returns NULL, or the condition that did not hold.
const char *twin_pin_self_test(void);
const char *twin_fork_self_test(void);
const char *twin_alloc_self_test(void);
const char *twin_offline_self_test(void);
const char *twin_start_self_test(void);

#endif
