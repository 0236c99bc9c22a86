// A redis for the processes of Argo CD, so that none needs to be installed. It keeps no data after its end.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: miniredis HOST:PORT")
		os.Exit(2)
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "miniredis:", err)
		os.Exit(1)
	}
	// The clock of miniredis only moves when told to, and Argo CD's entries must expire.
	for range time.Tick(time.Second) {
		server.FastForward(time.Second)
	}
}
