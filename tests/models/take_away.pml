// Taking a processor away from a machine that makes no runtime entry: with membarrier, without it,
// and with one that is refused after it has worked.
//
// Code        include/weft/sched/take_away.hpp, src/sched/take_away.cpp, look_at_running() of
//             src/sched/sysmon.cpp, include/weft/arch/fence.hpp; lending: src/sched/blocking.cpp
// Shows       a processor is touched by one machine at a time, and who touches it sees what the
//             last one wrote; none is lost; whoever runs on for ever without an entry loses its
//             processor in the end, also when a request stands that nobody remembers.
// Memory      the machine's stores wait in a buffer, in order. A leave that is no release may
//             overtake what was written before it. That membarrier was refused is seen late.
// Bounds      one machine that makes a few brackets of all kinds (an entry, a blocking call, a
//             change of processors in the loop) and is a hog then, another one that uses what it
//             gets, two processors, one taker.
//
// Run membarrier: -DMEMBARRIER
// Run fences:
// Run refused: -DREFUSED -DBRACKETS=1
// Run long more: -DMEMBARRIER -DBRACKETS=3
// Run long more_fences: -DBRACKETS=3
// Run long more_refused: -DREFUSED
//
// Break LIGHT_FENCE in fences: include/weft/arch/fence.hpp: std::atomic_thread_fence(seq_cst);
// Break HEAVY_FENCE in membarrier: src/sched/take_away.cpp: const bool is_ordered = heavy_fence() || passes_full_fences;
// Break ORDERED in refused: src/sched/take_away.cpp: const bool is_ordered = heavy_fence() || passes_full_fences;
// Break long PASSES in more_refused: src/sched/take_away.cpp: if (fence_needs_instruction.load(relaxed))
// Break LEAVE in fences: include/weft/sched/take_away.hpp: m.in_runtime.store(outer, release);
// Break OUTSIDE: src/sched/take_away.cpp: const bool outside = m.in_runtime.load(acquire) == 0;
// Break HOLDS: src/sched/take_away.cpp: const bool takes = is_ordered && outside && holds;
// Break HOLDS_LAST: src/sched/take_away.cpp: p.status.load(acquire) == processor::word(processor::running, m.id);
// Break TAKE: src/sched/take_away.cpp: if (m.attention.compare_exchange(word, next, acq_rel)) return takes;
// Break ANSWER: src/sched/take_away.cpp: if (!m.attention.compare_exchange(word, answered, acq_rel)) continue;
// Break TAKEN: src/sched/take_away.cpp: m.p = nullptr;
// Break STANDING: src/sched/take_away.cpp: if (state == attention::requested) return word >> attention::number_shift;

#ifndef BRACKETS
#define BRACKETS 2
#endif

#define NOBODY 255

// attention
mtype = { none, requested, taken };
mtype state = none;
byte number;

// processor.status
mtype = { idle, running_m, blocking_m, running_other };
mtype status[2] = idle;

bool in_runtime;
byte content[2], truth[2];  // what the holder writes; truth: as it will be seen by the next
byte users[2];
bool listed[2], handed[2];  // in the idle list; on its way to the other machine
byte p = NOBODY, lent = NOBODY;  // the machine's own
bool machine_done;
bool needs_instruction, needs_at_request, passes_full_fences;  // REFUSED
bool taker_done;

// The machine's stores on their way.
#define IN_RUNTIME 2
#define STATUS 3
chan buffer = [4] of { byte, byte };

active proctype memory() {
  byte word, value;
end:
  do
  :: d_step {
       buffer?word, value ->
       if
       :: word == IN_RUNTIME -> in_runtime = value
       :: word >= STATUS -> status[word - STATUS] = running_m
       :: else -> content[word] = value
       fi;
       word = 0;
       value = 0
     }
#ifdef BREAK_LEAVE
  :: d_step { buffer??IN_RUNTIME, value -> in_runtime = value; value = 0 }
#endif
  od
}

// Uses a processor alone, and finds it as the last one left it.
inline begin_use(which) {
  d_step {
    users[which]++;
    assert(users[which] == 1)
  }
}

