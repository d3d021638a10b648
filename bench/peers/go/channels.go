// Workloads over channels.
package main

import "sync"

func init() {
	register("chan_pingpong_unbuf", func() {
		warm("chan_pingpong_unbuf", scaled(2_000_000, 2), "ns/hop", pingpong)
	})
	for _, c := range []struct {
		name               string
		capacity, n, pairs int
	}{
		{"chan_buf128_spsc", 128, 5_000_000, 1},
		{"chan_buf128_mpmc", 128, 5_000_000, 8},
		{"chan_unbuf_spsc", 0, 2_000_000, 1},
		{"chan_unbuf_mpmc", 0, 2_000_000, 8},
	} {
		register(c.name, func() {
			warm(c.name, scaled(c.n, 1), "ns/item", func(n int) { flow(c.capacity, n, c.pairs) })
		})
	}
	register("chan_uncontended", func() {
		warm("chan_uncontended", scaled(10_000_000, 1), "ns/pair", func(n int) {
			ch := make(chan int, 1)
			sum := 0
			for i := range n {
				ch <- i
				sum += <-ch
			}
			check(sum == n*(n-1)/2, "uncontended: what was sent")
		})
	})
	register("sieve", func() {
		n := scaled(2_000, 1)
		w := watch()
		prime := nthPrime(n)
		inMs("sieve", w)
		check(n != 2_000 || prime == 17389, "sieve: the 2000th prime")
		check(isPrime(prime), "sieve: a prime")
	})
	register("threadring", func() {
		warm("threadring", scaled(1_000_000, 1), "ns/hop", threadring)
	})
}

func pingpong(n int) {
	there, back := make(chan int), make(chan int)
	rounds := n / 2
	go func() {
		for i := range there {
			back <- i + 1
		}
		close(back)
	}()
	last := 0
	for range rounds {
		there <- last
		last = <-back
	}
	close(there)
	<-back
	check(last == rounds, "pingpong: each hop once")
}

// flow sends n numbers in all from `pairs` producers to as many consumers that range.
func flow(capacity, n, pairs int) {
	ch := make(chan int, capacity)
	var producers, consumers sync.WaitGroup
	sums := make([]int, pairs)
	for p := range pairs {
		producers.Go(func() {
			to := n * (p + 1) / pairs // here: the compiler would divide in each round
			for i := n * p / pairs; i < to; i++ {
				ch <- i
			}
		})
		consumers.Go(func() {
			sum := 0
			for i := range ch {
				sum += i
			}
			sums[p] = sum
		})
	}
	producers.Wait()
	close(ch)
	consumers.Wait()
	sum := 0
	for _, part := range sums {
		sum += part
	}
	check(sum == n*(n-1)/2, "channels: each number arrives once")
}

// filter passes on what is no multiple of the first number it got.
func filter(in <-chan int, out chan<- int, prime int) {
	for i := range in {
		if i%prime != 0 {
			out <- i
		}
	}
}

// nthPrime leaves its chain behind: it ends with the process.
func nthPrime(n int) int {
	ch := make(chan int)
	go func(ch chan<- int) {
		for i := 2; ; i++ {
			ch <- i
		}
	}(ch)
	prime := 0
	for range n {
		prime = <-ch
		next := make(chan int)
		go filter(ch, next, prime)
		ch = next
	}
	return prime
}

func isPrime(number int) bool {
	for i := 2; i*i <= number; i++ {
		if number%i == 0 {
			return false
		}
	}
	return number > 1
}

func threadring(n int) {
	const goroutines = 503
	ring := make([]chan int, goroutines)
	for i := range ring {
		ring[i] = make(chan int)
	}
	end := make(chan int)
	var group sync.WaitGroup
	for g := range ring {
		in, out := ring[g], ring[(g+1)%goroutines]
		group.Go(func() {
			for left := range in {
				if left == 0 {
					end <- g
				} else {
					out <- left - 1
				}
			}
		})
	}
	ring[0] <- n
	last := <-end
	for _, ch := range ring {
		close(ch)
	}
	group.Wait()
	check(last == n%goroutines, "threadring: who has it last")
}
