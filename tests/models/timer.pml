// Stopping and resetting a timer while it fires; and the timer of a wait, which lies on its stack.
//
// Code        include/weft/sched/timer_heap.hpp, src/sched/timer_heap.cpp; chan_timer of
//             src/time/timer.cpp; on_timer() of src/sched/wait.cpp
// Shows       after stop() or reset() has returned nobody receives a tick of before; each arming is
//             either received once or was prevented by one stop() or reset() that says so; a node
//             is in one heap at most and is taken out of the one that it is in. WAIT: nobody
//             touches the node of a wait that has ended, and the wait ends once.
// Bounds      two heaps, of which one is once emptied into the other; each of two users resets once
//             and stops once, and the first one receives. WAIT: one wait with one other source.
//
// Run channel:
// Run wait: -DWAIT
//
// Break LOOKS_AGAIN: src/sched/timer_heap.cpp: if (node.heap.load(relaxed) != heap) continue;
// Break FIRES_FIRST: src/sched/timer_heap.cpp: const std::int64_t next = node.fire(node, now);
// Break FIRES_LOCKED: src/sched/timer_heap.cpp: fire_first(now);
// Break DISARM_FIRST: src/time/timer.cpp: return take_back() || was_armed;
// Break TAKE_BACK: src/time/timer.cpp: return ticks_.try_recv_locked(tick, section.woken);
// Break TIMER_LOCK: src/time/timer.cpp: const bool was_pending = stop_locked();
// Break GONE in wait: src/sched/timer_heap.cpp: if (next == timer_node::gone) {
// Break DISARMS in wait: src/sched/wait.cpp: disarm(*timer_);
// Break CLAIM in wait: src/sched/wait.cpp: if (wait.try_claim(wait.timer_index_) != claim::parked) return never;

#define NOWHERE 2
#ifdef WAIT
bool alive;  // the wait, and the node with it
#define TOUCH_NODE assert(alive)
#else
#define TOUCH_NODE skip
#endif

bool heap_locked[2], in_heap[2];
byte home = NOWHERE;  // node.heap

inline lock(which) { atomic { !which -> which = true } }
inline unlock(which) { which = false }

// `was`: it was armed.
inline disarm(was) {
  do
  :: seen = home;
     if
     :: seen == NOWHERE -> was = false; break
     :: else
     fi;
     lock(heap_locked[seen]);
#ifndef BREAK_LOOKS_AGAIN
     if
     :: home != seen -> unlock(heap_locked[seen])
     :: else ->
#else
     if
     :: true ->
#endif
        atomic { assert(in_heap[seen]); in_heap[seen] = false };
        TOUCH_NODE;
        home = NOWHERE;
        unlock(heap_locked[seen]);
        was = true;
        break
     fi
  od;
  seen = 0
}

inline insert(where) {
  lock(heap_locked[where]);
  atomic { assert(!in_heap[0] && !in_heap[1]); in_heap[where] = true };
  home = where;
  unlock(heap_locked[where])
}

bool done;

#ifndef WAIT
#define USERS 2

bool timer_locked, channel_locked, has_tick;
byte armed, tick;                    // the number of the arming, and that of the tick that waits
byte received, prevented, finished;
bool ticks[5];                       // by arming: received or prevented

inline send(number) {
  lock(channel_locked);
  // One arming at a time: the last tick was received or taken back.
  assert(!has_tick);
  has_tick = true;
  tick = number;
  unlock(channel_locked)
}

// Fires what is in heap `which`, at any time.
active [2] proctype run_due() {
  byte which = _pid, number;
  do
  :: in_heap[which] ->
     lock(heap_locked[which]);
     if
     :: in_heap[which] ->
        number = armed;
#ifdef BREAK_FIRES_LOCKED
        in_heap[which] = false;
        home = NOWHERE;
        unlock(heap_locked[which]);
        send(number)
#else
        // What is left in the heap's array is removed without a touch of the node.
#ifdef BREAK_FIRES_FIRST
        atomic { home = NOWHERE; in_heap[which] = false };
        send(number);
#else
        send(number);
        atomic { home = NOWHERE; in_heap[which] = false };
#endif
        unlock(heap_locked[which])
#endif
     :: else -> unlock(heap_locked[which])
     fi;
     number = 0
  :: done -> break
  od
}

