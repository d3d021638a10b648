// Small programs over weft's primitives for explore: each throws where a reference model objects.
#pragma once

namespace test::scenario {

// Fibers send, receive and give up on one channel; the history must be one of a queue.
void channel_history();
// Two producers, two consumers that select: each value once, from its channel, in order.
void select_delivers();
// Locks of all kinds: never two at once, and nobody is forgotten.
void mutex_excludes();
// Readers and writers: never a writer beside another, and a writer that waits is next.
void rw_mutex_excludes();
void rw_mutex_lets_writers_in();
// Requests of several units: never more than there are, and all are served.
void semaphore_counts();
// A bounded queue under a mutex and two conditions: nothing is lost, nobody waits for ever.
void cond_hands_over();
// Children under a limit, one of which fails.
void group_joins();
// A tree that is cancelled while others wait in it and add to it.
void context_reaches_all();
// Stop and reset against the firing: no stale tick, and none is lost.
void timer_keeps_its_word();

}  // namespace test::scenario