inline touch() {
  d_step {
    if
    :: p != NOBODY && nfull(buffer) ->
       users[p]++;
       assert(users[p] == 1);
       truth[p] = 1 - truth[p];
       buffer!p, truth[p]
    :: p == NOBODY
    fi
  }
}
inline end_touch() {
  d_step {
    if
    :: p != NOBODY -> users[p]--
    :: else
    fi
  }
}

inline light_fence() {
#if defined(REFUSED)
  // fence_needs_instruction: a relaxed load, which may find an older value, but not after a newer.
  if
  :: needs_instruction -> sees_refusal = true
  :: true
  fi;
  if
  :: sees_refusal -> empty(buffer)
  :: else
  fi
#elif defined(MEMBARRIER) || defined(BREAK_LIGHT_FENCE)
  skip
#else
  empty(buffer)
#endif
}

// `ordered`: it holds against the machine.
inline heavy_fence(ordered) {
#if defined(REFUSED)
  atomic {
    ordered = passes_full_fences;
    if
    :: !needs_instruction && empty(buffer) -> ordered = true
    :: needs_instruction = true
    fi
  }
#ifdef BREAK_ORDERED
  ; ordered = true
#endif
#elif defined(MEMBARRIER) && !defined(BREAK_HEAVY_FENCE)
  empty(buffer);
  ordered = true
#else
  ordered = true
#endif
}

// An exchange of the machine's makes its stores visible first.
inline answer_attention() {
  do
  :: d_step { seen_state = state; seen_number = number };
     if
     :: seen_state == none -> break
     :: else
     fi;
     empty(buffer);
     atomic {
       if
#ifdef BREAK_ANSWER
       :: true ->
#else
       :: state == seen_state && number == seen_number ->
#endif
          state = none;
#ifndef BREAK_TAKEN
          p = (seen_state == taken -> NOBODY : p);
#endif
          answered = true;
          break
       :: else
       fi
     }
  od;
#ifdef REFUSED
  // Behind the exchange: a refusal before the request is seen.
  if
  :: answered && needs_instruction -> sees_refusal = true
  :: !(answered && needs_at_request)
  fi;
#ifdef BREAK_PASSES
  passes_full_fences = passes_full_fences || answered;
#else
  passes_full_fences = passes_full_fences || (answered && sees_refusal);
#endif
#endif
  atomic { seen_state = none; seen_number = 0; answered = false }
}

inline enter() {
  buffer!IN_RUNTIME, 1;
  light_fence();
  answer_attention()
}

inline leave() { buffer!IN_RUNTIME, 0 }

// Under the lock of the list, whose exchange makes the machine's stores visible. NOBODY: none.
inline acquire_idle() {
  empty(buffer);
  d_step {
    if
    :: listed[0] -> listed[0] = false; p = 0
    :: !listed[0] && listed[1] -> listed[1] = false; p = 1
    :: else
    fi
  };
  if
  :: p != NOBODY -> buffer!(STATUS + p), 1
  :: else
  fi
}

inline release_to_idle() {
  if
  :: p != NOBODY ->
     empty(buffer);
     d_step { status[p] = idle; listed[p] = true; p = NOBODY }
  :: else
  fi
}

active proctype machine() {
  byte brackets, seen_number;
  mtype seen_state = none;
  bool answered, sees_refusal;
  d_step { p = 0; status[0] = running_m; status[1] = idle; listed[1] = true };
  do
  :: brackets < BRACKETS ->
     brackets++;
     enter();
     touch();
     end_touch();
     if
     :: true  // An entry that gets a processor where there is none.
        if
        :: p == NOBODY -> acquire_idle()
        :: else
        fi;
        leave()
     :: true ->  // The loop: goes idle, and on with whichever it finds.
        release_to_idle();
        acquire_idle();
        touch();
        end_touch();
        leave()
     :: p != NOBODY ->  // blocking(f)
        empty(buffer);
        d_step { lent = p; p = NOBODY; status[lent] = blocking_m };
        leave();
        // f runs; leave_blocking() does not look at attention.
        buffer!IN_RUNTIME, 1;
        empty(buffer);
        d_step {
          if
          :: status[lent] == blocking_m -> status[lent] = running_m; p = lent
          :: else
          fi;
          lent = NOBODY
        };
        if
        :: p == NOBODY -> acquire_idle()
        :: else
        fi;
        leave()
     fi
  :: true -> break
  od;
  // A hog; it makes an entry when it has lost its processor.
  if
  :: p != NOBODY -> state == taken
#ifdef REFUSED
  // One that has not answered since the refusal keeps it.
  :: p != NOBODY && needs_instruction && !passes_full_fences
#endif
  :: else
  fi;
  enter();
  touch();
  end_touch();
  leave();
  empty(buffer);
  machine_done = true
}

