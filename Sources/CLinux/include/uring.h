#pragma once
#include <stddef.h>

/// Makes an io_uring with at least one entry. Returns its descriptor (close-on-exec) or -errno.
int hf_uring_setup(unsigned entries);

/// Registers a range as the fixed buffers of a ring, in slots of at most 1 GiB, which is the kernel's limit
/// for one: it pins every page of it, writable and long term, or none. Returns 0 or -errno.
int hf_uring_register_buffer(int ring, void *address, size_t length);

/// Drops all fixed buffers of a ring, and their pins with them. Returns 0 or -errno.
int hf_uring_unregister_buffers(int ring);
