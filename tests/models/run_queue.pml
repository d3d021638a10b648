// The run queue of a processor: one owner that pushes and pops, two thieves that steal halves.
//
// Code        include/weft/sched/run_queue.hpp, overflow() of src/sched/ready.cpp
// Shows       each item that was pushed is taken once, by somebody, with the value that was pushed.
// Memory      the owner's stores wait in a buffer. The one to the tail is a release: it leaves the
//             buffer behind all that are older; a relaxed one may overtake them.
// Bounds      4 slots, 5 items, one steal by each thief (long: 6 and 2); a full queue gives half of
//             it to the global one.
//
// Run all:
// Run long more: -DITEMS=6 -DSTEALS=2
// Break PUBLISH: include/weft/sched/run_queue.hpp: tail_.store(tail + 1, release);
// Break FULL: include/weft/sched/run_queue.hpp: if (tail - head >= Capacity) return false;
// Break POP_CLAIM: include/weft/sched/run_queue.hpp: if (head_.compare_exchange(head, head + 1, acq_rel)) return item;
// Break STEAL_CLAIM: include/weft/sched/run_queue.hpp: if (head_.compare_exchange(head, head + n, acq_rel)) return n;
// Break COPY_FIRST: include/weft/sched/run_queue.hpp: out[i] = slots_[(head + i) % Capacity].load(relaxed);
// Break SEES_TAIL: include/weft/sched/run_queue.hpp: const std::uint32_t tail = tail_.load(acquire);

#define CAPACITY 4
#ifndef ITEMS
#define ITEMS 5
#define STEALS 1
#endif
#define TAIL CAPACITY  // the tail's number among the words that the buffer holds

byte head, tail, slots[CAPACITY];
byte written[CAPACITY], next_tail;  // what the owner has stored, in the buffer or not
bool taken[ITEMS + 1];
byte taken_count, running = 3;
chan buffer = [3] of { byte, byte };

// What somebody got for himself.
inline take(item) {
  d_step {
    if
    :: item != 0 ->
       assert(!taken[item]);
       taken[item] = true;
       taken_count++;
       item = 0
    :: else
    fi
  }
}

inline leave_model() {
  d_step {
    running--;
    assert(running != 0 || taken_count == ITEMS)
  }
}

// Claims `n` from `seen` on; `won` says whether that succeeded.
inline claim(seen, n, won) {
  d_step {
    won = (head == seen);
    if
    :: won -> head = seen + n
    :: else
    fi
  }
}
inline claim_in_two_steps(seen, n, won) {
  won = (head == seen);
  if
  :: won -> head = seen + n
  :: else
  fi
}

inline copy(seen, n, out0, out1) {
  out0 = slots[seen % CAPACITY];
  if
  :: n == 2 -> out1 = slots[(seen + 1) % CAPACITY]
  :: else
  fi
}

// `out0` and `out1` receive the older half; 0: nothing there.
inline steal(out0, out1) {
  do
  :: seen = head;
#ifdef BREAK_SEES_TAIL
     copy(seen, 2, out0, out1);
#endif
     d_step {
       n = tail - seen;  // a byte: above CAPACITY when the head has moved on
       if
       :: n <= CAPACITY ->
          n = n - n / 2;
          n = (n > CAPACITY / 2 -> CAPACITY / 2 : n)
       :: else
       fi
     };
     if
     :: n == 0 -> break
     :: n > CAPACITY
     :: else ->
#if !defined(BREAK_SEES_TAIL) && !defined(BREAK_COPY_FIRST)
        copy(seen, n, out0, out1);
#endif
#ifdef BREAK_STEAL_CLAIM
        claim_in_two_steps(seen, n, won);
#else
        claim(seen, n, won);
#endif
        if
        :: won -> break
        :: else -> d_step { out0 = 0; out1 = 0 }
        fi
     fi
  od;
#ifdef BREAK_COPY_FIRST
  if
  :: won -> copy(seen, n, out0, out1)
  :: else
  fi;
#endif
  atomic {
    if
    :: n < 2 -> out1 = 0
    :: else
    fi;
    if
    :: n == 0 -> out0 = 0
    :: else
    fi;
    seen = 0;
    n = 0;
    won = false
  }
}

// The owner's stores reach memory.
active proctype memory() {
  byte word, value;
end:
  do
  :: d_step {
       buffer?word, value ->
       if
       :: word == TAIL -> tail = value
       :: else -> slots[word] = value
       fi;
       word = 0;
       value = 0
     }
#ifdef BREAK_PUBLISH
  :: d_step { buffer??TAIL, value -> tail = value; value = 0 }
#endif
  od
}

inline store_new() {
  d_step {
    len(buffer) < 3 ->
    pushed++;
    written[next_tail % CAPACITY] = pushed;
    buffer!(next_tail % CAPACITY), pushed;
    next_tail++;
    seen = 0
  };
  buffer!TAIL, next_tail
}

active proctype owner() {
  byte pushed, seen, n, first, second;
  bool won;
  do
  :: pushed < ITEMS ->
     seen = head;
     if
#ifdef BREAK_FULL
     :: true -> store_new()
#else
     :: next_tail - seen < CAPACITY -> store_new()
     :: else ->
        // overflow(): its own stores are visible to itself.
        empty(buffer);
        steal(first, second);
        take(first);
        take(second)
#endif
     fi
  :: true ->
     seen = head;
     do
     :: next_tail == seen -> break
     :: else ->
        first = written[seen % CAPACITY];
        // The exchange releases: what is older is visible with it.
        empty(buffer);
#ifdef BREAK_POP_CLAIM
        claim_in_two_steps(seen, 1, won);
#else
        claim(seen, 1, won);
#endif
        if
        :: won -> won = false; take(first); break
        :: else -> seen = head
        fi
     od;
     if
     :: next_tail == seen && pushed == ITEMS -> break
     :: else -> first = 0; seen = 0
     fi
  od;
  leave_model()
}

active [2] proctype thief() {
  byte steals, seen, n, first, second;
  bool won;
  do
  :: steals < STEALS ->
     steals++;
     steal(first, second);
     take(first);
     take(second)
  :: true -> break
  od;
  leave_model()
}
