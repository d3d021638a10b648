// Workloads that call functions of another language. Without #cgo noescape and nocallback: nothing
// here could stay on the stack, and the latter adds two calls to each.
package main

// #cgo CFLAGS: -O2
// #include <string.h>
// #include <time.h>
//
// static void weft_bench_empty(void) {}
//
// static long long now_ns(void) {
//   struct timespec t;
//   clock_gettime(CLOCK_MONOTONIC, &t);
//   return t.tv_sec * 1000000000LL + t.tv_nsec;
// }
//
// static void weft_bench_busy_1us(void) {
//   const long long end = now_ns() + 1000;
//   while (now_ns() < end) {
//   }
// }
//
// static void weft_bench_move16(unsigned char* to, const unsigned char* from) {
//   memmove(to, from, 16);
// }
import "C"

import (
	"bytes"
	"encoding/binary"
	"sync"
	"unsafe"
)

func init() {
	register("foreign_call", func() {
		warm("foreign_call_empty", scaled(10_000_000, 1), "ns/op", func(n int) {
			for range n {
				C.weft_bench_empty()
			}
		})
		const callers = 8
		warm("foreign_call_busy1us_x8", scaled(1_000_000, callers), "ns/op", func(n int) {
			var group sync.WaitGroup
			for range callers {
				group.Go(func() {
					for range n / callers {
						C.weft_bench_busy_1us()
					}
				})
			}
			group.Wait()
		})
		move16("foreign_call_memmove16", 0, func(to, from []byte, n int) {
			// Pointers to what holds no pointers need no check before the call.
			target := (*C.uchar)(unsafe.Pointer(&to[0]))
			source := (*C.uchar)(unsafe.Pointer(&from[0]))
			for range n {
				C.weft_bench_move16(target, source)
			}
		})
		// A length that the compiler does not know: a call of the runtime's memmove.
		byMemmove := func(to, from []byte, n int) {
			for range n {
				copy(to, from)
			}
		}
		move16("memmove16", 0, byMemmove)
		move16("memmove16_unaligned", 3, byMemmove)
		move16("memcpy16", 0, func(to, from []byte, n int) {
			for range n {
				copy(to[:16], from[:16])
			}
		})
		move16("moves8x2", 0, func(to, from []byte, n int) {
			for range n {
				low := binary.LittleEndian.Uint64(from)
				high := binary.LittleEndian.Uint64(from[8:16])
				binary.LittleEndian.PutUint64(to, low)
				binary.LittleEndian.PutUint64(to[8:16], high)
			}
		})
	})
}

// move16 lets `move` move sixteen bytes at `offset` of a cache line n times.
func move16(name string, offset int, move func(to, from []byte, n int)) {
	var from, to [64]byte
	for i := range from {
		from[i] = byte(i)
	}
	target, source := to[offset:offset+16], from[offset:offset+16]
	warm(name, scaled(10_000_000, 1), "ns/op", func(n int) { move(target, source, n) })
	check(bytes.Equal(target, source), "move: the bytes")
}
