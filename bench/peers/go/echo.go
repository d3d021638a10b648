// The echo server, which runs until it is killed.
package main

import (
	"io"
	"net"
)

func init() {
	register("echo_server", func() { serve(echo) })
	register("echo_server:io_copy", func() { serve(func(c net.Conn) { _, _ = io.Copy(c, onlyRead{c}) }) })
}

func serve(handle func(net.Conn)) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fail(1, "%v", err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			fail(1, "%v", err)
		}
		go func() {
			defer connection.Close()
			handle(connection)
		}()
	}
}

func echo(connection net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// onlyRead hides the connection's own way to copy, which is splice.
type onlyRead struct{ io.Reader }
