// A redis for Argo CD's processes, so that no machine has to have one installed. Its data is gone with it.
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
	// Its clock stands still unless it is moved, and Argo CD's entries expire.
	for range time.Tick(time.Second) {
		server.FastForward(time.Second)
	}
}
