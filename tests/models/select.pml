// Select: two selects that may meet one another, a close, and a cancellation.
//
// Code        include/weft/sched/waiter.hpp, src/sched/wait.cpp, src/chan/select_core.cpp,
//             src/chan/core.cpp, src/sched/cancel_source.cpp
// Shows       each select returns once, for one of its cases, and for none that did not happen: a
//             value is received if and only if it was sent. Nobody touches a wait that has ended,
//             neither its word nor what its commit reads on the fiber's stack. No wake-up is lost,
//             and none is given twice.
// Model       select 0 receives from A or B, or is cancelled; select 1 sends to A or receives from
//             B. Somebody may close B; the source of select 0 fires at any time. The park commit
//             runs beside the fiber, which may be resumed before it has ended.
// Bounds      each select twice.
//
// Run all:
//
// Break CLAIM: src/sched/wait.cpp: if (word_.compare_exchange(word, claimed + index, acq_rel))
// Break OPEN: src/sched/wait.cpp: return word_.compare_exchange(word, open, acq_rel);
// Break NOTIFIED: src/sched/wait.cpp: if (!parked) ready(f);
// Break OPENS_FIRST: src/sched/wait.cpp: const bool parked = wait->open_for_claims();
// Break DETACH: src/chan/select_core.cpp: state.detach();
// Break TAKES_OFF: src/sched/wait.cpp: take_off(*cancel_place_);
// Break FIRE_LOCKED: src/sched/cancel_source.cpp: lock_guard held(lock_);
// Break LOCK_ORDER: src/chan/select_core.cpp: while (at != 0 && m_.channels[at - 1]->order() > order) --at;
// Break ARM_UNLOCKED: src/chan/select_core.cpp: if (poll_and_unlock(chosen)) return true;

#define A 0
#define B 1
#define K 2
#define NONE 3
#define ROUNDS 2

mtype = { arming, open, claimed };
mtype word[2] = arming;
byte index[2];              // with `claimed`
bool alive[2];              // the wait and its places exist
bool linked[4];             // by 2 * select + channel
bool ok[2], woken[2];
bool locked[3];             // A, B, the source
bool source_linked, fired, closed, closes;
bool commits[2];
byte sent, received;
bool done[2];

inline lock(which) { atomic { !locked[which] -> locked[which] = true } }
inline unlock(which) { locked[which] = false }

inline lock_both(me) {
#ifdef BREAK_LOCK_ORDER
  if
  :: me == 0 -> lock(A); lock(B)
  :: else -> lock(B); lock(A)
  fi
#else
  lock(A);
  lock(B)
#endif
}

// `how`: open when the wait was parked and is the caller's now, arming when its owner will see it
// itself, claimed when it was lost.
inline try_claim(who, with, how) {
#ifdef BREAK_CLAIM
  atomic { assert(alive[who]); how = word[who] };
  atomic {
    if
    :: how != claimed -> word[who] = claimed; index[who] = with
    :: else
    fi
  }
#else
  atomic {
    assert(alive[who]);
    how = word[who];
    if
    :: how != claimed -> word[who] = claimed; index[who] = with
    :: else
    fi
  }
#endif
}

inline wake(who) {
  atomic {
    assert(alive[who] && !woken[who]);
    woken[who] = true
  }
}

// With both locks held; `chosen` stays NONE when nothing can go, and then they are still held.
inline poll(me) {
  do
  :: me == 0 && fired -> chosen = K; break
  :: closed -> chosen = B; break
  :: linked[2 * (1 - me) + A] && word[1 - me] != claimed ->
     linked[2 * (1 - me) + A] = false;
     try_claim(1 - me, A, how);
     if
     :: how == open -> atomic { ok[1 - me] = true; chosen = A }; break
     :: else
     fi
  :: !(me == 0 && fired) && !closed && !(linked[2 * (1 - me) + A] && word[1 - me] != claimed) ->
     break
  od;
  if
  :: chosen != NONE ->
     unlock(B);
     unlock(A);
     if
     :: chosen == A -> wake(1 - me)
     :: else
     fi
  :: else
  fi;
  how = arming
}

inline take_off(me, channel) {
  lock(channel);
  linked[2 * me + channel] = false;
  unlock(channel)
}