// Uses what it is given, and what it finds.
active proctype other_machine() {
  byte mine = NOBODY;
  bool finds;
  do
  :: d_step { handed[0] -> handed[0] = false; mine = 0 } -> goto use
  :: d_step { handed[1] -> handed[1] = false; mine = 1 } -> goto use
  :: d_step { !finds && listed[0] -> listed[0] = false; mine = 0; finds = true } -> goto use
  :: d_step { !finds && listed[1] -> listed[1] = false; mine = 1; finds = true } -> goto use
  :: machine_done && taker_done && !handed[0] && !handed[1] -> break;
use:
     begin_use(mine);
     status[mine] = running_other;
     assert(content[mine] == truth[mine]);
     d_step { users[mine]--; status[mine] = idle; listed[mine] = true; mine = NOBODY }
  od;
  // What was taken without the machine's having looked is not the machine's any more.
  assert(listed[0] == (p != 0 || state == taken) && listed[1] == (p != 1 || state == taken))
}

#ifdef BREAK_STANDING
#define MAY_ASK (state == none)
#else
#define MAY_ASK (state != taken)
#endif
#define ASKS(which) (status[which] == running_m && asked[which] == 0 && MAY_ASK)
#define MAY_TAKE(which) \
  (status[which] == running_m && asked[which] != 0 && state == requested && number == asked[which])

// sysmon. What it has asked for it may forget at any time: a new slice has begun.
active proctype taker() {
  byte asked[2], which, seen_number;
  mtype seen_state = none;
  bool outside, holds, ordered;
  do
  :: machine_done -> break
  :: d_step { asked[0] != 0 -> asked[0] = 0 }
  :: d_step { asked[1] != 0 -> asked[1] = 0 }
  :: atomic {
       // ask_for_processor()
       if
       :: ASKS(0) -> which = 0
       :: ASKS(1) -> which = 1
       fi;
       if
       :: state == none ->
          number = number % 3 + 1;
          state = requested;
          needs_at_request = needs_instruction
       :: else
       fi;
       asked[which] = number
     }
  :: atomic {
       if
       :: MAY_TAKE(0) -> which = 0
       :: MAY_TAKE(1) -> which = 1
       fi
     };
     // take_processor()
     heavy_fence(ordered);
#ifdef BREAK_HOLDS_LAST
     holds = (status[which] == running_m);
#endif
#ifdef BREAK_OUTSIDE
     outside = true;
#else
     outside = !in_runtime;
#endif
#ifdef BREAK_HOLDS
     holds = true;
#elif !defined(BREAK_HOLDS_LAST)
     holds = (status[which] == running_m);
#endif
     outside = outside && ordered;
     d_step { seen_state = state; seen_number = number };
     do
     :: seen_state != requested -> outside = false; break
     :: seen_number != asked[which] -> outside = false; break
     :: else ->
        atomic {
          if
#ifdef BREAK_TAKE
          :: true ->
#else
          :: state == seen_state && number == seen_number ->
#endif
             state = (outside && holds -> taken : none);
             number = seen_number;
             break
          :: else -> seen_state = state; seen_number = number
          fi
        }
     od;
     asked[which] = 0;
     if
     :: outside && holds ->
        // hand_off()
        begin_use(which);
        status[which] = idle;
        d_step { users[which]--; handed[which] = true }
     :: else
     fi;
     atomic { outside = false; holds = false; ordered = false; seen_state = none; seen_number = 0 }
  // retake_from_blocking()
  :: d_step { status[0] == blocking_m -> status[0] = idle; handed[0] = true }
  :: d_step { status[1] == blocking_m -> status[1] = idle; handed[1] = true }
  od;
  taker_done = true
}
