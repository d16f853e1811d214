#pragma once
#include <stdint.h>

/// Starts a program that is killed when the calling thread ends. Its descriptors 0 to `count` - 1 are the given
/// ones (/dev/null for -1), and it has no others. Returns its process id or -errno, also that of a failed exec.
int hf_guest_spawn(const char *path, char *const arguments[], const int *descriptors, int count);

/// Mounts a file system; makes the folder first. Returns 0 or -errno.
int hf_guest_mount(const char *source, const char *type, const char *target, const char *options);

/// Ends the machine: with -no-reboot, QEMU ends. Returns only on failure, -errno.
int hf_guest_reset(void);

/// Makes the console the controlling terminal of this process, which becomes a session leader.
void hf_guest_own_console(void);

/// A file without a name below a folder, open for reading and writing. Returns a descriptor or -errno.
int hf_guest_nameless_file(const char *folder);

/// A pair of connected stream sockets. Returns 0 or -errno.
int hf_guest_socket_pair(int pair[2]);
