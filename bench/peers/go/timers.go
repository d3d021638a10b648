// Workloads over timers and sleeping, and how late goroutines run.
package main

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	register("timer_create_stop", func() {
		nothing := func() {}
		timerWorkload(func() bool { return time.AfterFunc(time.Hour, nothing).Stop() })
	})
	register("timer_create_stop:new_timer", func() {
		timerWorkload(func() bool { return time.NewTimer(time.Hour).Stop() })
	})
	register("sleep_1m", sleep)
	register("timer_lateness", func() { lateness("timer_lateness", 10_000, sleeps) })
	register("timer_lateness:ticker", func() { lateness("timer_lateness", 10_000, ticks) })
	register("timer_lateness_100", func() { lateness("timer_lateness_100", 100, sleeps) })
	register("hog_latency", hogs)
	register("spawn_parked_unpark", func() {
		unpark("spawn_parked_unpark", scaled(20_000, 10), func(until time.Time) {
			for time.Now().Before(until) {
			}
		})
	})
	register("spawn_parked_unpark_sleep", func() {
		unpark("spawn_parked_unpark_sleep", scaled(20_000, 10), func(until time.Time) {
			time.Sleep(time.Until(until))
		})
	})
}

func timerWorkload(createStop func() bool) {
	warm("timer_create_stop", scaled(2_000_000, 1), "ns/op", func(n int) {
		stopped := 0
		for range n {
			if createStop() {
				stopped++
			}
		}
		check(stopped == n, "timer: each was stopped")
	})
}

func sleep() {
	n := scaled(1_000_000, 1)
	var woken atomic.Int64
	w := watch()
	var group sync.WaitGroup
	group.Add(n)
	random := rand.New(rand.NewPCG(1, 1))
	for range n {
		duration := time.Duration(1+random.IntN(1000)) * time.Millisecond
		go func() {
			time.Sleep(duration)
			woken.Add(1)
			group.Done()
		}()
	}
	group.Wait()
	wall, cpu := w.read()
	figure("sleep_1m", float64(wall)/1e6, "ms")
	figure("sleep_1m.cpu", cpu.Seconds(), "s")
	figure("sleep_1m.rss", float64(usage().Maxrss)/1024, "MiB")
	check(int(woken.Load()) == n, "sleep: all have slept")
}

func seconds(n float64) time.Duration {
	return max(20*time.Millisecond, time.Duration(n*scale*float64(time.Second)))
}

// sleeps of 1 ms until `end`, one at least, and how late each ends.
func sleeps(end time.Time, late *latencies) {
	for now, again := time.Now(), true; again; again = now.Before(end) {
		due := now.Add(time.Millisecond)
		time.Sleep(time.Millisecond)
		now = time.Now()
		late.add(now.Sub(due))
	}
}

// ticks are sleeps that reuse one timer.
func ticks(end time.Time, late *latencies) {
	timer := time.NewTimer(time.Hour)
	for now, again := time.Now(), true; again; again = now.Before(end) {
		due := now.Add(time.Millisecond)
		timer.Reset(time.Millisecond)
		<-timer.C
		now = time.Now()
		late.add(now.Sub(due))
	}
	timer.Stop()
}

func lateness(name string, goroutines int, sleeper func(time.Time, *latencies)) {
	length := seconds(5)
	late := make([]latencies, goroutines)
	for g := range late {
		late[g] = make(latencies, 0, length/time.Millisecond+1)
	}
	w := watch()
	end := time.Now().Add(length)
	var group sync.WaitGroup
	for g := range late {
		group.Go(func() { sleeper(end, &late[g]) })
	}
	group.Wait()
	_, cpu := w.read()
	var all latencies
	for _, part := range late {
		all = append(all, part...)
	}
	all.print(name, cpu, p50, p99, p999)
}

func hogs() {
	end := time.Now().Add(seconds(3))
	var stop atomic.Bool
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for !stop.Load() {
			}
		})
	}
	var late latencies
	w := watch()
	group.Go(func() {
		sleeps(end, &late)
		stop.Store(true)
	})
	group.Wait()
	_, cpu := w.read()
	late.print("hog_latency", cpu, p50, p99, most)
}

// unpark wakes a blocked goroutine every 100 us; pause is how the other one waits between.
func unpark(name string, n int, pause func(until time.Time)) {
	wake := make(chan time.Time)
	late, periods := make(latencies, 0, n), make(latencies, 0, n)
	var group sync.WaitGroup
	w := watch()
	group.Go(func() {
		for sent := range wake {
			late.add(time.Since(sent))
		}
	})
	group.Go(func() {
		last := time.Now()
		for range n {
			pause(last.Add(100 * time.Microsecond))
			now := time.Now()
			periods.add(now.Sub(last))
			last = now
			wake <- now
		}
		close(wake)
	})
	group.Wait()
	_, cpu := w.read()
	check(len(late) == n, "unpark: each wake-up arrived")
	late.print(name, cpu, p50, p99)
	periods.printMedian(name + ".period")
}
