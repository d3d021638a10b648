// Go's side of the benchmark suite: NAME [-procs N] [-scale F] runs one workload and prints its
// figures; `list` prints the names, `alternatives` those of the same work done in another obvious
// way, as NAME:HOW, which show that the way taken is no slower.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

var (
	scale   = 1.0
	address = "127.0.0.1:0"
)

// workloads by name; each file adds its own.
var workloads = map[string]func(){}

func register(name string, body func()) {
	if workloads[name] != nil {
		panic("registered twice: " + name)
	}
	workloads[name] = body
}

// scaled is n operations at scale 1, at least `least`.
func scaled(n, least int) int {
	return max(least, int(float64(n)*scale+0.5))
}

func fail(status int, format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", arguments...)
	os.Exit(status)
}

// check ends the process with status 1 when a workload's result is wrong.
func check(right bool, what string) {
	if !right {
		fail(1, "wrong result: %s", what)
	}
}

func list(alternatives bool) {
	var names []string
	for name := range workloads {
		if strings.Contains(name, ":") == alternatives {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Println(name)
	}
}

func main() {
	procs := flag.Int("procs", runtime.NumCPU(), "processors")
	flag.Float64Var(&scale, "scale", 1, "multiplies the numbers of operations")
	flag.StringVar(&address, "addr", address, "where a server listens")
	usage := func() { fail(2, "usage: NAME|list|alternatives [-procs N] [-scale F] [-addr A]") }
	flag.Usage = usage
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		usage()
	}
	name := os.Args[1]
	_ = flag.CommandLine.Parse(os.Args[2:])
	if flag.NArg() > 0 || *procs < 1 || scale <= 0 {
		usage()
	}
	switch name {
	case "list":
		list(false)
	case "alternatives":
		list(true)
	default:
		body := workloads[name]
		if body == nil {
			fail(2, "no workload %q; `list` names them", name)
		}
		runtime.GOMAXPROCS(*procs)
		body()
	}
}
