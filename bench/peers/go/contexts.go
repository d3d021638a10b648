// Workloads over contexts.
package main

import (
	"context"
	"time"
)

func init() {
	register("ctx_withcancel", func() {
		createAndCancel("ctx_withcancel", context.Background())
		parent, cancel := context.WithCancel(context.Background())
		createAndCancel("ctx_withcancel_child", parent)
		cancel()
	})
	register("ctx_tree_cancel", treeCancel)
	register("ctx_withtimeout", func() {
		warm("ctx_withtimeout", scaled(1_000_000, 1), "ns/op", func(n int) {
			for i := range n {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				cancel()
				if i == 0 {
					check(ctx.Err() != nil, "context: it is canceled")
				}
			}
		})
	})
	register("ctx_value_depth10", func() {
		// As net/http's: pointers are compared without a call.
		type key struct{ name string }
		keys := make([]*key, 11)
		for i := range keys {
			keys[i] = &key{"key"}
		}
		valueDepth10(keys)
	})
	register("ctx_value_depth10:int_keys", func() {
		type key int
		valueDepth10([]key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	})
}

// valueDepth10 looks up the first of eleven values.
func valueDepth10[K comparable](keys []K) {
	ctx := context.Background()
	for i, key := range keys {
		ctx = context.WithValue(ctx, key, i+1)
	}
	wanted := keys[0]
	warm("ctx_value_depth10", scaled(10_000_000, 1), "ns/op", func(n int) {
		sum := 0
		for range n {
			sum += ctx.Value(wanted).(int)
		}
		check(sum == n, "context: the value")
	})
}

func createAndCancel(name string, parent context.Context) {
	warm(name, scaled(2_000_000, 1), "ns/op", func(n int) {
		for i := range n {
			ctx, cancel := context.WithCancel(parent)
			cancel()
			if i == 0 {
				check(ctx.Err() != nil, "context: it is canceled")
			}
		}
	})
}

func treeCancel() {
	const children = 10_000
	rounds := scaled(100, 2)
	var wall, cpu time.Duration
	all, cancels := make([]context.Context, children), make([]context.CancelFunc, children)
	for range rounds {
		root, cancel := context.WithCancel(context.Background())
		for i := range all {
			all[i], cancels[i] = context.WithCancel(root)
		}
		w := watch()
		cancel()
		roundWall, roundCPU := w.read()
		wall += roundWall
		cpu += roundCPU
		for i, child := range all {
			check(child.Err() != nil, "context: the child is canceled")
			cancels[i]()
		}
	}
	operations := float64(rounds) * children
	figure("ctx_tree_cancel", float64(wall)/operations, "ns/op")
	figure("ctx_tree_cancel.cpu", float64(cpu)/operations, "ns/op")
}
