// Workloads over locks, wait groups, once and conditions.
package main

import (
	"sync"
	"sync/atomic"
)

const lockers = 8

func init() {
	register("mutex_uncontended", func() {
		var mutex sync.Mutex
		warm("mutex_uncontended", scaled(20_000_000, 1), "ns/op", func(n int) {
			count := 0
			for range n {
				mutex.Lock()
				count++
				mutex.Unlock()
			}
			check(count == n, "mutex: each increment")
		})
	})
	register("mutex_contended", func() {
		var mutex sync.Mutex
		warm("mutex_contended", scaled(10_000_000, lockers), "ns/op", func(n int) {
			count := 0
			byEight(func() {
				for range n / lockers {
					mutex.Lock()
					count++
					mutex.Unlock()
				}
			})
			check(count == n/lockers*lockers, "mutex: each increment")
		})
	})
	register("rwmutex_read_contended", func() {
		var mutex sync.RWMutex
		value := 1
		warm("rwmutex_read_contended", scaled(10_000_000, lockers), "ns/op", func(n int) {
			var total atomic.Int64
			byEight(func() {
				sum := 0
				for range n / lockers {
					mutex.RLock()
					sum += value
					mutex.RUnlock()
				}
				total.Add(int64(sum))
			})
			check(int(total.Load()) == n/lockers*lockers, "RWMutex: each read")
		})
	})
	register("waitgroup", func() {
		var group sync.WaitGroup
		warm("waitgroup", scaled(20_000_000, 1), "ns/op", func(n int) {
			for range n {
				group.Add(1)
				group.Done()
			}
			group.Wait()
		})
	})
	register("once", func() {
		var once sync.Once
		runs := 0
		onceWorkload(&runs, func(n int) {
			for range n {
				once.Do(func() { runs++ })
			}
		})
	})
	register("once:once_func", func() {
		runs := 0
		once := sync.OnceFunc(func() { runs++ })
		onceWorkload(&runs, func(n int) {
			for range n {
				once()
			}
		})
	})
	register("cond_pingpong", func() {
		warm("cond_pingpong", scaled(2_000_000, 1), "ns/op", condPingpong)
	})
}

func byEight(body func()) {
	var group sync.WaitGroup
	for range lockers {
		group.Go(body)
	}
	group.Wait()
}

func onceWorkload(runs *int, work func(n int)) {
	warm("once", scaled(100_000_000, 1), "ns/op", work)
	check(*runs == 1, "once: one run")
}

func condPingpong(n int) {
	var mutex sync.Mutex
	changed := sync.NewCond(&mutex)
	turn := 0
	play := func(mine int) {
		mutex.Lock()
		defer mutex.Unlock()
		for turn < n {
			if turn%2 == mine {
				turn++
				changed.Signal()
			} else {
				changed.Wait()
			}
		}
		changed.Signal()
	}
	var group sync.WaitGroup
	group.Go(func() { play(0) })
	group.Go(func() { play(1) })
	group.Wait()
	check(turn == n, "cond: each turn once")
}
