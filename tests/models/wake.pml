// Waking machines for work: who makes work visible, who looks for it, who stops looking.
//
// Code        find_runnable(), take_global(), steal_work(), start_spinning(), stop_spinning(),
//             drop_spinning() of src/sched/schedule.cpp; go_idle(), acquire_idle(),
//             sleep_in_poller(), sleep_on_note(), start_with() of src/sched/machines.cpp;
//             inject(), ready_local(), wake_one() of src/sched/ready.cpp
// Shows       two fibers that wait for one another run at once on two processors, whoever made
//             them runnable and whatever the machines were doing: no wake-up is lost, without any
//             help of sysmon. At the end both processors are idle and nobody counts as spinning.
// Memory      each thread's stores to the words of the protocol wait in a buffer, in order; so do
//             its exchanges on them where nothing depends on their result, as on a machine whose
//             later loads may overtake them. Only a full fence holds them up. The lock's holder
//             releases it behind its stores.
// Bounds      two processors; three machines, of which one is started when it is needed; paths that
//             would start another one are left. Both fibers without buffers, and one with them; the
//             long run has both.
//
// Run strong: -DFOREIGN -DSTRONG
// Run foreign: -DFOREIGN -DFIBERS=1
// Run local:
// Run long both: -DFOREIGN
//
// Break SUBMIT_FENCE in foreign: src/sched/ready.cpp: full_fence();
// Break READY_FENCE in local: src/sched/ready.cpp: full_fence();
// Break IDLE_FENCE in foreign: src/sched/machines.cpp: full_fence();
// Break LOOKS_AGAIN in strong: src/sched/machines.cpp: if (has_visible_work() && acquire_idle(m)) {
// Break DROPS_FIRST in strong: src/sched/machines.cpp: drop_spinning(m);
// Break LAST_WAKES in strong: src/sched/schedule.cpp: if (spinning_.fetch_sub(1, seq_cst) != 1) return;
// Break long LAST_FENCE in both: src/sched/schedule.cpp: full_fence();
// Break TAKES_BACK in strong: src/sched/ready.cpp: spinning_.fetch_sub(1, seq_cst);
// Break long BACK_LOCKED in strong: src/sched/ready.cpp: if (p == nullptr) spinning_.fetch_sub(1, seq_cst);
// Break BREAKS_POLLER in strong: src/sched/ready.cpp: if (breaks) poller_->break_wait();
// Break HANDS_SPINNING in strong: src/sched/machines.cpp: m.is_spinning = std::exchange(m.handed_spinning, false);

#ifndef FIBERS
#define FIBERS 2
#endif
#define MACHINES 3
#define SUBMITTER MACHINES  // a plain thread
#define NOBODY 255

// The words of the protocol, as they are in memory.
byte idle_count, spinning, global_size, local_work[2];
bool polling;

// Guarded by the lock.
bool locked, listed[2], sleeps[MACHINES], poller_sleeps, poller_broken;
byte global_queue;

bool woken[MACHINES], break_wait, handed_spinning[MACHINES];
byte handed[MACHINES] = NOBODY;
bool launched[MACHINES];
bool exhausted;
byte started, awake = 2;  // the submitter, and the first machine

mtype = { idle_plus, idle_minus, spinning_plus, spinning_minus, global_is, local_plus, unlock,
          wake_machine, wake_poller };
chan buffer[MACHINES + 1] = [8] of { mtype, byte };

inline apply(what, value) {
  if
  :: what == idle_plus -> idle_count++
  :: what == idle_minus -> idle_count--
  :: what == spinning_plus -> spinning++
  :: what == spinning_minus -> spinning--
  :: what == global_is -> global_size = value
  :: what == local_plus -> local_work[value]++
  :: what == unlock -> locked = false
  :: what == wake_machine -> woken[value] = true
  :: what == wake_poller -> break_wait = true
  fi
}

// A store of thread `me`.
inline put(me, what, value) {
#ifdef STRONG
  apply(what, value)
#else
  buffer[me]!what, value
#endif
}

active proctype memory() {
  mtype what;
  byte value;
end:
  do
  :: atomic {
       if
       :: buffer[0]?what, value
       :: buffer[1]?what, value
       :: buffer[2]?what, value
       :: buffer[MACHINES]?what, value
       fi;
       apply(what, value);
       what = 0;
       value = 0
     }
  // Beyond the bounds nothing is shown.
  :: exhausted
  od
}

inline full_fence(me) { empty(buffer[me]) }

// The caller holds the lock. The first idle processor, or NOBODY.
inline pop_idle(me, out) {
  if
  :: listed[0] -> listed[0] = false; out = 0; put(me, idle_minus, 0)
  :: !listed[0] && listed[1] -> listed[1] = false; out = 1; put(me, idle_minus, 0)
  :: else -> out = NOBODY
  fi
}

