// Time, and the figures that are printed.
package main

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// stopwatch tells the wall time, and the process's user and system time, since it was made.
type stopwatch struct {
	start time.Time
	cpu   time.Duration
}

func usage() *syscall.Rusage {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(1, "getrusage: %v", err)
	}
	return &usage
}

func cpuOfProcess() time.Duration {
	u := usage()
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func watch() stopwatch { return stopwatch{time.Now(), cpuOfProcess()} }

func (w stopwatch) read() (wall, cpu time.Duration) {
	return time.Since(w.start), cpuOfProcess() - w.cpu
}

func figure(name string, value float64, unit string) {
	fmt.Printf("%s\t%.6g\t%s\n", name, value, unit)
}

func perOperation(name string, w stopwatch, n int, unit string) {
	wall, cpu := w.read()
	figure(name, float64(wall)/float64(n), unit)
	figure(name+".cpu", float64(cpu)/float64(n), unit)
}

func inMs(name string, w stopwatch) {
	wall, cpu := w.read()
	figure(name, float64(wall)/1e6, "ms")
	figure(name+".cpu", float64(cpu)/1e6, "ms")
}

// warm measures work(n) after a tenth of it.
func warm(name string, n int, unit string, work func(n int)) {
	work(n/10 + 1)
	w := watch()
	work(n)
	perOperation(name, w, n, unit)
}

// cold measures work(n) as the first thing in the process, then once more as name.warm.
func cold(name string, n int, unit string, work func(n int)) {
	for _, suffix := range []string{"", ".warm"} {
		w := watch()
		work(n)
		perOperation(name+suffix, w, n, unit)
	}
}

func coldInMs(name string, work func()) {
	for _, suffix := range []string{"", ".warm"} {
		w := watch()
		work()
		inMs(name+suffix, w)
	}
}

// latencies in ns; 32 bits keep those of many goroutines small.
type latencies []uint32

func (l *latencies) add(d time.Duration) {
	*l = append(*l, uint32(min(max(d, 0), 1<<32-1)))
}

// quantile of sorted latencies: the least value that a share of at least q does not pass; in us.
func (l latencies) quantile(q float64) float64 {
	check(len(l) > 0, "there are latencies")
	return float64(l[min(int(q*float64(len(l))), len(l)-1)]) / 1e3
}

type quantile struct {
	suffix string
	share  float64
}

var (
	p50  = quantile{".p50", 0.5}
	p99  = quantile{".p99", 0.99}
	p999 = quantile{".p999", 0.999}
	most = quantile{".max", 1}
)

// print sorts and prints; cpu is that of all the waits together.
func (l latencies) print(name string, cpu time.Duration, quantiles ...quantile) {
	slices.Sort(l)
	for _, q := range quantiles {
		figure(name+q.suffix, l.quantile(q.share), "us")
	}
	figure(name+".cpu", float64(cpu)/float64(len(l)), "ns/op")
}

func (l latencies) printMedian(name string) {
	slices.Sort(l)
	figure(name, l.quantile(p50.share), "us")
}
