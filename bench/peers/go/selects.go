// Workloads over select.
package main

func init() {
	register("select_default_miss", func() {
		n := scaled(10_000_000, 1)
		ch := make(chan int, 1)
		misses := 0
		w := watch()
		for range n {
			select {
			case <-ch:
			default:
				misses++
			}
		}
		perOperation("select_default_miss", w, n, "ns/op")
		check(misses == n, "select: nothing was there")
	})
	for _, c := range []struct {
		name                string
		producers, capacity int
		consume             func([]chan int, int) int
	}{
		{"select_2", 2, 0, select2},
		{"select_2_buf128", 2, 128, select2},
		{"select_8", 8, 0, select8},
		{"select_8_buf128", 8, 128, select8},
	} {
		register(c.name, func() {
			warm(c.name, scaled(2_000_000, 1), "ns/item", func(n int) {
				selectOver(n, c.producers, c.capacity, c.consume)
			})
		})
	}
}

func selectOver(n, producers, capacity int, consume func([]chan int, int) int) {
	each := n/producers + 1
	from := make([]chan int, producers)
	for p := range from {
		ch := make(chan int, capacity)
		from[p] = ch
		go func() {
			for i := range each {
				ch <- i
			}
		}()
	}
	sum := consume(from, each*producers)
	check(sum == producers*(each*(each-1)/2), "select: each number arrives once")
}

func select2(from []chan int, n int) (sum int) {
	a, b := from[0], from[1]
	for range n {
		select {
		case i := <-a:
			sum += i
		case i := <-b:
			sum += i
		}
	}
	return
}

func select8(from []chan int, n int) (sum int) {
	a, b, c, d, e, f, g, h := from[0], from[1], from[2], from[3], from[4], from[5], from[6], from[7]
	for range n {
		select {
		case i := <-a:
			sum += i
		case i := <-b:
			sum += i
		case i := <-c:
			sum += i
		case i := <-d:
			sum += i
		case i := <-e:
			sum += i
		case i := <-f:
			sum += i
		case i := <-g:
			sum += i
		case i := <-h:
			sum += i
		}
	}
	return
}
