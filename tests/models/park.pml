// Parking one task and waking it: a fiber in a list, one that watches a source too, a plain thread.
//
// Code        src/sched/wait.cpp, include/weft/sched/waiter.hpp, src/sched/cancel_source.cpp,
//             park_current() and switch_to() of include/weft/sched/switch_fiber.hpp
// Shows       the fiber runs on one machine at a time: nobody resumes it while it is still on its
//             stack. It is in one run queue at most. Each park ends by one claim and one wake-up,
//             and none is lost. Nobody touches a wait that has ended.
// Model       the fiber parks twice, in a list from which somebody takes it; with SHARED it also
//             watches a source that fires once, at any time; with THREAD it is a plain thread that
//             may also time out. Two machines run it; one of them does its park commit.
// Bounds      two parks, two machines.
//
// Run shared: -DSHARED
// Run single:
// Run thread: -DSHARED -DTHREAD
//
// Break COMMITS_LATE in single: include/weft/sched/switch_fiber.hpp: m.commit = commit;
// Break COMMITS_LATE_SHARED in shared: include/weft/sched/switch_fiber.hpp: m.commit = commit;
// Break OPEN: src/sched/wait.cpp: return word_.compare_exchange(word, open, acq_rel);
// Break NOTIFIED: src/sched/wait.cpp: if (!parked) ready(f);
// Break READIES in shared: src/sched/wait.cpp: return is_open ? claim::parked : claim::running;
// Break CLAIM: src/sched/wait.cpp: if (word_.compare_exchange(word, claimed + index, acq_rel))
// Break FIRED: src/sched/cancel_source.cpp: if (fired_.load(relaxed)) return false;
// Break DETACH: src/sched/wait.cpp: take_off(places_[i]);
// Break WAKES_LAST: include/weft/sched/waiter.hpp: first->state->wake();
// Break TIMES_OUT in thread: src/sched/wait.cpp: try_claim_shared(timer_index_) == claim::lost) note_.wait();

#define PARKS 2

mtype = { arming, open, claimed };
mtype word = arming;
bool alive, linked, list_locked, source_linked, source_locked, fired, done, note;
byte runnable = 1, on_stack, claims;

inline lock(which) { atomic { !which -> which = true } }
inline unlock(which) { which = false }

// `how`: what it was; a single wait is claimed by being taken off its list.
inline try_claim(how) {
#ifndef SHARED
  atomic { assert(alive); how = open; claims++; assert(claims == 1) }
#else
  atomic { assert(alive); how = word };
#ifndef BREAK_CLAIM
  atomic {
    how = word;
#else
  atomic {
#endif
    if
    :: how != claimed -> word = claimed; claims++; assert(claims == 1)
    :: else
    fi
  }
#endif
}

// The last touch of the wait.
inline wake() {
  atomic {
    assert(alive);
#ifdef THREAD
    note = true
#else
    runnable++;
    assert(runnable == 1)
#endif
  }
}

inline commit() {
#ifdef SHARED
#ifdef BREAK_OPEN
  atomic { parked = true; word = open };
#else
  atomic {
    parked = (word == arming);
    if
    :: parked -> word = open
    :: else
    fi
  };
#endif
  unlock(list_locked);
#if !defined(BREAK_NOTIFIED) && !defined(THREAD)
  if
  :: !parked -> wake()
  :: else
  fi;
#endif
  parked = false
#else
  unlock(list_locked)
#endif
}

// The waits' end: off all lists.
inline end_wait() {
#ifdef SHARED
  assert(word == claimed);
  lock(source_locked);
  source_linked = false;
  unlock(source_locked);
#ifndef BREAK_DETACH
  lock(list_locked);
  linked = false;
  unlock(list_locked);
#endif
#endif
  atomic { assert(claims == 1); claims = 0; alive = false }
}

inline begin_wait() {
  atomic { alive = true; word = arming };
#ifdef SHARED
  lock(source_locked);
#ifndef BREAK_FIRED
  if
  :: fired -> cancelled = true
  :: else -> source_linked = true
  fi;
#else
  source_linked = true;
#endif
  unlock(source_locked);
#endif
  if
  :: !cancelled -> lock(list_locked); linked = true
  :: else -> alive = false
  fi
}

#ifndef THREAD
byte parks;

active [2] proctype machine() {
  bool parked, cancelled;
  do
  :: atomic { runnable != 0 -> runnable-- } ->
     atomic { on_stack++; assert(on_stack == 1) };
     if
     :: parks != 0 -> end_wait()
     :: else
     fi;
     if
     :: parks != PARKS -> parks++; begin_wait()
     :: else -> cancelled = true
     fi;
     if
     :: cancelled -> on_stack--; done = true; break
     :: else
     fi;
#if defined(BREAK_COMMITS_LATE) || defined(BREAK_COMMITS_LATE_SHARED)
     commit();
     on_stack--
#else
     // The switch; the commit is done on the far side.
     on_stack--;
     commit()
#endif
  :: done -> break
  od
}
#else
active proctype thread() {
  byte parks;
  bool parked, cancelled;
  mtype how = claimed;
  do
  :: parks != PARKS ->
     parks++;
     note = false;
     begin_wait();
     if
     :: cancelled -> break
     :: else
     fi;
     // park_thread()
     atomic {
       parked = (word == arming);
       if
       :: parked -> word = open
       :: else
       fi
     };
     unlock(list_locked);
     if
     :: parked ->
        if
        :: note
        :: true ->
           how = arming;
#ifndef BREAK_TIMES_OUT
           try_claim(how);
#else
           if
           :: word != claimed -> word = claimed; claims = 1
           :: else
           fi;
#endif
           if
           :: how == claimed -> note
           :: else
           fi
        fi
     :: else
     fi;
     parked = false;
     end_wait()
  :: else -> break
  od;
  done = true
}
#endif

// Takes it off the list, with data.
active proctype source() {
  mtype how = claimed;
  do
  :: lock(list_locked);
     how = claimed;
     if
     :: linked -> linked = false; try_claim(how)
     :: else
     fi;
#ifdef SHARED
     // I3 of waiter.hpp
     assert(how != arming);
#endif
#ifdef BREAK_WAKES_LAST
     if
     :: how == open -> wake()
     :: else
     fi;
     unlock(list_locked);
     if
     :: how == open -> assert(alive)
     :: else
     fi
#else
     unlock(list_locked);
     if
     :: how == open -> wake()
     :: else
     fi
#endif
  :: done -> break
#ifdef SHARED
  :: true -> break
#endif
  od
}

#ifdef SHARED
active proctype canceller() {
  mtype how = claimed;
  lock(source_locked);
  fired = true;
  if
  :: source_linked -> source_linked = false; try_claim(how)
  :: else
  fi;
  unlock(source_locked);
  if
  :: how == open -> wake()
#ifdef BREAK_READIES
  :: how == arming -> wake()
#endif
  :: else
  fi
}
#endif
