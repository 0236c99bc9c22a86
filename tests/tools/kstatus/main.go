// Prints the verdicts of kstatus, by which Flux and Helm judge: a stream of JSON objects on standard input, one verdict
// per line on standard output.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	objects := json.NewDecoder(os.Stdin)
	for {
		var object unstructured.Unstructured
		err := objects.Decode(&object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			var verdict *status.Result
			if verdict, err = status.Compute(&object); err == nil {
				fmt.Println(verdict.Status)
				continue
			}
		}
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}