active [2] proctype fiber() {
  byte me = _pid, round, chosen = NONE;
  mtype how = arming;
  do
  :: round < ROUNDS ->
     round++;
again:
     lock_both(me);
     poll(me);
     if
     :: chosen != NONE -> goto chosen_at_once
     :: else
     fi;
     atomic { alive[me] = true; word[me] = arming; ok[me] = false };
     if
     :: me == 0 ->
        // The source is armed without a channel's lock; then it looks again.
        unlock(B);
        unlock(A);
        lock(K);
        if
        :: fired -> unlock(K); alive[me] = false; goto again
        :: else -> source_linked = true
        fi;
        unlock(K);
        lock_both(me);
#ifndef BREAK_ARM_UNLOCKED
        poll(me);
#endif
        if
        :: chosen != NONE -> goto detach
        :: else
        fi
     :: else
     fi;
     atomic {
       // I1 of chan/core.hpp: no sender waits beside a receiver.
       assert(!linked[2 * (1 - me) + A] || word[1 - me] == claimed);
       linked[2 * me + A] = true;
       linked[2 * me + B] = true;
       commits[me] = true
     };
     if
     :: woken[me]
     // Nobody will.
     :: me == 1 && !closes && done[0] && word[1] == open && linked[2 + B] -> goto gone
     fi;
     atomic { woken[me] = false; assert(word[me] == claimed); chosen = index[me] };
detach:
#ifndef BREAK_TAKES_OFF
     if
     :: me == 0 ->
        lock(K);
        source_linked = false;
        unlock(K)
     :: else
     fi;
#endif
#ifndef BREAK_DETACH
     if
     :: word[me] != claimed || index[me] != A -> take_off(me, A)
     :: else
     fi;
     if
     :: word[me] != claimed || index[me] != B -> take_off(me, B)
     :: else
     fi;
#endif
     atomic {
       alive[me] = false;
       if
       :: chosen == A && word[me] == claimed && index[me] == A -> assert(ok[me])
       :: else
       fi
     };
chosen_at_once:
     atomic {
       if
       :: chosen == A && me == 0 -> received++
       :: chosen == A && me == 1 -> sent++
       :: chosen == B -> assert(closed)
       :: chosen == K -> assert(fired)
       fi;
       chosen = NONE
     }
  :: round == ROUNDS || me == 1 -> break
  od;
gone:
  atomic {
    done[me] = true;
    if
    :: done[0] && done[1] -> assert(sent == received)
    :: else
    fi
  }
}

// The far side of each fiber's switch.
active [2] proctype commit() {
  byte me = _pid - 2;
  bool parked;
end:
  do
  :: atomic { commits[me] -> commits[me] = false };
#ifdef BREAK_OPENS_FIRST
     unlock(B);
     unlock(A);
#endif
#ifdef BREAK_OPEN
     atomic { word[me] = open; parked = true };
#else
     atomic {
       parked = (word[me] == arming);
       if
       :: parked -> word[me] = open
       :: else
       fi
     };
#endif
#ifndef BREAK_OPENS_FIRST
     // The channels are named by what lies on the fiber's stack.
     assert(alive[me]);
     unlock(B);
     assert(alive[me]);
     unlock(A);
#endif
#ifndef BREAK_NOTIFIED
     if
     :: !parked -> wake(me)
     :: else
     fi;
#endif
     parked = false
  od
}

active proctype closer() {
  byte who;
  mtype how = arming;
  bool claims[2];
  if
  :: true ->
     closes = true;
     lock(B);
     closed = true;
     do
     :: who < 2 ->
        if
        :: linked[2 * who + B] ->
           linked[2 * who + B] = false;
           try_claim(who, B, how);
           claims[who] = (how == open)
        :: else
        fi;
        who++
     :: else -> break
     od;
     unlock(B);
     if
     :: claims[0] -> wake(0)
     :: else
     fi;
     if
     :: claims[1] -> wake(1)
     :: else
     fi
  :: true -> skip
  fi
}

active proctype canceller() {
  mtype how = claimed;
#ifndef BREAK_FIRE_LOCKED
  lock(K);
#endif
  fired = true;
  if
  :: source_linked -> source_linked = false; try_claim(0, K, how)
  :: else
  fi;
#ifndef BREAK_FIRE_LOCKED
  unlock(K);
#endif
  if
  :: how == open -> wake(0)
  :: else
  fi
}
