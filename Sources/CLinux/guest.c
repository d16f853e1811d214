#define _GNU_SOURCE
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most_descriptors = 16 };

static int result_of(long value) { return value < 0 ? -errno : (int)value; }

/* Runs in the child, between fork and exec: nothing here takes a lock. */
static void become(const char *path, char *const arguments[], const int *descriptors, int count, pid_t parent) {
  int high[most_descriptors];
  sigset_t none;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
  if (getppid() != parent) {
    errno = ECANCELED;
    return;
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  /* First out of the way of each other, then to their places. */
  for (int i = 0; i < count; i++) {
    int from = descriptors[i] >= 0 ? descriptors[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
    high[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, 64);
    if (high[i] < 0) return;
  }
  for (int i = 0; i < count; i++)
    if (dup2(high[i], i) < 0) return;
  if (syscall(SYS_close_range, count, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return;
  execv(path, arguments);
}

int hf_guest_spawn(const char *path, char *const arguments[], const int *descriptors, int count) {
  int report[2];
  int error = 0;
  ssize_t got;
  pid_t parent = getpid();
  if (count > most_descriptors) return -EINVAL;
  if (pipe2(report, O_CLOEXEC) != 0) return -errno;
  pid_t child = fork();
  if (child == 0) {
    /* Out of the reach of the descriptors that are put in place. */
    int out = fcntl(report[1], F_DUPFD_CLOEXEC, 128);
    become(path, arguments, descriptors, count, parent);
    error = errno;
    if (out >= 0 && write(out, &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  error = errno;
  close(report[1]);
  if (child < 0) {
    close(report[0]);
    return -error;
  }
  error = 0;
  do got = read(report[0], &error, sizeof error);
  while (got < 0 && errno == EINTR);
  close(report[0]);
  if (got == sizeof error) {
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return -error;
  }
  return child;
}

int hf_guest_mount(const char *source, const char *type, const char *target, const char *options) {
  if (mkdir(target, 0755) != 0 && errno != EEXIST) return -errno;
  return result_of(mount(source, target, type, 0, options));
}

int hf_guest_reset(void) {
  sync();
  return result_of(reboot(RB_AUTOBOOT));
}

void hf_guest_own_console(void) {
  setsid();
  ioctl(STDIN_FILENO, TIOCSCTTY, 0);
}

int hf_guest_nameless_file(const char *folder) {
  int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  return result_of(file);
}

int hf_guest_socket_pair(int pair[2]) { return result_of(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)); }