inline wake_one(me) {
  if
  :: idle_count == 0 -> goto nobody_to_wake
  :: else
  fi;
  if
  :: spinning != 0 -> goto nobody_to_wake
  :: else
  fi;
  // The exchange.
  d_step {
    if
    :: spinning == 0 -> spinning = 1; won = true
    :: else
    fi
  };
  if
  :: won -> won = false
  :: else -> goto nobody_to_wake
  fi;
  atomic {
    !locked && len(buffer[me]) < 5 ->
    chosen = NOBODY;
    given = NOBODY;
    if
    :: listed[0] || listed[1] ->
       if
       :: sleeps[0] -> sleeps[0] = false; chosen = 0
       :: !sleeps[0] && sleeps[1] -> sleeps[1] = false; chosen = 1
       :: !sleeps[0] && !sleeps[1] && sleeps[2] -> sleeps[2] = false; chosen = 2
       :: else ->
          if
          :: poller_sleeps ->
             breaks = !poller_broken;
             poller_broken = true
          :: else
          fi
       fi;
       if
       :: !poller_broken || chosen != NOBODY -> pop_idle(me, given)
       :: else
       fi
    :: else
    fi;
    won = (given == NOBODY);
#if !defined(BREAK_TAKES_BACK) && !defined(BREAK_BACK_LOCKED)
    if
    :: won -> put(me, spinning_minus, 0)
    :: else
    fi;
#endif
    locked = true;
    put(me, unlock, 0)
  };
#ifdef BREAK_BACK_LOCKED
  if
  :: won -> put(me, spinning_minus, 0)
  :: else
  fi;
#endif
  if
  :: given != NOBODY ->
     // start_with()
     atomic {
       if
       :: chosen == NOBODY ->
          chosen = 2;
          do
          :: chosen < MACHINES && launched[chosen] -> chosen++
          :: else -> break
          od;
          if
          :: chosen == MACHINES -> exhausted = true; false
          :: else
          fi;
          launched[chosen] = true
       :: else
       fi;
       handed[chosen] = given;
       handed_spinning[chosen] = true;
       put(me, wake_machine, chosen)
     }
  :: else
  fi;
#ifndef BREAK_BREAKS_POLLER
  if
  :: breaks -> put(me, wake_poller, 0)
  :: else
  fi;
#endif
nobody_to_wake:
  atomic { chosen = NOBODY; given = NOBODY; breaks = false; won = false }
}

// A plain thread makes both fibers runnable.
proctype submitter() {
  byte submitted, chosen = NOBODY, given = NOBODY;
  bool breaks, won;
#ifdef FOREIGN
  do
  :: submitted < FIBERS ->
     atomic {
       !locked ->
       submitted++;
       global_queue++;
       put(SUBMITTER, global_is, global_queue);
       locked = true;
       put(SUBMITTER, unlock, 0)
     };
#ifndef BREAK_SUBMIT_FENCE
     full_fence(SUBMITTER);
#endif
     wake_one(SUBMITTER)
  :: else -> break
  od;
#endif
  awake--
}

