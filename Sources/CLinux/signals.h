/* Handlers of one signal that know of each other. */
#pragma once
#include <signal.h>
#include <stddef.h>

/* Gives a signal to the handler that was there before; without one the default action comes, when a fault is
   repeated or the signal is raised once more. Handlers stay where they are, so that the next signal finds them. */
static inline void pass_on(int signal, siginfo_t *information, void *context, const struct sigaction *former) {
  if (former->sa_flags & SA_SIGINFO) {
    if (former->sa_sigaction != NULL) {
      former->sa_sigaction(signal, information, context);
      return;
    }
  } else if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN) {
    former->sa_handler(signal);
    return;
  }
  struct sigaction plain = {.sa_handler = SIG_DFL};
  sigaction(signal, &plain, NULL);
  if (information->si_code <= 0) raise(signal);
}
