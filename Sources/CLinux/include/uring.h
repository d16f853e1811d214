#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Makes an io_uring with at least one entry. Returns its descriptor (close-on-exec) or -errno.
int hf_uring_setup(unsigned entries);

/// Registers a range as the fixed buffers of a ring, in slots of at most 1 GiB, which is the kernel's limit
/// for one: it pins every page of it, writable and long term, or none. Returns 0 or -errno.
int hf_uring_register_buffer(int ring, void *address, size_t length);

/// Drops all fixed buffers of a ring, and their pins with them. Returns 0 or -errno.
int hf_uring_unregister_buffers(int ring);

/// A ring with its queues mapped, that does one operation at a time; its lock makes it safe in several threads.
typedef struct hf_uring hf_uring;

/// Makes a ring and maps its queues. Returns 0 or -errno.
int hf_uring_open(hf_uring **out);

/// The descriptor of a ring.
int hf_uring_descriptor(const hf_uring *ring);

/// Transfers bytes between a file and the fixed buffers of a ring, which start at `base`: at most up to the
/// end of the slot that `address` is in. Returns how many bytes were transferred, or -errno.
int64_t hf_uring_transfer(hf_uring *ring, bool to_file, int file, uint64_t base, uint64_t address, size_t length,
                          uint64_t offset);

/// Unmaps the queues and closes the ring.
void hf_uring_close(hf_uring *ring);
