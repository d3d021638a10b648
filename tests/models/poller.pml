// The poller's deadline: who arms a timer wakes the machine that sleeps past it.
//
// Code        sleep_in_poller(), publish_poll_deadline(), end_poll() and armed() of
//             src/sched/machines.cpp, break_poller() of src/sched/ready.cpp
// Shows       the machine in the poller never sleeps on beyond the first timer that is armed.
// Memory      both sides' stores wait in a buffer, in order; only a full fence holds them up.
// Bounds      one machine that comes back from the poller up to three times, one thread that arms
//             two timers, the second one due earlier.
//
// Run all:
//
// Break ARM_FENCE: src/sched/machines.cpp: full_fence();
// Break POLL_FENCE: src/sched/machines.cpp: full_fence();
// Break AGAIN: src/sched/machines.cpp: const std::int64_t again = earliest_timer();
// Break SLEEPS: src/sched/machines.cpp: poller_sleeps_ = true;
// Break BREAKS: src/sched/ready.cpp: poller_->break_wait();

#define NEVER 9
#define ARMER 0
#define MACHINE 1

byte next_due = NEVER, poll_until = NEVER;
bool polling, poller_sleeps, poller_broken, locked, break_wait, asleep, armed_all;
byte deadline = NEVER;

mtype = { due_is, until_is, polling_is, unlock };
chan buffer[2] = [6] of { mtype, byte };

active proctype memory() {
  mtype what;
  byte value;
end:
  do
  :: atomic {
       if
       :: buffer[ARMER]?what, value
       :: buffer[MACHINE]?what, value
       fi;
       if
       :: what == due_is -> next_due = value
       :: what == until_is -> poll_until = value
       :: what == polling_is -> polling = value
       :: what == unlock -> locked = false
       fi;
       what = 0;
       value = 0
     }
  od
}

active proctype armer() {
  byte due;
  bool breaks;
  due = 2;
  do
  :: due != 0 ->
     buffer[ARMER]!due_is, due;
#ifndef BREAK_ARM_FENCE
     empty(buffer[ARMER]);
#endif
     if
     :: due >= poll_until -> goto next
     :: else
     fi;
     if
     :: !polling -> goto next
     :: else
     fi;
     atomic {
       !locked ->
       breaks = poller_sleeps && !poller_broken;
       if
       :: breaks -> poller_broken = true
       :: else
       fi;
       locked = true;
       buffer[ARMER]!unlock, 0
     };
#ifndef BREAK_BREAKS
     if
     :: breaks -> break_wait = true
     :: else
     fi;
#endif
next:
     atomic { breaks = false; due-- }
  :: else -> break
  od;
  empty(buffer[ARMER]);
  armed_all = true
}

active proctype machine() {
  byte again = NEVER, waits;
  do
  :: buffer[MACHINE]!polling_is, 1;
     atomic {
       !locked ->
#ifndef BREAK_SLEEPS
       poller_sleeps = true;
#endif
       poller_broken = false;
       locked = true;
       buffer[MACHINE]!unlock, 0
     };
     deadline = next_due;
     do
     :: buffer[MACHINE]!until_is, deadline;
#ifndef BREAK_POLL_FENCE
        empty(buffer[MACHINE]);
#endif
#ifdef BREAK_AGAIN
        again = deadline;
#else
        again = next_due;
#endif
        if
        :: again >= deadline -> break
        :: else -> deadline = again
        fi
     od;
     asleep = true;
end_asleep:
     if
     :: atomic { break_wait -> break_wait = false; asleep = false }
     :: atomic { waits < 2 -> waits++; asleep = false }  // for some other reason
     fi;
     atomic {
       !locked ->
       poller_sleeps = false;
       poller_broken = false;
       locked = true;
       buffer[MACHINE]!unlock, 0
     };
     buffer[MACHINE]!until_is, NEVER;
     buffer[MACHINE]!polling_is, 0;
     // It goes on to look at the timers, and comes back.
     again = NEVER
  od
}

// Nobody does anything any more.
active proctype at_the_end() {
end:
  armed_all && asleep && !break_wait && empty(buffer[MACHINE]) -> assert(deadline <= next_due)
}
