// What parked goroutines cost in memory.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
)

func init() {
	register("mem_parked_1m", func() { parked("mem_parked_1m", scaled(1_000_000, 1)) })
	register("mem_parked_100k", func() { parked("mem_parked_100k", scaled(100_000, 1)) })
}

// memoryOfProcess is resident memory and page tables, in bytes.
func memoryOfProcess() float64 {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		fail(1, "%v", err)
	}
	defer status.Close()
	sum := 0.0
	for lines := bufio.NewScanner(status); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		var kib float64
		if name == "VmRSS" || name == "VmPTE" {
			fmt.Sscan(value, &kib)
		}
		sum += kib * 1024
	}
	check(sum > 0, "/proc/self/status tells the memory")
	return sum
}

func parked(name string, n int) {
	gate := make(chan struct{})
	var started, ended sync.WaitGroup
	started.Add(n)
	ended.Add(n)
	before := memoryOfProcess()
	spawning := watch()
	body := func() {
		started.Done()
		<-gate
		ended.Done()
	}
	for range n {
		go body()
	}
	started.Wait()
	spawnWall, spawnCPU := spawning.read()
	figure(name+".spawn", float64(spawnWall)/float64(n), "ns/op")
	figure(name, (memoryOfProcess()-before)/float64(n), "B/fiber")
	waking := watch()
	close(gate)
	ended.Wait()
	wakeWall, wakeCPU := waking.read()
	figure(name+".wake", float64(wakeWall)/float64(n), "ns/op")
	figure(name+".cpu", float64(spawnCPU+wakeCPU)/float64(n), "ns/op")
}
