// blocking(f): the processor is lent by an exchange of its status, and taken back by another one.
//
// Code        src/sched/blocking.cpp, include/weft/sched/processor.hpp, hand_off() and in_transit()
//             of src/sched/machines.cpp, look_at_blocking() of src/sched/sysmon.cpp
// Shows       a processor is used by one machine at a time, and not by the one that is in a call;
//             who takes it back is the one who lent it last; it is never lost. LIMIT: no more
//             calls at once than allowed, and none waits while there is room.
// Bounds      two machines that call blocking(f), another one that gets what sysmon takes, one
//             processor. LIMIT: three fibers that call it twice each, one or two at once.
//
// Run lend:
// Run limit: -DLIMIT=1
// Run limit_two: -DLIMIT=2
//
// Break CLEARS in lend: src/sched/blocking.cpp: processor* p = std::exchange(m.p, nullptr);
// Break BACK in lend: src/sched/blocking.cpp: if (!p->status.compare_exchange(mine, processor::word(processor::running, m.id), acq_rel))
// Break NUMBER in lend: src/sched/blocking.cpp: std::uint32_t mine = processor::word(processor::blocking, m.id);
// Break RETAKE in lend: src/sched/blocking.cpp: if (!p.status.compare_exchange(status, processor::idle, acquire)) return false;
// Break GIVES_UP in lend: src/sched/blocking.cpp: hand_off(p);
// Break SLOT in limit: src/sched/blocking.cpp: if (w == nullptr) ++blocking_slots_;
// Break FINDS_SLOT in limit: src/sched/blocking.cpp: --blocking_slots_;
// Break COUNTS in limit_two: src/sched/blocking.cpp: if (WEFT_LIKELY(in_blocking_.fetch_sub(1, acq_rel) <= limit)) return;

#ifndef LIMIT

#define NOBODY 0
#define OTHER 3
#define CALLS 2

mtype = { idle, running, blocking };
mtype status = idle;  // with the machine's number
byte holder;
byte lender;          // who lent it last
byte users, ended;
bool listed = true, handed;

inline use() {
  atomic { users++; assert(users == 1) };
  users--
}

active [2] proctype machine() {
  byte me = _pid + 1, calls;
  bool has, lent;
  do
  :: atomic { listed -> listed = false; has = true; status = running; holder = me };
     use();
     if
     :: calls < CALLS ->
        calls++;
        // lend_processor()
        atomic {
          assert(status == running && holder == me);
          status = blocking;
          lender = me;
          lent = true;
#ifndef BREAK_CLEARS
          has = false
#endif
        };
        // f, which may call the runtime.
        if
        :: has -> use()
        :: else
        fi;
        // take_lent_back()
#ifdef BREAK_BACK
        if
        :: status == blocking && holder == me -> status = running; has = true
        :: else
        fi;
#else
        atomic {
          if
#ifdef BREAK_NUMBER
          :: status == blocking ->
#else
          :: status == blocking && holder == me ->
#endif
             assert(lender == me);
             status = running;
             holder = me;
             has = true
          :: else
          fi
        };
#endif
        lent = false;
        if
        :: has ->
           use();
           atomic { status = idle; holder = NOBODY; listed = true; has = false }
        :: else  // queues
        fi
     :: else ->
        atomic { status = idle; holder = NOBODY; listed = true; has = false };
        break
     fi
  od;
  ended++
}

// Gets what sysmon took, and has no use for it.
active proctype other_machine() {
  do
  :: atomic { handed -> handed = false; status = running; holder = OTHER };
     use();
     atomic { status = idle; holder = NOBODY; listed = true }
  :: ended == 3 && !handed -> break
  od;
  assert(listed)
}

active proctype sysmon() {
  byte seen;
  do
  :: atomic { status == blocking -> seen = holder };
     // The second look, later.
     atomic {
       if
#ifdef BREAK_RETAKE
       :: true ->
#else
       :: status == blocking && holder == seen ->
#endif
          status = idle;
          holder = NOBODY;
#ifndef BREAK_GIVES_UP
          handed = true
#endif
       :: else
       fi;
       seen = NOBODY
     }
  :: ended == 2 -> break
  od;
  ended++
}

#else

#define FIBERS 3

byte in_blocking, slots, inside;
bool locked, waits[FIBERS], given[FIBERS];
byte order[FIBERS], queued;  // the waiters, first come first served

inline lock() { atomic { !locked -> locked = true } }

active [FIBERS] proctype fiber() {
  byte me = _pid, calls, before, first;
  do
  :: calls < 2 ->
     calls++;
     atomic { before = in_blocking; in_blocking++ };
     if
     :: before >= LIMIT ->
        // wait_for_blocking_slot()
        lock();
        if
        :: slots != 0 ->
#ifndef BREAK_FINDS_SLOT
           slots--;
#endif
           locked = false
        :: else ->
           order[queued] = me;
           queued++;
           locked = false;
           given[me];
           given[me] = false
        fi
     :: else
     fi;
     atomic { inside++; assert(inside <= LIMIT) };
     inside--;
     // blocking_slot_free()
     atomic { before = in_blocking; in_blocking-- };
#ifdef BREAK_COUNTS
     before = LIMIT;
#endif
     if
     :: before > LIMIT ->
        lock();
        if
        :: queued != 0 ->
           atomic {
             given[order[0]] = true;
             queued--;
             order[0] = order[1];
             order[1] = order[2]
           }
        :: else ->
#ifndef BREAK_SLOT
           slots++
#else
           skip
#endif
        fi;
        locked = false
     :: else
     fi;
     before = 0
  :: else -> break
  od
}

#endif