// take_all(): the first heap's processor goes.
active proctype mover() {
  lock(heap_locked[0]);
  lock(heap_locked[1]);
  if
  :: in_heap[0] -> in_heap[0] = false; in_heap[1] = true; home = 1
  :: else
  fi;
  unlock(heap_locked[1]);
  unlock(heap_locked[0])
}

// A tick of arming `number` ends here.
inline account(number) {
  atomic {
    assert(number == armed && !ticks[number]);
    ticks[number] = true
  }
}

inline take_back(was) {
  if
  :: has_tick ->
     lock(channel_locked);
     if
     :: has_tick -> account(tick); has_tick = false; was = true
     :: else
     fi;
     unlock(channel_locked)
  :: else
  fi
}

inline stop_locked() {
#ifdef BREAK_DISARM_FIRST
  take_back(was_pending);
  disarm(was_armed);
#else
  disarm(was_armed);
#ifndef BREAK_TAKE_BACK
  take_back(was_pending);
#endif
#endif
  // What was prevented, and was not a tick that was taken back, will never be one.
  if
  :: was_armed -> account(armed)
  :: else
  fi;
  atomic {
    was_armed = false;
    was_pending = false
  }
}

inline timer_lock() {
#ifndef BREAK_TIMER_LOCK
  lock(timer_locked)
#else
  skip
#endif
}

inline receive() {
  lock(channel_locked);
  if
  :: has_tick -> account(tick); has_tick = false
  :: else
  fi;
  unlock(channel_locked)
}

active [USERS] proctype user() {
  byte me = _pid - 3, seen;
  bool was_armed, was_pending;
  timer_lock();
  stop_locked();
  armed++;
  if
  :: true -> insert(0)
  :: true -> insert(1)
  fi;
  unlock(timer_locked);
  if
  :: me == 0 -> receive()
  :: true
  fi;
  timer_lock();
  stop_locked();
  // Nothing is armed now: nothing comes.
  assert(!has_tick && home == NOWHERE);
  unlock(timer_locked);
  finished++;
  if
  :: finished == USERS ->
     receive();
     assert(ticks[1] && ticks[2]);
     done = true
  :: else
  fi
}

#else

// The wait of waiter.hpp: open, or claimed by one of its sources.
bool claimed, woken, listed, list_locked;

inline try_claim(won) {
  atomic {
    assert(alive);
    won = !claimed;
    claimed = true
  }
}

active proctype run_due() {
  bool won;
  do
  :: in_heap[0] ->
     lock(heap_locked[0]);
     if
     :: in_heap[0] ->
        // fire_first(), on_timer()
        TOUCH_NODE;
#ifdef BREAK_CLAIM
        won = true;
#else
        try_claim(won);
#endif
        if
        :: won ->
           TOUCH_NODE;
           home = NOWHERE;
           atomic { assert(alive && !woken); woken = true };
#ifdef BREAK_GONE
           TOUCH_NODE;
           home = NOWHERE;
#endif
           in_heap[0] = false
        :: else ->
           TOUCH_NODE;
           home = NOWHERE;
           in_heap[0] = false
        fi;
        won = false
     :: else
     fi;
     unlock(heap_locked[0])
  :: done -> break
  od
}

active proctype source() {
  bool won;
  lock(list_locked);
  if
  :: listed -> listed = false; try_claim(won)
  :: else
  fi;
  unlock(list_locked);
  if
  :: won -> atomic { assert(alive && !woken); woken = true }
  :: else
  fi
}

active proctype waiter() {
  byte seen, waits;
  bool was_armed;
  do
  :: waits != 2 ->
     waits++;
     atomic { alive = true; claimed = false };
     insert(0);
     lock(list_locked);
     listed = true;
     unlock(list_locked);
     atomic { woken -> woken = false };
#ifndef BREAK_DISARMS
     disarm(was_armed);
#endif
     lock(list_locked);
     listed = false;
     unlock(list_locked);
     atomic { alive = false; was_armed = false }
  :: else -> break
  od;
  done = true
}
#endif
