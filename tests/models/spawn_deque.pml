// The fibers started on a processor: one owner that pushes and pops the newest, two thieves that
// claim the older half.
//
// Code        include/weft/sched/spawn_deque.hpp
// Shows       each item that was pushed is taken once, by somebody.
// Memory      the word changes by locked instructions only, which release and acquire: what was
//             stored to a slot before is in memory with it. So memory is one here.
// Bounds      4 slots, 5 items, one steal by each thief (long: 5 and 2); a full deque gives half
//             of it away.
//
// Run all:
// Run long more: -DITEMS=5 -DSTEALS=2
// Break PUBLISH: include/weft/sched/spawn_deque.hpp: word_.fetch_add(one_newer, acq_rel);
// Break FULL: include/weft/sched/spawn_deque.hpp: if (size_of(word) >= Capacity) return false;
// Break POPS: include/weft/sched/spawn_deque.hpp: const std::uint64_t popped = ((word >> pops_shift) + 1) << pops_shift |
// Break POP_CLAIM: include/weft/sched/spawn_deque.hpp: if (word_.compare_exchange(word, popped, acq_rel)) return item;
// Break TAKE_CLAIM: include/weft/sched/spawn_deque.hpp: if (word_.compare_exchange(word, rest, acq_rel)) return n;
// Break COPY_FIRST: include/weft/sched/spawn_deque.hpp: out[i] = slots_[(oldest + i) % Capacity].load(relaxed);

#define CAPACITY 4
#ifndef ITEMS
#define ITEMS 5
#define STEALS 1
#endif

byte oldest, newest, pops, slots[CAPACITY];
bool taken[ITEMS + 1];
byte taken_count, running = 3;

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

inline look() {
  d_step { seen_oldest = oldest; seen_newest = newest; seen_pops = pops }
}
inline unchanged() {
  won = (oldest == seen_oldest && newest == seen_newest && pops == seen_pops)
}
inline forget() {
  d_step { seen_oldest = 0; seen_newest = 0; seen_pops = 0; n = 0; won = false }
}

// `out0` and `out1` receive the older half, at most two; 0: nothing there.
inline take_oldest(out0, out1) {
  do
  :: look();
     d_step {
       n = seen_newest - seen_oldest;
       n = n - n / 2;
       n = (n > CAPACITY / 2 -> CAPACITY / 2 : n)
     };
     if
     :: n == 0 -> break
     :: else ->
#ifndef BREAK_COPY_FIRST
        out0 = slots[seen_oldest % CAPACITY];
        if
        :: n == 2 -> out1 = slots[(seen_oldest + 1) % CAPACITY]
        :: else
        fi;
#endif
#ifdef BREAK_TAKE_CLAIM
        unchanged();
        if
        :: won -> oldest = seen_oldest + n
        :: else
        fi;
#else
        d_step {
          unchanged();
          if
          :: won -> oldest = seen_oldest + n
          :: else
          fi
        };
#endif
        if
        :: won -> break
        :: else -> d_step { out0 = 0; out1 = 0 }
        fi
     fi
  od;
#ifdef BREAK_COPY_FIRST
  if
  :: n != 0 ->
     out0 = slots[seen_oldest % CAPACITY];
     if
     :: n == 2 -> out1 = slots[(seen_oldest + 1) % CAPACITY]
     :: else
     fi
  :: else
  fi;
#endif
  forget()
}

inline store_new() {
#ifdef BREAK_PUBLISH
  newest++;
  slots[(newest - 1) % CAPACITY] = pushed + 1;
#else
  slots[newest % CAPACITY] = pushed + 1;
  newest++;
#endif
  pushed++
}

active proctype owner() {
  byte pushed, seen_oldest, seen_newest, seen_pops, n, first, second;
  bool won;
  do
  :: pushed < ITEMS ->
     look();
     if
#ifdef BREAK_FULL
     :: true -> store_new()
#else
     :: seen_newest - seen_oldest < CAPACITY -> store_new()
     :: else ->
        take_oldest(first, second);
        take(first);
        take(second)
#endif
     fi;
     forget()
  :: true ->
     do
     :: look();
        if
        :: seen_newest == seen_oldest -> break
        :: else ->
           first = slots[(seen_newest - 1) % CAPACITY];
#ifdef BREAK_POP_CLAIM
           unchanged();
           if
           :: won -> newest = seen_newest - 1; pops++
           :: else
           fi;
#else
           d_step {
             unchanged();
             if
             :: won ->
                newest = seen_newest - 1;
#ifndef BREAK_POPS
                pops++
#endif
             :: else
             fi
           };
#endif
           if
           :: won -> take(first); break
           :: else -> first = 0
           fi
        fi
     od;
     if
     :: newest == oldest && pushed == ITEMS -> forget(); break
     :: else -> forget()
     fi
  od;
  leave_model()
}

active [2] proctype thief() {
  byte steals, seen_oldest, seen_newest, seen_pops, n, first, second;
  bool won;
  do
  :: steals < STEALS ->
     steals++;
     take_oldest(first, second);
     take(first);
     take(second)
  :: true -> break
  od;
  leave_model()
}
