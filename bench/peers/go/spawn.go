// Workloads that start goroutines, and switch between them.
package main

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

func init() {
	register("spawn_join", func() { cold("spawn_join", scaled(1_000_000, 1), "ns/op", spawnJoin) })
	register("spawn_join:wait_group_go", func() {
		cold("spawn_join", scaled(1_000_000, 1), "ns/op", func(n int) {
			var group sync.WaitGroup
			for range n {
				group.Go(func() {})
			}
			group.Wait()
		})
	})
	register("spawn_join:closure", func() {
		cold("spawn_join", scaled(1_000_000, 1), "ns/op", func(n int) {
			var group sync.WaitGroup
			group.Add(n)
			for range n {
				go func() { group.Done() }()
			}
			group.Wait()
		})
	})
	register("spawn_join_1", func() {
		warm("spawn_join_1", scaled(1_000_000, 1), "ns/op", func(n int) {
			done := make(chan struct{})
			for range n {
				go func() { done <- struct{}{} }()
				<-done
			}
		})
	})
	register("spawn_join_1:wait_group", func() {
		warm("spawn_join_1", scaled(1_000_000, 1), "ns/op", func(n int) {
			var group sync.WaitGroup
			for range n {
				group.Add(1)
				go group.Done()
				group.Wait()
			}
		})
	})
	register("yield", func() {
		warm("yield", scaled(1_000_000, 1), "ns/op", func(n int) { yieldInTurn(n, 2) })
	})
	register("yield_1000", func() {
		warm("yield_1000", scaled(4_000_000, 1), "ns/op", func(n int) { yieldInTurn(n, 1000) })
	})
	register("skynet", func() {
		leaves := 1
		for leaves*10 <= scaled(1_000_000, 10) {
			leaves *= 10
		}
		coldInMs("skynet", func() {
			result := make(chan int)
			go skynet(result, 0, leaves)
			check(<-result == leaves*(leaves-1)/2, "skynet: the sum of the ids")
		})
	})
	register("fib", func() { fibWorkload(fib) })
	register("fib:unbuffered", func() { fibWorkload(fibUnbuffered) })
	register("quicksort", func() { quicksortWorkload(quicksort) })
	register("quicksort:both_halves", func() { quicksortWorkload(quicksortBoth) })
}

func spawnJoin(n int) {
	var group sync.WaitGroup
	group.Add(n)
	done := group.Done // once: a closure for each goroutine would be allocated
	for range n {
		go done()
	}
	group.Wait()
}

// yieldInTurn yields n times in all.
func yieldInTurn(n, goroutines int) {
	each := n/goroutines + 1
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				runtime.Gosched()
			}
		})
	}
	group.Wait()
}

func skynet(out chan<- int, number, leaves int) {
	if leaves == 1 {
		out <- number
		return
	}
	sums := make(chan int)
	part := leaves / 10
	for i := range 10 {
		go skynet(sums, number+i*part, part)
	}
	sum := 0
	for range 10 {
		sum += <-sums
	}
	out <- sum
}

func fib(out chan<- int, n int) {
	if n < 2 {
		out <- n
		return
	}
	first, second := make(chan int, 1), make(chan int, 1)
	go fib(first, n-1)
	go fib(second, n-2)
	out <- <-first + <-second
}

func fibUnbuffered(out chan<- int, n int) {
	if n < 2 {
		out <- n
		return
	}
	first, second := make(chan int), make(chan int)
	go fibUnbuffered(first, n-1)
	go fibUnbuffered(second, n-2)
	out <- <-first + <-second
}

func plainFib(n int) int {
	a, b := 0, 1
	for range n {
		a, b = b, a+b
	}
	return a
}

func fibWorkload(fib func(chan<- int, int)) {
	// The number of calls grows with the result.
	n := 27
	for n > 1 && plainFib(n) > scaled(plainFib(27), 1) {
		n--
	}
	coldInMs("fib", func() {
		result := make(chan int, 1)
		go fib(result, n)
		check(<-result == plainFib(n), "fib: the number")
	})
}

const sortedInPlace = 4096

// partition is Hoare's: both sides are smaller than the whole, also with equal elements.
func partition(part []int64) int {
	a, b, c := part[0], part[len(part)/2], part[len(part)-1]
	pivot := max(min(a, b), min(max(a, b), c))
	i, j := 0, len(part)-1
	for ; ; i, j = i+1, j-1 {
		for part[i] < pivot {
			i++
		}
		for pivot < part[j] {
			j--
		}
		if i >= j {
			return j + 1
		}
		part[i], part[j] = part[j], part[i]
	}
}

func quicksort(part []int64) {
	var halves sync.WaitGroup
	for len(part) > sortedInPlace {
		middle := partition(part)
		left := part[:middle]
		halves.Go(func() { quicksort(left) })
		part = part[middle:]
	}
	slices.Sort(part)
	halves.Wait()
}

func quicksortBoth(part []int64) {
	if len(part) <= sortedInPlace {
		slices.Sort(part)
		return
	}
	middle := partition(part)
	var halves sync.WaitGroup
	halves.Go(func() { quicksortBoth(part[:middle]) })
	halves.Go(func() { quicksortBoth(part[middle:]) })
	halves.Wait()
}

func quicksortWorkload(sort func([]int64)) {
	numbers := make([]int64, scaled(10_000_000, 1))
	random := rand.New(rand.NewPCG(1, 1))
	for i := range numbers {
		numbers[i] = int64(random.Uint64())
	}
	w := watch()
	sort(numbers)
	inMs("quicksort", w)
	check(slices.IsSorted(numbers), "quicksort: the order")
}