proctype machine(byte me; bool polls; bool works) {
  byte p = NOBODY, chosen = NOBODY, given = NOBODY;
  bool is_spinning, breaks, won, sees_work, ran;
  if
  :: me == 0 || works -> p = me
  :: me != 0 && polls -> goto end_in_poller
  :: else -> goto end_on_note
  fi;
#ifndef FOREIGN
  // The first fiber runs and has made the second one runnable: it waits in run_next.
  if
  :: me == 0 -> put(0, local_plus, 0);
#ifndef BREAK_READY_FENCE
     full_fence(0);
#endif
     wake_one(0);
     started++;
     started == FIBERS
  :: else
  fi;
#endif

find_runnable:
  if
  :: p == NOBODY ->
     // acquire_idle()
     if
     :: idle_count == 0 -> goto sleep_on_note
     :: else
     fi;
     atomic {
       !locked ->
       pop_idle(me, p);
       locked = true;
       put(me, unlock, 0)
     };
     if
     :: p == NOBODY -> goto sleep_on_note
     :: else
     fi
  :: else
  fi;
look:
  // The fiber in run_next of the other processor stays there for thieves: its waker runs on.
  // take_global()
look_global:
  if
  :: global_size != 0 ->
     atomic {
       !locked ->
       if
       :: global_queue != 0 -> global_queue--; ran = true
       :: else
       fi;
       put(me, global_is, global_queue);
       sees_work = (global_queue != 0);
       locked = true;
       put(me, unlock, 0)
     };
     if
     :: sees_work -> sees_work = false; wake_one(me)
     :: else
     fi;
     if
     :: ran -> goto run_it
     :: else
     fi
  :: else
  fi;
  // steal_work()
  if
  :: is_spinning
  :: else ->
     // start_spinning(); its two loads at once, as they only bound.
     if
     :: 2 * spinning >= 2 - idle_count -> goto go_idle
     :: else -> is_spinning = true; put(me, spinning_plus, 0)
     fi
  fi;
  atomic {
    if
    :: local_work[1 - p] != 0 -> local_work[1 - p]--; ran = true
    :: else
    fi
  };
  if
  :: ran -> goto run_it
  :: else
  fi;
go_idle:
#ifdef BREAK_DROPS_FIRST
  sees_work = (global_size != 0);
  if
  :: sees_work
  :: else -> sees_work = (local_work[0] != 0 || local_work[1] != 0)
  fi;
#endif
  atomic {
    !locked ->
    if
    :: global_queue != 0 -> ran = true
    :: else ->
       listed[p] = true;
       p = NOBODY;
       put(me, idle_plus, 0)
    fi;
    locked = true;
    put(me, unlock, 0)
  };
  if
  :: ran -> ran = false; goto find_runnable
  :: else
  fi;
  atomic {
    if
    :: is_spinning -> is_spinning = false; put(me, spinning_minus, 0)
    :: else
    fi
  };
#ifndef BREAK_IDLE_FENCE
  full_fence(me);
#endif
#if !defined(BREAK_LOOKS_AGAIN) && !defined(BREAK_DROPS_FIRST)
  sees_work = (global_size != 0);
  if
  :: sees_work
  :: else -> sees_work = (local_work[0] != 0 || local_work[1] != 0)
  fi;
#endif
  if
  :: sees_work ->
     sees_work = false;
     atomic {
       !locked ->
       pop_idle(me, p);
       locked = true;
       put(me, unlock, 0)
     };
     if
     :: p != NOBODY ->
        // start_spinning()
        if
        :: 2 * spinning >= 2 - idle_count
        :: else -> is_spinning = true; put(me, spinning_plus, 0)
        fi;
        goto look
     :: else
     fi
  :: else
  fi;
  // The poller, or a note.
  atomic {
    if
    :: polling -> sees_work = true
    :: else -> polling = true
    fi
  };
  if
  :: sees_work -> sees_work = false; goto sleep_on_note
  :: else
  fi;
  atomic {
    !locked ->
    poller_sleeps = true;
    poller_broken = false;
    locked = true;
    put(me, unlock, 0)
  };
  full_fence(me);
  awake--;
end_in_poller:
  atomic { break_wait -> break_wait = false; awake++ };
  atomic {
    !locked ->
    poller_sleeps = false;
    poller_broken = false;
    locked = true;
    put(me, unlock, 0)
  };
  full_fence(me);
  polling = false;
  goto find_runnable;

sleep_on_note:
  atomic {
    !locked ->
    sleeps[me] = true;
    locked = true;
    put(me, unlock, 0)
  };
  full_fence(me);
  awake--;
end_on_note:
  atomic {
    woken[me] -> woken[me] = false;
    awake++;
#ifdef BREAK_HANDS_SPINNING
    is_spinning = false;
#else
    is_spinning = handed_spinning[me];
#endif
    handed_spinning[me] = false;
    p = handed[me];
    handed[me] = NOBODY
  };
  goto look;

run_it:
  ran = false;
  if
  :: is_spinning ->
     // stop_spinning()
     is_spinning = false;
#ifdef BREAK_LAST_FENCE
     // A load that was made before the exchange.
     sees_work = (idle_count == 0);
#endif
     full_fence(me);
     atomic { spinning--; won = (spinning == 0) };
#ifdef BREAK_LAST_FENCE
     won = won && !sees_work;
     sees_work = false;
#endif
#ifdef BREAK_LAST_WAKES
     won = false;
#endif
     if
     :: won -> won = false; wake_one(me)
     :: else
     fi
  :: else
  fi;
  started++;
  started == FIBERS;
  goto find_runnable;
}

// Nobody does anything any more, and nobody will.
active proctype at_the_end() {
  started == FIBERS && awake == 0 && empty(buffer[0]) && empty(buffer[1]) && empty(buffer[2]) &&
  empty(buffer[MACHINES]) && !woken[0] && !woken[1] && !woken[2] && !break_wait ->
  assert(listed[0] && listed[1] && idle_count == 2 && spinning == 0)
}

// The first machine works, or looks for work; the second one sleeps, or is about to.
init {
  bool works;
  atomic {
    launched[0] = true;
    launched[1] = true;
    if
    :: true -> sleeps[1] = true
    :: true -> polling = true; poller_sleeps = true
#ifndef FOREIGN
    :: true -> works = true
#endif
    fi;
    if
    :: works -> awake = 3
    :: else -> listed[1] = true; idle_count = 1
    fi;
    run submitter();
    run machine(0, false, false);
    run machine(1, polling, works);
    run machine(2, false, false)
  }
}
